//! Enlist

pub mod api;
pub mod clock;
pub mod config;
pub mod device;
pub mod ids;
pub mod journal;
pub mod limits;
pub mod proto;
pub mod secret;
pub mod station;
pub mod transport;
pub mod wire;
pub mod workflow;
