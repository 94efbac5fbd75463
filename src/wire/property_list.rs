//! Property lists, bounded: size, depth and object budget before the plist crate sees
//! a byte.
//!
//! The crate alone can be made to exhaust memory with 209 bytes, to overflow its stack,
//! and to lose text silently (profiles-and-enrollment.md 1.2). So a scanner of ours walks
//! the input first, without recursion and in linear time, and refuses what the crate
//! would mishandle; only then does the crate build the value.

mod binary;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod keys;
#[cfg(test)]
mod tests;
mod xml;

use crate::limits;
pub use plist::{Dictionary, Value};
use std::borrow::Cow;

/// What a property list may cost (profiles-and-enrollment.md 1.2).
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Longest input, in bytes; also the most bytes of text and data a binary list may
    /// unfold to once shared references are followed each time.
    pub bytes: usize,
    /// Deepest nesting of arrays and dictionaries; a lone dictionary has depth 1.
    pub depth: usize,
    /// Most objects, keys included, once shared references are unfolded.
    pub objects: usize,
}

impl Budget {
    /// For one frame of a device service (protocols.md 3.1).
    pub const DEVICE: Self = Self {
        bytes: limits::DEVICE_FRAME_BYTES,
        depth: limits::PLIST_DEPTH,
        objects: limits::PLIST_OBJECTS,
    };

    /// For a profile file (L48).
    pub const PROFILE: Self = Self {
        bytes: limits::PROFILE_REFUSE_BYTES,
        depth: limits::PLIST_DEPTH,
        objects: limits::PLIST_OBJECTS,
    };
}

/// Why a property list was refused. No variant holds text of the input, which may be
/// secret.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PlistError {
    /// There are no bytes.
    #[error("the property list is empty")]
    Empty,
    /// Neither XML nor a binary property list.
    #[error("this is not a property list, neither XML nor binary")]
    NotPlist,
    /// Longer than [`Budget::bytes`].
    #[error("the property list has {bytes} bytes; the limit is {limit}")]
    TooLong {
        /// Length of the input.
        bytes: usize,
        /// The budget.
        limit: usize,
    },
    /// The input ends in the middle.
    #[error("the property list is cut off after {offset} bytes")]
    Truncated {
        /// Bytes that are there.
        offset: usize,
    },
    /// Nested deeper than [`Budget::depth`].
    #[error("the property list nests deeper than {limit} levels (at byte {offset})")]
    TooDeep {
        /// The budget.
        limit: usize,
        /// Where the level too many begins.
        offset: usize,
    },
    /// More objects than [`Budget::objects`], shared ones counted each time.
    #[error("the property list unfolds to more than {limit} objects")]
    TooManyObjects {
        /// The budget.
        limit: usize,
    },
    /// Shared text and data would unfold to more than [`Budget::bytes`].
    #[error("the property list unfolds to more than {limit} bytes")]
    TooMuchData {
        /// The budget.
        limit: usize,
    },
    /// A definition inside the DOCTYPE; the crate would take every entity as empty text.
    #[error("the property list defines entities of its own (at byte {offset}); no real export does")]
    EntityDefinition {
        /// Where the definition begins.
        offset: usize,
    },
    /// An entity that XML itself does not define; the crate would drop it silently.
    #[error("the property list uses an unknown entity at byte {offset}")]
    UnknownEntity {
        /// Where the `&` stands.
        offset: usize,
    },
    /// A CDATA section; the crate would lose its text silently.
    #[error("the property list holds a CDATA section at byte {offset}, which would be lost")]
    Cdata {
        /// Where it begins.
        offset: usize,
    },
    /// Something follows the end of the list.
    #[error("something follows the end of the property list at byte {offset}")]
    TrailingData {
        /// First byte that does not belong.
        offset: usize,
    },
    /// The bytes are not the UTF-8 text they should be.
    #[error("the text of the property list is not UTF-8 (at byte {offset})")]
    Encoding {
        /// First wrong byte.
        offset: usize,
    },
    /// An array or dictionary of a binary list contains itself.
    #[error("the binary property list contains itself (object at byte {offset})")]
    Recursive {
        /// Where the object begins.
        offset: usize,
    },
    /// Offsets, lengths or types of a binary list do not fit together.
    #[error("the binary property list is damaged or cut off: {what} (at byte {offset})")]
    Damaged {
        /// What does not fit.
        what: &'static str,
        /// Where it stands.
        offset: usize,
    },
    /// Ill-formed XML, or elements that make no property list.
    #[error("the property list is malformed: {detail}")]
    Malformed {
        /// Where and what, without any text of the input.
        detail: String,
    },
}

impl PlistError {
    /// Whether the list broke a bound or a rule of safety (L48), rather than being
    /// damaged.
    pub fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Self::TooLong { .. }
                | Self::TooDeep { .. }
                | Self::TooManyObjects { .. }
                | Self::TooMuchData { .. }
                | Self::EntityDefinition { .. }
                | Self::UnknownEntity { .. }
                | Self::Recursive { .. }
        )
    }

    fn malformed(what: &str, offset: usize) -> Self {
        Self::Malformed { detail: format!("{what} at byte {offset}") }
    }
}

/// Parses an XML or binary property list. Costs time and memory in proportion to the
/// input and the budget, whatever the input.
pub fn parse(bytes: &[u8], budget: Budget) -> Result<Value, PlistError> {
    if bytes.len() > budget.bytes {
        return Err(PlistError::TooLong { bytes: bytes.len(), limit: budget.bytes });
    }
    if bytes.is_empty() {
        return Err(PlistError::Empty);
    }
    if bytes.starts_with(b"bplist") {
        binary::check(bytes, budget)?;
        #[allow(clippy::disallowed_methods)] // checked above
        let read = Value::from_reader(std::io::Cursor::new(bytes));
        return read.map_err(|error| crate_error(&error, bytes.len()));
    }
    let xml = xml::check(bytes, budget)?;
    #[allow(clippy::disallowed_methods)] // checked above
    Value::from_reader_xml(xml).map_err(|error| crate_error(&error, bytes.len()))
}

/// The paths, such as `PayloadContent[0].URL`, of at most `most` keys that stand twice in
/// one dictionary of an XML list; the last one counts (L10). None for what is not sound XML.
pub fn duplicate_keys(bytes: &[u8], budget: Budget, most: usize) -> Vec<String> {
    if bytes.len() > budget.bytes || bytes.starts_with(b"bplist") {
        return Vec::new();
    }
    xml::check(bytes, budget).map_or_else(|_| Vec::new(), |xml| keys::duplicates(xml, most))
}

/// Parses a device's answer, XML or binary: where XML fails, it is tried again without
/// the control characters that device strings may hold (protocols.md 3.1).
pub fn parse_answer(bytes: &[u8], budget: Budget) -> Result<Value, PlistError> {
    parse(bytes, budget).or_else(|error| match without_controls(bytes) {
        Cow::Owned(cleaned) if !bytes.starts_with(b"bplist") => parse(&cleaned, budget).map_err(|_| error),
        _ => Err(error),
    })
}

/// Writes XML as Apple's tools do. A `Uid`, which XML cannot express, makes the result
/// empty; nothing of ours builds one.
pub fn to_xml(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match plist::to_writer_xml(&mut out, value) {
        Ok(()) => out,
        Err(_) => Vec::new(),
    }
}

fn without_controls(bytes: &[u8]) -> Cow<'_, [u8]> {
    let legal = |byte: &u8| *byte >= 0x20 || matches!(*byte, 9 | 10 | 13);
    match bytes.iter().all(legal) {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(bytes.iter().copied().filter(legal).collect()),
    }
}

/// The crate's text names a kind and an offset, never content.
fn crate_error(error: &plist::Error, length: usize) -> PlistError {
    match error.is_eof() {
        true => PlistError::Truncated { offset: length },
        false => PlistError::Malformed { detail: error.to_string() },
    }
}
