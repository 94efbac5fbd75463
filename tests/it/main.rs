//! Integration tests: one binary, a topic per file, because linking is the slow part.

// clippy knows `#[test]` functions as tests, their helpers it does not.
#![allow(clippy::unwrap_used)]
// Nothing outside reaches into a test binary, so `pub` says enough.
#![allow(unreachable_pub)]

mod advise;
mod age;
mod answer_lost;
mod architecture;
mod backup;
mod bad_input;
mod bad_world;
mod batch;
mod blueprints;
mod canaries;
mod capture;
mod choice;
mod clients;
mod endings;
mod erase;
mod export;
mod faults;
#[cfg(target_os = "linux")]
mod full_disk;
mod helpers;
mod hostile;
mod http;
mod kill;
#[path = "../support/large_files.rs"]
mod large_files;
mod library;
mod lint;
mod mac;
mod main_job;
mod methods;
mod mux;
mod outcomes;
mod ports;
mod prepare;
#[cfg(target_os = "linux")]
mod qemu;
mod recordings;
mod replay;
mod rig;
#[cfg(target_os = "linux")]
mod service;
mod soak;
mod supervision;
mod support;
mod udev;
#[cfg(target_os = "linux")]
mod usb;
#[cfg(target_os = "linux")]
mod usb_client;
#[cfg(target_os = "linux")]
mod usb_fleet;
#[cfg(target_os = "linux")]
mod usb_mux;
#[cfg(target_os = "linux")]
mod usb_way;
mod virtual_time;
mod worlds;
mod written_down;
