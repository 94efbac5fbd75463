//! Integration tests: one binary, a topic per file, because linking is the slow part.

// clippy knows `#[test]` functions as tests, their helpers it does not.
#![allow(clippy::unwrap_used)]
// Nothing outside reaches into a test binary, so `pub` says enough.
#![allow(unreachable_pub)]

mod architecture;
mod clients;
mod support;
mod virtual_time;
