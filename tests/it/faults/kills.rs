//! `kill -9` of the shipped station at each message of an enrollment, in both directions: while
//! a request is under way, and while its answer is. The next start goes on where it was.

#![allow(clippy::disallowed_methods)] // real processes are killed at real moments

use crate::kill::{each_job_ended_once, journal_problems};
use crate::support::binary::{Bench, Running, poll};
use crate::support::fleet::{Simulator, count, has_profile};
use crate::support::profile::{IDENTIFIER, UUID, f01};
use serde_json::Value;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

/// Cells of an everyday run; `ENLIST_KILLS=all` runs all of them.
const SAMPLE: usize = 6;

/// Stations at once.
const AT_ONCE: usize = 3;

/// The second start may have to wait for an install that may be going on
/// (limits::LOST_INSTALL_SETTLE).
const PATIENCE: Duration = Duration::from_secs(150);

const SCRIPTS: [(&str, &str); 2] = [
    ("setup", "persona = 'in-setup'"),
    ("person", "trust_after = '300ms'\naccept_after = '1s'\nperson_jitter = '0s'"),
];

/// While the request is under way, and while its answer is.
const MOMENTS: [(&str, &str); 2] = [(">", "late"), ("<", "delay")];

/// Where a station is killed.
#[derive(Debug, Clone)]
struct Cell {
    script: &'static str,
    arrow: &'static str,
    request: u64,
    device: String,
}

#[test]
fn killed_at_a_message_it_goes_on_where_it_was() {
    let mut cells = cells();
    let all = cells.len();
    let seed = fastrand::u64(..);
    if std::env::var("ENLIST_KILLS").as_deref() != Ok("all") {
        fastrand::Rng::with_seed(seed).shuffle(&mut cells);
        cells.truncate(SAMPLE);
    }
    println!("{} of {all} cells, seed {seed}", cells.len());
    let bench = Bench::new();
    let scenario: String = cells.iter().map(|cell| cell.device.as_str()).collect();
    let sim = Mutex::new(Simulator::of(&bench, &scenario));
    let next = Mutex::new(cells.iter().enumerate());
    let table = Mutex::new(vec![String::new(); cells.len()]);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((n, cell)) = next.lock().unwrap().next() else { return };
                    let how = survives(&bench, &sim, n, cell);
                    let Cell { script, arrow, request, .. } = cell;
                    table.lock().unwrap()[n] = format!("{script:<6} {arrow} request {request:<3} {how}");
                }
            });
        }
    });
    let table = table.into_inner().unwrap();
    let mut text = format!("kill -9 at {} of {all} messages\n", table.len());
    for line in &table {
        let _ = writeln!(text, "{line}");
    }
    println!("{text}0 violations");
    std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("kill-matrix.txt"), text).unwrap();
}

/// Every request of a clean run, times both directions.
fn cells() -> Vec<Cell> {
    let bench = Bench::new();
    bench.trust_signer();
    let profile = bench.write("enroll.mobileconfig", f01());
    let scenario: String = SCRIPTS.iter().map(|(_, device)| format!("[[device]]\n{device}\n")).collect();
    let sim = Simulator::of(&bench, &scenario);
    let mut cells = Vec::new();
    for ((script, device), udid) in SCRIPTS.into_iter().zip(&sim.udids) {
        bench.run(&["enroll", &profile, "-u", udid]).exits(0);
        for request in 1..=count(&sim.device(udid), "messages") {
            for (arrow, kind) in MOMENTS {
                let fault = format!("faults = [{{ kind = '{kind}', at = {request}, span = '20s' }}]");
                let device = format!("[[device]]\n{device}\n{fault}\n");
                cells.push(Cell { script, arrow, request, device });
            }
        }
    }
    cells
}

fn survives(shared: &Bench, sim: &Mutex<Simulator>, n: usize, cell: &Cell) -> String {
    let bench = Bench::new();
    bench.trust_signer();
    let profile = bench.write("enroll.mobileconfig", f01());
    let udid = sim.lock().unwrap().udids[n].clone();
    let start = || {
        let mut command = bench.command(&["enroll", &profile, "-u", &udid, "--json"]);
        command.env("USBMUXD_SOCKET_ADDRESS", shared.socket());
        Running::start(command).within(PATIENCE)
    };
    let device = || sim.lock().unwrap().device(&udid);

    let mut station = start();
    // A person who is a little faster makes a conversation a poll shorter.
    let reached = poll("the message", || {
        let device = device();
        let over = has_profile(&device, IDENTIFIER, UUID) && device["silence"].as_u64() > Some(5000);
        (count(&device, "faults") > 0 || over).then(|| count(&device, "faults") > 0)
    });
    station.kill();
    if !reached {
        return "not reached: the conversation was shorter this time".to_owned();
    }
    let problems = journal_problems(&bench);
    assert!(problems.is_empty(), "{cell:?}: {problems:?}");

    let result: Value = start().finish().exits(0).only();
    let device = device();
    assert_eq!(result["outcome"], "enrolled", "{cell:?}: {result}");
    assert!(has_profile(&device, IDENTIFIER, UUID), "{cell:?}: {device}");
    assert_eq!(count(&device, "pushes_after_accept"), 0, "{cell:?}: {device}");
    assert_eq!((count(&device, "installs"), count(&device, "removals")), (1, 0), "{cell:?}: {device}");
    each_job_ended_once(&bench, 1);
    assert!(journal_problems(&bench).is_empty(), "{cell:?}");
    let pushes = count(&device, "pushes_received");
    format!("enrolled, {} attempts, {pushes} pushes received", result["attempts"])
}
