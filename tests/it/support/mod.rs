//! Shared by the topics.

pub mod binary;
pub mod profile;
pub mod simulator;
pub mod station;
pub mod world;
