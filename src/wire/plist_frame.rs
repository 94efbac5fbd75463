//! Length-prefixed property lists: the frame of lockdown and of its services.
//!
//! A big-endian `u32` length, then a property list of that many bytes (protocols.md 3.1,
//! 4.1). The decoder grows only with bytes that really came in, so a lying length costs
//! its sender the bytes and us nothing.

use super::property_list;
use plist::Value;

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// A length of zero, which the protocol does not have (3.1: the device rejects it).
    #[error("a frame of length 0")]
    Empty,
    /// The announced length exceeds the limit for this conversation.
    #[error("a frame of {announced} bytes, larger than the limit of {limit}")]
    TooLong {
        /// Length the peer announced, in bytes.
        announced: usize,
        /// Limit of this conversation, in bytes.
        limit: usize,
    },
}

/// Encodes one frame with an XML property list.
pub fn encode(value: &Value) -> Vec<u8> {
    let body = property_list::to_xml(value);
    let mut frame = Vec::with_capacity(body.len() + 4);
    // A body cannot exceed u32: the largest thing we send is a profile (limits.rs).
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// Cuts a byte stream into frames. Keeps partial input, so a cancelled read loses nothing.
#[derive(Debug)]
pub struct FrameDecoder {
    limit: usize,
    buffer: Vec<u8>,
}

impl FrameDecoder {
    /// A decoder that refuses frames longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new() }
    }

    /// Takes bytes as they come from the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where a reader may append bytes as they come, instead of [`FrameDecoder::feed`].
    pub fn spare(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// True if a frame has begun and is not complete: the stream may not end here.
    pub fn is_midway(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next complete frame's body, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// [`FrameError`] as soon as a length is seen that cannot be right; the stream is of
    /// no use afterwards.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let announced = u32::from_be_bytes(*prefix) as usize;
        if announced == 0 {
            return Err(FrameError::Empty);
        }
        if announced > self.limit {
            return Err(FrameError::TooLong { announced, limit: self.limit });
        }
        let end = 4 + announced;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let body = self.buffer[4..end].to_vec();
        self.buffer.drain(..end);
        if self.buffer.is_empty() {
            // A connection lives for minutes after its one large answer; give it back.
            self.buffer = Vec::new();
        }
        Ok(Some(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_survive_any_cut_of_the_stream() {
        let value = Value::String("Trust".into());
        let stream: Vec<u8> = [encode(&value), encode(&value)].concat();
        for cut in 0..stream.len() {
            let mut decoder = FrameDecoder::new(1000);
            let mut bodies = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                decoder.feed(part);
                while let Some(body) = decoder.next_frame().unwrap() {
                    bodies.push(body);
                }
            }
            assert_eq!(bodies.len(), 2, "cut at {cut}");
            assert!(!decoder.is_midway());
        }
    }

    #[test]
    fn a_lying_length_is_refused_before_anything_is_allocated() {
        let mut decoder = FrameDecoder::new(crate::limits::DEVICE_FRAME_BYTES);
        decoder.feed(&0x30_0001_u32.to_be_bytes());
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong { announced: 0x30_0001, limit: 0x30_0000 }));
        let mut decoder = FrameDecoder::new(10);
        decoder.feed(&[0; 4]);
        assert_eq!(decoder.next_frame(), Err(FrameError::Empty));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = FrameDecoder::new(64);
            decoder.feed(&bytes);
            while let Ok(Some(body)) = decoder.next_frame() {
                prop_assert!(body.len() <= 64);
            }
        }
    }
}
