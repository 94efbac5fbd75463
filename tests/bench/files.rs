//! What large files cost, and folders of thousands.

use super::{ENLIST, row, usage};
use crate::large_files::files;
use enlist::clock::Clock;
use enlist::journal::Journal;
use enlist::station::age::AgeAnswers;
use enlist::station::library::Signers;
use enlist::station::library::folder::{Folder, Look};
use enlist::wire::profile::example::{ExampleOptions, Signer, scep_plist};
use enlist::wire::property_list::to_xml;
use jiff::Timestamp;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const TOPIC: &str = "files";

/// A folder at its bound, nearly.
const EXPORTS: usize = 4000;

pub fn run() {
    let place = tempfile::tempdir().expect("a folder");
    println!("Files that nobody should give: no input up to 64 MiB over 2 s or 200 MiB");
    for megabytes in [10, 64] {
        worst(place.path(), megabytes << 20);
    }
    println!("A folder of {EXPORTS} signed exports");
    many(&place.path().join("exports"));
}

/// The longest and the largest of all files of a size.
fn worst(place: &Path, bytes: usize) {
    let signer = Signer::new(Timestamp::now()).expect("keys");
    let signed = |content: &[u8]| signer.sign(content, Timestamp::now()).expect("signs");
    let path = place.join("large.mobileconfig");
    let (mut longest, mut largest) = ((Duration::ZERO, String::new()), (0, String::new()));
    for (name, file) in files(bytes, &signed) {
        std::fs::write(&path, file).expect("writes");
        for command in ["lint", "show"] {
            let (took, peak) = one(command, &path);
            let what = format!("{command} of {name}");
            longest = longest.max((took, what.clone()));
            largest = largest.max((peak, what));
        }
    }
    let size = bytes >> 20;
    row(&format!("{size} MiB: {}, s", longest.1), longest.0.as_secs_f64(), 2.0);
    row(&format!("{size} MiB: {}, MiB", largest.1), largest.0 as f64 / 1024.0, 200.0);
}

/// How long it took, and its most memory in KiB, as far as a look each millisecond tells.
fn one(command: &str, path: &Path) -> (Duration, u64) {
    let begun = Instant::now();
    let mut child = Command::new(ENLIST)
        .args(["profile", command, "--json"])
        .arg(path)
        .env_clear()
        .env("HOME", path.parent().expect("a folder"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut peak = 0;
    while child.try_wait().expect("it ends").is_none() {
        peak = usage(child.id()).map_or(peak, |usage| peak.max(usage.peak_kib));
        std::thread::sleep(Duration::from_millis(1));
    }
    (begun.elapsed(), peak)
}

fn many(folder: &Path) {
    std::fs::create_dir(folder).expect("a folder");
    let signer = Signer::new(Timestamp::now()).expect("keys");
    for n in 0..EXPORTS {
        let uuid = format!("1111AAAA-0000-4000-8000-{n:012X}");
        let plain = to_xml(&scep_plist(&ExampleOptions { uuid, ..ExampleOptions::default() }));
        let signed = signer.sign(&plain, Timestamp::now()).expect("signs");
        std::fs::write(folder.join(format!("{n}.mobileconfig")), signed).expect("writes");
    }
    let mut library = Folder::new(folder.into(), None, AgeAnswers::default(), Signers::default());
    let mut look = |what: &str, budget: f64| {
        let begun = Instant::now();
        library.scan(Look::AtOnce, tokio::time::Instant::now(), Timestamp::now());
        row(what, begun.elapsed().as_secs_f64() * 1000.0, budget);
    };
    look("first look, all are read, ms", f64::NAN);
    look("one more look, ms", f64::NAN);
    let begun = Instant::now();
    library.choose(Duration::ZERO, Timestamp::now()).expect("one fits");
    row("choosing one, ms", begun.elapsed().as_secs_f64() * 1000.0, f64::NAN);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let path = folder.with_file_name("journal.sqlite3");
        let journal = Journal::open(path, Clock::System, Arc::new(|_| ())).expect("a journal");
        let begun = Instant::now();
        journal.saw(library.sighting()).await.expect("written");
        row("all of them into the journal, ms", begun.elapsed().as_secs_f64() * 1000.0, f64::NAN);
    });
}
