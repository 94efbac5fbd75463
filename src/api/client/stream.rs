//! Server-sent events, bytes to messages: the parts of the format that a station uses, and no
//! more memory than a message may have.

use super::MESSAGE_BYTES;
use std::mem::take;

/// Longest id: a station's has thirty characters. Others are forgotten.
const ID_BYTES: usize = 100;

/// A message is longer than any a station sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Message {
    /// Its kind; `message` if it does not say.
    pub(super) event: String,
    /// Its id, if it has one that can be sent back.
    pub(super) id: Option<String>,
    /// Its data.
    pub(super) data: Vec<u8>,
}

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub(super) struct Stream {
    line: Vec<u8>,
    after_return: bool,
    message: Message,
    bytes: usize,
}

impl Stream {
    /// The next whole message in `bytes`, of which what was read is taken off.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Message>, TooLong> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            // A line ends with CR, LF, or both.
            let second = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            if second {
                continue;
            }
            if !matches!(byte, b'\n' | b'\r') {
                self.line.push(byte);
                self.bytes += 1;
                if self.bytes > MESSAGE_BYTES {
                    return Err(TooLong);
                }
            } else if let Some(message) = self.end_of_line() {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn end_of_line(&mut self) -> Option<Message> {
        let line = take(&mut self.line);
        if line.is_empty() {
            self.bytes = 0;
            let message = take(&mut self.message);
            return (!message.data.is_empty()).then_some(message);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match &line[..colon] {
            b"event" => self.message.event = text(),
            b"data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push(b'\n');
                }
                self.message.data.extend_from_slice(value);
            }
            b"id" if value.len() <= ID_BYTES && value.iter().all(u8::is_ascii_graphic) => {
                self.message.id = Some(text());
            }
            // Comments, `retry`, and what is not known. They count as part of a message.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<(String, Option<String>, String)> {
        let mut stream = Stream::default();
        let mut found = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(message) = stream.next(&mut piece).unwrap() {
                found.push((message.event, message.id, String::from_utf8(message.data).unwrap()));
            }
        }
        found
    }

    fn one(event: &str, id: Option<&str>, data: &str) -> (String, Option<String>, String) {
        (event.to_owned(), id.map(str::to_owned), data.to_owned())
    }

    #[test]
    fn messages_are_whole_however_they_are_cut_and_whatever_ends_their_lines() {
        let text = "retry: 1000\n\nevent: bay\nid: a-7\ndata: {\"x\":1}\n\n: hi\n\nevent:end\ndata:{}\n\n";
        let expected = [one("bay", Some("a-7"), "{\"x\":1}"), one("end", None, "{}")];
        assert_eq!(all(&[text.as_bytes()]), expected);
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(all(&single), expected);
        for ending in ["\r\n", "\r"] {
            assert_eq!(all(&[text.replace('\n', ending).as_bytes()]), expected, "{ending:?}");
        }
        assert_eq!(all(&[b"data: a\ndata: b\n\n"]), [one("", None, "a\nb")]);
        assert_eq!(all(&[b"event: x\n\ndata\n\nid: 7\n\n"]), [], "without data there is no message");
        assert_eq!(all(&[b"id: a\x1bb\ndata: 1\n\n"]), [one("", None, "1")]);
        assert_eq!(all(&[b"data: unfinished"]), []);
    }

    #[test]
    fn an_endless_message_is_given_up() {
        for part in [&b"x"[..], b"data: x\n", b"id: 12345\n", b": comment\n", b"event: e\n"] {
            let piece = part.repeat(4096);
            let mut stream = Stream::default();
            let mut read = 0;
            let given_up = loop {
                read += piece.len();
                match stream.next(&mut &*piece) {
                    Ok(None) => assert!(read < 2 * MESSAGE_BYTES, "{part:?}"),
                    Ok(Some(message)) => panic!("{message:?}"),
                    Err(TooLong) => break read,
                }
            };
            assert!(given_up > MESSAGE_BYTES / 2, "{part:?}");
        }
    }
}
