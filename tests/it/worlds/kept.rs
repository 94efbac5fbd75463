//! Worlds that are kept: those that once failed, and those worth knowing by heart. Each file of
//! `fixtures/scenarios` is run and must give the journal beside it.
//!
//! `ENLIST_REFRESH_FIXTURES=1 cargo test --test it worlds::kept` writes the journals anew.

use super::file::World;
use super::run;
use std::path::{Path, PathBuf};

#[test]
fn every_scenario_gives_the_journal_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let world = World::read(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let came = run::run(&world, None);
        assert!(came.violations.is_empty(), "{}: {:#?}\n{}", path.display(), came.violations, came.journal);
        let beside = path.with_extension("journal");
        if std::env::var_os("ENLIST_REFRESH_FIXTURES").is_some() {
            std::fs::write(&beside, &came.journal).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(came.journal, expected, "{}", path.display());
    }
}
