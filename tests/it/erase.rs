//! `enlist erase`: one device, named twice, told once. The shipped binary against one simulated
//! device in another process.

#![allow(clippy::disallowed_methods)] // a real process is killed at a real moment

use crate::outcomes::{IN_SETUP, READY, World, stands};
use crate::support::binary::{Done, Running};
use crate::support::fleet::count;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

/// Back soon after an erase.
const QUICK: &str = "reboot_takes = '300ms'\n";

fn erase(world: &World, args: &[&str]) -> Done {
    let mut all = vec!["erase", "--json", "-u", &world.sim.udids[0]];
    all.extend(args);
    world.run(&all)
}

fn serial(world: &World) -> String {
    world.sim.first()["serial"].as_str().unwrap().to_owned()
}

fn requests(world: &World) -> (u64, u64) {
    let device = world.sim.first();
    (count(&device, "erase_requests"), count(&device, "erasures"))
}

fn events(world: &World) -> Vec<String> {
    let path = world.bench.state_dir().join("journal.sqlite3");
    if !path.exists() {
        return Vec::new();
    }
    let journal = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT kind FROM events ORDER BY seq";
    let mut rows = journal.prepare(sql).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn erased() {
    let world = World::of(&format!("{QUICK}{READY}"));
    let serial = serial(&world);
    let planned = erase(&world, &["--dry-run"]).exits(0).only();
    // Not paired: a dry run asks nobody.
    assert_eq!((planned["outcome"].as_str(), requests(&world)), (Some("planned"), (0, 0)));
    world.run(&["pair"]).exits(0);
    let planned = erase(&world, &["--dry-run"]).exits(0).only();
    assert!(planned["sentence"].as_str().unwrap().contains("Would erase"), "{planned}");
    let done = erase(&world, &["--yes-erase", &serial]).exits(0).only();
    stands(&done, "erased", "none", 0);
    assert!(done["next"].as_str().unwrap().contains("enlist prepare"), "{done}");
    let device = world.sim.first();
    assert_eq!((requests(&world), &device["setup_done"]), ((1, 1), &json!(false)), "{device}");
    let kinds = events(&world);
    let at = |kind: &str| kinds.iter().position(|k| k == kind).unwrap();
    assert!(at("erase-started") < at("erase-answered") && at("erase-answered") < at("job-ended"));
    let job = world.run(&["history", "--json"]).exits(0).only();
    assert_eq!((&job["outcome"], &job["profile_name"]), (&json!("erased"), &json!("Erase")), "{job}");
    let doctor = world.run(&["doctor", "--json"]).json();
    assert_eq!(doctor.iter().find(|c| c["check"] == "journal").unwrap()["health"], "good");
}

#[test]
fn the_consent_has_to_name_the_device() {
    let world = World::of(&format!("{QUICK}{IN_SETUP}"));
    erase(&world, &[]).exits(2);
    world.run(&["erase", "--yes-erase", "ABCD"]).exits(2);
    world.run(&["erase", "--all", "--yes-erase", "ABCD"]).exits(2);
    erase(&world, &["--yes-erase", "CD"]).fails_clearly(5);
    let recorded = world.bench.path("refused").to_str().unwrap().to_owned();
    let done = erase(&world, &["--yes-erase", "ANOTHER1", "--record", &recorded]).exits(1).only();
    // A replay gives no consent that was not given.
    world.run(&["replay", &recorded]).exits(0);
    stands(&done, "failed", "configuration", 0);
    assert_eq!(requests(&world), (0, 0));
    let serial = serial(&world);
    let last = serial[serial.len() - 4..].to_lowercase();
    assert_eq!(erase(&world, &["--yes-erase", &last]).exits(0).only()["outcome"], "erased");
}

#[test]
fn find_my_stops_an_erase_that_does_not_know_it() {
    let world = World::of(&format!("{QUICK}{READY}\nfind_my = true"));
    let serial = serial(&world);
    let warned = erase(&world, &["--yes-erase", &serial]).exits(3).only();
    stands(&warned, "activation-locked", "operator", 0);
    assert_eq!(requests(&world), (0, 0));
    let done = erase(&world, &["--yes-erase", &serial, "--despite-find-my"]).exits(0).only();
    stands(&done, "erased", "none", 0);
    assert!(done["next"].as_str().unwrap().contains("Find My holds it"), "{done}");
}

#[test]
fn a_refusal_is_told_and_not_tried_again() {
    let fault = "faults = [{ kind = 'error', request = 'EraseDevice' }]";
    let world = World::of(&format!("{QUICK}{READY}\n{fault}"));
    let done = erase(&world, &["--yes-erase", &serial(&world)]).exits(1).only();
    assert_eq!(done["outcome"], "failed", "{done}");
    assert!(!done["chain"].as_array().unwrap().is_empty(), "{done}");
    assert_eq!(count(&world.sim.first(), "erase_requests"), 1);
}

/// "Expect EOF" (4.4): the answer may be lost, and the device erases all the same.
#[test]
fn a_lost_answer_is_settled_by_a_look() {
    let fault = "faults = [{ kind = 'drop-after', request = 'EraseDevice' }]";
    let world = World::of(&format!("{QUICK}{READY}\n{fault}"));
    let done = erase(&world, &["--yes-erase", &serial(&world)]).exits(0).only();
    stands(&done, "erased", "none", 0);
    assert_eq!(requests(&world), (1, 1));
}

#[test]
fn an_erased_device_that_is_not_activated_is_erased_all_the_same() {
    let world = World::of(&format!("{QUICK}{READY}\nactivates_after = 'never'"));
    let done = erase(&world, &["--yes-erase", &serial(&world)]).exits(0).only();
    stands(&done, "erased", "none", 0);
    assert!(done["next"].as_str().unwrap().contains("not activated"), "{done}");
}

#[test]
fn a_device_that_does_not_come_back_is_told() {
    let world = World::of(&format!("reboot_takes = '10m'\n{READY}"));
    let done = erase(&world, &["--yes-erase", &serial(&world), "--back-within", "1"]).exits(1).only();
    stands(&done, "detached-midway", "transport", 0);
    assert!(done["sentence"].as_str().unwrap().contains("did not come back"), "{done}");
}

/// Killed at seeded moments: however often it is started again with the same consent, the
/// device is told once.
#[test]
fn kills_in_the_middle_erase_nothing_twice() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let world =
        World::of("reboot_takes = '1200ms'\nlatency = '5ms+5ms'\npersona = 'ready'\npairing = 'silent'");
    world.run(&["pair"]).exits(0);
    let serial = serial(&world);
    let args = ["erase", "--json", "-u", &world.sim.udids[0], "--yes-erase", &serial];
    let mut kills = 0;
    // Until one of them is killed after it wrote down that it will; then on to the end.
    while !events(&world).iter().any(|kind| kind == "erase-started") {
        let mut running: Running = world.bench.start(&args);
        std::thread::sleep(std::time::Duration::from_millis(rng.u64(5..400)));
        running.kill();
        kills += 1;
        assert!(kills < 200, "seed {seed}: it never comes to erase");
    }
    // One killed between the journal's commit and the first byte is not sent any more: two
    // minutes are waited for the device to begin, and then it says so.
    let done = world.bench.start(&args).within(std::time::Duration::from_secs(200)).finish();
    let last = done.only();
    match requests(&world) {
        (1, 1) => {
            assert_eq!((done.code, &last["outcome"]), (Some(0), &json!("erased")), "seed {seed}: {done}")
        }
        (0, 0) => {
            assert_eq!((done.code, &last["outcome"]), (Some(1), &json!("failed")), "seed {seed}: {done}")
        }
        other => panic!("seed {seed}, {kills} kills: {other:?}"),
    }
}

#[test]
fn without_a_journal_nothing_is_erased() {
    let world = World::of(&format!("{QUICK}{IN_SETUP}"));
    world.run(&["pair"]).exits(0);
    std::fs::create_dir_all(world.bench.state_dir().join("journal.sqlite3")).unwrap();
    let done = erase(&world, &["--yes-erase", &serial(&world)]);
    assert_ne!(done.code, Some(0), "{done}");
    assert_eq!(requests(&world), (0, 0));
    let mode = std::fs::metadata(world.bench.state_dir()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[test]
fn erasing() {
    let world = World::of(&format!("reboot_takes = '2s'\n{IN_SETUP}"));
    let args = ["erase", "-u", &world.sim.udids[0], "--yes-erase", &serial(&world)];
    let done = world.run(&args).exits(0);
    let all = done.all_output();
    let place = |words: &str| all.find(words).unwrap_or_else(|| panic!("no '{words}'\n{done}"));
    assert!(place("erases itself") < place("is erased"), "{done}");
}
