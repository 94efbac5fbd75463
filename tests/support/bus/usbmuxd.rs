//! Debian's usbmuxd, unmodified, on the bus.

#![allow(unsafe_code)] // signals have no safe form in the standard library

use super::Bus;
use enlist::transport::usbmuxd::{MuxAddress, UsbmuxdBackend};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Its one and only socket; inside only.
pub const SOCKET: &str = "/var/run/usbmuxd";
const PROGRAM: &str = "/usr/sbin/usbmuxd";
const LOG: &str = "/run/usbmuxd.log";
/// Time for its start, and for its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running usbmuxd; it ends with its owner.
pub struct Usbmuxd {
    child: Child,
}

impl Usbmuxd {
    pub(super) fn start(bus: &Bus, arguments: &[&str]) -> Self {
        assert!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing: install usbmuxd");
        let log = std::fs::File::create(LOG).unwrap();
        let mut command = bus.command(PROGRAM);
        command.args(["-f", "-v"]).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut usbmuxd = Self { child: command.spawn().unwrap() };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(SOCKET).is_err() {
            let over = usbmuxd.child.try_wait().unwrap().is_some() || Instant::now() > deadline;
            assert!(!over, "usbmuxd does not start: {}", usbmuxd.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        usbmuxd
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(LOG).unwrap()
    }

    /// The way through it.
    pub fn backend(&self) -> UsbmuxdBackend {
        UsbmuxdBackend::new(MuxAddress::Unix(SOCKET.into()))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Usbmuxd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("usbmuxd's log:\n{}", self.log());
        }
        // SAFETY: takes numbers; the child is not waited for yet, so the number is its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let deadline = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
