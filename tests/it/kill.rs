//! `kill -9` of the station at seeded moments, with its devices in another process: whatever
//! it was doing, the next start looks at the devices and goes on.

#![allow(clippy::disallowed_methods)] // a real process is killed at a real moment

use crate::support::binary::Bench;
use crate::support::fleet::{Simulator, count, has_profile};
use crate::support::profile::{IDENTIFIER, SIGNER, UUID, f01};
use crate::support::station::Serving;
use enlist::journal::JournalReader;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// With helper profiles the same way is walked three times a device, so fewer will do.
const KILLS_WITH_HELPERS: usize = 8;
const KILLS: usize = 20;
const DEVICES: usize = 16;

/// Some need a person twice, some once, some never; answers take their time, so that a
/// moment can fall anywhere.
const SCENARIO: &str = "latency = '3ms+3ms'
[[device]]
count = 8
trust_after = '300ms'
accept_after = '1500ms'
person_jitter = '2s'
[[device]]
count = 4
pairing = 'silent'
accept_after = '5s'
person_jitter = '2s'
[[device]]
persona = 'in-setup'
count = 4
install_takes = '400ms'
";

#[test]
fn twenty_kills_lose_nothing_and_push_nothing_twice() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let pushes = survives_kills(seed, KILLS, 0);
    println!("pushes at each kill: {pushes:?}");
}

#[test]
fn kills_between_helpers_push_nothing_twice() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let pushes = survives_kills(seed, KILLS_WITH_HELPERS, 2);
    println!("pushes at each kill: {pushes:?}");
}

/// Gives the pushes all devices had got at each kill.
fn survives_kills(seed: u64, kills: usize, helpers: u64) -> Vec<u64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let bench = Bench::new();
    bench.trust_signer();
    if helpers > 0 {
        let root = bench.write("root.pem", SIGNER.root_pem().unwrap());
        let more = format!("[enroll]\nhelpers = ['{root}']\n[wifi]\nssid = 'Bench'\nsecurity = 'none'\n");
        bench.write("enlist.toml", format!("trusted_roots = ['{root}']\n{more}"));
    }
    let sim = Simulator::of(&bench, SCENARIO);
    let profile = bench.write("enroll.mobileconfig", f01());
    let args = [profile.as_str(), "--once", "--policies-within", "0"];

    let mut pushes_at_kills = Vec::new();
    for n in 0..kills {
        // Early ones first, while the identity is made and the journal begun; then anywhere.
        let latest = if n < 4 { 150 } else { 700 };
        let moment = Duration::from_millis(rng.u64(5..latest));
        let mut station = Serving::start(&bench, &args);
        std::thread::sleep(moment);
        station.kill();
        pushes_at_kills.push(sim.devices().iter().map(|d| count(d, "pushes_received")).sum::<u64>());
        assert!(journal_problems(&bench).is_empty(), "after kill {n} at {moment:?}, seed {seed}");
    }

    // A kill between the journal's commit and the first byte makes this run wait 45 s for an
    // install that may be going on (limits::LOST_INSTALL_SETTLE).
    let mut station = Serving::start(&bench, &args).within(Duration::from_secs(120 * (1 + helpers)));
    let mut ended = BTreeMap::new();
    while ended.len() < DEVICES {
        let change = station.until_ended();
        ended.insert(change["udid"].to_string(), change["outcome"].clone());
    }
    station.finish().exits(0);
    assert!(ended.values().all(|o| o == "enrolled" || o == "already-enrolled"), "{ended:?}, seed {seed}");

    for device in sim.devices() {
        assert!(has_profile(&device, IDENTIFIER, UUID), "seed {seed}: {device}");
        assert_eq!(count(&device, "pushes_after_accept"), 0, "seed {seed}: {device}");
        assert_eq!(count(&device, "installs"), 1 + helpers, "seed {seed}: {device}");
        assert_eq!(count(&device, "private_keys_offered"), 0, "seed {seed}: {device}");
    }
    let jobs = bench.run(&["history", "--json", "--limit", "1000"]).exits(0).json();
    let mut enrolled: Vec<_> = jobs.iter().filter(|job| job["outcome"] == "enrolled").collect();
    assert!(jobs.iter().all(|job| job["open"] == false && is_success(job)), "seed {seed}: {jobs:#?}");
    enrolled.sort_by_key(|job| job["udid"].to_string());
    enrolled.dedup_by_key(|job| job["udid"].to_string());
    assert_eq!(enrolled.len(), DEVICES, "seed {seed}: each was enrolled by a job");
    each_job_ended_once(&bench, jobs.len());
    let doctor = bench.run(&["doctor", "--json"]).json();
    let journal = doctor.iter().find(|check| check["check"] == "journal").unwrap();
    assert_eq!(journal["health"], "good", "seed {seed}: {journal}");
    pushes_at_kills
}

fn is_success(job: &Value) -> bool {
    ["enrolled", "already-enrolled"].contains(&job["outcome"].as_str().unwrap())
}

pub(crate) fn journal_problems(bench: &Bench) -> Vec<String> {
    let path = bench.state_dir().join("journal.sqlite3");
    if !path.exists() {
        return Vec::new();
    }
    JournalReader::open(&path).unwrap().check()
}

/// Counted in the file itself, apart from the program's own check.
pub(crate) fn each_job_ended_once(bench: &Bench, jobs: usize) {
    let jobs = i64::try_from(jobs).unwrap();
    let path = bench.state_dir().join("journal.sqlite3");
    let journal = rusqlite::Connection::open(path).unwrap();
    let count = |sql: &str| journal.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM jobs"), jobs);
    assert_eq!(count("SELECT count(*) FROM events WHERE kind = 'job-started'"), jobs);
    assert_eq!(count("SELECT count(*) FROM events WHERE kind = 'job-ended'"), jobs);
    assert_eq!(count("SELECT count(DISTINCT job) FROM events WHERE kind = 'job-ended'"), jobs);
    let last = "SELECT count(*) FROM events e WHERE kind = 'job-ended' \
                AND seq = (SELECT max(seq) FROM events WHERE job = e.job)";
    assert_eq!(count(last), jobs, "the end is the last event");
}
