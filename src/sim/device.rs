//! One device on the bus: its state behind a lock, its schedule, its streams.

use super::counters::{Inspection, Tap};
use super::fleet::Hub;
use super::lifecycle::Cable;
use super::services::{self, lockdown};
use super::state::State;
use crate::ids::MuxId;
use crate::wire::lockdown::PORT;
use plist::Dictionary;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{sleep, sleep_until};

/// Bytes in flight in each direction of a stream; about what the mux window allows (1.7).
const STREAM_BYTES: usize = 64 << 10;

/// Streams a device holds open at once. Real ones refuse some day too.
const MOST_STREAMS: u64 = 128;

/// Notifications and log lines a slow reader may lag behind. Taken for every device, used by
/// few, so it is small.
const BACKLOG: usize = 64;

/// Taps a slow reader may lag behind; taken only where somebody taps.
const TAPS: usize = 1024;

/// A device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) index: usize,
    state: Mutex<State>,
    hub: Weak<Hub>,
    wake: Arc<Notify>,
    posts: broadcast::Sender<String>,
    logs: broadcast::Sender<String>,
    taps: OnceLock<broadcast::Sender<Tap>>,
}

/// Why a stream was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    /// That attachment is over.
    Gone,
    /// Nothing listens there.
    Refused,
}

impl Device {
    /// Makes the device and starts its schedule.
    pub(super) fn start(index: usize, state: State, hub: Weak<Hub>) -> Arc<Self> {
        let wake = Arc::new(Notify::new());
        let device = Arc::new(Self {
            index,
            state: Mutex::new(state),
            hub,
            wake: Arc::clone(&wake),
            posts: broadcast::channel(BACKLOG).0,
            logs: broadcast::channel(BACKLOG).0,
            taps: OnceLock::new(),
        });
        tokio::spawn(live(Arc::downgrade(&device), wake));
        device
    }

    /// Looks at or changes the state; then does what the change asked for.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, outbox) = {
            let mut state = self.lock();
            let result = change(&mut state);
            (result, std::mem::take(&mut state.outbox))
        };
        // Nobody listening is fine.
        for name in outbox.posts {
            let _ = self.posts.send(name);
        }
        for line in outbox.logs {
            let _ = self.logs.send(line);
        }
        if outbox.rescheduled {
            self.wake.notify_one();
        }
        for Cable::Slips(span) in outbox.cable {
            self.slip(span);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cable goes out and comes back.
    fn slip(&self, span: Duration) {
        let Some(hub) = self.hub.upgrade() else { return };
        hub.detach(self.index);
        let (hub, index) = (Arc::downgrade(&hub), self.index);
        tokio::spawn(async move {
            sleep(span).await;
            if let Some(hub) = hub.upgrade() {
                hub.attach(index);
            }
        });
    }

    /// Waits for one draw of the latency.
    pub(super) async fn latency(&self) {
        let delay = self.with(State::delay);
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }

    pub(super) fn inspect(&self) -> Inspection {
        self.with(|s| s.inspect())
    }

    pub(super) fn notifications(&self) -> broadcast::Receiver<String> {
        self.posts.subscribe()
    }

    /// Lines written so far, and those to come.
    pub(super) fn log_lines(&self) -> (Vec<String>, broadcast::Receiver<String>) {
        let receiver = self.logs.subscribe();
        (self.with(|s| s.recent_logs.iter().cloned().collect()), receiver)
    }

    pub(super) fn taps(&self) -> broadcast::Receiver<Tap> {
        self.taps.get_or_init(|| broadcast::channel(TAPS).0).subscribe()
    }

    pub(super) fn tap(&self, service: &'static str, from_host: bool, message: &Dictionary) {
        if let Some(taps) = self.taps.get().filter(|taps| taps.receiver_count() > 0) {
            let _ = taps.send(Tap { service, from_host, message: message.clone() });
        }
    }

    /// Opens a stream to `port` on the attachment `id`.
    pub(super) async fn open(self: &Arc<Self>, id: MuxId, port: u16) -> Result<DuplexStream, OpenError> {
        self.latency().await;
        let (target, gone) = self.with(|s| {
            let attached = s.attached.as_ref().filter(|a| a.id == id).ok_or(OpenError::Gone)?;
            let gone = attached.gone.subscribe();
            if s.counters.open_connections >= MOST_STREAMS {
                return Err(OpenError::Refused);
            }
            let target =
                if port == PORT { None } else { Some(s.take_listener(port).ok_or(OpenError::Refused)?) };
            s.counters.connections += 1;
            s.counters.open_connections += 1;
            s.counters.most_open_connections =
                s.counters.most_open_connections.max(s.counters.open_connections);
            Ok((target, gone))
        })?;
        let (host, own) = duplex(STREAM_BYTES);
        let device = Arc::clone(self);
        tokio::spawn(async move {
            let open = OpenStream(device);
            let served = async {
                match target {
                    None => lockdown::serve(&open.0, own).await,
                    Some(listener) => services::serve(&open.0, listener, own).await,
                }
            };
            // In order, here and below: one seed is to give one conversation.
            tokio::select! {
                biased;
                () = unplugged(gone) => {}
                () = served => {}
            }
        });
        Ok(host)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// Counts a stream as closed when it is dropped, however that comes about.
struct OpenStream(Arc<Device>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.with(|s| s.counters.open_connections = s.counters.open_connections.saturating_sub(1));
    }
}

async fn unplugged(mut gone: watch::Receiver<bool>) {
    // An error means that the attachment was dropped, which is the same.
    let _ = gone.wait_for(|gone| *gone).await;
}

/// Runs a device's schedule until the device is dropped.
async fn live(device: Weak<Device>, wake: Arc<Notify>) {
    while let Some(device) = device.upgrade() {
        let next = device.with(State::run_due);
        drop(device);
        match next {
            Some(at) => tokio::select! {
                biased;
                () = sleep_until(at) => {}
                () = wake.notified() => {}
            },
            None => wake.notified().await,
        }
    }
}
