//! The USB bus itself, through libusb.

mod device;

pub use device::{UsbDevice, UsbMode, look};
