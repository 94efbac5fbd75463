//! System calls that are answered here instead of by the kernel.

use std::os::fd::OwnedFd;

/// A kernel's error number, positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What a system call gives back.
#[derive(Debug)]
pub enum Answer {
    /// The kernel shall do it.
    Kernel,
    Value(i64),
    Error(Errno),
    /// An open file, for the caller to keep.
    File(OwnedFd),
}

/// Who answers.
pub trait Kernel: Send + Sync {
    /// An open of a file for reading and writing; `path` is an address in the caller.
    fn open(&self, thread: libc::pid_t, path: u64) -> Answer;
    /// An ioctl of USB's type.
    fn ioctl(&self, thread: libc::pid_t, fd: u64, request: u32, argument: u64) -> Answer;
}
