//! A deterministic world: devices, persons, faults, cables, muxes and stations under one seed
//! and one paused clock. Thousands are drawn; the invariants hold in each.
//!
//! `ENLIST_WORLDS=10000 cargo test --test it worlds:: -- --nocapture` runs so many instead of
//! twenty seconds' worth; `ENLIST_WORLD=SEED` runs and prints that one.

#![allow(clippy::disallowed_methods)] // how many, and how long, is told from outside
#![allow(clippy::print_stdout)] // seeds, and worlds made small

mod draw;
mod file;
mod kept;
mod run;
mod shrink;

use file::World;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long an everyday run draws worlds.
const EVERYDAY: Duration = Duration::from_secs(20);

/// Worlds at once.
const THREADS: usize = 2;

#[test]
fn random_worlds_break_no_invariant() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("ENLIST_WORLD") {
        let world = draw::world(seed);
        let came = run::run(&world, None);
        println!("{}\n{}\n{:#?}", world.to_toml(), came.journal, came.violations);
        assert!(came.violations.is_empty());
        return;
    }
    let worlds = number("ENLIST_WORLDS");
    let first = number("ENLIST_WORLDS_FROM").unwrap_or_else(|| fastrand::u64(..1 << 40));
    println!("seeds from {first}");
    let begun = Instant::now();
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let (jobs, healthy) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let over = |n: u64| worlds.map_or_else(|| begun.elapsed() > EVERYDAY, |worlds| n >= worlds);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if over(n) {
                        return;
                    }
                    let world = draw::world(first + n);
                    let came = run::run(&world, None);
                    jobs.fetch_add(came.jobs, Ordering::Relaxed);
                    healthy.fetch_add(came.healthy, Ordering::Relaxed);
                    if !came.violations.is_empty() {
                        println!("seed {} fails: {:?}", world.seed, came.violations);
                        failed.lock().unwrap().push(world);
                    }
                }
            });
        }
    });
    let run = worlds.unwrap_or_else(|| next.load(Ordering::Relaxed) - THREADS as u64);
    let failed = failed.into_inner().unwrap();
    println!(
        "{run} worlds with {} jobs, {} devices with nothing wrong with them, in {:.1} s, seeds {first} to {}: \
         {} violated an invariant",
        jobs.load(Ordering::Relaxed),
        healthy.load(Ordering::Relaxed),
        begun.elapsed().as_secs_f32(),
        first + run - 1,
        failed.len()
    );
    failed.iter().take(3).for_each(keep_shrunk);
    let seeds: Vec<_> = failed.iter().map(|world| world.seed).collect();
    assert!(seeds.is_empty(), "failing seeds: {seeds:?}");
}

/// Makes a failing world small and writes it down, ready to be moved to `fixtures/scenarios`.
fn keep_shrunk(world: &World) {
    let small = shrink::shrink(world, None);
    let came = run::run(&small, None);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("world-{}.toml", world.seed));
    std::fs::write(&path, small.to_toml()).unwrap();
    println!(
        "seed {} made small, in {} (move it to fixtures/scenarios once it is mended):\n{}\n{}\n{:#?}",
        world.seed,
        path.display(),
        small.to_toml(),
        came.journal,
        came.violations
    );
}

#[test]
fn the_same_seed_twice_gives_the_same_journal() {
    let first = fastrand::u64(..1 << 40);
    for seed in first..first + 12 {
        let world = draw::world(seed);
        let (one, two) = (run::run(&world, None), run::run(&world, None));
        assert_eq!(one.journal, two.journal, "seed {seed}");
        assert!(one.journal.lines().count() > 2, "seed {seed}: {}", one.journal);
    }
}

#[test]
fn a_world_reads_back_from_its_file() {
    for seed in 0..200 {
        let world = draw::world(seed);
        assert_eq!(World::read(&world.to_toml()).unwrap(), world, "{}", world.to_toml());
    }
}

/// A planted bug: the board never hears of a detach. What is left of the world is that detach.
#[test]
fn a_failing_world_is_made_small() {
    let bug = run::planted_lost_detach();
    let fails = |world: &World| !run::run(world, Some(&bug)).violations.is_empty();
    let world = (0..).map(draw::world).find(|w| w.device.len() > 1 && w.act.len() > 3 && fails(w)).unwrap();
    let small = shrink::shrink(&world, Some(&bug));
    assert!(fails(&small), "{}", small.to_toml());
    let faults: usize =
        small.device.iter().map(|d| d.get("faults").map_or(0, |f| f.as_array().unwrap().len())).sum();
    assert_eq!(small.device.len(), 1, "{}", small.to_toml());
    assert!(small.act.len() + faults <= 2, "{}", small.to_toml());
}
