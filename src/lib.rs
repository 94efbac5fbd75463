//! Enlist

pub mod clock;
pub mod device;
pub mod ids;
pub mod limits;
pub mod proto;
pub mod secret;
pub mod transport;
pub mod wire;
pub mod workflow;
