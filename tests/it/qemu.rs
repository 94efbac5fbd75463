//! What runs in the guest of `tests/qemu/run`, on a real kernel with real udevd: our udev rules,
//! Debian's, Debian's usbmuxd, and the shipped binary as a user who is not root.

#![allow(clippy::disallowed_methods)] // a computer of its own
#![allow(clippy::print_stdout)] // its console is the report

use super::support::binary::Running;
use super::support::bus::iphone::IPhone;
use super::support::bus::others;
use super::support::bus::ports::FleetPorts;
use super::support::bus::vhci::Attached;
use super::support::profile;
use enlist::sim::{Fleet, FleetOptions};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whom the guest's `/etc/group` calls enlist.
const GROUP: u32 = 900;
/// Nobody in particular.
const USER: u32 = 1000;
const PHONES: usize = 3;
/// Everything is emulated.
const PATIENCE: Duration = Duration::from_secs(240);
const RULES: &str = "/etc/udev/rules.d";
const HOME: &str = "/srv/technician";
const MAC_SERIAL: &str = "C02XMAC00001";

#[test]
#[ignore = "runs in the guest of tests/qemu/run"]
fn in_the_guest() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let fleet = Fleet::new(FleetOptions { devices: PHONES, ..FleetOptions::default() }).unwrap();
    let backend = fleet.backend();
    let present = runtime.block_on(backend.list()).unwrap();
    let guest = Guest::new();

    say("our rules in place of Debian's");
    install(&["70-enlist.rules", "39-usbmuxd.rules"]);
    let phones: Vec<Attached> = present
        .iter()
        .zip(0..)
        .map(|(attachment, port)| {
            let ports = FleetPorts { backend: Arc::clone(&backend), id: attachment.id };
            let phone = IPhone::new(attachment.udid.as_str()).with_ports(Arc::new(ports));
            Attached::plug(port, phone.with_product_id(attachment.product_id.unwrap_or(0x12a8)))
        })
        .collect();
    let _mac = Attached::plug(PHONES, others::mac(MAC_SERIAL));
    let _recovery = Attached::plug(PHONES + 1, others::recovery(0x1234_5678_9abc, None));
    settle();
    let devices = until_apple_devices(PHONES + 2);
    for device in &devices {
        let (group, mode) = access(device);
        assert_eq!((group, mode), (GROUP, 0o660), "{}", device.display());
    }
    let mac = device_with_serial(&devices, MAC_SERIAL);
    assert_eq!(attribute(&mac, "bConfigurationValue"), "1", "the Mac keeps its network link (7.1)");

    say("a user of the group enrolls over the built-in mux");
    let done = guest.enlist(&["enroll", "--all", "--json", "--mux", "usb", &guest.profile]);
    let bays = outcomes(&done, "enrolled");
    assert!(bays.iter().all(|bay| bay.starts_with("usb-1-") || bay.starts_with("usb-")), "{bays:?}");
    say("a plug is seen while udev still sets the rights");
    let mut watching = guest.watch();
    let udids: BTreeSet<String> = present.iter().map(|attachment| attachment.udid.to_string()).collect();
    watching.until("attached", udids);
    for (phone, attachment) in phones.iter().zip(&present) {
        phone.replug();
        for change in ["detached", "attached"] {
            watching.until(change, BTreeSet::from([attachment.udid.to_string()]));
        }
    }
    watching.end();
    settle();
    let listed = guest.enlist(&["devices", "--json", "--mux", "usb"]);
    assert_eq!(with(&listed, "outcome", "mac-attached").len(), 1, "{listed:?}");
    assert_eq!(with(&listed, "outcome", "recovery-mode").len(), 1, "{listed:?}");

    say("Debian's rules and usbmuxd beside ours");
    std::fs::remove_file(Path::new(RULES).join("39-usbmuxd.rules")).unwrap();
    udevadm(&["control", "--reload"]);
    phones.iter().for_each(Attached::replug);
    settle();
    until_apple_devices(PHONES + 2);
    let usbmuxd = Usbmuxd::start();
    until("usbmuxd to list all", || usbmuxd.listed() == PHONES);
    let done = guest.enlist(&["enroll", "--all", "--json", "--mux", "usbmuxd", &guest.profile]);
    assert_eq!(outcomes(&done, "already-enrolled"), bays, "the same ports, the same bays");
    assert_eq!(usbmuxd.listed(), PHONES, "usbmuxd kept its devices");
    let refused = guest.enlist(&["enroll", "--all", "--json", "--mux", "usb", &guest.profile]);
    println!("GUEST: --mux usb beside usbmuxd: {refused:?}");
    drop(usbmuxd);

    say("doctor");
    for line in guest.enlist(&["doctor", "--json"]) {
        println!("GUEST: {line}");
    }
    println!("GUEST: all good");
}

fn say(words: &str) {
    println!("GUEST: {words}");
}

/// Where the binary works.
struct Guest {
    profile: String,
}

impl Guest {
    fn new() -> Self {
        std::fs::create_dir_all(HOME).unwrap();
        std::os::unix::fs::chown(HOME, Some(USER), Some(GROUP)).unwrap();
        let profile = format!("{HOME}/profile.mobileconfig");
        std::fs::write(&profile, profile::f01()).unwrap();
        Self { profile }
    }

    /// Tells of what comes and goes.
    fn watch(&self) -> Watching {
        let command = self.command(&["devices", "--follow", "--json", "--mux", "usb"]);
        Watching(Running::start(command).within(2 * PATIENCE))
    }

    /// The binary as a member of the group.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/under-test/enlist");
        command.args(arguments).env_clear().env("HOME", HOME).current_dir(HOME);
        command.uid(USER).gid(GROUP).stdin(Stdio::null());
        command
    }

    /// The same, to its end; its lines.
    fn enlist(&self, arguments: &[&str]) -> Vec<Value> {
        let done = self.command(arguments).output().unwrap();
        print!("{}", String::from_utf8_lossy(&done.stderr));
        let text = String::from_utf8(done.stdout).unwrap();
        println!("GUEST: enlist {} -> {}", arguments[0], done.status);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The program that tells of what comes and goes; it says all it told when it is waited for too
/// long.
struct Watching(Running);

impl Watching {
    /// Reads on until each of these phones changed so. One that may not be opened would be told
    /// as something else.
    fn until(&mut self, wanted: &str, mut phones: BTreeSet<String>) {
        while !phones.is_empty() {
            let line = self.0.line().unwrap_or_else(|| panic!("it ended before {phones:?} were {wanted}"));
            let change: Value = serde_json::from_str(&line).unwrap();
            println!("GUEST: {} {} {}", change["change"], change["bay"], change["outcome"]);
            assert!(change["change"] != "unserved" || change["udid"].is_null(), "{change}");
            if change["change"] == wanted {
                phones.remove(change["udid"].as_str().unwrap_or_default());
            }
        }
    }

    /// It gives the devices back before it ends.
    fn end(self) {
        self.0.terminate();
        self.0.finish().exits(0);
    }
}

/// Bays of all phones; each must have come out like this.
#[track_caller]
fn outcomes(done: &[Value], outcome: &str) -> Vec<String> {
    let mut bays: Vec<_> = with(done, "outcome", outcome)
        .into_iter()
        .map(|device| device["bay"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(bays.len(), PHONES, "{done:#?}");
    bays.sort();
    bays
}

fn with<'a>(lines: &'a [Value], key: &str, value: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line[key] == value).collect()
}

fn install(rules: &[&str]) {
    for rule in rules {
        std::fs::copy(Path::new("/under-test").join(rule), Path::new(RULES).join(rule)).unwrap();
    }
    udevadm(&["control", "--reload"]);
}

fn udevadm(arguments: &[&str]) {
    assert!(Command::new("udevadm").args(arguments).status().unwrap().success(), "udevadm {arguments:?}");
}

fn settle() {
    udevadm(&["settle", "--timeout=60"]);
}

/// Folders of Apple's devices in sysfs.
fn until_apple_devices(wanted: usize) -> Vec<PathBuf> {
    until("the devices", || apple_devices().len() == wanted);
    settle();
    apple_devices()
}

fn apple_devices() -> Vec<PathBuf> {
    let all = std::fs::read_dir("/sys/bus/usb/devices").unwrap().map(|entry| entry.unwrap().path());
    all.filter(|device| attribute(device, "idVendor") == "05ac").collect()
}

fn attribute(device: &Path, name: &str) -> String {
    std::fs::read_to_string(device.join(name)).unwrap_or_default().trim().to_owned()
}

fn device_with_serial(devices: &[PathBuf], serial: &str) -> PathBuf {
    devices.iter().find(|device| attribute(device, "serial") == serial).unwrap().clone()
}

/// Group and permissions of a device's node.
fn access(device: &Path) -> (u32, u32) {
    let number = |name: &str| attribute(device, name).parse::<u32>().unwrap();
    let node = format!("/dev/bus/usb/{:03}/{:03}", number("busnum"), number("devnum"));
    let meta = std::fs::metadata(node).unwrap();
    (meta.gid(), meta.permissions().mode() & 0o777)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Debian's usbmuxd as its unit starts it.
struct Usbmuxd(Child);

impl Usbmuxd {
    fn start() -> Self {
        let mut command = Command::new("/usr/sbin/usbmuxd");
        let started = Self(command.args(["--foreground"]).stderr(Stdio::null()).spawn().unwrap());
        until("usbmuxd's socket", || Path::new("/run/usbmuxd").exists());
        started
    }

    fn listed(&self) -> usize {
        let done = Command::new("idevice_id").arg("-l").output().unwrap();
        String::from_utf8_lossy(&done.stdout).lines().count()
    }
}

impl Drop for Usbmuxd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
