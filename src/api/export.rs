//! Lists of devices for Intune: from what is attached or journalled to files (3.7).

use super::OperationError;
use super::view::Exit;
use crate::device::facts::Facts;
use crate::ids::Udid;
use crate::journal::{HistoryFilter, JournalReader};
use crate::limits::CSV_BYTES;
use crate::transport::Attachment;
use crate::wire::intune_csv::{self, CsvFiles, CsvFinding, CsvRow, CsvRowError, MOST_DETAILS};
pub use crate::wire::intune_csv::{CsvKind, IdentifierType, ImeiDigits};
use crate::wire::printable::{printable, sentence, system_words};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What may identify a device to Intune.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The device.
    pub udid: Udid,
    /// Serial number, if it is known.
    pub serial: Option<String>,
    /// IMEI, if it has one and it is known.
    pub imei: Option<String>,
    /// Second IMEI.
    pub imei2: Option<String>,
    /// Simulated or replayed.
    pub simulated: bool,
    /// Why nothing more is known.
    pub trouble: Option<String>,
}

impl Identity {
    pub(super) fn of_attachment(attachment: &Attachment, facts: &Facts, trouble: Option<String>) -> Self {
        Self {
            udid: attachment.udid.clone(),
            serial: facts.serial.clone(),
            imei: facts.imei.clone(),
            imei2: facts.imei2.clone(),
            simulated: attachment.simulated,
            trouble,
        }
    }
}

/// What to write.
#[derive(Debug, Clone)]
pub struct ExportOrder {
    /// For what.
    pub kind: CsvKind,
    /// Serial numbers or IMEIs; never both.
    pub of: IdentifierType,
    /// The details of every row.
    pub details: String,
    /// List simulated devices too.
    pub include_simulated: bool,
}

/// Files ready to be saved, and what is not in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Contents.
    pub files: Vec<String>,
    /// Rows of each.
    pub rows: Vec<usize>,
    /// Devices that should be listed and cannot be.
    pub left_out: Vec<LeftOut>,
    /// Simulated devices that were left out.
    pub simulated: usize,
    /// Listed devices with two IMEIs (R190).
    pub two_imeis: Vec<Udid>,
}

/// A device that could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The device.
    pub udid: Udid,
    /// Why, one sentence.
    pub reason: String,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SavedFile {
    /// Where.
    pub file: String,
    /// How many devices it lists.
    pub rows: usize,
}

/// A finding of `enlist export check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CsvFindingView {
    /// The file.
    pub file: String,
    /// Line, from 1; null for the file as a whole.
    pub line: Option<usize>,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Devices of the journal, each once, the first met first. A station that never ran has none.
///
/// # Errors
/// The journal cannot be read.
pub fn journalled(journal: &Path, since: Option<Timestamp>) -> Result<Vec<Identity>, OperationError> {
    if !journal.exists() {
        return Ok(Vec::new());
    }
    let filter = HistoryFilter { since, limit: u32::MAX, ..HistoryFilter::default() };
    let rows = JournalReader::open(journal)?.history(&filter)?;
    let mut met = HashSet::new();
    // Newest first: what was read last counts, and a job that read nothing says nothing.
    let known = rows.into_iter().filter(|row| row.serial.is_some() || row.imei.is_some());
    let newest = known.filter(|row| met.insert(row.udid.clone()));
    let mut found: Vec<_> = newest
        .map(|row| Identity {
            udid: row.udid,
            serial: row.serial,
            imei: row.imei,
            imei2: None,
            simulated: row.simulated,
            trouble: None,
        })
        .collect();
    found.reverse();
    Ok(found)
}

/// Makes the files.
///
/// # Errors
/// The details are too long.
pub fn export(identities: &[Identity], order: &ExportOrder) -> Result<Export, OperationError> {
    let chars = order.details.trim().chars().count();
    if order.kind == CsvKind::CorporateIdentifiers && chars > MOST_DETAILS {
        let said = sentence(CsvRowError::Details(chars));
        return Err(OperationError::new(Exit::Usage, said, "Shorten --details (R188)."));
    }
    let wanted = |identity: &&Identity| order.include_simulated || !identity.simulated;
    let chosen: Vec<&Identity> = identities.iter().filter(wanted).collect();
    let (mut named, mut rows, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for identity in &chosen {
        match identifier(identity, order.of) {
            Ok(identifier) => {
                named.push(*identity);
                rows.push(CsvRow { identifier: identifier.clone(), details: order.details.clone() });
            }
            Err(reason) => left_out.push(LeftOut { udid: identity.udid.clone(), reason }),
        }
    }
    let CsvFiles { files, rows, refused, .. } = intune_csv::write(order.kind, order.of, &rows);
    for (place, error) in refused {
        if let Some(identity) = named.get(place) {
            left_out.push(LeftOut { udid: identity.udid.clone(), reason: sentence(error) });
        }
    }
    let by_imei = matches!(order.of, IdentifierType::Imei(_));
    let two = |i: &&&Identity| i.imei.as_ref().zip(i.imei2.as_ref()).is_some_and(|(a, b)| a != b);
    let two_imeis = named.iter().filter(|_| by_imei).filter(two).map(|i| i.udid.clone()).collect();
    Ok(Export { files, rows, left_out, simulated: identities.len() - chosen.len(), two_imeis })
}

fn identifier(identity: &Identity, of: IdentifierType) -> Result<&String, String> {
    let (found, what) = match of {
        IdentifierType::Serial => (identity.serial.as_ref(), "serial number"),
        IdentifierType::Imei(_) => (identity.imei.as_ref(), "IMEI"),
    };
    found.ok_or_else(|| match &identity.trouble {
        Some(trouble) => format!("Its {what} is not known: {}", printable(trouble)),
        None => format!("It has told no {what}."),
    })
}

/// Saves the files: as `path`, or as `path` with -1, -2 before its ending if there are several.
/// Nothing that exists is overwritten.
///
/// # Errors
/// One exists, or cannot be written.
pub fn save(export: &Export, path: &Path) -> Result<Vec<SavedFile>, OperationError> {
    let several = export.files.len() > 1;
    let paths: Vec<_> = (1..=export.files.len())
        .map(|n| if several { numbered(path, n) } else { path.to_path_buf() })
        .collect();
    if let Some(there) = paths.iter().find(|p| p.exists()) {
        let said = format!("{} exists already.", there.display());
        return Err(OperationError::new(Exit::Usage, said, "Give another name with -o, or delete the file."));
    }
    let mut saved = Vec::new();
    for ((path, text), rows) in paths.iter().zip(&export.files).zip(&export.rows) {
        let written = OpenOptions::new().write(true).create_new(true).open(path);
        written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
            let said = format!("{} cannot be written: {}.", path.display(), system_words(&error));
            OperationError::new(Exit::Usage, said, "Check the folder, its rights, and the space on its disk.")
        })?;
        saved.push(SavedFile { file: path.display().to_string(), rows: *rows });
    }
    Ok(saved)
}

fn numbered(path: &Path, n: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{n}{ending}"))
}

/// Checks a file as Intune would read it.
///
/// # Errors
/// It cannot be read.
pub fn check_csv(path: &Path, kind: CsvKind) -> Result<Vec<CsvFindingView>, OperationError> {
    let unreadable = |why: String| {
        let said = format!("{} cannot be read: {why}.", path.display());
        OperationError::new(Exit::Usage, said, "Check the path and its rights, and give the file again.")
    };
    let is_file = std::fs::metadata(path).map_err(|e| unreadable(system_words(&e)))?.is_file();
    if !is_file {
        return Err(unreadable("it is no file".into()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| unreadable(system_words(&e)))?;
    file.take(CSV_BYTES + 1).read_to_end(&mut bytes).map_err(|e| unreadable(system_words(&e)))?;
    if bytes.len() as u64 > CSV_BYTES {
        return Err(unreadable(format!("it has more than {CSV_BYTES} bytes")));
    }
    let view = |finding: CsvFinding| CsvFindingView {
        file: path.display().to_string(),
        line: finding.line,
        severity: finding.severity.name(),
        message: finding.message,
        remedy: finding.remedy,
    };
    Ok(intune_csv::check(kind, &bytes).into_iter().map(view).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: usize, simulated: bool) -> Identity {
        Identity {
            udid: format!("{n:040x}").parse().unwrap(),
            serial: Some(format!("SERIAL{n:06}")),
            imei: n.is_multiple_of(2).then(|| format!("35000000{n:07}")),
            imei2: Some("350000000000007".into()),
            simulated,
            trouble: None,
        }
    }

    fn order(of: IdentifierType) -> ExportOrder {
        ExportOrder { kind: CsvKind::CorporateIdentifiers, of, details: "x".into(), include_simulated: false }
    }

    #[test]
    fn five_thousand_and_one_devices_need_two_files() {
        let devices: Vec<_> = (0..5001).map(|n| device(n, false)).chain([device(9999, true)]).collect();
        let made = export(&devices, &order(IdentifierType::Serial)).unwrap();
        assert_eq!((made.rows.as_slice(), made.simulated), (&[5000, 1][..], 1));
        let folder = tempfile::tempdir().unwrap();
        let saved = save(&made, &folder.path().join("list.csv")).unwrap();
        let names: Vec<_> = saved.iter().map(|s| s.file.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["list-1.csv", "list-2.csv"]);
        assert_eq!(std::fs::read_to_string(&saved[1].file).unwrap(), "SERIAL005000,x\n");
        assert_eq!(check_csv(Path::new(&saved[0].file), CsvKind::CorporateIdentifiers).unwrap(), []);
        assert!(save(&made, &folder.path().join("list.csv")).is_err(), "nothing is overwritten");
    }

    #[test]
    fn a_device_without_the_wanted_identifier_is_left_out_and_two_imeis_are_told() {
        let devices = [device(1, false), device(2, false)];
        let made = export(&devices, &order(IdentifierType::Imei(ImeiDigits::Fifteen))).unwrap();
        assert_eq!(made.files, ["350000000000002,x\n"]);
        assert_eq!((made.left_out.len(), &made.left_out[0].udid), (1, &devices[0].udid));
        assert_eq!(made.two_imeis, [devices[1].udid.clone()]);
        let serials = export(&devices, &order(IdentifierType::Serial)).unwrap();
        assert!(serials.two_imeis.is_empty() && serials.left_out.is_empty());
    }

    #[test]
    fn a_file_far_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.csv");
        File::create(&path).unwrap().set_len(CSV_BYTES + 1).unwrap();
        assert!(check_csv(&path, CsvKind::CorporateIdentifiers).unwrap_err().sentence.contains("more than"));
    }
}
