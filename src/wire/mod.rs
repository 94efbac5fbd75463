//! Codecs: bytes to messages and back, for both sides of each conversation.
//!
//! May import: `base` (ids, limits, secret). Must not contain IO, async, a clock, or the
//! logging of payloads. No codec panics or allocates by a length a peer announced.
//! Start at [`plist_frame`], then [`lockdown`].

pub mod boot_identity;
pub mod device_log;
pub mod fields;
pub mod installation_proxy;
pub mod intune_csv;
pub mod lockdown;
pub mod mac_profiles;
pub mod manifest;
pub mod mcinstall;
pub mod mcinstall_error;
pub mod mux_packet;
pub mod notification_proxy;
pub mod pair_record;
pub mod plist_frame;
pub mod printable;
pub mod profile;
pub mod property_list;
pub mod service_config;
pub mod toml_text;
pub mod usb_capture;
pub mod usbmuxd;

/// Budget of a plist that came from a device.
pub const DEVICE_BUDGET: property_list::Budget = property_list::Budget {
    bytes: crate::limits::DEVICE_FRAME_BYTES,
    depth: crate::limits::PLIST_DEPTH,
    objects: crate::limits::PLIST_OBJECTS,
};
