//! The disk fills up during a batch: a small tmpfs in a mount namespace of its own. Nothing
//! new is pushed, the station says so, nothing is lost, and it goes on when space returns.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use super::support::binary::{Bench, Running, poll, shipped_binary, text_of};
use enlist::journal::JournalReader;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Room for a batch, and for the write-ahead log at its largest.
const MOUNT: &str = "mount -t tmpfs -o size=12m none \"$0\" && exec \"$@\"";

/// True if such a disk can be had here; said loudly if not.
pub(crate) fn is_possible() -> bool {
    let tried = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let why = match tried {
        Ok(done) if done.status.success() => return true,
        Ok(done) => String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let line = format!("SKIPPED: small disk: {why}");
    // Not with `eprintln`, which libtest keeps to itself.
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os("ENLIST_SKIPPED") {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
    false
}

struct SmallDisk {
    station: Running,
    folder: PathBuf,
    /// The same, as this process reaches it.
    state: PathBuf,
}

impl SmallDisk {
    fn serve(bench: &Bench, args: &[&str]) -> Self {
        let folder = bench.path("disk");
        std::fs::create_dir(&folder).unwrap();
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", MOUNT]).arg(&folder).arg(shipped_binary()).args(args);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &folder)
            .env("ENLIST_STATE_DIR", &folder);
        command.current_dir(bench.path(""));
        let station = Running::start(command).within(Duration::from_secs(120));
        let seen = format!("/proc/{}/root{}", station.pid(), text_of(&folder));
        Self { station, folder, state: seen.into() }
    }

    /// How many are done, asked inside: SQLite follows the link that leads there to our own root.
    fn done(&self) -> u64 {
        let mut command = Command::new("nsenter");
        command.args(["-U", "-m", "--preserve-credentials", "-t", &self.station.pid().to_string()]);
        command.arg(shipped_binary()).arg("--state-dir").arg(self.folder.join("simulated"));
        let told = command.args(["batch", "status", "--json"]).env_clear().output().unwrap();
        let told: Option<serde_json::Value> = serde_json::from_slice(&told.stdout).ok();
        told.and_then(|told| told["progress"]["done"].as_u64()).unwrap_or(0)
    }

    /// What is wrong with its journal; looked at in a copy.
    fn check(&self, bench: &Bench) -> Vec<String> {
        for name in ["journal.sqlite3", "journal.sqlite3-wal"] {
            std::fs::copy(self.state.join("simulated").join(name), bench.path(name)).unwrap();
        }
        JournalReader::open(&bench.path("journal.sqlite3")).unwrap().check()
    }

    /// Fills the disk to the last byte.
    fn fill(&self) {
        let mut ballast =
            OpenOptions::new().create(true).append(true).open(self.state.join("ballast")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.state.join("ballast")).unwrap();
    }
}

#[test]
fn a_disk_that_fills_up_during_a_batch_loses_nothing() {
    if !is_possible() {
        return;
    }
    let bench = Bench::new();
    let text =
        "bays = 4\nlatency = \"5ms\"\n[[device]]\ncount = 60\npersona = \"in-setup\"\npairing = \"silent\"\n";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let serials: Vec<String> = runtime.block_on(async {
        let fleet = enlist::sim::Fleet::from_scenario(text, enlist::clock::Clock::System).unwrap();
        fleet.inspect_all().into_iter().map(|device| device.serial).collect()
    });
    let scenario = bench.write("scenario.toml", text);
    let manifest = bench.write("room.csv", format!("serial\n{}\n", serials.join("\n")));
    let disk = SmallDisk::serve(&bench, &["serve", "--json", "--scenario", &scenario, "--batch", &manifest]);
    poll("the first devices", || (disk.done() >= 5).then_some(()));
    disk.fill();
    let full_at = poll("the standstill", || {
        let before = disk.done();
        std::thread::sleep(Duration::from_secs(2));
        (disk.done() == before).then_some(before)
    });
    assert!(full_at < 60, "{full_at} were done before the disk was full");
    disk.free();
    poll("the rest", || (disk.done() == 60).then_some(()));
    assert_eq!(disk.check(&bench), Vec::<String>::new());
    println!("full after {full_at} of 60; all done after space returned");
    disk.station.terminate();
    let ended = disk.station.finish().exits(0);
    assert!(ended.stderr.contains("The journal cannot be written"), "{ended}");
    assert!(ended.stderr.contains("nothing new is pushed"), "{ended}");
    assert!(ended.stderr.contains("it is written again"), "{ended}");
}

#[test]
fn a_journal_that_must_not_be_written_is_told_at_the_start() {
    if !is_possible() {
        return;
    }
    let bench = Bench::new();
    bench.run(&["batch", "open", &bench.write("room.csv", "serial\nC02ABCDEF123\n")]).exits(0);
    let state = text_of(&bench.state_dir());
    let remount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    for args in [&["batch", "close"][..], &["serve", "--once", "--simulate", "1"]] {
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", remount, &state]).arg(shipped_binary()).args(args);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", bench.path("home"));
        command.env("ENLIST_STATE_DIR", &state);
        let done = Running::start(command).finish();
        let said = done.fails_clearly(2);
        assert!(said.contains("journal") || said.contains("Read-only"), "{said}");
    }
}

#[test]
fn a_backup_to_a_full_disk_names_its_file() {
    if !is_possible() {
        return;
    }
    let bench = Bench::new();
    bench.run(&["serve", "--simulate", "3", "--once"]).exits(0);
    let (state, folder) = (text_of(&bench.state_dir().join("simulated")), bench.path("disk"));
    std::fs::create_dir(&folder).unwrap();
    let file = text_of(&folder.join("b.tar"));
    let mut command = Command::new("unshare");
    // No room for the copy of the journal.
    command.args(["-Urm", "sh", "-c", &MOUNT.replace("size=12m", "size=16k")]).arg(&folder);
    command.arg(shipped_binary()).args(["--state-dir", &state, "backup", &file]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &folder).env("ENLIST_LISTEN", "off");
    let said = Running::start(command).finish().fails_clearly(1);
    assert!(said.starts_with(&format!("Cannot write {file}: ")) && said.contains("full"), "{said}");
}
