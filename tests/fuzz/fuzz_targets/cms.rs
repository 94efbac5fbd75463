//! Any bytes as a signed profile.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enlist::wire::profile::fuzz::cms(bytes));
