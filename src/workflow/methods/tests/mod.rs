//! The table against the reference, and every row against a case.

mod advise;
mod remarks;
mod values;

use super::requirement::page;
use super::*;

#[test]
fn the_page_is_what_the_table_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/workflow/methods/RULES.md");
    if crate::fixtures::refresh() {
        std::fs::write(&path, page()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert_eq!(stored, page(), "run the tests once with ENLIST_REFRESH_FIXTURES=1");
}

/// R1 to R198, each once, each with a verb and a sentence.
#[test]
fn every_requirement_has_its_row() {
    let numbers: Vec<_> = requirements().iter().map(|r| r.rule.0).collect();
    assert_eq!(numbers, (1..=198).collect::<Vec<_>>());
    for r in requirements() {
        assert!(["DO", "CHECK", "ADVISE", "OUT"].contains(&r.disposition.verb()));
        assert!(r.words.len() > 15 && !r.words.contains('\n'), "{}: '{}'", r.rule, r.words);
        assert!(r.words.ends_with('.') || r.words.contains('`'), "{}: '{}'", r.rule, r.words);
        assert_eq!(requirement(r.rule).map(|found| found.words), Some(r.words));
    }
    assert!(requirement(R(0)).is_none() && requirement(R(199)).is_none());
}

#[test]
fn conditions_cite_rules_that_exist() {
    for method in Method::ALL {
        for condition in method.conditions() {
            assert!(!condition.rules.is_empty() && !condition.facts.is_empty(), "{}", condition.words);
            assert!(condition.rules.iter().all(|r| requirement(*r).is_some()), "{:?}", condition.rules);
        }
        assert_eq!(Method::parse(method.name()), Some(method));
        assert_eq!(Method::parse(&method.letter().to_string()), Some(method));
    }
    assert_eq!(Method::parse("G"), None);
}

#[test]
fn the_portal_path_is_the_linter_s() {
    let remedy = crate::wire::profile::lint::rule("L46").map(|rule| rule.remedy).unwrap_or_default();
    assert!(remedy.contains(portal_path(Platform::Iphone)), "{remedy}");
    assert_ne!(portal_path(Platform::Mac), portal_path(Platform::Ipad));
}

#[test]
fn the_cards_cite_rules_that_exist() {
    for (rule, words) in AFTER_ENROLLMENT {
        assert!(R::parse(rule).and_then(requirement).is_some(), "{rule}");
        assert!(words.ends_with('.'));
    }
    assert!(AFTER_ENROLLMENT[0].1.contains("ten minutes"));
}
