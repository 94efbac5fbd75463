//! BER, as much of it as CMS needs: DER plus indefinite lengths and text in chunks.
//!
//! Java, Go and streaming OpenSSL sign with indefinite lengths
//! (profiles-and-enrollment.md 1.6), so a DER reader would refuse good profiles.

/// Deepest nesting of indefinite lengths. Streaming CMS has six.
const INDEFINITE_DEPTH: usize = 32;

/// Tags of the elements CMS is made of.
pub(super) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const OCTETS: u8 = 0x04;
    pub(crate) const OCTET_CHUNKS: u8 = 0x24;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    pub(crate) const CONTEXT_0: u8 = 0xa0;
    pub(crate) const CONTEXT_0_PRIMITIVE: u8 = 0x80;
    pub(crate) const CONTEXT_1: u8 = 0xa1;
}

/// Why an element could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BerError {
    /// The input ends inside the element.
    Cut,
    /// Not what the format says.
    Malformed,
}

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// Without header and without the end mark of an indefinite length.
    pub(super) content: &'a [u8],
    /// With both.
    pub(super) raw: &'a [u8],
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub(super) fn inside(&self) -> Reader<'a> {
        Reader { input: self.content, at: 0 }
    }

    /// The bytes of an octet string, chunked or not.
    pub(super) fn octets(&self) -> Result<Vec<u8>, BerError> {
        let mut out = Vec::new();
        self.append_octets(&mut out, INDEFINITE_DEPTH)?;
        Ok(out)
    }

    fn append_octets(&self, out: &mut Vec<u8>, depth: usize) -> Result<(), BerError> {
        match self.tag {
            tag::OCTETS => out.extend_from_slice(self.content),
            tag::OCTET_CHUNKS if depth > 0 => {
                let mut chunks = self.inside();
                while let Some(chunk) = chunks.next()? {
                    chunk.append_octets(out, depth - 1)?;
                }
            }
            _ => return Err(BerError::Malformed),
        }
        Ok(())
    }
}

/// Reads elements one after the other.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.input[self.at..]
    }

    /// The next element, or none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, BerError> {
        if self.at == self.input.len() {
            return Ok(None);
        }
        let start = self.at;
        let header = Header::read(self.input, start)?;
        let (content_end, end) = match header.length {
            Some(length) => {
                let end = end_of(self.input, header.content, length)?;
                (end, end)
            }
            None => {
                let mark = end_mark(self.input, header.content)?;
                (mark, mark + 2)
            }
        };
        self.at = end;
        Ok(Some(Element {
            tag: header.tag,
            content: &self.input[header.content..content_end],
            raw: &self.input[start..end],
        }))
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'a>, BerError> {
        self.next()?.filter(|element| element.tag == tag).ok_or(BerError::Malformed)
    }

    /// The next element if it has this tag; otherwise nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, BerError> {
        match self.rest().first() {
            Some(first) if *first == tag => self.next(),
            _ => Ok(None),
        }
    }
}

struct Header {
    tag: u8,
    /// Where the content begins.
    content: usize,
    /// None: indefinite.
    length: Option<usize>,
}

impl Header {
    fn read(input: &[u8], at: usize) -> Result<Self, BerError> {
        let tag = *input.get(at).ok_or(BerError::Cut)?;
        let first = *input.get(at + 1).ok_or(BerError::Cut)?;
        // High tag numbers do not occur in CMS; indefinite needs a constructed element.
        if tag & 0x1f == 0x1f || (first == 0x80 && tag & 0x20 == 0) {
            return Err(BerError::Malformed);
        }
        let extra = usize::from(first & 0x7f);
        match first {
            0..=0x7f => Ok(Self { tag, content: at + 2, length: Some(extra) }),
            0x80 => Ok(Self { tag, content: at + 2, length: None }),
            0x81..=0x84 => {
                let digits = input.get(at + 2..at + 2 + extra).ok_or(BerError::Cut)?;
                let length = digits.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                let length = usize::try_from(length).map_err(|_| BerError::Malformed)?;
                Ok(Self { tag, content: at + 2 + extra, length: Some(length) })
            }
            _ => Err(BerError::Malformed),
        }
    }
}

fn end_of(input: &[u8], start: usize, length: usize) -> Result<usize, BerError> {
    start.checked_add(length).filter(|end| *end <= input.len()).ok_or(BerError::Cut)
}

/// Where the end mark of an indefinite length stands. Definite elements are jumped over,
/// so this is linear.
fn end_mark(input: &[u8], start: usize) -> Result<usize, BerError> {
    let (mut at, mut depth) = (start, 1);
    loop {
        if input.get(at..).is_some_and(|rest| rest.starts_with(&[0, 0])) {
            depth -= 1;
            if depth == 0 {
                return Ok(at);
            }
            at += 2;
            continue;
        }
        let header = Header::read(input, at)?;
        match header.length {
            Some(length) => at = end_of(input, header.content, length)?,
            None if depth < INDEFINITE_DEPTH => (depth, at) = (depth + 1, header.content),
            None => return Err(BerError::Malformed),
        }
    }
}

/// Writes one element in DER.
pub(super) fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    let digits = length.to_be_bytes();
    let digits = &digits[digits.iter().take_while(|byte| **byte == 0).count()..];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        out.push(0x80 | digits.len() as u8);
        out.extend_from_slice(digits);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// Writes one constructed element with indefinite length.
pub(super) fn write_indefinite(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[tag, 0x80], parts.concat().as_slice(), &[0, 0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_every_form_are_read() {
        for size in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = write(tag::OCTETS, &[&vec![7; size]]);
            let element = Reader::new(&bytes).expect(tag::OCTETS).unwrap();
            assert_eq!((element.content.len(), element.raw.len()), (size, bytes.len()));
            assert_eq!(Reader::new(&bytes[..bytes.len() - 1]).next().unwrap_err(), BerError::Cut);
        }
    }

    #[test]
    fn chunks_of_indefinite_length_are_joined() {
        let (one, two) = (write(tag::OCTETS, &[b"ab"]), write(tag::OCTETS, &[b"c"]));
        let inner = write_indefinite(tag::OCTET_CHUNKS, &[&two]);
        let bytes = write_indefinite(tag::OCTET_CHUNKS, &[&one, &inner]);
        let element = Reader::new(&bytes).next().unwrap().unwrap();
        assert_eq!(element.octets().unwrap(), b"abc");
        assert_eq!(Reader::new(&bytes[..bytes.len() - 1]).next().unwrap_err(), BerError::Cut);
    }

    #[test]
    fn endless_nesting_is_refused() {
        assert_eq!(Reader::new(&[0x30, 0x80].repeat(100_000)).next().unwrap_err(), BerError::Malformed);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while let Ok(Some(element)) = reader.next() {
                let _ = element.octets();
            }
        }
    }
}
