//! Checks of this computer: what would keep an enrollment from working, and the exact fix.
//!
//! Files of the system are looked for below a root that is an argument, so that a test can
//! be another computer.

mod blueprints;
mod bus;
mod export;
mod limits;
mod rivals;
pub mod udev;

pub use blueprints::blueprints;
pub use export::export;

use crate::clock::Clock;
use crate::device::trust::StationIdentity;
use crate::journal::{JournalError, JournalErrorKind, JournalReader};
use crate::transport::{Attachment, Backend, BusLoad, UsbDevice};
use crate::wire::printable::sentence;
use serde::Serialize;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Good.
    Good,
    /// Works, but should be looked at.
    Warning,
    /// Enrollments will not work.
    Bad,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub check: &'static str,
    /// How it came out.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// The exact fix, if something is wrong.
    pub fix: Option<String>,
}

impl Check {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, health: Health::Good, found: found.into(), fix: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, health: Health::Warning, found: found.into(), fix: Some(fix.into()) }
    }

    fn bad(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, health: Health::Bad, found: found.into(), fix: Some(fix.into()) }
    }
}

/// What is examined.
#[derive(Debug, Clone, Copy)]
pub struct Station<'a> {
    /// The mux in use; `None` if the USB bus itself is the way to the devices.
    pub mux: Option<&'a dyn Backend>,
    /// Without an answer of the mux the USB bus is the way.
    pub may_use_bus: bool,
    /// Where the identity and the journal lie.
    pub state_dir: &'a Path,
    /// The journal's file.
    pub journal: &'a Path,
    /// Where the system's files lie: `/`, but in tests.
    pub root: &'a Path,
}

/// What the USB bus shows, or why it cannot be looked at.
#[derive(Debug, Clone)]
pub struct Bus {
    /// Apple's devices.
    pub devices: Result<Vec<UsbDevice>, String>,
    /// How full each bus is; empty if it is not known.
    pub loads: Vec<BusLoad>,
}

/// Runs all checks.
pub async fn examine(station: Station<'_>, bus: Bus, clock: &Clock) -> Vec<Check> {
    let Station { state_dir, journal, root, .. } = station;
    let mut checks = vec![folder(state_dir), identity(state_dir, clock), journal_check(journal)];
    let attached = match station.mux {
        Some(backend) => {
            let (check, attached) = mux(backend, station.may_use_bus && bus.devices.is_ok()).await;
            checks.push(check);
            attached
        }
        None => {
            checks.push(Check::good("mux", "the station's own, over the USB bus"));
            None
        }
    };
    // Without a mux that answers, the bus is the way, and needs what a way needs.
    let bus_is_way = station.mux.is_none() || station.may_use_bus && bus.devices.is_ok();
    let over_bus = attached.is_none() && bus_is_way;
    let devices = bus.devices.as_deref().unwrap_or_default();
    if cfg!(target_os = "linux") {
        checks.extend(udev::examine(root, devices, over_bus));
        checks.extend(rivals::examine(root, devices, over_bus));
    }
    let listed = attached.as_deref().unwrap_or_default();
    let judge = if over_bus { bus::Judge::Own(root) } else { bus::Judge::Mux(listed) };
    checks.extend(bus::devices(&bus.devices, judge));
    checks.extend(bus::loads(&bus.loads));
    checks.extend(limits::open_files(root));
    checks.push(time(clock));
    checks
}

fn folder(state_dir: &Path) -> Check {
    const NAME: &str = "state folder";
    let shown = state_dir.display();
    match fs::metadata(state_dir) {
        Err(_) => Check::good(NAME, format!("{shown} is not there yet; it is made at the first run")),
        Ok(meta) if !meta.is_dir() => {
            Check::bad(NAME, format!("{shown} is no folder"), format!("mv {shown} {shown}.old"))
        }
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            let mode = meta.permissions().mode() & 0o777;
            Check::warning(
                NAME,
                format!("{shown} is open to others (mode {mode:o})"),
                format!("chmod 700 {shown}"),
            )
        }
        Ok(_) => Check::good(NAME, format!("{shown}")),
    }
}

fn identity(state_dir: &Path, clock: &Clock) -> Check {
    const NAME: &str = "station identity";
    let path = state_dir.join("identity.plist");
    if !path.exists() {
        return Check::good(NAME, "not made yet; it is made at the first run");
    }
    match StationIdentity::load_or_create(&path, clock) {
        Ok(_) => Check::good(NAME, format!("{}", path.display())),
        Err(error) => Check::bad(
            NAME,
            error.to_string(),
            format!(
                "Put a copy back from a backup, or move it away and pair every device anew: mv {0} {0}.old",
                path.display()
            ),
        ),
    }
}

fn journal_check(journal: &Path) -> Check {
    const NAME: &str = "journal";
    if !journal.exists() {
        return Check::good(NAME, "not begun yet; it is begun at the first job");
    }
    let reader = match JournalReader::open(journal) {
        Ok(reader) => reader,
        Err(error) => return Check::bad(NAME, sentence(&error), journal_fix(&error, journal)),
    };
    match reader.check().as_slice() {
        [] => Check::good(NAME, format!("{}, consistent", journal.display())),
        [first, rest @ ..] => Check::bad(
            NAME,
            format!(
                "{}: {first}{}",
                journal.display(),
                if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) }
            ),
            "Keep a copy of the file, and report this with it.".to_owned(),
        ),
    }
}

fn journal_fix(error: &JournalError, journal: &Path) -> String {
    match error.kind() {
        JournalErrorKind::Foreign => {
            format!("Move it away; a new one is begun: mv {0} {0}.old", journal.display())
        }
        JournalErrorKind::OtherVersion => "Use the Enlist that wrote it, or one that is newer".to_owned(),
        _ => format!("Check who owns it: ls -l {}", journal.display()),
    }
}

async fn mux(backend: &dyn Backend, may_do_without: bool) -> (Check, Option<Vec<Attachment>>) {
    const NAME: &str = "mux";
    match backend.list().await {
        Ok(attached) => {
            let what = match attached.len() {
                1 => "one device".to_owned(),
                n => format!("{n} devices"),
            };
            let simulated = if attached.iter().any(|a| a.simulated) { " (simulated)" } else { "" };
            let check =
                Check::good(NAME, format!("{} answers and lists {what}{simulated}", backend.describe()));
            (check, Some(attached))
        }
        Err(error) if may_do_without => {
            let found = format!("{} The USB bus itself is the way to the devices.", sentence(&error));
            (Check::good(NAME, found), None)
        }
        Err(error) => {
            let fix = if cfg!(target_os = "macos") {
                "Set USBMUXD_SOCKET_ADDRESS only if you mean another mux; the system's always runs: sudo launchctl kickstart system/com.apple.usbmuxd"
            } else {
                "Install and start it: sudo apt install usbmuxd && sudo systemctl start usbmuxd; or set USBMUXD_SOCKET_ADDRESS to where yours listens; or go over the USB bus with --mux usb"
            };
            (Check::bad(NAME, sentence(&error), fix), None)
        }
    }
}

/// A clock in the past makes certificates that devices refuse.
fn time(clock: &Clock) -> Check {
    const NAME: &str = "clock";
    let now = clock.now();
    // The year this check was written in.
    if now.strftime("%Y").to_string().as_str() < "2026" {
        return Check::bad(NAME, format!("{now} cannot be right"), "sudo timedatectl set-ntp true");
    }
    Check::good(NAME, format!("{}", now.strftime("%Y-%m-%d %H:%M:%SZ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::unserved::tests::unserved;
    use crate::transport::UnservedReason;
    use crate::transport::UsbMode;
    use std::os::unix::fs::symlink;

    /// Another computer: files below a root.
    struct Computer(tempfile::TempDir);

    impl Computer {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn with(self, path: &str, text: &str) -> Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        /// A program that runs, and the device node it holds.
        fn running(self, pid: u32, comm: &str, node: &str) -> Self {
            let computer = self.with(&format!("proc/{pid}/comm"), &format!("{comm}\n"));
            let fds = computer.0.path().join(format!("proc/{pid}/fd"));
            fs::create_dir_all(&fds).unwrap();
            symlink(node, fds.join("3")).unwrap();
            computer
        }

        /// An interface of the device at port 1-4 that a driver holds.
        fn claimed(self, driver: &str) -> Self {
            let interface = self.0.path().join("sys/bus/usb/devices/1-4:4.1");
            fs::create_dir_all(&interface).unwrap();
            symlink(format!("../../drivers/{driver}"), interface.join("driver")).unwrap();
            self
        }

        /// A user, uid 1000, in these groups.
        fn user(self, groups: &str) -> Self {
            let status =
                format!("Name:\tenlist\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\nGroups:\t{groups}\n");
            self.with("proc/self/status", &status)
                .with("etc/passwd", "root:x:0:0\nkim:x:1000:1000::/x:/bin/sh\n")
        }

        fn shows(&self, over_bus: bool) -> Vec<Check> {
            let devices = [unserved(UsbMode::Normal, None, UnservedReason::NotListed).device];
            let mut checks = udev::examine(self.0.path(), &devices, over_bus);
            checks.extend(rivals::examine(self.0.path(), &devices, over_bus));
            checks
        }
    }

    /// As distributions ship it, shortened.
    const DISTRIBUTION: &str = "# usbmuxd\nSUBSYSTEM==\"usb\", ACTION==\"add\", ATTR{bConfigurationValue}=\"0\", ENV{SYSTEMD_WANTS}=\"usbmuxd.service\"\n";
    const OURS: &str = include_str!("../../../udev/39-usbmuxd.rules");

    #[track_caller]
    fn one(checks: &[Check], name: &str) -> (Health, String, String) {
        let found: Vec<_> = checks.iter().filter(|c| c.check == name).collect();
        assert_eq!(found.len(), 1, "{checks:#?}");
        (found[0].health, found[0].found.clone(), found[0].fix.clone().unwrap_or_default())
    }

    #[test]
    fn a_computer_ready_for_the_bus_is_in_order() {
        let computer = Computer::new()
            .with("usr/lib/udev/rules.d/39-usbmuxd.rules", DISTRIBUTION)
            .with("etc/udev/rules.d/39-usbmuxd.rules", OURS)
            .with("etc/group", "root:x:0:\nenlist:x:990:kim\n")
            .with("dev/bus/usb/001/009", "")
            .running(7, "bash", "/dev/null")
            .user("990 1000");
        let checks = computer.shows(true);
        assert!(checks.iter().all(|c| c.health == Health::Good), "{checks:#?}");
        assert!(one(&checks, "udev rules").1.contains("usbmuxd is not started by a plug"));
        assert_eq!(one(&checks, "group").1, "kim is in enlist");
        assert!(one(&checks, "access").1.contains("/dev/bus/usb/001/009"));
    }

    #[test]
    fn what_is_missing_for_the_bus_is_told_with_the_command() {
        let bare = Computer::new().user("1000");
        let checks = bare.shows(true);
        let (health, _, fix) = one(&checks, "udev rules");
        assert_eq!((health, fix.as_str()), (Health::Warning, udev::COEXIST));
        assert!(one(&checks, "group").2.contains("groupadd --system enlist && sudo usermod -aG enlist kim"));
        let member = |line: &str| {
            let computer = Computer::new().with("etc/group", line).user("1000");
            one(&computer.shows(true), "group").2
        };
        assert!(member("enlist:x:990:\n").starts_with("sudo usermod -aG enlist kim"));
        assert!(member("enlist:x:990:anna,kim\n").starts_with("Log out"));
        let started = Computer::new().with("lib/udev/rules.d/39-usbmuxd.rules", DISTRIBUTION).user("1000");
        assert_eq!(one(&started.shows(true), "udev rules").2, udev::REPLACE);
        assert!(udev::starts_usbmuxd(started.0.path()).is_some());
        // With a mux that runs none of it is missing.
        let checks = started.shows(false);
        assert!(checks.iter().all(|c| c.health == Health::Good), "{checks:#?}");
    }

    #[test]
    fn programs_that_want_the_devices_are_named_with_their_end() {
        let computer = Computer::new()
            .running(11, "usbmuxd", "/dev/bus/usb/001/009")
            .running(12, "gvfs-gphoto2-vo", "/dev/null")
            .running(13, "netmuxd", "/dev/null")
            .running(14, "ios", "/dev/null")
            .running(15, "weird", "/dev/bus/usb/001/009")
            .running(16, "other", "/dev/bus/usb/001/010")
            .user("1000");
        let found = |over_bus| -> Vec<_> {
            let checks = computer.shows(over_bus).into_iter().filter(|c| c.check == "other programs");
            checks.map(|c| (c.found, c.fix.unwrap_or_default())).collect()
        };
        let with_mux = found(false);
        let words: Vec<_> = with_mux.iter().map(|(found, _)| found.as_str()).collect();
        assert_eq!(
            words,
            [
                "netmuxd runs (process 13)",
                "go-ios runs (process 14)",
                "weird (process 15) holds the device at port 1-4"
            ]
        );
        let over_bus = found(true);
        assert_eq!(over_bus.len(), 5);
        assert!(over_bus[0].1.contains("systemctl stop usbmuxd"));
        assert!(over_bus[1].1.contains("mask --now gvfs-gphoto2-volume-monitor"));
        assert!(over_bus[3].1.contains("kill 14"));
    }

    #[test]
    fn a_device_is_judged_by_what_our_own_mux_could_do_with_it() {
        let device = unserved(UsbMode::Normal, None, UnservedReason::NotListed).device;
        let judged = |computer: &Computer| {
            bus::devices(&Ok(vec![device.clone()]), bus::Judge::Own(computer.0.path())).remove(0)
        };
        let bare = Computer::new().with("dev/bus/usb/001/009", "");
        assert_eq!(judged(&bare).health, Health::Good, "{:?}", judged(&bare));
        let held = bare.running(15, "weird", "/dev/bus/usb/001/009");
        assert_eq!(judged(&held).health, Health::Good, "open, but not claimed");
        let held = held.claimed("usbfs");
        let check = judged(&held);
        assert!(check.found.ends_with("normal, but weird (process 15) holds it"), "{check:?}");
        let hidden = Computer::new().with("dev/bus/usb/001/009", "").claimed("usbfs");
        assert!(judged(&hidden).found.contains("a program of another user holds it"));
        let station = Computer::new().running(15, "enlist", "/dev/bus/usb/001/009").claimed("usbfs");
        let check = judged(&station);
        assert_eq!(check.health, Health::Good, "{check:?}");
        assert!(check.found.ends_with("normal; a running station (process 15) holds it"), "{check:?}");
        let service = Computer::new().with("proc/15/comm", "enlist\n").claimed("usbfs");
        assert!(
            judged(&service).found.ends_with("a running station (process 15) holds it"),
            "of another user"
        );
        let others = one(&station.user("1000").shows(true), "other programs");
        assert_eq!(others.1, "a station runs (process 15) and holds the device at port 1-4");
        let kernel = Computer::new().with("dev/bus/usb/001/009", "").claimed("ipheth");
        assert_eq!(judged(&kernel).health, Health::Good, "the kernel's drivers are asked to let go");
        // A mux is to serve it, and does not.
        let by_mux = bus::devices(&Ok(vec![device.clone()]), bus::Judge::Mux(&[])).remove(0);
        assert!(by_mux.found.contains("does not list it"));
    }

    #[test]
    fn one_line_says_that_all_devices_may_be_opened() {
        let device = unserved(UsbMode::Normal, None, UnservedReason::NotListed).device;
        let devices: Vec<_> = (1..=3).map(|address| UsbDevice { address, ..device.clone() }).collect();
        let computer = Computer::new()
            .with("dev/bus/usb/001/001", "")
            .with("dev/bus/usb/001/002", "")
            .with("dev/bus/usb/001/003", "");
        let checks = udev::examine(computer.0.path(), &devices, true);
        assert_eq!(one(&checks, "access").1, "all 3 devices may be opened by this user");
    }

    #[test]
    fn the_limit_on_open_files_is_read() {
        let limits = |line: &str| Computer::new().with("proc/self/limits", &format!("Limit\n{line}\n"));
        let check = |line: &str| limits::open_files(limits(line).0.path()).unwrap();
        assert_eq!(
            check("Max open files            1024                 4096                 files").health,
            Health::Good
        );
        let few = check("Max open files            256                  4096                 files");
        assert_eq!((few.health, few.fix.as_deref()), (Health::Warning, Some("ulimit -n 1536")));
        assert_eq!(
            check("Max open files            unlimited            unlimited            files").health,
            Health::Good
        );
        assert!(limits::open_files(Computer::new().0.path()).is_none());
    }
}
