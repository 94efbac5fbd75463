//! Helpers shared by all topics.

pub(crate) mod binary;
pub(crate) mod fleet;
pub(crate) mod mac;
pub(crate) mod mux_proxy;
pub(crate) mod profile;
pub(crate) mod simulator;
pub(crate) mod station;
pub(crate) mod world;
