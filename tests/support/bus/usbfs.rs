//! The ioctls of usbfs: numbers, layouts of x86-64 and aarch64, and which part of
//! [`Node`] does them (virtual-usb.md "usbdevfs ioctls").

use super::device::Setup;
use super::kernel::Errno;
use super::memory::Memory;
use super::node::{BULK, CONTROL, INTERRUPT, Node, Urb};
use super::readiness::PipeId;

/// What libusb may rely on: zero packet, no limit of size, scatter-gather, reap after
/// disconnect. No mmap: the memory would be ours.
const CAPABILITIES: u32 = 0x1d;

/// Longest transfer, in bytes: what a kernel allows by default for all of them together.
const LONGEST_TRANSFER: usize = 16 << 20;

/// Offsets in `struct usbdevfs_urb`.
mod urb {
    pub(super) const SIZE: usize = 56;
    pub(super) const STATUS: u64 = 4;
    pub(super) const ACTUAL: u64 = 28;
}

/// Does an ioctl of `who`; gives what the call returns.
pub fn call(node: &Node, who: PipeId, memory: Memory, request: u32, argument: u64) -> Result<i64, Errno> {
    let number = || memory.array::<4>(argument).map(u32::from_le_bytes);
    let small = |number: u32| u8::try_from(number).map_err(|_| Errno(libc::ENOENT));
    match request & 0xff {
        0 => control(node, memory, argument),
        3 | 21 | 22 => Ok(0),
        4 => Ok(0),
        5 => {
            let value = number()?;
            node.set_configuration(if value == u32::MAX { None } else { Some(small(value)?) })?;
            Ok(0)
        }
        8 => {
            if !node.is_claimed(small(number()?)?)? {
                return Err(Errno(libc::ENODATA));
            }
            memory.write(argument + 4, b"usbfs\0")?;
            Ok(0)
        }
        10 => submit(node, who, memory, argument),
        11 => node.discard(who, argument).map(|()| 0),
        13 => reap(node, who, memory, argument),
        15 => node.claim(who, small(number()?)?).map(|()| 0),
        16 => node.release(who, small(number()?)?).map(|()| 0),
        17 => {
            let mut info = [0; 8];
            info[0] = node.place.address;
            memory.write(argument, &info)?;
            Ok(0)
        }
        // Detaching a kernel's driver: there is none.
        18 => Err(Errno(libc::ENODATA)),
        20 => node.reset().map(|()| 0),
        26 => {
            memory.write(argument, &CAPABILITIES.to_le_bytes())?;
            Ok(0)
        }
        27 => node.claim(who, small(number()?)?).map(|()| 0),
        31 => Ok(node.descriptors.speed.number()),
        _ => Err(Errno(libc::ENOTTY)),
    }
}

fn control(node: &Node, memory: Memory, argument: u64) -> Result<i64, Errno> {
    let bytes = memory.array::<24>(argument)?;
    let setup = Setup::parse(first(&bytes));
    let buffer = u64::from_le_bytes(first(&bytes[16..]));
    let mut data = vec![0; if setup.is_in() { 0 } else { usize::from(setup.length) }];
    memory.read(buffer, &mut data)?;
    let answer = node.control(&setup, &data)?;
    if !setup.is_in() {
        return Ok(i64::from(setup.length));
    }
    memory.write(buffer, &answer)?;
    Ok(answer.len() as i64)
}

fn submit(node: &Node, who: PipeId, memory: Memory, address: u64) -> Result<i64, Errno> {
    let bytes = memory.array::<{ urb::SIZE }>(address)?;
    let (kind, endpoint) = (bytes[0], bytes[1]);
    let buffer = u64::from_le_bytes(first(&bytes[16..]));
    let length = i32::from_le_bytes(first(&bytes[24..]));
    let length = usize::try_from(length).map_err(|_| Errno(libc::EINVAL))?;
    let too_short = kind == CONTROL && length < 8;
    if !matches!(kind, INTERRUPT | CONTROL | BULK) || too_short || length > LONGEST_TRANSFER {
        return Err(Errno(libc::EINVAL));
    }
    // A control transfer's first eight bytes say which way the rest goes.
    let sent = if kind == CONTROL {
        let setup = Setup::parse(memory.array::<8>(buffer)?);
        if usize::from(setup.length) + 8 > length {
            return Err(Errno(libc::EINVAL));
        }
        8 + if setup.is_in() { 0 } else { usize::from(setup.length) }
    } else if endpoint & 0x80 == 0 {
        length
    } else {
        0
    };
    let mut data = vec![0; sent];
    memory.read(buffer, &mut data)?;
    let flags = u32::from_le_bytes(first(&bytes[8..]));
    node.submit(who, Urb { address, kind, endpoint, flags, buffer, length, data, actual: 0, status: 0 })?;
    Ok(0)
}

fn reap(node: &Node, who: PipeId, memory: Memory, argument: u64) -> Result<i64, Errno> {
    let done = node.reap(who)?;
    let skip = if done.kind == CONTROL { 8 } else { 0 };
    if done.kind == CONTROL || done.endpoint & 0x80 != 0 {
        memory.write(done.buffer + skip, &done.data)?;
    }
    memory.write(done.address + urb::STATUS, &done.status.to_le_bytes())?;
    let actual = i32::try_from(done.actual).unwrap_or(i32::MAX);
    memory.write(done.address + urb::ACTUAL, &actual.to_le_bytes())?;
    memory.write(argument, &done.address.to_le_bytes())?;
    Ok(0)
}

/// The first bytes, as an array.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|n| bytes[n])
}
