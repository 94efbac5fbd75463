//! Memory of the program whose call is answered.

#![allow(unsafe_code)] // process_vm_readv and process_vm_writev have no safe form

use super::kernel::Errno;

/// The memory of a thread's process.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    thread: libc::pid_t,
}

impl Memory {
    pub fn of(thread: libc::pid_t) -> Self {
        Self { thread }
    }

    /// Fills the buffer from `address`.
    ///
    /// # Errors
    /// EFAULT where not all of it can be read.
    pub fn read(self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        if buffer.is_empty() {
            return Ok(());
        }
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: buffer.len() };
        // SAFETY: `local` is the buffer itself; the kernel checks the other side.
        let moved = unsafe { libc::process_vm_readv(self.thread, &local, 1, &remote, 1, 0) };
        whole(moved, buffer.len())
    }

    /// An array from `address`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn array<const N: usize>(self, address: u64) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Bytes up to a NUL or up to `most`, whichever comes first; whole pages, because what is
    /// behind the string may not be there.
    pub fn text(self, address: u64, most: usize) -> Result<Vec<u8>, Errno> {
        const PAGE: u64 = 4096;
        let mut text = Vec::new();
        while text.len() < most {
            let at = address + text.len() as u64;
            let step = usize::try_from(PAGE - at % PAGE).unwrap_or(1).min(most - text.len());
            let from = text.len();
            text.resize(from + step, 0);
            self.read(at, &mut text[from..])?;
            if let Some(end) = text[from..].iter().position(|b| *b == 0) {
                text.truncate(from + end);
                break;
            }
        }
        Ok(text)
    }

    /// Writes at `address`.
    ///
    /// # Errors
    /// EFAULT where not all of it can be written.
    pub fn write(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
        // SAFETY: `local` is only read from; the kernel checks the other side.
        let moved = unsafe { libc::process_vm_writev(self.thread, &local, 1, &remote, 1, 0) };
        whole(moved, bytes.len())
    }
}

fn whole(moved: isize, wanted: usize) -> Result<(), Errno> {
    if usize::try_from(moved) == Ok(wanted) { Ok(()) } else { Err(Errno(libc::EFAULT)) }
}
