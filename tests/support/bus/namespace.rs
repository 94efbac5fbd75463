//! A computer of its own for a test: the test program runs itself again inside new user,
//! mount, network and PID namespaces, where it may mount what it likes (virtual-usb.md A1-A3).

#![allow(unsafe_code)] // mounts and network devices: no safe form in the standard library

use std::ffi::CString;
use std::fs::{File, create_dir_all, write};
use std::io::{Error, Read, Result, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr::null;
use std::time::{Duration, Instant};

/// Set in the environment of what runs inside.
const MARK: &str = "ENLIST_VIRTUAL_BUS";
/// Names a file that gets a line for each test that could not run.
const SKIPPED: &str = "ENLIST_SKIPPED";
/// What [`skip`] begins its line with.
const SKIP_WORDS: &str = "SKIPPED: virtual USB bus: ";
/// Bus and everything else of it, inside only.
pub const ROOT: &str = "/run/enlist-bus";

/// How a program ended that ran inside.
pub struct Inside {
    pub success: bool,
    /// Both outputs.
    pub output: String,
}

/// True inside.
pub fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs this very program inside, with these arguments; kills it after `patience`.
///
/// `None` if this computer does not allow it, which was then said loudly.
pub fn run_inside(arguments: &[&str], patience: Duration) -> Result<Option<Inside>> {
    if let Err(why) = is_possible() {
        skip(&why);
        return Ok(None);
    }
    let (mut reader, writer) = std::io::pipe()?;
    let mut command = unshare();
    command.arg(std::env::current_exe()?).args(arguments).env(MARK, "1");
    let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // It holds the pipe's writing ends, which would keep the reader waiting.
    drop(command);
    let output = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let deadline = Instant::now() + patience;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => {
                // unshare takes everything inside with it.
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let mut output = output.join().unwrap_or_default();
    if status.is_none() {
        output.push_str(&format!("\nkilled after {} s\n", patience.as_secs()));
    }
    if let Some((_, why)) = output.lines().find_map(|line| line.split_once(SKIP_WORDS)) {
        skip(why);
    }
    Ok(Some(Inside { success: status.is_some_and(|s| s.success()), output }))
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["-Urmnpf", "--kill-child", "--mount-proc"]).stdin(Stdio::null());
    command
}

fn is_possible() -> std::result::Result<(), String> {
    match unshare().arg("true").output() {
        Err(error) => Err(format!("unshare cannot be run: {error}")),
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!("no namespaces: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}

/// Says that a test could not run, where people and scripts look. Not with `println`, which
/// libtest keeps to itself when a test passes.
pub fn skip(why: &str) {
    let line = format!("{SKIP_WORDS}{why}");
    let _ = writeln!(std::io::stderr(), "{line}");
    note_skip(&line);
}

fn note_skip(line: &str) {
    let Some(path) = std::env::var_os(SKIPPED).filter(|_| !is_inside()) else { return };
    let file = File::options().create(true).append(true).open(path);
    file.and_then(|mut file| writeln!(file, "{line}")).unwrap_or_else(|error| panic!("{SKIPPED}: {error}"));
}

/// Mounts everything programs look at; to be called once, inside.
pub fn prepare() -> Result<()> {
    // Whatever is mounted here stays here.
    mount(None, "/", None, libc::MS_REC | libc::MS_PRIVATE, None)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), 0, Some("mode=755"))?;
    mount(Some("tmpfs"), "/var/lib", Some("tmpfs"), 0, Some("mode=755"))?;
    create_dir_all("/var/lib/lockdown")?;
    create_dir_all("/run/udev/data")?;
    create_dir_all("/run/lock")?;
    // libudev's monitor is dead without it, and does not say so.
    write("/run/udev/control", "")?;
    create_dir_all(ROOT)?;
    set_up_loopback()
}

/// Puts the bus' files in the system's places.
pub fn show(root: &Path) -> Result<()> {
    let at = |path: &str| root.join(path).to_string_lossy().into_owned();
    // Programs count processors there.
    create_dir_all(at("sys/devices/system"))?;
    bind("/sys/devices/system", &at("sys/devices/system"))?;
    for part in ["bus", "devices", "dev"] {
        bind(&at(&format!("sys/{part}")), &format!("/sys/{part}"))?;
    }
    show_devices(&at("dev"))?;
    bind(&at("dev"), "/dev")
}

/// A /dev of our own: nobody may make folders in the system's.
fn show_devices(dev: &str) -> Result<()> {
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        write(format!("{dev}/{name}"), "")?;
        bind(&format!("/dev/{name}"), &format!("{dev}/{name}"))?;
    }
    create_dir_all(format!("{dev}/shm"))?;
    std::os::unix::fs::symlink("/proc/self/fd", format!("{dev}/fd"))
}

/// Mounts a file or folder at a second place.
pub fn bind(from: &str, to: &str) -> Result<()> {
    mount(Some(from), to, None, libc::MS_BIND | libc::MS_REC, None)
}

fn mount(from: Option<&str>, to: &str, kind: Option<&str>, flags: u64, data: Option<&str>) -> Result<()> {
    let text = |text: Option<&str>| text.map(CString::new).transpose();
    let (from, target, kind, data) = (text(from)?, CString::new(to)?, text(kind)?, text(data)?);
    let pointer = |text: &Option<CString>| text.as_ref().map_or(null(), |text| text.as_ptr());
    // SAFETY: all are NUL-terminated texts that outlive the call, or null.
    let done =
        unsafe { libc::mount(pointer(&from), target.as_ptr(), pointer(&kind), flags, pointer(&data).cast()) };
    if done == 0 {
        return Ok(());
    }
    let error = Error::last_os_error();
    Err(Error::new(error.kind(), format!("mount on {to}: {error}")))
}

/// The loopback device is down in a new network namespace.
fn set_up_loopback() -> Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: plain numbers and letters.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: reads the structure.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    if done == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
