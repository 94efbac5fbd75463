//! Helpers shared by all topics.

pub(crate) mod simulator;
pub(crate) mod world;
