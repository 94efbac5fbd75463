//! The file a program gets when it opens a USB node: it becomes writable, as usbfs does, when
//! a transfer is done, and shows an error when the device is gone. It is the writing end of a
//! FIFO with room for one byte: full means that nothing is done. Each open has a FIFO of its
//! own, mounted over the node, so that `/proc/PID/fd` tells who has which device open.

#![allow(unsafe_code)] // FIFOs, mounts, epoll: no safe form in the standard library

use super::kernel::Errno;
use super::namespace::{ROOT, bind};
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Error, Read, Result, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Which pipe a file is; the same for all copies of it.
pub type PipeId = u64;

/// Our end. Dropping it shows the program an error, and nobody hears of the program's close
/// any more.
#[derive(Debug)]
pub struct Readiness {
    reader: File,
    id: PipeId,
    ready: bool,
}

impl Readiness {
    /// A FIFO that is not ready, and the file for the program, which has the name of `node`.
    pub fn new(node: &str) -> Result<(Self, OwnedFd)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let fifo = PathBuf::from(format!("{ROOT}/open-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let name = CString::new(fifo.to_string_lossy().as_bytes())?;
        // SAFETY: a NUL-terminated text.
        if unsafe { libc::mkfifo(name.as_ptr(), 0o664) } != 0 {
            return Err(Error::last_os_error());
        }
        let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo)?;
        // SAFETY: takes a number. One page is one byte's room: a byte fills it.
        if unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } < 0 {
            return Err(Error::last_os_error());
        }
        bind(&fifo.to_string_lossy(), node)?;
        let mut file = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(node)?;
        file.write_all(&[0])?;
        let id = reader.metadata()?.ino();
        Ok((Self { reader, id, ready: false }, file.into()))
    }

    pub fn id(&self) -> PipeId {
        self.id
    }

    /// Makes the program's file writable, or not.
    pub fn set(&mut self, ready: bool) {
        if ready == self.ready {
            return;
        }
        // Neither can block or fail while one byte goes in and out in turn; where the program
        // closed its end meanwhile, nobody looks.
        if ready {
            let _ = self.reader.read(&mut [0]);
        } else {
            let path = PathBuf::from(format!("/proc/self/fd/{}", self.reader.as_raw_fd()));
            let writer = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
            let _ = writer.and_then(|mut writer| writer.write_all(&[0]));
        }
        self.ready = ready;
    }
}

/// Takes all FIFOs off a node that nobody uses any more. Not each at its own end: the system
/// takes off the topmost mount whichever is named, so that one of two would stay.
pub fn clear(node: &str) -> Result<()> {
    let name = CString::new(node)?;
    // SAFETY: a NUL-terminated text.
    while unsafe { libc::umount2(name.as_ptr(), libc::MNT_DETACH) } == 0 {}
    match Error::last_os_error() {
        nothing if nothing.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        error => Err(error),
    }
}

/// Which pipe a file of another process is.
pub fn pipe_of(thread: libc::pid_t, fd: u64) -> std::result::Result<PipeId, Errno> {
    let found = std::fs::metadata(format!("/proc/{thread}/fd/{fd}"));
    found.map(|file| file.ino()).map_err(|_| Errno(libc::EBADF))
}

/// What to do when a program closed its file, in whatever way.
type OnClose = Box<dyn FnOnce() + Send>;

/// Tells when programs close their files.
#[derive(Clone)]
pub struct ClosedFiles {
    epoll: Arc<OwnedFd>,
    waiting: Arc<Mutex<HashMap<PipeId, OnClose>>>,
}

impl ClosedFiles {
    /// Starts its thread.
    pub fn start() -> Result<Self> {
        // SAFETY: the descriptor is owned here alone.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let watch = Self { epoll: Arc::new(epoll), waiting: Arc::default() };
        let thread = watch.clone();
        thread::Builder::new().name("usb-closes".into()).spawn(move || thread.run())?;
        Ok(watch)
    }

    /// Does `action` once all copies of the program's file are closed. Dropping the
    /// [`Readiness`] ends the watch.
    pub fn when_closed(&self, file: &Readiness, action: OnClose) -> Result<()> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(file.id, action);
        // No events asked for: the end of the last writer is always reported.
        let mut event = libc::epoll_event { events: libc::EPOLLONESHOT as u32, u64: file.id };
        // SAFETY: reads the structure.
        let added = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, file.reader.as_raw_fd(), &mut event)
        };
        if added == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }

    fn run(&self) {
        loop {
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: room for the one event asked for.
            let got = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), &mut event, 1, -1) };
            if got == 1 {
                let id = event.u64;
                let action = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                action.into_iter().for_each(|act| act());
            }
        }
    }
}
