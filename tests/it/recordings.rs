//! Recordings: what the shipped binary writes down of every outcome that a simulated device can
//! reach, that it names nobody, and that nothing it is written to can hurt a job.
//!
//! `ENLIST_REFRESH_FIXTURES=1 cargo test --test it recordings::` writes
//! `fixtures/recordings/simulator` anew.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use crate::outcomes::{IN_SETUP, READY, World, stands};
use crate::supervision::{SUPERVISOR, supervise};
use crate::support::binary::{Done, text_of};
use crate::support::profile::{SIGNER, f02};
use crate::support::station::Serving;
use enlist::transport::recorder::meta::{Meta, Origin};
use enlist::transport::recorder::{META, check};
use enlist::workflow::outcome::Outcome;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Most bytes of all recordings in the tree.
const MOST_BYTES: u64 = 1_500_000;

/// What happens to the device before its job is recorded.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Paired,
    /// It forgot the station.
    Forgotten,
    /// It was not unlocked since it booted.
    Rebooted,
    /// It has the profile.
    Installed,
    /// The station holds the supervision identity of the device.
    Supervised,
}

/// What is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Enroll,
    Erase,
    Prepare,
}

/// A recording of the tree.
struct Case {
    name: &'static str,
    task: Task,
    device: &'static str,
    before: Before,
    args: &'static [&'static str],
    outcome: &'static str,
}

const fn case(name: &'static str, device: &'static str, outcome: &'static str) -> Case {
    Case { name, task: Task::Enroll, device, before: Before::Nothing, args: &[], outcome }
}

impl Case {
    const fn with(self, args: &'static [&'static str]) -> Self {
        Self { args, ..self }
    }

    const fn of(self, task: Task) -> Self {
        Self { task, ..self }
    }

    const fn after(self, before: Before) -> Self {
        Self { before, ..self }
    }
}

const ONE_SECOND: &[&str] = &["--person-within", "1"];

/// Those that every run of the tests makes anew stand first, and of these the ones in which
/// nothing depends on how fast the computer is.
const ALWAYS: usize = 5;
const EXACT: usize = 2;

const CASES: &[Case] = &[
    case("in-setup-assistant", IN_SETUP, "enrolled"),
    case("already-enrolled", READY, "already-enrolled").after(Before::Installed),
    case("enrolled", "trust_after = '300ms'\naccept_after = '500ms'", "enrolled"),
    case("trust-denied", "persona = 'trust-denied'\ntrust_after = '100ms'", "trust-denied"),
    case(
        "replugged",
        "pairing = 'silent'\naccept_after = '500ms'\n\
         faults = [{ kind = 'detach', request = 'InstallProfile', at = 1, span = '500ms' }]",
        "enrolled",
    ),
    case("planned", READY, "planned").after(Before::Paired).with(&["--dry-run"]),
    case("paired-before", READY, "enrolled").after(Before::Paired),
    case("forgot-the-station", READY, "enrolled").after(Before::Forgotten),
    case("waiting-for-trust", "persona = 'trust-ignored'", "waiting-for-trust").with(ONE_SECOND),
    case("waiting-for-unlock", "persona = 'locked-forever'\ntrust_after = '100ms'", "waiting-for-unlock")
        .with(ONE_SECOND),
    case("never-unlocked", "pairing = 'silent'\nunlock_after = 'never'", "never-unlocked")
        .after(Before::Rebooted)
        .with(ONE_SECOND),
    case("pairing-forbidden", "persona = 'pairing-forbidden'", "pairing-forbidden"),
    case("find-my-locked", "persona = 'find-my-locked'", "activation-locked"),
    case("activation-locked", "persona = 'activation-locked'", "activation-locked"),
    case("not-activated", "persona = 'unactivated'", "not-activated"),
    case("restoring", "persona = 'restore-mode'", "restoring"),
    case("held-in-setup", IN_SETUP, "in-setup").with(&["--setup-assistant", "hold"]),
    case("too-old", "persona = 'old-os'\npairing = 'silent'", "too-old").with(&["ACME"]),
    case("other-mdm", "persona = 'other-mdm'", "other-mdm"),
    case("nobody-accepts", "persona = 'person-ignores'\npairing = 'silent'", "person-did-not-accept")
        .with(&["--accept-within", "2"]),
    case(
        "person-cancels",
        "persona = 'person-cancels'\npairing = 'silent'\naccept_after = '100ms'",
        "person-did-not-accept",
    )
    .with(&["--accept-within", "2"]),
    case("policies-seen", "persona = 'in-setup'\npolicies_after = '200ms'", "policies-seen")
        .with(&["--policies-within", "20"]),
    case(
        "retried",
        "persona = 'in-setup'\n\
         install_errors = [{ domain = 'MCSCEPErrorDomain', code = 22005, times = 1 }]",
        "enrolled",
    ),
    case("lockdown-mode", "persona = 'lockdown-mode'\npairing = 'silent'", "failed"),
    case("forbidden-by-hand", "persona = 'ui-install-forbidden'\npairing = 'silent'", "failed"),
    case("enrollment-forbidden", "persona = 'enrollment-forbidden'", "failed"),
    case(
        "queued-as-error",
        "persona = 'queued-as-error'\npairing = 'silent'\naccept_after = '100ms'",
        "enrolled",
    ),
    case("answer-lost", "persona = 'eof-in-install-installed'", "enrolled"),
    case("garbage", "persona = 'garbage-frames'\npairing = 'silent'\naccept_after = '100ms'", "enrolled"),
    case(
        "no-escrow-bag",
        "persona = 'no-escrow-bag'\npairing = 'silent'\naccept_after = '100ms'",
        "enrolled",
    ),
    case(
        "shows-little",
        "persona = 'restricted-listing'\npairing = 'silent'\naccept_after = '100ms'",
        "enrolled",
    ),
    case("old-tls", "persona = 'old-tls'\npairing = 'silent'\naccept_after = '100ms'", "enrolled"),
    case(
        "detached-midway",
        "pairing = 'silent'\n\
         faults = [{ kind = 'detach', request = 'InstallProfile', at = 1, span = '600s' }]",
        "detached-midway",
    )
    .with(&["--replug-within", "1"]),
    case("supervised", "persona = 'supervised-challenge'", "enrolled").after(Before::Supervised),
    case("acme-falls-back", "persona = 'acme-broken'", "enrolled").with(&[
        "--prefer",
        "acme",
        "--sibling",
        "ACME",
    ]),
    case("helper-and-name", IN_SETUP, "enrolled").with(&["--helper", "ROOT", "--name", "Bench {{SERIAL}}"]),
    case("erased", "persona = 'in-setup'\nreboot_takes = '300ms'", "erased").of(Task::Erase),
    case("prepared", IN_SETUP, "prepared").of(Task::Prepare).with(&[
        "--organization",
        "Contoso",
        "--enrollment-url",
        "https://mdm.example/1",
    ]),
];

/// Outcomes of which there is no recording, and why not.
const NOT_RECORDED: &[(&str, &str)] = &[
    ("attached", "no job ends so: it is what `enlist record` looks at"),
    ("recovery-mode", NO_CONVERSATION),
    ("dfu-mode", NO_CONVERSATION),
    ("charging-only", NO_CONVERSATION),
    ("mac-attached", NO_CONVERSATION),
    ("quarantined", "a bay whose device comes and goes: no job is begun"),
    ("pushing", ON_THE_WAY),
    ("waiting-for-person", ON_THE_WAY),
    ("verifying", ON_THE_WAY),
    ("retrying", ON_THE_WAY),
    ("erasing", ON_THE_WAY),
];

const NO_CONVERSATION: &str = "seen on the bus: nothing is said";
const ON_THE_WAY: &str = "no job ends so; it is gone through in others";

fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings")
}

fn stored() -> PathBuf {
    recordings().join("simulator")
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.is_dir()).collect()
}

fn meta_of(folder: &Path) -> Meta {
    Meta::parse(&fs::read_to_string(folder.join(META)).unwrap()).unwrap()
}

#[track_caller]
fn is_clean(folder: &Path) -> usize {
    let checked = check(folder).unwrap();
    assert_eq!(checked.findings, [], "{}", folder.display());
    checked.frames
}

impl Case {
    /// Records it; its folder is on the bench of the world.
    fn record(&self) -> (World, PathBuf) {
        let world = World::of(self.device);
        self.prepare(&world);
        let folder = world.bench.path("recording");
        let acme = world.bench.write("acme.mobileconfig", f02());
        let root = world.bench.write("helper.pem", SIGNER.root_pem().unwrap());
        let into = text_of(&folder);
        let device = world.sim.first();
        let [udid, serial] = ["udid", "serial"].map(|key| device[key].as_str().unwrap());
        let file = if self.args == ["ACME"] { &acme } else { &world.profile };
        let mut args = match self.task {
            Task::Enroll => vec!["enroll", file, "--json", "--record", &into],
            Task::Erase => vec!["erase", "-u", udid, "--yes-erase", serial, "--json", "--record", &into],
            Task::Prepare => vec!["prepare", "--json", "--record", &into],
        };
        let more = self.args.iter().filter(|_| self.args != ["ACME"]);
        args.extend(more.map(|arg| match *arg {
            "ACME" => acme.as_str(),
            "ROOT" => root.as_str(),
            other => other,
        }));
        let done = world.run(&args);
        assert_eq!(done.only()["outcome"], self.outcome, "{}: {done}", self.name);
        assert!(done.stderr.contains("1 recording in"), "{done}");
        let meta = meta_of(&folder);
        let result = meta.result.as_ref().unwrap();
        assert_eq!((result.outcome.as_str(), meta.cut.as_str()), (self.outcome, ""), "{}", self.name);
        // A job counts those of its own profile, if it has one.
        let helpers = u64::from(self.args.contains(&"--helper"));
        let pushes = done.only()["pushes"].as_u64().unwrap_or_default();
        assert_eq!(u64::from(result.pushes), pushes + helpers, "{}", self.name);
        (world, folder)
    }

    fn prepare(&self, world: &World) {
        let udid = &world.sim.udids[0];
        match self.before {
            Before::Nothing => {}
            Before::Paired => _ = world.run(&["pair"]).exits(0),
            Before::Forgotten => {
                world.run(&["pair"]).exits(0);
                world.sim.control(&json!({ "do": "forget-pairing", "udid": udid }));
            }
            Before::Rebooted => {
                world.run(&["pair"]).exits(0);
                world.sim.control(&json!({ "do": "reboot", "udid": udid, "takes": "100ms" }));
                world.sim.until("the reboot", |device| device["attached"] == 2);
            }
            Before::Installed => {
                world.sim.control(&json!({ "do": "install", "udid": udid, "file": world.profile }));
            }
            Before::Supervised => supervise(world, &[SUPERVISOR], ""),
        }
    }
}

fn refreshes() -> bool {
    std::env::var_os("ENLIST_REFRESH_FIXTURES").is_some_and(|value| value == "1")
}

/// The list of the tree.
fn readme() -> String {
    let mut text = String::from(
        "# Recordings of simulated devices\n\nProvenance: simulator.\n\n\
         What the shipped binary wrote while it worked on devices of `enlist sim`. A device of Apple may\n\
         well answer otherwise. Each folder is one job; `src/transport/recorder/mod.rs` tells its form.\n\n\
         | Folder | Device | Options | Outcome |\n|---|---|---|---|\n",
    );
    for Case { name, task, device, args, outcome, .. } in CASES {
        let command = match task {
            Task::Enroll => "",
            Task::Erase => "`enlist erase`",
            Task::Prepare => "`enlist prepare`",
        };
        let args: Vec<_> = [command].iter().chain(*args).filter(|arg| !arg.is_empty()).copied().collect();
        let (device, args) = (device.replace('\n', "; ").replace('|', "/"), args.join(" "));
        let _ = writeln!(text, "| `{name}/` | {device} | {args} | {outcome} |");
    }
    text.push_str("\nOutcomes without a recording:\n\n| Outcome | Why |\n|---|---|\n");
    for (outcome, why) in NOT_RECORDED {
        let _ = writeln!(text, "| {outcome} | {why} |");
    }
    text.push_str(
        "\n    ENLIST_REFRESH_FIXTURES=1 cargo test --test it recordings::\n\nwrites them anew; times and dates then differ, \
         and whatever else differs is to be reviewed.\n",
    );
    text
}

/// The lines of a recording without their times.
fn lines_of(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.ends_with(META));
    files.sort();
    let text = files.into_iter().map(|path| fs::read_to_string(path).unwrap()).collect::<String>();
    text.lines().map(|line| line.split_once(',').unwrap().1.to_owned()).collect()
}

fn record_all(cases: &[Case]) {
    for case in cases {
        let (_world, folder) = case.record();
        is_clean(&folder);
        if refreshes() {
            let into = stored().join(case.name);
            let _ = fs::remove_dir_all(&into);
            fs::create_dir_all(&into).unwrap();
            for file in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                fs::write(into.join(file.file_name()), fs::read(file.path()).unwrap()).unwrap();
            }
        }
    }
}

#[test]
fn outcomes_are_recorded() {
    record_all(&CASES[..ALWAYS]);
    if refreshes() {
        fs::write(stored().join("README.md"), readme()).unwrap();
    }
}

#[test]
fn every_outcome_has_a_recording_or_a_reason() {
    let reasons = NOT_RECORDED.iter().map(|(outcome, _)| *outcome);
    let mut named: Vec<_> = CASES.iter().map(|case| case.outcome).chain(reasons).collect();
    named.sort_unstable();
    named.dedup();
    let mut all: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
    all.sort_unstable();
    assert_eq!(named, all);
    let twice = |(outcome, _): &&(&str, &str)| CASES.iter().any(|case| case.outcome == *outcome);
    assert_eq!(NOT_RECORDED.iter().find(twice), None);
}

/// The same job gives the same recording: what is stored is what the program does now.
#[test]
fn recordings_are_stable() {
    for case in &CASES[..EXACT] {
        let (_world, folder) = case.record();
        let was = lines_of(&stored().join(case.name));
        assert_eq!(lines_of(&folder), was, "{}: refresh the recordings", case.name);
    }
}

#[test]
fn more_outcomes_are_recorded_when_asked_for() {
    if refreshes() {
        record_all(&CASES[ALWAYS..]);
    }
}

#[test]
fn the_tree_holds_each_recording_and_nothing_unscrubbed_or_mislabelled() {
    if refreshes() {
        return;
    }
    assert_eq!(fs::read_to_string(stored().join("README.md")).unwrap(), readme());
    let mut bytes = 0;
    let mut frames = 0;
    for case in CASES {
        let folder = stored().join(case.name);
        frames += is_clean(&folder);
        let meta = meta_of(&folder);
        assert_eq!((meta.origin, meta.cut.as_str()), (Origin::Simulator, ""), "{}", case.name);
        assert_eq!(meta.result.unwrap().outcome, case.outcome, "{}", case.name);
        bytes += fs::read_dir(&folder).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum::<u64>();
    }
    println!("{} recordings, {frames} frames, {bytes} bytes", CASES.len());
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
    assert_eq!(folders_in(&stored()).len(), CASES.len(), "a recording that no case makes");
    let by_hand = folders_in(&recordings().join("constructed"));
    assert!(!by_hand.is_empty());
    for folder in by_hand {
        is_clean(&folder);
        assert_eq!(meta_of(&folder).origin, Origin::Constructed, "{}", folder.display());
    }
    assert_eq!(folders_in(&recordings()).len(), 2, "of another origin");
}

/// `enlist record` asks for trust and lists profiles, and pushes nothing.
#[test]
fn a_device_is_recorded_and_the_recording_checked() {
    let world = World::of(READY);
    let folder = world.bench.path("look");
    let into = text_of(&folder);
    let listed = world.run(&["record", &into, "--json"]).exits(0).only();
    assert_eq!((&listed["outcome"], &listed["profiles"]), (&json!("attached"), &json!([])), "{listed}");
    let meta = meta_of(&folder);
    assert_eq!((meta.job.task.as_str(), meta.origin), ("look", Origin::Simulator));
    world.device_got(0, false);
    let checked = world.run(&["record", "--check", &into, "--json"]).exits(0).only();
    assert_eq!((&checked["clean"], &checked["recordings"]), (&json!(true), &json!(1)), "{checked}");
    assert!(checked["frames"].as_u64().unwrap() > 6, "{checked}");
    // It is not written over.
    let refused = world.run(&["record", &into]).fails_clearly(2);
    assert!(refused.contains("something in it"), "{refused}");
    assert!(world.run(&["enroll", &world.profile, "--record", &into]).fails_clearly(2).contains("something"));
    // What somebody put in by hand is found, and not repeated.
    let file = folder.join("01-attach.jsonl");
    let sound = fs::read_to_string(&file).unwrap();
    let planted = sound.replacen("~DeviceName-1", "Phone of canary", 1);
    assert_ne!(planted, sound);
    fs::write(&file, planted).unwrap();
    let found = world.run(&["record", "--check", &into]).exits(1);
    assert!(found.all_output().contains("DeviceName is not scrubbed"), "{found}");
    assert!(!found.all_output().contains("canary"), "{found}");
    let empty = text_of(&world.bench.path("nowhere"));
    world.run(&["record", "--check", &empty]).fails_clearly(2);
}

/// Each job of a station has its folder; a station that starts again keeps what is there.
#[test]
fn a_station_records_each_job() {
    let world = World::of(IN_SETUP);
    let folder = world.bench.path("all");
    let into = text_of(&folder);
    for n in 1..=2 {
        let mut serving = world.serve(&["--once", "--record", &into]);
        serving.until_ended();
        let done = serving.finish().exits(0);
        assert!(done.stderr.contains("1 recording in"), "{done}");
        let checked = world.run(&["record", "--check", &into, "--json"]).exits(0).only();
        assert_eq!(checked["recordings"], n, "{checked}");
    }
    let outcome = |n: u32| meta_of(&folder.join(format!("device-{n:03}"))).result.unwrap().outcome;
    assert_eq!([outcome(1), outcome(2)], ["enrolled", "already-enrolled"]);
}

/// Preparing and erasing are recorded too; of what the organisation is called nothing is left.
#[test]
fn a_preparation_and_an_erasure_are_recorded() {
    let world = World::of("persona = 'in-setup'\nreboot_takes = '300ms'");
    let [prepared, erased] = ["prepared", "erased"].map(|name| text_of(&world.bench.path(name)));
    let organization = ["--organization", "Contoso canary", "--enrollment-url", "https://canary.example/1"];
    world.run(&[&["prepare", "--json", "--record", &prepared], &organization[..]].concat()).exits(0);
    let device = world.sim.first();
    let (udid, serial) = (device["udid"].as_str().unwrap(), device["serial"].as_str().unwrap());
    world.run(&["erase", "-u", udid, "--yes-erase", serial, "--record", &erased]).exits(0);
    for (folder, task, outcome) in [(&prepared, "prepare", "prepared"), (&erased, "erase", "erased")] {
        let folder = Path::new(folder);
        is_clean(folder);
        let meta = meta_of(folder);
        assert_eq!((meta.job.task.as_str(), meta.result.unwrap().outcome.as_str()), (task, outcome));
        let written: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let phase = |path: &PathBuf| path.to_str().unwrap().ends_with(&format!("-{task}.jsonl"));
        assert!(written.iter().any(phase), "{written:?}");
        assert!(written.iter().all(|path| !fs::read_to_string(path).unwrap().contains("canary")));
    }
}

/// However a preparation goes, a replay goes the same way; nothing says what was wanted but what
/// the station wrote, or found.
#[test]
fn preparations_are_replayed() {
    let world = World::of(IN_SETUP);
    let other = |name: &'static str| ["--organization", name];
    let enroll = [world.profile.as_str()];
    for (name, args, outcome) in [
        ("dry", &[&other("Contoso")[..], &["--dry-run"]].concat(), "planned"),
        ("first", &other("Contoso").to_vec(), "prepared"),
        ("again", &other("Contoso").to_vec(), "prepared"),
        ("otherwise", &other("Fabrikam").to_vec(), "failed"),
        ("both", &[&other("Contoso")[..], &enroll].concat(), "enrolled"),
    ] {
        let folder = text_of(&world.bench.path(name));
        let done = world.run(&[&["prepare", "--json", "--record", &folder], args.as_slice()].concat());
        assert_eq!(done.only()["outcome"], outcome, "{name}: {done}");
        is_clean(Path::new(&folder));
        let replayed = world.run(&["replay", "--json", &folder]).exits(0);
        let replayed = replayed.json().into_iter().find(|line| line["recording"].is_string()).unwrap();
        assert_eq!((&replayed["ok"], &replayed["reached"]["outcome"]), (&json!(true), &json!(outcome)));
    }
}

/// A folder that cannot be made is told once, and the device enrolls.
#[test]
fn a_recording_that_cannot_be_written_hurts_no_job() {
    let world = World::of(IN_SETUP);
    let taken = world.bench.write("taken", "a file");
    let done = enrolled(&world, &format!("{taken}/below"));
    assert_eq!(done.stderr.matches("is not recorded any further").count(), 1, "{done}");
    assert!(done.stderr.contains("not whole"), "{done}");
    world.device_got(1, true);
}

/// The same for a disk that is full from the begin.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_a_recording_and_no_job() {
    if !crate::full_disk::is_possible() {
        return;
    }
    let world = World::of(IN_SETUP);
    let disk = world.bench.path("disk");
    fs::create_dir(&disk).unwrap();
    let small = "mount -t tmpfs -o size=4k none \"$0\" && exec \"$@\"";
    let environment: Vec<_> =
        world.bench.command(&[]).get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
    let mut command = std::process::Command::new("unshare");
    command.args(["-Urm", "sh", "-c", small]).arg(&disk).arg(crate::support::binary::shipped_binary());
    command.args(["enroll", &world.profile, "--json", "--record"]).arg(disk.join("recording"));
    command.env_clear().envs(environment);
    let done = crate::support::binary::Running::start(command).finish();
    stands(&done.exits(0).only(), "enrolled", "none", 1);
    world.device_got(1, true);
}

/// A station that is killed leaves a recording that says it is not whole, and is clean.
#[test]
fn a_recording_that_was_cut_short_says_so() {
    let world = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let folder = world.bench.path("cut");
    let mut serving: Serving = world.serve(&["--record", &text_of(&folder)]);
    serving.until_outcome("waiting-for-person");
    // Written by a thread of its own.
    crate::support::binary::poll("the push in the recording", || {
        let install = folder.join("device-001").join("04-install.jsonl");
        fs::read_to_string(install).ok().filter(|text| text.contains("InstallProfile"))
    });
    serving.kill();
    let meta = meta_of(&folder.join("device-001"));
    assert_eq!((meta.cut.as_str(), meta.result), ("the job did not end", None));
    let findings = check(&folder).unwrap().findings;
    // A line may be cut in the middle, and nothing else.
    assert!(findings.len() <= 1, "{findings:?}");
}

fn enrolled(world: &World, into: &str) -> Done {
    let done = world.enroll(&["--record", into]);
    let result: Value = done.only();
    stands(&result, "enrolled", "none", 1);
    done.exits(0)
}
