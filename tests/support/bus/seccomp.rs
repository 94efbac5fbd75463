//! System calls of a child, answered here: a seccomp filter hands over the two calls that
//! reach a USB node, everything else goes to the kernel (virtual-usb.md A5).

#![allow(unsafe_code)] // seccomp has no safe form

use super::{Answer, Errno};
use std::io::{Error, Result};
use std::mem::{offset_of, size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::thread;

/// How a USB node is opened for work by libusb.
const OPEN_FLAGS: u32 = (libc::O_RDWR | libc::O_CLOEXEC) as u32;

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;

/// Flag of SECCOMP_IOCTL_NOTIF_SET_FLAGS (Linux 6.6): wake the other side on this CPU.
const SYNC_WAKE_UP: u64 = 1;

/// Who answers the calls.
pub trait Kernel: Send + Sync {
    /// openat for reading and writing; `path` is an address in the caller.
    fn open(&self, thread: libc::pid_t, path: u64) -> Answer;
    /// ioctl of USB's type.
    fn ioctl(&self, thread: libc::pid_t, fd: u64, request: u32, argument: u64) -> Answer;
}

/// A command whose process, and whatever it starts, has its USB calls answered by `kernel`.
/// It may be spawned more than once.
pub fn watched(program: &std::ffi::OsStr, kernel: Arc<dyn Kernel>) -> Result<Command> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(program);
    // SAFETY: only system calls on values of this frame: allowed between fork and exec.
    unsafe { command.pre_exec(move || send_fd(theirs.as_raw_fd(), listen()?)) };
    thread::Builder::new().name("usb-launch".into()).spawn(move || {
        while let Ok(listener) = receive_fd(&ours) {
            let kernel = Arc::clone(&kernel);
            let _ = thread::Builder::new().name("usb-calls".into()).spawn(move || serve(&listener, &*kernel));
        }
    })?;
    Ok(command)
}

/// Installs the filter in the calling thread and gives its listener.
fn listen() -> Result<OwnedFd> {
    let load = |at: usize| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at as u32);
    let is = |value: u32, yes: u8, no: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: yes,
        jf: no,
        k: value,
    };
    let argument = |n: usize| load(offset_of!(libc::seccomp_data, args) + 8 * n);
    let give = |action: u32| statement(libc::BPF_RET | libc::BPF_K, action);
    let mut filter = [
        load(offset_of!(libc::seccomp_data, arch)),
        is(ARCH, 0, 8),
        load(offset_of!(libc::seccomp_data, nr)),
        is(libc::SYS_ioctl as u32, 0, 3),
        argument(1),
        statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0xff00),
        is(0x5500, 4, 3),
        is(libc::SYS_openat as u32, 0, 2),
        argument(2),
        is(OPEN_FLAGS, 1, 0),
        give(libc::SECCOMP_RET_ALLOW),
        give(libc::SECCOMP_RET_USER_NOTIF),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: `program` outlives the calls, which only read it.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(Error::last_os_error());
        }
        let listener = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &program,
        );
        if listener < 0 { Err(Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(listener as RawFd)) }
    }
}

fn statement(code: u32, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: value }
}

/// Room for one descriptor in a control message, aligned as its header must be.
#[repr(align(8))]
struct Rights([u8; 24]);

/// Called between fork and exec: no allocation.
fn send_fd(socket: RawFd, fd: OwnedFd) -> Result<()> {
    let mut byte = [0_u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut rights = Rights([0; 24]);
    // SAFETY: the message points at this frame only, and has room for one descriptor.
    unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &mut data;
        message.msg_iovlen = 1;
        message.msg_control = rights.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as usize;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd.as_raw_fd());
        if libc::sendmsg(socket, &message, 0) == 1 { Ok(()) } else { Err(Error::last_os_error()) }
    }
}

/// The next listener; an error once the command is gone.
fn receive_fd(socket: &UnixStream) -> Result<OwnedFd> {
    let mut byte = [0_u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut rights = Rights([0; 24]);
    // SAFETY: as in `send_fd`; the descriptor received is nobody else's.
    unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &mut data;
        message.msg_iovlen = 1;
        message.msg_control = rights.0.as_mut_ptr().cast();
        message.msg_controllen = rights.0.len();
        let got = libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC);
        let header = libc::CMSG_FIRSTHDR(&message);
        if got != 1 || header.is_null() {
            return Err(Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
    }
}

/// Answers calls until all processes under the listener are gone.
fn serve(listener: &OwnedFd, kernel: &dyn Kernel) {
    let fd = listener.as_raw_fd();
    // Older kernels refuse it, and are only slower.
    // SAFETY: takes a number.
    unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
    loop {
        // SAFETY: plain numbers; the kernel wants them zeroed.
        let mut call: libc::seccomp_notif = unsafe { zeroed() };
        // SAFETY: the kernel fills the structure of its own layout.
        if unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call) } != 0 {
            // ENOENT: the caller was killed in between, or it was the last.
            let interrupted = Error::last_os_error().raw_os_error() == Some(libc::EINTR);
            if !interrupted && is_over(fd) {
                return;
            }
            continue;
        }
        let (thread, args) = (call.pid as libc::pid_t, &call.data.args);
        let answer = if i64::from(call.data.nr) == libc::SYS_ioctl {
            kernel.ioctl(thread, args[0], args[1] as u32, args[2])
        } else {
            kernel.open(thread, args[1])
        };
        reply(fd, call.id, answer);
    }
}

fn is_over(listener: RawFd) -> bool {
    let mut poll = libc::pollfd { fd: listener, events: 0, revents: 0 };
    // SAFETY: one structure, as said.
    unsafe { libc::poll(&mut poll, 1, 0) != 0 }
}

/// A caller that died meanwhile needs no answer, so failures mean nothing.
fn reply(listener: RawFd, id: u64, answer: Answer) {
    let mut response = libc::seccomp_notif_resp { id, val: 0, error: 0, flags: 0 };
    match answer {
        Answer::Kernel => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        Answer::Value(value) => response.val = value,
        Answer::Error(Errno(number)) => response.error = -number,
        Answer::File(file) => match hand_over(listener, id, &file) {
            Ok(number) => response.val = i64::from(number),
            Err(error) => response.error = -error.raw_os_error().unwrap_or(libc::EIO),
        },
    }
    // SAFETY: the kernel reads the structure of its own layout.
    unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &mut response) };
}

/// Puts an open file into the caller; gives its number there.
fn hand_over(listener: RawFd, id: u64, file: &OwnedFd) -> Result<RawFd> {
    let mut request = libc::seccomp_notif_addfd {
        id,
        flags: 0,
        srcfd: file.as_raw_fd() as u32,
        newfd: 0,
        newfd_flags: libc::O_CLOEXEC as u32,
    };
    const { assert!(size_of::<libc::seccomp_notif_addfd>() == 24) };
    // SAFETY: the kernel reads the structure of its own layout.
    let number = unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ADDFD, &mut request) };
    if number < 0 { Err(Error::last_os_error()) } else { Ok(number) }
}
