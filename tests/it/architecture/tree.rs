//! What lies in the tree: fixtures with their provenance, nothing of anybody's machine.

use super::{files_below, none, read, relative, root};
use std::path::PathBuf;
use std::process::Command;

/// Words a README of fixtures may use. There is no `hardware` yet: nothing here was recorded
/// from a device, and nothing may say so.
const PROVENANCE: [&str; 2] = ["simulator", "constructed"];

#[test]
fn every_fixture_is_named_with_where_it_came_from() {
    let fixtures = root().join("fixtures");
    let index = read("fixtures/README.md");
    let mut wrong = Vec::new();
    for file in files_below(&fixtures) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        // The nearest README above answers for it, by its path from there.
        let folder = file.ancestors().skip(1).find(|f| f.join("README.md").exists()).unwrap();
        if folder == fixtures {
            wrong.push(format!("{}: its folder has no README.md", relative(&file)));
            continue;
        }
        let text = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let below = file.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        if !text.contains(&format!("`{below}`")) && !names_folder(&text, &below) {
            wrong.push(format!("{}: not named in {}/README.md", relative(&file), relative(folder)));
        }
        let said: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("Provenance: ")).collect();
        if said.len() != 1 || !PROVENANCE.contains(&said[0].trim_end_matches('.')) {
            wrong.push(format!(
                "{}/README.md: wants one line 'Provenance: {}.', has {said:?}",
                relative(folder),
                PROVENANCE.join("|")
            ));
        }
        let top = folder.strip_prefix(&fixtures).unwrap().components().next().unwrap();
        if !index.contains(&format!("`{}/`", top.as_os_str().to_string_lossy())) {
            wrong.push(format!("fixtures/README.md does not list {}", relative(folder)));
        }
    }
    wrong.dedup();
    none("fixtures without provenance", &wrong);
}

/// A folder of many like files may be named as a whole, as `folder/`.
fn names_folder(text: &str, below: &str) -> bool {
    below.match_indices('/').any(|(end, _)| text.contains(&format!("`{}`", &below[..=end])))
}

/// Everything tracked; everything but build results where this is no checkout.
fn tracked() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    match listed {
        Ok(listed) if listed.status.success() && !listed.stdout.is_empty() => {
            let names = String::from_utf8(listed.stdout).unwrap();
            let paths = names.split('\0').filter(|n| !n.is_empty()).map(|n| root().join(n));
            paths.filter(|p| p.is_file()).collect()
        }
        _ => {
            let mut all = files_below(root());
            all.retain(|p| !p.starts_with(root().join("target")) && !p.starts_with(root().join(".git")));
            all
        }
    }
}

#[test]
fn nothing_of_a_machine_and_no_unfinished_work_is_tracked() {
    // Put together here, so that this file does not find itself.
    let markers = ["TO_DO", "FIX_ME", "XX_X"].map(|m| m.replace('_', ""));
    let homes = ["/wo|rk/", "/ro|ot/", "/ho|me/", "/Us|ers/"].map(|h| h.replace('|', ""));
    let mut wrong = Vec::new();
    for file in tracked() {
        // Databases and other binary files hold no prose.
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for (n, line) in text.lines().enumerate() {
            let words = || line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let marker = markers.iter().find(|m| words().any(|w| w == m.as_str()));
            let home = homes.iter().find(|h| {
                // A path, not the middle of one such as an address on the web.
                line.match_indices(h.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '*'))
                })
            });
            if let Some(found) = marker.or(home) {
                wrong.push(format!("{}:{}: {found}", relative(&file), n + 1));
            }
        }
    }
    none("finish it, or keep it out of the tree", &wrong);
}

#[test]
fn the_top_level_is_closed() {
    let people = ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "src", "tests", "fixtures", "udev"];
    let tools = [".cargo", ".ci", ".clippy.toml", ".deny.toml", ".gitignore", ".rustfmt.toml"];
    let mut tops: Vec<_> = tracked().iter().map(|p| relative(p)).collect();
    tops.iter_mut().for_each(|p| p.truncate(p.find('/').unwrap_or(p.len())));
    tops.sort();
    tops.dedup();
    let is_allowed = |top: &str| people.contains(&top) || tools.contains(&top);
    tops.retain(|top| !is_allowed(top));
    none("new names at the top level", &tops);
}
