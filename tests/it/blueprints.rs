//! Blueprints through the shipped binary: which a device gets and why, what is refused, what
//! changes while the station runs. And hooks, which follow jobs.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use super::supervision::SUPERVISOR;
use super::support::binary::{Bench, poll, text_of};
use super::support::fleet::{Simulator, count};
use super::support::profile::f01;
use enlist::ids::{JobId, Udid};
use enlist::journal::{Book, HistoryFilter, JobRow, JournalReader};
use enlist::workflow::event::EventKind;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PADS: &str = "[[device]]\npersona = \"in-setup\"\npairing = \"silent\"\nfamily = \"ipad\"\n";

/// A bench with a folder of blueprints, an export, and what the configuration says beside.
fn bench(blueprints: &[(&str, &str)], more: &str) -> (Bench, String) {
    let bench = Bench::new();
    bench.trust_signer();
    let trust = std::fs::read_to_string(bench.path("enlist.toml")).unwrap();
    std::fs::create_dir_all(bench.path("blueprints")).unwrap();
    for (name, text) in blueprints {
        bench.write(&format!("blueprints/{name}.toml"), text);
    }
    let folder = text_of(&bench.path("blueprints"));
    bench.write("enlist.toml", format!("{trust}blueprints = '{folder}'\n{more}"));
    let profile = bench.write("enroll.mobileconfig", f01());
    (bench, profile)
}

fn journal(bench: &Bench) -> PathBuf {
    bench.state_dir().join("journal.sqlite3")
}

fn jobs(bench: &Bench) -> Vec<JobRow> {
    let reader = JournalReader::open(&journal(bench));
    reader.and_then(|reader| reader.history(&HistoryFilter::default())).unwrap_or_default()
}

/// Blueprint, tags and reason that a device was given.
fn assigned(bench: &Bench, udid: &str) -> Option<(Option<String>, Vec<String>, String)> {
    let udid: Udid = udid.parse().unwrap();
    let job = jobs(bench).into_iter().find(|job| job.udid == udid)?;
    let events = JournalReader::open(&journal(bench)).ok()?.job_events(job.id).ok()?;
    events.into_iter().find_map(|event| match event.kind {
        EventKind::Assigned { blueprint, tags, reason, .. } => Some((blueprint, tags, reason)),
        _ => None,
    })
}

const FOR_PADS: &str = "steps = [{ enroll = true }, { tag = \"floor-2\" }]\n[match]\nclass = \"iPad\"\n";
const FOR_PHONES: &str = "steps = [{ enroll = true }]\n[match]\nclass = \"iPhone\"\n";

#[test]
fn a_dry_run_shows_which_blueprint_a_device_gets_and_why() {
    let (bench, profile) = bench(&[("pads", FOR_PADS), ("phones", FOR_PHONES)], "");
    let _simulator = Simulator::of(&bench, PADS);
    bench.run(&["pair"]).exits(0);
    let dry = |more: &[&str]| -> String {
        let result = bench.run(&[&["enroll", "--dry-run", "--json", &profile], more].concat()).only();
        result["sentence"].as_str().unwrap().to_owned()
    };
    let said = dry(&[]);
    assert!(said.starts_with("Would do:") && said.contains("Blueprint 'pads': its class is iPad."), "{said}");
    let said = dry(&["--blueprint", "phones"]);
    assert_eq!(said, "The blueprint 'phones' is not for this device: its class is iPad.");
    let said = bench.run(&["enroll", "--dry-run", &profile, "--blueprint", "kiosk"]).fails_clearly(2);
    assert!(said.contains("There is no blueprint 'kiosk'"), "{said}");
    // What the station cannot prepare devices with is refused before anything is done.
    bench.write("blueprints/pads.toml", supervising());
    let said = bench.run(&["enroll", "--dry-run", &profile]).fails_clearly(2);
    assert!(said.contains("needs a supervision identity"), "{said}");
}

fn supervising() -> String {
    format!("steps = [{{ prepare = \"supervise\" }}, {}", &FOR_PADS[9..])
}

#[test]
fn a_blueprint_prepares_before_it_enrolls() {
    let more = format!("[prepare]\norganization = 'Bench'\n[supervision]\nidentity = '{SUPERVISOR}'\n");
    let (bench, profile) = bench(&[("pads", &supervising())], &more);
    let simulator = Simulator::of(&bench, PADS);
    let result = bench.run(&["enroll", "--json", &profile]).exits(0).only();
    assert_eq!(result["outcome"], "enrolled", "{result}");
    let udid = result["udid"].as_str().unwrap();
    assert_eq!(assigned(&bench, udid).unwrap().0.as_deref(), Some("pads"));
    assert_eq!(count(&simulator.first(), "configurations"), 1);
    assert_eq!(bench.run(&["info", "--json"]).exits(0).only()["supervised"], true);
}

#[test]
fn wrong_blueprints_are_refused_with_their_place() {
    let (bench, profile) =
        bench(&[("kiosk", "steps = [\n  { enroll = true },\n  { hepler = \"x\" },\n]\n")], "");
    let serve = ["serve", "--once", &profile];
    let said = bench.run(&serve).fails_clearly(2);
    assert!(said.contains("kiosk.toml:3:5: unknown key 'hepler'; did you mean 'helper'?"), "{said}");
    bench.write("blueprints/kiosk.toml", "steps = [{ helper = \"gone.mobileconfig\" }, { enroll = true }]\n");
    let said = bench.run(&serve).fails_clearly(2);
    assert!(said.contains("gone.mobileconfig"), "{said}");
    bench.write("blueprints/kiosk.toml", [0xff, 0xfe]);
    let said = bench.run(&serve).fails_clearly(2);
    assert!(said.contains("kiosk.toml:1: it is not text"), "{said}");
    std::fs::remove_file(bench.path("blueprints/kiosk.toml")).unwrap();
    let said = bench.run(&serve).fails_clearly(2);
    assert!(said.starts_with("There is no blueprint (a .toml file)"), "{said}");
}

#[test]
fn a_change_is_followed_and_a_broken_one_is_not() {
    let (bench, profile) = bench(&[("pads", FOR_PADS)], "");
    let simulator = Simulator::of(&bench, &PADS.replace("[[device]]\n", "[[device]]\ncount = 3\n"));
    for udid in &simulator.udids[1..] {
        simulator.control(&json!({ "do": "detach", "udid": udid }));
    }
    let station = bench.start(&["serve", "--json", &profile]);
    let tags = |n: usize| {
        simulator.control(&json!({ "do": "attach", "udid": simulator.udids[n] }));
        poll("the assignment", || assigned(&bench, &simulator.udids[n])).1
    };
    assert_eq!(tags(0), ["floor-2"]);
    bench.write("blueprints/pads.toml", "steps = [{ enrol = true }]\n");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(tags(1), ["floor-2"], "the last good one");
    bench.write("blueprints/pads.toml", FOR_PADS.replace("floor-2", "floor-3"));
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(tags(2), ["floor-3"]);
    station.terminate();
    let done = station.finish().exits(0);
    assert!(done.stderr.contains("the blueprints as they were before are used"), "{done}");
    assert!(done.stderr.contains("did you mean 'enroll'?"), "{done}");
}

#[test]
fn the_manifest_may_name_a_blueprint() {
    let (bench, profile) = bench(&[("pads", FOR_PADS), ("phones", FOR_PHONES)], "");
    let simulator = Simulator::of(&bench, &PADS.replace("[[device]]\n", "[[device]]\ncount = 2\n"));
    let state = simulator.control(&json!({ "do": "state" }));
    let serials: Vec<_> =
        state["devices"].as_array().unwrap().iter().map(|d| d["serial"].as_str().unwrap()).collect();
    let text = format!("serial,tag,blueprint\n{},A7,pads\n{},,kiosk\n", serials[0], serials[1]);
    let manifest = bench.write("room.csv", text);
    let serve = ["serve", "--json", "--once", "--batch", &manifest, &profile];
    let said = bench.run(&serve).fails_clearly(2);
    assert!(said.contains("line 3: there is no blueprint 'kiosk'"), "{said}");
    // One that is gone since the batch was opened is told when its device comes.
    let kiosk = bench.write("blueprints/kiosk.toml", FOR_PHONES);
    bench.run(&["batch", "open", &manifest]).exits(0);
    std::fs::remove_file(kiosk).unwrap();
    bench.run(&serve);
    let (blueprint, tags, reason) = assigned(&bench, &simulator.udids[0]).unwrap();
    assert_eq!(
        (blueprint.as_deref(), &tags[..]),
        (Some("pads"), &["A7".to_owned(), "floor-2".to_owned()][..])
    );
    assert_eq!(reason, "the manifest names it; line 2 of the manifest of batch 1");
    let entries = bench.run(&["batch", "status", "--devices", "failed", "--json"]).exits(0).only();
    assert!(
        entries["device"]["sentence"].as_str().unwrap().contains("There is no blueprint 'kiosk'"),
        "{entries}"
    );
}

#[test]
fn hooks_run_after_jobs_and_hurt_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    let hooks = format!(
        "[[hooks]]\non = 'enrolled'\ncommand = ['/bin/sh', '-c', 'cat > {}; echo noted; env']\n\
         [[hooks]]\non = ['failed', 'trust-denied']\ncommand = ['/bin/false']\n\
         [[hooks]]\non = 'ended'\ncommand = ['/bin/sh', '-c', 'exit 3']\n\
         [[hooks]]\non = 'ended'\ncommand = ['/bin/sleep', '60']\nwithin = 1\n\
         [[hooks]]\non = 'ended'\ncommand = ['/nowhere/hook']\n",
        note.display()
    );
    let (bench, profile) = bench(&[("pads", FOR_PADS)], &hooks);
    let simulator = Simulator::of(&bench, PADS);
    bench.run(&["enroll", "--json", &profile]).exits(0);
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&note).unwrap()).unwrap();
    assert_eq!((&told["event"], &told["udid"]), (&"enrolled".into(), &simulator.udids[0].as_str().into()));
    let runs = Book::read(&journal(&bench)).unwrap().unwrap().hooks(JobId(1)).unwrap();
    let results: Vec<_> = runs.iter().map(|(_, result, _)| result.as_str()).collect();
    assert_eq!(results, ["done", "failed", "too-late", "not-started"]);
    assert!(runs[0].2.contains("noted") && !runs[0].2.contains("ENLIST_STATE_DIR"), "{runs:?}");
    assert_eq!(runs[0].0.split(' ').next(), Some("/bin/sh"));
}

/// The deadline is for what a hook started as well; what a hook that is done left behind delays
/// nobody.
#[test]
#[cfg(target_os = "linux")]
fn what_hooks_leave_behind_is_killed_or_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    let hooks = format!(
        "[[hooks]]\non = 'ended'\ncommand = ['/bin/sh', '-c', 'sleep 600 & echo $! > {}; wait']\nwithin = 1\n\
         [[hooks]]\non = 'ended'\ncommand = ['/bin/sh', '-c', 'sleep 7 & echo gone']\nwithin = 5\n",
        child.display()
    );
    let (bench, profile) = bench(&[("pads", FOR_PADS)], &hooks);
    let _simulator = Simulator::of(&bench, PADS);
    bench.run(&["enroll", "--json", &profile]).exits(0);
    let runs = Book::read(&journal(&bench)).unwrap().unwrap().hooks(JobId(1)).unwrap();
    let results: Vec<_> = runs.iter().map(|(_, result, output)| (result.as_str(), output.trim())).collect();
    assert_eq!(results, [("too-late", ""), ("done", "gone")]);
    let pid = std::fs::read_to_string(&child).unwrap();
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    // An orphan that was killed may wait for its reaper.
    let state = std::fs::read_to_string(stat).unwrap_or_else(|_| "0 (sleep) Z".into());
    assert!(state.contains(") Z"), "it lives on: {state}");
}
