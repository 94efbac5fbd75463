//! Checks of this computer: what would keep an enrollment from working, and the exact fix.
//!
//! Files of the system are looked for below a root that is an argument, so that a test can
//! be another computer.

mod bus;
mod limits;
mod rivals;
pub mod udev;

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
        None => None,
    };
    // Without a mux that answers, the bus is the way, and needs what a way needs.
    let over_bus = attached.is_none() && (station.mux.is_none() || station.may_use_bus);
    let devices = bus.devices.as_deref().unwrap_or_default();
    if cfg!(target_os = "linux") {
        checks.extend(udev::examine(root, devices, over_bus));
        checks.extend(rivals::examine(root, devices, over_bus));
    }
    let listed = attached.as_deref().unwrap_or_default();
    checks.extend(bus::devices(&bus.devices, listed, station.mux.is_some()));
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
