//! A tap on one stream: cuts what passes into frames and hands them to the recorder.

use super::device::Device;
use super::entry::{End, Refusal, What};
use super::{LOCKDOWN, Recorder};
use crate::ids::MuxId;
use crate::limits::DEVICE_FRAME_BYTES;
use crate::transport::{BoxChannel, TransportError};
use crate::wire::DEVICE_BUDGET;
use crate::wire::plist_frame::{FrameDecoder, FrameError};
use crate::wire::property_list;
use crate::wire::{installation_proxy, mcinstall, notification_proxy};
use plist::Value;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Services whose streams are frames. Of all others only that they were opened is written.
const FRAMED: [&str; 4] =
    [LOCKDOWN, mcinstall::SERVICE, notification_proxy::SERVICE, installation_proxy::SERVICE];

/// What is written of an impossible length: the longest one of as many bits. It is four bytes of
/// the device as they came, such as the first of its serial number.
pub(super) fn broken_class(announced: u64) -> u64 {
    u64::MAX.checked_shr(announced.leading_zeros()).unwrap_or_default()
}

/// Records one connection. A clone records the same one.
#[derive(Debug, Clone)]
pub struct Tap {
    recorder: Recorder,
    id: MuxId,
    service: Arc<str>,
    c: u32,
    /// The stream that is tapped is encrypted by now.
    muted: Arc<AtomicBool>,
}

impl Tap {
    pub(super) fn new(recorder: Recorder, id: MuxId, service: &str) -> Self {
        Self { recorder, id, service: service.into(), c: 0, muted: Arc::default() }
    }

    /// The connection could not be begun.
    pub fn refused(&self, error: &TransportError) {
        let gone = !matches!(error, TransportError::Refused { .. });
        let refusal = Refusal { to: self.service.to_string(), gone };
        self.recorder.note(self.id, 0, What::Refused(refusal));
    }

    /// The connection began; nothing was said yet.
    pub fn opened(&mut self) {
        self.c = self.recorder.of(self.id, Device::connection).unwrap_or_default();
        self.note(What::Open(self.service.to_string()));
    }

    /// A handshake of TLS ended; what was wrapped before carries its bytes from now on.
    pub fn encrypted(&self, began: bool) {
        self.note(What::Tls(began));
    }

    /// The stream wrapped last is not looked at any more.
    pub fn mute(&mut self) {
        self.muted.store(true, Ordering::Relaxed);
        self.muted = Arc::default();
    }

    /// The stream, tapped.
    pub fn wrap(&self, stream: BoxChannel) -> BoxChannel {
        if !FRAMED.contains(&&*self.service) {
            return stream;
        }
        Box::new(Tapped {
            stream,
            tap: self.clone(),
            host: Side::new(),
            device: Side::new(),
            asked: false,
            ahead: 0,
            over: false,
        })
    }

    fn note(&self, what: What) {
        self.recorder.note(self.id, self.c, what);
    }
}

/// What one side said.
#[derive(Debug)]
struct Side {
    decoder: FrameDecoder,
    lost: bool,
}

impl Side {
    fn new() -> Self {
        Self { decoder: FrameDecoder::new(DEVICE_FRAME_BYTES), lost: false }
    }
}

/// A stream that is tapped.
#[derive(Debug)]
struct Tapped {
    stream: BoxChannel,
    tap: Tap,
    host: Side,
    device: Side,
    /// The host said something that was not answered.
    asked: bool,
    /// How many bytes at the front of what is written next were heard already.
    ahead: usize,
    over: bool,
}

impl Tapped {
    fn is_silent(&self) -> bool {
        self.over || self.tap.muted.load(Ordering::Relaxed)
    }

    fn heard(&mut self, from_host: bool, bytes: &[u8]) {
        if self.is_silent() {
            return;
        }
        let side = if from_host { &mut self.host } else { &mut self.device };
        if side.lost {
            return;
        }
        side.decoder.feed(bytes);
        loop {
            let side = if from_host { &mut self.host } else { &mut self.device };
            let frame = match side.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => {
                    side.lost = true;
                    if !from_host {
                        let announced = match error {
                            FrameError::Empty => 0,
                            FrameError::TooLong { announced, .. } => announced as u64,
                        };
                        self.tap.note(What::Broken(broken_class(announced)));
                    }
                    return;
                }
            };
            self.asked = from_host;
            match property_list::parse_answer(&frame, DEVICE_BUDGET) {
                Ok(Value::Dictionary(fields)) => {
                    self.tap.recorder.frame(self.tap.id, self.tap.c, from_host, &fields);
                }
                _ if !from_host => self.tap.note(What::Garbage(frame.len() as u64)),
                _ => {}
            }
        }
    }

    fn ended(&mut self, end: End) {
        if !self.is_silent() {
            self.over = true;
            self.tap.note(What::Ended(end));
        }
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        // A notification proxy never answers; a service that should have is worth a line.
        if self.asked && &*self.tap.service != notification_proxy::SERVICE {
            self.ended(End::Unanswered);
        }
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        match &read {
            Ok(()) if buffer.filled().len() > before => {
                let new = buffer.filled()[before..].to_vec();
                self.heard(false, &new);
            }
            Ok(()) => {
                let end = if self.device.decoder.is_midway() { End::Cut } else { End::Closed };
                self.ended(end);
            }
            Err(error) => {
                let tls = error.get_ref().is_some_and(|e| e.is::<openssl::ssl::Error>());
                let cut = self.device.decoder.is_midway();
                self.ended(if tls {
                    End::Tls
                } else if cut {
                    End::Cut
                } else {
                    End::Closed
                });
            }
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Before it leaves: a device that is told to erase itself may be gone by the time the
        // write returns.
        let known = self.ahead.min(bytes.len());
        self.heard(true, &bytes[known..]);
        self.ahead = bytes.len();
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        match &written {
            Ok(n) => self.ahead -= n,
            Err(_) => self.ended(End::Closed),
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
