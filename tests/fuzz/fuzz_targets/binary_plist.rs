//! Any bytes as a binary property list.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enlist::wire::property_list::fuzz::binary_plist(bytes));
