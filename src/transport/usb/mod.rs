//! The USB bus itself, through libusb: what hangs on it, and our own mux to it.
//!
//! May import: `proto`, `wire`, base, and what every way to devices is made of.
//!
//! [`look`] and [`load`] are one look at the bus; `bus` watches it. Both backends build on it:
//!
//! - [`Joined`] adds what the bus shows to another way to the devices. `join` is its state,
//!   `unserved` the reasons it gives, `location` who is who, `places` where who was,
//!   `elsewhere` who is on another computer.
//! - [`UsbBackend`] is a way of its own. `attend` is the life of one device: `connection` brings
//!   it up, `transfer` moves bytes, `link` runs its mux, `stream` is what callers hold;
//!   `presence` is what all of it comes to.

mod attend;
mod backend;
mod bus;
mod connection;
mod descriptors;
mod device;
mod elsewhere;
mod hub;
mod join;
mod joined;
mod link;
mod location;
mod places;
mod presence;
mod stream;
mod sysfs;
mod transfer;
mod unserved;
mod words;

pub use backend::UsbBackend;
pub use device::{BusLoad, UsbDevice, UsbMode, load, look};
pub use joined::Joined;
