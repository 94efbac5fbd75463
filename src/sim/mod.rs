//! The device side: simulated iPhones and iPads that follow protocols.md, with their own
//! behaviour, so that they cannot drift into agreeing only with our host code. Clients
//! nobody here wrote are the judges (`tests/it/clients.rs`).
//!
//! May import: `wire`, `proto`, `transport`, base. No layer above may import it,
//! composition roots (`cli/serve.rs`, `cli/sim.rs`) and tests excepted.
//!
//! Start at [`Fleet`]: it holds devices and the mux they hang on. A device is its
//! [`Settings`] (a [`persona`]), its state and what a simulated person does
//! to it (`person.rs`). [`Fleet::backend`] gives it to a station in-process or, through a
//! [`MuxServer`](crate::transport::usbmuxd::server::MuxServer), to any client on a socket;
//! [`control`] to a script.

mod backend;
pub mod control;
mod counters;
mod device;
pub mod fault;
pub mod fleet;
mod identity;
pub mod installer;
mod keys;
mod lifecycle;
mod link;
mod management;
mod pairing;
mod person;
pub mod persona;
mod profiles;
pub mod scenario;
mod services;
pub mod span;
mod state;
mod supervision;
mod tls;
mod trust;
mod values;

#[cfg(test)]
mod tests;

pub use control::{Command, ControlError, ControlReply, ControlServer};
pub use counters::{Counters, Inspection, Tap};
pub use fault::{Fault, FaultKind};
pub use fleet::{DeviceSpec, Fleet, FleetOptions, SimError};
pub use identity::{Family, Identity};
pub use persona::{Persona, Settings};
pub use span::{After, Latency};
