//! Folders of exports, and the station's own library, by the shipped binary.

#![allow(clippy::disallowed_methods)] // real files have real dates and modes

use crate::support::binary::{Bench, Running, text_of};
use crate::support::fleet::{Simulator, count, has_profile};
use crate::support::profile::{IDENTIFIER, SIGNER, UUID, changed, f01, plain_f01, signed};
use crate::support::world::World;
use enlist::clock::Clock;
use enlist::sim::Persona;
use enlist::station::age::AgeAnswers;
use enlist::station::library::Signers;
use enlist::station::library::folder::Folder;
use enlist::station::library::shelf;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SECOND: &str = "2222BBBB-0000-4000-8000-000000000000";

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days)
}

fn older() -> Vec<u8> {
    SIGNER.sign(&plain_f01(), days_ago(3)).unwrap()
}

/// Another version of the same profile.
fn second() -> Vec<u8> {
    signed(&changed(|root| drop(root.insert("PayloadUUID".into(), SECOND.into()))))
}

/// Another profile.
fn foreign() -> Vec<u8> {
    signed(&changed(|root| drop(root.insert("PayloadIdentifier".into(), "com.example.other".into()))))
}

struct Place {
    bench: Bench,
    folder: PathBuf,
}

impl Place {
    fn new() -> Self {
        let bench = Bench::new();
        bench.trust_signer();
        let folder = bench.path("exports");
        fs::create_dir(&folder).unwrap();
        Self { bench, folder }
    }

    /// As a person who copies carefully: written beside, then renamed.
    fn drop_in(&self, name: &str, bytes: &[u8]) {
        let draft = self.folder.join(format!(".{name}.part"));
        fs::write(&draft, bytes).unwrap();
        fs::rename(&draft, self.folder.join(name)).unwrap();
    }

    fn serve(&self, more: &[&str]) -> Running {
        let folder = text_of(&self.folder);
        self.bench.start(&[&["serve", &folder, "--json"], more].concat())
    }
}

/// Devices that need no person; the second is not plugged in yet.
fn two_devices(bench: &Bench) -> Simulator {
    let sim = Simulator::of(bench, "[[device]]\npersona = \"in-setup\"\ncount = 2\n");
    sim.control(&json!({ "do": "detach", "udid": sim.udids[1] }));
    sim
}

fn attach_second(sim: &Simulator) {
    sim.control(&json!({ "do": "attach", "udid": sim.udids[1] }));
}

/// The next line about a device for which something holds.
fn until(station: &mut Running, udid: &str, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line = station.line().expect("the station goes on");
        let value: Value = serde_json::from_str(&line).unwrap();
        if value["udid"] == udid && holds(&value) {
            return value;
        }
    }
}

#[test]
fn the_newest_that_can_be_pushed_is_taken_and_the_others_are_named() {
    let place = Place::new();
    let sim = Simulator::of(&place.bench, "[[device]]\npersona = \"in-setup\"\n");
    place.drop_in("a.mobileconfig", &second());
    place.drop_in("b.mobileconfig", &older());
    place.drop_in("c.mobileconfig", &SIGNER.sign(&plain_f01(), days_ago(20)).unwrap());
    place.drop_in("half.mobileconfig", &f01()[..900]);
    place.drop_in("d.mobileconfig~", &f01());
    place.drop_in(".hidden.mobileconfig", &f01());
    fs::create_dir(place.folder.join("folder.mobileconfig")).unwrap();
    std::os::unix::fs::symlink("/nowhere", place.folder.join("gone.mobileconfig")).unwrap();
    let done = place.serve(&["--once"]).finish().exits(0);
    assert!(done.stderr.contains("a.mobileconfig: the newest of 2 that can be pushed"), "{done}");
    assert!(done.stderr.contains("c.mobileconfig: It was exported 20 days ago"), "{done}");
    assert!(done.stderr.contains("half.mobileconfig: The signed file is cut off"), "{done}");
    done.is_for_people();
    assert!(has_profile(&sim.first(), IDENTIFIER, SECOND));
}

#[test]
fn different_profiles_ask_for_a_choice() {
    let place = Place::new();
    let sim = Simulator::of(&place.bench, "[[device]]\npersona = \"in-setup\"\n");
    place.drop_in("ours.mobileconfig", &f01());
    place.drop_in("other.mobileconfig", &foreign());
    let said = place.serve(&["--once"]).finish().fails_clearly(2);
    assert!(said.contains("ours.mobileconfig") && said.contains("com.example.other"), "{said}");
    place.serve(&["--once", "--profile", "ours"]).finish().exits(0);
    assert!(has_profile(&sim.first(), IDENTIFIER, UUID));
    place.serve(&["--once", "--profile", "nobody"]).finish().fails_clearly(2);
}

#[test]
fn a_folder_without_a_profile_is_no_start() {
    let place = Place::new();
    let said = place.serve(&[]).finish().fails_clearly(2);
    assert!(said.contains("no .mobileconfig file"), "{said}");
    place.drop_in("old.mobileconfig", &SIGNER.sign(&plain_f01(), days_ago(15)).unwrap());
    place.serve(&[]).finish().fails_clearly(5);
}

#[test]
fn a_replaced_file_is_what_the_next_device_gets() {
    let place = Place::new();
    let sim = two_devices(&place.bench);
    place.drop_in("enroll.mobileconfig", &f01());
    let mut station = place.serve(&["-v"]);
    until(&mut station, &sim.udids[0], |bay| bay["outcome"] == "enrolled");
    place.drop_in("enroll.mobileconfig", &second());
    // It settles for a second; and some room.
    std::thread::sleep(std::time::Duration::from_secs(5));
    attach_second(&sim);
    until(&mut station, &sim.udids[1], |bay| bay["outcome"] == "enrolled");
    assert!(has_profile(&sim.device(&sim.udids[0]), IDENTIFIER, UUID));
    assert!(has_profile(&sim.device(&sim.udids[1]), IDENTIFIER, SECOND));
}

#[test]
fn without_the_file_new_devices_wait_for_it_and_then_go_on() {
    let place = Place::new();
    let sim = two_devices(&place.bench);
    place.drop_in("enroll.mobileconfig", &f01());
    let mut station = place.serve(&[]);
    until(&mut station, &sim.udids[0], |bay| bay["outcome"] == "enrolled");
    fs::remove_file(place.folder.join("enroll.mobileconfig")).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    attach_second(&sim);
    let waits = |bay: &Value| bay["sentence"].as_str().unwrap().starts_with("It waits for a profile.");
    let waiting = until(&mut station, &sim.udids[1], waits);
    assert!(waiting["sentence"].as_str().unwrap().contains("no .mobileconfig file"), "{waiting}");
    assert_eq!(count(&sim.device(&sim.udids[1]), "pushes_received"), 0);
    // Half of it first.
    let path = place.folder.join("new.mobileconfig");
    fs::write(&path, &second()[..700]).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    fs::write(&path, second()).unwrap();
    until(&mut station, &sim.udids[1], |bay| bay["outcome"] == "enrolled");
    assert!(has_profile(&sim.device(&sim.udids[1]), IDENTIFIER, SECOND));
}

#[test]
fn the_station_keeps_exports_of_its_own_for_nobody_else_to_read() {
    let place = Place::new();
    let sim = Simulator::of(&place.bench, "[[device]]\npersona = \"in-setup\"\n");
    let run = |args: &[&str]| place.bench.run(&[args, &["--json"]].concat());
    assert!(run(&["profile", "list"]).exits(0).stdout.is_empty());
    let file = place.bench.write("enroll.mobileconfig", f01());
    let added = run(&["profile", "add", &file]).exits(0).only();
    assert_eq!((&added["identifier"], &added["chosen"]), (&json!(IDENTIFIER), &json!(true)));
    let old = place.bench.write("old.mobileconfig", older());
    run(&["profile", "add", &old]).exits(0);
    run(&["profile", "add", &file]).exits(0);
    let junk = place.bench.write("junk.mobileconfig", "junk");
    run(&["profile", "add", &junk]).fails_clearly(2);
    let listed = run(&["profile", "list"]).exits(0).json();
    assert_eq!(listed.len(), 2);
    let chosen: Vec<_> = listed.iter().filter(|stored| stored["chosen"] == true).collect();
    assert_eq!((chosen.len(), &chosen[0]["sha256"]), (1, &added["sha256"]));
    assert!(chosen[0]["age"]["countdown"].as_str().unwrap().starts_with("expires in 13 days"));
    let library = place.bench.state_dir().join("profiles");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&library), 0o700);
    fs::read_dir(&library).unwrap().for_each(|entry| assert_eq!(mode(&entry.unwrap().path()), 0o600));
    // A station without FILE takes it from there.
    place.bench.run(&["serve", "--once"]).exits(0);
    assert!(has_profile(&sim.first(), IDENTIFIER, UUID));
    let words = place.bench.run(&["profile", "list"]).exits(0);
    assert!(words.all_output().contains("the one serve pushes"), "{words}");
    let sha = added["sha256"].as_str().unwrap();
    run(&["profile", "remove", &sha[..12]]).exits(0);
    // What was met stays known: which job used which file, and that one is gone.
    let met = run(&["profile", "list", "--met"]).exits(0).json();
    let gone: Vec<_> = met.iter().filter(|profile| !profile["gone"].is_null()).collect();
    assert_eq!((met.len(), gone.len()), (2, 1), "{met:?}");
    assert_eq!(
        (&gone[0]["sha256"], &gone[0]["jobs"], &gone[0]["kind"]),
        (&added["sha256"], &json!(1), &json!("scep"))
    );
    let job = run(&["history"]).exits(0).json().remove(0);
    assert!(
        job["profile_file"].as_str().unwrap().ends_with(&format!("profiles/{sha}.mobileconfig")),
        "{job}"
    );
    assert_eq!(run(&["profile", "list"]).exits(0).json().len(), 1);
    run(&["profile", "remove", &sha[..12]]).fails_clearly(2);
}

#[test]
fn an_export_of_unknown_age_is_added_with_its_day_or_not_at_all() {
    let place = Place::new();
    let sim = two_devices(&place.bench);
    let file = place.bench.write("plain.mobileconfig", plain_f01());
    let said = place.bench.run(&["profile", "add", &file]).fails_clearly(3);
    assert!(said.contains("Nothing in it tells when it was exported"), "{said}");
    // A station that follows a folder hears of the day while it runs.
    place.drop_in("signed.mobileconfig", &f01());
    let mut station = place.serve(&[]);
    until(&mut station, &sim.udids[0], |bay| bay["outcome"] == "enrolled");
    place.drop_in(
        "plain.mobileconfig",
        &changed(|root| drop(root.insert("PayloadUUID".into(), SECOND.into()))),
    );
    fs::remove_file(place.folder.join("signed.mobileconfig")).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    attach_second(&sim);
    let waits = |bay: &Value| bay["sentence"].as_str().unwrap().contains("Nothing in it tells");
    until(&mut station, &sim.udids[1], waits);
    let day = days_ago(2).to_string();
    let dropped = text_of(&place.folder.join("plain.mobileconfig"));
    place.bench.run(&["profile", "add", &dropped, "--exported-at", &day]).exits(0);
    until(&mut station, &sim.udids[1], |bay| bay["outcome"] == "enrolled");
    assert!(has_profile(&sim.device(&sim.udids[1]), IDENTIFIER, SECOND));
}

#[test]
fn a_name_to_choose_by_needs_a_folder() {
    let bench = Bench::new();
    let file = bench.write("enroll.mobileconfig", f01());
    let said = bench.run(&["serve", &file, "--profile", "other"]).fails_clearly(2);
    assert!(said.contains("is one file: --profile other cannot choose in it"), "{said}");
    bench.run(&["serve", "--simulate", "1", "--profile", "other"]).fails_clearly(2);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_does_not_wait_for_an_export_for_ever() {
    let mut world = World::persona(Persona::InSetup);
    let empty = tempfile::tempdir().unwrap();
    let folder = Folder::new(empty.path().into(), None, AgeAnswers::default(), Signers::default());
    let (on_shelf, _in_folder) = shelf::follow(folder, Clock::System);
    world.shelf = Some(on_shelf);
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "failed");
    let said = &ran.bay().standing.sentence;
    assert!(said.starts_with("No profile came within 60 seconds."), "{said}");
    assert!(ran.took.as_secs() < 120, "{:?}", ran.took);
}
