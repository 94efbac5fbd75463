//! Way B of virtual-usb.md, for computers where system calls cannot be handed over: a small
//! library in front of libc's hands over the same two. It does not reach programs that are
//! linked statically.

use super::kernel::{Answer, Errno, Kernel};
use super::namespace::ROOT;
use super::rights;
use std::io::{Error, Read, Result};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

const SOURCE: &str = include_str!("preload.c");
/// `struct call` and `struct answer` of it.
const CALL: usize = 40;

/// Builds the library, and answers what it asks.
pub fn serve(kernel: &Arc<dyn Kernel>) -> Result<PathBuf> {
    let root = Path::new(ROOT);
    let (source, library, socket) = (root.join("preload.c"), root.join("preload.so"), root.join("calls"));
    std::fs::write(&source, SOURCE)?;
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall"])
        .arg(format!("-DSOCKET=\"{}\"", socket.display()))
        .arg("-o")
        .args([&library, &source])
        .output()?;
    if !built.status.success() {
        return Err(Error::other(String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    let listener = UnixListener::bind(socket)?;
    let kernel = Arc::clone(kernel);
    thread::Builder::new().name("usb-lines".into()).spawn(move || {
        for line in listener.incoming().map_while(Result::ok) {
            let kernel = Arc::clone(&kernel);
            let _ = thread::Builder::new().name("usb-calls".into()).spawn(move || answer(line, &*kernel));
        }
    })?;
    Ok(library)
}

/// Answers one thread's calls until it is gone.
fn answer(mut line: UnixStream, kernel: &dyn Kernel) {
    let mut call = [0; CALL];
    while line.read_exact(&mut call).is_ok() {
        let word = |n: usize| u64::from_ne_bytes(std::array::from_fn(|i| call[8 * n + i]));
        let thread = word(0) as libc::pid_t;
        let answer = match word(1) {
            0 => kernel.open(thread, word(2)),
            _ => kernel.ioctl(thread, word(2), word(3) as u32, word(4)),
        };
        let (ours, value, file) = match answer {
            Answer::Kernel => (0_u64, 0, None),
            Answer::Value(value) => (1, value, None),
            Answer::Error(Errno(number)) => (1, -i64::from(number), None),
            Answer::File(file) => (1, 0, Some(file)),
        };
        let bytes = [ours.to_ne_bytes(), value.to_ne_bytes()].concat();
        if rights::send(line.as_fd(), &bytes, file.as_ref().map(AsFd::as_fd)).is_err() {
            return;
        }
    }
}
