//! The report of a batch: entries chained by hashes, as CSV, JSON and one HTML page.
//!
//! Everything in a report is the text of an entry, or follows from the entries; so looking
//! whether it was changed is: check the chain, make the report again, compare.

mod entry;
mod html;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use entry::tame;
pub use entry::{COLUMNS, Entry, entries, seal};
pub(super) use html::escaped;
pub use verify::verify;

use super::view::ReportFormat;
use serde::Serialize;
use std::collections::BTreeMap;

/// Number of the form of reports. Another one is another look, not another chain.
const VERSION: u32 = 1;

/// A report in one of its forms.
pub fn render(entries: &[Entry], format: ReportFormat) -> String {
    match format {
        ReportFormat::Csv => csv(entries),
        ReportFormat::Json => json(entries),
        ReportFormat::Html => html::page(entries),
    }
}

/// What follows from the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Summary {
    /// Devices by how they stand.
    states: BTreeMap<String, usize>,
    /// Devices by outcome of the job that counts.
    outcomes: BTreeMap<String, usize>,
    /// Devices that failed, by who must act.
    classes: BTreeMap<String, usize>,
}

impl Summary {
    fn of(entries: &[Entry]) -> Self {
        let count = |column: &str, which: &dyn Fn(&Entry) -> bool| {
            let mut counted = BTreeMap::new();
            for entry in entries.iter().filter(|e| e.get("kind") == "device" && which(e)) {
                let name = entry.get(column);
                if !name.is_empty() {
                    *counted.entry(name.to_owned()).or_default() += 1;
                }
            }
            counted
        };
        Self {
            states: count("state", &|_| true),
            outcomes: count("outcome", &|_| true),
            classes: count("class", &|e| e.get("state") == "failed"),
        }
    }
}

fn csv(entries: &[Entry]) -> String {
    let heading: Vec<_> = COLUMNS.iter().copied().chain(["prev", "hash"]).map(str::to_owned).collect();
    let row = |entry: &Entry| -> Vec<String> {
        let chain = [entry.prev(), entry.hash()].map(str::to_owned);
        entry.texts().iter().cloned().chain(chain).collect()
    };
    table(std::iter::once(heading).chain(entries.iter().map(row)))
}

/// A table for spreadsheets.
pub(super) fn table(rows: impl Iterator<Item = impl IntoIterator<Item = String>>) -> String {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for row in rows {
        // Writing to memory cannot fail, and all rows are of one length.
        let written = writer.write_record(row);
        debug_assert!(written.is_ok());
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn json(entries: &[Entry]) -> String {
    let text = serde_json::to_string_pretty(&json_value(entries)).unwrap_or_default();
    text + "\n"
}

fn json_value(entries: &[Entry]) -> serde_json::Value {
    serde_json::json!({
        "report": "enlist-batch",
        "version": VERSION,
        "columns": COLUMNS,
        "chain": "hash = SHA-256, hexadecimal, of: prev, a line feed, the JSON array of the texts of all columns",
        "entries": entries.iter().map(Entry::to_json).collect::<Vec<_>>(),
        "summary": Summary::of(entries),
        "head": entries.last().map(Entry::hash),
    })
}
