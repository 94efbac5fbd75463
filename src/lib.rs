//! Enlist

pub mod cli;
pub mod clock;
pub mod ids;
pub mod limits;
pub mod proto;
pub mod secret;
pub mod sim;
pub mod transport;
pub mod wire;
