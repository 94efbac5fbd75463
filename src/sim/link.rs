//! One conversation in plist frames: counted, tapped, delayed, and hit by faults.

use super::device::Device;
use super::fault::{Fault, FaultKind};
use super::lifecycle::Cable;
use crate::limits::DEVICE_FRAME_BYTES;
use crate::wire::DEVICE_BUDGET;
use crate::wire::fields::Fields;
use crate::wire::plist_frame::{self, FrameDecoder};
use crate::wire::property_list;
use plist::{Dictionary, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes read at a time.
const READ_BYTES: usize = 8 << 10;

/// The device's end of a stream that carries frames.
pub(super) struct Link<'a, S> {
    io: &'a mut S,
    decoder: FrameDecoder,
    device: &'a Arc<Device>,
    service: &'static str,
    idle: Option<Duration>,
    fault: Option<Fault>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Link<'a, S> {
    pub(super) fn new(io: &'a mut S, device: &'a Arc<Device>, service: &'static str) -> Self {
        Self { io, decoder: FrameDecoder::new(DEVICE_FRAME_BYTES), device, service, idle: None, fault: None }
    }

    /// Ends the conversation when no message comes for this long.
    pub(super) fn with_idle_limit(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// The next message, not counted as a request; `None` if the conversation is over: the
    /// stream ended, was idle too long, or held no acceptable frame. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Option<Dictionary> {
        let message = match self.idle {
            Some(idle) => timeout(idle, self.read()).await.ok()??,
            None => self.read().await?,
        };
        self.device.tap(self.service, true, &message);
        Some(message)
    }

    /// The next request; faults that come before it is carried out have happened.
    pub(super) async fn request(&mut self, name_key: &str) -> Option<Dictionary> {
        loop {
            let message = self.receive().await?;
            let name = message.text(name_key).unwrap_or_default();
            let hit = self.device.with(|s| s.count_message(name));
            let Some(fault) = &hit else { return Some(message) };
            if fault.kind == FaultKind::Lose {
                continue;
            }
            let (late, span) = (fault.kind == FaultKind::Late, fault.span.0);
            // Of a service that speaks by itself, the next thing it says is hit.
            self.fault = hit;
            if late && !self.stays_for(span).await {
                return None;
            }
            return self.before(message, span);
        }
    }

    /// What a fault does before the request is carried out; `None` if it never is.
    fn before(&mut self, message: Dictionary, span: Duration) -> Option<Dictionary> {
        match self.fault.as_ref()?.kind {
            FaultKind::DropBefore => None,
            FaultKind::WrongRequest => Some(retyped(&message)),
            FaultKind::Detach => {
                self.device.with(|s| s.outbox.cable.push(Cable::Slips(span)));
                None
            }
            FaultKind::Reboot => {
                self.device.with(|s| s.reboot(span));
                None
            }
            FaultKind::Lock => {
                self.device.with(|s| s.lock());
                Some(message)
            }
            _ => Some(message),
        }
    }

    /// True if the fault answers the request with an error: what cannot be taken back is not done.
    pub(super) fn refuses(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::Error)
    }

    /// Answers the request, or does what the fault says; false if the conversation is over.
    /// `trouble` is the answer the fault `error` gives.
    pub(super) async fn answer(&mut self, answer: Value, trouble: impl FnOnce() -> Value) -> bool {
        let fault = self.fault.take();
        let span = fault.as_ref().map_or(Duration::ZERO, |f| f.span.0);
        match fault.map(|f| f.kind) {
            Some(FaultKind::DropAfter) => false,
            Some(FaultKind::Silence) => true,
            Some(FaultKind::Garbage) => self.write(b"\0\0\0\x18these are no XML at all.").await,
            Some(FaultKind::Truncate) => {
                let frame = plist_frame::encode(&answer);
                self.write(&frame[..frame.len() / 2]).await;
                false
            }
            Some(FaultKind::WrongType) => {
                let wrong = answer.as_dictionary().map_or(Value::Boolean(true), |a| retyped(a).into());
                self.send(wrong).await
            }
            Some(FaultKind::Error) => self.send(trouble()).await,
            Some(FaultKind::DetachAfter) => {
                self.device.with(|s| s.outbox.cable.push(Cable::Slips(span)));
                false
            }
            Some(FaultKind::RebootAfter) => {
                self.device.with(|s| s.reboot(span));
                false
            }
            Some(FaultKind::LockAfter) => {
                self.device.with(|s| s.lock());
                self.send(answer).await
            }
            Some(FaultKind::Delay) => {
                self.tap_own(&answer);
                self.stays_for(span).await && self.write(&plist_frame::encode(&answer)).await
            }
            _ => self.send(answer).await,
        }
    }

    /// Sends a message by the device's own will; false if the conversation is over.
    pub(super) async fn send(&mut self, message: Value) -> bool {
        self.tap_own(&message);
        self.write(&plist_frame::encode(&message)).await
    }

    fn tap_own(&self, message: &Value) {
        if let Value::Dictionary(fields) = message {
            self.device.tap(self.service, false, fields);
        }
    }

    /// Waits; false if the host ended the connection meanwhile, and what was on its way with it.
    async fn stays_for(&mut self, span: Duration) -> bool {
        let mut chunk = [0; READ_BYTES];
        let end = Instant::now() + span;
        while let Ok(read) = timeout_at(end, self.io.read(&mut chunk)).await {
            match read {
                Ok(n) if n > 0 => self.decoder.feed(&chunk[..n]),
                _ => return false,
            }
        }
        true
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.device.latency().await;
        if self.device.with(|s| s.silent) {
            return true;
        }
        self.io.write_all(bytes).await.is_ok() && self.io.flush().await.is_ok()
    }

    async fn read(&mut self) -> Option<Dictionary> {
        let mut chunk = [0; READ_BYTES];
        loop {
            if let Some(body) = self.decoder.next_frame().ok()? {
                return match property_list::parse(&body, DEVICE_BUDGET).ok()? {
                    Value::Dictionary(fields) => Some(fields),
                    _ => None,
                };
            }
            let n = self.io.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
            self.decoder.feed(&chunk[..n]);
        }
    }
}

/// The same keys with values of other types.
fn retyped(message: &Dictionary) -> Dictionary {
    let other = |value: &Value| match value {
        Value::String(_) => Value::from(7),
        Value::Dictionary(_) => Value::Array(Vec::new()),
        _ => Value::String("of another type".to_owned()),
    };
    message.iter().map(|(key, value)| (key.clone(), other(value))).collect()
}
