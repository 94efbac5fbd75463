//! The report of a batch: entries chained by hashes, as CSV, JSON and one HTML page.
//!
//! Everything in a report is the text of an entry, or follows from the entries; so looking
//! whether it was changed is: check the chain, make the report again, compare.

mod entry;
mod html;
#[cfg(test)]
mod tests;
mod unique;
mod verify;

pub(super) use entry::tame;
pub use entry::{COLUMNS, Entry, entries, seal};
pub(super) use html::escaped;
pub use verify::verify;

use super::view::ReportFormat;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;

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

/// A report as JSON. Keys are written in the order of the alphabet, here and in all parts.
#[derive(Debug, Serialize)]
struct Document<'a> {
    chain: &'static str,
    columns: &'static [&'static str],
    entries: &'a [Entry],
    head: Option<&'a str>,
    report: &'static str,
    summary: Summary,
    version: u32,
}

impl<'a> Document<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        Self {
            chain: "hash = SHA-256, hexadecimal, of: prev, a line feed, the JSON array of the texts of all columns",
            columns: COLUMNS,
            entries,
            head: entries.last().map(Entry::hash),
            report: "enlist-batch",
            summary: Summary::of(entries),
            version: VERSION,
        }
    }
}

/// What follows from the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Summary {
    /// Devices that failed, by who must act.
    classes: BTreeMap<String, usize>,
    /// Devices by outcome of the job that counts.
    outcomes: BTreeMap<String, usize>,
    /// Devices by how they stand.
    states: BTreeMap<String, usize>,
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
        entry.texts().chain([entry.prev(), entry.hash()]).map(str::to_owned).collect()
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
    let mut text = Vec::new();
    write_json(&mut text, entries);
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

/// Written entry by entry: a report of the largest batch, as one value, takes a gigabyte.
fn write_json(out: impl io::Write, entries: &[Entry]) {
    let written = serde_json::to_writer_pretty(out, &Document::of(entries));
    // Writing to memory cannot fail.
    debug_assert!(written.is_ok());
}

fn json_value(entries: &[Entry]) -> Option<serde_json::Value> {
    serde_json::to_value(Document::of(entries)).ok()
}
