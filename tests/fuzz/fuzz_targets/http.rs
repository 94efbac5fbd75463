//! See `enlist::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enlist::fuzz::http(bytes));
