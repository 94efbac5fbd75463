//! The fault matrix: every message of an enrollment, in both directions, times everything that
//! can happen to it. What the messages are is read off clean runs; what each cell must come to
//! is a rule; the invariants are checked after each.

mod cell;
mod conversation;
mod kills;
mod matrix;
mod planted;
mod rule;
