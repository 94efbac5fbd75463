//! How old an export may be (profiles-and-enrollment.md 3.4), by the shipped binary.

#![allow(clippy::disallowed_methods)] // real files have real dates

use crate::support::binary::{Bench, Done};
use crate::support::fleet::{Simulator, count};
use crate::support::profile::{SIGNER, f01, plain_f01};
use enlist::wire::profile::example::SignatureShape;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

fn ago(days: i64, minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days) + SignedDuration::from_mins(minutes)
}

/// F03: F01, signed then.
fn signed_at(at: Timestamp) -> Vec<u8> {
    SIGNER.sign(&plain_f01(), at).unwrap()
}

/// F03 without a word on the time.
fn signed_without_time() -> Vec<u8> {
    SIGNER.sign_as(&plain_f01(), SignatureShape::default()).unwrap()
}

struct Place {
    bench: Bench,
    sim: Simulator,
}

impl Place {
    fn of(scenario: &str) -> Self {
        let bench = Bench::new();
        bench.trust_signer();
        let sim = Simulator::of(&bench, scenario);
        Self { bench, sim }
    }

    fn ready() -> Self {
        Self::of("[[device]]\npersona = \"in-setup\"\n")
    }

    fn enroll(&self, file: &str, more: &[&str]) -> Done {
        self.bench.run(&[&["enroll", file, "--json"], more].concat())
    }

    fn touch(&self, file: &str, days: i64) {
        let date = std::time::SystemTime::from(ago(days, 0));
        std::fs::File::options().write(true).open(file).unwrap().set_modified(date).unwrap();
    }

    fn history(&self) -> Vec<Value> {
        self.bench.run(&["history", "--json"]).exits(0).json()
    }
}

const PORTAL: &str = "Apple Configurator > Profiles > (profile) > Export Profile > Direct enrollment";

#[test]
fn a_file_exported_15_days_ago_is_refused_with_the_way_to_a_new_one() {
    let place = Place::ready();
    let file = place.bench.write("old.mobileconfig", signed_at(ago(15, 0)));
    let done = place.enroll(&file, &[]);
    let stderr = done.stderr.clone();
    let said = done.fails_clearly(5);
    assert!(said.contains("exported 15 days ago") && said.contains("L46"), "{said}");
    assert!(stderr.contains(PORTAL) && stderr.contains("--allow-stale REASON"), "{stderr}");
    assert_eq!(count(&place.sim.first(), "pushes_received"), 0);
    assert!(place.history().is_empty());
    // A station does not even start with it.
    place.bench.run(&["serve", "--once", &file]).fails_clearly(5);
}

#[test]
fn a_reason_lets_it_through_and_is_written_down() {
    let place = Place::ready();
    let file = place.bench.write("old.mobileconfig", signed_at(ago(15, 0)));
    let reason = "portal down, Ada answers for it";
    let done = place.enroll(&file, &["--allow-stale", reason]).exits(0);
    assert_eq!(done.only()["outcome"], "enrolled", "{done}");
    assert!(done.stderr.contains("used nevertheless"), "{done}");
    assert_eq!(place.history()[0]["stale_allowed"], reason);
    let shown = place.bench.run(&["history"]).exits(0);
    assert!(shown.all_output().contains(reason), "{shown}");
    // A reason for a fresh file is no news.
    let fresh = place.bench.write("fresh.mobileconfig", f01());
    place.enroll(&fresh, &["--allow-stale", reason]).exits(0);
    assert!(place.history()[0]["stale_allowed"].is_null());
    place.enroll(&fresh, &["--allow-stale", " "]).exits(2);
}

#[test]
fn from_day_ten_it_warns_and_counts_down() {
    let place = Place::ready();
    let shown = |at: Timestamp| {
        let file = place.bench.write("file.mobileconfig", signed_at(at));
        let shown = place.bench.run(&["profile", "show", "--json", &file]).exits(0).only();
        (file, shown["age"].clone())
    };
    let (_, fresh) = shown(ago(9, 0));
    assert_eq!((&fresh["standing"], &fresh["sure"]), (&"fresh".into(), &true.into()), "{fresh}");
    let (file, ageing) = shown(ago(11, 10));
    assert_eq!(ageing["standing"], "ageing");
    assert!(ageing["countdown"].as_str().unwrap().starts_with("expires in 3 days"), "{ageing}");
    let done = place.enroll(&file, &["--dry-run"]).exits(0);
    assert!(done.stderr.contains("warning: The export expires in 3 days"), "{done}");
    let (file, stale) = shown(ago(14, -1));
    assert_eq!(stale["standing"], "stale");
    let words = place.bench.run(&["profile", "show", &file]).exits(0).all_output();
    assert!(words.contains("too old") && words.contains(PORTAL), "{words}");
}

#[test]
fn a_batch_that_would_outlive_its_file_is_refused() {
    let place = Place::ready();
    let file = place.bench.write("last.mobileconfig", signed_at(ago(14, 10)));
    let said = place.enroll(&file, &["--all"]).fails_clearly(5);
    assert!(said.contains("this run may take 14 minutes"), "{said}");
    // A shorter one is let through.
    place.enroll(&file, &["--all", "--person-within", "60", "--accept-within", "60"]).exits(0);
}

#[test]
fn an_unknown_age_is_asked_for_once_and_remembered_for_the_file() {
    let place = Place::ready();
    let file = place.bench.write("silent.mobileconfig", signed_without_time());
    for command in [&["enroll", &file, "--dry-run"][..], &["enroll", &file], &["serve", "--once", &file]] {
        let said = place.bench.run(command).fails_clearly(3);
        assert!(said.contains("Nothing in it tells when it was exported"), "{said}");
    }
    place.touch(&file, 20);
    let said = place.enroll(&file, &[]).fails_clearly(5);
    assert!(said.contains("exported 20 days ago (date of the file)"), "{said}");
    let long_ago = ago(30, 0).to_string();
    place.enroll(&file, &["--exported-at", &long_ago]).fails_clearly(5);
    let yesterday = ago(1, 0).to_string();
    let done = place.enroll(&file, &["--exported-at", &yesterday]).exits(0);
    assert!(!done.stderr.contains("warning: The export"), "{done}");
    // The word holds for the content, wherever it lies, and whatever its date.
    let copy = place.bench.write("copy.mobileconfig", std::fs::read(&file).unwrap());
    assert_eq!(place.enroll(&copy, &[]).exits(0).only()["outcome"], "already-enrolled");
    let shown = place.bench.run(&["profile", "show", "--json", &copy]).exits(0).only();
    assert_eq!(shown["age"]["sure"], true, "{shown}");
    // In the journal: under both names, and which job used which.
    let met = place.bench.run(&["profile", "list", "--met", "--json"]).exits(0).json();
    assert_eq!(met.len(), 1, "{met:?}");
    let names: Vec<_> =
        met[0]["places"].as_array().unwrap().iter().map(|p| p["file"].as_str().unwrap()).collect();
    assert_eq!(names, ["copy.mobileconfig", "silent.mobileconfig"]);
    assert!(met[0]["stated"].is_string() && met[0]["jobs"] == 2, "{met:?}");
    assert!(place.history()[0]["profile_file"].as_str().unwrap().ends_with("/copy.mobileconfig"));
}

#[test]
fn the_owner_may_take_the_date_of_the_file_or_answer_for_it() {
    let place = Place::ready();
    let file = place.bench.write("silent.mobileconfig", signed_without_time());
    let reason = "Ada exported it this morning";
    place.enroll(&file, &["--allow-stale", reason]).exits(0);
    assert_eq!(place.history()[0]["stale_allowed"], reason);
    let place = Place::ready();
    let file = place.bench.write("silent.mobileconfig", signed_without_time());
    let roots = std::fs::read_to_string(place.bench.path("enlist.toml")).unwrap_or_default();
    let config = place.bench.write("dates.toml", format!("{roots}\n[enroll]\nunknown_age = 'file-date'\n"));
    let done = place.enroll(&file, &["--config", &config]).exits(0);
    assert!(done.stderr.contains("state the day with --exported-at"), "{done}");
}

#[test]
fn a_wrong_clock_of_the_device_is_told() {
    let place = Place::of("[[device]]\npersona = \"in-setup\"\nclock_ahead = -7200\n");
    let file = place.bench.write("enroll.mobileconfig", f01());
    place.enroll(&file, &[]).exits(0);
    let job = place.history()[0]["job"].as_i64().unwrap();
    let journal =
        enlist::journal::JournalReader::open(&place.bench.state_dir().join("journal.sqlite3")).unwrap();
    let events = journal.job_events(enlist::ids::JobId(job)).unwrap();
    let told = events.iter().map(|event| format!("{:?}", event.kind)).collect::<String>();
    let minutes = ["120 minutes behind", "119 minutes behind"];
    assert!(minutes.iter().any(|words| told.contains(words)), "{told}");
}
