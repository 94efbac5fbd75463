//! Shared by the topics.

pub mod world;
