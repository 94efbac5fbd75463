//! Checks of this computer: what would keep an enrollment from working, and the exact fix.

use crate::clock::Clock;
use crate::device::trust::StationIdentity;
use crate::journal::{JournalError, JournalErrorKind, JournalReader};
use crate::transport::{Attachment, Backend};
use crate::transport::{UsbDevice, UsbMode};
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

/// Open files a device takes at most: lockdown, two services, the mux requests beside them.
const FILES_A_DEVICE: u64 = 6;

/// Devices a bench may hang on one station; the limit on open files should allow them.
const DEVICES: u64 = 128;

/// What is examined.
#[derive(Debug, Clone, Copy)]
pub struct Station<'a> {
    /// The way to the devices.
    pub backend: &'a dyn Backend,
    /// Where the identity and the journal lie.
    pub state_dir: &'a Path,
    /// The journal's file.
    pub journal: &'a Path,
}

/// Runs all checks. `bus` is what the USB bus shows, or why it cannot be looked at.
pub async fn examine(station: Station<'_>, bus: Result<Vec<UsbDevice>, String>, clock: &Clock) -> Vec<Check> {
    let Station { backend, state_dir, journal } = station;
    let (mux, attached) = mux(backend).await;
    let mut checks = vec![folder(state_dir), identity(state_dir, clock), journal_check(journal), mux];
    checks.extend(on_bus(bus, attached.as_deref().unwrap_or_default()));
    checks.extend(open_files());
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

async fn mux(backend: &dyn Backend) -> (Check, Option<Vec<Attachment>>) {
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
        Err(error) => {
            let fix = if cfg!(target_os = "macos") {
                "Set USBMUXD_SOCKET_ADDRESS only if you mean another mux; the system's always runs: sudo launchctl kickstart system/com.apple.usbmuxd"
            } else {
                "Install and start it: sudo apt install usbmuxd && sudo systemctl start usbmuxd; or set USBMUXD_SOCKET_ADDRESS to where yours listens"
            };
            (Check::bad(NAME, sentence(&error), fix), None)
        }
    }
}

/// What the bus shows and the mux does not.
fn on_bus(bus: Result<Vec<UsbDevice>, String>, attached: &[Attachment]) -> Vec<Check> {
    const NAME: &str = "USB bus";
    let devices = match bus {
        Ok(devices) => devices,
        Err(reason) => {
            let fix = "Harmless with a mux elsewhere; else check the rights on /dev/bus/usb";
            return vec![Check::warning(NAME, format!("cannot be looked at ({reason})"), fix)];
        }
    };
    if devices.is_empty() {
        return vec![Check::good(NAME, "no Apple device on this computer's own bus")];
    }
    let known = |d: &UsbDevice| attached.iter().any(|a| a.location == Some(d.location()));
    let check = |d: UsbDevice| {
        let found = format!("{:04x} at port {}: {}", d.product_id, d.port, d.mode.words());
        match d.mode {
            UsbMode::Normal if known(&d) => Check::good(NAME, found),
            UsbMode::Normal => Check::warning(
                NAME,
                format!("{found}, but the mux does not list it"),
                "Unlock it and plug it in again; then restart the mux: sudo systemctl restart usbmuxd",
            ),
            UsbMode::NoMux => Check::warning(
                NAME,
                found,
                "Unlock the device and allow the accessory, then plug it in again",
            ),
            UsbMode::Recovery => {
                Check::warning(NAME, found, "Restart it to normal mode: irecovery -n, or hold its buttons")
            }
            UsbMode::Mac => Check::good(NAME, format!("{found}; profiles cannot be pushed to it by cable")),
            UsbMode::Dfu | UsbMode::Debug | UsbMode::Unsupported => {
                Check::warning(NAME, found, "Force-restart the device, or restore it with a Mac")
            }
        }
    };
    devices.into_iter().map(check).collect()
}

/// The limit on open files; told by Linux only.
fn open_files() -> Option<Check> {
    const NAME: &str = "open files";
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|l| l.starts_with("Max open files"))?;
    let soft: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    let needed = DEVICES * FILES_A_DEVICE;
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
