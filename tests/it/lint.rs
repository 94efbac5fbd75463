//! `enlist profile lint` as a shell sees it: lines, forms, exit codes.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/profiles/example-scep.mobileconfig");

fn lint(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enlist"));
    command.args(["profile", "lint"]).args(arguments).env_remove("ENLIST_CONFIG");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn broken(folder: &Path) -> String {
    let path = folder.join("two words.mobileconfig");
    let text = std::fs::read_to_string(EXAMPLE).unwrap();
    std::fs::write(&path, text.replace("com.apple.mgmt.External", "com.example")).unwrap();
    path.display().to_string()
}

#[test]
fn text_is_sorted_by_severity_and_uncoloured_in_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = lint(&["--job", "ios", EXAMPLE, &broken(folder.path())]);
    assert_eq!(code, Some(1));
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].starts_with("✖ error L16 ") && lines[0].contains("PayloadContent[1].Topic"), "{out}");
    assert!(lines[1].starts_with("  remedy: "), "{out}");
    assert!(lines[2].starts_with("▲ warning L46 "), "{out}");
    assert_eq!(lines.last(), Some(&"✖ 2 files: 1 error, 2 warnings, 2 for information"));
    assert!(!out.contains('\u{1b}'));
}

#[test]
fn json_lines_have_exactly_the_six_fields() {
    let folder = tempfile::tempdir().unwrap();
    let file = broken(folder.path());
    for form in [&["--json"][..], &["--format", "json"]] {
        let (code, out, _) = lint(&[form, &[&file]].concat());
        assert_eq!(code, Some(1));
        let findings: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for finding in &findings {
            let mut fields: Vec<_> = finding.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            assert_eq!(fields, ["code", "file", "message", "path", "remedy", "severity"]);
            assert!(["error", "warning", "info"].contains(&finding["severity"].as_str().unwrap()));
        }
        let codes: Vec<_> = findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["L16", "L46", "L45"]);
    }
}

#[test]
fn exit_codes() {
    let today = lint(&["--exported-at", "2200-01-01", EXAMPLE]);
    assert_eq!(today.0, Some(0), "a date in the future is a warning: {}", today.1);
    assert_eq!(lint(&["--exported-at", "2020-01-01", EXAMPLE]).0, Some(1));
    let acme = EXAMPLE.replace("scep", "acme");
    assert_eq!(lint(&["--device-class", "iPad", "--os", "16.0", &acme]).0, Some(1));
    assert_eq!(lint(&["--device-class", "iPad", "--os", "16.1", &acme]).0, Some(0));
    for usage in [
        &[][..],
        &["/no/such/file"],
        &["--explain", "L99"],
        &["--os", "x", EXAMPLE],
        &["--job", "tvos", EXAMPLE],
        &["--exported-at", "yesterday", EXAMPLE],
        &["--job", "macos", "--device-class", "iPad", EXAMPLE],
    ] {
        assert_eq!(lint(usage).0, Some(2), "{usage:?}");
    }
}

#[test]
fn a_rule_is_explained() {
    let (code, out, _) = lint(&["--explain", "l46"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("L46: old export\n") && out.contains("remedy") && out.contains("22013"), "{out}");
    let (_, out, _) = lint(&["--explain", "L46", "--json"]);
    let rule: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((rule["code"].as_str(), rule["severity"].as_str()), (Some("L46"), Some("error")));
}

#[test]
fn sarif_names_every_rule_and_each_finding() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = lint(&["--format", "sarif", &broken(folder.path())]);
    assert_eq!(code, Some(1));
    let log: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 58);
    let levels: Vec<_> =
        run["results"].as_array().unwrap().iter().map(|r| r["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["error", "warning", "note"]);
    let uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str();
    assert!(uri.unwrap().starts_with("file:///") && uri.unwrap().ends_with("/two%20words.mobileconfig"));
}
