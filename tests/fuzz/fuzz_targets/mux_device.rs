//! Any host, and any services, against the device's side of the mux.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enlist::proto::mux::fuzz::device(bytes));
