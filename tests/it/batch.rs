//! Batches through the shipped binary: three hundred devices over sixteen bays, what is
//! refused, what stops, what goes on, and the report.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use super::support::binary::{Bench, Done, PATIENCE, Running, poll, text_of};
use super::support::fleet::Simulator;
use serde_json::{Value, json};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

/// Devices that need no person, quickly.
const QUICK: &str = "persona = \"in-setup\"\npairing = \"silent\"\n";

/// A scenario, and the identity of each of its devices.
struct Fleet {
    scenario: String,
    serials: Vec<String>,
}

/// Serial numbers follow the seed; the fleet itself tells them.
fn fleet(bench: &Bench, text: &str) -> Fleet {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let serials = runtime.block_on(async {
        let fleet = enlist::sim::Fleet::from_scenario(text, enlist::clock::Clock::System).unwrap();
        fleet.inspect_all().into_iter().map(|device| device.serial).collect()
    });
    Fleet { scenario: bench.write("scenario.toml", text), serials }
}

fn manifest(bench: &Bench, serials: &[String]) -> String {
    let lines = serials.iter().enumerate().map(|(n, serial)| format!("{serial},Desk {n}\n"));
    bench.write("room.csv", format!("serial,name\n{}", lines.collect::<String>()))
}

/// A command on the state of simulated devices.
fn on(bench: &Bench, args: &[&str]) -> Done {
    let state = text_of(&bench.state_dir().join("simulated"));
    let mut all = vec!["--state-dir", &state];
    all.extend(args);
    bench.run(&all)
}

fn status(bench: &Bench) -> Value {
    on(bench, &["batch", "status", "--json"]).exits(0).only()
}

fn is_sound(bench: &Bench) {
    let journal = bench.state_dir().join("simulated/journal.sqlite3");
    let found = enlist::journal::JournalReader::open(&journal).unwrap().check();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn three_hundred_devices_over_sixteen_bays_are_accounted_for() {
    let bench = Bench::new();
    let trouble = "[trouble]\npercent = 5\npersonas = [\"trust-denied\", \"lockdown-mode\", \"pairing-forbidden\", \"other-mdm\"]\n";
    let text = format!("seed = 11\nbays = 16\n{trouble}[[device]]\ncount = 300\n{QUICK}");
    let fleet = fleet(&bench, &text);
    let manifest = manifest(&bench, &fleet.serials);
    let begun = std::time::Instant::now();
    let done = bench
        .start(&["serve", "--json", "--once", "--scenario", &fleet.scenario, "--batch", &manifest])
        .within(Duration::from_secs(240))
        .finish();
    println!("300 devices over 16 bays took {:.1} s", begun.elapsed().as_secs_f64());
    let now = status(&bench);
    let count = |key: &str| now["progress"][key].as_u64().unwrap();
    println!("{}", now["sentence"]);
    assert_eq!(count("done") + count("failed") + count("missing"), 300, "{now}\n{}", done.stderr);
    assert_eq!((count("expected"), count("running")), (300, 0), "{now}");
    // A device that trusts nobody never tells its serial number: nobody knows which line it is.
    assert_eq!((count("missing"), count("unexpected")), (count("unidentified"), 0), "{now}");
    assert!((5..=30).contains(&(count("failed") + count("missing"))), "five percent of 300: {now}");
    // Every bay was used by many, and there were sixteen of them.
    let entries = on(&bench, &["batch", "status", "--devices", "--json"]).exits(0).json();
    let came: Vec<_> = entries.iter().filter_map(|entry| entry["device"]["bay"].as_str()).collect();
    let bays: std::collections::BTreeSet<_> = came.iter().collect();
    assert_eq!((came.len(), bays.len()), (300, 16));
    let closed = on(&bench, &["batch", "close", "--json"]).exits(0).only();
    assert_eq!(closed["state"], "closed");
    for ending in ["csv", "json", "html"] {
        let file = text_of(&bench.path(&format!("report.{ending}")));
        on(&bench, &["report", "-o", &file]).exits(0);
        let found = on(&bench, &["report", "--verify", &file, "--json"]).exits(0).only();
        assert_eq!((&found["valid"], &found["sealed"]), (&true.into(), &true.into()), "{found}");
        assert_eq!(found["entries"], 302 + count("unidentified"));
        assert_eq!(found["head"], closed["seal"]);
    }
    chain_holds_for_others(&bench);
    a_changed_report_is_found_out(&bench);
    is_sound(&bench);
}

/// The chain as README tells it, followed by a program that nobody here wrote.
fn chain_holds_for_others(bench: &Bench) {
    let program = "import csv, hashlib, json, sys
rows = list(csv.reader(open(sys.argv[1], newline='', encoding='utf-8')))
prev = '0' * 64
for row in rows[1:]:
    texts, says, digest = row[:-2], row[-2], row[-1]
    listed = json.dumps(texts, ensure_ascii=False, separators=(',', ':'))
    assert says == prev, row
    assert hashlib.sha256((prev + '\\n' + listed).encode()).hexdigest() == digest, row
    prev = digest
print(len(rows) - 1, prev)";
    let python = Command::new("python3").args(["-c", program]).arg(bench.path("report.csv")).output();
    let Ok(python) = python else {
        // Not with `eprintln`, which libtest keeps to itself.
        let _ = writeln!(std::io::stderr(), "LEFT OUT: there is no python3 to follow the chain");
        return;
    };
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
}

fn a_changed_report_is_found_out(bench: &Bench) {
    let text = std::fs::read_to_string(bench.path("report.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    let mut left_out = lines.clone();
    left_out.remove(7);
    let changed = text.replacen(",enrolled,", ",failed,", 1);
    for (name, text) in
        [("swapped", swapped.join("\n")), ("left-out", left_out.join("\n")), ("changed", changed)]
    {
        let file = bench.write(&format!("{name}.csv"), text);
        let found = on(bench, &["report", "--verify", &file]).exits(1);
        assert!(found.stdout[0].contains("It is not as it was written"), "{name}: {found}");
    }
}

#[test]
fn who_is_not_in_the_manifest_is_refused_asked_about_or_let_in() {
    let text = format!("[[device]]\ncount = 3\n{QUICK}");
    for (policy, enrolled) in [("refuse", 2), ("allow", 3)] {
        let bench = Bench::new();
        let fleet = fleet(&bench, &text);
        bench.write("enlist.toml", format!("[batch]\nunexpected = '{policy}'\n"));
        let manifest = manifest(&bench, &fleet.serials[..2]);
        let done =
            bench.run(&["serve", "--json", "--once", "--scenario", &fleet.scenario, "--batch", &manifest]);
        let now = status(&bench);
        assert_eq!(
            (&now["progress"]["done"], &now["progress"]["unexpected"]),
            (&2.into(), &1.into()),
            "{now}"
        );
        let jobs = on(&bench, &["history", "--outcome", "enrolled", "--json"]).exits(0).json();
        assert_eq!(jobs.len(), enrolled, "{done}");
        is_sound(&bench);
    }
    // Asked about: it waits, and goes on by itself once somebody allows it.
    let bench = Bench::new();
    let fleet = fleet(&bench, &text);
    bench.write("enlist.toml", "[batch]\nunexpected = 'ask'\n");
    let manifest = manifest(&bench, &fleet.serials[..2]);
    let _station = bench.start(&["serve", "--json", "--scenario", &fleet.scenario, "--batch", &manifest]);
    poll("the two that are expected", || (status_if(&bench)?["progress"]["done"] == 2).then_some(()));
    let open = poll("the question", || {
        let open = on(&bench, &["history", "--open", "--json"]).json();
        open.first().filter(|job| job["pushes"] == 0).cloned()
    });
    let (outcome, class) = (open["outcome"].as_str(), open["class"].as_str());
    assert_eq!((outcome, class), (Some("attached"), Some("operator")), "{open}");
    who_waits_is_told_everywhere(&bench, &fleet.serials[2]);
    on(&bench, &["batch", "allow", &fleet.serials[2]]).exits(0);
    poll("the third", || {
        let jobs = on(&bench, &["history", "--outcome", "enrolled", "--json"]).json();
        (jobs.len() == 3).then_some(())
    });
    assert_eq!(status(&bench)["progress"]["unexpected"], 1);
}

/// All that the manifest names are done, and one is asked about.
fn who_waits_is_told_everywhere(bench: &Bench, serial: &str) {
    let now = status(bench);
    assert_eq!((&now["progress"]["percent"], &now["waiting"]), (&100.into(), &json!([serial])), "{now}");
    let next = now["next"].as_str().unwrap();
    let wanted = format!("1 waits for your answer: {serial}. ");
    assert!(next.starts_with(&wanted) && next.ends_with(&format!("enlist batch allow {serial}")), "{next}");
    let running = on(bench, &["batch", "status", "--devices", "running", "--json"]).exits(0).only();
    assert_eq!((&running["waiting"], &running["line"]), (&true.into(), &Value::Null), "{running}");
    assert!(running["device"]["sentence"].as_str().unwrap().contains("not in the manifest"), "{running}");
    let lines = on(bench, &["batch", "status", "--devices"]).exits(0).stdout.join("\n");
    assert!(lines.contains("▲ waiting") && lines.contains(&format!("not listed  {serial}")), "{lines}");
    let report = on(bench, &["report"]).exits(0).stdout.join("\n");
    assert!(report.contains(serial) && report.contains("is not in the manifest of batch"), "{report}");
    let said = on(bench, &["batch", "close"]).fails_clearly(5);
    assert_eq!(said, format!("Batch 1 is not closed: 1 device is still in work: {serial}."));
    assert_eq!(status(bench)["state"], "open");
}

#[test]
fn a_device_that_tells_late_who_it_is_is_counted_once() {
    let bench = Bench::new();
    // One is never trusted; the other tells who it is when the station is there a second time.
    let text = "seed = 41\n[[device]]\npersona = \"trust-ignored\"\n\
                [[device]]\npersona = \"ready\"\ntrust_after = \"4s\"\naccept_after = \"300ms\"\n";
    let fleet = fleet(&bench, text);
    let manifest = manifest(&bench, &fleet.serials[1..]);
    let counts = |seconds: &str| {
        let serve = ["serve", "--json", "--once", "--scenario", &fleet.scenario, "--batch", &manifest];
        bench.run(&[&serve[..], &["--person-within", seconds]].concat());
        let now = status(&bench);
        ["done", "failed", "missing", "unexpected", "unidentified"]
            .map(|key| now["progress"][key].as_u64().unwrap())
    };
    assert_eq!(counts("1"), [0, 0, 1, 0, 2], "nobody knows which line the two are");
    let said = on(&bench, &["batch", "status", "--devices"]).exits(0).stdout.join("\n");
    assert!(said.contains("2 came and did not tell who they are"), "{said}");
    assert!(
        said.contains("line ?") && !said.contains("not listed") && !said.contains("does not name"),
        "{said}"
    );
    assert_eq!(counts("10"), [1, 0, 0, 0, 1]);
    let entries = on(&bench, &["batch", "status", "--devices", "--json"]).exits(0).json();
    let told: Vec<_> = entries.iter().map(|e| [&e["line"], &e["state"], &e["unidentified"]]).collect();
    assert_eq!(json!(told), json!([[2, "done", false], [null, "failed", true]]));
    assert_eq!(entries[0]["jobs"], 2, "{}", entries[0]);
    on(&bench, &["batch", "close"]).exits(0);
    let file = text_of(&bench.path("report.csv"));
    on(&bench, &["report", "-o", &file]).exits(0);
    let report = std::fs::read_to_string(&file).unwrap();
    assert!(report.contains(",device,unknown,") && report.lines().count() == 5, "{report}");
    let found = on(&bench, &["report", "--verify", &file, "--json"]).exits(0).only();
    assert_eq!((&found["valid"], &found["sealed"]), (&true.into(), &true.into()), "{found}");
    is_sound(&bench);
}

#[test]
fn a_blueprint_that_is_not_there_is_told_when_the_batch_is_opened() {
    let bench = Bench::new();
    bench.trust_signer();
    std::fs::create_dir_all(bench.path("blueprints")).unwrap();
    bench.write("blueprints/kiosk.toml", "steps = [{ enroll = true }]\n");
    let file = bench.write("room.csv", "serial,blueprint\nC02ABCDEF123,kiosk\nC02ABCDEF124,gone\n");
    // Without a folder of blueprints nobody knows which there will be.
    bench.run(&["batch", "open", &file]).exits(0);
    bench.run(&["batch", "close"]).exits(0);
    bench.write("enlist.toml", format!("blueprints = '{}'\n", text_of(&bench.path("blueprints"))));
    let said = bench.run(&["batch", "open", &file]).fails_clearly(2);
    assert!(said.contains("cannot be used: line 3: there is no blueprint 'gone'."), "{said}");
}

fn status_if(bench: &Bench) -> Option<Value> {
    let done = on(bench, &["batch", "status", "--json"]);
    (done.code == Some(0)).then(|| done.only())
}

#[test]
fn equal_faults_in_a_row_stop_a_batch_until_it_is_resumed() {
    let bench = Bench::new();
    // 12020 is the server's; no retry follows.
    let broken = "install_errors = [{ domain = \"MCMDMErrorDomain\", code = 12020, times = 1 }]\n";
    let text = format!("bays = 1\n[[device]]\ncount = 3\n{QUICK}{broken}[[device]]\ncount = 2\n{QUICK}");
    let fleet = fleet(&bench, &text);
    bench.write("enlist.toml", "[batch]\nstop_after = 3\n");
    let manifest = manifest(&bench, &fleet.serials);
    let _station = bench.start(&["serve", "--json", "--scenario", &fleet.scenario, "--batch", &manifest]);
    let stopped = poll("the stop", || status_if(&bench).filter(|now| now["state"] == "stopped"));
    let said = stopped["sentence"].as_str().unwrap();
    assert!(said.contains("3 devices in a row failed alike") && said.contains("12020"), "{said}");
    assert!(stopped["next"].as_str().unwrap().contains("enlist batch resume"));
    assert_eq!((&stopped["progress"]["failed"], &stopped["progress"]["done"]), (&3.into(), &0.into()));
    // The next device is held, and nothing is pushed to it.
    poll("the device that is held", || {
        let open = on(&bench, &["history", "--open", "--json"]).json();
        open.first().filter(|job| job["pushes"] == 0 && job["serial"] == fleet.serials[3].as_str()).cloned()
    });
    // Nobody tells when it will be over, and who waits is told.
    let stopped = status(&bench);
    assert_eq!((&stopped["progress"]["eta"], &stopped["progress"]["eta_s"]), (&Value::Null, &Value::Null));
    assert_eq!(stopped["waiting"], json!([fleet.serials[3]]));
    let wanted = format!(" {} waits until it goes on.", fleet.serials[3]);
    assert!(stopped["sentence"].as_str().unwrap().ends_with(&wanted), "{stopped}");
    on(&bench, &["batch", "resume"]).exits(0);
    poll("the rest", || status_if(&bench).filter(|now| now["progress"]["done"] == 2));
    assert_eq!(status(&bench)["state"], "open");
    is_sound(&bench);
}

#[test]
fn a_batch_goes_on_where_a_killed_station_left_it() {
    let bench = Bench::new();
    bench.trust_signer();
    let profile = bench.write("enroll.mobileconfig", super::support::profile::f01());
    let simulator =
        Simulator::of(&bench, &format!("latency = \"20ms+20ms\"\n[[device]]\ncount = 16\n{QUICK}"));
    let serials: Vec<String> =
        simulator.devices().iter().map(|d| d["serial"].as_str().unwrap().to_owned()).collect();
    let manifest = manifest(&bench, &serials);
    let serve = ["serve", "--json", "--once", "--batch", &manifest, &profile];
    let done = || {
        let told = bench.run(&["batch", "status", "--json"]);
        if told.code == Some(0) { told.only()["progress"]["done"].as_u64().unwrap_or(0) } else { 0 }
    };
    // Killed twice, and the mux with all attachments dies in between: as a computer that starts
    // anew, a hub that is reset, usbmuxd that is restarted.
    let mut station = bench.start(&serve);
    poll("the first", || (done() >= 1).then_some(()));
    station.kill();
    let mut station = bench.start(&serve);
    poll("some more", || (done() >= 4).then_some(()));
    simulator.control(&json!({ "do": "restart-mux" }));
    station.kill();
    simulator.control(&json!({ "do": "restart-mux" }));
    Running::start(bench.command(&serve)).within(PATIENCE * 4).finish();
    assert_eq!(done(), 16);
    // What the station says is what the devices say.
    for device in simulator.devices() {
        assert_eq!(device["installed"].as_array().unwrap().len(), 1, "{device}");
    }
    let entries = bench.run(&["batch", "status", "--devices", "done", "--json"]).exits(0).json();
    assert_eq!(entries.len(), 16);
    let found =
        enlist::journal::JournalReader::open(&bench.state_dir().join("journal.sqlite3")).unwrap().check();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn batches_are_opened_listed_and_closed_without_a_station() {
    let bench = Bench::new();
    bench.run(&["batch", "status"]).fails_clearly(2);
    let file = bench.write("room.csv", "\u{feff}Serial Number;Name\r\nC02ABCDEF123;Front desk\r\n");
    let opened = bench.run(&["batch", "open", &file, "--name", "Room 4", "--json"]).exits(0).only();
    assert_eq!((&opened["name"], &opened["state"]), (&"Room 4".into(), &"open".into()));
    let said = bench.run(&["batch", "open", &file]).fails_clearly(2);
    assert_eq!(said, "Batch 1 \"Room 4\" is still open.");
    let missing = bench.run(&["batch", "status", "--devices", "missing", "--json"]).exits(0).only();
    assert_eq!((&missing["line"], &missing["serial"]), (&2.into(), &"C02ABCDEF123".into()));
    assert!(bench.run(&["batch", "status"]).exits(0).stdout[1].contains("0 of 1 enrolled"));
    let page = bench.run(&["report", "--format", "html"]).exits(0).stdout.join("\n");
    assert!(page.contains("Room 4") && page.contains("C02ABCDEF123") && page.contains("1 missing"));
    bench.run(&["batch", "resume"]).fails_clearly(2);
    bench.run(&["batch", "close"]).exits(0);
    bench.run(&["batch", "close"]).fails_clearly(2);
    bench.run(&["batch", "allow", "C02ABCDEF124"]).fails_clearly(2);
    assert_eq!(bench.run(&["batch", "list", "--json"]).exits(0).only()["state"], "closed");
    let other = bench.write("other.txt", "hello");
    bench.run(&["report", "--verify", &other]).fails_clearly(2);
    bench.run(&["report", "--verify", "/nowhere/r.csv"]).fails_clearly(2);
    bench.run(&["report", "--batch", "9"]).fails_clearly(2);
}

#[test]
fn a_report_that_was_made_anew_is_not_proven() {
    let bench = Bench::new();
    let file = bench.write("room.csv", "serial\nC02ABCDEF123\n");
    bench.run(&["batch", "open", &file]).exits(0);
    bench.run(&["batch", "close"]).exits(0);
    let text = bench.run(&["report", "--json"]).exits(0).stdout.join("\n");
    let mut report: Value = serde_json::from_str(&text).unwrap();
    // It says that the device is done and the batch open, and all of it fits together.
    let batch = &mut report["entries"][0];
    batch["state"] = "open".into();
    batch["sentence"] = "Batch 1 is open; this is how it stood at 2026-11-22T11:25:02.357Z.".into();
    batch["ended"] = "".into();
    report["entries"][1]["state"] = "done".into();
    report["summary"]["states"] = json!({ "done": 1 });
    let columns = report["columns"].as_array().unwrap().clone();
    let mut prev = "0".repeat(64);
    for entry in report["entries"].as_array_mut().unwrap() {
        let texts: Vec<&Value> = columns.iter().map(|column| &entry[column.as_str().unwrap()]).collect();
        let listed = serde_json::to_string(&texts).unwrap();
        let hash = openssl::sha::sha256(format!("{prev}\n{listed}").as_bytes());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        entry["prev"] = prev.into();
        entry["hash"] = hash.as_str().into();
        prev = hash;
    }
    report["head"] = prev.into();
    let forged = bench.write("forged.json", report.to_string());
    let found = bench.run(&["report", "--verify", &forged, "--json"]).exits(1).only();
    assert_eq!((&found["valid"], &found["sealed"]), (&false.into(), &false.into()), "{found}");
    assert_eq!(found["findings"][0]["what"], "unproven", "{found}");
    let said = bench.run(&["report", "--verify", &forged]).exits(1).stdout[0].clone();
    assert!(said.contains("It is not proven: ") && !said.contains("Nothing was changed"), "{said}");
    // Where there is no journal, that is all it says.
    let elsewhere = text_of(&bench.path("elsewhere"));
    let found =
        bench.run(&["--state-dir", &elsewhere, "report", "--verify", &forged, "--json"]).exits(0).only();
    assert_eq!((&found["valid"], &found["sealed"]), (&true.into(), &Value::Null), "{found}");
    assert!(found["sentence"].as_str().unwrap().contains("can only be told at that station"), "{found}");
    let twice =
        bench.write("twice.json", text.replacen("\"serial\": ", "\"serial\": \"FAKE\", \"serial\": ", 1));
    assert!(bench.run(&["report", "--verify", &twice]).fails_clearly(2).contains("stands twice"));
}

#[test]
fn a_report_is_written_to_where_its_path_leads() {
    let bench = Bench::new();
    let file = bench.write("room.csv", "serial\nC02ABCDEF123\n");
    bench.run(&["batch", "open", &file]).exits(0);
    let (link, target) = (bench.path("link.csv"), bench.path("target.csv"));
    std::os::unix::fs::symlink("target.csv", &link).unwrap();
    for _ in 0..2 {
        bench.run(&["report", "-o", &text_of(&link)]).exits(0);
        assert!(link.is_symlink() && target.is_file() && !target.is_symlink());
    }
    let written = std::fs::read_to_string(&target).unwrap();
    let printed = bench.run(&["report", "-o", "/dev/stdout", "--format", "csv"]).exits(0).stdout;
    // The moment differs, and with it the hashes.
    assert_eq!(
        (printed.len(), printed.first().map(String::as_str)),
        (written.lines().count(), written.lines().next())
    );
    let full = |name: &str| bench.run(&["report", "-o", &text_of(&bench.path(name))]);
    std::fs::create_dir(bench.path("folder")).unwrap();
    full("folder").fails_clearly(1);
    full("nowhere/r.csv").fails_clearly(1);
    let left = std::fs::read_dir(bench.path(""))
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains(".new"));
    assert_eq!(left.count(), 0);
}

#[test]
fn manifests_that_cannot_be_used_are_refused_in_one_sentence() {
    let bench = Bench::new();
    let hundred_thousand: String = (0..100_001).map(|n| format!("S{n:09}\n")).collect();
    for (bytes, words) in [
        (&b""[..], "lists no device"),
        (b"seral,name\nC02ABCDEF123,x\n", "line 1: there is no column 'seral'"),
        (b"serial\nC02ABCDEF123\nC02ABCDEF124\nc02abcdef123\n", "line 4: it repeats"),
        (b"serial,name\nC02ABCDEF123,\xff\n", "line 2: it is not text in UTF-8"),
        (b"\xff\xfes\0", "UTF-16"),
        (format!("serial\n{hundred_thousand}").as_bytes(), "more than 100000 devices"),
    ] {
        let file = bench.write("bad.csv", bytes);
        let said = bench.run(&["batch", "open", &file]).fails_clearly(2);
        assert!(said.contains(words), "{said}");
    }
    bench.run(&["batch", "open", "/nowhere/m.csv"]).fails_clearly(2);
    bench.run(&["batch", "open", "/dev/null"]).fails_clearly(2);
    assert!(bench.run(&["batch", "list", "--json"]).exits(0).stdout.is_empty(), "nothing of them was taken");
    // As many as there may be.
    let most: String = (0..100_000).map(|n| format!("S{n:09}\n")).collect();
    let file = bench.write("most.csv", format!("serial\n{most}"));
    let opened = bench.run(&["batch", "open", &file, "--json"]).exits(0).only();
    assert_eq!(opened["progress"]["missing"], 100_000);
    bench.run(&["batch", "close"]).exits(0);
}

#[test]
fn a_batch_that_would_outlive_its_export_is_refused_at_the_start() {
    let bench = Bench::new();
    bench.trust_signer();
    let profile = bench.write("enroll.mobileconfig", super::support::profile::f01());
    // So many take longer than the two weeks of a fresh export.
    let lines: String = (0..50_000).map(|n| format!("S{n:09}\n")).collect();
    let file = bench.write("room.csv", format!("serial\n{lines}"));
    let open = ["batch", "open", &file, "--profile", &profile];
    let said = bench.run(&open).fails_clearly(5);
    assert!(said.contains("50000 devices") && said.contains("outlive"), "{said}");
    let mut allowed = open.to_vec();
    allowed.extend(["--allow-stale", "the MDM is away this week"]);
    bench.run(&allowed).exits(0);
}
