//! Codecs: bytes to messages and back. No IO, no async, no clock.

pub mod printable;
pub mod profile;
pub mod property_list;
