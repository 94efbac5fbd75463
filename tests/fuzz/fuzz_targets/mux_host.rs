//! Any device, and any owner of streams, against the computer's side of the mux.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enlist::proto::mux::fuzz::host(bytes, std::time::Instant::now()));
