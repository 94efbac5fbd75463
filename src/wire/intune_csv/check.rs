//! Checks a file of identifiers line by line, before a portal refuses it whole.

use super::{CsvKind, MOST_BYTES, MOST_DETAILS, MOST_ROWS, is_imei, serial_of, shown};
use std::collections::HashMap;

/// Findings that are kept; a file of the wrong kind would draw one a line.
const MOST_FINDINGS: usize = 1000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CsvSeverity {
    /// Intune refuses it, or takes it wrongly.
    Error,
    /// It may.
    Warning,
}

impl CsvSeverity {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFinding {
    /// Line, from 1; `None` for the file as a whole.
    pub line: Option<usize>,
    /// How bad.
    pub severity: CsvSeverity,
    /// What.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

struct Checker {
    kind: CsvKind,
    found: Vec<CsvFinding>,
    first_seen: HashMap<String, usize>,
    rows: usize,
    /// Line of the first serial number, and of the first IMEI.
    serial: Option<usize>,
    imei: Option<usize>,
}

/// Everything wrong with the file, by line.
pub fn check(kind: CsvKind, bytes: &[u8]) -> Vec<CsvFinding> {
    let mut checker =
        Checker { kind, found: Vec::new(), first_seen: HashMap::new(), rows: 0, serial: None, imei: None };
    checker.file(bytes);
    checker.found.truncate(MOST_FINDINGS);
    checker.found.sort_by_key(|f| f.line);
    checker.found
}

impl Checker {
    fn error(&mut self, line: Option<usize>, message: impl Into<String>, remedy: &'static str) {
        self.push(line, CsvSeverity::Error, message.into(), remedy);
    }

    fn warning(&mut self, line: Option<usize>, message: impl Into<String>, remedy: &'static str) {
        self.push(line, CsvSeverity::Warning, message.into(), remedy);
    }

    fn push(&mut self, line: Option<usize>, severity: CsvSeverity, message: String, remedy: &'static str) {
        if self.found.len() < MOST_FINDINGS {
            self.found.push(CsvFinding { line, severity, message, remedy });
        }
    }

    fn file(&mut self, bytes: &[u8]) {
        if self.kind == CsvKind::CorporateIdentifiers && bytes.len() > MOST_BYTES {
            let message = format!("The file has {} bytes; 5 MB are allowed (R187).", bytes.len());
            self.error(None, message, "Split it into several files.");
        }
        let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let bare = bytes.strip_prefix(b"\xef\xbb\xbf");
        if utf16 || bare.is_some() {
            let message =
                "The file begins with a byte order mark, which becomes part of the first identifier.";
            self.error(Some(1), message, "Save it as UTF-8 without BOM.");
        }
        let text = match std::str::from_utf8(bare.unwrap_or(bytes)) {
            Ok(text) => text,
            Err(error) => {
                let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|b| **b == b'\n').count();
                return self.error(Some(line), "The file is not UTF-8.", "Save it as UTF-8 without BOM.");
            }
        };
        if text.contains('\r') && !text.contains('\n') {
            let message = "Lines end with CR alone.";
            return self.error(None, message, "Save it with line ends of Unix or Windows.");
        }
        let lines = text.strip_suffix('\n').unwrap_or(text);
        for (at, line) in lines.split('\n').enumerate() {
            self.line(at + 1, line.strip_suffix('\r').unwrap_or(line));
        }
        self.whole();
    }

    fn whole(&mut self) {
        if self.rows == 0 {
            self.error(None, "The file has no rows.", "List at least one device.");
        }
        if self.rows > MOST_ROWS {
            let message = format!("The file has {} rows; {MOST_ROWS} are allowed (R49, R187).", self.rows);
            self.error(Some(MOST_ROWS + 1), message, "Split it into several files.");
        }
        if let (Some(serial), Some(imei)) = (self.serial, self.imei) {
            let message = format!(
                "The file mixes serial numbers (first in line {serial}) and IMEIs (first in line {imei}); one type a file is allowed (R187)."
            );
            self.error(Some(serial.max(imei)), message, "Put each type into a file of its own.");
        }
    }

    fn line(&mut self, at: usize, line: &str) {
        let here = Some(at);
        if line.trim().is_empty() {
            return self.error(here, "The line is empty.", "Delete it.");
        }
        self.rows += 1;
        if line.contains('"') {
            self.warning(
                here,
                "The line has quotes; whether they are understood is not known.",
                "Leave them out.",
            );
        }
        let columns: Vec<&str> = line.split(',').collect();
        let (identifier, details) = match columns[..] {
            [identifier, details] => (identifier, details),
            [only] if only.contains([';', '\t']) => {
                return self.error(
                    here,
                    "The columns are not separated by a comma.",
                    "Separate them by a comma.",
                );
            }
            [_] => {
                return self.error(
                    here,
                    "There is one column.",
                    "Put a comma after the identifier; the details may be empty.",
                );
            }
            _ => {
                let message = format!("There are {} columns; two are allowed.", columns.len());
                return self.error(here, message, "Take commas out of the details.");
            }
        };
        if at == 1 && is_header(identifier) {
            return self.error(here, "The first line is a header.", "Delete it.");
        }
        if self.kind == CsvKind::CorporateIdentifiers && details.chars().count() > MOST_DETAILS {
            let message = format!(
                "The details have {} characters; {MOST_DETAILS} are allowed (R188).",
                details.chars().count()
            );
            self.error(here, message, "Shorten them.");
        }
        self.identifier(at, identifier.trim_matches('"'));
    }

    fn identifier(&mut self, at: usize, text: &str) {
        let here = Some(at);
        let bare = text.trim();
        if bare != text {
            self.error(here, "There are blanks around the identifier.", "Take them out.");
        }
        let plain = bare.replace('.', "");
        if plain != bare {
            self.error(here, "The identifier has periods (R188).", "Take all periods out.");
        }
        if is_imei(&plain) {
            self.imei = self.imei.or(here);
            if self.kind == CsvKind::ConfiguratorSerials {
                self.error(here, format!("{plain} is an IMEI."), "List the serial number.");
            }
        } else if serial_of(&plain) {
            self.serial = self.serial.or(here);
            if plain.bytes().any(|b| b.is_ascii_lowercase()) {
                self.warning(here, "The serial number has small letters.", "Write it in capitals.");
            }
        } else {
            let message = format!("'{}' is neither a serial number nor an IMEI.", shown(bare));
            self.error(here, message, "Compare it with Settings > General > About on the device.");
        }
        let same = self.first_seen.entry(plain.to_ascii_uppercase()).or_insert(at);
        if *same != at {
            let message = format!("The identifier stands in line {same} already; only the first counts.");
            self.warning(here, message, "Delete one of them.");
        }
    }
}

fn is_header(identifier: &str) -> bool {
    let word: String =
        identifier.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    [
        "serial",
        "serialnumber",
        "serialnumbers",
        "identifier",
        "imei",
        "imeinumber",
        "device",
        "deviceidentifier",
    ]
    .contains(&word.as_str())
}
