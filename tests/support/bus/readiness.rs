//! The file a program gets when it opens a USB node: it becomes writable, as usbfs does, when
//! a transfer is done, and shows an error when the device is gone. It is the writing end of a
//! pipe with room for one byte: full means that nothing is done.

#![allow(unsafe_code)] // pipes, epoll: no safe form in the standard library

use super::Errno;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{Error, Read, Result, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Which pipe a file is; the same for all copies of it.
pub type PipeId = u64;

/// Our end.
#[derive(Debug)]
pub struct Readiness {
    reader: std::fs::File,
    id: PipeId,
    ready: bool,
}

impl Readiness {
    /// A pipe that is not ready, and the file for the program.
    pub fn new() -> Result<(Self, OwnedFd)> {
        let mut ends = [0; 2];
        // SAFETY: room for both descriptors, which are then owned here alone.
        let (reader, writer) = unsafe {
            if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) != 0 {
                return Err(Error::last_os_error());
            }
            (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
        };
        // SAFETY: takes a number. One page is one byte's room: a byte fills it.
        if unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } < 0 {
            return Err(Error::last_os_error());
        }
        let mut file = std::fs::File::from(writer);
        file.write_all(&[0])?;
        let reader = std::fs::File::from(reader);
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
