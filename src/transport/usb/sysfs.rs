//! What the Linux kernel already knows of USB devices, read from its files: no device is
//! opened. On other systems everything here is unknown.
//!
//! May import: base.

use super::UsbDevice;
use crate::ids::PortPath;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel lists USB devices.
const DEVICES: &str = "/sys/bus/usb/devices";

/// Where udev notes the devices it is done with.
const UDEV_DONE: &str = "/run/udev/data";

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

/// True once udev has applied its rules to a device: it keeps a note of every device with a
/// node, by the node's number, from then until the device leaves.
pub(super) fn is_done_by_udev(device: &UsbDevice) -> bool {
    let minor = device.bus.checked_sub(1).zip(device.address.checked_sub(1));
    let note = minor.map(|(bus, address)| format!("c189:{}", u32::from(bus) * 128 + u32::from(address)));
    note.is_some_and(|note| Path::new(UDEV_DONE).join(note).exists())
}

/// Name of the driver that holds an interface: `usbfs` for a program.
pub(super) fn driver(port: &PortPath, configuration: u8, interface: u8) -> Option<String> {
    let link = format!("{DEVICES}/{port}:{configuration}.{interface}/driver");
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}

/// What the kernel knows of a port's other half, the same socket at another speed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// It is this port, whose controller is not filled in.
    At(PortPath),
    /// The kernel knows the port and no other half of it.
    None,
    /// The kernel does not tell of ports.
    Unknown,
}

/// The other half of a port, by the kernel's link between them.
pub(super) fn peer(port: &PortPath) -> Peer {
    peer_below(Path::new(DEVICES), port)
}

fn peer_below(devices: &Path, port: &PortPath) -> Peer {
    let Some((number, above)) = port.ports.split_last() else { return Peer::Unknown };
    // `1-4:1.0/1-4-port2`, and `1-0:1.0/usb1-port4` for root hubs.
    let (hub, interface) = match above {
        [] => (format!("usb{}", port.bus), format!("{}-0:1.0", port.bus)),
        above => {
            let hub = PortPath { ports: above.to_vec(), ..port.clone() }.to_string();
            (hub.clone(), format!("{hub}:1.0"))
        }
    };
    let folder = devices.join(interface).join(format!("{hub}-port{number}"));
    if !folder.is_dir() {
        return Peer::Unknown;
    }
    let Ok(link) = fs::read_link(folder.join("peer")) else { return Peer::None };
    let peer = link.file_name().and_then(|name| port_named(name.to_str()?));
    // A link we cannot read is there all the same.
    peer.map_or(Peer::Unknown, Peer::At)
}

/// The port behind `2-4-port2` or `usb2-port4`.
fn port_named(name: &str) -> Option<PortPath> {
    let (hub, number) = name.rsplit_once("-port")?;
    let (bus, above) = match hub.strip_prefix("usb") {
        Some(bus) => (bus, None),
        None => hub.split_once('-').map(|(bus, chain)| (bus, Some(chain)))?,
    };
    let above = above.into_iter().flat_map(|chain| chain.split('.'));
    let ports = above.chain([number]).map(|port| port.parse().ok()).collect::<Option<Vec<u8>>>()?;
    Some(PortPath { controller: None, bus: bus.parse().ok()?, ports })
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

    #[test]
    fn the_other_half_of_a_port_is_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let port = |bus, ports: &[u8]| PortPath { controller: None, bus, ports: ports.to_vec() };
        let show = |port: &str, peer: Option<&str>| {
            let place = folder.path().join(port);
            fs::create_dir_all(&place).unwrap();
            if let Some(peer) = peer {
                std::os::unix::fs::symlink(peer, place.join("peer")).unwrap();
            }
        };
        show("1-4.1:1.0/1-4.1-port2", Some("../../../../../usb2/2-4/2-4.1/2-4.1:1.0/2-4.1-port2"));
        show("1-0:1.0/usb1-port4", Some("../../../usb2/2-0:1.0/usb2-port3"));
        show("1-5:1.0/1-5-port1", None);
        show("1-6:1.0/1-6-port1", Some("../odd"));
        let of = |ports: &[u8]| peer_below(folder.path(), &port(1, ports));
        assert_eq!(of(&[4, 1, 2]), Peer::At(port(2, &[4, 1, 2])));
        assert_eq!(of(&[4]), Peer::At(port(2, &[3])));
        assert_eq!(of(&[5, 1]), Peer::None);
        for unknown in [&[6, 1][..], &[7, 1], &[]] {
            assert_eq!(of(unknown), Peer::Unknown, "{unknown:?}");
        }
    }
}
