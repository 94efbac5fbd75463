//! The mux of one device at work: transfers come and go, streams are told.
//!
//! May import: `proto`, base.
//!
//! One task a device drives it ([`Link::serve`]); streams only lock, copy and ring. The task
//! never waits for a stream: what a slow reader leaves fills its own window and no other's.

use super::transfer::{Done, OUT_TRANSFERS, Pipes, TransferFault};
use crate::proto::mux::{CloseReason, HostEvent, HostMux, MuxError, OpenError, StreamId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// How long closing streams may take to send what was written, when the station lets go of a
/// device.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why no stream could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unopened {
    /// The device refused.
    Refused,
    /// The device did not answer.
    NoAnswer,
    /// Too many streams are open.
    TooMany,
    /// The device is gone.
    Gone,
}

/// Why the mux of a device cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkFault {
    /// The cable.
    #[error(transparent)]
    Transfer(#[from] TransferFault),
    /// What the device sent.
    #[error(transparent)]
    Mux(#[from] MuxError),
}

/// One device's mux, shared by its task and its streams.
#[derive(Debug)]
pub(super) struct Link {
    core: Mutex<Core>,
    /// A stream has something for the task.
    kick: Notify,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) mux: HostMux,
    pub(super) streams: HashMap<StreamId, Ends>,
    /// The device is gone: every stream has ended.
    pub(super) over: bool,
    ready: bool,
}

/// Who waits for something of a stream.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    opening: Option<oneshot::Sender<Result<(), Unopened>>>,
}

impl Ends {
    fn wake(&mut self) {
        let waiting = self.reader.take().into_iter().chain(self.writer.take());
        waiting.for_each(Waker::wake);
    }

    fn answer(&mut self, answer: Result<(), Unopened>) {
        if let Some(opening) = self.opening.take() {
            // Who asked may have gone; its stream closes itself.
            _ = opening.send(answer);
        }
    }
}

/// Time as the mux takes it.
pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Link {
    /// A mux that begins its handshake.
    pub(super) fn new() -> Self {
        let mux = HostMux::new(now());
        let core = Core { mux, streams: HashMap::new(), over: false, ready: false };
        Self { core: Mutex::new(core), kick: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the task that there may be something to send.
    pub(super) fn kick(&self) {
        self.kick.notify_one();
    }

    /// Asks the device for a stream. The answer comes later.
    pub(super) fn open(
        &self,
        port: u16,
    ) -> Result<(StreamId, oneshot::Receiver<Result<(), Unopened>>), Unopened> {
        let mut core = self.lock();
        if core.over {
            return Err(Unopened::Gone);
        }
        let id = core.mux.open(port, now()).map_err(|error| match error {
            OpenError::NotReady => Unopened::Gone,
            OpenError::TooMany => Unopened::TooMany,
        })?;
        let (answer, opened) = oneshot::channel();
        core.streams.insert(id, Ends { opening: Some(answer), ..Ends::default() });
        drop(core);
        self.kick();
        Ok((id, opened))
    }

    /// Moves bytes until something fails. `on_ready` is called once, when the handshake is done.
    /// Cancel-safe.
    pub(super) async fn serve(&self, pipes: &Pipes, mut on_ready: impl FnMut()) -> LinkFault {
        loop {
            match self.turn(pipes) {
                Ok(true) => on_ready(),
                Ok(false) => {}
                Err(fault) => return fault,
            }
            self.wait(pipes).await;
        }
    }

    /// Closes all streams and sends what is left of them, for a bounded time.
    pub(super) async fn part(&self, pipes: &Pipes) {
        {
            let mut core = self.lock();
            if !core.ready {
                return;
            }
            let ids: Vec<StreamId> = core.streams.keys().copied().collect();
            for id in ids {
                core.mux.close(id, now());
            }
        }
        let until = Instant::now() + FAREWELL;
        // A stream that still has something to send has a deadline for it.
        while self.turn(pipes).is_ok() && (pipes.sending() > 0 || self.lock().mux.deadline().is_some()) {
            tokio::select! {
                () = self.wait(pipes) => {}
                () = sleep_until(until) => break,
            }
        }
    }

    /// Ends every stream at once: the device is gone.
    pub(super) fn end(&self) {
        let mut core = self.lock();
        core.over = true;
        for (_, mut ends) in core.streams.drain() {
            ends.answer(Err(Unopened::Gone));
            ends.wake();
        }
    }

    async fn wait(&self, pipes: &Pipes) {
        let deadline = self.lock().mux.deadline();
        let at = deadline.map_or_else(Instant::now, Instant::from_std);
        tokio::select! {
            () = pipes.done() => {}
            () = self.kick.notified() => {}
            () = sleep_until(at), if deadline.is_some() => {}
        }
    }

    /// Everything that can be done now; true if the handshake got done by it.
    fn turn(&self, pipes: &Pipes) -> Result<bool, LinkFault> {
        let mut core = self.lock();
        while let Some(done) = pipes.next_done() {
            match done {
                Done::In(buffer, filled) => {
                    core.mux.receive(buffer.get(..filled).unwrap_or_default(), now())?;
                    pipes.listen(buffer)?;
                }
                Done::Out => {}
                Done::Failed(fault) => return Err(fault.into()),
            }
        }
        pipes.retry()?;
        let now = now();
        if core.mux.deadline().is_some_and(|deadline| deadline <= now) {
            core.mux.elapsed(now)?;
        }
        while pipes.sending() < OUT_TRANSFERS
            && let Some(packet) = core.mux.transmit(now)
        {
            pipes.send(packet)?;
        }
        Ok(core.tell())
    }
}

impl Core {
    /// Tells the streams what happened; true if the handshake got done.
    fn tell(&mut self) -> bool {
        let was_ready = self.ready;
        while let Some(event) = self.mux.next_event() {
            match event {
                HostEvent::Ready { .. } => self.ready = true,
                HostEvent::Opened(id) => self.ends(id, |ends| ends.answer(Ok(()))),
                HostEvent::Refused(id, words) => {
                    if let Some(words) = words {
                        tracing::debug!(%words, "the device refused a stream");
                    }
                    self.ends(id, |ends| ends.answer(Err(Unopened::Refused)));
                }
                HostEvent::Readable(id) => self.ends(id, |ends| _ = ends.reader.take().map(Waker::wake)),
                HostEvent::Writable(id) => self.ends(id, |ends| _ = ends.writer.take().map(Waker::wake)),
                HostEvent::Closed(id, reason) => self.closed(id, &reason),
                HostEvent::Message { kind, text } => tracing::info!(kind, %text, "the device says"),
            }
        }
        self.ready && !was_ready
    }

    fn closed(&mut self, id: StreamId, reason: &CloseReason) {
        tracing::debug!(%reason, "a stream ended");
        let unopened = match reason {
            CloseReason::NoAnswer => Unopened::NoAnswer,
            _ => Unopened::Refused,
        };
        self.ends(id, |ends| {
            ends.answer(Err(unopened));
            ends.wake();
        });
    }

    fn ends(&mut self, id: StreamId, tell: impl FnOnce(&mut Ends)) {
        if let Some(ends) = self.streams.get_mut(&id) {
            tell(ends);
        }
    }
}
