//! Integration tests: one binary, a topic per file, because linking is the slow part.

// clippy knows `#[test]` functions as tests, their helpers it does not.
#![allow(clippy::unwrap_used)]
// Nothing outside reaches into a test binary, so `pub` says enough.
#![allow(unreachable_pub)]

mod answer_lost;
mod architecture;
mod bad_input;
mod bad_world;
mod canaries;
mod clients;
mod endings;
mod kill;
mod lint;
mod mac;
mod main_job;
mod mux;
mod outcomes;
mod support;
mod virtual_time;
mod written_down;
