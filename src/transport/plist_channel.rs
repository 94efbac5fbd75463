//! Property lists over a channel: one exchange at a time, each with a deadline.

use super::{BoxChannel, TransportError};
use crate::wire::DEVICE_BUDGET;
use crate::wire::fields::Fields;
use crate::wire::plist_frame::{self, FrameDecoder};
use crate::wire::property_list;
use plist::{Dictionary, Value};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// Room made for each read: most answers fit.
const READ_BYTES: usize = 4 << 10;

/// Names of errors and states are shorter.
const LOGGED_CHARS: usize = 64;

/// A channel that carries length-prefixed property lists.
///
/// Cancel safety: an exchange that was begun and not finished (its future dropped, or its
/// deadline passed) leaves the channel *abandoned*: every later use fails with
/// [`TransportError::Abandoned`], because the next answer could belong to the old question.
#[derive(Debug)]
pub struct PlistChannel {
    io: BoxChannel,
    decoder: FrameDecoder,
    midway: bool,
}

impl PlistChannel {
    /// Wraps a stream; frames longer than `limit` bytes are refused.
    pub fn new(io: BoxChannel, limit: usize) -> Self {
        Self { io, decoder: FrameDecoder::new(limit), midway: false }
    }

    /// The stream beneath, for a TLS handshake between two exchanges.
    pub fn into_stream(self) -> BoxChannel {
        self.io
    }

    /// Sends `request` and waits for the answer, both within `deadline`. `what` names the
    /// exchange in errors.
    ///
    /// # Errors
    /// Any stream or frame error, [`TransportError::Timeout`], [`TransportError::Abandoned`].
    pub async fn call(
        &mut self,
        what: &str,
        request: &Value,
        deadline: Duration,
    ) -> Result<Dictionary, TransportError> {
        self.begin()?;
        let begun = Instant::now();
        let exchange = async {
            self.write(what, request).await?;
            self.read(what).await
        };
        let answer = timeout(deadline, exchange).await;
        let answer = answer
            .map_err(|_| TransportError::Timeout { what: what.into(), after: deadline })
            .and_then(|answer| answer);
        log(what, begun.elapsed(), answer.as_ref());
        let answer = answer?;
        self.midway = false;
        Ok(answer)
    }

    /// Sends a message that has no answer.
    ///
    /// # Errors
    /// As [`PlistChannel::call`].
    pub async fn send(
        &mut self,
        what: &str,
        message: &Value,
        deadline: Duration,
    ) -> Result<(), TransportError> {
        self.begin()?;
        let sent = timeout(deadline, self.write(what, message)).await;
        sent.map_err(|_| TransportError::Timeout { what: what.into(), after: deadline })??;
        self.midway = false;
        Ok(())
    }

    /// Waits for the next message the peer sends by itself. Cancel-safe: what was read is
    /// kept for the next call.
    ///
    /// # Errors
    /// Any stream or frame error.
    pub async fn receive(&mut self, what: &str) -> Result<Dictionary, TransportError> {
        if self.midway {
            return Err(TransportError::Abandoned);
        }
        self.read(what).await
    }

    fn begin(&mut self) -> Result<(), TransportError> {
        if self.midway {
            return Err(TransportError::Abandoned);
        }
        self.midway = true;
        Ok(())
    }

    async fn write(&mut self, what: &str, message: &Value) -> Result<(), TransportError> {
        let frame = plist_frame::encode(message);
        let failed = |e| TransportError::from_io(what, e);
        self.io.write_all(&frame).await.map_err(failed)?;
        self.io.flush().await.map_err(failed)
    }

    async fn read(&mut self, what: &str) -> Result<Dictionary, TransportError> {
        loop {
            if let Some(body) = self.decoder.next_frame()? {
                return match property_list::parse_answer(&body, DEVICE_BUDGET)? {
                    Value::Dictionary(fields) => Ok(fields),
                    _ => Err(TransportError::Answer { what: what.into(), reason: "it is not a dictionary" }),
                };
            }
            // Into the decoder's own buffer: a chunk here would live in the future of every
            // waiting device.
            let spare = self.decoder.spare();
            spare.reserve(READ_BYTES);
            let n = self.io.read_buf(spare).await.map_err(|e| TransportError::from_io(what, e))?;
            if n == 0 {
                return Err(TransportError::Closed { what: what.into() });
            }
        }
    }
}

/// What was asked, for how long, and how it went: of the answer only what says so, for the rest
/// may be secret.
fn log(what: &str, took: Duration, answer: Result<&Dictionary, &TransportError>) {
    let ms = took.as_millis();
    match answer {
        Ok(fields) => {
            let said = ["Error", "Status"].iter().find_map(|key| fields.text(key)).unwrap_or("an answer");
            let said: String = said.chars().take(LOGGED_CHARS).collect();
            tracing::debug!(ms, ?said, "{what}");
        }
        Err(error) => tracing::debug!(ms, %error, "{what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DEVICE_FRAME_BYTES;
    use tokio::io::duplex;

    const SECOND: Duration = Duration::from_secs(1);

    fn question() -> Value {
        Value::Dictionary(Dictionary::from_iter([("Request", Value::from("QueryType"))]))
    }

    #[tokio::test(start_paused = true)]
    async fn an_abandoned_exchange_poisons_the_channel() {
        let (ours, mut theirs) = duplex(4096);
        let mut channel = PlistChannel::new(Box::new(ours), DEVICE_FRAME_BYTES);
        let late = channel.call("QueryType", &question(), SECOND).await;
        assert!(matches!(late, Err(TransportError::Timeout { .. })), "{late:?}");
        // The late answer must not be taken for the answer to the next question.
        theirs.write_all(&plist_frame::encode(&question())).await.unwrap();
        let next = channel.call("GetValue", &question(), SECOND).await;
        assert!(matches!(next, Err(TransportError::Abandoned)), "{next:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_receive_loses_nothing() {
        let (ours, mut theirs) = duplex(4096);
        let mut channel = PlistChannel::new(Box::new(ours), DEVICE_FRAME_BYTES);
        let frame = plist_frame::encode(&question());
        theirs.write_all(&frame[..9]).await.unwrap();
        assert!(timeout(SECOND, channel.receive("event")).await.is_err());
        theirs.write_all(&frame[9..]).await.unwrap();
        assert_eq!(channel.receive("event").await.unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn garbage_from_a_device_is_an_error_not_a_hang() {
        for garbage in [&b"\xff\xff\xff\xffxxxx"[..], &b"\0\0\0\0"[..], &b"\0\0\0\x04abcd"[..]] {
            let (ours, mut theirs) = duplex(4096);
            let mut channel = PlistChannel::new(Box::new(ours), DEVICE_FRAME_BYTES);
            theirs.write_all(garbage).await.unwrap();
            assert!(channel.call("QueryType", &question(), SECOND).await.is_err());
        }
    }
}
