//! A virtual USB bus: unmodified programs (Debian's usbmuxd, libusb, libimobiledevice's tools,
//! our own binary) see hubs and devices that are made here, without any privilege. It is way A
//! of virtual-usb.md; Linux only.
//!
//! # Use
//!
//! ```ignore
//! #[test]
//! fn usbmuxd_lists_a_device() {
//!     on_bus("usb::usbmuxd_lists_a_device", |bus| {
//!         let plugged = bus.fleet(FleetOptions { devices: 1, ..FleetOptions::default() });
//!         let usbmuxd = bus.usbmuxd(&[]);
//!         let listed = bus.command("idevice_id").arg("-l").output().unwrap();
//!     });
//! }
//! ```
//!
//! [`on_bus`] runs the test program again inside new namespaces, where the closure gets the
//! [`Bus`]. Only programs started with [`Bus::command`] or [`Bus::adopt`], and what they start,
//! can open devices; the test itself can list them. A program that is not a test, such as a
//! benchmark, uses [`program_on_bus`].
//!
//! | to plug in | with |
//! |---|---|
//! | the simulator's devices, sixteen on a hub | [`Bus::fleet`]; attach and detach in its fleet |
//! | one phone with [`ports::ECHO`], [`ports::DISCARD`], [`ports::SOURCE`] | [`iphone::IPhone`] |
//! | recovery, DFU, debug USB, a Mac, charging only | [`others`] |
//! | phones whose descriptors or mux lie | [`others::lying`], [`others::Hostile`] |
//! | a hub that switches power otherwise | [`Bus::plug_hub`] |
//!
//! Fleet phones have the ports of [`ports`] too. [`Plugged`] unplugs, replugs, switches power,
//! takes rights away, and makes a device hang. Phones want a tokio runtime around them:
//! `let _inside = bus.runtime().enter();`.
//!
//! A usbmuxd without `-p` lists a device only after it has paired with it, which takes the
//! person of a simulated device a second, and usbmuxd's processor time for each.
//!
//! # How it works
//!
//! [`namespace`] makes the place and its mounts. [`topology`] holds ports and what hangs there;
//! plugging shows a device in [`sysfs`] and sends [`uevent`]s. A [`seccomp`] filter, or
//! [`preload`] where there can be none, hands over a program's opens and ioctls of USB nodes
//! to a [`kernel::Kernel`], which is the topology; [`usbfs`] decodes them for [`node`], the
//! device as the kernel holds it, which passes transfers to a [`device::VirtualDevice`].
//! [`readiness`] makes the files that programs wait on.

#![allow(dead_code)] // tests and benchmarks each use a part
#![allow(unreachable_pub)] // and nothing outside reaches into either
#![allow(clippy::unwrap_used)] // what fails here fails the test
#![allow(clippy::disallowed_methods)] // real processes, real time, a real environment
#![allow(clippy::print_stdout)] // what programs said must be seen
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)] // kernel layouts

pub mod descriptors;
pub mod device;
pub mod fleet;
pub mod hub;
pub mod iphone;
mod kernel;
mod memory;
mod namespace;
mod node;
pub mod others;
mod phone_mux;
pub mod ports;
mod preload;
mod readiness;
mod rights;
mod seccomp;
mod sysfs;
mod topology;
mod uevent;
mod usbfs;
pub mod usbmuxd;
pub mod vhci;

use device::VirtualDevice;
use enlist::sim::{Fleet, FleetOptions};
use fleet::PluggedFleet;
use hub::Hub;
use kernel::Kernel;
pub use namespace::Inside;
pub use node::Cure;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use topology::Topology;
use usbmuxd::Usbmuxd;

/// Time a test on the bus may take, programs included, on a computer that is busy with others.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a test on a bus of its own. `name` is the test's full name: it is run again by it.
/// Where that is impossible it says so loudly and passes; the file that `ENLIST_SKIPPED` names
/// gets a line.
#[track_caller]
pub fn on_bus(name: &str, test: impl FnOnce(&Bus)) {
    test_on_bus(name, Way::Best, PATIENCE, test);
}

/// Like [`on_bus`], for a test that may take longer than others.
#[track_caller]
pub fn on_bus_within(name: &str, patience: Duration, test: impl FnOnce(&Bus)) {
    test_on_bus(name, Way::Best, patience, test);
}

/// Like [`on_bus`], by the way that is the second choice.
#[track_caller]
pub fn on_bus_by_preload(name: &str, test: impl FnOnce(&Bus)) {
    test_on_bus(name, Way::Preload, PATIENCE, test);
}

#[track_caller]
fn test_on_bus(name: &str, way: Way, patience: Duration, test: impl FnOnce(&Bus)) {
    let arguments = ["--exact", name, "--nocapture", "--test-threads=1"];
    let Some(inside) = again(&arguments, patience, way, test) else { return };
    println!("{}", inside.output);
    assert!(inside.success, "failed on the bus; see the output above");
    assert!(inside.output.contains("test result: ok. 1 passed"), "there is no test {name}");
}

/// Runs this program again with other arguments, which must lead it to this call again; there,
/// does `work` on a bus. Gives how that ended; `None` inside, and where it is impossible.
pub fn program_on_bus(arguments: &[&str], patience: Duration, work: impl FnOnce(&Bus)) -> Option<Inside> {
    again(arguments, patience, Way::Best, work)
}

fn again(arguments: &[&str], patience: Duration, way: Way, work: impl FnOnce(&Bus)) -> Option<Inside> {
    if !namespace::is_inside() {
        return namespace::run_inside(arguments, patience).unwrap();
    }
    match Bus::start(way) {
        Ok(bus) => work(&bus),
        Err(error) => namespace::skip(&error.to_string()),
    }
    None
}

/// How programs' calls get here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A seccomp listener, or [`Way::Preload`] where there can be none.
    Best,
    /// A library in front of libc's.
    Preload,
}

/// A computer's USB.
pub struct Bus {
    topology: Arc<Topology>,
    /// What devices do besides answering the bus.
    runtime: Runtime,
    /// The library in front of libc's, where it is needed.
    preload: Option<PathBuf>,
}

impl Bus {
    /// Prepares the place, and a bus with an empty root hub.
    fn start(way: Way) -> std::io::Result<Self> {
        namespace::prepare()?;
        let root = Path::new(namespace::ROOT);
        let topology = Topology::new(root)?;
        topology.add_bus(1)?;
        namespace::show(root)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut bus = Self { topology, runtime, preload: None };
        if way == Way::Preload || bus.command("true").status().is_err() {
            let kernel: Arc<dyn Kernel> = Arc::clone(&bus.topology) as _;
            bus.preload = Some(preload::serve(&kernel)?);
        }
        Ok(bus)
    }

    /// Plugs a device in: `1` is a port of the first bus' root hub, `4.2` one of the hub
    /// there (hubs that are missing come with it), `2-4.2` of the second bus.
    pub fn plug(&self, port: &str, device: impl VirtualDevice + 'static) -> Plugged {
        let name = if port.contains('-') { port.to_owned() } else { format!("1-{port}") };
        plug(&self.topology, &name, Box::new(device));
        Plugged { topology: Arc::clone(&self.topology), name }
    }

    /// Plugs in a hub that is not like the others.
    pub fn plug_hub(&self, port: &str, hub: Hub) {
        self.topology.add_hub(&format!("1-{port}"), hub).unwrap();
    }

    /// Plugs in the simulator's devices, sixteen on a hub: those of `options`, and follows
    /// what attaches and detaches.
    pub fn fleet(&self, options: FleetOptions) -> PluggedFleet {
        let _inside = self.runtime.enter();
        let expected = if options.attached { options.devices } else { 0 };
        let before = self.topology.devices().len();
        let fleet = PluggedFleet::new(&self.topology, self.runtime.handle(), Fleet::new(options).unwrap());
        while self.topology.devices().len() < before + expected {
            std::thread::sleep(Duration::from_millis(1));
        }
        fleet
    }

    /// Takes all devices off the bus and puts them back, as a hub or a controller does that
    /// resets all its ports.
    pub fn replug_all(&self) {
        self.topology.reenumerate_all().unwrap();
    }

    /// Where devices live.
    pub fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Starts Debian's usbmuxd; `arguments` come after its usual ones.
    pub fn usbmuxd(&self, arguments: &[&str]) -> Usbmuxd {
        Usbmuxd::start(self, arguments)
    }

    /// A program that sees the bus, and so does whatever it starts.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.adopt(&mut command);
        command
    }

    /// Lets a program see the bus. What empties the command's environment must come before.
    pub fn adopt(&self, command: &mut Command) {
        // libudev takes only the real sysfs otherwise.
        command.env("SYSTEMD_DEVICE_VERIFY_SYSFS", "0");
        let kernel: Arc<dyn Kernel> = Arc::clone(&self.topology) as _;
        match &self.preload {
            Some(library) => drop(command.env("LD_PRELOAD", library)),
            None => seccomp::watch(command, kernel).unwrap(),
        }
    }
}

/// A device in a port. Dropping this leaves it there.
#[derive(Clone)]
pub struct Plugged {
    topology: Arc<Topology>,
    name: String,
}

impl Plugged {
    /// Linux' name of the port: `1-4.2`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Address on the bus; `None` while it is not on it.
    pub fn address(&self) -> Option<u8> {
        Some(self.topology.node(&self.name)?.place.address)
    }

    /// Pulls the plug.
    pub fn unplug(self) {
        self.topology.unplug(&self.name).unwrap();
    }

    /// Pulls the plug, which the system notices before any transfer failed.
    pub fn unplug_at_once(self) {
        self.topology.unplug_at_once(&self.name).unwrap();
    }

    /// Takes the device off the bus and puts it back.
    pub fn replug(&self) {
        self.topology.reenumerate(&self.name).unwrap();
    }

    /// Switches the port's power, whatever hub it is on.
    pub fn power(&self, on: bool) {
        self.topology.set_power(&self.name, on).unwrap();
    }

    /// The device takes everything and answers nothing any more, until the cure.
    pub fn hang(&self, cure: Cure) {
        self.topology.node(&self.name).into_iter().for_each(|node| node.hang(cure));
    }

    /// Lets programs open it, or gives EACCES, until the next replug.
    pub fn allow(&self, allowed: bool) {
        self.topology.set_access(&self.name, allowed);
    }

    /// Open files on it, of all programs.
    pub fn openers(&self) -> usize {
        self.topology.node(&self.name).map_or(0, |node| node.openers())
    }

    /// Configuration in use.
    pub fn configuration(&self) -> Option<u8> {
        self.topology.node(&self.name)?.configuration()
    }

    /// True while a program holds the interface.
    pub fn is_claimed(&self, interface: u8) -> bool {
        self.topology.node(&self.name).is_some_and(|node| node.is_claimed(interface) == Ok(true))
    }
}

fn plug(topology: &Topology, name: &str, device: Box<dyn VirtualDevice>) {
    let bus = name.split('-').next().and_then(|bus| bus.parse().ok());
    topology.add_bus(bus.unwrap_or_else(|| panic!("{name} is no port"))).unwrap();
    let hubs = name.match_indices('.').map(|(at, _)| &name[..at]);
    hubs.filter(|hub| !topology.is_taken(hub)).for_each(|hub| topology.add_large_hub(hub).unwrap());
    topology.plug(name, device).unwrap();
}
