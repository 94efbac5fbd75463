//! Integration tests: one binary, a topic per file, because linking is the slow part.

// clippy knows `#[test]` functions as tests, their helpers it does not.
#![allow(clippy::unwrap_used)]

mod architecture;
mod clients;
mod support;
mod virtual_time;
