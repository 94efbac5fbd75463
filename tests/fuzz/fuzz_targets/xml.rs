//! Any bytes as an XML property list.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enlist::wire::property_list::fuzz::xml(bytes));
