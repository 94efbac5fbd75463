//! Is a report as it was written, and is it the station's own? The first is told by the file
//! alone; the second only by the journal that has the batch.

use crate::api::OperationError;
use crate::api::report::{self as reports, Entry};
use crate::api::view::{Exit, ReportCheckView, ReportFinding};
use crate::journal::{BatchRow, Book};
use crate::wire::printable::printable;
use jiff::Timestamp;
use std::path::Path;

/// What the journal here has of the batch.
enum Known {
    /// There is no journal.
    NoJournal,
    /// There is one, without such a batch.
    NoBatch,
    /// The batch is open; hash of the last entry that its report would have now.
    Open(String),
    /// The batch is closed; its seal.
    Closed(Option<String>),
}

/// Looks whether a report is as it was written; with a journal, whether it is this station's.
///
/// # Errors
/// It cannot be read as a report at all; the journal cannot be read.
pub fn verify_report(
    file: &str,
    bytes: &[u8],
    journal: Option<&Path>,
) -> Result<ReportCheckView, OperationError> {
    let found = reports::verify(bytes).map_err(|error| {
        let said = format!("{}: {}.", printable(file), error.to_string().trim_end_matches('.'));
        OperationError::new(Exit::Usage, said, "Give a file that `enlist report` wrote.")
    })?;
    let known = match (journal, found.entries.first()) {
        (Some(journal), Some(batch)) => known(journal, batch)?,
        _ => Known::NoJournal,
    };
    let head = found.entries.last().map(|entry| entry.hash().to_owned()).unwrap_or_default();
    let says_closed = found.entries.first().is_some_and(|entry| entry.get("state") == "closed");
    let mut findings = found.findings;
    // Entries that do not fit together are compared with nothing.
    if findings.is_empty() {
        findings.extend(doubt(&known, says_closed, &head));
    }
    let valid = findings.is_empty();
    let sealed = match known {
        Known::NoJournal | Known::Open(_) => None,
        Known::NoBatch => Some(false),
        Known::Closed(_) => Some(valid),
    };
    let entries = found.entries.len();
    let sentence = sentence(&known, findings.first(), entries);
    Ok(ReportCheckView {
        file: printable(file),
        format: found.format,
        valid,
        entries,
        head,
        sealed,
        sentence,
        findings,
    })
}

/// What the journal has of the batch that was opened when this entry says.
fn known(journal: &Path, entry: &Entry) -> Result<Known, OperationError> {
    if !journal.exists() {
        return Ok(Known::NoJournal);
    }
    let Some(book) = Book::read(journal)? else { return Ok(Known::NoBatch) };
    let opened: Option<Timestamp> = entry.get("started").parse().ok();
    let Some(batch) = book.batches()?.into_iter().find(|batch| Some(batch.opened_at) == opened) else {
        return Ok(Known::NoBatch);
    };
    match batch.closed_at {
        Some(_) => Ok(Known::Closed(batch.seal)),
        None => Ok(Known::Open(head_of(&book, &batch, entry.stood_at())?)),
    }
}

/// The last hash of an open batch's report, as if it had been written then.
fn head_of(book: &Book, batch: &BatchRow, then: Option<Timestamp>) -> Result<String, OperationError> {
    let rows = book.entries(batch.id)?;
    let entries = reports::entries(batch, &rows, then.unwrap_or(batch.opened_at));
    Ok(entries.last().map(|entry| entry.hash().to_owned()).unwrap_or_default())
}

/// Why entries that fit together are not the station's own, or not for certain.
fn doubt(known: &Known, says_closed: bool, head: &str) -> Option<ReportFinding> {
    let (what, message) = match known {
        Known::NoJournal => return None,
        Known::Open(now) if now == head => return None,
        Known::Closed(Some(seal)) if seal == head => return None,
        Known::NoBatch => (
            "foreign",
            "Its entries fit together, but the journal here has no such batch: it is no report of this \
             station. Check it at the station that had the batch.",
        ),
        Known::Open(_) if says_closed => {
            ("changed", "It says that the batch is closed, but here the batch is open: nothing was sealed.")
        }
        Known::Open(_) => (
            "unproven",
            "Its entries fit together, but the journal says something else by now: the open batch went on \
             since, or the report was made anew from other entries. Close the batch and write its report: \
             that one is sealed.",
        ),
        Known::Closed(_) if says_closed => {
            ("changed", "Its entries fit together, but this station sealed another report of the batch.")
        }
        Known::Closed(_) => (
            "unproven",
            "Its entries fit together, but it says that the batch is open, and here the batch is closed: it \
             is not the report that was sealed, and nothing proves its entries.",
        ),
    };
    Some(ReportFinding { entry: None, what, message: message.to_owned() })
}

fn sentence(known: &Known, finding: Option<&ReportFinding>, entries: usize) -> String {
    match (finding, known) {
        (Some(finding), _) => {
            let judged = match finding.what {
                "foreign" | "unproven" => "It is not proven",
                _ => "It is not as it was written",
            };
            format!("{judged}: {}", finding.message)
        }
        (None, Known::Closed(_)) => {
            "Nothing was changed: it is the report that this station sealed.".to_owned()
        }
        (None, Known::Open(_)) => format!(
            "Its {entries} entries are what this station's journal says now. The batch is open: nothing is \
             sealed yet."
        ),
        (None, Known::NoJournal | Known::NoBatch) => format!(
            "Its {entries} entries fit together. There is no journal here to compare them with: whether they \
             are the station's own can only be told at that station."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operations::batches::{OpenBatch, close_batch, open_batch, report};
    use crate::api::report::COLUMNS;
    use crate::api::view::ReportFormat;
    use crate::clock::Clock;

    const FORMATS: [ReportFormat; 3] = [ReportFormat::Csv, ReportFormat::Json, ReportFormat::Html];

    struct Station {
        folder: tempfile::TempDir,
    }

    impl Station {
        fn new() -> Self {
            let station = Self { folder: tempfile::tempdir().unwrap() };
            let manifest = b"serial,name\nC02ABCDEF123,Front desk\nC02ABCDEF124,Back desk\n".to_vec();
            let batch = OpenBatch { file: "room.csv".into(), manifest, ..OpenBatch::default() };
            open_batch(&station.journal(), &batch, &Clock::System).unwrap();
            station
        }

        fn journal(&self) -> std::path::PathBuf {
            self.folder.path().join("journal.sqlite3")
        }

        fn close(self) -> Self {
            close_batch(&self.journal(), None, false, &Clock::System).unwrap();
            self
        }

        fn report(&self, format: ReportFormat) -> String {
            report(&self.journal(), None, format, &Clock::System).unwrap().text
        }

        fn check(&self, text: &str) -> (bool, Option<bool>, Option<&'static str>) {
            told(text, &self.journal())
        }
    }

    fn told(text: &str, journal: &Path) -> (bool, Option<bool>, Option<&'static str>) {
        let found = verify_report("r", text.as_bytes(), Some(journal)).unwrap();
        (found.valid, found.sealed, found.findings.first().map(|finding| finding.what))
    }

    /// The report made anew from other texts, all its hashes fitting.
    fn forged(text: &str, format: ReportFormat, changes: &[(usize, &str, &str)]) -> String {
        let mut chain: Vec<Entry> = Vec::new();
        for (n, entry) in reports::verify(text.as_bytes()).unwrap().entries.iter().enumerate() {
            let mut texts: Vec<String> = entry.texts().map(str::to_owned).collect();
            for (_, column, value) in changes.iter().filter(|(at, ..)| *at == n) {
                texts[COLUMNS.iter().position(|c| c == column).unwrap()] = (*value).to_owned();
            }
            let prev = chain.last().map_or("0".repeat(64), |before| before.hash().to_owned());
            let draft = Entry::from_file(texts.clone(), prev.clone(), String::new()).unwrap();
            chain.push(Entry::from_file(texts, prev, draft.should_be()).unwrap());
        }
        let text = reports::render(&chain, format);
        assert_eq!(reports::verify(text.as_bytes()).unwrap().findings, [], "its entries fit together");
        text
    }

    const DONE: (usize, &str, &str) = (1, "state", "done");
    const OPEN: [(usize, &str, &str); 3] = [
        (0, "state", "open"),
        (0, "sentence", "Batch 1 is open; this is how it stood at 2026-11-22T11:25:02.357Z."),
        (0, "ended", ""),
    ];

    #[test]
    fn what_was_sealed_is_told_from_what_was_made_anew() {
        let station = Station::new().close();
        for format in FORMATS {
            let text = station.report(format);
            assert_eq!(station.check(&text), (true, Some(true), None));
            assert_eq!(station.check(&forged(&text, format, &[DONE])), (false, Some(false), Some("changed")));
            // Nor does it help to say that the batch was open,
            let [a, b, c] = OPEN;
            let open = forged(&text, format, &[DONE, a, b, c]);
            assert_eq!(station.check(&open), (false, Some(false), Some("unproven")));
            // or that it was another one.
            let other = forged(&text, format, &[DONE, (0, "started", "2026-01-01T10:00:00.000Z")]);
            assert_eq!(station.check(&other), (false, Some(false), Some("foreign")));
        }
    }

    #[test]
    fn an_open_batch_is_compared_with_the_journal_as_it_is() {
        let station = Station::new();
        for format in FORMATS {
            let text = station.report(format);
            assert_eq!(station.check(&text), (true, None, None));
            assert_eq!(station.check(&forged(&text, format, &[DONE])), (false, None, Some("unproven")));
            let closed = forged(&text, format, &[(0, "state", "closed")]);
            assert_eq!(station.check(&closed), (false, None, Some("changed")));
        }
    }

    #[test]
    fn without_a_journal_only_the_chain_is_told() {
        let station = Station::new().close();
        let text = station.report(ReportFormat::Json);
        let nowhere = station.folder.path().join("nowhere.sqlite3");
        for text in [forged(&text, ReportFormat::Json, &[DONE]), text] {
            let found = verify_report("r", text.as_bytes(), Some(&nowhere)).unwrap();
            assert_eq!((found.valid, found.sealed), (true, None));
            assert!(found.sentence.starts_with("Its 4 entries fit together."), "{}", found.sentence);
            assert!(!found.sentence.contains("Nothing was changed"), "{}", found.sentence);
        }
        // Another station has another journal.
        let text = station.report(ReportFormat::Json);
        assert_eq!(Station::new().check(&text), (false, Some(false), Some("foreign")));
        assert!(!nowhere.exists());
    }

    #[test]
    fn a_key_that_stands_twice_is_no_report() {
        let station = Station::new().close();
        for format in [ReportFormat::Json, ReportFormat::Html] {
            let text = station.report(format);
            let (key, value) = ("\"serial\": \"C02ABCDEF123\"", "\"serial\": \"FAKE\", ");
            for changed in [format!("{value}{key}"), format!("{key}, {key}")] {
                let changed = text.replacen(key, &changed, 1);
                assert_ne!(changed, text);
                let error = verify_report("r", changed.as_bytes(), Some(&station.journal())).unwrap_err();
                assert!(error.sentence.contains("'serial' stands twice"), "{}", error.sentence);
            }
        }
    }
}
