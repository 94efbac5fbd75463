//! What a service manager is told (sd_notify): that the station is ready, that its loop turns,
//! how its bays stand, and that it ends.

use super::super::screen;
use crate::api::view::{BayView, Exit};
use crate::api::{Live, system_words};
use crate::config::Environment;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// The status is said at most so often: a burst of changes is one.
const STATUS_EVERY: Duration = Duration::from_millis(500);

/// Signs of life within one watchdog time; systemd asks for two, one more may be late.
const BEATS: u32 = 3;

/// How long readiness waits for a turn of the loop before it looks again.
const FIRST_TURN: Duration = Duration::from_secs(5);

/// Longer than any watchdog's patience.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// The service manager's socket.
#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    fn at(name: &OsStr) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold the station up.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address: address(name)? })
    }

    /// A message that is lost is no reason to stop: the manager judges by what it hears.
    fn tell(&self, message: &str) {
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::warn!("the service manager was not told: {}", system_words(&error));
        }
    }
}

/// A path, or a name after `@` that is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => abstract_address(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "it is neither a path nor a name after '@'")),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no such names"))
}

/// Tells the service manager of a run until it is dropped.
#[derive(Debug)]
pub(in crate::cli) struct Attended(Option<JoinHandle<()>>);

impl Drop for Attended {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// Begins to tell, if a service manager started this program and wants to hear.
pub(in crate::cli) fn attend(environment: &Environment, live: Live) -> Attended {
    let Some(name) = &environment.notify_socket else { return Attended(None) };
    match Manager::at(name) {
        Ok(manager) => Attended(Some(tokio::spawn(tell(manager, live, environment.watchdog)))),
        Err(error) => {
            tracing::warn!("the service manager's socket cannot be used: {}", system_words(&error));
            Attended(None)
        }
    }
}

async fn tell(manager: Manager, live: Live, watchdog: Option<Duration>) {
    let interrupted = screen::interrupted();
    tokio::pin!(interrupted);
    let mut follower = live.follow();
    // Ready is a station whose own loop turns; its page is served by then.
    while !live.is_alive(FIRST_TURN).await {}
    let mut said = status_of(&live);
    manager.tell(&format!("READY=1\nSTATUS={said}"));
    let every = watchdog.map(|patience| patience / BEATS);
    let mut beats = interval(every.unwrap_or(Duration::MAX).clamp(Duration::from_millis(10), FAR));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changed: Option<Instant> = None;
    loop {
        tokio::select! {
            () = &mut interrupted => return manager.tell("STOPPING=1\nSTATUS=Stopping; open jobs go on at the next start"),
            _ = beats.tick(), if every.is_some() => match live.is_alive(every.unwrap_or(FAR)).await {
                true => manager.tell("WATCHDOG=1"),
                false => tracing::error!("the station's loop does not turn; the watchdog is not told that it does"),
            },
            update = follower.next() => match update {
                Some(_) => _ = changed.get_or_insert_with(|| Instant::now() + STATUS_EVERY),
                None => return,
            },
            () = sleep_until(changed.unwrap_or_else(Instant::now)), if changed.is_some() => {
                changed = None;
                let now = status_of(&live);
                if now != said {
                    manager.tell(&format!("STATUS={now}"));
                    said = now;
                }
            }
        }
    }
}

/// What stands in the way first, else the bays.
fn status_of(live: &Live) -> String {
    let no_way = |reason| format!("No way to the devices: {reason}");
    match live.journal_trouble().or_else(|| live.mux_trouble().map(no_way)) {
        Some(trouble) => trouble.replace('\n', " "),
        None => status(&live.bays()),
    }
}

/// One line: `12 bays, 3 working`.
fn status(bays: &[BayView]) -> String {
    let count = |which: &dyn Fn(&&BayView) -> bool| bays.iter().filter(which).count();
    let (all, working) = (count(&|bay| bay.attached), count(&|bay| bay.attached && bay.is_open()));
    let waiting = count(&|bay| bay.attached && bay.is_open() && bay.device.exit() == Exit::NeedsPerson);
    let mut said = format!("{all} {}, {working} working", if all == 1 { "bay" } else { "bays" });
    if waiting > 0 {
        said += &format!(", {waiting} waiting for a person");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        Manager::at(path.as_os_str()).unwrap().tell("READY=1");
        let mut buffer = [0; 16];
        let length = listener.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        for bad in ["relative", "vsock:2:1", ""] {
            assert!(Manager::at(OsStr::new(bad)).is_err(), "{bad}");
        }
        // Nobody listens any more: a warning, and no more.
        drop(listener);
        Manager::at(path.as_os_str()).unwrap().tell("WATCHDOG=1");
    }

    #[test]
    fn the_status_is_one_line() {
        assert_eq!(status(&[]), "0 bays, 0 working");
    }
}
