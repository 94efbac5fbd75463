//! Helpers shared by all topics.

pub(crate) mod simulator;
