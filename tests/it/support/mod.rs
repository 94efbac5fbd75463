//! Helpers shared by all topics.

pub(crate) mod binary;
#[cfg(target_os = "linux")]
#[path = "../../support/bus/mod.rs"]
pub(crate) mod bus;
#[cfg(target_os = "linux")]
pub(crate) mod bus_bench;
pub(crate) mod fake_bus;
pub(crate) mod fleet;
pub(crate) mod lab;
pub(crate) mod mac;
pub(crate) mod mux_proxy;
pub(crate) mod profile;
pub(crate) mod simulator;
pub(crate) mod station;
pub(crate) mod terminal;
#[cfg(target_os = "linux")]
pub(crate) mod usb_station;
pub(crate) mod world;
