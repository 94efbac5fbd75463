//! Soak: one station for a very long day. Devices flap, are erased and come again, thousands of
//! jobs in one process; memory, files, tasks and channels stay where they were.
//!
//! Everybody runs a short day; `cargo test --test it soak:: -- --ignored --nocapture` the long
//! one.

#![allow(clippy::print_stdout)] // its samples are the report

use crate::support::lab::invariants::Rule;
use crate::support::lab::{Lab, alive_tasks, alone};
use enlist::ids::{JobId, Udid};
use enlist::sim::{Command, FleetOptions, Latency, Persona, Settings};
use enlist::station::{BayState, Selection};
use fastrand::Rng;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Devices at the bench.
const DEVICES: usize = 16;

/// Room for the journal of the long day, in MiB.
const DISK: u32 = 256;

/// Memory may grow by this from the first quarter of the day to its end, in KiB: the database's
/// own cache fills, and nothing else.
const GROWTH: u64 = 6 << 10;

/// No round takes longer, quarantine and its calm included.
const ROUND: Duration = Duration::from_secs(2 * 3600);

#[test]
fn a_short_day_at_a_flapping_bench() {
    alone::run("soak::a_day", DISK, &[("ENLIST_SOAK_JOBS", "200")]);
}

#[test]
#[ignore = "the long day: minutes"]
fn two_thousand_jobs_at_a_flapping_bench() {
    alone::run("soak::a_day", DISK, &[("ENLIST_SOAK_JOBS", "2000")]);
}

/// What may grow and must not.
#[derive(Debug, Clone, Copy)]
struct Sample {
    jobs: i64,
    memory: u64,
    files: usize,
    tasks: usize,
    channels: usize,
}

#[test]
#[ignore = "the others start it in a process of its own"]
#[allow(clippy::disallowed_methods)] // how long a day is, is told from outside
fn a_day() {
    // By `--ignored` too, where nobody said how long.
    let Ok(jobs) = std::env::var("ENLIST_SOAK_JOBS") else { return };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(day(jobs.parse().unwrap()));
}

async fn day(jobs: i64) {
    let seed = fastrand::u64(..);
    let mut rng = Rng::with_seed(seed);
    println!("seed {seed}");
    let before = alive_tasks();
    let settings =
        Settings { latency: Some("5ms+5ms".parse::<Latency>().unwrap()), ..Persona::InSetup.settings() };
    let specs = vec![enlist::sim::DeviceSpec { persona: Persona::InSetup, settings }];
    let lab = Lab::new(FleetOptions { devices: DEVICES, specs, seed, ..FleetOptions::default() });
    let station = lab.start(Selection::All, false).unwrap();
    let counting = rusqlite::Connection::open(lab.journal_path()).unwrap();
    let count = |sql: &str| counting.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let mut samples: Vec<Sample> = Vec::new();
    let mut published = 0;
    let mut last = vec![None; DEVICES];
    loop {
        let udids = lab.fleet.udids();
        for (n, udid) in udids.iter().enumerate() {
            flap(&lab, udid, rng.usize(..7), &mut rng).await;
            let over = until_over(&lab, &station, udid, last[n]);
            last[n] =
                timeout(ROUND, over).await.unwrap_or_else(|_| panic!("seed {seed}: {udid} is not over"));
        }
        sleep(Duration::from_secs(60)).await;
        published += lab.notes.published.lock().unwrap().len() as i64;
        assert_eq!(
            count("SELECT count(*) FROM events"),
            published,
            "seed {seed}: the journal is what was published"
        );
        lab.notes.forget();
        let sample = Sample {
            jobs: count("SELECT count(*) FROM jobs WHERE ended_at IS NOT NULL"),
            memory: alone::resident(),
            files: alone::open_files(),
            tasks: alive_tasks(),
            channels: lab.way.open_channels(),
        };
        samples.push(sample);
        if sample.jobs >= jobs {
            break;
        }
        // Half of them are taken to another user.
        for udid in udids {
            let again =
                if rng.bool() { Command::Erase { udid } } else { Command::Reattach { udid: Some(udid) } };
            lab.fleet.control(again).unwrap();
        }
    }
    drop(counting);
    samples.iter().step_by(samples.len().div_ceil(20)).chain(samples.last()).for_each(|s| println!("{s:?}"));
    let (early, end) = (samples[samples.len() / 4], *samples.last().unwrap());
    let devices = lab.fleet.inspect_all();
    let total = |of: fn(&enlist::sim::Counters) -> u64| devices.iter().map(|d| of(&d.counters)).sum::<u64>();
    println!(
        "{} jobs, {} installs, {} attachments, {} messages",
        end.jobs,
        total(|c| c.installs),
        total(|c| c.attachments),
        total(|c| c.messages)
    );
    assert!(end.memory <= early.memory + GROWTH, "memory: {early:?} {end:?}");
    assert_eq!((end.files, end.channels), (early.files, 0), "{early:?} {end:?}");
    assert_eq!(end.tasks, early.tasks, "{early:?} {end:?}");

    let board = station.stop().await;
    let evidence = lab.conclude(board, before).await;
    // What was forgotten on the way was compared on the way.
    let mut wrong = evidence.violations();
    wrong.retain(|v| !matches!(v.rule, Rule::Published | Rule::Deadline));
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
}

/// A loose contact.
async fn flap(lab: &Lab, udid: &Udid, times: usize, rng: &mut Rng) {
    for _ in 0..times {
        lab.fleet.detach(udid).unwrap();
        sleep(Duration::from_millis(rng.u64(..3000))).await;
        lab.fleet.attach(udid).unwrap();
        sleep(Duration::from_millis(rng.u64(..6000))).await;
    }
}

/// Waits until the device's newest job is over, and it is not the one before.
async fn until_over(
    lab: &Lab,
    station: &crate::support::lab::Incarnation,
    udid: &Udid,
    before: Option<JobId>,
) -> Option<JobId> {
    loop {
        let is_over =
            |bay: &BayState| bay.udid.as_ref() == Some(udid) && bay.job > before && bay.ended.is_some();
        let over = station.board().bays().into_iter().find(is_over);
        if let Some(bay) = over.filter(|_| lab.fleet.inspect(udid).unwrap().attached.is_some()) {
            return bay.job;
        }
        sleep(Duration::from_secs(1)).await;
    }
}
