//! Tests of the shipped binary. One topic a module; shared helpers in `support`.

// clippy knows `#[test]` functions as tests, their helpers it does not.
#![allow(clippy::unwrap_used)]

mod clients;
mod support;
