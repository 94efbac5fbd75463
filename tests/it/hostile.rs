//! Files made to mislead or to hurt, through the shipped `enlist profile lint` and `show`:
//! F01 to F20, the folder `fixtures/profiles/broken`, and files of 10 and 64 MiB.

mod f01_to_f20;
mod large;

use crate::support::binary::{Bench, Done, text_of};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The codes of each file, as `L46E`: error, warning or information.
fn codes(done: &Done) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in done.json() {
        let text = |key: &str| finding[key].as_str().unwrap();
        let letter = text("severity")[..1].to_uppercase();
        all.entry(text("file").to_owned()).or_default().insert(format!("{}{letter}", text("code")));
    }
    all
}

fn broken() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles/broken")
}

/// The table of the folder's README: file, and its codes.
fn listed() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(broken().join("README.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
        let codes = cells.get(2)?.split_whitespace().map(str::to_owned).collect();
        Some((cells[0].trim_end_matches('`').to_owned(), codes))
    };
    page.lines().filter_map(row).collect()
}

#[test]
fn each_broken_file_draws_the_codes_that_its_folder_lists() {
    let listed = listed();
    assert!(listed.len() >= 60, "{}", listed.len());
    let entries = std::fs::read_dir(broken()).unwrap().map(|entry| entry.unwrap().file_name());
    let stored: BTreeSet<_> = entries.map(|name| name.into_string().unwrap()).collect();
    let mut expected: BTreeSet<_> = listed.keys().cloned().collect();
    expected.insert("README.md".into());
    assert_eq!(stored, expected, "the folder and its list");
    let bench = Bench::new();
    let paths: Vec<_> = listed.keys().map(|name| text_of(&broken().join(name))).collect();
    let mut arguments = vec!["profile", "lint", "--json", "--job", "ios"];
    arguments.extend(paths.iter().map(String::as_str));
    let done = bench.run(&arguments).exits(1);
    done.is_for_people();
    let mut found = codes(&done);
    for (name, expected) in listed {
        let mut codes = found.remove(&text_of(&broken().join(&name))).unwrap_or_default();
        // How old an export is changes with the day.
        codes.retain(|code| !code.starts_with("L46"));
        assert_eq!(codes, expected, "{name}");
    }
}

/// Whatever is in a file, `show` says it in words or in values, and nothing reaches the
/// terminal that could drive it.
#[test]
fn each_broken_file_is_shown_or_refused_in_words() {
    let bench = Bench::new();
    let paths: Vec<_> = listed().into_keys().map(|name| text_of(&broken().join(name))).collect();
    for form in [&["profile", "show"][..], &["profile", "show", "--json"]] {
        let mut arguments = form.to_vec();
        arguments.extend(paths.iter().map(String::as_str));
        let done = bench.run(&arguments);
        assert!(matches!(done.code, Some(2 | 5)), "{done}");
        done.is_for_people();
        let odd = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
        assert!(!done.all_output().contains(odd), "{done}");
        assert!(!done.all_output().contains("root:"), "an external entity was read\n{done}");
    }
}
