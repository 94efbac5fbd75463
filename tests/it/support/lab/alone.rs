//! A test of this binary again, in a process of its own: file descriptors, memory and a small
//! disk are then its alone. The test that does the work is ignored; the one that everybody runs
//! starts it.

#![allow(clippy::disallowed_methods)] // a real process with its own environment
#![allow(clippy::print_stdout)] // what the other process reported

use super::disk::SMALL_DISK;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// True in such a process.
pub(crate) fn is_alone() -> bool {
    std::env::var_os("ENLIST_TEST_ALONE").is_some()
}

/// Runs the ignored test `name` with a disk of so many MiB and gives what it printed.
#[track_caller]
pub(crate) fn run(name: &str, disk: u32, environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = on_small_disk(folder.path(), disk).unwrap_or_else(|| {
        skipped("no small disk for a full one: unshare and mount are not allowed here");
        Command::new(std::env::current_exe().unwrap())
    });
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command.envs(environment.iter().copied()).env("ENLIST_TEST_ALONE", "1").stdin(Stdio::null());
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{name}\n{said}\n{errors}");
    println!("{said}");
    said
}

/// This binary, where `folder` is a disk of its own that a few megabytes fill.
fn on_small_disk(folder: &Path, size: u32) -> Option<Command> {
    let script = format!("mount -t tmpfs -o size={size}m,mode=700 none \"$0\" && exec \"$@\"");
    let within = |program: &str, args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script]).arg(folder).arg(program).args(args);
        command.env(SMALL_DISK, folder);
        command
    };
    let allowed = within("true", &[]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    let this = std::env::current_exe().unwrap();
    allowed.is_ok_and(|status| status.success()).then(|| within(this.to_str().unwrap(), &[]))
}

/// Says what could not be tried, also to `tests/run`.
pub(crate) fn skipped(why: &str) {
    let line = format!("SKIPPED: {why}");
    println!("{line}");
    let Some(path) = std::env::var_os("ENLIST_SKIPPED") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| writeln!(file, "{line}")).unwrap();
}

/// Open files of this process. Descriptors of the journal's own file do not count: SQLite keeps
/// those of connections that were closed while another one held a lock, for the next to use. A
/// connection that is left open is seen by its write-ahead log.
pub(crate) fn open_files() -> usize {
    let is_kept = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("journal.sqlite3"))
    };
    std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.flatten().filter(|e| !is_kept(e)).count())
}

/// Memory of this process that is in use, in KiB.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
