//! The corpora in the tree, and what was found, through the entries they belong to.

use super::TARGETS;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Fewer files than this are no corpus.
const LEAST_FILES: usize = 10;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The corpus of a target.
pub(super) fn inputs(target: &str) -> Vec<Vec<u8>> {
    files(&folder("corpus").join(target)).iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn the_corpora_are_survived() {
    for (target, entry) in TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() >= LEAST_FILES, "{target}: {} files only", inputs.len());
        inputs.iter().for_each(|input| entry(input));
    }
}

/// Each has a name that says what it is, and stays.
#[test]
fn what_was_found_once_is_survived() {
    for (target, entry) in TARGETS {
        for found in files(&folder("found").join(target)) {
            println!("{}", found.display());
            entry(&std::fs::read(found).unwrap());
        }
    }
}

#[test]
fn every_target_is_built_and_described() {
    let known: BTreeSet<_> = TARGETS.iter().map(|(target, _)| (*target).to_owned()).collect();
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
    let quoted = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let built =
        manifest.split("[[bin]]").skip(1).filter_map(|bin| bin.lines().find(|l| l.starts_with("name")));
    assert_eq!(built.map(quoted).collect::<BTreeSet<_>>(), known);
    let readme = std::fs::read_to_string(folder("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.map(str::to_owned).collect::<BTreeSet<_>>(), known);
    for place in ["corpus", "found"] {
        let names = files(&folder(place)).into_iter().filter(|path| path.is_dir());
        let names: BTreeSet<_> =
            names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        assert!(names.is_subset(&known), "{place}: {names:?}");
    }
    for (target, _) in TARGETS {
        let source = std::fs::read_to_string(folder("fuzz_targets").join(format!("{target}.rs"))).unwrap();
        assert!(source.contains(&format!("enlist::fuzz::{target}(bytes)")), "{target}");
    }
}
