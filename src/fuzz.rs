//! Entries for fuzzing (`tests/fuzz/`), one for everything that reads what comes from outside:
//! whatever the bytes are, nothing panics, bounds hold, and what was read can be written and
//! read again. Not in the program: compiled for tests and for fuzzing only, so it may import
//! everything.
//!
//! Codecs with an invariant of their own have their entries beside them ([`proto::mux::fuzz`],
//! [`wire::profile::fuzz`], [`wire::property_list::fuzz`]); the others are here. [`TARGETS`] lists
//! all: the test of the corpora and the smoke run go through it.
//!
//! [`proto::mux::fuzz`]: crate::proto::mux::fuzz
//! [`wire::profile::fuzz`]: crate::wire::profile::fuzz
//! [`wire::property_list::fuzz`]: crate::wire::property_list::fuzz

mod files;
mod messages;
mod recordings;
pub(crate) mod script;
#[cfg(test)]
mod smoke;
#[cfg(test)]
mod tests;
mod usb;

pub use crate::config::fuzz::config;
pub use crate::proto::mux::fuzz::{device as mux_device, packet as mux_packet};
pub use crate::web::fuzz::http;
pub use crate::wire::profile::fuzz::{cms, container};
pub use crate::wire::property_list::fuzz::{binary_plist, xml};
pub use files::{blueprint, boot_identity, intune_csv, mac_profiles, manifest, report, scenario};
pub use messages::{lockdown, mcinstall, pair_record, plist_frame, services, usbmuxd};
pub use recordings::recording;
pub use usb::usb_capture;

/// What eats bytes.
pub type Entry = fn(&[u8]);

/// Every target by name, in the order of `tests/fuzz/README.md`.
pub const TARGETS: &[(&str, Entry)] = &[
    ("container", container),
    ("cms", cms),
    ("xml", xml),
    ("binary_plist", binary_plist),
    ("mux_packet", mux_packet),
    ("mux_host", mux_host),
    ("mux_device", mux_device),
    ("usbmuxd", usbmuxd),
    ("plist_frame", plist_frame),
    ("lockdown", lockdown),
    ("mcinstall", mcinstall),
    ("pair_record", pair_record),
    ("services", services),
    ("boot_identity", boot_identity),
    ("mac_profiles", mac_profiles),
    ("intune_csv", intune_csv),
    ("manifest", manifest),
    ("report", report),
    ("blueprint", blueprint),
    ("config", config),
    ("scenario", scenario),
    ("recording", recording),
    ("usb_capture", usb_capture),
    ("http", http),
];

/// The computer's side of the mux, from now on.
pub fn mux_host(bytes: &[u8]) {
    crate::proto::mux::fuzz::host(bytes, tokio::time::Instant::now().into_std());
}
