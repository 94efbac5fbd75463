//! Limits of the process.

use super::Check;
use std::fs;
use std::path::Path;

/// Open files a device takes at most: lockdown, two services, the mux requests beside them.
const FILES_A_DEVICE: u64 = 6;

/// Devices a bench may hang on one station; the limit on open files should allow them.
const DEVICES: u64 = 128;

/// The limit on open files; told by Linux only.
pub(super) fn open_files(root: &Path) -> Option<Check> {
    const NAME: &str = "open files";
    let limits = fs::read_to_string(root.join("proc/self/limits")).ok()?;
    let line = limits.lines().find(|l| l.starts_with("Max open files"))?;
    let soft = line.split_whitespace().nth(3)?;
    let needed = DEVICES * FILES_A_DEVICE;
    if soft == "unlimited" {
        return Some(Check::good(NAME, "unlimited"));
    }
    let soft: u64 = soft.parse().ok()?;
    Some(if soft >= needed {
        Check::good(NAME, format!("{soft} allowed"))
    } else {
        let devices = soft / FILES_A_DEVICE;
        Check::warning(
            NAME,
            format!("{soft} allowed, enough for about {devices} devices"),
            format!("ulimit -n {}", needed * 2),
        )
    })
}
