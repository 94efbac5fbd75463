//! Values for the portal at their bounds.

use super::super::values::render_name;
use super::*;

fn fits(name: &str, text: &str) -> bool {
    check_value(name, text, &[]).is_ok()
}

#[test]
fn each_bound_holds_on_both_sides() {
    for (name, good, bad) in [
        ("cached-users", &["1", "24"][..], &["0", "25", "x", "-1"][..]),
        ("lock-seconds", &["0", "60", "300", "900", "3600", "14400"], &["1", "59", "14401"]),
        ("session-seconds", &["0", "30", "3600"], &["1", "29"]),
        ("temporary-seconds", &["0", "30"], &["29"]),
        ("temporary-only", &["yes", "no"], &["maybe"]),
        ("configurator-total", &["75000"], &["75001"]),
        ("sync-devices", &["0", "200000"], &["many"]),
    ] {
        assert!(good.iter().all(|text| fits(name, text)), "{name}: {good:?}");
        assert!(bad.iter().all(|text| !fits(name, text)), "{name}: {bad:?}");
    }
    let template = |chars: usize| format!("{}{{{{SERIAL}}}}", "x".repeat(chars - 10));
    assert!(fits("name-template", &template(63)) && !fits("name-template", &template(64)));
    assert_eq!(render_name("{{DEVICETYPE}}-{{SERIAL}}", "iPad", "F1").as_deref(), Ok("iPad-F1"));
    assert!(!fits("name-template", "{{MODEL}}") && !fits("name-template", " "));
    assert!(matches!(check_value("no-such", "1", &[]), Err(BadValue::Unknown { .. })));
}

#[test]
fn temporary_sessions_exclude_the_others() {
    let only = |answer: &str| [("temporary-only".to_owned(), answer.to_owned())];
    for name in ["cached-users", "lock-seconds", "session-seconds"] {
        let error = check_value(name, "0", &only("yes")).unwrap_err();
        assert!(matches!(error, BadValue::Breaks { rule: R(129), .. }), "{error}");
    }
    assert!(check_value("temporary-seconds", "30", &only("yes")).is_ok());
    assert!(check_value("temporary-seconds", "30", &only("no")).is_err());
}

#[test]
fn a_big_token_waits_longer() {
    assert!(check_value("sync-devices", "3001", &[]).unwrap().contains("2 min"));
    assert!(check_value("sync-devices", "10", &[]).unwrap().contains("1 min"));
}
