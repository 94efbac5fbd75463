//! A recording, read back: every line with its place, checked before anything is replayed.

use super::rules;
use crate::ids::Udid;
use crate::transport::recorder::entry::{self, Entry, EntryError, What};
use crate::transport::recorder::meta::{Meta, Origin};
use crate::transport::recorder::words::ACTIVATION_STATES;
use crate::transport::recorder::{Finding, META, check};
use crate::wire::fields::Fields;
use crate::wire::lockdown::ErrorName;
use crate::wire::mcinstall::{self, Status};
use crate::wire::notification_proxy;
use crate::wire::printable::system_words;
use plist::Dictionary;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest file that is read: longer than the recorder makes one.
const MOST_FILE_BYTES: u64 = 17 << 20;

/// Why a recording cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TapeError {
    /// A file cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is none.
    #[error("{} holds no recording: it has no meta.toml", .0.display())]
    None(PathBuf),
    /// A line makes no sense, or something does that is not scrubbed.
    #[error("{}{}: {reason}", path.display(), at(*line))]
    Line {
        /// Its file.
        path: PathBuf,
        /// Its number, from 1; 0 for the file as a whole.
        line: usize,
        /// Why.
        reason: String,
    },
}

fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

/// A line of a recording and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// Number of its file.
    pub(super) file: usize,
    /// Number of the line, from 1.
    pub(super) line: usize,
    pub(super) entry: Entry,
    /// The frame it holds, if it is one.
    pub(super) frame: Option<Dictionary>,
}

impl Placed {
    /// True for what the station does; the rest is done by the device and its cable.
    pub(super) fn is_of_host(&self) -> bool {
        use What::{Host, Open, PairRecord, Recovered, Refused, Tls};
        matches!(self.entry.what, Host(_) | Open(_) | Refused(_) | PairRecord(_) | Recovered(_) | Tls(_))
    }
}

/// A recording.
#[derive(Debug, Clone)]
pub struct Tape {
    folder: PathBuf,
    files: Vec<String>,
    /// What it is of.
    pub meta: Meta,
    pub(super) entries: Vec<Placed>,
    pub(super) udid: Udid,
}

impl Tape {
    /// Reads the recording in a folder, which has to be a clean one.
    ///
    /// # Errors
    /// [`TapeError`].
    pub fn read(folder: &Path) -> Result<Self, TapeError> {
        let failed = |error| TapeError::File { path: folder.to_owned(), reason: system_words(&error) };
        if !folder.join(META).is_file() {
            return Err(TapeError::None(folder.to_owned()));
        }
        let text = |file: &str| text_of(&folder.join(file)).map_err(failed);
        let bad = |reason| TapeError::Line { path: folder.join(META), line: 0, reason };
        // First, as this says what is wrong with it; the check only that something is.
        let meta = Meta::parse(&text(META)?).map_err(bad)?;
        let checked = check(folder).map_err(failed)?;
        if let Some(Finding { file: path, line, what }) = checked.findings.into_iter().next() {
            return Err(TapeError::Line { path, line, reason: what });
        }
        let files = files_of(folder).map_err(failed)?;
        let mut reading = Reading { knows_words: meta.origin != Origin::Hardware, ..Reading::default() };
        for (n, file) in files.iter().enumerate() {
            for (at, line) in text(file)?.lines().enumerate() {
                let bad = |reason| TapeError::Line { path: folder.join(file), line: at + 1, reason };
                reading.line(n, at + 1, line).map_err(bad)?;
            }
        }
        let Reading { entries, udid, product, os, .. } = reading;
        let udid = udid.ok_or_else(|| bad("no device is attached in this recording".to_owned()))?;
        // One whose recorder died may not have come to writing it.
        let says_nothing = !meta.cut.is_empty() && meta.product.is_empty() && meta.os.is_empty();
        if !says_nothing && (&meta.product, &meta.os) != (&product, &os) {
            return Err(bad(format!("the frames are of {product:?} {os:?}, which it does not say")));
        }
        Ok(Self { folder: folder.to_owned(), files, meta, entries, udid })
    }

    /// True if the job went on after its last line.
    pub fn is_cut(&self) -> bool {
        !self.meta.cut.is_empty()
    }

    /// How many frames it holds.
    pub fn frames(&self) -> usize {
        self.entries.iter().filter(|placed| placed.frame.is_some()).count()
    }

    /// Where a line stands.
    pub(super) fn place(&self, at: usize) -> (PathBuf, usize) {
        let placed = &self.entries[at];
        (self.folder.join(&self.files[placed.file]), placed.line)
    }

    /// The next line of the connection of line `at`, after it.
    pub(super) fn next_of(&self, at: usize) -> Option<usize> {
        let c = self.entries[at].entry.c;
        self.entries.iter().skip(at + 1).position(|placed| placed.entry.c == c).map(|n| at + 1 + n)
    }

    /// To what the connection of line `at` goes.
    pub(super) fn service_of(&self, at: usize) -> Option<&str> {
        let c = self.entries[at].entry.c;
        self.entries.iter().find_map(|placed| match &placed.entry.what {
            What::Open(service) if placed.entry.c == c => Some(service.as_str()),
            _ => None,
        })
    }

    /// The frames that the station said.
    pub(super) fn said_by_host(&self) -> impl Iterator<Item = &Dictionary> {
        let of_host = self.entries.iter().filter(|placed| placed.is_of_host());
        of_host.filter_map(|placed| placed.frame.as_ref())
    }

    /// The first request of this name.
    pub fn asked(&self, name: &str) -> Option<&Dictionary> {
        self.said_by_host().find(|frame| rules::name(frame) == Some(name))
    }

    /// What the device said of itself first, where it told all its values.
    pub fn device_says(&self, key: &str) -> Option<&str> {
        let frames = self.entries.iter().filter(|placed| !placed.is_of_host());
        frames.filter_map(|placed| placed.frame.as_ref()?.dict("Value")?.text(key)).next()
    }

    /// The supervision data that the device showed first.
    pub fn cloud_configuration(&self) -> Option<&Dictionary> {
        let frames = self.entries.iter().filter(|placed| !placed.is_of_host());
        frames.filter_map(|placed| placed.frame.as_ref()?.dict("CloudConfiguration")).next()
    }

    /// What the station did with the pair record that it asked for in line `at`.
    pub(super) fn use_of_record(&self, at: usize) -> RecordUse {
        let had = matches!(self.entries[at].entry.what, What::PairRecord(true));
        for placed in self.entries.iter().skip(at + 1) {
            match &placed.entry.what {
                What::PairRecord(_) | What::Detached(_) | What::Mux(_) if had => return RecordUse::Unknown,
                What::Host(_) => match placed.frame.as_ref().and_then(rules::name) {
                    Some("StartSession") => return RecordUse::Tried,
                    Some("Pair") => return RecordUse::NotTried,
                    _ => {}
                },
                _ => {}
            }
        }
        if self.is_cut() { RecordUse::Unknown } else { RecordUse::NotTried }
    }

    /// How many supervision identities the station showed the device.
    pub fn supervisors(&self) -> usize {
        let shown = self.said_by_host().filter_map(|frame| {
            let options = frame.dict("PairingOptions").unwrap_or(frame);
            options.bytes("SupervisorCertificate")
        });
        shown.collect::<BTreeSet<_>>().len()
    }

    /// The escrow bag the station had, if it used one (3.10).
    pub fn escrow_bag(&self) -> Option<&[u8]> {
        self.said_by_host().find_map(|frame| frame.bytes("EscrowBag"))
    }
}

/// What a station did with the pair record that it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordUse {
    /// It began a session with it.
    Tried,
    /// It paired, or gave up, without having tried it: there was none, or none of any use.
    NotTried,
    /// The recording, or the connection, ended before that was seen.
    Unknown,
}

/// A connection of a recording.
struct Talk {
    service: String,
    /// The last request.
    asked: Dictionary,
    /// It has no answer yet.
    is_due: bool,
}

/// A recording while it is read.
#[derive(Default)]
struct Reading {
    entries: Vec<Placed>,
    open: BTreeMap<u32, Talk>,
    /// Nobody made up a word in it.
    knows_words: bool,
    udid: Option<Udid>,
    product: String,
    os: String,
    t: u64,
}

impl Reading {
    fn line(&mut self, file: usize, line: usize, text: &str) -> Result<(), String> {
        let entry = Entry::parse(text).map_err(|error| error.to_string())?;
        if entry.t < std::mem::replace(&mut self.t, entry.t) {
            return Err("it is earlier than the line before".to_owned());
        }
        self.connection(&entry)?;
        let frame = match &entry.what {
            What::Host(json) | What::Device(json) => {
                Some(entry::to_frame(json).map_err(|error: EntryError| error.to_string())?)
            }
            _ => None,
        };
        if let Some(frame) = &frame {
            self.words(&entry, frame)?;
            self.product(frame)?;
        }
        self.entries.push(Placed { file, line, entry, frame });
        Ok(())
    }

    /// What belongs to a connection comes after it began; the device is one and the same.
    fn connection(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.what {
            What::Attached(udid) | What::Detached(udid) => {
                let udid: Udid = udid.parse().map_err(|_| format!("{udid:?} is no UDID"))?;
                let first = self.udid.get_or_insert_with(|| udid.clone());
                if *first != udid {
                    return Err("it is about another device".to_owned());
                }
                nowhere(entry)
            }
            _ if self.udid.is_none() => Err("no device is attached yet".to_owned()),
            What::Mux(_) | What::Recovered(_) | What::PairRecord(_) | What::Refused(_) => nowhere(entry),
            What::Open(_) if entry.c == 0 || self.open.contains_key(&entry.c) => {
                Err(format!("connection {} began before", entry.c))
            }
            What::Open(service) => {
                let talk = Talk { service: service.clone(), asked: Dictionary::new(), is_due: false };
                self.open.insert(entry.c, talk);
                Ok(())
            }
            _ if self.open.contains_key(&entry.c) => Ok(()),
            _ => Err(format!("connection {} never began", entry.c)),
        }
    }

    /// An answer says to what it is one (3.1, 3.3, 3.10); and what was not heard from a device has
    /// no word that no device knows (3.12, 4.2, 5.1).
    fn words(&mut self, entry: &Entry, frame: &Dictionary) -> Result<(), String> {
        let Some(Talk { service, asked, is_due }) = self.open.get_mut(&entry.c) else { return Ok(()) };
        if let What::Host(_) = entry.what {
            (*asked, *is_due) = (frame.clone(), true);
            return Ok(());
        }
        // One service tells something unasked (5.2), all others answer (3.1, 4.2, 5.6).
        let was_due = std::mem::take(is_due);
        let is_right = match service == notification_proxy::SERVICE {
            true => frame.text("Command").is_some(),
            false => was_due,
        };
        if self.knows_words && !is_right {
            return Err("it answers nothing that was asked".to_owned());
        }
        let echoes = ["Request", "Domain", "Key", "Service"];
        let another = |key: &&str| match (frame.get(key), asked.get(key)) {
            (Some(said), Some(asked)) => said != asked,
            (said, _) => *key == "Request" && said.is_some(),
        };
        if echoes.iter().any(another) {
            return Err("it answers another request".to_owned());
        }
        match self.knows_words && has_strange_word(frame, service == mcinstall::SERVICE) {
            true => Err("it has a word that no device knows".to_owned()),
            false => Ok(()),
        }
    }

    /// A device stays what it is.
    fn product(&mut self, frame: &Dictionary) -> Result<(), String> {
        let Some(values) = frame.dict("Value") else { return Ok(()) };
        for (known, key) in [(&mut self.product, "ProductType"), (&mut self.os, "ProductVersion")] {
            let Some(text) = values.text(key) else { continue };
            if !known.is_empty() && known != text {
                return Err("it is of another product or system".to_owned());
            }
            text.clone_into(known);
        }
        Ok(())
    }
}

fn has_strange_word(frame: &Dictionary, is_mcinstall: bool) -> bool {
    let state = frame.dict("Value").and_then(|values| values.text("ActivationState"));
    let error = frame.text("Error").map(ErrorName::from_wire);
    let status = is_mcinstall && frame.get("Status").is_some();
    state.is_some_and(|state| !ACTIVATION_STATES.contains(&state))
        || matches!(error, Some(ErrorName::Other(_)))
        || status && matches!(mcinstall::Reply::new(frame.clone()).status(), Status::Other(_))
}

fn nowhere(entry: &Entry) -> Result<(), String> {
    if entry.c == 0 { Ok(()) } else { Err("it belongs to no connection".to_owned()) }
}

/// The text of a file, of which no more is read than any recording is long.
fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Files of frames, in the order of their numbers.
fn files_of(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut files = Vec::new();
    for found in fs::read_dir(folder)? {
        let name = found?.file_name().to_string_lossy().into_owned();
        let number = name.split('-').next().and_then(|number| number.parse::<u32>().ok());
        if let (Some(number), true) = (number, name != META) {
            files.push((number, name));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, name)| name).collect())
}
