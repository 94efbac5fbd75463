//! Proves that a recording holds nothing but what may be written: what is in it, scrubbed
//! again, must be the same, and written the same way, so that nothing hides in its form.

use super::LOCKDOWN;
use super::device::{MOST_CONNECTIONS, MOST_PUSHES, MOST_SECONDS, OPEN, PHASES};
use super::entry::{Entry, Refusal, What, to_frame, to_json};
use super::folder::{CUTS, META, MOST_BYTES, MOST_FILES};
use super::meta::{JobMeta, Meta, Origin, ProfileMeta, is_error};
use super::scrub::{SCRUB_VERSION, Scrubber};
use super::tap::broken_class;
use super::words::{CLASSES, OUTCOMES, is_digits, is_product, is_service, is_version};
use crate::limits::{DEVICE_FRAME_BYTES, ERROR_CHAIN_LINKS};
use serde_json::Value as Json;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Most that is told to be wrong with one recording.
const MOST_FINDINGS: usize = 100;

/// Longest frame of a device.
const MOST_FRAME: u64 = DEVICE_FRAME_BYTES as u64;

/// Said of a file or a line.
const NOT_SO: &str = "it is not written as a recording is";

/// Said of a folder.
const BAD_NAME: &str = "the folder's name may tell whose device it was: take lower-case letters, digits, '.', \
                        '_' and '-', and no serial number, IMEI or UDID";
const LINK: &str = "it is a link, and what it leads to was not looked at";

/// Longest name of a folder, and of a part of it that may hold digits: serial numbers begin at
/// ten characters, the second half of a UDID and an IMEI are longer.
const NAME_BYTES: usize = 64;
const NAME_PART_BYTES: usize = 9;

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Recordings that were looked at.
    pub recordings: usize,
    /// Frames in them.
    pub frames: usize,
    /// What is wrong; empty if they are clean.
    pub findings: Vec<Finding>,
}

/// What is wrong with a recording. Never holds the value in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What, in words, without a full stop.
    pub what: String,
}

/// Checks the recording in `folder`, or every one of the recordings in its folders. The name of
/// `folder` itself is its owner's choice; those below it are passed on with it.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn check(folder: &Path) -> io::Result<Checked> {
    let mut checked = Checked::default();
    if folder.join(META).exists() {
        recording(folder, &mut checked)?;
        return Ok(checked);
    }
    for path in listed(folder)? {
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_symlink() {
            checked.finds(&path, 0, LINK);
        } else if kind.is_dir() {
            if !has_plain_name(&path) {
                checked.finds(&path, 0, BAD_NAME);
            }
            recording(&path, &mut checked)?;
        } else {
            checked.finds(&path, 0, "it is no file of a recording");
        }
    }
    Ok(checked)
}

/// True if a folder's name, which is passed on with it, names neither a device nor a person.
fn has_plain_name(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let identifies = |part: &str| part.len() > NAME_PART_BYTES && part.bytes().any(|b| b.is_ascii_digit());
    name.len() <= NAME_BYTES && name.bytes().all(is_plain) && !name.split(['.', '_', '-']).any(identifies)
}

fn recording(folder: &Path, checked: &mut Checked) -> io::Result<()> {
    checked.recordings += 1;
    let files = listed(folder)?;
    if !files.iter().any(|path| path.ends_with(META)) {
        checked.finds(&folder.join(META), 0, "it is missing");
    }
    if files.len() > MOST_FILES as usize + 1 {
        checked.finds(folder, 0, "it has too many files");
        return Ok(());
    }
    // One for all files: a placeholder means the same in each.
    let mut scrubber = Scrubber::default();
    for path in files {
        let text = match text_of(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                checked.finds(&path, 0, "it is no text, or too large");
                continue;
            }
            Err(error) => return Err(error),
        };
        if path.ends_with(META) {
            if let Err(what) = meta(&text, &mut scrubber) {
                checked.finds(&path, 0, &what);
            }
        } else if is_of_phase(&path) {
            // Not `lines`, which takes two kinds of ends for one.
            for (n, line) in text.split_terminator('\n').enumerate() {
                match entry(line, &mut scrubber) {
                    Ok(frames) => checked.frames += frames,
                    Err(what) => checked.finds(&path, n + 1, &what),
                }
            }
        } else {
            checked.finds(&path, 0, "it is no file of a recording");
        }
    }
    Ok(())
}

impl Checked {
    fn finds(&mut self, file: &Path, line: usize, what: &str) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { file: file.to_owned(), line, what: what.to_owned() });
        }
    }
}

fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The text of a file that is not longer than any recording.
fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MOST_BYTES {
        true => Err(io::ErrorKind::InvalidData.into()),
        false => Ok(text),
    }
}

/// `01-attach.jsonl`.
fn is_of_phase(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl"));
    let parts = name.and_then(|name| name.split_once('-'));
    let is_number = |n: &str| (2..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit());
    parts.is_some_and(|(n, phase)| is_number(n) && PHASES.contains(&phase))
}

/// Looks at a line; how many frames it holds.
fn entry(line: &str, scrubber: &mut Scrubber) -> Result<usize, String> {
    // What the parser says could repeat what it found.
    let entry = Entry::parse(line).ok().filter(|entry| entry.line() == line);
    let entry = entry.ok_or_else(|| NOT_SO.to_owned())?;
    if entry.t > MOST_SECONDS * 1000 || entry.c > MOST_CONNECTIONS {
        return Err("its time or its connection is larger than any can be".to_owned());
    }
    match &entry.what {
        What::Host(json) | What::Device(json) => {
            let frame = to_frame(json).map_err(|error| error.to_string())?;
            let clean = to_json(&scrubber.frame(&frame));
            match first_difference(json, &clean) {
                None => return Ok(1),
                Some(place) => return Err(format!("{place} is not scrubbed")),
            }
        }
        What::Attached(udid) | What::Detached(udid) if scrubber.udid(udid) != *udid => {
            return Err("the UDID is not scrubbed".to_owned());
        }
        What::Open(service) | What::Refused(Refusal { to: service, .. })
            if service != LOCKDOWN && !is_service(service) =>
        {
            return Err("this is no service".to_owned());
        }
        What::Garbage(length) if *length > MOST_FRAME => {
            return Err("no frame is so long".to_owned());
        }
        What::Broken(length) if !is_broken(*length) => {
            return Err("a length is written as the device sent it".to_owned());
        }
        _ => {}
    }
    Ok(0)
}

/// True for what is written of a length that no frame can have.
fn is_broken(length: u64) -> bool {
    length == broken_class(length) && (length == 0 || length > MOST_FRAME) && length <= u64::from(u32::MAX)
}

/// Where a frame differs from itself scrubbed: names of keys down to there, the last of which
/// may be no name that is known.
fn first_difference(found: &Json, clean: &Json) -> Option<String> {
    if found == clean {
        return None;
    }
    let inner = match (found, clean) {
        (Json::Object(found), Json::Object(clean)) => {
            let changed = found.iter().find(|(key, value)| clean.get(*key) != Some(*value));
            changed.map(|(key, value)| match clean.get(key) {
                Some(clean) => (key.clone(), first_difference(value, clean)),
                None => ("a key that is not on the list".to_owned(), None),
            })
        }
        (Json::Array(found), Json::Array(clean)) => {
            let changed = found.iter().zip(clean).position(|(a, b)| a != b);
            changed.map(|n| (n.to_string(), first_difference(&found[n], &clean[n])))
        }
        _ => None,
    };
    Some(match inner {
        Some((key, Some(rest))) if !rest.is_empty() && !rest.starts_with('$') => format!("{key}: {rest}"),
        Some((key, _)) => key,
        None => String::new(),
    })
}

fn meta(text: &str, scrubber: &mut Scrubber) -> Result<(), String> {
    let meta = Meta::parse(text).ok().filter(|meta| meta.text() == text);
    let meta = meta.ok_or_else(|| NOT_SO.to_owned())?;
    let Meta { scrub, origin, date, tool, product, os, cut, job, result } = &meta;
    let is_ended = result.as_ref().is_none_or(|result| {
        OUTCOMES.contains(&result.outcome.as_str())
            && CLASSES.contains(&result.class.as_str())
            && result.pushes <= MOST_PUSHES
            && result.chain.as_ref().is_none_or(|chain| {
                chain.len() <= ERROR_CHAIN_LINKS && chain.iter().all(|told| is_error(told, scrubber))
            })
    });
    let checks = [
        ("scrub", *scrub == SCRUB_VERSION),
        ("date", is_date(date)),
        // What was constructed was written by no program.
        ("tool", if *origin == Origin::Constructed { tool.is_empty() } else { is_tool(tool) }),
        ("product", product.is_empty() || is_product(product)),
        ("os", os.is_empty() || is_version(os)),
        ("cut", cut.is_empty() || cut == OPEN || CUTS.contains(&cut.as_str())),
        ("result", is_ended),
    ];
    if let Some((key, _)) = checks.into_iter().find(|(_, fine)| !fine) {
        return Err(format!("{key} is not what it can be"));
    }
    is_job(job, scrubber)
}

/// `2026-11-22`; a station whose clock was never set has another century.
fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let within = |text: &str, least, most| text.parse::<u32>().is_ok_and(|n| (least..=most).contains(&n));
    matches!(parts[..], [year, month, day]
        if is_digits(year, 4, 4) && is_digits(month, 2, 2) && is_digits(day, 2, 2)
            && within(year, 1970, 2199) && within(month, 1, 12) && within(day, 1, 31))
}

/// `enlist 0.1.0`.
fn is_tool(text: &str) -> bool {
    let version = text.strip_prefix("enlist ").unwrap_or_default();
    version.split('.').count() == 3 && is_version(version)
}

fn is_job(job: &JobMeta, scrubber: &mut Scrubber) -> Result<(), String> {
    let JobMeta { task, setup_assistant, prefer, profiles, .. } = job;
    let is = |text: &str, known: &[&str]| text.is_empty() || known.contains(&text);
    let words = is(task, &["enroll", "prepare", "erase", "look"])
        && is(setup_assistant, &["push", "hold"])
        && is(prefer, &["scep", "acme"]);
    let known = |ProfileMeta { role, identity, .. }: &ProfileMeta| {
        is(role, &["enroll", "sibling", "helper"]) && is(identity, &["scep", "acme", "pkcs12"])
    };
    if !words || !profiles.iter().all(known) {
        return Err("a word of the job is none that is known".to_owned());
    }
    let times = [job.person_within, job.accept_within, job.replug_within, job.policies_within];
    if times.iter().any(|seconds| *seconds > MOST_SECONDS) || job.pushes > MOST_PUSHES {
        return Err("a number of the job is larger than any can be".to_owned());
    }
    match job.scrubbed(scrubber) == *job {
        true => Ok(()),
        false => Err("a profile is not scrubbed".to_owned()),
    }
}
