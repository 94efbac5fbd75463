//! The main job at its size: a signed export on 32 devices, then everything else that looks
//! at them, each once as JSON and once as text.

use crate::outcomes::{IN_SETUP, READY, World, stands};
use crate::support::binary::{Bench, Done};
use crate::support::fleet::{Simulator, count, has_profile};
use crate::support::profile::{IDENTIFIER, UUID, f01, f02};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Fields every device result has (design section 5).
const DEVICE_FIELDS: [&str; 10] =
    ["udid", "serial", "bay", "outcome", "class", "sentence", "next", "chain", "attempts", "ms"];

#[track_caller]
fn has_the_contract(record: &Value) {
    let fields = record.as_object().unwrap();
    for field in DEVICE_FIELDS {
        assert!(fields.contains_key(field), "no {field} in {record}");
    }
    let text = |key: &str| record[key].as_str().is_some_and(|text| !text.is_empty());
    assert!(["udid", "bay", "outcome", "class", "sentence"].into_iter().all(text), "{record}");
    assert!(record["chain"].is_array() && record["attempts"].is_u64() && record["ms"].is_u64(), "{record}");
}

fn enrolls_32_devices_once(profile: Vec<u8>, personas: &[&str]) {
    let bench = Bench::new();
    let mut args = vec!["--devices", "32", "--accept-after", "1s"];
    personas.iter().for_each(|persona| args.extend(["--persona", persona]));
    let sim = Simulator::start(&bench, &args);
    let file = bench.write("enroll.mobileconfig", profile);
    let udids: BTreeSet<_> = sim.udids.iter().map(String::as_str).collect();
    assert_eq!(udids.len(), 32);

    for (outcome, pushes) in [("enrolled", 1), ("already-enrolled", 0)] {
        let done = bench.run(&["enroll", "--all", &file, "--json"]).exits(0);
        let records = done.json();
        let named: BTreeSet<_> = records.iter().map(|r| r["udid"].as_str().unwrap()).collect();
        assert_eq!((records.len(), &named), (32, &udids), "one record each\n{done}");
        for record in &records {
            has_the_contract(record);
            stands(record, outcome, "none", pushes);
            assert!(record["serial"].is_string(), "{record}");
        }
        let bays: BTreeSet<_> = records.iter().map(|r| r["bay"].as_str().unwrap()).collect();
        assert_eq!(bays.len(), 32, "each at its own port");
        for device in sim.devices() {
            assert_eq!(count(&device, "pushes_received"), 1, "{device}");
            assert_eq!((count(&device, "installs"), count(&device, "pairings")), (1, 1), "{device}");
            assert!(has_profile(&device, IDENTIFIER, UUID), "{device}");
        }
    }

    let jobs = bench.run(&["history", "--json", "--limit", "100"]).exits(0).json();
    assert_eq!(jobs.len(), 64);
    for outcome in ["enrolled", "already-enrolled"] {
        let chosen = jobs.iter().filter(|job| job["outcome"] == outcome && job["open"] == false);
        let named: BTreeSet<_> = chosen.map(|job| job["udid"].as_str().unwrap()).collect();
        assert_eq!(named, udids, "{outcome}");
    }
    let limited = bench.run(&["history", "--json", "--outcome", "enrolled", "--limit", "5"]).exits(0);
    assert_eq!(limited.json().len(), 5);
    assert!(bench.run(&["history", "--json", "--real"]).exits(0).stdout.is_empty());
}

#[test]
fn f01_by_scep_enrolls_32_devices_once() {
    enrolls_32_devices_once(f01(), &["ready"]);
}

#[test]
fn f02_by_acme_enrolls_32_devices_once() {
    enrolls_32_devices_once(f02(), &["ready:16", "in-setup:16"]);
}

/// Without `--json` people get words, for each device one with its end.
#[test]
fn an_enrollment_in_words() {
    let world = World::of(READY);
    let done = world.run(&["enroll", &world.profile]).exits(0);
    done.is_for_people();
    let said = done.stdout.join("\n");
    for word in ["waiting-for-person", "enrolled", "[simulated]", "1 done, 0 not (simulated devices)"] {
        assert!(said.contains(word), "{word}\n{done}");
    }
}

/// A command as JSON and as text: both good, the text not empty and for people.
#[track_caller]
fn both_forms(world: &World, args: &[&str]) -> Vec<Value> {
    let text = world.run(args).exits(0);
    assert!(!text.stdout.concat().trim().is_empty(), "{text}");
    text.is_for_people();
    let mut with_json = args.to_vec();
    with_json.push("--json");
    let json: Done = world.run(&with_json).exits(0);
    json.json()
}

#[test]
fn every_other_command_speaks_json_and_words() {
    let world = World::of(READY);
    let udid = world.sim.udids[0].as_str();

    let config = both_forms(&world, &["config"]);
    assert_eq!((config.len(), &config[0]["ok"]), (1, &json!(true)), "{config:?}");
    let shown = both_forms(&world, &["profile", "show", &world.profile]);
    assert_eq!((&shown[0]["identifier"], &shown[0]["identity"]), (&json!(IDENTIFIER), &json!("scep")));
    assert_eq!((&shown[0]["signature"]["intact"], &shown[0]["refusals"]), (&json!(true), &json!([])));

    let paired = both_forms(&world, &["pair", "-u", udid]);
    has_the_contract(&paired[0]);
    assert_eq!(count(&world.sim.first(), "pairings"), 1, "the second pair used the record");
    let listed = both_forms(&world, &["devices"]);
    has_the_contract(&listed[0]);
    assert_eq!((listed.len(), &listed[0]["paired"]), (1, &json!(true)));

    world.enroll(&[]).exits(0);
    let info = both_forms(&world, &["info"]);
    has_the_contract(&info[0]);
    assert_eq!(
        (&info[0]["setup_assistant"], &info[0]["profiles"][0]["uuid"]),
        (&json!("finished"), &json!(UUID))
    );
    let installed = both_forms(&world, &["installed"]);
    assert_eq!(installed[0]["profiles"][0]["identifier"], IDENTIFIER, "{installed:?}");
    let jobs = both_forms(&world, &["history", "-u", udid]);
    has_the_contract(&jobs[0]);
    assert_eq!((&jobs[0]["outcome"], &jobs[0]["profile_uuid"]), (&json!("enrolled"), &json!(UUID)));

    assert!(world.run(&["remove", IDENTIFIER]).fails_clearly(5).contains("manages this device"));
    assert_eq!(count(&world.sim.first(), "removals"), 0);
    let removed = world.run(&["remove", IDENTIFIER, "--yes", "--json"]).exits(0).only();
    assert_eq!(removed["profiles"], json!([]), "{removed}");
    assert_eq!(count(&world.sim.first(), "removals"), 1);
    assert!(world.run(&["remove", IDENTIFIER]).fails_clearly(2).contains(IDENTIFIER));

    let unpaired = both_forms(&world, &["unpair"]);
    has_the_contract(&unpaired[0]);
    assert_eq!(world.sim.first()["trusted_hosts"], json!([]));
    assert_eq!(world.run(&["devices", "--json"]).exits(0).only()["paired"], false);
}

/// Exit 0 or, on a computer whose own bus or file limit is not in order, words about that.
#[test]
fn doctor_finds_the_station_in_order() {
    let world = World::of(IN_SETUP);
    world.enroll(&[]).exits(0);
    let checks = both_forms(&world, &["doctor"]);
    for name in ["state folder", "station identity", "journal", "mux", "clock"] {
        let check = checks.iter().find(|c| c["check"] == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((&check["health"], &check["fix"]), (&json!("good"), &Value::Null), "{check}");
    }
    let mux = checks.iter().find(|c| c["check"] == "mux").unwrap();
    assert!(mux["found"].as_str().unwrap().contains("one device (simulated)"), "{mux}");
}

#[test]
fn the_device_log_is_followed_until_the_device_leaves() {
    let world = World::of(READY);
    let mut log = world.bench.start(&["log", "--json", "--all"]);
    let line: Value = serde_json::from_str(&log.line().unwrap()).unwrap();
    assert!(!line["line"].as_str().unwrap().is_empty(), "{line}");
    world.sim.does("detach");
    let done = log.finish().exits(1);
    assert!(done.stderr.starts_with("error: The device ended its log."), "{done}");
    done.is_for_people();
}

#[test]
fn of_two_devices_one_must_be_named() {
    let bench = Bench::new();
    bench.trust_signer();
    let sim = Simulator::start(&bench, &["--devices", "2", "--persona", "in-setup"]);
    let file = bench.write("enroll.mobileconfig", f01());
    for args in [&["info"][..], &["pair"], &["unpair"], &["installed"], &["log"], &["enroll", &file]] {
        bench.run(args).fails_clearly(2);
        let done = bench.run(args);
        assert!(sim.udids.iter().all(|udid| done.stderr.contains(udid.as_str())), "{done}");
    }
    for device in sim.devices() {
        assert_eq!(count(&device, "pairings"), 0);
    }
    // Its UDID, as people type it.
    let typed =
        |udid: &str| [udid.to_owned(), udid.to_lowercase(), udid.replace('-', ""), format!(" {udid} ")];
    let chosen = &sim.udids[1];
    for text in typed(chosen) {
        let info = bench.run(&["info", "-u", &text, "--json"]).exits(0).only();
        assert_eq!(info["udid"], chosen.as_str());
    }
    let result = bench.run(&["enroll", &file, "-u", &chosen.to_lowercase().replace('-', ""), "--json"]);
    let result = result.exits(0).only();
    assert_eq!((&result["udid"], &result["outcome"]), (&json!(chosen), &json!("enrolled")));
    assert_eq!(count(&sim.device(&sim.udids[0]), "pushes_received"), 0, "the other one is left alone");
    // One that is not here.
    for args in [&["info"][..], &["enroll", &file]] {
        let with_udid = [args, &["-u", "00008110-001A2B3C4D5E6F70"]].concat();
        let sentence = bench.run(&with_udid).fails_clearly(4);
        assert!(sentence.contains("00008110-001A2B3C4D5E6F70"), "{sentence}");
    }
}

/// Of several devices the worst counts, and the good ones are enrolled all the same.
#[test]
fn the_worst_of_several_decides_the_exit_code() {
    let bench = Bench::new();
    let device = |persona: &str| format!("[[device]]\npersona = '{persona}'\n");
    let file = bench.write("enroll.mobileconfig", f01());
    for (personas, exit) in [
        (&["in-setup", "unactivated"][..], 3),
        (&["in-setup", "unactivated", "pairing-forbidden"], 5),
        (&["pairing-forbidden", "enrollment-forbidden", "in-setup"], 1),
    ] {
        let sim = Simulator::of(&bench, &personas.iter().map(|p| device(p)).collect::<String>());
        let results = bench.run(&["enroll", "--all", &file, "--json"]).exits(exit).json();
        let enrolled: Vec<_> = results.iter().filter(|r| r["outcome"] == "enrolled").collect();
        assert_eq!((results.len(), enrolled.len()), (personas.len(), 1), "{results:?}");
        sim.kill();
    }
}
