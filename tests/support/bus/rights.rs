//! Bytes and an open file over a socket, in one message.

#![allow(unsafe_code)] // SCM_RIGHTS has no safe form in the standard library

use std::io::{Error, Result};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Room for one descriptor in a control message, aligned as its header must be.
#[repr(align(8))]
struct Room([u8; 24]);

/// Sends bytes, and a file if there is one. Allocates nothing: it may be called between fork
/// and exec.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], file: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut data = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut room = Room([0; 24]);
    // SAFETY: the message points at this frame and at `bytes`, which is only read; the room
    // is that of one descriptor.
    let sent = unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &mut data;
        message.msg_iovlen = 1;
        if let Some(file) = file {
            message.msg_control = room.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(4) as usize;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(file.as_raw_fd());
        }
        libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL)
    };
    if usize::try_from(sent) == Ok(bytes.len()) { Ok(()) } else { Err(Error::last_os_error()) }
}

/// The next file, which came with one byte; an error once nobody can send any more.
pub fn receive(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    let mut byte = [0_u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut room = Room([0; 24]);
    // SAFETY: as in `send`; the descriptor received is nobody else's.
    unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &mut data;
        message.msg_iovlen = 1;
        message.msg_control = room.0.as_mut_ptr().cast();
        message.msg_controllen = room.0.len();
        let got = libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC);
        let header = libc::CMSG_FIRSTHDR(&message);
        if got != 1 || header.is_null() {
            return Err(Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
    }
}
