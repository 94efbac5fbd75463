//! The list of Macs of a batch: CSV with serial number and name.

use crate::api::view::Exit;
use crate::api::{OperationError, system_words};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most Macs of one sheet, as Intune's own lists of serial numbers (R187).
const MACS: usize = 5000;

/// Longest list, in bytes: 200 a line.
const BYTES: usize = 1 << 20;

/// Longest serial number; today's have 8 to 12 letters.
const SERIAL_CHARS: usize = 20;

/// Longest name that fits its column.
const NAME_CHARS: usize = 80;

/// A Mac of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Serial number, in capital letters.
    pub(super) serial: String,
    /// Name, or nothing.
    pub(super) name: String,
}

/// Reads the list.
///
/// # Errors
/// It cannot be read, or a line is no Mac.
pub(super) fn read(path: &Path) -> Result<Vec<Row>, OperationError> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|f| f.take(BYTES as u64 + 1).read_to_end(&mut bytes));
    opened.map_err(|error| wrong(format!("Cannot read {shown}: {}.", system_words(&error))))?;
    if bytes.len() > BYTES {
        return Err(wrong(format!("{shown} is longer than {BYTES} bytes.")));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong(format!("{shown} is not UTF-8 text.")))?;
    rows(&text).map_err(|problem| wrong(format!("{shown}: {problem}.")))
}

fn wrong(said: String) -> OperationError {
    let next = "Give a CSV file with a serial number and a name on each line.";
    OperationError::new(Exit::Usage, said, next)
}

fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let cells = cells(line).ok_or_else(|| format!("line {} has an open quote", n + 1))?;
        // Intune's lists strip periods (R188).
        let serial = cells[0].trim().replace('.', "").to_ascii_uppercase();
        let name = cells.get(1).map(|name| name.trim()).unwrap_or_default();
        if serial.is_empty() && name.is_empty() || n == 0 && serial.contains("SERIAL") {
            continue;
        }
        let good =
            (1..=SERIAL_CHARS).contains(&serial.len()) && serial.chars().all(|c| c.is_ascii_alphanumeric());
        if !good {
            return Err(format!("line {} does not begin with a serial number", n + 1));
        }
        if !seen.insert(serial.clone()) {
            return Err(format!("line {} has {serial} for the second time", n + 1));
        }
        found.push(Row { serial, name: name.chars().take(NAME_CHARS).collect() });
    }
    match found.len() {
        0 => Err("no Mac is in it".to_owned()),
        count if count > MACS => Err(format!("{count} Macs are too many for one sheet; {MACS} is the limit")),
        _ => Ok(found),
    }
}

/// The cells of a line; a cell in quotes may hold commas and doubled quotes. `None` for a quote
/// that is never closed.
fn cells(line: &str) -> Option<Vec<String>> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = cells.last_mut()?;
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    (!quoted).then_some(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_spreadsheets_write_them() {
        let row = |serial: &str, name: &str| Row { serial: serial.into(), name: name.into() };
        let text = "\u{feff}Serial number,Name\r\nc02.abc123,\"Front, \"\"big\"\" desk\"\r\n\r\nFAKE0MAC02\n";
        assert_eq!(rows(text).unwrap(), [row("C02ABC123", "Front, \"big\" desk"), row("FAKE0MAC02", "")]);
        assert_eq!(rows("A1;desk\nA2;other").unwrap(), [row("A1", "desk"), row("A2", "other")]);
    }

    #[test]
    fn lines_that_are_no_mac_are_named() {
        for (text, problem) in [
            ("", "no Mac is in it"),
            ("serial,name\n", "no Mac is in it"),
            ("A1,x\n<b>,y", "line 2 does not begin with a serial number"),
            ("A1,x\na1,y", "line 2 has A1 for the second time"),
            ("A1,\"x", "line 1 has an open quote"),
        ] {
            assert_eq!(rows(text).unwrap_err(), problem);
        }
    }
}
