//! Enlist

pub mod clock;
pub mod ids;
pub mod limits;
pub mod secret;
pub mod wire;
