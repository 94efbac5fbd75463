//! udev rules and rights (Linux): may this user open the devices, and who else is started
//! when one is plugged in.

use super::Check;
use crate::transport::UsbDevice;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of rules, the first that has a file of a name outranks the others.
const FOLDERS: [&str; 4] =
    ["etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d"];

/// The group that our rules give the devices to.
const GROUP: &str = "enlist";

/// What our rules say, and others do not.
const GIVES: &str = "GROUP=\"enlist\"";

/// Rules that live beside usbmuxd.
const COEXIST_FILE: &str = "70-enlist.rules";

/// The distribution's rules, and ours that mask them.
const REPLACE_FILE: &str = "39-usbmuxd.rules";

/// Gives access to the devices and leaves usbmuxd as it is.
pub const COEXIST: &str = "sudo install -m 644 udev/70-enlist.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger";

/// Gives access to the devices and keeps usbmuxd from being started.
pub const REPLACE: &str = "sudo install -m 644 udev/39-usbmuxd.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger && sudo systemctl stop usbmuxd";

/// The rule that starts usbmuxd when a device is plugged in, if one is in force below `root`.
pub fn starts_usbmuxd(root: &Path) -> Option<PathBuf> {
    let rule = in_force(root, REPLACE_FILE)?;
    let text = fs::read_to_string(&rule).ok()?;
    let starts = |line: &str| {
        !line.trim_start().starts_with('#')
            && line.contains("usbmuxd")
            && (line.contains("SYSTEMD_WANTS") || line.contains("RUN"))
    };
    text.lines().any(starts).then_some(rule)
}

fn in_force(root: &Path, name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| root.join(folder).join(name)).find(|path| path.exists())
}

/// Rules, group, rights. `over_bus`: the devices are opened by us and by nobody else.
pub(super) fn examine(root: &Path, devices: &[UsbDevice], over_bus: bool) -> Vec<Check> {
    let user = User::read(root);
    let mut checks = vec![rules(root, user.as_ref(), over_bus)];
    if over_bus {
        checks.extend(group(root, user.as_ref()));
    }
    checks.extend(access(root, devices, over_bus));
    checks
}

fn rules(root: &Path, user: Option<&User>, over_bus: bool) -> Check {
    const NAME: &str = "udev rules";
    let own = [REPLACE_FILE, COEXIST_FILE].into_iter().filter_map(|name| in_force(root, name));
    let own = own.into_iter().find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(GIVES)));
    match (over_bus, starts_usbmuxd(root), own) {
        (true, Some(rule), _) => Check::warning(
            NAME,
            format!("{} starts usbmuxd at the next plug, and both want the devices", rule.display()),
            REPLACE,
        ),
        (_, _, Some(own)) if own.ends_with(REPLACE_FILE) => {
            Check::good(NAME, format!("{}; usbmuxd is not started by a plug", own.display()))
        }
        (_, _, Some(own)) => Check::good(NAME, format!("{}", own.display())),
        (true, None, None) if user.is_some_and(|user| user.uid == 0) => {
            Check::good(NAME, "none of ours, and none is needed: this runs as root")
        }
        (true, None, None) => {
            Check::warning(NAME, "none is installed that gives access to the devices", COEXIST)
        }
        (false, Some(rule), None) => Check::good(NAME, format!("{} starts usbmuxd", rule.display())),
        (false, None, None) => Check::good(NAME, "none of ours, and none is needed with a mux that runs"),
    }
}

fn group(root: &Path, user: Option<&User>) -> Vec<Check> {
    const NAME: &str = "group";
    let groups = fs::read_to_string(root.join("etc/group")).unwrap_or_default();
    let line = groups.lines().find_map(|l| l.strip_prefix(GROUP)?.strip_prefix(':'));
    let Some(user) = user.filter(|user| user.uid != 0) else {
        return vec![Check::good(NAME, "not needed: this runs as root")];
    };
    let Some(line) = line else {
        let fix = format!("sudo groupadd --system {GROUP} && sudo usermod -aG {GROUP} {}", user.name);
        return vec![Check::warning(NAME, format!("there is no group {GROUP}"), fix)];
    };
    let mut fields = line.split(':').skip(1);
    let gid: Option<u32> = fields.next().and_then(|gid| gid.parse().ok());
    let listed = fields.next().unwrap_or_default().split(',').any(|member| member == user.name);
    vec![if gid.is_some_and(|gid| user.groups.contains(&gid)) {
        Check::good(NAME, format!("{} is in {GROUP}", user.name))
    } else if listed {
        Check::warning(
            NAME,
            format!("{} is in {GROUP}, but was logged in before", user.name),
            format!("Log out and in again, or: newgrp {GROUP}"),
        )
    } else {
        Check::warning(
            NAME,
            format!("{} is not in {GROUP}", user.name),
            format!("sudo usermod -aG {GROUP} {}, then log out and in again", user.name),
        )
    }]
}

/// Who runs this.
#[derive(Debug)]
struct User {
    uid: u32,
    name: String,
    groups: Vec<u32>,
}

impl User {
    fn read(root: &Path) -> Option<Self> {
        let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
        let numbers = |key: &str| -> Vec<u32> {
            let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default();
            line.split_whitespace().filter_map(|n| n.parse().ok()).collect()
        };
        // Real and effective come first and second.
        let uid = *numbers("Uid:").get(1)?;
        let groups = [numbers("Groups:"), numbers("Gid:")].concat();
        let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
        let of = |line: &str| {
            let fields: Vec<_> = line.split(':').collect();
            (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0].to_owned())
        };
        let name = passwd.lines().find_map(of).unwrap_or_else(|| uid.to_string());
        Some(Self { uid, name, groups })
    }
}

/// Where the kernel shows a device to programs.
pub(super) fn node_of(device: &UsbDevice) -> PathBuf {
    PathBuf::from(format!("dev/bus/usb/{:03}/{:03}", device.bus, device.address))
}

/// How opening a device turns out. Opening claims nothing.
fn opens(root: &Path, device: &UsbDevice) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().read(true).write(true).open(root.join(node_of(device)))
}

/// True if this user may not open it.
pub(super) fn is_forbidden(root: &Path, device: &UsbDevice) -> bool {
    opens(root, device).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// May we open them? One line for all that we may, one for each that we may not and must.
fn access(root: &Path, devices: &[UsbDevice], over_bus: bool) -> Vec<Check> {
    const NAME: &str = "access";
    let at = |device: &UsbDevice| format!("/{} at port {}", node_of(device).display(), device.port);
    let (mut open, mut forbidden) = (Vec::new(), Vec::new());
    for device in devices {
        if is_forbidden(root, device) {
            forbidden.push(at(device));
        } else if root.join(node_of(device)).exists() {
            open.push(at(device));
        }
    }
    let mut checks = Vec::new();
    match open.as_slice() {
        [] => {}
        [one] => checks.push(Check::good(NAME, one.clone())),
        all if forbidden.is_empty() => {
            checks.push(Check::good(NAME, format!("all {} devices may be opened by this user", all.len())));
        }
        some => checks.push(Check::good(NAME, format!("{} devices may be opened by this user", some.len()))),
    }
    match (over_bus, forbidden.len()) {
        (_, 0) => {}
        (true, _) => {
            let bad = |at: String| Check::bad(NAME, format!("{at} may not be opened by this user"), COEXIST);
            checks.extend(forbidden.into_iter().map(bad));
        }
        // A mux that runs has its own rights; ours matter for what no mux serves.
        (false, 1) => {
            checks
                .push(Check::good(NAME, format!("{} is not ours to open; the mux does that", forbidden[0])));
        }
        (false, n) => {
            checks.push(Check::good(NAME, format!("{n} devices are not ours to open; the mux does that")));
        }
    }
    checks
}
