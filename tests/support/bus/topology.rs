//! What hangs where: buses, hubs, ports; plugging and unplugging as the kernel does it.

use super::device::{Upstream, VirtualDevice};
use super::hub::{Connected, Hub, Switching};
use super::kernel::{Answer, Errno, Kernel};
use super::memory::Memory;
use super::node::{Node, Place, SharedDevice};
use super::readiness::{self, ClosedFiles, PipeId, Readiness, pipe_of};
use super::sysfs::Sysfs;
use super::uevent::Uevents;
use super::usbfs;
use std::collections::{BTreeMap, HashMap};
use std::io::Result;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread;
use std::time::Duration;

/// Ports of a root hub.
const ROOT_PORTS: u8 = 16;
/// Highest address on a bus.
const LAST_ADDRESS: u8 = 127;
/// Time between the first transfer that fails at an unplug and the system's notice of it, as
/// long as a hub takes to report. A usbmuxd that cannot submit a transfer again before it saw
/// one fail hangs for ever.
const NOTICE: Duration = Duration::from_millis(20);
/// Where nodes are.
const NODES: &str = "/dev/bus/usb/";

/// All buses of the computer.
pub struct Topology {
    sysfs: Sysfs,
    uevents: Uevents,
    closed: ClosedFiles,
    inner: Mutex<Inner>,
    opened: Arc<RwLock<HashMap<PipeId, Arc<Node>>>>,
    jobs: Sender<Job>,
}

#[derive(Default)]
struct Inner {
    last_address: BTreeMap<u8, u8>,
    ports: BTreeMap<String, Port>,
    hubs: BTreeMap<String, Connected>,
}

/// A port something hangs in.
struct Port {
    powered: bool,
    device: SharedDevice,
    node: Option<Arc<Node>>,
}

/// What a device asked for while it had the bus' attention; done right after.
enum Job {
    Reenumerate(Weak<Node>),
    Power { hub: String, port: u8, on: bool },
}

impl Topology {
    /// No bus yet. `root` is the folder that is mounted as parts of /sys and /dev.
    pub fn new(root: &Path) -> Result<Arc<Self>> {
        let (jobs, todo) = channel();
        let topology = Arc::new(Self {
            sysfs: Sysfs::new(root)?,
            uevents: Uevents::new()?,
            closed: ClosedFiles::start()?,
            inner: Mutex::default(),
            opened: Arc::default(),
            jobs,
        });
        let weak = Arc::downgrade(&topology);
        thread::Builder::new().name("usb-jobs".into()).spawn(move || work(&weak, &todo))?;
        Ok(topology)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a bus with its root hub, if it is not there.
    pub fn add_bus(&self, bus: u8) -> Result<()> {
        let name = format!("usb{bus}");
        if self.lock().ports.contains_key(&name) {
            return Ok(());
        }
        self.add_hub(&name, Hub::root(ROOT_PORTS))
    }

    /// Plugs a hub in.
    pub fn add_hub(&self, name: &str, hub: Hub) -> Result<()> {
        self.lock().hubs.insert(name.to_owned(), hub.connected());
        self.plug(name, Box::new(hub))
    }

    /// A hub with as many ports as USB hubs have at most in practice.
    pub fn add_large_hub(&self, name: &str) -> Result<()> {
        self.add_hub(name, Hub::new(ROOT_PORTS, Switching::PerPort))
    }

    /// True if something hangs there.
    pub fn is_taken(&self, name: &str) -> bool {
        self.lock().ports.contains_key(name)
    }

    /// Plugs a device into a free port.
    pub fn plug(&self, name: &str, device: Box<dyn VirtualDevice>) -> Result<()> {
        let mut inner = self.lock();
        assert!(!inner.ports.contains_key(name), "something hangs at {name}");
        if let Some(parent) = parent(name) {
            assert!(inner.hubs.contains_key(&parent), "{name} needs a hub at {parent}");
        }
        let device = Arc::new(Mutex::new(device));
        inner.ports.insert(name.to_owned(), Port { powered: true, device, node: None });
        inner.show_connected(name, true);
        self.enumerate(&mut inner, name)
    }

    /// Pulls the plug; what hangs on a hub goes with it and is forgotten.
    pub fn unplug(&self, name: &str) -> Result<()> {
        self.fail(|port| port == name || is_below(port, name));
        self.unplug_at_once(name)
    }

    /// Transfers of these devices fail from now on.
    fn fail(&self, is_meant: impl Fn(&str) -> bool) {
        let inner = self.lock();
        let dying = inner.ports.iter().filter(|(port, _)| is_meant(port));
        let nodes: Vec<_> = dying.filter_map(|(_, port)| port.node.clone()).collect();
        drop(inner);
        nodes.iter().for_each(|node| node.fail());
        if !nodes.is_empty() {
            thread::sleep(NOTICE);
        }
    }

    /// Like [`Self::unplug`], but the system notices before any transfer failed.
    pub fn unplug_at_once(&self, name: &str) -> Result<()> {
        let mut inner = self.lock();
        self.vanish(&mut inner, name)?;
        inner.show_connected(name, false);
        inner.ports.retain(|port, _| port != name && !is_below(port, name));
        inner.hubs.retain(|hub, _| hub != name && !is_below(hub, name));
        Ok(())
    }

    /// The device at a port, if it is on the bus.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.lock().ports.get(name)?.node.clone()
    }

    /// Names of all ports with something in them that is no hub.
    pub fn devices(&self) -> Vec<String> {
        let inner = self.lock();
        inner.ports.keys().filter(|name| !inner.hubs.contains_key(*name)).cloned().collect()
    }

    /// Switches power of a port.
    pub fn set_power(&self, name: &str, on: bool) -> Result<()> {
        if !on {
            self.fail(|port| port == name || is_below(port, name));
        }
        let mut inner = self.lock();
        let Some(port) = inner.ports.get_mut(name) else { return Ok(()) };
        port.powered = on;
        if on { self.enumerate(&mut inner, name) } else { self.vanish(&mut inner, name) }
    }

    /// Takes a device off the bus and puts it back, at another address.
    pub fn reenumerate(&self, name: &str) -> Result<()> {
        self.fail(|port| port == name || is_below(port, name));
        let mut inner = self.lock();
        self.vanish(&mut inner, name)?;
        self.enumerate(&mut inner, name)
    }

    /// Like [`Self::reenumerate`], for all that are no hubs.
    pub fn reenumerate_all(&self) -> Result<()> {
        let devices = self.devices();
        self.fail(|port| devices.iter().any(|device| device == port));
        let mut inner = self.lock();
        devices.iter().try_for_each(|device| self.vanish(&mut inner, device))?;
        devices.iter().try_for_each(|device| self.enumerate(&mut inner, device))
    }

    /// Lets programs open the node, or refuses them as missing rights do.
    pub fn set_access(&self, name: &str, allowed: bool) {
        self.node(name).iter().for_each(|node| node.set_access(allowed));
    }

    /// Enumerates a device, and those behind it if it is a hub.
    fn enumerate(&self, inner: &mut Inner, name: &str) -> Result<()> {
        let parent_is_up = parent(name).is_none_or(|p| inner.ports.get(&p).is_some_and(|p| p.node.is_some()));
        let Some(port) = inner.ports.get(name) else { return Ok(()) };
        if !port.powered || port.node.is_some() || !parent_is_up {
            return Ok(());
        }
        let device = Arc::clone(&port.device);
        let place = inner.place(name);
        let node = Arc::new(Node::new(place, device, Arc::new(self.sysfs.clone())));
        self.sysfs.add(&node.place, &node.descriptors, node.configuration())?;
        let wire = Wire { node: Arc::downgrade(&node), name: name.to_owned(), jobs: self.jobs.clone() };
        node.attach(Arc::new(wire));
        if let Some(port) = inner.ports.get_mut(name) {
            port.node = Some(Arc::clone(&node));
        }
        self.uevents.send("add", &node.place, &node.descriptors)?;
        std::fs::write(node.place.udev_note(), "I:1\n")?;
        for child in inner.children(name) {
            self.enumerate(inner, &child)?;
        }
        Ok(())
    }

    /// Takes a device off the bus, those behind it first.
    fn vanish(&self, inner: &mut Inner, name: &str) -> Result<()> {
        for child in inner.children(name) {
            self.vanish(inner, &child)?;
            // A hub that comes back gives power to all its ports.
            if let Some(port) = inner.ports.get_mut(&child) {
                port.powered = true;
            }
        }
        let Some(node) = inner.ports.get_mut(name).and_then(|port| port.node.take()) else { return Ok(()) };
        node.go();
        std::fs::remove_file(node.place.udev_note())?;
        readiness::clear(&format!("/dev/{}", node.place.node_name()))?;
        self.sysfs.remove(&node.place)?;
        self.uevents.send("remove", &node.place, &node.descriptors)
    }

    /// Opens a node. The lock keeps it from being unplugged at the same time.
    fn open_node(&self, path: &str) -> std::result::Result<OwnedFd, Errno> {
        let inner = self.lock();
        let node = inner.node_at(path).ok_or(Errno(libc::ENOENT))?;
        if !node.is_accessible() {
            return Err(Errno(libc::EACCES));
        }
        let broken = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(libc::EIO));
        let (readiness, file) = Readiness::new(path).map_err(broken)?;
        let id = readiness.id();
        let opened = Arc::clone(&self.opened);
        let forget = move || {
            let closed = opened.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
            closed.into_iter().for_each(|node| node.close(id));
        };
        self.closed.when_closed(&readiness, Box::new(forget)).map_err(broken)?;
        self.opened.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&node));
        node.open(readiness)?;
        Ok(file)
    }

    fn opened(&self, who: PipeId) -> Option<Arc<Node>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner).get(&who).cloned()
    }
}

impl Kernel for Topology {
    fn open(&self, thread: libc::pid_t, path: u64) -> Answer {
        let Ok(path) = Memory::of(thread).text(path, NODES.len() + 16) else { return Answer::Kernel };
        let Some(path) = std::str::from_utf8(&path).ok().filter(|path| path.starts_with(NODES)) else {
            return Answer::Kernel;
        };
        match self.open_node(path) {
            Ok(file) => Answer::File(file),
            Err(error) => Answer::Error(error),
        }
    }

    fn ioctl(&self, thread: libc::pid_t, fd: u64, request: u32, argument: u64) -> Answer {
        let who = match pipe_of(thread, fd) {
            Ok(who) => who,
            Err(error) => return Answer::Error(error),
        };
        let Some(node) = self.opened(who) else { return Answer::Kernel };
        match usbfs::call(&node, who, Memory::of(thread), request, argument) {
            Ok(value) => Answer::Value(value),
            Err(error) => Answer::Error(error),
        }
    }
}

impl Inner {
    fn node_at(&self, path: &str) -> Option<Arc<Node>> {
        let (bus, address) = path.strip_prefix(NODES)?.split_once('/')?;
        let at: (u8, u8) = (bus.parse().ok()?, address.parse().ok()?);
        let mut nodes = self.ports.values().filter_map(|port| port.node.as_ref());
        nodes.find(|node| (node.place.bus, node.place.address) == at).cloned()
    }

    /// The next free address on the bus, as the kernel gives them: upwards, then from the start.
    fn place(&mut self, name: &str) -> Place {
        let bus = bus_of(name);
        let taken: Vec<u8> = self
            .ports
            .values()
            .filter_map(|port| port.node.as_ref())
            .filter(|node| node.place.bus == bus)
            .map(|node| node.place.address)
            .collect();
        let last = self.last_address.get(&bus).copied().unwrap_or(0);
        let upwards = (last + 1..=LAST_ADDRESS).chain(1..=last);
        let address = upwards.into_iter().find(|a| !taken.contains(a));
        let address = address.unwrap_or_else(|| panic!("bus {bus} is full"));
        self.last_address.insert(bus, address);
        Place { name: name.to_owned(), bus, address, folder: folder_of(name) }
    }

    fn children(&self, name: &str) -> Vec<String> {
        self.ports.keys().filter(|port| parent(port).as_deref() == Some(name)).cloned().collect()
    }

    fn show_connected(&self, name: &str, connected: bool) {
        let Some(hub) = parent(name).and_then(|parent| self.hubs.get(&parent)) else { return };
        let port = name.rsplit(['.', '-']).next().and_then(|port| port.parse().ok());
        if let Some(port) = port {
            hub.lock().unwrap_or_else(PoisonError::into_inner).insert(port, connected);
        }
    }
}

/// The hub something hangs on; `None` for a root hub.
fn parent(name: &str) -> Option<String> {
    match name.rsplit_once('.') {
        Some((hub, _)) => Some(hub.to_owned()),
        None => name.split_once('-').map(|(bus, _)| format!("usb{bus}")),
    }
}

fn bus_of(name: &str) -> u8 {
    let number = name.strip_prefix("usb").or_else(|| name.split_once('-').map(|(bus, _)| bus));
    number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{name} names no bus"))
}

fn folder_of(name: &str) -> String {
    match parent(name) {
        Some(parent) => format!("{}/{name}", folder_of(&parent)),
        None => format!("pci0000:00/0000:00:{:02x}.0/{name}", 0x13 + bus_of(name)),
    }
}

/// True if the port is somewhere behind the hub.
fn is_below(port: &str, hub: &str) -> bool {
    std::iter::successors(parent(port), |p| parent(p)).any(|p| p == hub)
}

/// The port as a device sees it.
struct Wire {
    node: Weak<Node>,
    name: String,
    jobs: Sender<Job>,
}

/// Once the bus is gone nobody takes jobs; that is fine.
impl Upstream for Wire {
    fn ring(&self) {
        if let Some(node) = self.node.upgrade() {
            node.ring();
        }
    }

    fn reenumerate(&self) {
        let _ = self.jobs.send(Job::Reenumerate(Weak::clone(&self.node)));
    }

    fn power(&self, port: u8, on: bool) {
        let _ = self.jobs.send(Job::Power { hub: self.name.clone(), port, on });
    }
}

fn work(topology: &Weak<Topology>, todo: &Receiver<Job>) {
    while let Ok(job) = todo.recv() {
        let Some(topology) = topology.upgrade() else { return };
        let done = match job {
            Job::Reenumerate(node) => match node.upgrade() {
                Some(node) => topology.reenumerate(&node.place.name),
                None => Ok(()),
            },
            Job::Power { hub, port, on } => {
                let dot = if hub.starts_with("usb") { "-" } else { "." };
                topology.set_power(&format!("{}{dot}{port}", hub.trim_start_matches("usb")), on)
            }
        };
        done.unwrap_or_else(|error| panic!("the bus: {error}"));
    }
}
