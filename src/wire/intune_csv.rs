//! Files of device identifiers for Intune, written and checked to the letter of
//! profiles-and-enrollment.md 3.7: two columns, no header, no quotes, one type a file.
//!
//! Whether Intune reads quotes is (unconfirmed), so none are written; which length of an IMEI
//! it wants is too, so the caller says it.

mod check;
#[cfg(test)]
mod tests;

pub use check::{CsvFinding, CsvSeverity, check};

use std::collections::HashSet;

/// Most rows a file may have (3.7).
pub const MOST_ROWS: usize = 5000;

/// Most bytes a file of corporate identifiers may have (3.7). Read as 5,000,000: the smaller
/// meaning of 5 MB is right either way.
pub const MOST_BYTES: usize = 5_000_000;

/// Most characters of the details of a corporate identifier (3.7).
pub const MOST_DETAILS: usize = 128;

/// Longest serial number that is written: Apple's have 10 to 12 characters, other makers' a
/// few more.
const SERIAL_CHARS: std::ops::RangeInclusive<usize> = 8..=24;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsvKind {
    /// Serial numbers for Apple Configurator enrollment profiles.
    ConfiguratorSerials,
    /// Corporate device identifiers.
    CorporateIdentifiers,
}

/// What identifies a device in a file; never mixed (R187).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentifierType {
    /// The serial number; preferred (R189).
    Serial,
    /// An IMEI of this many digits.
    Imei(ImeiDigits),
}

/// How many digits of an IMEI are written: with the check digit or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImeiDigits {
    /// As older documents ask.
    Fourteen,
    /// All.
    Fifteen,
}

/// A device to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvRow {
    /// Serial number or IMEI, as the device tells it.
    pub identifier: String,
    /// Free text.
    pub details: String,
}

/// Why a row cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvRowError {
    /// No serial number.
    #[error("'{0}' is not a serial number: it has {n} to {m} letters and digits", n = SERIAL_CHARS.start(), m = SERIAL_CHARS.end())]
    Serial(String),
    /// Only digits: Intune would take it for an IMEI.
    #[error("the serial number {0} looks like an IMEI; list it in a file of its own, by hand")]
    SerialOfDigits(String),
    /// No IMEI.
    #[error("'{0}' is not an IMEI: it has 14 or 15 digits")]
    Imei(String),
    /// The IMEI came without its check digit.
    #[error("the IMEI {0} has 14 digits, and 15 are wanted")]
    ImeiShort(String),
    /// Details too long (R188).
    #[error("the details have {0} characters; {MOST_DETAILS} are allowed")]
    Details(usize),
}

/// Files to write, and what was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CsvFiles {
    /// Contents, each within all limits.
    pub files: Vec<String>,
    /// How many rows each has.
    pub rows: Vec<usize>,
    /// Rows that repeat an identifier; the first one counts.
    pub repeated: usize,
    /// Rows that cannot be written, by their place, and why.
    pub refused: Vec<(usize, CsvRowError)>,
}

/// Writes rows: UTF-8 without a mark, lines that end with LF, a comma between the columns.
pub fn write(kind: CsvKind, of: IdentifierType, rows: &[CsvRow]) -> CsvFiles {
    let mut out = CsvFiles::default();
    let mut seen = HashSet::new();
    for (place, row) in rows.iter().enumerate() {
        let line = identifier(of, &row.identifier).and_then(|id| Ok((details(kind, &row.details)?, id)));
        match line {
            Err(error) => out.refused.push((place, error)),
            Ok((_, id)) if seen.contains(&id) => out.repeated += 1,
            Ok((details, id)) => {
                out.push(&format!("{id},{details}\n"));
                seen.insert(id);
            }
        }
    }
    out
}

impl CsvFiles {
    fn push(&mut self, line: &str) {
        let full =
            |(text, rows): (&String, &usize)| *rows >= MOST_ROWS || text.len() + line.len() > MOST_BYTES;
        if self.files.last().zip(self.rows.last()).is_none_or(full) {
            self.files.push(String::new());
            self.rows.push(0);
        }
        if let (Some(text), Some(rows)) = (self.files.last_mut(), self.rows.last_mut()) {
            text.push_str(line);
            *rows += 1;
        }
    }
}

fn identifier(of: IdentifierType, text: &str) -> Result<String, CsvRowError> {
    let text = text.trim();
    match of {
        // Upper case: need (unconfirmed), harmless.
        IdentifierType::Serial => {
            let serial = text.replace('.', "").to_ascii_uppercase();
            match serial_of(&serial) {
                true if is_imei(&serial) => Err(CsvRowError::SerialOfDigits(serial)),
                true => Ok(serial),
                false => Err(CsvRowError::Serial(shown(text))),
            }
        }
        IdentifierType::Imei(digits) => {
            let imei: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
            match (is_imei(&imei), digits) {
                (false, _) => Err(CsvRowError::Imei(shown(text))),
                (true, ImeiDigits::Fourteen) => Ok(imei.chars().take(14).collect()),
                (true, ImeiDigits::Fifteen) if imei.len() == 15 => Ok(imei),
                (true, ImeiDigits::Fifteen) => Err(CsvRowError::ImeiShort(imei)),
            }
        }
    }
}

fn serial_of(text: &str) -> bool {
    SERIAL_CHARS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_imei(text: &str) -> bool {
    (14..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// No comma, no quote, no line end: none of them needs quoting then.
fn details(kind: CsvKind, text: &str) -> Result<String, CsvRowError> {
    let plain = |c: char| match c {
        ',' => ';',
        '"' => '\'',
        c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => ' ',
        c => c,
    };
    let details: String = text.trim().chars().map(plain).collect();
    let chars = details.chars().count();
    match kind {
        CsvKind::CorporateIdentifiers if chars > MOST_DETAILS => Err(CsvRowError::Details(chars)),
        _ => Ok(details),
    }
}

fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    crate::wire::printable::printable(&text.chars().take(SHOWN).collect::<String>())
}
