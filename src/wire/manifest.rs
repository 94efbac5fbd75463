//! The manifest of a batch: a CSV file that a person wrote or a system exported, one device a
//! line, known by serial number or IMEI.
//!
//! Spreadsheets differ: a byte order mark, `;` or tabs for commas, `Serial Number` for
//! `serial`, a line `sep=;` on top, lines that end with CR alone are all taken. What could mean
//! two things is not.

#[cfg(test)]
mod tests;

use super::printable::printable;
use crate::limits::{MANIFEST_BYTES, MANIFEST_FAULTS, MANIFEST_ROWS};
use csv::{ByteRecord, ReaderBuilder, Trim};
use std::collections::HashMap;
use std::fmt;

/// Letters and digits of a serial number: Apple's have 10 to 12, other makers' a few more.
const SERIAL_CHARS: std::ops::RangeInclusive<usize> = 8..=24;

/// Longest name, tag or blueprint, in characters. A device shows no more of a name.
const TEXT_CHARS: usize = 63;

/// Columns, each with every name that is taken for it; blanks, `_`, `-` and case do not count.
const COLUMNS: &[(Column, &[&str])] = &[
    (Column::Serial, &["serial", "serialnumber", "serialno", "sn"]),
    (Column::Imei, &["imei", "imei1"]),
    (Column::Name, &["name", "devicename"]),
    (Column::Tag, &["tag", "tags", "assettag"]),
    (Column::Blueprint, &["blueprint"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    Serial,
    Imei,
    Name,
    Tag,
    Blueprint,
}

/// A device that is expected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManifestRow {
    /// Its line in the file, from 1.
    pub line: u32,
    /// Serial number, in capitals.
    pub serial: Option<String>,
    /// IMEI, 14 or 15 digits.
    pub imei: Option<String>,
    /// What it is to be called.
    pub name: Option<String>,
    /// Tag.
    pub tag: Option<String>,
    /// Blueprint that it is to get.
    pub blueprint: Option<String>,
}

/// Something wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFault {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Why a manifest cannot be used. None of it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It has no line, or a heading alone.
    #[error("it lists no device")]
    Empty,
    /// It is larger than any list of [`MANIFEST_ROWS`] devices.
    #[error("it is larger than {MANIFEST_BYTES} bytes")]
    TooLarge,
    /// It lists too many devices.
    #[error("it lists more than {MANIFEST_ROWS} devices; split it into several batches")]
    TooMany,
    /// It is text of another form.
    #[error("it is saved as UTF-16; save it as CSV in UTF-8")]
    Utf16,
    /// Lines are wrong.
    #[error("{}", told(faults, *more))]
    Faults {
        /// The first of them.
        faults: Vec<ManifestFault>,
        /// How many there are beside these.
        more: usize,
    },
}

fn told(faults: &[ManifestFault], more: usize) -> String {
    let mut words = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if more > 0 {
        words.push_str(&format!("; and {more} more lines are wrong"));
    }
    words
}

/// Reads a manifest.
///
/// # Errors
/// [`ManifestError`], with the lines that are wrong.
pub fn read(bytes: &[u8]) -> Result<Vec<ManifestRow>, ManifestError> {
    if bytes.len() > MANIFEST_BYTES {
        return Err(ManifestError::TooLarge);
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(ManifestError::Utf16);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let (delimiter, body, skipped) = delimiter(bytes);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(body);
    let mut lines = Lines { body, counted: 0, line: 1 };
    let mut reading = Reading::default();
    let mut columns = None;
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            // A slice gives no error of reading, and lines may have any number of fields.
            Err(_) => return Err(ManifestError::Empty),
        }
        let line = lines.of(record.position().map_or(0, csv::Position::byte)) + skipped;
        if record.iter().all(<[u8]>::is_empty) {
            continue;
        }
        match &columns {
            None => columns = Some(heading(&record).map_err(|reason| fault(line, reason))?),
            Some(columns) => reading.line(line, &record, columns),
        }
        if reading.rows.len() > MANIFEST_ROWS {
            return Err(ManifestError::TooMany);
        }
    }
    reading.finish()
}

/// Counts lines. The csv crate's own count is one short where lines end with CR and LF.
struct Lines<'a> {
    body: &'a [u8],
    counted: usize,
    line: u32,
}

impl Lines<'_> {
    /// The line of the first byte from `place` on that ends none; places only grow.
    fn of(&mut self, place: u64) -> u32 {
        let place = usize::try_from(place).unwrap_or(usize::MAX).max(self.counted);
        let rest = self.body.get(place..).unwrap_or_default();
        let begin = place + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = self.body.get(self.counted..begin).unwrap_or_default();
        // What follows `passed` ends no line, so no pair of CR and LF is torn here.
        let is_end = |(place, byte): (usize, &u8)| match byte {
            b'\n' => true,
            b'\r' => passed.get(place + 1) != Some(&b'\n'),
            _ => false,
        };
        let ends = passed.iter().enumerate().filter(|at| is_end(*at)).count();
        self.line = self.line.saturating_add(u32::try_from(ends).unwrap_or(u32::MAX));
        self.counted = begin;
        self.line
    }
}

fn fault(line: u32, reason: String) -> ManifestError {
    ManifestError::Faults { faults: vec![ManifestFault { line, reason }], more: 0 }
}

/// What stands between columns, the text without a line that only says so, and how many lines
/// that was.
fn delimiter(bytes: &[u8]) -> (u8, &[u8], u32) {
    let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let first = bytes.get(..end).unwrap_or_default().trim_ascii();
    if let Some([delimiter]) = first.strip_prefix(b"sep=") {
        let rest = bytes.get(end..).unwrap_or_default();
        let body = rest.strip_prefix(b"\r\n").or(rest.get(1..)).unwrap_or_default();
        return (*delimiter, body, 1);
    }
    let count = |delimiter: u8| first.iter().filter(|b| **b == delimiter).count();
    let most = [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| count(*d)).unwrap_or(b',');
    (most, bytes, 0)
}

/// The columns that the first line names.
fn heading(record: &ByteRecord) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for field in record {
        let shown = printable(&String::from_utf8_lossy(field));
        let plain: String =
            shown.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let known = COLUMNS.iter().find(|(_, names)| names.contains(&plain.as_str()));
        let Some((column, names)) = known else {
            return Err(format!(
                "there is no column '{shown}'; the first line names the columns, which are serial, imei, \
                 name, tag and blueprint"
            ));
        };
        if columns.contains(column) {
            return Err(format!("the column {} is there twice", names.first().unwrap_or(&"")));
        }
        columns.push(*column);
    }
    match columns.contains(&Column::Serial) || columns.contains(&Column::Imei) {
        true => Ok(columns),
        false => Err("there is neither a column serial nor a column imei".to_owned()),
    }
}

#[derive(Default)]
struct Reading {
    rows: Vec<ManifestRow>,
    faults: Vec<ManifestFault>,
    more: usize,
    /// Line by serial number and by the first 14 digits of the IMEI.
    seen: HashMap<String, u32>,
}

impl Reading {
    fn line(&mut self, line: u32, record: &ByteRecord, columns: &[Column]) {
        match self.row(line, record, columns) {
            Ok(row) => self.rows.push(row),
            Err(reason) if self.faults.len() < MANIFEST_FAULTS => {
                self.faults.push(ManifestFault { line, reason });
            }
            Err(_) => self.more += 1,
        }
    }

    fn row(&mut self, line: u32, record: &ByteRecord, columns: &[Column]) -> Result<ManifestRow, String> {
        // Spreadsheets pad lines with empty fields, and leave empty ones out at the end.
        let extra = record.iter().skip(columns.len()).any(|field| !field.is_empty());
        if extra {
            return Err(format!("it has {} fields, the first line {}", record.len(), columns.len()));
        }
        let mut row = ManifestRow { line, ..ManifestRow::default() };
        for (column, field) in columns.iter().zip(record) {
            let text = std::str::from_utf8(field).map_err(|_| "it is not text in UTF-8".to_owned())?;
            if text.is_empty() {
                continue;
            }
            let slot = match column {
                Column::Serial => &mut row.serial,
                Column::Imei => &mut row.imei,
                Column::Name => &mut row.name,
                Column::Tag => &mut row.tag,
                Column::Blueprint => &mut row.blueprint,
            };
            *slot = Some(match column {
                Column::Serial => serial(text)?,
                Column::Imei => imei(text)?,
                Column::Name => short(text, "name")?,
                Column::Tag => short(text, "tag")?,
                Column::Blueprint => short(text, "blueprint")?,
            });
        }
        if row.serial.is_none() && row.imei.is_none() {
            return Err("it has neither a serial number nor an IMEI".to_owned());
        }
        self.once(line, row.serial.as_deref(), "serial number")?;
        self.once(line, row.imei.as_deref().map(without_check_digit), "IMEI")?;
        Ok(row)
    }

    fn once(&mut self, line: u32, key: Option<&str>, what: &str) -> Result<(), String> {
        let Some(key) = key else { return Ok(()) };
        match self.seen.insert(format!("{what} {key}"), line) {
            None => Ok(()),
            Some(first) => {
                self.seen.insert(format!("{what} {key}"), first);
                Err(format!("it repeats the {what} {key} of line {first}"))
            }
        }
    }

    fn finish(self) -> Result<Vec<ManifestRow>, ManifestError> {
        match (self.rows.is_empty(), self.faults.is_empty()) {
            (_, false) => Err(ManifestError::Faults { faults: self.faults, more: self.more }),
            (true, true) => Err(ManifestError::Empty),
            (false, true) => Ok(self.rows),
        }
    }
}

/// The part of an IMEI that always is there.
pub fn without_check_digit(imei: &str) -> &str {
    imei.get(..14).unwrap_or(imei)
}

fn serial(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric()) && SERIAL_CHARS.contains(&text.len());
    match plain {
        true => Ok(text.to_ascii_uppercase()),
        false => Err(format!(
            "'{}' is no serial number: it has {} to {} letters and digits",
            printable(text),
            SERIAL_CHARS.start(),
            SERIAL_CHARS.end()
        )),
    }
}

fn imei(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '/')).collect();
    let shown = printable(text);
    if digits.contains(['E', 'e']) && digits.contains('+') {
        return Err(format!("the spreadsheet rounded the IMEI to {shown}: format the column as text"));
    }
    if !(14..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("'{shown}' is no IMEI: it has 14 or 15 digits"));
    }
    match digits.len() == 15 && !passes_luhn(&digits) {
        true => Err(format!("the check digit of the IMEI {shown} is wrong")),
        false => Ok(digits),
    }
}

fn passes_luhn(digits: &str) -> bool {
    let value = |(place, digit): (usize, u8)| {
        let digit = u32::from(digit - b'0');
        let doubled = digit * 2;
        if place % 2 == 0 { digit } else { doubled / 10 + doubled % 10 }
    };
    digits.bytes().rev().enumerate().map(value).sum::<u32>() % 10 == 0
}

fn short(text: &str, what: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length > TEXT_CHARS {
        return Err(format!("the {what} has {length} characters; {TEXT_CHARS} are allowed"));
    }
    match text.chars().any(char::is_control) {
        true => Err(format!("the {what} has a character that cannot be shown")),
        false => Ok(text.to_owned()),
    }
}
