//! What a recording stands for once its placeholders have their length. It is looked at before
//! anything is expanded: a line of some bytes may stand for megabytes.

use super::check::{Checked, Finding};
use super::entry::Entry;
use super::folder::META;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Most bytes that one recording may stand for, its own text included: a replay keeps them all.
/// A job with a hundred pushes of a large profile stays far below.
const MOST_EXPANDED: u64 = 64 << 20;

/// Checks the recording in `folder`, or every one of the recordings in its folders. One that is
/// too heavy is told first, and nothing is expanded then.
///
/// # Errors
/// The folder cannot be read.
pub fn check(folder: &Path) -> io::Result<Checked> {
    let recordings = match folder.join(META).exists() {
        true => vec![folder.to_owned()],
        false => listed(folder)?.into_iter().filter(|path| path.is_dir()).collect(),
    };
    let mut heavy = Checked { recordings: recordings.len(), ..Checked::default() };
    for recording in recordings {
        heavy.findings.extend(too_heavy(&recording)?);
    }
    match heavy.findings.is_empty() {
        true => super::check::check(folder),
        false => Ok(heavy),
    }
}

/// The line with which a recording stands for too much, if it does.
fn too_heavy(recording: &Path) -> io::Result<Option<Finding>> {
    let mut weight = 0;
    for file in listed(recording)? {
        // What is no file, the check tells.
        if !fs::symlink_metadata(&file)?.is_file() {
            continue;
        }
        let mut text = Vec::new();
        File::open(&file)?.take(MOST_EXPANDED + 1).read_to_end(&mut text)?;
        for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
            weight += weight_of(line);
            if weight > MOST_EXPANDED {
                let what = format!(
                    "with this line the recording stands for more than {} MiB, the most that is read",
                    MOST_EXPANDED >> 20
                );
                return Ok(Some(Finding { file, line: n + 1, what }));
            }
        }
    }
    Ok(None)
}

/// What is no line of a recording has its own weight alone; the check tells what it is.
fn weight_of(line: &[u8]) -> u64 {
    let entry = std::str::from_utf8(line).ok().and_then(|line| Entry::parse(line).ok());
    let declared = entry.map_or(0, |entry| entry.declared());
    // A sum of two numbers that are far from the largest.
    declared.min(MOST_EXPANDED + 1) + line.len() as u64
}

fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_lines_that_stand_for_much_are_refused_before_they_are_expanded() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(META), "").unwrap();
        let line = r#"{"t":0,"c":1,"device":{"Payload":{"$data":"~Payload-1","length":4194304}}}"#;
        let file = folder.path().join("01-attach.jsonl");
        let many = |n: usize| fs::write(&file, vec![line; n].join("\n")).unwrap();
        many(15);
        assert_eq!(too_heavy(folder.path()).unwrap(), None);
        many(3000);
        let found = too_heavy(folder.path()).unwrap().unwrap();
        assert_eq!((&found.file, found.line), (&file, 16));
        assert!(found.what.contains("64 MiB"), "{}", found.what);
        assert_eq!(check(folder.path()).unwrap().findings, [found]);
        // Several such lines in two files, and garbage, weigh the same.
        many(10);
        fs::write(folder.path().join("02-pair.jsonl"), [line; 10].join("\n")).unwrap();
        assert!(too_heavy(folder.path()).unwrap().is_some());
        fs::remove_file(folder.path().join("02-pair.jsonl")).unwrap();
        let garbage = format!(r#"{{"t":0,"c":1,"garbage":{}}}"#, u64::MAX);
        fs::write(&file, vec![garbage.as_str(); 30].join("\n")).unwrap();
        assert!(too_heavy(folder.path()).unwrap().is_some());
    }
}
