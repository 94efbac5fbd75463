//! Any bytes as a file that claims to be a profile.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enlist::wire::profile::fuzz::container(bytes));
