//! The linter: its page, its bounds, its silence about secrets.

mod cases;
mod fixtures;

use super::*;
use crate::wire::profile::lint::{
    DeviceContext, Finding, Job, Lint, LintContext, OsVersion, Severity, Verdict, lint, page, rule, rules,
};
use std::collections::BTreeSet;

/// An iOS job at the bench's time.
fn ios() -> LintContext {
    LintContext { job: Job::Ios, ..LintContext::new(Some(now())) }
}

fn device(class: &str, os: &str) -> DeviceContext {
    DeviceContext { class: Some(class.into()), os: OsVersion::parse(os), ..DeviceContext::default() }
}

fn check(file: &[u8], context: &LintContext) -> Lint {
    lint(file, &trusted(), context)
}

/// Code and severity of each finding, as `L46E`, each once.
fn shown(lint: &Lint) -> Vec<String> {
    let letter = |finding: &Finding| match finding.severity {
        Severity::Error => "E",
        Severity::Warning => "W",
        Severity::Information => "I",
    };
    let all: BTreeSet<_> = lint.findings().iter().map(|f| format!("{}{}", f.code, letter(f))).collect();
    all.into_iter().collect()
}

#[test]
fn the_rules_are_complete_and_sorted() {
    let codes: Vec<_> = rules().map(|rule| rule.code).collect();
    let mut expected: Vec<_> = (1..=55).map(|number| format!("L{number:02}")).collect();
    expected.extend(["U01", "U02", "U03"].map(str::to_owned));
    assert_eq!(codes, expected);
    assert_eq!(rule("l46").map(|rule| rule.code), Some("L46"));
    assert!(rule("L56").is_none());
    for rule in rules() {
        assert!(!rule.severities.is_empty() && !rule.title.is_empty(), "{}", rule.code);
        for text in [rule.explanation, rule.remedy] {
            assert!(text.starts_with(char::is_alphabetic) && text.ends_with(['.', ')']), "{text}");
            assert!(!text.contains(['[', ']', '<', '`']), "rustdoc would read it: {text}");
        }
    }
}

#[test]
fn the_page_is_what_the_rules_say() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/profile/lint/RULES.md");
    if crate::fixtures::refresh() {
        std::fs::write(&path, page()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert_eq!(stored, page(), "run the tests once with ENLIST_REFRESH_FIXTURES=1");
}

#[test]
fn no_secret_stands_in_a_finding() {
    const CANARY: &str = "canary-9d1e";
    let secret = |root: &mut Dictionary| {
        let scep = payload(root, 0).get_mut("PayloadContent").unwrap().as_dictionary_mut().unwrap();
        insert(scep, "URL", format!("https://{CANARY}@scep.example/{CANARY}"));
        insert(scep, "Challenge", CANARY);
        insert(scep, "Keysize", 512);
        insert(scep, "Key Type", "EC");
        insert(payload(root, 1), "ServerURL", format!("http://mdm.example/{CANARY}?t={CANARY}"));
        insert(payload(root, 1), "CheckInURL", format!("https://u:{CANARY}@mdm.example/"));
        let wrong: Dictionary = [
            ("PayloadType", "com.apple.wifi.managed"),
            ("Password", CANARY),
            ("ProxyPassword", CANARY),
            ("HIDDEN_NETWORK", CANARY),
            ("EAPClientConfiguration", CANARY),
        ]
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .into_iter()
        .collect();
        let mut p12 = wrong.clone();
        insert(&mut p12, "PayloadType", "com.apple.security.pkcs12");
        insert(&mut p12, "PayloadContent", CANARY);
        let mut acme = wrong.clone();
        insert(&mut acme, "PayloadType", "com.apple.security.acme");
        insert(&mut acme, "ClientIdentifier", CANARY);
        insert(&mut acme, "DirectoryURL", format!("http://acme.example/{CANARY}"));
        let all = root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap();
        all.extend([wrong, p12, acme].map(Value::from));
    };
    let mut root = with_root(secret);
    insert(&mut root, "RemovalDate", CANARY);
    for form in ["Configuration", "Profile Service"] {
        insert(&mut root, "PayloadType", form);
        for file in [xml(&root), sign(&xml(&root))] {
            let lint = check(&file, &ios());
            assert!(form == "Profile Service" || lint.findings().len() > 15, "{lint:#?}");
            assert!(!format!("{lint:?}").contains(CANARY), "{lint:#?}");
        }
    }
    let cut = sign(&xml(&root)[..900]);
    assert!(!format!("{:?}", check(&cut, &ios())).contains(CANARY));
}

#[test]
fn a_file_with_a_thousand_faults_draws_a_bounded_number_of_findings() {
    let empty = Value::Dictionary(Dictionary::new());
    let root = with_root(|root| insert(root, "PayloadContent", Value::Array(vec![empty; 20_000])));
    let lint = check(&xml(&root), &ios());
    assert!(lint.findings().len() < 60 * rules().count());
    let last = lint.findings().iter().rfind(|finding| finding.code == "L03").unwrap();
    assert!(last.message.contains("19950 more"), "{}", last.message);
    // As many MDM payloads that all name an identity: no work in squares.
    let mdm = with_root(|root| {
        let mdm = payload(root, 1).clone();
        insert(root, "PayloadContent", Value::Array(vec![mdm.into(); 5_000]));
    });
    assert!(shown(&check(&xml(&mdm), &ios())).contains(&"L12E".to_owned()));
}

#[test]
fn arbitrary_bytes_draw_findings_and_no_panic() {
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let whole = sign(&xml(&scep()));
    let strategy = (0..whole.len(), proptest::num::u8::ANY, 0..whole.len());
    runner
        .run(&strategy, |(at, byte, end)| {
            let mut file = whole.clone();
            file[at] = byte;
            // Some bytes of a signature mean nothing; most changes break it.
            let _ = check(&file, &ios());
            proptest::prop_assert_eq!(check(&whole[..end], &ios()).verdict(), Verdict::Refuse);
            Ok(())
        })
        .unwrap();
}

#[test]
fn findings_are_sorted_and_lead_to_a_verdict() {
    let lint = check(&xml(&with_mdm(|mdm| insert(mdm, "Topic", "x"))), &ios());
    let severities: Vec<_> = lint.findings().iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted_by(|a, b| a >= b) && severities.len() == 3, "{lint:#?}");
    assert_eq!(lint.verdict(), Verdict::Refuse);
    assert_eq!(check(&xml(&scep()), &ios()).verdict(), Verdict::Hold);
    assert_eq!(check(&sign(&xml(&scep())), &ios()).verdict(), Verdict::Accept);
    let topic = &lint.findings()[0];
    assert_eq!((topic.code, topic.path.as_str()), ("L16", "PayloadContent[1].Topic"));
    assert_eq!((topic.value.as_deref(), lint.count(Severity::Error)), (Some("x"), 1));
}
