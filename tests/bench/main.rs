//! The figures of design section 6, measured and printed; nothing is asserted, because
//! machines are noisy. Run it with `cargo bench`.
//!
//! The station and the simulator are two processes, as at a bench the station and the
//! devices are two things: CPU and memory are the station's alone. All devices are
//! SIMULATED. Read ratios, not milliseconds. `cargo bench -- usb-mux` measures the USB mux alone,
//! `cargo bench -- files` large files and large folders, `cargo bench -- page` the page.

#![allow(clippy::print_stdout)] // printing is what it is for
#![allow(clippy::disallowed_methods)] // it watches other processes, in real time
#![allow(clippy::cast_precision_loss)] // figures for people
#![allow(unreachable_pub)] // nothing outside reaches in
#![allow(clippy::unwrap_used)] // the virtual bus is test support

#[cfg(target_os = "linux")]
#[path = "../support/bus/mod.rs"]
mod bus;
mod files;
#[path = "../support/large_files.rs"]
mod large_files;
mod page;
#[cfg(target_os = "linux")]
mod usb_mux;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ENLIST: &str = env!("CARGO_BIN_EXE_enlist");

/// Round trips of one enrollment in Setup Assistant; counted exactly, under virtual time, by
/// `round_trips_stay_within_1_15_of_the_minimum` in tests/it/virtual_time.rs.
const ROUND_TRIPS: f64 = 15.0;

fn main() {
    #[cfg(target_os = "linux")]
    if usb_mux::run_if_client() {
        return;
    }
    // `cargo test --benches` runs this too, with another argument, to see that it builds.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    #[cfg(target_os = "linux")]
    if std::env::args().any(|a| a == usb_mux::TOPIC) {
        return usb_mux::run();
    }
    if std::env::args().any(|a| a == files::TOPIC) {
        return files::run();
    }
    if std::env::args().any(|a| a == page::TOPIC) {
        return page::run();
    }
    let folder = tempfile::tempdir().expect("a folder");
    println!("Simulated devices in Setup Assistant, pairing included; {} cores", cores());
    println!("{:<44} {:>12} {:>12} {:>8}", "figure", "measured", "budget", "ratio");
    one_device(folder.path());
    latency(folder.path());
    for devices in [1, 32, 128, 500] {
        fleet(folder.path(), devices);
    }
    idle(folder.path());
    pymobiledevice3(folder.path());
    files::run();
    #[cfg(target_os = "linux")]
    usb_mux::run();
    page::run();
}

/// Median of eleven single enrollments.
fn one_device(folder: &Path) {
    let mut spent: Vec<u64> = (0..11).flat_map(|n| run(folder, &format!("one{n}"), 1, "0ms").jobs).collect();
    spent.sort_unstable();
    row("one device, attach to verified, ms", spent[5] as f64, 50.0);
}

fn latency(folder: &Path) {
    let ran = run(folder, "latency", 1, "5ms");
    let least = ROUND_TRIPS * 5.0;
    row("one device, 5 ms a trip: job over minimum", ran.jobs[0] as f64 / least, 1.15);
}

fn fleet(folder: &Path, devices: usize) {
    let mut ran = run(folder, &format!("fleet{devices}"), devices, "0ms");
    ran.jobs.sort_unstable();
    let p99 = ran.jobs[(ran.jobs.len() * 99).div_ceil(100).saturating_sub(1)];
    let count = devices as f64;
    row(&format!("{devices} devices: station CPU each, ms"), ran.cpu.as_secs_f64() * 1000.0 / count, 100.0);
    row(&format!("{devices} devices: wall over device, ms"), ran.wall.as_secs_f64() * 1000.0 / count, 100.0);
    row(&format!("{devices} devices: p99 job, ms"), p99 as f64, f64::NAN);
    if devices > 1 {
        row(&format!("{devices} devices: peak memory each, KiB"), ran.peak_kib as f64 / count, 1024.0);
    }
}

/// A station that watches 32 enrolled devices and has nothing to do.
fn idle(folder: &Path) {
    let mut sim = Simulator::start(folder, "idle", 32, "0ms");
    let mut station = Command::new(ENLIST)
        .args(["serve", &example().display().to_string(), "--exported-at", &today()])
        .env("USBMUXD_SOCKET_ADDRESS", &sim.address)
        .env("ENLIST_STATE_DIR", folder.join("idle-state"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the station");
    let out = BufReader::new(station.stdout.take().expect("its output"));
    let ended = out.lines().map_while(Result::ok).filter(|l| l.contains(" enrolled ")).take(32).count();
    assert_eq!(ended, 32);
    std::thread::sleep(Duration::from_secs(2));
    let before = usage(station.id()).expect("its usage");
    let window = Duration::from_secs(10);
    std::thread::sleep(window);
    let after = usage(station.id()).expect("its usage");
    let share = (after.cpu - before.cpu).as_secs_f64() / window.as_secs_f64() * 100.0;
    row("idle station with 32 devices, CPU %", share, 1.0);
    row("idle station with 32 devices, MiB", after.rss_kib as f64 / 1024.0, 40.0);
    let _ = station.kill();
    let _ = station.wait();
    sim.stop();
}

/// For orientation: pair, list, install, read back with pymobiledevice3, if it is there.
fn pymobiledevice3(folder: &Path) {
    const DEVICES: usize = 32;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/pymobiledevice3_enroll.py");
    let mut sim = Simulator::start(folder, "pmd3", DEVICES, "0ms");
    let python = ["target/test-tools/venv/bin/python", "python3"].into_iter().find(|p| {
        Command::new(p).args(["-c", "import pymobiledevice3"]).output().is_ok_and(|o| o.status.success())
    });
    let Some(python) = python else {
        println!("pymobiledevice3 is not installed: no comparison (./tests/run installs it)");
        return sim.stop();
    };
    let child = Command::new(python)
        .arg(script)
        .arg(sim.address.trim_start_matches("UNIX:"))
        .arg(example())
        .env("USBMUXD_SOCKET_ADDRESS", sim.address.trim_start_matches("UNIX:"))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("python");
    let (theirs, _) = watch(child);
    sim.stop();
    if theirs.enrolled != DEVICES {
        println!("pymobiledevice3 enrolled {} of {DEVICES}: no comparison", theirs.enrolled);
        return;
    }
    let ours = run(folder, "ours", DEVICES, "0ms");
    let cpu = |r: &Ran| r.cpu.as_secs_f64() / DEVICES as f64;
    row("32 devices: CPU each, ours over pymobiledevice3's", cpu(&ours) / cpu(&theirs), 0.1);
    row("32 devices: wall, ours over theirs", ours.wall.as_secs_f64() / theirs.wall.as_secs_f64(), 0.1);
    row("32 devices: peak memory, ours over theirs", ours.peak_kib as f64 / theirs.peak_kib as f64, 0.1);
}

struct Ran {
    jobs: Vec<u64>,
    enrolled: usize,
    cpu: Duration,
    wall: Duration,
    peak_kib: u64,
}

/// Enrolls `devices` fresh simulated devices by the shipped binary.
fn run(folder: &Path, name: &str, devices: usize, latency: &str) -> Ran {
    let mut sim = Simulator::start(folder, name, devices, latency);
    let child = Command::new(ENLIST)
        .args(["enroll", "--all", "--json", &example().display().to_string(), "--exported-at", &today()])
        .env("USBMUXD_SOCKET_ADDRESS", &sim.address)
        // One identity for all runs: a station makes its keys once in its life.
        .env("ENLIST_STATE_DIR", state(folder))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("enlist");
    let (ran, text) = watch(child);
    sim.stop();
    assert_eq!(ran.enrolled, devices, "all are enrolled: {text}");
    ran
}

/// The shared state folder, with its identity made.
fn state(folder: &Path) -> PathBuf {
    let state = folder.join("state");
    if !state.exists() {
        let mut sim = Simulator::start(folder, "first", 1, "0ms");
        let first = Command::new(ENLIST)
            .arg("devices")
            .env("USBMUXD_SOCKET_ADDRESS", &sim.address)
            .env("ENLIST_STATE_DIR", &state)
            .output();
        assert!(first.is_ok_and(|o| o.status.success()));
        sim.stop();
    }
    state
}

/// Follows a child to its end, looking at its CPU and memory all the while.
fn watch(mut child: Child) -> (Ran, String) {
    let begun = Instant::now();
    let mut out = child.stdout.take().expect("its output");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = out.read_to_string(&mut text);
        text
    });
    let mut last = Usage::default();
    while child.try_wait().expect("its state").is_none() {
        last = usage(child.id()).unwrap_or(last);
        std::thread::sleep(Duration::from_millis(2));
    }
    let wall = begun.elapsed();
    let text = reader.join().expect("its output");
    let jobs = text.lines().filter_map(ms_of).collect();
    let enrolled = text.lines().filter(|l| l.contains("\"outcome\":\"enrolled\"")).count();
    (Ran { jobs, enrolled, cpu: last.cpu, wall, peak_kib: last.peak_kib }, text)
}

fn ms_of(line: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(line).ok()?.get("ms")?.as_u64()
}

#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    cpu: Duration,
    rss_kib: u64,
    peak_kib: u64,
}

/// From /proc; `None` once the process is gone.
fn usage(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(Usage { cpu: Duration::from_millis(ticks * 10), rss_kib: kib("VmRSS:")?, peak_kib: kib("VmHWM:")? })
}

struct Simulator {
    child: Child,
    address: String,
}

impl Simulator {
    fn start(folder: &Path, name: &str, devices: usize, latency: &str) -> Self {
        let socket = folder.join(format!("{name}.sock"));
        let scenario = folder.join(format!("{name}.toml"));
        let text = format!(
            "seed = 7\nlatency = \"{latency}\"\n[[device]]\npersona = \"in-setup\"\ncount = {devices}\ninstall_takes = \"0s\"\n"
        );
        std::fs::write(&scenario, text).expect("a scenario");
        let mut child = Command::new(ENLIST)
            .args(["sim", "--json", "--scenario", &scenario.display().to_string()])
            .args(["--socket", &format!("UNIX:{}", socket.display())])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator");
        let mut ready = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        out.read_line(&mut ready).expect("its word");
        assert!(ready.contains("ready"), "{ready}");
        Self { child, address: format!("UNIX:{}", socket.display()) }
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing in the example tells its age.
fn today() -> String {
    jiff::Timestamp::now().to_string()
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles/example-scep.mobileconfig")
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn row(figure: &str, measured: f64, budget: f64) {
    if budget.is_nan() {
        println!("{figure:<44} {measured:>12.2} {:>12} {:>8}", "-", "-");
    } else {
        println!("{figure:<44} {measured:>12.2} {budget:>12.2} {:>8.2}", measured / budget);
    }
}
