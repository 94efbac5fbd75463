//! One device: facts read from it, trust earned from it, services spoken with it.
//!
//! May import: `transport`, `proto`, `wire`, base. Knows nothing of the order of steps, of
//! retries, or of texts for people. Start at [`link::DeviceLink`], then [`trust::Trust`],
//! [`session::DeviceSession`] and [`services`].

pub mod cloud_configuration;
pub mod error;
pub mod facts;
pub mod link;
pub mod mac;
pub mod services;
pub mod session;
pub mod trust;

pub use crate::transport::{Rung, RungError};
pub use crate::wire::device_log::{NetworkSign, network_sign};
pub use error::DeviceError;
pub use facts::Facts;
pub use link::{DeviceLink, Presence};
pub use session::DeviceSession;
