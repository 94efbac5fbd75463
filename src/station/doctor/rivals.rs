//! Other programs that want the same devices (1.11), by their names and by what they hold.

use super::Check;
use super::udev::node_of;
use crate::transport::UsbDevice;
use crate::wire::printable::printable;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Processes looked at; a computer with more has other worries.
const PROCESSES: usize = 65_536;

/// Open files of one process looked at.
const FILES: usize = 65_536;

/// A program that is in the way, by its name in `/proc/PID/comm` (cut after 15 letters).
struct Rival {
    comm: &'static str,
    name: &'static str,
    /// It is in the way only if we open the devices ourselves.
    of_bus_only: bool,
    fix: &'static str,
}

const RIVALS: &[Rival] = &[
    Rival {
        comm: "usbmuxd",
        name: "usbmuxd",
        of_bus_only: true,
        fix: "Go through it with --mux usbmuxd, or stop it: sudo systemctl stop usbmuxd",
    },
    Rival {
        comm: "netmuxd",
        name: "netmuxd",
        of_bus_only: false,
        fix: "sudo systemctl stop netmuxd, or: sudo kill PID",
    },
    Rival { comm: "ios", name: "go-ios", of_bus_only: false, fix: "Let it end, or: kill PID" },
    Rival { comm: "go-ios", name: "go-ios", of_bus_only: false, fix: "Let it end, or: kill PID" },
    Rival {
        comm: "gvfs-gphoto2-vo",
        name: "gvfs-gphoto2-volume-monitor",
        of_bus_only: true,
        fix: "systemctl --user mask --now gvfs-gphoto2-volume-monitor",
    },
];

/// Our own name: a station that runs holds the devices it serves, as it should.
const STATION: &str = "enlist";

/// Programs in the way, and who holds an Apple device open.
pub(super) fn examine(root: &Path, devices: &[UsbDevice], over_bus: bool) -> Vec<Check> {
    const NAME: &str = "other programs";
    let own = own(root);
    let mut checks = Vec::new();
    let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (pid, comm) in processes(root) {
        if own.as_ref() == Some(&pid) {
            continue;
        }
        let rival = RIVALS.iter().find(|r| r.comm == comm && (over_bus || !r.of_bus_only));
        let holds = holds(root, &pid, devices);
        if comm == STATION {
            if !holds.is_empty() {
                let found = format!("a station runs (process {pid}) and holds {}", ports_of(&holds));
                checks.push(Check::good(NAME, found));
            }
            continue;
        }
        if let Some(rival) = rival {
            let fix = rival.fix.replace("PID", &pid);
            checks.push(Check::warning(NAME, format!("{} runs (process {pid})", rival.name), fix));
        } else if !holds.is_empty() && (over_bus || comm != "usbmuxd") {
            held.entry(format!("{comm} (process {pid})")).or_default().extend(holds);
        }
    }
    for (who, ports) in held {
        let found = format!("{} holds {}", printable(&who), ports_of(&ports));
        checks.push(Check::warning(NAME, found, "Stop that program, unless it is the mux in use"));
    }
    if checks.is_empty() {
        checks.push(Check::good(NAME, "none that wants the devices"));
    }
    checks
}

fn ports_of(ports: &[String]) -> String {
    let what = if ports.len() == 1 { "the device at port" } else { "the devices at ports" };
    format!("{what} {}", ports.join(", "))
}

/// Our own process number.
fn own(root: &Path) -> Option<String> {
    Some(fs::read_link(root.join("proc/self")).ok()?.to_str()?.to_owned())
}

/// Process number and name of what runs.
fn processes(root: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return Vec::new() };
    let named = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.to_owned();
        let comm = pid.bytes().all(|b| b.is_ascii_digit()).then(|| entry.path().join("comm"))?;
        Some((pid, fs::read_to_string(comm).ok()?.trim_end().to_owned()))
    };
    let mut found: Vec<_> = entries.flatten().take(PROCESSES).filter_map(named).collect();
    found.sort_by_key(|(pid, _)| pid.parse::<u64>().unwrap_or(u64::MAX));
    found
}

/// Who holds a device's interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// A station of ours, in words.
    Station(String),
    /// Another program, in words.
    Other(String),
}

/// Who holds a device's interfaces so that we could not: open is not held, and the kernel's
/// drivers let go. The name is that of a program that has it open; where we may not see that, as
/// with a service's user, that of a station if one runs.
pub(super) fn holder(root: &Path, device: &UsbDevice) -> Option<Holder> {
    let interfaces = format!("{}:", device.port);
    let entries = fs::read_dir(root.join("sys/bus/usb/devices")).ok()?;
    let of_device = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&interfaces);
    let by_program = |entry: fs::DirEntry| {
        fs::read_link(entry.path().join("driver")).is_ok_and(|driver| driver.ends_with("usbfs"))
    };
    if !entries.flatten().filter(of_device).any(by_program) {
        return None;
    }
    let opened = |(pid, _): &(String, String)| !holds(root, pid, std::slice::from_ref(device)).is_empty();
    // Others may have it open to look at it; a mux has it open to hold it.
    let running = processes(root);
    let mut openers: Vec<_> = running.iter().filter(|program| opened(program)).collect();
    if openers.is_empty() {
        let own = own(root);
        openers = running.iter().filter(|(pid, comm)| comm == STATION && own.as_ref() != Some(pid)).collect();
    }
    openers.sort_by_key(|(_, comm)| comm != STATION && !RIVALS.iter().any(|rival| rival.comm == comm));
    Some(match openers.first() {
        Some((pid, comm)) if comm == STATION => Holder::Station(format!("a running station (process {pid})")),
        Some((pid, comm)) => Holder::Other(format!("{} (process {pid})", printable(comm))),
        None => Holder::Other("a program of another user".to_owned()),
    })
}

/// Ports of the devices that a process holds open, as far as we may look.
fn holds(root: &Path, pid: &str, devices: &[UsbDevice]) -> Vec<String> {
    let Ok(files) = fs::read_dir(root.join("proc").join(pid).join("fd")) else { return Vec::new() };
    if devices.is_empty() {
        return Vec::new();
    }
    let open: Vec<_> = files.flatten().take(FILES).filter_map(|f| fs::read_link(f.path()).ok()).collect();
    let held = |device: &&UsbDevice| open.iter().any(|path| *path == Path::new("/").join(node_of(device)));
    devices.iter().filter(held).map(|device| device.port.to_string()).collect()
}
