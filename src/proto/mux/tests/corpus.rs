//! Every file of the fuzzing corpus through the entry it was found with, and what fuzzing
//! found, by name.

use super::fuzz;
use proptest::prelude::*;
use std::path::Path;
use std::time::Instant;

fn each(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 10, "{}: {count} files only", folder.display());
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[test]
fn corpus_of_mux_packet() {
    each("mux_packet", fuzz::packet);
}

#[test]
fn corpus_of_mux_host() {
    each("mux_host", |bytes| fuzz::host(bytes, now()));
}

#[test]
fn corpus_of_mux_device() {
    each("mux_device", fuzz::device);
}

proptest! {
    #[test]
    fn any_script_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        fuzz::packet(&bytes);
        fuzz::host(&bytes, now());
        fuzz::device(&bytes);
    }
}
