//! Any bytes as mux packets.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enlist::proto::mux::fuzz::packet(bytes));
