//! What we depend on: why, under which licence, from where.

use super::{none, read, root};
use std::process::Command;

#[test]
fn every_dependency_has_a_reason_beside_it() {
    let manifest = read("Cargo.toml");
    let mut section = "";
    let mut wrong = Vec::new();
    let mut seen = 0;
    for line in manifest.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
            assert!(!line.contains("dependencies."), "write {line} on one line, with its reason");
        } else if section.ends_with("dependencies]") {
            seen += 1;
            // No version or feature has a '#' in it.
            if line.split_once('#').is_none_or(|(_, reason)| reason.trim().len() < 8) {
                wrong.push(line.to_owned());
            }
        }
    }
    assert!(seen > 10);
    none("dependencies without a reason", &wrong);
}

/// Only what this host builds: cargo knows the rest only after downloading it. The whole
/// is cargo-deny's, with the same list.
#[test]
fn every_licence_is_allowed_and_every_source_is_crates_io() {
    let deny: toml::Table = read(".deny.toml").parse().unwrap();
    let allowed: Vec<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    let mut wrong = Vec::new();
    let packages = packages();
    assert!(packages.len() > 50, "{} packages only", packages.len());
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        if !permits(licence, &allowed) {
            wrong.push(format!("{name}: {licence}"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|s| !s.starts_with("registry+") || !s.contains("crates.io-index"))
            || source.is_none() && name != "enlist"
        {
            wrong.push(format!("{name}: comes from {source:?}"));
        }
    }
    none("licences that .deny.toml does not allow, or foreign sources", &wrong);
}

fn packages() -> Vec<serde_json::Value> {
    let version = output(Command::new(env!("CARGO")).arg("-vV"));
    let host = version.lines().find_map(|l| l.strip_prefix("host: ")).unwrap();
    let metadata = output(
        Command::new(env!("CARGO"))
            .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host])
            .current_dir(root()),
    );
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether an SPDX expression can be met with the allowed licences. The old "A/B" means "A OR B".
fn permits(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let permitted = any(&words, &mut at, allowed);
    permitted && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut permitted = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        permitted |= all(words, at, allowed);
    }
    permitted
}

fn all(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut permitted = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        permitted &= one(words, at, allowed);
    }
    permitted
}

fn one(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let permitted = any(words, at, allowed);
        *at += 1;
        return permitted;
    }
    if words.get(*at) == Some(&"WITH") {
        let name = format!("{word} WITH {}", words.get(*at + 1).copied().unwrap_or_default());
        *at += 2;
        return allowed.contains(&name.as_str());
    }
    allowed.contains(&word)
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT", "Unicode-3.0"];
    for good in ["MIT", "GPL-3.0 OR MIT", "Apache-2.0/MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in ["", "none", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH Something", "GPL-2.0 MIT"] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}
