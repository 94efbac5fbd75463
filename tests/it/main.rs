//! Integration tests: one binary, a topic per file, because linking is the slow part.

#![allow(unreachable_pub)] // nothing can be reached in a test binary

mod bad_input;
mod bad_world;
mod canaries;
mod endings;
mod kill;
mod main_job;
mod mux;
mod outcomes;
mod support;
mod virtual_time;
