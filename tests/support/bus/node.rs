//! A device on the bus as the kernel holds it: configuration, claims, transfers under way, and
//! the programs that have it open (usbfs; virtual-usb.md "usbdevfs ioctls").

use super::descriptors::{Configuration, Descriptors};
use super::device::{Control, In, Out, Setup, Upstream, VirtualDevice};
use super::kernel::Errno;
use super::readiness::{PipeId, Readiness};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A device, shared between the port it hangs on and what the kernel makes of it.
pub type SharedDevice = Arc<Mutex<Box<dyn VirtualDevice>>>;

/// A transfer's type, as usbfs numbers it.
pub const INTERRUPT: u8 = 1;
/// Control.
pub const CONTROL: u8 = 2;
/// Bulk.
pub const BULK: u8 = 3;

/// Flag of an OUT transfer: an empty packet follows if the last one is full.
const ZERO_PACKET: u32 = 0x40;

/// A transfer of a program.
#[derive(Debug)]
pub struct Urb {
    /// Where the program keeps it.
    pub address: u64,
    pub kind: u8,
    pub endpoint: u8,
    pub flags: u32,
    /// Where its data lie, and how many bytes may.
    pub buffer: u64,
    pub length: usize,
    /// Data to the device; once done, data from it.
    pub data: Vec<u8>,
    /// Bytes moved.
    pub actual: usize,
    /// 0, or a negative errno.
    pub status: i32,
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Linux' name: `usb1`, `1-4.2`.
    pub name: String,
    pub bus: u8,
    /// Address on the bus.
    pub address: u8,
    /// Folder of the device below `/sys/devices`.
    pub folder: String,
}

/// Told when what sysfs shows of a device changes.
pub trait Watcher: Send + Sync {
    fn configured(&self, place: &Place, descriptors: &Descriptors, configuration: Option<u8>);
    fn claimed(&self, place: &Place, configuration: u8, interface: u8, claimed: bool);
}

/// The device as the kernel holds it.
pub struct Node {
    pub place: Place,
    pub descriptors: Descriptors,
    watcher: Arc<dyn Watcher>,
    device: SharedDevice,
    state: Mutex<State>,
    locked: AtomicBool,
    upstream: OnceLock<Arc<dyn Upstream>>,
}

#[derive(Default)]
struct State {
    /// It does not answer any more, which the system has not noticed yet.
    failing: bool,
    /// It takes everything and answers nothing, until this.
    hung: Option<Cure>,
    gone: bool,
    configuration: Option<u8>,
    layout: Configuration,
    opened: HashMap<PipeId, Opened>,
    claims: BTreeMap<u8, PipeId>,
    /// Under way, in order, by endpoint.
    pending: BTreeMap<u8, VecDeque<(PipeId, Urb)>>,
    /// Control transfers the device is silent on.
    unanswered: Vec<(PipeId, Urb)>,
}

/// One program's open file.
struct Opened {
    /// `None` once the device is gone, which the program sees as an error of its file.
    readiness: Option<Readiness>,
    done: VecDeque<Urb>,
}

impl Opened {
    fn show(&mut self, ready: bool) {
        if let Some(readiness) = &mut self.readiness {
            readiness.set(ready);
        }
    }
}

/// What brings a device back that hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// A USB reset; the device comes back at another address.
    Reset,
    /// Nothing but its port losing power, by a hub or by hand.
    PowerLoss,
}

type Done<T> = Result<T, Errno>;

impl Node {
    pub fn new(place: Place, device: SharedDevice, watcher: Arc<dyn Watcher>) -> Self {
        let (descriptors, first) = {
            let device = device.lock().unwrap_or_else(PoisonError::into_inner);
            (device.descriptors(), device.first_configuration())
        };
        let node = Self {
            place,
            descriptors,
            watcher,
            device,
            state: Mutex::default(),
            locked: AtomicBool::new(false),
            upstream: OnceLock::new(),
        };
        node.choose(&mut node.lock(), first);
        node
    }

    /// It is on the bus, and may ask for things.
    pub fn attach(&self, upstream: Arc<dyn Upstream>) {
        self.device().attached(Arc::clone(&upstream));
        let _ = self.upstream.set(upstream);
    }

    /// Makes the device hang.
    pub fn hang(&self, cure: Cure) {
        self.lock().hung = Some(cure);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device(&self) -> MutexGuard<'_, Box<dyn VirtualDevice>> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> Done<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.gone { Err(Errno(libc::ENODEV)) } else { Ok(state) }
    }

    /// Configuration in use.
    pub fn configuration(&self) -> Option<u8> {
        self.lock().configuration
    }

    /// True unless rights are missing.
    pub fn is_accessible(&self) -> bool {
        !self.locked.load(Ordering::Relaxed)
    }

    /// Gives the right to open it, or takes it away.
    pub fn set_access(&self, allowed: bool) {
        self.locked.store(!allowed, Ordering::Relaxed);
    }

    /// A program opened it.
    pub fn open(&self, readiness: Readiness) -> Done<()> {
        let id = readiness.id();
        let opened = Opened { readiness: Some(readiness), done: VecDeque::new() };
        self.live()?.opened.insert(id, opened);
        Ok(())
    }

    /// A program closed it: its transfers and claims are void.
    pub fn close(&self, who: PipeId) {
        let mut state = self.lock();
        state.opened.remove(&who);
        state.pending.values_mut().for_each(|queue| queue.retain(|(owner, _)| *owner != who));
        state.unanswered.retain(|(owner, _)| *owner != who);
        let held: Vec<u8> = state.claims.iter().filter(|(_, o)| **o == who).map(|(i, _)| *i).collect();
        held.into_iter().for_each(|interface| self.let_go(&mut state, interface));
    }

    /// Files open on it.
    pub fn openers(&self) -> usize {
        self.lock().opened.len()
    }

    /// Claims an interface.
    pub fn claim(&self, who: PipeId, interface: u8) -> Done<()> {
        let mut state = self.live()?;
        self.claim_in(&mut state, who, interface)
    }

    fn claim_in(&self, state: &mut State, who: PipeId, interface: u8) -> Done<()> {
        if !state.layout.has(interface) {
            return Err(Errno(libc::ENOENT));
        }
        match state.claims.get(&interface) {
            Some(owner) if *owner == who => return Ok(()),
            Some(_) => return Err(Errno(libc::EBUSY)),
            None => state.claims.insert(interface, who),
        };
        self.watcher.claimed(&self.place, state.configuration.unwrap_or(0), interface, true);
        Ok(())
    }

    /// Gives an interface back.
    pub fn release(&self, who: PipeId, interface: u8) -> Done<()> {
        let mut state = self.live()?;
        if state.claims.get(&interface) != Some(&who) {
            return Err(Errno(libc::EINVAL));
        }
        let endpoints: Vec<u8> = state
            .layout
            .interfaces
            .iter()
            .filter(|i| i.number == interface)
            .flat_map(|i| i.endpoints.iter().map(|(address, _)| *address))
            .collect();
        endpoints.into_iter().for_each(|endpoint| state.cancel_endpoint(endpoint, -libc::ENOENT));
        self.let_go(&mut state, interface);
        Ok(())
    }

    fn let_go(&self, state: &mut State, interface: u8) {
        if state.claims.remove(&interface).is_some() && !state.gone {
            self.watcher.claimed(&self.place, state.configuration.unwrap_or(0), interface, false);
        }
    }

    /// True if a program holds the interface.
    pub fn is_claimed(&self, interface: u8) -> Done<bool> {
        Ok(self.live()?.claims.contains_key(&interface))
    }

    /// Chooses a configuration; `None` for none.
    pub fn set_configuration(&self, value: Option<u8>) -> Done<()> {
        let mut state = self.live()?;
        if !state.claims.is_empty() {
            return Err(Errno(libc::EBUSY));
        }
        if value.is_some_and(|v| self.descriptors.configuration(v).is_none()) {
            return Err(Errno(libc::EINVAL));
        }
        state.cancel_all(-libc::ENOENT);
        self.choose(&mut state, value);
        Ok(())
    }

    fn choose(&self, state: &mut State, value: Option<u8>) {
        let value = value.filter(|v| *v != 0);
        state.configuration = value;
        state.layout = value.and_then(|v| self.descriptors.configuration(v)).unwrap_or_default();
        self.device().configured(value);
        self.watcher.configured(&self.place, &self.descriptors, value);
    }

    /// Resets the device. As with a real kernel, whoever holds an interface loses it.
    pub fn reset(&self) -> Done<()> {
        let mut state = self.live()?;
        state.cancel_all(-libc::ENOENT);
        let held: Vec<u8> = state.claims.keys().copied().collect();
        held.into_iter().for_each(|interface| self.let_go(&mut state, interface));
        if state.hung == Some(Cure::Reset) {
            self.upstream.get().into_iter().for_each(|upstream| upstream.reenumerate());
        }
        self.device().reset();
        Ok(())
    }

    /// Starts a transfer.
    pub fn submit(&self, who: PipeId, mut urb: Urb) -> Done<()> {
        let mut state = self.live()?;
        if state.failing {
            state.abandon(who, urb, -libc::EPROTO);
            return Ok(());
        }
        if urb.kind == CONTROL {
            self.control_in(&mut state, who, urb);
            return Ok(());
        }
        let (interface, size) = state.layout.endpoint(urb.endpoint).ok_or(Errno(libc::ENOENT))?;
        self.claim_in(&mut state, who, interface)?;
        let endpoint = urb.endpoint;
        let tail = endpoint & 0x80 == 0
            && urb.flags & ZERO_PACKET != 0
            && size > 0
            && !urb.data.is_empty()
            && urb.data.len().is_multiple_of(size);
        // The empty packet is not told to the program: it has no address.
        let empty = || Urb { address: 0, data: Vec::new(), length: 0, ..copy_of(&urb) };
        let after = tail.then(empty);
        urb.status = 0;
        let queue = state.pending.entry(endpoint).or_default();
        queue.push_back((who, urb));
        queue.extend(after.map(|urb| (who, urb)));
        self.work(&mut state, endpoint);
        if endpoint & 0x80 == 0 {
            // What the device was told may give it something to say.
            self.work_all(&mut state);
        }
        Ok(())
    }

    fn control_in(&self, state: &mut State, who: PipeId, mut urb: Urb) {
        let (head, body) = urb.data.split_at(8.min(urb.data.len()));
        let setup = Setup::parse(head.try_into().unwrap_or_default());
        match self.answer(state, &setup, body) {
            Control::Data(mut data) => {
                data.truncate(usize::from(setup.length));
                urb.actual = if setup.is_in() { data.len() } else { body.len() };
                urb.data = data;
                state.finish(who, urb);
            }
            Control::Stall => {
                urb.data.clear();
                urb.status = -libc::EPIPE;
                state.finish(who, urb);
            }
            Control::Silence => state.unanswered.push((who, urb)),
        }
    }

    fn answer(&self, state: &State, setup: &Setup, data: &[u8]) -> Control {
        if state.hung.is_some() {
            return Control::Silence;
        }
        let own = self.device().control(setup, data);
        own.or_else(|| self.descriptors.answer(setup)).unwrap_or(Control::Stall)
    }

    /// A control transfer, waited for.
    pub fn control(&self, setup: &Setup, data: &[u8]) -> Done<Vec<u8>> {
        let state = self.live()?;
        match self.answer(&state, setup, data) {
            Control::Data(mut bytes) => {
                bytes.truncate(usize::from(setup.length));
                Ok(bytes)
            }
            Control::Stall => Err(Errno(libc::EPIPE)),
            Control::Silence => Err(Errno(libc::ETIMEDOUT)),
        }
    }

    /// Cancels a transfer; it is handed out as such.
    pub fn discard(&self, who: PipeId, address: u64) -> Done<()> {
        let mut state = self.live()?;
        let is_it = |(owner, urb): &(PipeId, Urb)| *owner == who && urb.address == address;
        let mut found = None;
        for queue in state.pending.values_mut() {
            if let Some(at) = queue.iter().position(is_it) {
                found = queue.remove(at);
            }
        }
        if let Some(at) = state.unanswered.iter().position(is_it) {
            found = Some(state.unanswered.swap_remove(at));
        }
        let (who, urb) = found.ok_or(Errno(libc::EINVAL))?;
        state.abandon(who, urb, -libc::ENOENT);
        Ok(())
    }

    /// The next transfer that is done.
    pub fn reap(&self, who: PipeId) -> Done<Urb> {
        let mut state = self.lock();
        let nothing = Errno(if state.gone { libc::ENODEV } else { libc::EAGAIN });
        let opened = state.opened.get_mut(&who).ok_or(Errno(libc::ENODEV))?;
        let urb = opened.done.pop_front();
        // Not before: programs ask until there is nothing, and under load more is there then.
        if urb.is_none() {
            opened.show(false);
        }
        urb.ok_or(nothing)
    }

    /// The device has news: moves what can be moved.
    pub fn ring(&self) {
        self.work_all(&mut self.lock());
    }

    fn work_all(&self, state: &mut State) {
        let endpoints: Vec<u8> = state.pending.keys().copied().collect();
        endpoints.into_iter().for_each(|endpoint| self.work(state, endpoint));
    }

    fn work(&self, state: &mut State, endpoint: u8) {
        let Some(mut queue) = state.pending.remove(&endpoint) else { return };
        let mut device = self.device();
        while let Some((who, mut urb)) = queue.pop_front() {
            let moved = if state.hung.is_some() {
                urb.actual = urb.data.len();
                endpoint & 0x80 == 0
            } else if endpoint & 0x80 == 0 {
                send(&mut **device, &mut urb)
            } else {
                receive(&mut **device, &mut urb)
            };
            if !moved {
                queue.push_front((who, urb));
                break;
            }
            state.finish(who, urb);
        }
        if !queue.is_empty() {
            state.pending.insert(endpoint, queue);
        }
    }

    /// The plug is being pulled: transfers fail, new ones too.
    pub fn fail(&self) {
        let mut state = self.lock();
        state.failing = true;
        state.cancel_all(-libc::EPROTO);
    }

    /// The system noticed that it was unplugged.
    pub fn go(&self) {
        let mut state = self.lock();
        state.gone = true;
        state.cancel_all(-libc::ESHUTDOWN);
        state.claims.clear();
        // What is done can still be fetched.
        state.opened.values_mut().for_each(|opened| opened.readiness = None);
        self.device().detached();
    }
}

fn copy_of(urb: &Urb) -> Urb {
    Urb { data: Vec::new(), ..*urb }
}

/// Hands a transfer to the device; false if it does not take it now.
fn send(device: &mut dyn VirtualDevice, urb: &mut Urb) -> bool {
    let length = urb.data.len();
    match device.bulk_out(urb.endpoint, std::mem::take(&mut urb.data)) {
        Out::Taken => urb.actual = length,
        Out::Stall => urb.status = -libc::EPIPE,
        Out::NotNow(data) => {
            urb.data = data;
            return false;
        }
    }
    true
}

/// Fetches a transfer from the device; false if it has nothing now.
fn receive(device: &mut dyn VirtualDevice, urb: &mut Urb) -> bool {
    match device.bulk_in(urb.endpoint, urb.length) {
        In::Data(data) if data.len() > urb.length => urb.status = -libc::EOVERFLOW,
        In::Data(data) => {
            urb.actual = data.len();
            urb.data = data;
        }
        In::Stall => urb.status = -libc::EPIPE,
        In::NotNow => return false,
    }
    true
}

impl State {
    fn finish(&mut self, who: PipeId, urb: Urb) {
        if urb.address == 0 {
            return;
        }
        if let Some(opened) = self.opened.get_mut(&who) {
            opened.done.push_back(urb);
            opened.show(true);
        }
    }

    fn abandon(&mut self, who: PipeId, mut urb: Urb, status: i32) {
        urb.status = status;
        urb.data.clear();
        self.finish(who, urb);
    }

    fn cancel_endpoint(&mut self, endpoint: u8, status: i32) {
        for (who, urb) in self.pending.remove(&endpoint).unwrap_or_default() {
            self.abandon(who, urb, status);
        }
    }

    fn cancel_all(&mut self, status: i32) {
        let endpoints: Vec<u8> = self.pending.keys().copied().collect();
        endpoints.into_iter().for_each(|endpoint| self.cancel_endpoint(endpoint, status));
        for (who, urb) in std::mem::take(&mut self.unanswered) {
            self.abandon(who, urb, status);
        }
    }
}
