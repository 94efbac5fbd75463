//! Was a report changed since it was written?

use super::entry::{COLUMNS, Entry};
use super::render;
use super::unique::Unique;
use crate::api::view::{ReportFinding, ReportFormat};
use serde_json::Value;

/// Most findings that are told: a report of another batch differs in every entry.
const MOST_FINDINGS: usize = 50;

/// The file is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not text.
    #[error("it is not text in UTF-8")]
    NotText,
    /// Neither of the three forms.
    #[error("it is no report of Enlist: {0}")]
    Form(String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The form of the report.
    pub format: ReportFormat,
    /// Its entries, as they stand in the file.
    pub entries: Vec<Entry>,
    /// What is wrong.
    pub findings: Vec<ReportFinding>,
}

/// Checks a report.
///
/// # Errors
/// It cannot be read as one.
pub fn verify(bytes: &[u8]) -> Result<Verified, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (format, entries) = match text.trim_start().chars().next() {
        Some('{') => (ReportFormat::Json, of_json(text)?),
        Some('<') => (ReportFormat::Html, of_html(text)?),
        _ => (ReportFormat::Csv, of_csv(text)?),
    };
    let mut findings = chain(&entries);
    if findings.is_empty() && !is_the_same(text, &entries, format) {
        findings.push(ReportFinding {
            entry: None,
            what: "derived",
            message: "The entries are as they were written, but what is shown beside them was changed, \
                      or another version of Enlist wrote the report."
                .to_owned(),
        });
    }
    findings.truncate(MOST_FINDINGS);
    Ok(Verified { format, entries, findings })
}

/// Whether making the report again from its entries gives the same. A spreadsheet may write
/// the same cells otherwise.
fn is_the_same(text: &str, entries: &[Entry], format: ReportFormat) -> bool {
    match format {
        ReportFormat::Csv => true,
        ReportFormat::Json => {
            serde_json::from_str::<Value>(text).is_ok_and(|value| Some(value) == super::json_value(entries))
        }
        ReportFormat::Html => text == render(entries, format),
    }
}

fn of_csv(text: &str) -> Result<Vec<Entry>, Unreadable> {
    let bad = |what: &str| Unreadable::Form(what.to_owned());
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let heading = reader.headers().map_err(|_| bad("its first line cannot be read"))?;
    if !heading.iter().eq(COLUMNS.iter().copied().chain(["prev", "hash"])) {
        return Err(bad("its columns are others"));
    }
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|_| bad("a line cannot be read"))?;
        let mut texts: Vec<String> = record.iter().map(str::to_owned).collect();
        let hash = texts.pop().unwrap_or_default();
        let prev = texts.pop().unwrap_or_default();
        let line = record.position().map_or(0, csv::Position::line);
        let entry = Entry::from_file(texts, prev, hash);
        entries.push(
            entry.ok_or_else(|| Unreadable::Form(format!("line {line} has another number of fields")))?,
        );
    }
    Ok(entries)
}

fn of_json(text: &str) -> Result<Vec<Entry>, Unreadable> {
    let bad = |what: String| Unreadable::Form(what);
    let Unique(value) = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let listed = value.get("entries").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| bad("it has no list of entries".to_owned()))?;
    let entry = |(n, value): (usize, &Value)| {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let texts: Option<Vec<String>> = COLUMNS.iter().map(|column| text(column)).collect();
        let whole = value.as_object().is_some_and(|object| object.len() == COLUMNS.len() + 2);
        let entry = texts.filter(|_| whole).zip(text("prev").zip(text("hash")));
        let entry = entry.and_then(|(texts, (prev, hash))| Entry::from_file(texts, prev, hash));
        entry.ok_or_else(|| bad(format!("the entry at place {} has other texts", n + 1)))
    };
    listed.iter().enumerate().map(entry).collect()
}

/// The page carries its entries as data.
fn of_html(text: &str) -> Result<Vec<Entry>, Unreadable> {
    let found = text.split_once(super::html::DATA_BEGIN).and_then(|(_, rest)| rest.split_once("</script>"));
    match found {
        Some((data, _)) => of_json(data),
        None => Err(Unreadable::Form("the page carries no entries".to_owned())),
    }
}

/// What is wrong with the chain.
fn chain(entries: &[Entry]) -> Vec<ReportFinding> {
    let mut findings = Vec::new();
    let mut before: Option<&Entry> = None;
    for entry in entries {
        let number = entry.get("number").parse::<u64>().ok();
        let mut found = |what, message: String| findings.push(ReportFinding { entry: number, what, message });
        let who = named(entry);
        if entry.should_be() != entry.hash() {
            found("changed", format!("{who} was changed: its hash does not fit its texts."));
        }
        let last = before.and_then(|b| b.get("number").parse::<u64>().ok());
        let due = last.map_or(0, |last| last + 1);
        let follows = before.map_or_else(|| "0".repeat(64), |b| b.hash().to_owned());
        match number {
            Some(number) if number < due => {
                found("reordered", format!("{who} stands after entry {}.", last.unwrap_or_default()));
            }
            Some(number) if number > due => {
                let missing = match number - due {
                    1 => format!("Entry {due} is missing"),
                    many => format!("{many} entries from {due} on are missing"),
                };
                found("missing", format!("{missing} before {who}."));
            }
            _ if entry.prev() != follows => {
                found("changed", format!("{who} does not follow the entry before it."));
            }
            Some(_) => {}
            None => found("changed", format!("{who} has no number.")),
        }
        if before.is_some_and(|b| b.get("kind") == "end") {
            found("added", format!("{who} comes after the end."));
        }
        before = Some(entry);
    }
    let first = entries.first().is_some_and(|entry| entry.get("kind") == "batch");
    let last = before.is_some_and(|entry| entry.get("kind") == "end");
    if !first && !findings.iter().any(|f| f.what == "missing") {
        let message = "The entry about the batch is missing.".to_owned();
        findings.push(ReportFinding { entry: Some(0), what: "missing", message });
    }
    if !last && !findings.iter().any(|f| f.what == "added") {
        let message = "The end is missing: the report was cut off.".to_owned();
        findings.push(ReportFinding { entry: None, what: "cut", message });
    }
    findings
}

fn named(entry: &Entry) -> String {
    let known = [entry.get("serial"), entry.get("imei"), entry.get("udid")];
    let known = known.into_iter().find(|text| !text.is_empty()).map(|text| format!(" ({text})"));
    format!("Entry {}{}", entry.get("number"), known.unwrap_or_default())
}
