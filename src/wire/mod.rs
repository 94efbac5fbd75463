//! Codecs: bytes to messages and back. No IO, no async, no clock.

pub mod printable;
pub mod property_list;
