//! `enlist advise` as a shell sees it: the method for a case, questions, rules, values.

use crate::outcomes::World;
use crate::support::binary::{Bench, Done};
use serde_json::{Value, json};

const DIRECT: [&str; 20] = [
    "--platform",
    "ipad",
    "--owner",
    "organisation",
    "--users",
    "none",
    "--other-mdm",
    "no",
    "--state",
    "in-use",
    "--erase",
    "no",
    "--supervision",
    "not-needed",
    "--abm",
    "no",
    "--station",
    "yes",
    "--dem",
    "no",
];

fn advise(args: &[&str]) -> Done {
    Bench::new().run(&[&["advise"], args].concat())
}

/// The case above with some answers changed.
fn changed(answers: &[(&str, &str)]) -> Vec<Value> {
    let mut args = DIRECT.to_vec();
    let mut more = Vec::new();
    for (flag, answer) in answers {
        match args.iter().position(|arg| arg == flag) {
            Some(at) => args[at + 1] = answer,
            None => more.extend([*flag, *answer]),
        }
    }
    args.extend(more);
    args.push("--json");
    advise(&args).exits(0).json()
}

fn best(answers: &[(&str, &str)]) -> String {
    changed(answers)[0]["method"].as_str().unwrap().to_owned()
}

#[test]
fn each_method_has_its_case() {
    assert_eq!(best(&[]), "direct");
    assert_eq!(best(&[("--platform", "mac")]), "direct-mac");
    assert_eq!(best(&[("--users", "one"), ("--erase", "yes")]), "setup-assistant");
    assert_eq!(best(&[("--abm", "yes"), ("--state", "new"), ("--supervision", "wanted")]), "automated");
    let personal =
        [("--owner", "person"), ("--users", "one"), ("--managed-accounts", "yes"), ("--os", "18.2")];
    assert_eq!(best(&[&personal[..], &[("--scope", "work-apps")]].concat()), "user");
    assert_eq!(best(&[&personal[..], &[("--scope", "device")]].concat()), "byod");
}

#[test]
fn a_case_is_explained_with_rules_on_both_sides() {
    let methods = changed(&[("--count", "300"), ("--os", "15.8")]);
    assert_eq!(methods.len(), 6);
    let first = &methods[0];
    assert_eq!((&first["fits"], &first["rank"], &first["letter"]), (&json!(true), &json!(1), &json!("A")));
    assert!(first["because"].as_array().unwrap().iter().all(|r| r["rules"] == json!(["R37"])), "{first}");
    let minded = first["mind"].to_string();
    assert!(minded.contains("R40") && minded.contains("R11") && minded.contains("SCEP"), "{minded}");
    let rules = first["requirements"].as_array().unwrap();
    assert_eq!(rules.len(), 46 + 12, "4.A and 4.G");
    let silent = rules.iter().find(|r| r["rule"] == "R23").unwrap();
    assert_eq!((&silent["verb"], silent["code"].is_string()), (&json!("DO"), true), "{silent}");
    for other in methods.iter().filter(|m| m["fits"] == false) {
        assert!(!other["because"].as_array().unwrap().is_empty() && other["rank"].is_null(), "{other}");
    }
    let text = advise(&DIRECT).exits(0);
    text.is_for_people();
    let out = text.stdout.join("\n");
    assert!(out.starts_with("✔ A: direct enrollment of iPhone and iPad  fits best\n"), "{out}");
    for part in
        ["use when: ", "(R37)", "This station does:", "For a person:", "✖ D: ", "needs: Apple Business"]
    {
        assert!(out.contains(part), "no '{part}' in {out}");
    }
    assert!(!out.contains('\u{1b}'));
}

#[test]
fn without_a_terminal_missing_answers_are_named() {
    let sentence = advise(&[]).fails_clearly(2);
    assert!(sentence.contains("--platform") && sentence.contains("--owner"), "{sentence}");
    let sentence = advise(&DIRECT[..16]).fails_clearly(2);
    assert!(sentence.contains("missing: --station, --dem."), "{sentence}");
    advise(&["--platform", "toaster"]).exits(2);
    assert!(advise(&["--os", "new"]).fails_clearly(2).contains("--os"));
    advise(&["--count", "0"]).exits(2);
}

#[test]
fn where_nothing_fits_it_says_so() {
    let mut args = DIRECT.to_vec();
    args[7] = "yes";
    let done = advise(&args).exits(1);
    assert!(done.stderr.contains("No method fits"), "{done}");
    assert!(done.stdout.iter().any(|l| l.contains("another MDM") && l.contains("R35")), "{done}");
}

#[test]
fn rules_are_listed_and_explained() {
    let all = advise(&["--rules", "--json"]).exits(0).json();
    let codes: Vec<_> = all.iter().map(|r| r["rule"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, (1..=198).map(|n| format!("R{n}")).collect::<Vec<_>>());
    let one = advise(&["--rule", "r24", "--json"]).exits(0).only();
    assert_eq!(
        (&one["rule"], &one["verb"], &one["method"]),
        (&json!("R24"), &json!("ADVISE"), &json!("direct"))
    );
    let text = advise(&["--rule", "R27"]).exits(0).stdout.join("\n");
    assert!(
        text.contains("code: workflow::plan::is_installed") && text.contains("test: it::outcomes::enrolled")
    );
    assert_eq!(advise(&["--rules"]).exits(0).stdout.len(), 198);
    for bad in ["R0", "R199", "L46", ""] {
        advise(&["--rule", bad]).exits(2);
    }
    let method = advise(&["--method", "e"]).exits(0).stdout.join("\n");
    assert!(method.contains("E: User Enrollment") && method.contains("R167"), "{method}");
}

#[test]
fn values_for_the_portal_are_checked() {
    let done = advise(&["--value", "cached-users=24", "--value", "name-template={{DEVICETYPE}}-{{SERIAL}}"]);
    assert!(done.exits(0).stdout[1].contains("iPhone-F7TLWCLBX196"));
    let bad = advise(&["--value", "lock-seconds=61", "--json"]).exits(1).only();
    assert_eq!(bad["ok"], false);
    assert!(bad["sentence"].as_str().unwrap().contains("R127"), "{bad}");
    advise(&["--value", "colour=red"]).exits(2);
}

/// R30: found while the person is waited for, and by `info`.
#[test]
fn company_portal_is_told_of() {
    let device = "pairing = 'silent'\naccept_after = '300ms'\napps = ['com.microsoft.CompanyPortal']";
    let world = World::of(device);
    let ended = world.enroll(&[]).exits(0).only();
    assert_eq!(ended["outcome"], "enrolled");
    assert!(ended["next"].as_str().unwrap().contains("Company Portal"), "{ended}");
    let info = world.run(&["info", "--json"]).exits(0).only();
    let remark = info["remarks"].as_array().unwrap().iter().find(|r| r["rules"] == json!(["R30", "R172"]));
    assert_eq!(remark.unwrap()["warning"], true, "{info}");
    let text = world.run(&["info"]).exits(0);
    assert!(text.stdout.iter().any(|l| l.contains("warning") && l.contains("(R30, R172)")), "{text}");
    text.is_for_people();
}

/// The six taps while a person is waited for; what comes next, once, after it is enrolled.
#[test]
fn advice_is_shown_where_it_matters() {
    let world = World::of("pairing = 'silent'\naccept_after = '300ms'");
    let shown = world.run(&["enroll", &world.profile]).exits(0).stdout.join("\n");
    let places = [
        "waiting-for-person",
        "1. Unlock",
        "6. Profile Installed",
        "enrolled ",
        "What comes next:",
        "ten minutes",
        "(R28)",
    ];
    let found: Vec<_> = places.iter().map(|word| shown.find(word)).collect();
    assert!(found.iter().all(Option::is_some) && found.is_sorted(), "{found:?}\n{shown}");
    let stale =
        World::of("persona = 'in-setup'\ninstall_errors = [{ domain = 'MCSCEPErrorDomain', code = 22013 }]");
    let next = stale.enroll(&[]).exits(1).only()["next"].as_str().unwrap().to_owned();
    assert!(next.contains("Apple Configurator > Profiles > (profile) > Export Profile"), "{next}");
}

/// A look before the push says who will have to do something.
#[test]
fn a_dry_run_tells_what_the_checks_found() {
    let world = World::of("pairing = 'silent'");
    world.run(&["pair"]).exits(0);
    let looked = world.enroll(&["--dry-run"]).exits(0).only();
    let sentence = looked["sentence"].as_str().unwrap();
    assert!(sentence.contains("somebody must accept the profile on it (R22, R23)."), "{looked}");
}
