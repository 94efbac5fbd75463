//! The bus, watched: one thread runs libusb's events, another looks at what changed and
//! publishes the whole of it. Readers compare what is with what they know; so nothing can be
//! lost, doubled or overflow: a device that left and came again has another number.
//!
//! May import: base, rusb.

use super::descriptors::Descriptors;
use super::device::{APPLE, bits_per_second, examine};
use super::sysfs;
use super::{UsbDevice, UsbMode};
use crate::ids::{PortPath, Udid};
use crate::transport::RungError;
use rusb::{Context, Device, Hotplug, HotplugBuilder, Speed, UsbContext};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// First and longest pause between looks where libusb reports no changes (protocols.md 1.4:
/// "poll the device list every 1000 ms"); it doubles while nothing changes.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// Pause after libusb failed to wait for events, so that a broken system costs no processor.
const EVENT_ERROR_PAUSE: Duration = Duration::from_millis(200);

/// A device on the bus, from arrival to leaving.
#[derive(Debug)]
pub(super) struct Seen {
    /// Number of this arrival; never used again.
    pub(super) number: u64,
    /// What the bus showed when it came.
    pub(super) device: UsbDevice,
    /// Its UDID, if its serial string is one (protocols.md 0.4).
    pub(super) udid: Option<Udid>,
    /// Its descriptors.
    pub(super) descriptors: Descriptors,
    /// Speed of its link, bit/s.
    pub(super) speed: u64,
    /// libusb's device; `None` in tests.
    pub(super) handle: Option<Device<Context>>,
}

impl Seen {
    fn new(number: u64, device: UsbDevice, descriptors: Descriptors) -> Self {
        let serial = device.serial.as_deref().filter(|_| device.mode == UsbMode::Normal);
        let udid = serial.and_then(|serial| serial.parse().ok());
        Self { number, device, udid, descriptors, speed: bits_per_second(Speed::Unknown), handle: None }
    }

    /// What cannot be right about it.
    pub(super) fn fault(&self) -> Option<String> {
        self.descriptors.fault()
    }

    /// The device with its configuration as it is now.
    pub(super) fn now(&self) -> UsbDevice {
        let configuration = sysfs::configuration(&self.device.port).or(self.device.configuration);
        UsbDevice { configuration, ..self.device.clone() }
    }

    /// True if a mux may serve it as it stands.
    pub(super) fn is_for_a_mux(&self) -> bool {
        self.device.mode == UsbMode::Normal
    }
}

/// Everything on the bus at one time.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// True as soon as the bus was looked at once.
    pub(super) settled: bool,
    /// Devices by number of their arrival.
    pub(super) devices: BTreeMap<u64, Arc<Seen>>,
}

impl Look {
    /// The device at a port.
    ///
    /// # Errors
    /// [`RungError::NotPossible`] if there is none.
    pub(super) fn at(&self, port: &PortPath) -> Result<Arc<Seen>, RungError> {
        let there = self.devices.values().find(|seen| seen.device.port == *port).cloned();
        there.ok_or_else(|| RungError::NotPossible(format!("nothing hangs at port {port} any more")))
    }
}

/// The watched bus. Its threads end when it is dropped.
#[derive(Debug)]
pub(super) struct Bus {
    context: Context,
    bell: Arc<Bell>,
    looks: watch::Receiver<Arc<Look>>,
    threads: Vec<JoinHandle<()>>,
}

/// Tells the looking thread to look; ringing never blocks.
#[derive(Debug, Default)]
struct Bell {
    stop: AtomicBool,
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Waits until it rings, or for `at_most`.
    fn wait(&self, at_most: Option<Duration>) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rung = match at_most {
            None => self.heard.wait_while(rung, |rung| !*rung).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let waited = self.heard.wait_timeout_while(rung, time, |rung| !*rung);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        *rung = false;
    }
}

/// libusb calls this from the event thread, where nothing may block.
struct Ringer(Arc<Bell>);

impl Hotplug<Context> for Ringer {
    fn device_arrived(&mut self, _: Device<Context>) {
        self.0.ring();
    }

    fn device_left(&mut self, _: Device<Context>) {
        self.0.ring();
    }
}

impl Bus {
    /// Starts watching.
    ///
    /// # Errors
    /// Why there is no bus, in words.
    pub(super) fn start() -> Result<Arc<Self>, String> {
        let words = |e: rusb::Error| format!("libusb finds no USB bus here: {}", super::words::reason(e));
        let context = Context::new().map_err(words)?;
        let bell = Arc::new(Bell::default());
        let (sender, looks) = watch::channel(Arc::default());
        // Built first, so that a failure to start the second thread ends the first.
        let mut bus = Self { context: context.clone(), bell: Arc::clone(&bell), looks, threads: Vec::new() };
        let ringer = HotplugBuilder::new();
        let registration = match rusb::has_hotplug() {
            true => {
                let mut ringer = ringer;
                ringer.vendor_id(APPLE);
                ringer.register::<Context, _>(&context, Box::new(Ringer(Arc::clone(&bell)))).ok()
            }
            false => None,
        };
        let poll = registration.is_none();
        let pumped = (context.clone(), Arc::clone(&bell));
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            spawned.map_err(|e| format!("no thread for the USB bus: {e}"))
        };
        bus.threads.push(spawn(
            "usb-events",
            Box::new(move || {
                pump(&pumped.0, &pumped.1);
                // Only now: while events run, libusb may still call it.
                drop(registration);
            }),
        )?);
        bus.threads.push(spawn("usb-look", Box::new(move || keep_looking(&context, &bell, poll, &sender)))?);
        Ok(Arc::new(bus))
    }

    /// What is on the bus, now and whenever it changes.
    pub(super) fn looks(&self) -> watch::Receiver<Arc<Look>> {
        self.looks.clone()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.bell.stop.store(true, Ordering::Release);
        self.bell.ring();
        for thread in self.threads.drain(..) {
            self.context.interrupt_handle_events();
            // A thread that panicked has ended, too.
            _ = thread.join();
        }
    }
}

fn pump(context: &Context, bell: &Bell) {
    while !bell.stopped() {
        match context.handle_events(None) {
            Ok(()) | Err(rusb::Error::Interrupted) => {}
            Err(error) => {
                tracing::warn!(%error, "waiting for USB events failed");
                std::thread::park_timeout(EVENT_ERROR_PAUSE);
            }
        }
    }
}

fn keep_looking(context: &Context, bell: &Bell, poll: bool, to: &watch::Sender<Arc<Look>>) {
    let mut known = Known::default();
    let mut pause = POLL.0;
    while !bell.stopped() {
        match context.devices() {
            Ok(list) => {
                let changed = known.look(list.iter().filter(is_of_apple), examine_seen);
                pause = if changed { POLL.0 } else { (pause * 2).min(POLL.1) };
                if changed || !to.borrow().settled {
                    to.send_replace(Arc::new(Look { settled: true, devices: known.devices() }));
                }
            }
            Err(error) => tracing::warn!(%error, "the USB bus cannot be looked at"),
        }
        bell.wait(poll.then_some(pause));
    }
}

fn is_of_apple(device: &Device<Context>) -> bool {
    device.device_descriptor().is_ok_and(|d| d.vendor_id() == APPLE)
}

fn examine_seen(number: u64, device: &Device<Context>) -> Option<Seen> {
    let (found, descriptors) = examine(device)?;
    let speed = bits_per_second(device.speed());
    Some(Seen { speed, handle: Some(device.clone()), ..Seen::new(number, found, descriptors) })
}

/// What the looking thread remembers: libusb's devices, held so that none of their identities
/// can be used again, and what was found out about them.
#[derive(Debug)]
struct Known<D> {
    found: Vec<(D, Option<Arc<Seen>>)>,
    last: u64,
}

impl<D> Default for Known<D> {
    fn default() -> Self {
        Self { found: Vec::new(), last: 0 }
    }
}

impl<D: PartialEq> Known<D> {
    /// Takes in what is there now; true if anything came or went.
    fn look(&mut self, present: impl Iterator<Item = D>, examine: impl Fn(u64, &D) -> Option<Seen>) -> bool {
        let mut before = std::mem::take(&mut self.found);
        let mut came = false;
        for device in present {
            if let Some(place) = before.iter().position(|(known, _)| *known == device) {
                self.found.push(before.swap_remove(place));
                continue;
            }
            came = true;
            self.last += 1;
            let seen = examine(self.last, &device).map(Arc::new);
            self.found.push((device, seen));
        }
        came || !before.is_empty()
    }

    fn devices(&self) -> BTreeMap<u64, Arc<Seen>> {
        let seen = self.found.iter().filter_map(|(_, seen)| seen.as_ref());
        seen.map(|seen| (seen.number, Arc::clone(seen))).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A device at a port of bus 1, its address the last port's number.
    pub(in super::super) fn seen(number: u64, port: u8, mode: UsbMode, serial: &str) -> Seen {
        let device = UsbDevice {
            bus: 1,
            address: port,
            port: PortPath { controller: None, bus: 1, ports: vec![port] },
            product_id: 0x12a8,
            mode,
            serial: Some(serial.to_owned()),
            boot: None,
            configuration: Some(4),
        };
        Seen::new(number, device, super::super::descriptors::tests::phone())
    }

    #[test]
    fn leaving_and_coming_between_two_looks_is_another_arrival() {
        let examine =
            |number, id: &u32| (*id != 0).then(|| seen(number, 1, UsbMode::Normal, &format!("{id}")));
        let mut known = Known::default();
        assert!(known.look([10, 0, 20].into_iter(), examine));
        let numbers = |known: &Known<u32>| known.devices().into_keys().collect::<Vec<_>>();
        assert_eq!(numbers(&known), [1, 3], "what does not matter takes a number, too");
        assert!(!known.look([20, 10, 0].into_iter(), examine), "another order is no change");
        assert!(known.look([11, 20, 0].into_iter(), examine));
        assert_eq!(numbers(&known), [3, 4]);
        assert!(known.look([].into_iter(), examine));
        assert!(!known.look([].into_iter(), examine));
        assert!(numbers(&known).is_empty());
    }
}
