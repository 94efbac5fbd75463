//! Entries of a report, and the chain that holds them together.

use crate::journal::{BatchRow, EntryRow, JobRow};
use crate::wire::mcinstall_error::ErrorChain;
use crate::wire::printable::printable;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt::Write;
use std::sync::Arc;

/// Texts of an entry, in the order in which they are hashed.
pub const COLUMNS: &[&str] = &[
    "number",
    "kind",
    "line",
    "serial",
    "imei",
    "name",
    "tag",
    "blueprint",
    "state",
    "outcome",
    "class",
    "sentence",
    "next",
    "chain",
    "bay",
    "udid",
    "device_name",
    "product_type",
    "os_version",
    "profile_identifier",
    "profile_uuid",
    "profile_sha256",
    "jobs",
    "attempts",
    "pushes",
    "started",
    "ended",
    "ms",
    "simulated",
];

/// In the column of the line: the device did not tell who it is, so it may be any.
pub(super) const UNKNOWN_LINE: &str = "unknown";

/// What the first entry follows.
const BEGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What stands in the first entry of an open batch before the moment.
const STOOD_AT: &str = "this is how it stood at ";

/// One entry. A batch has up to a hundred thousand, most of their texts empty: so the texts are
/// one, and a hash that two entries have is kept once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// All texts, one after the other.
    text: String,
    /// Where each of them ends.
    ends: [usize; COLUMNS.len()],
    prev: Arc<str>,
    hash: Arc<str>,
}

impl Entry {
    /// From a file, as it stands there; `None` if it has another number of texts.
    pub(in crate::api) fn from_file(texts: Vec<String>, prev: String, hash: String) -> Option<Self> {
        let texts = <[String; COLUMNS.len()]>::try_from(texts).ok()?;
        Some(Self::new(&texts, prev.into(), |_| hash.into()))
    }

    fn new(
        texts: &[String; COLUMNS.len()],
        prev: Arc<str>,
        hash: impl FnOnce(&[String]) -> Arc<str>,
    ) -> Self {
        let mut text = String::with_capacity(texts.iter().map(String::len).sum());
        let ends = std::array::from_fn(|n| {
            text.push_str(texts.get(n).map_or("", String::as_str));
            text.len()
        });
        Self { text, ends, prev, hash: hash(texts) }
    }

    /// The text of a column.
    pub fn get(&self, column: &str) -> &str {
        let place = COLUMNS.iter().position(|c| *c == column);
        place.map_or("", |place| self.text_at(place))
    }

    fn text_at(&self, place: usize) -> &str {
        let begin = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(place).and_then(|end| self.text.get(begin..*end)).unwrap_or_default()
    }

    /// All texts, in the order of [`COLUMNS`].
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        (0..COLUMNS.len()).map(|place| self.text_at(place))
    }

    /// When an open batch stood as it is told; in the entry about the batch alone.
    pub(in crate::api) fn stood_at(&self) -> Option<Timestamp> {
        let (_, moment) = self.get("sentence").rsplit_once(STOOD_AT)?;
        moment.strip_suffix('.')?.parse().ok()
    }

    /// Hash of the entry before.
    pub fn prev(&self) -> &str {
        &self.prev
    }

    /// Its hash.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What its hash should be.
    pub(in crate::api) fn should_be(&self) -> String {
        hash(&self.prev, &self.texts().collect::<Vec<_>>())
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let chain = [("prev", self.prev()), ("hash", self.hash())];
        let mut named: Vec<_> = COLUMNS.iter().copied().zip(self.texts()).chain(chain).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        serializer.collect_map(named)
    }
}

fn hash(prev: &str, texts: &[impl Serialize]) -> String {
    let listed = serde_json::to_string(texts).unwrap_or_default();
    let digest = openssl::sha::sha256(format!("{prev}\n{listed}").as_bytes());
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The entries of a batch: one about itself, one a device, one that ends them. An open batch
/// is told as it stands at `now`.
pub fn entries(batch: &BatchRow, rows: &[EntryRow], now: Timestamp) -> Vec<Entry> {
    let mut chain = Chain::default();
    chain.push("batch", of_batch(batch, rows, now));
    for row in rows {
        chain.push("device", of_device(row));
    }
    let sentence = format!("{} entries before this one.", chain.entries.len());
    chain.push("end", vec![("sentence", sentence)]);
    chain.entries
}

/// The hash that seals a closed batch.
pub fn seal(batch: &BatchRow, rows: &[EntryRow]) -> String {
    let closed = batch.closed_at.unwrap_or(batch.opened_at);
    entries(batch, rows, closed).last().map(|end| end.hash().to_owned()).unwrap_or_default()
}

#[derive(Default)]
struct Chain {
    entries: Vec<Entry>,
}

impl Chain {
    fn push(&mut self, kind: &str, known: Vec<(&str, String)>) {
        let mut texts = [const { String::new() }; COLUMNS.len()];
        let number = self.entries.len().to_string();
        for (column, text) in [("number", number), ("kind", kind.to_owned())].into_iter().chain(known) {
            if let Some(slot) = COLUMNS.iter().position(|c| *c == column).and_then(|n| texts.get_mut(n)) {
                *slot = tame(text);
            }
        }
        let prev = self.entries.last().map_or_else(|| BEGIN.into(), |entry| entry.hash.clone());
        self.entries.push(Entry::new(&texts, prev.clone(), |texts| hash(&prev, texts).into()));
    }
}

/// A text that no spreadsheet takes for a formula: names come from strangers.
pub(in crate::api) fn tame(text: String) -> String {
    let text = printable(&text);
    match text.starts_with(['=', '+', '-', '@']) {
        true => format!("'{text}"),
        false => text,
    }
}

fn of_batch(batch: &BatchRow, rows: &[EntryRow], now: Timestamp) -> Vec<(&'static str, String)> {
    let state = if batch.closed_at.is_some() { "closed" } else { "open" };
    let sentence = match batch.closed_at {
        Some(_) => format!("Batch {} is closed.", batch.id),
        None => format!("Batch {} is open; {STOOD_AT}{}.", batch.id, moment(now)),
    };
    let named = rows.iter().filter(|row| row.expected.is_some()).count();
    let unknown = match rows.iter().filter(|row| row.unidentified).count() {
        0 => String::new(),
        many => format!(" {many} told neither serial number nor IMEI: not known which line they are."),
    };
    let next = format!(
        "{named} devices in the manifest with SHA-256 {}; devices that it does not name: {}.{unknown}",
        batch.manifest, batch.unexpected
    );
    vec![
        ("name", batch.name.clone()),
        ("state", state.to_owned()),
        ("sentence", sentence),
        ("next", next),
        ("started", moment(batch.opened_at)),
        ("ended", batch.closed_at.map(moment).unwrap_or_default()),
    ]
}

fn of_device(row: &EntryRow) -> Vec<(&'static str, String)> {
    let mut known = Vec::new();
    if let Some(expected) = &row.expected {
        known.push(("line", expected.line.to_string()));
        let texts = [
            ("serial", &expected.serial),
            ("imei", &expected.imei),
            ("name", &expected.name),
            ("tag", &expected.tag),
            ("blueprint", &expected.blueprint),
        ];
        known.extend(texts.into_iter().map(|(column, text)| (column, text.clone().unwrap_or_default())));
    }
    if row.unidentified {
        known.push(("line", UNKNOWN_LINE.to_owned()));
    }
    known.push(("state", row.state().to_owned()));
    if row.jobs > 0 {
        known.push(("jobs", row.jobs.to_string()));
    }
    let Some(job) = &row.job else { return known };
    known.push(("udid", job.udid.to_string()));
    known.push(("started", moment(job.created_at)));
    known.push(("simulated", if job.simulated { "yes" } else { "no" }.to_owned()));
    // What may still change is not sealed.
    if row.ended {
        known.extend(of_job(row, job));
    }
    // Nor does a batch that is closed wait for anybody.
    if row.waiting {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        known.extend([("sentence", text(&job.sentence)), ("next", text(&job.next))]);
        known.extend([("class", job.class.map(|c| c.name().to_owned()).unwrap_or_default())]);
        if row.expected.is_none() {
            known.extend([("serial", text(&job.serial)), ("imei", text(&job.imei))]);
        }
    }
    known
}

fn of_job(row: &EntryRow, job: &JobRow) -> Vec<(&'static str, String)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut known = vec![
        ("outcome", job.outcome.map(|o| o.name().to_owned()).unwrap_or_default()),
        ("class", job.class.map(|c| c.name().to_owned()).unwrap_or_default()),
        ("sentence", text(&job.sentence)),
        ("next", text(&job.next)),
        ("chain", chain(&job.chain)),
        ("bay", job.bay.to_string()),
        ("device_name", text(&job.name)),
        ("product_type", text(&job.product_type)),
        ("os_version", text(&job.os_version)),
        ("profile_identifier", job.profile_identifier.clone()),
        ("profile_uuid", job.profile_uuid.clone()),
        ("profile_sha256", job.profile_sha256.clone()),
        ("attempts", job.attempts.to_string()),
        ("pushes", job.pushes.to_string()),
        ("ended", job.ended_at.map(moment).unwrap_or_default()),
        ("ms", job.duration_ms.map(|ms| ms.to_string()).unwrap_or_default()),
    ];
    // The manifest's word stands where it has one.
    let said = |of: fn(&crate::journal::Expected) -> &Option<String>| {
        row.expected.as_ref().is_some_and(|e| of(e).is_some())
    };
    if !said(|e| &e.serial) {
        known.push(("serial", text(&job.serial)));
    }
    if !said(|e| &e.imei) {
        known.push(("imei", text(&job.imei)));
    }
    if let Some(blueprint) = &row.blueprint {
        known.push(("blueprint", blueprint.clone()));
    }
    known
}

fn chain(chain: &ErrorChain) -> String {
    let links: Vec<_> = chain.links().iter().map(|link| format!("{} {}", link.domain, link.code)).collect();
    links.join(" > ")
}

fn moment(at: Timestamp) -> String {
    format!("{at:.3}")
}
