//! System calls of a child, answered here: a seccomp filter hands over the two calls that
//! reach a USB node, everything else goes to the kernel (virtual-usb.md A5).

#![allow(unsafe_code)] // seccomp has no safe form

use super::kernel::{Answer, Errno, Kernel};
use super::rights;
use std::io::{Error, Result};
use std::mem::{offset_of, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
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

/// Has USB calls of the command's processes, and of whatever they start, answered by `kernel`.
/// It may be spawned more than once.
pub fn watch(command: &mut Command, kernel: Arc<dyn Kernel>) -> Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    // SAFETY: only system calls on values of this frame: allowed between fork and exec.
    unsafe { command.pre_exec(move || rights::send(theirs.as_fd(), &[0], Some(listen()?.as_fd()))) };
    thread::Builder::new().name("usb-launch".into()).spawn(move || {
        while let Ok(listener) = rights::receive(ours.as_fd()) {
            let kernel = Arc::clone(&kernel);
            let _ = thread::Builder::new().name("usb-calls".into()).spawn(move || serve(&listener, &*kernel));
        }
    })?;
    Ok(())
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
