//! What an enrollment is: its steps, their order, retries and words.
//!
//! May import: `device`, base (and the vocabulary of `wire`: errors, profiles). No SQL,
//! HTTP, USB or printing; its only output is events. Start at [`engine`], then [`plan`],
//! then the steps.

pub mod assign;
pub mod blueprint;
pub mod choice;
pub mod device_name;
pub mod engine;
pub mod erasure;
pub mod event;
pub mod failure;
pub mod helpers;
pub mod mac;
pub mod memory;
pub mod methods;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod preparation;
pub mod removal;
pub mod second_chance;
mod steps;
