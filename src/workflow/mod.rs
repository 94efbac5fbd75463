//! What an enrollment is: its steps, their order, retries and words.
//!
//! May import: `device`, base (and the vocabulary of `wire`'s errors and profiles). No SQL,
//! HTTP, USB or printing; its only output is events. Start at `engine`, then `plan`.

pub mod event;
pub mod outcome;
