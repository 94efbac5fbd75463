//! Enlist

pub mod clock;
pub mod ids;
pub mod journal;
pub mod limits;
pub mod proto;
pub mod secret;
pub mod transport;
pub mod wire;
pub mod workflow;
