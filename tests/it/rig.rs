//! `enlist rig`: the harness for hardware, proved without any: against `enlist sim` on a
//! socket, and over our own mux on the virtual bus.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use crate::support::binary::{Bench, Done, Running, shipped_binary, text_of};
use crate::support::fleet::{Simulator, count};
use crate::support::profile::f01;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Its person and its boot are quick.
const QUICK: &str = "trust_after = '50ms'\naccept_after = '100ms'\nunlock_after = '100ms'\n\
                     person_jitter = '0s'\nreboot_takes = '300ms'\n";

/// More than a run takes on a busy computer: profiles that nobody accepts are waited for, with
/// what devices count differently on top.
const RUN: Duration = Duration::from_secs(180);

/// A bench with simulated devices, and a rig file.
struct Lab {
    bench: Bench,
    sim: Simulator,
}

impl Lab {
    fn of(scenario: &str) -> Self {
        let bench = Bench::new();
        let sim = Simulator::of(&bench, scenario);
        bench.write("export.mobileconfig", f01());
        Self { bench, sim }
    }

    fn serial(&self, n: usize) -> String {
        self.sim.device(&self.sim.udids[n])["serial"].as_str().unwrap().to_owned()
    }

    /// The lines of a device.
    fn device(&self, n: usize, more: &str) -> String {
        format!("[[device]]\nudid = '{}'\n{more}\n", self.sim.udids[n])
    }

    /// The simulator moves its devices itself.
    fn hands(&self) -> String {
        let control = text_of(&self.bench.path("control"));
        format!("hands = ['{}', 'sim', 'control', '{control}']\n", shipped_binary().display())
    }

    fn run(&self, rig: &str, args: &[&str]) -> Done {
        let file = self.bench.write("rig.toml", format!("person_within = 5\naccept_within = 3\n{rig}"));
        let out = text_of(&self.bench.path("out"));
        self.bench.start(&[&["rig", "run", &file, "--out", &out][..], args].concat()).within(RUN).finish()
    }

    fn report(&self, name: &str) -> String {
        std::fs::read_to_string(self.bench.path("out").join(name)).unwrap()
    }
}

/// Each check with how it ended.
fn ends(lines: &[Value]) -> Vec<(String, String)> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let checks = lines.iter().filter(|line| line.get("check").is_some());
    checks.map(|line| (text(line, "check"), text(line, "status"))).collect()
}

#[track_caller]
fn line_of<'v>(lines: &'v [Value], check: &str) -> &'v Value {
    lines.iter().find(|line| line["check"] == check).unwrap_or_else(|| panic!("no {check} in {lines:#?}"))
}

#[test]
fn every_check_passes_on_a_device_that_may_be_used_for_everything() {
    let lab = Lab::of(&format!("[[device]]\n{QUICK}[[device]]\n{QUICK}"));
    let supervisor = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/identities/supervisor.pem");
    let all = format!(
        "name = 'Spare <phone>'\nserial = '{}'\nmay_erase = true\nmay-unenroll = true\nhas_passcode = true\n\
         enrolls_with = 'export.mobileconfig'\nsupervised_by = '{}'\n{}",
        lab.serial(0),
        supervisor.display(),
        lab.hands()
    );
    let recordings = text_of(&lab.bench.path("recordings"));
    let done = lab.run(&lab.device(0, &all), &["--unattended", "--json", "--record", &recordings]).exits(0);
    let lines = done.json();
    let checks = ends(&lines);
    assert_eq!(checks.len(), 13, "{done}");
    assert!(checks.iter().all(|(_, status)| status == "passed"), "{checks:?}\n{done}");
    let (first, last) = (&lines[0], lines.last().unwrap());
    assert_eq!((&first["check"], &first["device"]), (&json!("listed"), &json!("Spare <phone>")));
    for key in ["udid", "serial", "bay", "outcome", "class", "sentence", "next", "chain", "attempts", "ms"] {
        assert!(first.get(key).is_some(), "{key}: {first}");
    }
    assert_eq!((&last["passed"], &last["failed"], &last["skipped"]), (&json!(13), &json!(0), &json!(0)));
    // What the device says of it.
    let device = lab.sim.first();
    assert_eq!((count(&device, "erasures"), count(&device, "reboots")), (1, 2), "{device}");
    assert_eq!(device["installed"].as_array().unwrap().len(), 1, "enrolled at the end: {device}");
    // The other device was not even spoken to.
    let other = lab.sim.device(&lab.sim.udids[1]);
    assert_eq!(count(&other, "connections"), 0, "{other}");
    let junit = lab.report("junit.xml");
    assert!(junit.contains("tests=\"13\" failures=\"0\" errors=\"0\" skipped=\"0\""), "{junit}");
    assert!(junit.contains("<testsuite name=\"Spare &lt;phone&gt;\""), "{junit}");
    let page = lab.report("report.html");
    assert!(page.contains("SIMULATED DEVICES") && page.contains("Spare &lt;phone&gt;"), "{page}");
    assert!(!page.contains("://") && !page.contains("<script"), "it needs nothing else: {page}");
    let checked = lab.bench.run(&["record", "--check", &recordings, "--json"]).exits(0).only();
    assert_eq!(
        (&checked["clean"], checked["recordings"].as_u64() > Some(12)),
        (&json!(true), true),
        "{checked}"
    );
    let tasks = ["enroll", "prepare", "erase", "look"].map(|task| format!("task = \"{task}\""));
    let metas =
        std::fs::read_dir(&recordings).unwrap().map(|folder| folder.unwrap().path().join("meta.toml"));
    let metas: String = metas.map(|meta| std::fs::read_to_string(meta).unwrap()).collect();
    assert!(tasks.iter().all(|task| metas.contains(task)), "{metas}");
    // Nothing of it is in the station's own journal.
    assert!(!lab.bench.state_dir().join("journal.sqlite3").exists());
}

#[test]
fn what_a_rig_may_not_do_is_skipped_and_said() {
    let lab = Lab::of(&format!("[[device]]\n{QUICK}"));
    let done = lab.run(&lab.device(0, ""), &["--unattended", "--json"]).exits(0);
    let lines = done.json();
    let skipped: Vec<_> =
        ends(&lines).into_iter().filter(|(_, status)| status == "skipped").map(|(check, _)| check).collect();
    let meant = ["replug", "restart", "enroll", "unenroll", "erase", "prepare", "enroll-erased"];
    assert_eq!(skipped, meant, "{done}");
    assert!(line_of(&lines, "erase")["sentence"].as_str().unwrap().contains("may_erase"));
    assert!(line_of(&lines, "enroll")["sentence"].as_str().unwrap().contains("enrolls_with"));
    assert!(line_of(&lines, "replug")["sentence"].as_str().unwrap().contains("hands"));
    let device = lab.sim.first();
    assert_eq!((count(&device, "erase_requests"), device["installed"].as_array().unwrap().len()), (0, 0));
    assert!(
        lab.report("junit.xml")
            .contains("<skipped message=\"The rig file does not allow it (may_erase).\"/>")
    );
    // Only some, and what they need.
    let some = lab.run(&lab.device(0, ""), &["--unattended", "--json", "--only", "profiles"]).exits(0);
    let names: Vec<_> = ends(&some.json()).into_iter().map(|(check, _)| check).collect();
    assert_eq!(names, ["listed", "pair", "profiles"]);
}

#[test]
fn a_device_that_fails_is_told_with_its_chain_and_the_next_one_is_checked() {
    let lab = Lab::of(&format!("[[device]]\npersona = 'enrollment-forbidden'\n[[device]]\n{QUICK}"));
    let absent = "[[device]]\nudid = '00008140-0000000000000001'\nname = 'At home'\n";
    let bad = lab.device(0, "enrolls_with = 'export.mobileconfig'");
    let rig = format!("{bad}{absent}{}", lab.device(1, ""));
    let done = lab.run(&rig, &["--unattended", "--json", "--only", "enroll,remove"]).exits(1);
    let lines = done.json();
    let failed = line_of(&lines, "enroll");
    assert_eq!((&failed["status"], &failed["outcome"]), (&json!("failed"), &json!("failed")), "{failed}");
    assert!(!failed["chain"].as_array().unwrap().is_empty(), "{failed}");
    let junit = lab.report("junit.xml");
    assert!(
        junit.contains("<failure type=\"failed\"") && junit.contains("MCMDMErrorDomain 12088"),
        "{junit}"
    );
    let away = lines.iter().find(|line| line["device"] == "At home").unwrap();
    assert_eq!((&away["check"], &away["status"]), (&json!("listed"), &json!("failed")), "{away}");
    let last = lines.iter().rfind(|line| line["check"] == "remove").unwrap();
    assert_eq!(last["udid"], json!(lab.sim.udids[1]), "{done}");
    // Alone, it is no failure of the program but a device that is not there.
    lab.run(absent, &["--unattended"]).exits(4);
}

#[test]
fn another_serial_number_is_another_device() {
    let lab = Lab::of(&format!("[[device]]\n{QUICK}"));
    let rig = lab.device(0, "serial = 'OTHER12345'\nmay_erase = true\n");
    let done = lab.run(&rig, &["--unattended", "--json"]).exits(2);
    let said = line_of(&done.json(), "pair")["sentence"].as_str().unwrap().to_owned();
    assert!(said.contains("gives it the serial number OTHER12345"), "{done}");
    assert_eq!(count(&lab.sim.first(), "erase_requests"), 0);
}

#[test]
fn two_runs_never_share_a_device() {
    let lab = Lab::of("[[device]]\npersona = 'trust-ignored'\n");
    let file = lab.bench.write("first.toml", format!("person_within = 60\n{}", lab.device(0, "")));
    let first = lab.bench.start(&["rig", "run", &file]);
    lab.sim.until("the first run to ask for trust", |device| count(device, "pair_requests") > 0);
    // In whatever state folder it works.
    let state = text_of(&lab.bench.path("another-state"));
    let done = lab.run(&lab.device(0, ""), &["--unattended", "--json", "--state-dir", &state]).exits(5);
    let lease = &done.json()[0];
    assert_eq!((&lease["check"], &lease["status"]), (&json!("lease"), &json!("failed")), "{done}");
    let pid = format!("(process {})", first.pid());
    assert!(lease["sentence"].as_str().unwrap().contains(&pid), "{lease}");
    // Ctrl-C ends a run in bounded time; what it found is kept.
    first.terminate();
    let ended = first.within(crate::support::binary::PATIENCE).finish().exits(1);
    assert!(ended.stdout.iter().any(|line| line.contains("ended before it was done")), "{ended}");
    let reports = lab.bench.state_dir().join("rig/reports");
    let report = std::fs::read_dir(reports).unwrap().next().unwrap().unwrap().path();
    assert!(
        std::fs::read_to_string(report.join("report.html")).unwrap().contains("ended before it was done")
    );
    lab.run(&lab.device(0, ""), &["--unattended", "--only", "listed"]).exits(0);
}

#[test]
fn a_station_and_a_rig_do_not_work_side_by_side() {
    let lab = Lab::of("[[device]]\npersona = 'trust-ignored'\n");
    let profile = lab.bench.write("enroll.mobileconfig", f01());
    let _station = lab.bench.start(&["serve", &profile]);
    lab.sim.until("the station to ask for trust", |device| count(device, "pair_requests") > 0);
    let said = lab.run(&lab.device(0, ""), &["--unattended"]).fails_clearly(2);
    assert!(said.contains("A station runs"), "{said}");
}

/// At a terminal, as `script` gives one.
fn at_a_terminal(bench: &Bench, words: &str) -> Running {
    let mut script = std::process::Command::new("script");
    script.args(["-qec", words, "/dev/null"]).env_clear();
    let environment = bench.command(&[]);
    script
        .envs(environment.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))));
    Running::start(script)
}

#[test]
fn a_person_is_asked_at_a_terminal_and_has_a_deadline() {
    let lab = Lab::of(&format!("[[device]]\n{QUICK}"));
    let file = lab.bench.write("rig.toml", format!("person_within = 4\n{}", lab.device(0, "")));
    let rig = format!("{} rig run {file} --only replug", shipped_binary().display());
    let mut run = at_a_terminal(&lab.bench, &rig);
    let mut asked = Vec::new();
    while let Some(line) = run.line() {
        for (words, verb) in [
            ("Unplug the device now. (4 s left)", "detach"),
            ("in again, into the same port. (4 s left)", "attach"),
        ] {
            if line.contains(words) {
                lab.sim.does(verb);
                asked.push(verb);
            }
        }
    }
    let done = run.finish().exits(0);
    assert_eq!(asked, ["detach", "attach"], "{done}");
    // Nobody does it: that is no fault of the program.
    let done = at_a_terminal(&lab.bench, &rig).finish().exits(3);
    assert!(done.all_output().contains("It was not unplugged within 4 seconds."), "{done}");
}

#[test]
fn scenarios_of_the_simulator_are_played_as_far_as_people_can() {
    let slow = QUICK.replace("accept_after = '100ms'", "accept_after = '3s'");
    let lab = Lab::of(&format!("[[device]]\n{slow}[[device]]\npersona = 'in-setup'\n"));
    let scenario = lab.bench.write(
        "world.toml",
        "pushes = 2\nhold = false\npolicies_within = '0s'\nlives = '60s'\nseed = 7\n\
         [[device]]\n[[device]]\npersona = 'server-down'\n[[device]]\npersona = 'in-setup'\n\
         [[device]]\npersona = 'person-ignores'\n\
         [[act]]\nat = '600ms'\ndo = 'restart'\nspan = '200ms'\n\
         [[act]]\nat = '1200ms'\ndo = 'slip'\nspan = '300ms'\n\
         [[act]]\nat = '100ms'\ndo = 'mux-death'\nspan = '1s'\n",
    );
    let more = format!("enrolls_with = 'export.mobileconfig'\nmay_unenroll = true\n{}", lab.hands());
    let rig = format!("accept_within = 30\n{}{}", lab.device(0, &more), lab.device(1, &more));
    let file = lab.bench.write("rig.toml", format!("person_within = 10\n{rig}"));
    let args = ["rig", "run", &file, "--unattended", "--json", "--only", "listed", "--scenario", &scenario];
    let done = lab.bench.run(&args);
    let lines = done.json();
    let played: Vec<_> = lines.iter().filter(|line| line["check"] == "scenario").collect();
    assert_eq!(played.len(), 4, "{done}");
    let of = |n: usize| {
        let name = format!("world.toml device {n} ");
        played.iter().find(|line| line["scenario"].as_str().unwrap().starts_with(&name)).unwrap()
    };
    assert_eq!(of(1)["status"], "passed", "{done}");
    assert!(of(1)["sentence"].as_str().unwrap().contains("Played without mux-death after 100ms."), "{done}");
    assert_eq!(of(2)["status"], "skipped", "{done}");
    assert!(of(2)["sentence"].as_str().unwrap().contains("install_errors"), "{done}");
    assert_eq!((&of(3)["status"], &of(3)["udid"]), (&json!("passed"), &json!(lab.sim.udids[1])), "{done}");
    // The person of this device accepts, so it does not end as the scenario says.
    assert_eq!(of(4)["status"], "failed", "{done}");
    let said = of(4)["sentence"].as_str().unwrap();
    assert!(said.starts_with("It has to end as person-did-not-accept, and ended as enrolled"), "{said}");
    done.exits(1);
    // The job that was cut short is one job, resumed twice: pushed once.
    let journal = lab.bench.state_dir().join("rig/journal.sqlite3");
    let journal = rusqlite::Connection::open(journal).unwrap();
    let sql = "SELECT count(*) FROM events WHERE kind = 'push-started' AND job = 1";
    assert_eq!(journal.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

/// The file that the simulator plays is the one the rig looks for: each device ends as its
/// person has it.
#[test]
fn a_rig_and_the_simulator_play_the_same_file() {
    let personas = ["ready", "in-setup", "trust-denied", "person-cancels", "person-ignores", "locked"];
    let quick = "trust_after = '50ms'\nperson_jitter = '0s'\n";
    let scenario = personas.map(|persona| format!("[[device]]\npersona = '{persona}'\n{quick}")).concat();
    let lab = Lab::of(&scenario);
    let file = lab.bench.write("played.toml", &scenario);
    let more = format!("enrolls_with = 'export.mobileconfig'\nhas_passcode = true\n{}", lab.hands());
    let rig: String = (0..6).map(|n| lab.device(n, &more)).collect();
    let args = ["--unattended", "--json", "--only", "scenario", "--scenario", &file];
    let done = lab.run(&rig, &args).exits(0);
    let lines = done.json();
    let played: Vec<_> = lines.iter().filter(|line| line["check"] == "scenario").collect();
    assert_eq!(played.len(), 6, "{done}");
    let ends = [
        "enrolled",
        "enrolled",
        "trust-denied",
        "person-did-not-accept",
        "person-did-not-accept",
        "enrolled",
    ];
    for (n, line) in played.iter().enumerate() {
        assert_eq!(
            (&line["status"], &line["outcome"]),
            (&json!("passed"), &json!(ends[n])),
            "{line}\n{done}"
        );
        assert_eq!(line["udid"], json!(lab.sim.udids[n]), "{line}");
    }
}

#[test]
fn rig_files_that_cannot_be_meant_are_refused_before_any_device_is_touched() {
    let lab = Lab::of(&format!("[[device]]\n{QUICK}"));
    let of = |rig: &str| lab.run(rig, &["--unattended"]).fails_clearly(2);
    assert!(of("").contains("it lists no device"));
    assert!(of("[[device]]\nudid = 'a'\nmay_erse = true\n").contains("rig.toml:5:1"));
    assert!(of(&lab.device(0, "may_erase = true")).contains("nothing names it a second time"));
    assert!(of(&lab.device(0, "enrolls_with = 'nowhere.mobileconfig'")).contains("nowhere.mobileconfig"));
    let missing = lab.bench.run(&["rig", "run", "no-such.toml"]).fails_clearly(2);
    assert!(missing.contains("no-such.toml"), "{missing}");
    let file = lab.bench.write("rig.toml", lab.device(0, ""));
    let scenario = lab.bench.write("bad.toml", "[[device]]\n[[act]]\nat = '1s'\ndo = 'dance'\n");
    let said = lab.bench.run(&["rig", "run", &file, "--scenario", &scenario]).fails_clearly(2);
    assert!(said.contains("bad.toml") && said.contains("dance"), "{said}");
    assert_eq!(count(&lab.sim.first(), "connections"), 0);
}

#[cfg(target_os = "linux")]
mod bus {
    use super::{ends, line_of, text_of};
    use crate::support::binary::shipped_binary;
    use crate::support::bus::on_bus;
    use crate::support::bus_bench::{self, in_setup};
    use enlist::sim::ControlServer;
    use serde_json::json;

    #[test]
    fn the_same_rig_runs_over_our_own_mux_on_the_virtual_bus() {
        on_bus("rig::bus::the_same_rig_runs_over_our_own_mux_on_the_virtual_bus", |bus| {
            let bench = bus_bench::Bench::on(bus);
            let fleet = in_setup(bus, 2);
            let udids = fleet.fleet.udids();
            let control = bench.path("control");
            let _inside = bus.runtime().enter();
            let _control = bus.runtime().block_on(ControlServer::start(&fleet.fleet, &control)).unwrap();
            let hands =
                [shipped_binary().display().to_string(), "sim".into(), "control".into(), text_of(&control)];
            let rig = format!(
                "person_within = 30\n[[device]]\nudid = '{}'\nenrolls_with = '{}'\nmay_unenroll = true\nhands = {hands:?}\n",
                udids[0],
                bench.profile()
            );
            std::fs::write(bench.path("rig.toml"), rig).unwrap();
            let file = text_of(&bench.path("rig.toml"));
            let out = text_of(&bench.path("out"));
            let args = ["--mux", "usb", "rig", "run", &file, "--unattended", "--json", "--out", &out];
            let done = bench.run(&args).exits(0);
            let lines = done.json();
            let allowed = ["erase", "prepare", "enroll-erased"];
            for (check, status) in ends(&lines) {
                let meant = if allowed.contains(&check.as_str()) { "skipped" } else { "passed" };
                assert_eq!(status, meant, "{check}\n{done}");
            }
            let listed = line_of(&lines, "listed");
            assert_eq!(
                (&listed["bay"], &listed["simulated"]),
                (&json!("usb-1-1.1"), &json!(false)),
                "{listed}"
            );
            let junit = std::fs::read_to_string(bench.path("out/junit.xml")).unwrap();
            assert!(junit.contains("tests=\"13\" failures=\"0\" errors=\"0\" skipped=\"3\""), "{junit}");
            // Given back.
            assert!(udids.iter().all(|udid| !fleet.plugged(udid).unwrap().is_claimed(1)));
        });
    }
}
