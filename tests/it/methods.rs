//! The table of requirements against the tree: what a row names is there.

use enlist::workflow::methods::requirements;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a module, as a file of its own or inside its parent's.
fn text_of_module(base: &str, module: &[&str]) -> Option<String> {
    let joined = module.join("/");
    let files = [format!("{base}/{joined}.rs"), format!("{base}/{joined}/mod.rs")];
    let own = files.iter().find_map(|file| std::fs::read_to_string(root().join(file)).ok());
    own.or_else(|| {
        let (last, parent) = module.split_last()?;
        let text = text_of_module(base, parent)?;
        let (_, inside) = text.split_once(&format!("mod {last} {{"))?;
        Some(inside.to_owned())
    })
}

fn has_item(text: &str, name: &str) -> bool {
    let kinds = ["fn", "const", "static", "struct", "enum", "trait", "type"];
    let word = |line: &str, kind: &str| {
        line.split_once(&format!("{kind} {name}"))
            .is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    text.lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .any(|line| kinds.iter().any(|kind| word(line, kind)))
}

/// A function right below `#[test]` or `#[tokio::test…]`, other attributes between.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let found = lines.iter().position(|l| {
        let bare = l.trim_start_matches("async ");
        bare.strip_prefix("fn ")
            .is_some_and(|rest| rest.strip_prefix(name).is_some_and(|r| r.starts_with('(')))
    });
    let Some(at) = found else { return false };
    let above = lines[..at].iter().rev().take_while(|l| l.starts_with("#[") || l.starts_with("///"));
    above.into_iter().any(|l| l.starts_with("#[test]") || l.starts_with("#[tokio::test"))
}

#[test]
fn every_do_and_check_names_code_and_test_that_exist() {
    let mut wrong = Vec::new();
    let mut carried = 0;
    for r in requirements() {
        let Some(carrier) = r.disposition.carrier() else { continue };
        let (code, test) = (carrier.code, carrier.test);
        carried += 1;
        let parts: Vec<_> = code.split("::").collect();
        let (item, module) = parts.split_last().unwrap();
        if !text_of_module("src", module).is_some_and(|text| has_item(&text, item)) {
            wrong.push(format!("{}: there is no {code}", r.rule));
        }
        let parts: Vec<_> = test.split("::").collect();
        let (name, module) = parts.split_last().unwrap();
        let text = match module {
            ["it", rest @ ..] => text_of_module("tests/it", rest),
            module => text_of_module("src", module),
        };
        if !text.is_some_and(|text| has_test(&text, name)) {
            wrong.push(format!("{}: there is no test {test}", r.rule));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(carried > 60, "{carried}");
}

#[test]
fn the_finder_of_items_and_tests_is_not_fooled() {
    let text =
        "mod tests {\n    #[test]\n    fn one() {}\n    fn two() {}\n}\n// fn three\nconst LONGER: u8 = 1;";
    assert!(has_test(text, "one") && !has_test(text, "two") && !has_test(text, "on"));
    assert!(has_item(text, "two") && !has_item(text, "three") && !has_item(text, "LONG"));
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// R1: no enrollment erases. The request is made in one place, which one task alone leads to.
#[test]
fn no_enrollment_erases_a_device() {
    let files: Vec<_> = ["workflow", "station"]
        .iter()
        .flat_map(|layer| files_below(&root().join("src").join(layer)))
        .collect();
    assert!(files.len() > 30, "{files:?}");
    let holding = |words: &str| {
        let text = |file: &Path| std::fs::read_to_string(file).unwrap();
        let found = files.iter().filter(|file| text(file).contains(words));
        found.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(holding("EraseDevice"), [""; 0]);
    assert_eq!(holding(".erase().await"), ["erase.rs"]);
    assert_eq!(holding("erase::attempt"), ["mod.rs"]);
    let steps = std::fs::read_to_string(root().join("src/workflow/steps/mod.rs")).unwrap();
    let before = steps.split("erase::attempt").next().unwrap().trim_end();
    assert!(
        before.ends_with("Task::Erase(erasure) = run.job.policy.task.clone() {\n        return"),
        "{before}"
    );
}
