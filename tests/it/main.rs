//! Integration tests: one binary, a topic per file, because linking is the slow part.

mod support;
mod virtual_time;
