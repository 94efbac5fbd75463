//! A way to the devices that counts its open channels, writes down what it is asked, and can be
//! broken at any of these requests.

use async_trait::async_trait;
use enlist::ids::{MuxId, Udid};
use enlist::limits::BACKEND_EVENTS;
use enlist::secret::Secret;
use enlist::transport::{Attachment, Backend, BackendEvent, BoxChannel, TransportError};
use enlist::wire::lockdown::PORT;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// What happens to a request to the mux, or to the stream it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The request fails: nobody answers at the socket.
    Unreachable,
    /// The mux refuses.
    Refused,
    /// The stream ends at once.
    Ends,
    /// The stream swallows all and gives nothing.
    Swallows,
    /// The stream gives its first bytes after this.
    Late(Duration),
    /// The first bytes of the stream are garbage.
    Garbage,
    /// The stream ends after a few bytes.
    Cut,
    /// The record the mux gives is garbage.
    GarbageRecord,
    /// The request waits a moment, so that somebody may act.
    Waits,
}

/// The moment [`Break::Waits`] waits.
pub(crate) const MOMENT: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Way {
    inner: Arc<dyn Backend>,
    open: Arc<AtomicUsize>,
    asked: Mutex<Vec<&'static str>>,
    broken: Mutex<Option<(usize, Break)>>,
    dead_until: Arc<Mutex<Option<Instant>>>,
    /// The number of each request, for whoever acts at one.
    pub(crate) requests: broadcast::Sender<usize>,
}

impl Way {
    pub(crate) fn new(inner: Arc<dyn Backend>) -> Self {
        Self {
            inner,
            open: Arc::default(),
            asked: Mutex::default(),
            broken: Mutex::default(),
            dead_until: Arc::default(),
            requests: broadcast::channel(1024).0,
        }
    }

    pub(crate) fn open_channels(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        self.asked.lock().unwrap().clone()
    }

    /// Breaks the request of this number, counted from 0.
    pub(crate) fn breaks(&self, at: usize, how: Break) {
        *self.broken.lock().unwrap() = Some((at, how));
    }

    /// Nobody answers for so long. The fleet's mux must be restarted too.
    pub(crate) fn dead_for(&self, span: Duration) {
        *self.dead_until.lock().unwrap() = Some(Instant::now() + span);
    }

    fn death(&self) -> Option<Instant> {
        self.dead_until.lock().unwrap().filter(|until| *until > Instant::now())
    }

    async fn ask(&self, what: &'static str) -> Result<Option<Break>, TransportError> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(what);
            asked.len() - 1
        };
        let _ = self.requests.send(number);
        if self.death().is_some() {
            return Err(unreachable());
        }
        let how = self.broken.lock().unwrap().filter(|(at, _)| *at == number).map(|(_, how)| how);
        match how {
            Some(Break::Unreachable) => Err(unreachable()),
            Some(Break::Refused) if what.starts_with("connect") => {
                Err(TransportError::Refused { port: PORT })
            }
            Some(Break::Refused) => Err(TransportError::MuxRefused { request: "it", number: 1 }),
            Some(Break::Waits) => {
                sleep(MOMENT).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }
}

fn unreachable() -> TransportError {
    let source = io::Error::from(io::ErrorKind::ConnectionRefused);
    TransportError::MuxUnreachable { address: "the way of this test".to_owned(), source }
}

#[async_trait]
impl Backend for Way {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        self.inner.list().await
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let (mut inner, dead_until) = (self.inner.watch(), self.dead_until.clone());
        let (to, events) = mpsc::channel(BACKEND_EVENTS);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = inner.recv() => event,
                    () = to.closed() => None,
                };
                let Some(event) = event else { return };
                // A dead mux can only be missed.
                let until = *dead_until.lock().unwrap();
                if let Some(until) = until.filter(|_| !matches!(event, BackendEvent::Lost { .. })) {
                    sleep_until(until).await;
                }
                if to.send(event).await.is_err() {
                    return;
                }
            }
        });
        events
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        let how = self.ask(if port == PORT { "connect lockdown" } else { "connect service" }).await?;
        let inner = self.inner.connect(id, port).await?;
        self.open.fetch_add(1, Ordering::SeqCst);
        let late = match how {
            Some(Break::Late(span)) => Some(Box::pin(sleep_until(Instant::now() + span))),
            _ => None,
        };
        Ok(Box::new(Counted { inner, open: self.open.clone(), how, late, read: 0 }))
    }

    async fn read_buid(&self) -> Result<String, TransportError> {
        self.ask("read buid").await?;
        self.inner.read_buid().await
    }

    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        let how = self.ask("read record").await?;
        let record = self.inner.read_pair_record(udid).await?;
        if how == Some(Break::GarbageRecord) {
            return Ok(Some(Secret::new(b"these are no keys".to_vec())));
        }
        Ok(record)
    }

    async fn save_pair_record(
        &self,
        udid: &Udid,
        record: &Secret<Vec<u8>>,
        id: Option<MuxId>,
    ) -> Result<(), TransportError> {
        self.ask("save record").await?;
        self.inner.save_pair_record(udid, record, id).await
    }

    async fn delete_pair_record(&self, udid: &Udid) -> Result<(), TransportError> {
        self.ask("delete record").await?;
        self.inner.delete_pair_record(udid).await
    }
}

/// A channel that is counted while it is open.
#[derive(Debug)]
struct Counted {
    inner: BoxChannel,
    open: Arc<AtomicUsize>,
    how: Option<Break>,
    late: Option<Pin<Box<Sleep>>>,
    read: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(late) = &mut self.late {
            ready!(late.as_mut().poll(context));
            self.late = None;
        }
        match self.how {
            Some(Break::Swallows) => return Poll::Pending,
            Some(Break::Ends) => return Poll::Ready(Ok(())),
            Some(Break::Cut) if self.read > 0 => return Poll::Ready(Ok(())),
            _ => {}
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        match self.how {
            Some(Break::Garbage) if self.read == 0 => buffer.filled_mut()[before..].fill(0xA5),
            Some(Break::Cut) => buffer.set_filled(buffer.filled().len().min(before + 3)),
            _ => {}
        }
        self.read += buffer.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.how == Some(Break::Swallows) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
