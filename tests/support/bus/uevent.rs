//! Events of devices, in both forms programs listen to, through the real netlink of our
//! network namespace (virtual-usb.md A4).

#![allow(unsafe_code)] // netlink sockets have no safe form

use super::descriptors::Descriptors;
use super::node::Place;
use super::sysfs::uevent_text;
use std::io::{Error, Result};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

const KOBJECT_UEVENT: i32 = 15;
/// Group libudev listens to.
const UDEV_GROUP: u32 = 2;
/// Message type of an event given to the kernel to send on.
const EVENT_TYPE: u16 = 0x10;

/// Sends events.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
    sequence: AtomicU64,
}

impl Uevents {
    pub fn new() -> Result<Self> {
        // SAFETY: the descriptor is owned here alone.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, KOBJECT_UEVENT);
            if fd < 0 {
                return Err(Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self { socket, sequence: AtomicU64::new(1) })
    }

    /// Tells all listeners; `action` is `add` or `remove`.
    pub fn send(&self, action: &str, place: &Place, descriptors: &Descriptors) -> Result<()> {
        let path = format!("/devices/{}", place.folder);
        let details = uevent_text(place, descriptors).replace('\n', "\0");
        let from_kernel =
            format!("{action}@{path}\0ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=usb\0{details}");
        self.give(0, &kernel_message(from_kernel.as_bytes()))?;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let details = details.replace("DEVNAME=", "DEVNAME=/dev/");
        let from_udev =
            format!("ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=usb\0SEQNUM={sequence}\0{details}");
        self.give(UDEV_GROUP, &udev_message(from_udev.as_bytes()))
    }

    fn give(&self, group: u32, message: &[u8]) -> Result<()> {
        // SAFETY: plain numbers.
        let mut to: libc::sockaddr_nl = unsafe { zeroed() };
        to.nl_family = libc::AF_NETLINK as u16;
        to.nl_groups = group;
        let (address, length) = ((&raw const to).cast(), size_of::<libc::sockaddr_nl>() as u32);
        // SAFETY: reads `message` and `to`, both with their lengths.
        let sent = unsafe {
            libc::sendto(self.socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0, address, length)
        };
        let error = Error::last_os_error();
        // Nobody listening is fine.
        if sent >= 0 || error.raw_os_error() == Some(libc::ECONNREFUSED) { Ok(()) } else { Err(error) }
    }
}

fn kernel_message(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(EVENT_TYPE.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn udev_message(body: &[u8]) -> Vec<u8> {
    const HEADER: u32 = 40;
    let mut message = Vec::from(*b"libudev\0");
    message.extend(0xfeed_cafe_u32.to_be_bytes());
    message.extend(HEADER.to_ne_bytes());
    message.extend(HEADER.to_ne_bytes());
    message.extend((body.len() as u32).to_ne_bytes());
    message.extend(murmur2(b"usb").to_be_bytes());
    message.extend(murmur2(b"usb_device").to_be_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// MurmurHash2 with seed 0, by which listeners filter.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}
