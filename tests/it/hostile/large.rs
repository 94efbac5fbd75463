//! Files of 10 and 64 MiB: no input may take the memory or the time of the computer.

#![allow(clippy::disallowed_methods)] // real processes take real time

use crate::large_files::files;
use crate::support::binary::{Bench, shipped_binary};
use crate::support::profile::signed;
use std::process::Command;
use std::time::{Duration, Instant};

/// All address space the program gets, in KiB: 200 MiB of data and what a debug build maps.
/// The allocator's own reserve for further threads is kept small (`MALLOC_ARENA_MAX`).
const ADDRESS_SPACE: usize = 200 << 10;

/// Far more than it takes, on a slow and busy computer, in a debug build.
const PATIENCE: Duration = Duration::from_secs(10);

const MIB: usize = 1 << 20;

fn each_ends_soon(bytes: usize) {
    let bench = Bench::new();
    for (name, file) in files(bytes, &signed) {
        assert!(file.len() <= bytes && file.len() > bytes - 8192, "{name} has {} bytes", file.len());
        let path = bench.write("large.mobileconfig", &file);
        // Both read a file the same way; once is enough where nothing can be shown.
        let shown = ["data", "one text", "signed data", "shared references"].contains(&name);
        for command in ["lint", "show"].into_iter().take(1 + usize::from(shown)) {
            let begun = Instant::now();
            let done = Command::new("sh")
                .args(["-c", &format!("ulimit -v {ADDRESS_SPACE} && exec \"$@\""), "sh"])
                .arg(shipped_binary())
                .args(["profile", command, "--json", &path])
                .env_clear()
                .env("HOME", bench.path("home"))
                .env("MALLOC_ARENA_MAX", "1")
                .output()
                .unwrap();
            let took = begun.elapsed();
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(took < PATIENCE, "{command} of {name} took {took:?}");
            // Findings, or refused in words; a signal or a panic is neither.
            assert!(matches!(done.status.code(), Some(0 | 1 | 2 | 5)), "{command} of {name}: {done:?}");
            assert!(!said.contains("panicked") && !said.contains("memory"), "{command} of {name}: {said}");
        }
    }
}

/// As large as is read at all.
#[test]
fn ten_mebibytes_of_anything_end_soon() {
    each_ends_soon(10 * MIB);
}

/// Refused by their length, before they are read.
#[test]
fn sixty_four_mebibytes_of_anything_end_soon() {
    each_ends_soon(64 * MIB);
}
