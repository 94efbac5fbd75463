//! What the Linux kernel already knows of USB devices, read from its files: no device is
//! opened. On other systems everything here is unknown.
//!
//! May import: base.

use crate::ids::PortPath;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel lists USB devices.
const DEVICES: &str = "/sys/bus/usb/devices";

/// Longest attribute read, in characters: a USB string has at most 126.
const ATTRIBUTE_CHARS: usize = 256;

/// Most processes looked through for one that has a device open.
const PROCESSES: usize = 100_000;

/// The host controller of a bus: `0000:00:14.0`.
pub(super) fn controller(bus: u8) -> Option<String> {
    let root = fs::canonicalize(format!("{DEVICES}/usb{bus}")).ok()?;
    Some(root.parent()?.file_name()?.to_str()?.to_owned())
}

/// The serial string of the device at a port, as the kernel read it when it came.
pub(super) fn serial(port: &PortPath) -> Option<String> {
    attribute(&folder(port)?.join("serial"))
}

/// The configuration in use; an empty file means none (virtual-usb.md, device model).
pub(super) fn configuration(port: &PortPath) -> Option<u8> {
    configuration_of(&fs::read_to_string(folder(port)?.join("bConfigurationValue")).ok()?)
}

/// Name of the driver that holds an interface: `usbfs` for a program.
pub(super) fn driver(port: &PortPath, configuration: u8, interface: u8) -> Option<String> {
    let link = format!("{DEVICES}/{port}:{configuration}.{interface}/driver");
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}

/// Names of the programs that have a device open, our own left out; those of other users are
/// seen only with the right to.
pub(super) fn openers(bus: u8, address: u8) -> Vec<String> {
    let node = PathBuf::from(format!("/dev/bus/usb/{bus:03}/{address:03}"));
    let others = processes().filter(|pid| *pid != std::process::id());
    others.filter(|pid| has_open(*pid, &node)).filter_map(name_of).collect()
}

/// True if a program of this name runs, whoever runs it.
pub(super) fn runs(name: &str) -> bool {
    processes().filter_map(name_of).any(|found| found == name)
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(PROCESSES)
}

fn name_of(pid: u32) -> Option<String> {
    attribute(Path::new(&format!("/proc/{pid}/comm")))
}

fn has_open(pid: u32, node: &Path) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target == node)
}

fn folder(port: &PortPath) -> Option<PathBuf> {
    let name = if port.ports.is_empty() { format!("usb{}", port.bus) } else { port.to_string() };
    let folder = Path::new(DEVICES).join(name);
    folder.is_dir().then_some(folder)
}

fn attribute(path: &Path) -> Option<String> {
    cleaned(&String::from_utf8_lossy(&fs::read(path).ok()?))
}

fn configuration_of(text: &str) -> Option<u8> {
    match text.trim() {
        "" => Some(0),
        number => number.parse().ok(),
    }
}

/// A string of a device without the NULs and blanks around it (protocols.md 0.4), bounded and
/// printable; `None` if nothing is left.
pub(super) fn cleaned(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let bounded: String = text.chars().take(ATTRIBUTE_CHARS).collect();
    Some(crate::wire::printable::printable(&bounded)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_trimmed_bounded_and_printable() {
        assert_eq!(cleaned("00008110001A2B3C4D5E6F70\0\0 \n").as_deref(), Some("00008110001A2B3C4D5E6F70"));
        assert_eq!(cleaned("\0 \n"), None);
        assert_eq!(cleaned("a\u{1b}[2J").as_deref(), Some("a\\u{1b}[2J"));
        assert_eq!(cleaned(&"ü".repeat(900)).map(|t| t.chars().count()), Some(ATTRIBUTE_CHARS));
    }

    #[test]
    fn an_empty_file_means_unconfigured() {
        assert_eq!(configuration_of("\n"), Some(0));
        assert_eq!(configuration_of("4\n"), Some(4));
        assert_eq!(configuration_of("x"), None);
    }
}
