//! Recordings played back: in this process where it is done thousands of times, through the
//! shipped binary for what people type.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use crate::support::binary::{Bench, Done, text_of};
use enlist::api::view::ReplayView;
use enlist::api::{ReplayKit, ReplayRun, read_recording, recordings_in};
use enlist::transport::recorder::entry::Entry;
use enlist::transport::replay::rules;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings")
}

/// Every recording of the tree.
fn all() -> Vec<PathBuf> {
    let groups = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
    let groups: Vec<_> = groups.filter(|path| path.is_dir()).collect();
    groups.iter().flat_map(|group| recordings_in(group).unwrap()).collect()
}

/// A copy that may be changed.
fn copy(name: &str, into: &Path) -> PathBuf {
    let (from, to) = (fixtures().join(name), into.join(name.replace('/', "-")));
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

/// Replaces a text in a file of a recording.
fn change(folder: &Path, file: &str, then: &str, now: &str) {
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(then), "{then} in {text}");
    std::fs::write(path, text.replacen(then, now, 1)).unwrap();
}

/// Replays a recording here, as fast as it goes.
fn replay(folder: &Path, kit: &ReplayKit, mutate: Option<u64>) -> Result<ReplayView, String> {
    let tape = read_recording(folder).map_err(|error| error.sentence)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let run = ReplayRun::new(tape, folder, kit, mutate).map_err(|error| error.sentence)?;
        run.run(std::future::pending()).await.map_err(|error| error.sentence)?;
        Ok(run.outcome().await)
    })
}

fn run(args: &[&str]) -> Done {
    Bench::new().run(&[&["replay"], args].concat())
}

#[test]
fn every_recording_of_the_tree_is_replayed_to_its_end() {
    let folders: Vec<_> = all().iter().map(|folder| text_of(folder)).collect();
    let origins = ["simulator", "constructed"];
    let mut args = vec!["--json"];
    args.extend(folders.iter().map(String::as_str));
    let done = run(&args).exits(0);
    let views: Vec<_> = done.json().into_iter().filter(|line| line["recording"].is_string()).collect();
    assert_eq!(views.len(), folders.len(), "{}", done.stderr);
    for view in &views {
        assert_eq!(view["ok"], true, "{view:#}");
        assert_eq!(view["simulated"], true);
        assert_eq!(view["recorded"], view["reached"]);
        let group = Path::new(view["recording"].as_str().unwrap()).parent().unwrap().file_name().unwrap();
        assert!(origins.contains(&view["origin"].as_str().unwrap()), "{view}");
        assert_eq!(view["origin"].as_str(), group.to_str(), "the folder says where it comes from");
    }
    println!("{} recordings replayed", views.len());
}

#[test]
fn a_station_that_says_something_else_is_shown_beside_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let place = copy("simulator/trust-denied", folder.path());
    change(
        &place,
        "01-attach.jsonl",
        "\"host\":{\"Label\":\"~Label-1\",\"ProtocolVersion\":\"2\"",
        "\"host\":{\"Label\":\"~Label-1\",\"ProtocolVersion\":\"3\"",
    );
    let said = run(&[&text_of(&place)]).exits(1).stdout.join("\n");
    assert!(said.contains("01-attach.jsonl:3: the station does something else"), "{said}");
    let row = said.lines().find(|line| line.contains("ProtocolVersion")).unwrap();
    let words: Vec<_> = row.split_whitespace().collect();
    assert_eq!(words, ["!", "ProtocolVersion", "\"3\"", "\"2\""]);
    assert!(said.contains("REPLAY") && said.contains("no device is there"), "{said}");

    let json = run(&["--json", &text_of(&place)]).json().pop().unwrap();
    assert_eq!((json["ok"].as_bool(), json["difference"]["line"].as_u64()), (Some(false), Some(3)));
}

#[test]
fn another_end_than_the_recorded_one_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let place = copy("simulator/trust-denied", folder.path());
    change(&place, "meta.toml", "outcome = \"trust-denied\"", "outcome = \"enrolled\"");
    let said = run(&[&text_of(&place)]).exits(1).stdout.join("\n");
    assert!(said.contains("The job ended as trust-denied"), "{said}");
    change(&place, "meta.toml", "origin = \"simulator\"", "origin = \"rumour\"");
    let done = run(&[&text_of(&place)]).exits(1);
    assert!(done.stderr.contains("meta.toml"), "{}", done.stderr);
    run(&[&text_of(&folder.path().join("nothing"))]).exits(2);
}

/// A recording made by hand need not say with which errors its job ended; one that does is held
/// to it.
#[test]
fn other_errors_than_the_recorded_ones_are_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let place = copy("simulator/other-mdm", folder.path());
    let chain = "\"MCMDMErrorDomain 12001\"]";
    let meta = std::fs::read_to_string(place.join("meta.toml")).unwrap();
    assert!(meta.contains(chain), "{meta}");
    change(&place, "meta.toml", chain, "\"MCMDMErrorDomain 12002\"]");
    let said = run(&[&text_of(&place)]).exits(1).stdout.join("\n");
    assert!(said.contains("MCMDMErrorDomain 12001); recorded is"), "{said}");
    change(&place, "meta.toml", "MCMDMErrorDomain 12002", "of Bob 12002");
    assert!(run(&[&text_of(&place)]).exits(1).stderr.contains("result is not what it can be"));
    let without: Vec<_> = meta.lines().filter(|line| !line.starts_with("chain = ")).collect();
    std::fs::write(place.join("meta.toml"), without.join("\n") + "\n").unwrap();
    run(&[&text_of(&place)]).exits(0);
}

/// No simulated device answers twice, and nobody writes so by hand; who knows of others.
#[test]
fn a_second_answer_is_believed_of_a_device_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = copy("simulator/enrolled", folder.path());
    let answer =
        lines_of(&place).into_iter().map(|(_, line)| line).find(|line| line.contains("QueryType\",\"Type"));
    let answer = answer.unwrap();
    change(&place, "01-attach.jsonl", &answer, &format!("{answer}\n{answer}"));
    let error = read_recording(&place).unwrap_err();
    assert!(error.sentence.contains("it answers nothing that was asked"), "{}", error.sentence);
    change(&place, "meta.toml", "origin = \"simulator\"", "origin = \"hardware\"");
    read_recording(&place).unwrap();
}

/// The second `GetValue` of the inspection and the request before it, the other way round.
#[test]
fn a_read_may_move_inside_its_phase_and_a_push_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let kit = ReplayKit::make(folder.path()).unwrap();
    let place = copy("simulator/in-setup-assistant", folder.path());
    let file = place.join("03-inspect.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let is = |line: &str, what: &str| line.contains("\"host\"") && line.contains(what);
    let read = lines.iter().position(|line| is(line, "com.apple.purplebuddy")).unwrap();
    let next = read + 2;
    assert!(is(lines[next], "StartService"), "{}", lines[next]);
    let time = |line: &str| line.split(',').next().unwrap().to_owned();
    let at = |line: &str, t: &str| format!("{t}{}", &line[time(line).len()..]);
    let mut moved: Vec<String> = lines.iter().map(ToString::to_string).collect();
    for n in 0..2 {
        moved[read + n] = at(lines[next + n], &time(lines[read + n]));
        moved[next + n] = at(lines[read + n], &time(lines[next + n]));
    }
    std::fs::write(&file, moved.join("\n") + "\n").unwrap();
    let view = replay(&place, &kit, None).unwrap();
    assert!(view.ok, "{view:#?}");

    // A request of another phase comes too early.
    let place = copy("simulator/enrolled", folder.path());
    let (install, wait) = (place.join("04-install.jsonl"), place.join("05-wait.jsonl"));
    std::fs::rename(&install, place.join("05-install.jsonl")).unwrap();
    std::fs::rename(&wait, place.join("04-wait.jsonl")).unwrap();
    let ended = replay(&place, &kit, None);
    assert!(!ended.is_ok_and(|view| view.ok));
}

#[test]
fn time_passes_as_fast_as_it_is_told_to() {
    let place = text_of(&fixtures().join("simulator/waiting-for-trust"));
    let begun = Instant::now();
    run(&["--speed", "1", &place]).exits(0);
    assert!(begun.elapsed() >= Duration::from_secs(1), "a person had one second");
    run(&["--speed", "50", &place]).exits(0);
    run(&["--speed", "0", &place]).exits(0);
    run(&["--speed=-1", &place]).exits(2);
}

/// A recording whose answers are changed at random ends in words, whatever is changed.
#[test]
fn a_device_that_says_what_was_never_recorded_breaks_no_job() {
    const SEEDS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let kit = ReplayKit::make(folder.path()).unwrap();
    let names = ["enrolled", "in-setup-assistant", "replugged", "supervised"];
    let (mut outcomes, mut wrong, mut changed) = (BTreeMap::new(), Vec::new(), 0);
    for name in names {
        let place = fixtures().join("simulator").join(name);
        for seed in 0..SEEDS {
            let view = replay(&place, &kit, Some(seed)).unwrap();
            changed += view.changed;
            let outcome = view.reached.as_ref().map_or("none", |reached| &reached.outcome).to_owned();
            *outcomes.entry(outcome).or_insert(0) += 1;
            if !view.ok {
                wrong.push(format!("{name} --mutate {seed}: {}", view.sentence));
            }
        }
    }
    println!("{changed} answers changed in {} replays: {outcomes:?}", names.len() as u64 * SEEDS);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(outcomes.len() > 3, "changes reach different ends: {outcomes:?}");

    let place = text_of(&fixtures().join("simulator/enrolled"));
    let [first, again] = [0, 1].map(|_| run(&["--mutate", "3", &place]).exits(0).stdout.join("\n"));
    assert_eq!(first, again, "the same seed says the same");
    assert!(first.contains("seed 3"), "{first}");
}

/// The lines of a recording, with their files.
fn lines_of(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|e| e == "jsonl")).collect();
    files.sort();
    let lines = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines().map(|line| (file.clone(), line.to_owned())).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(lines).collect()
}

/// What a recorder leaves behind that dies after so many lines.
fn cut_after(folder: &Path, lines: &[(PathBuf, String)]) {
    for (file, _) in lines_of(folder) {
        let _ = std::fs::remove_file(file);
    }
    for (file, line) in lines {
        let before = std::fs::read_to_string(file).unwrap_or_default();
        std::fs::write(file, format!("{before}{line}\n")).unwrap();
    }
    let meta = std::fs::read_to_string(folder.join("meta.toml")).unwrap();
    let whole = |line: &&str| !line.starts_with("product = ") && !line.starts_with("os = ");
    let mut meta: String = meta
        .split("\n[result]")
        .next()
        .unwrap()
        .lines()
        .filter(whole)
        .fold(String::new(), |text, line| text + line + "\n");
    if !meta.contains("cut = ") {
        let cut = "product = \"\"\nos = \"\"\ncut = \"the job did not end\"\n\n[job]";
        meta = meta.replacen("\n[job]", cut, 1);
    } else {
        meta = meta.replacen("cut = ", "product = \"\"\nos = \"\"\ncut = ", 1);
    }
    std::fs::write(folder.join("meta.toml"), meta).unwrap();
}

/// However early the station died, or was told to stop.
#[test]
fn a_recording_that_is_cut_is_replayed_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let kit = ReplayKit::make(folder.path()).unwrap();
    for name in ["simulator/enrolled", "simulator/waiting-for-trust"] {
        let place = copy(name, folder.path());
        let lines = lines_of(&place);
        for many in 1..=lines.len() {
            cut_after(&place, &lines[..many]);
            let view = replay(&place, &kit, None).unwrap();
            assert!(view.ok, "{name} cut after {many} lines: {view:#?}");
            let frames = view.frames;
            assert!(view.sentence.contains(&format!("All {frames} frames")), "{}", view.sentence);
        }
        let said = run(&[&text_of(&place)]).exits(0).stdout.join("\n");
        assert!(said.contains("The recording is cut (the job did not end)."), "{said}");
        // What differs before the cut differs.
        let file = lines[2].0.file_name().unwrap().to_str().unwrap();
        change(&place, file, "\"ProtocolVersion\":\"2\"", "\"ProtocolVersion\":\"3\"");
        assert!(!replay(&place, &kit, None).unwrap().ok);
    }
}

/// A station that found a pair record and paired at once could not use what it found.
#[test]
fn a_pair_record_of_no_use_is_of_no_use_when_it_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let kit = ReplayKit::make(folder.path()).unwrap();
    for name in ["simulator/enrolled", "simulator/trust-denied"] {
        let place = copy(name, folder.path());
        change(&place, "01-attach.jsonl", "\"pair-record\":false", "\"pair-record\":true");
        let view = replay(&place, &kit, None).unwrap();
        assert!(view.ok, "{view:#?}");
    }
}

#[test]
fn what_cannot_be_replayed_says_what_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = copy("simulator/enrolled", folder.path());
    change(&place, "meta.toml", "task = \"enroll\"", "task = \"look\"");
    let said = run(&[&text_of(&place)]).exits(1).stderr;
    assert!(said.contains("Only jobs can be replayed"), "{said}");
    assert!(said.contains("enlist record --check") && !said.contains("meta.toml"), "{said}");
}

/// A few bytes of a recording must not become much memory, nor its numbers a panic.
#[test]
fn absurd_numbers_are_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let place = copy("simulator/enrolled", folder.path());
    change(&place, "meta.toml", "person_within = 180", "person_within = 18446744073709551615");
    let said = run(&[&text_of(&place)]).exits(1).stderr;
    assert!(said.contains("person_within is 18446744073709551615, and 86400 at most"), "{said}");

    let place = copy("simulator/enrolled", folder.path());
    let file = place.join("06-verify.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let line = format!(
        "{{\"t\":{},\"c\":{},\"device\":{{\"Payload\":{{\"$data\":\"~Payload-1\",\"length\":4194304}}}}}}\n",
        last["t"], last["c"]
    );
    std::fs::write(&file, text + &line.repeat(3000)).unwrap();
    let begun = Instant::now();
    let done = run(&[&text_of(&place)]).exits(1);
    assert!(done.stderr.contains("more than 64 MiB"), "{}", done.stderr);
    let done = Bench::new().run(&["record", "--check", &text_of(&place)]).exits(1);
    assert!(done.stdout.join("\n").contains("more than 64 MiB"), "{:?}", done.stdout);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// What became of a recording with one byte changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flip {
    /// It is no clean recording any more.
    Refused,
    /// The station went another way, or ended otherwise.
    Noticed,
    /// It cannot make a difference, by a rule of the replay.
    Irrelevant,
    /// It made no difference, and no rule says so.
    Missed,
}

/// What a byte is changed to: another bit, another case, the next number.
fn changes(byte: u8) -> Vec<u8> {
    let case = byte.is_ascii_alphabetic().then_some(byte ^ 0x20);
    let next = byte.is_ascii_digit().then(|| b'0' + (byte - b'0' + 1) % 10);
    let mut all = vec![byte ^ 1];
    all.extend(case.into_iter().chain(next).filter(|other| *other != byte ^ 1));
    all
}

fn flipped(folder: &Path, file: &Path, text: &[u8], (at, to): (usize, u8), kit: &ReplayKit) -> Flip {
    let mut other = text.to_vec();
    other[at] = to;
    let line = text[..at].iter().filter(|b| **b == b'\n').count();
    let line_of =
        |text: &[u8]| String::from_utf8_lossy(text).lines().nth(line).unwrap_or_default().to_owned();
    // The first thing a check looks at, without the rest of the recording.
    let (then, now) = (line_of(text), line_of(&other));
    if !Entry::parse(&now).is_ok_and(|entry| entry.line() == now) {
        return Flip::Refused;
    }
    std::fs::write(file, &other).unwrap();
    if read_recording(folder).is_err() {
        return Flip::Refused;
    }
    if !replay(folder, kit, None).is_ok_and(|view| view.ok) {
        return Flip::Noticed;
    }
    match is_irrelevant(&then, &now) {
        true => Flip::Irrelevant,
        false => Flip::Missed,
    }
}

/// Every byte of every frame in the files of a recording that begin so is changed, one at a time.
fn flip_all(folder: &Path, phase: &str, kit: &ReplayKit, missed: &mut Vec<String>) -> BTreeMap<Flip, usize> {
    let mut counts = BTreeMap::new();
    let mut files: Vec<_> = lines_of(folder).into_iter().map(|(file, _)| file).collect();
    files.dedup();
    files.retain(|file| file.file_name().unwrap().to_str().unwrap().starts_with(phase));
    for file in files {
        let text = std::fs::read(&file).unwrap();
        let each = (0..text.len()).flat_map(|at| changes(text[at]).into_iter().map(move |to| (at, to)));
        for (at, to) in each {
            let flip = flipped(folder, &file, &text, (at, to), kit);
            *counts.entry(flip).or_insert(0) += 1;
            if flip == Flip::Missed {
                let line = text[..at].iter().filter(|b| **b == b'\n').count() + 1;
                let (before, after) = (&text[at.saturating_sub(40)..at], &text[at..text.len().min(at + 20)]);
                let [before, after] = [before, after].map(String::from_utf8_lossy);
                let to = char::from(to);
                let place = format!("{}:{line}: {before}>{after} with {to:?}", file.display());
                missed.push(place);
            }
        }
        std::fs::write(&file, &text).unwrap();
    }
    counts
}

/// By the rules of the replay: times, what [`rules::is_irrelevant`] names, by itself or as the one
/// value that was asked for, and what other profiles are called.
fn is_irrelevant(then: &str, now: &str) -> bool {
    let [then, now] = [then, now].map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut paths = Vec::new();
    differences("", &then, &now, &mut paths);
    let said = |key: &str| then["device"][key].as_str().or(then["host"][key].as_str());
    let asked = said("Key").is_some_and(rules::is_irrelevant);
    let unasked = then["device"]["Command"].is_string() && rules::is_irrelevant("Command");
    let by_rule = |path: &String| {
        rules::MARKS.iter().any(|(mark, _)| path[1..] == **mark)
            || unasked && path == ".c"
            || asked && (path.starts_with(".device.Value") || path.starts_with(".host.Value"))
            || path.split('.').any(rules::is_irrelevant)
            || path.rsplit('.').next().is_some_and(rules::is_identifier)
    };
    !paths.is_empty() && paths.iter().all(by_rule)
}

fn differences(path: &str, then: &Value, now: &Value, out: &mut Vec<String>) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            for key in then.keys().chain(now.keys()) {
                let [then, now] = [then, now].map(|fields| fields.get(key).unwrap_or(&Value::Null));
                differences(&format!("{path}.{key}"), then, now, out);
            }
        }
        (Value::Array(then), Value::Array(now)) if then.len() == now.len() => {
            then.iter().zip(now).for_each(|(then, now)| differences(path, then, now, out));
        }
        (then, now) if then != now => out.push(path.to_owned()),
        _ => {}
    }
}

/// Of some recordings only what others have not: a change takes a while.
const FLIPPED: [(&str, &str); 8] = [
    ("simulator/other-mdm", "04"),
    ("simulator/lockdown-mode", "04"),
    ("constructed/queued-with-an-error", "04"),
    ("simulator/policies-seen", "05"),
    ("simulator/enrolled", "03"),
    ("simulator/trust-denied", ""),
    ("simulator/in-setup-assistant", ""),
    ("constructed/ipad-in-setup-assistant", ""),
];

#[test]
fn every_byte_of_a_recording_counts_or_a_rule_says_why_not() {
    let mut flips = Flips::new();
    for (name, phase) in FLIPPED {
        let counts = flips.of(name, phase);
        println!("{name}: of {} changes {counts:?}", counts.values().sum::<usize>());
        let of = |flip| counts.get(&flip).copied().unwrap_or_default();
        assert!(of(Flip::Refused) > of(Flip::Irrelevant), "{counts:?}");
        // Its one answer is an error whose every word is known: what it could become is refused.
        assert_eq!(of(Flip::Noticed) > 0, name != "constructed/queued-with-an-error", "{counts:?}");
    }
    flips.missed_none();
}

/// `cargo test --release --test it every_byte_of_every -- --ignored --nocapture`
#[test]
#[ignore = "takes ten minutes in a release build; the one above changes the bytes of some recordings"]
fn every_byte_of_every_recording_counts_or_a_rule_says_why_not() {
    let (mut flips, mut total, all) = (Flips::new(), BTreeMap::new(), all());
    for folder in &all {
        let name = text_of(folder.strip_prefix(fixtures()).unwrap());
        let counts = flips.of(&name, "");
        println!("{name}: of {} changes {counts:?}", counts.values().sum::<usize>());
        counts.into_iter().for_each(|(flip, count)| *total.entry(flip).or_insert(0) += count);
    }
    println!("{} recordings, {} changes: {total:?}", all.len(), total.values().sum::<usize>());
    flips.missed_none();
}

/// Recordings whose bytes are changed.
struct Flips {
    folder: tempfile::TempDir,
    kit: ReplayKit,
    missed: Vec<String>,
}

impl Flips {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kit = ReplayKit::make(folder.path()).unwrap();
        Self { folder, kit, missed: Vec::new() }
    }

    /// What became of the bytes of one, in its files that begin so.
    fn of(&mut self, name: &str, phase: &str) -> BTreeMap<Flip, usize> {
        let place = copy(name, self.folder.path());
        assert!(replay(&place, &self.kit, None).unwrap().ok);
        flip_all(&place, phase, &self.kit, &mut self.missed)
    }

    /// Each that made no difference has to be named by a rule.
    fn missed_none(&self) {
        let missed = &self.missed;
        assert!(missed.is_empty(), "{} changes make no difference:\n{}", missed.len(), missed.join("\n"));
    }
}
