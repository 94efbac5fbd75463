//! Another way onto a bus: the kernel's own virtual host controller, which gets transfers over
//! a socket (USB/IP). Needs root and the module `vhci_hcd`; the guest of `tests/qemu/run` has both.
//! Everything above the device is then real: USB core, usbfs, udevd.

use super::descriptors::Descriptors;
use super::device::{Control, In, Out, Setup, Upstream, VirtualDevice};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

const CONTROLLERS: &str = "/sys/devices/platform";
const HEADER: usize = 48;
const SUBMIT: u32 = 1;
const UNLINK: u32 = 2;
const SUBMITTED: u32 = 3;
const UNLINKED: u32 = 4;
const SET_CONFIGURATION: u8 = 9;
/// Transfers of usbfs are far smaller.
const LONGEST: usize = 1 << 20;

/// Ports of a controller's high-speed half.
const PORTS: usize = 8;

/// A device in a port of the kernel's virtual controllers. Dropping it pulls the plug.
pub struct Attached {
    wire: Arc<Wire>,
}

/// The cable: the device, and the socket to the kernel while it is plugged in.
struct Wire {
    port: usize,
    state: Mutex<State>,
}

struct State {
    device: Box<dyn VirtualDevice>,
    descriptors: Descriptors,
    socket: Option<UnixStream>,
    waiting: VecDeque<Transfer>,
}

/// A bulk transfer the kernel waits for.
struct Transfer {
    sequence: u32,
    endpoint: u8,
    length: usize,
    data: Vec<u8>,
}

impl Attached {
    /// Plugs a device in. Port 0 is the first of the first controller.
    pub fn plug(port: usize, device: impl VirtualDevice + 'static) -> Self {
        let state = State {
            descriptors: device.descriptors(),
            device: Box::new(device),
            socket: None,
            waiting: VecDeque::new(),
        };
        let wire = Arc::new(Wire { port, state: Mutex::new(state) });
        wire.connect().unwrap();
        Self { wire }
    }

    /// The plug is out for a moment.
    pub fn replug(&self) {
        self.wire.disconnect();
        self.wire.connect().unwrap();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.wire.disconnect();
    }
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>) -> Result<()> {
        let (ours, kernels) = UnixStream::pair()?;
        {
            let mut state = self.lock();
            state.descriptors = state.device.descriptors();
            state.waiting.clear();
            state.socket = Some(ours.try_clone()?);
            let upstream: Weak<Self> = Arc::downgrade(self);
            state.device.attached(Arc::new(Reins(upstream)));
        }
        let wire = Arc::clone(self);
        std::thread::spawn(move || wire.serve(ours));
        // Port, socket, device number, speed (3 is high).
        let line = format!("{} {} {} 3", self.port % PORTS, kernels.as_raw_fd(), self.port + 1);
        until_free(&controller(self.port).join("attach"), &line)
    }

    fn disconnect(&self) {
        let mut state = self.lock();
        if let Some(socket) = state.socket.take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        state.device.detached();
    }

    /// Carries transfers until the kernel or we let go.
    fn serve(self: &Arc<Self>, mut socket: UnixStream) {
        let mut header = [0; HEADER];
        while socket.read_exact(&mut header).is_ok() {
            let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
            let (command, sequence, is_in, endpoint) = (word(0), word(4), word(12) == 1, word(16) as u8);
            if command == UNLINK {
                self.lock().unlink(sequence, word(20));
                continue;
            }
            assert_eq!(command, SUBMIT, "a request of the kernel");
            let length = word(24) as usize;
            assert!(length <= LONGEST, "a transfer of {length} bytes");
            let mut data = Vec::new();
            if !is_in {
                data.resize(length, 0);
                if socket.read_exact(&mut data).is_err() {
                    break;
                }
            }
            let mut state = self.lock();
            if endpoint == 0 {
                let setup = Setup::parse(header[40..48].try_into().unwrap());
                state.control(sequence, &setup, &data);
            } else {
                let endpoint = if is_in { endpoint | 0x80 } else { endpoint };
                state.waiting.push_back(Transfer { sequence, endpoint, length, data });
            }
            state.work();
        }
    }
}

/// What a device holds of its cable, which holds the device.
struct Reins(Weak<Wire>);

impl Upstream for Reins {
    fn ring(&self) {
        if let Some(wire) = self.0.upgrade() {
            wire.lock().work();
        }
    }

    fn reenumerate(&self) {
        let Some(wire) = self.0.upgrade() else { return };
        // The device's lock is held by who asks.
        std::thread::spawn(move || {
            wire.disconnect();
            wire.connect().unwrap();
        });
    }

    fn power(&self, _port: u8, _on: bool) {}
}

impl State {
    fn control(&mut self, sequence: u32, setup: &Setup, data: &[u8]) {
        if (setup.request_type, setup.request) == (0x00, SET_CONFIGURATION) {
            self.device.configured(Some(setup.value as u8).filter(|value| *value != 0));
            return self.answer(sequence, 0, &[]);
        }
        let own = self.device.control(setup, data);
        match own.or_else(|| self.descriptors.answer(setup)) {
            Some(Control::Data(mut bytes)) => {
                bytes.truncate(usize::from(setup.length));
                let actual = if setup.is_in() { bytes.len() } else { data.len() };
                self.reply(sequence, 0, actual, if setup.is_in() { &bytes } else { &[] });
            }
            // The other standard requests to a device or an interface need no more than a yes.
            None if setup.request_type & 0x60 == 0 && !setup.is_in() => self.answer(sequence, 0, &[]),
            Some(Control::Stall) | None => self.answer(sequence, -libc::EPIPE, &[]),
            Some(Control::Silence) => {}
        }
    }

    /// Moves what can be moved. What a device was told may give it something to say.
    fn work(&mut self) {
        while self.work_once() {}
    }

    /// One round, in order on each endpoint; true if the device took something.
    fn work_once(&mut self) -> bool {
        let mut taken = false;
        let mut stuck = Vec::new();
        for mut transfer in std::mem::take(&mut self.waiting) {
            if stuck.iter().any(|other: &Transfer| other.endpoint == transfer.endpoint) {
                stuck.push(transfer);
                continue;
            }
            let (sequence, length) = (transfer.sequence, transfer.length);
            if transfer.endpoint & 0x80 == 0 {
                match self.device.bulk_out(transfer.endpoint, std::mem::take(&mut transfer.data)) {
                    Out::Taken => {
                        taken = true;
                        self.reply(sequence, 0, length, &[]);
                    }
                    Out::Stall => self.answer(sequence, -libc::EPIPE, &[]),
                    Out::NotNow(data) => stuck.push(Transfer { data, ..transfer }),
                }
            } else {
                match self.device.bulk_in(transfer.endpoint, length) {
                    In::Data(data) => self.answer(sequence, 0, &data),
                    In::Stall => self.answer(sequence, -libc::EPIPE, &[]),
                    In::NotNow => stuck.push(transfer),
                }
            }
        }
        self.waiting = stuck.into();
        taken
    }

    fn unlink(&mut self, sequence: u32, which: u32) {
        let before = self.waiting.len();
        self.waiting.retain(|transfer| transfer.sequence != which);
        let status = if self.waiting.len() < before { -libc::ECONNRESET } else { 0 };
        self.send(UNLINKED, sequence, status, 0, &[]);
    }

    fn answer(&mut self, sequence: u32, status: i32, data: &[u8]) {
        self.reply(sequence, status, data.len(), data);
    }

    fn reply(&mut self, sequence: u32, status: i32, actual: usize, data: &[u8]) {
        self.send(SUBMITTED, sequence, status, actual, data);
    }

    fn send(&mut self, command: u32, sequence: u32, status: i32, actual: usize, data: &[u8]) {
        let mut bytes = Vec::with_capacity(HEADER + data.len());
        let words = [command, sequence, 0, 0, 0, status as u32, actual as u32];
        words.iter().for_each(|word| bytes.extend(word.to_be_bytes()));
        bytes.resize(HEADER, 0);
        bytes.extend(data);
        if let Some(socket) = &mut self.socket
            && socket.write_all(&bytes).is_err()
        {
            self.socket = None;
        }
    }
}

fn controller(port: usize) -> PathBuf {
    Path::new(CONTROLLERS).join(format!("vhci_hcd.{}", port / PORTS))
}

/// The kernel frees a port some time after its socket was closed.
fn until_free(file: &Path, line: &str) -> Result<()> {
    for _ in 0..100 {
        match std::fs::write(file, line) {
            Err(error)
                if error.kind() == ErrorKind::ResourceBusy || error.raw_os_error() == Some(libc::EINVAL) =>
            {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            done => return done,
        }
    }
    std::fs::write(file, line)
}
