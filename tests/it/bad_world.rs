//! A mux, a cable, a folder or a file of the station's own that is not as it should be: one
//! clear sentence, what to do, the right exit code; and what was begun goes on when the world
//! is whole again.

use crate::outcomes::{IN_SETUP, READY, World, stands};
use crate::support::binary::{Bench, Running, poll, shipped_binary, text_of};
use crate::support::fleet::{Simulator, count};
use crate::support::profile::f01;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

/// Somebody else than a mux on the mux's socket.
fn somebody_listens(bench: &Bench, answer: impl Fn(UnixStream) + Send + 'static) {
    let listener = UnixListener::bind(bench.socket()).unwrap();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
}

/// Every command that needs the mux says the same.
#[track_caller]
fn nobody_reaches_a_mux(bench: &Bench, word: &str) {
    let file = bench.write("enroll.mobileconfig", f01());
    bench.trust_signer();
    for args in [
        &["devices"][..],
        &["info"],
        &["pair"],
        &["installed"],
        &["enroll", &file],
        &["enroll", "--all", &file],
    ] {
        let sentence = bench.run(args).fails_clearly(4);
        assert!(sentence.contains(&text_of(&bench.socket())), "names the address: {sentence}");
        assert!(sentence.contains(word), "says {word}: {sentence}");
    }
    let doctor = bench.run(&["doctor", "--json"]).exits(1).json();
    let mux = doctor.iter().find(|check| check["check"] == "mux").unwrap();
    assert!(mux["health"] == "bad" && mux["fix"].is_string(), "{mux}");
}

#[test]
fn a_mux_socket_that_is_not_there() {
    nobody_reaches_a_mux(&Bench::new(), "No such file");
}

#[test]
fn a_mux_socket_that_refuses() {
    let bench = Bench::new();
    drop(UnixListener::bind(bench.socket()).unwrap());
    nobody_reaches_a_mux(&bench, "refused");
}

#[test]
fn garbage_from_the_mux_socket() {
    let bench = Bench::new();
    somebody_listens(&bench, |mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(&[0xa5; 64]);
    });
    nobody_reaches_a_mux(&bench, "not its protocol");
}

#[test]
fn a_web_server_on_the_mux_socket() {
    let bench = Bench::new();
    somebody_listens(&bench, |mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    nobody_reaches_a_mux(&bench, "not its protocol");
}

#[test]
fn a_mux_socket_that_hangs_up() {
    let bench = Bench::new();
    somebody_listens(&bench, drop);
    nobody_reaches_a_mux(&bench, "");
}

/// Ten seconds, then words.
#[test]
fn silence_on_the_mux_socket_has_a_deadline() {
    let bench = Bench::new();
    let (keep, kept) = std::sync::mpsc::channel();
    somebody_listens(&bench, move |stream| drop(keep.send(stream)));
    let sentence = bench.run(&["devices"]).fails_clearly(4);
    assert!(sentence.contains("10 s"), "{sentence}");
    drop(kept);
}

#[test]
fn a_mux_address_that_is_none() {
    let bench = Bench::new();
    for address in ["nowhere", "UNIX:", "host:0", "::1:27015", "host:99999"] {
        let sentence = bench.run_with("USBMUXD_SOCKET_ADDRESS", address, &["devices"]).fails_clearly(2);
        assert!(sentence.contains("USBMUXD_SOCKET_ADDRESS") && sentence.contains(address), "{sentence}");
    }
}

#[test]
fn no_device_attached() {
    let world = World::of(READY);
    world.bench.trust_signer();
    world.sim.does("detach");
    for args in
        [&["devices"][..], &["info"], &["enroll", &world.profile], &["enroll", "--all", &world.profile]]
    {
        world.run(args).fails_clearly(4);
    }
}

/// The simulator dies while a device waits for its person, and comes back: no second push.
#[test]
fn a_mux_that_dies_and_comes_back() {
    let ignored = "persona = 'person-ignores'\npairing = 'silent'";
    let World { bench, sim, profile } = World::of(ignored);
    let mut serving = crate::support::station::Serving::start(
        &bench,
        &[profile.as_str(), "--once", "--replug-within", "30"],
    );
    serving.until_outcome("waiting-for-person");
    assert_eq!(count(&sim.first(), "pushes_received"), 1);
    sim.kill();
    serving.until_outcome("detached-midway");
    // The same devices, as after a restart of the daemon; this one was accepted meanwhile.
    let sim = Simulator::of(&bench, &format!("[[device]]\n{ignored}\n"));
    serving.until("the device again", |change| change["attached"] == true);
    sim.until_left_alone();
    sim.control(&json!({ "do": "install", "udid": sim.udids[0], "file": profile }));
    stands(&serving.until_ended(), "enrolled", "none", 1);
    let done = serving.finish().exits(0);
    assert!(done.stderr.contains("mux lost"), "{done}");
    done.is_for_people();
    assert_eq!(count(&sim.first(), "pushes_received"), 0, "a push of an earlier life still counts");
}

#[test]
fn a_mux_that_stays_dead() {
    let World { bench, sim, profile } = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let mut enrolling = bench.start(&["enroll", &profile, "--json", "--replug-within", "1"]);
    sim.until("the push", |device| device["pending"].is_object());
    sim.kill();
    let line: Value = serde_json::from_str(&enrolling.line().unwrap()).unwrap();
    stands(&line, "detached-midway", "transport", 1);
    enrolling.finish().exits(1).is_for_people();
}

#[test]
fn a_device_that_vanishes_at_the_desk() {
    let world = World::of("persona = 'trust-ignored'");
    let pairing = world.bench.start(&["pair", "--json"]);
    world.sim.until("the dialog", |device| device["dialog"] == "showing");
    world.sim.does("detach");
    let done = pairing.finish().exits(1);
    stands(&done.only(), "failed", "transport", 0);
    done.is_for_people();
}

#[test]
fn a_device_that_sends_only_garbage() {
    for kind in ["garbage", "truncate", "drop-before", "error"] {
        let world = World::of(&format!("pairing = 'silent'\nfaults = [{{ kind = '{kind}', times = 0 }}]"));
        let done = world.run(&["info", "--json"]).exits(1);
        let result = done.only();
        assert_eq!(result["outcome"], "failed", "{done}");
        assert!(["device", "transport"].contains(&result["class"].as_str().unwrap()), "{done}");
        assert!(result["next"].is_string(), "{done}");
        done.is_for_people();
        assert!(count(&world.sim.first(), "faults") > 0);
    }
}

#[test]
fn two_stations_on_one_state_folder() {
    let world = World::of("persona = 'person-ignores'\npairing = 'silent'");
    world.bench.trust_signer();
    let mut serving = world.serve(&[]);
    serving.until_outcome("waiting-for-person");
    for args in [&["enroll", &world.profile][..], &["serve", "--json", &world.profile]] {
        let sentence = world.run(args).fails_clearly(2);
        assert!(sentence.contains("nother station"), "{sentence}");
    }
    // Looking is no station.
    assert_eq!(world.run(&["history", "--open", "--json"]).exits(0).json().len(), 1);
    world.device_got(1, false);
}

#[test]
fn a_state_folder_that_cannot_be_written() {
    let world = World::of(READY);
    world.bench.trust_signer();
    // Not even root writes below a file.
    let below = format!("{}/state", world.bench.write("occupied", "x"));
    for args in [&["enroll", &world.profile][..], &["devices"], &["pair"]] {
        let sentence = world.bench.run_with("ENLIST_STATE_DIR", &below, args).fails_clearly(2);
        assert!(sentence.contains(&below), "{sentence}");
    }
    world.device_got(0, false);
}

#[test]
fn configuration_files_that_cannot_be_used() {
    let bench = Bench::new();
    for (text, word) in [
        ("[enroll]\npushs = 2\n", "did you mean 'pushes'?"),
        ("[enroll]\npushes = 'two'\n", ":2:"),
        ("profile = ", ":1:"),
        ("[enroll]\naccept_within = 481\n", "480"),
        ("trusted_roots = ['/nowhere.pem']\n", "/nowhere.pem"),
        ("[mux]\nsocket = 'nowhere'\n", "[mux] socket"),
    ] {
        let file = bench.write("given.toml", text);
        let sentence = if text.starts_with("[mux]") {
            let mut command = bench.command(&["config", &file]);
            command.env_remove("USBMUXD_SOCKET_ADDRESS");
            Running::start(command).finish().fails_clearly(2)
        } else {
            bench.run(&["config", &file]).fails_clearly(2)
        };
        assert!(sentence.contains(word), "says {word}: {sentence}");
    }
    let missing = bench.run(&["--config", "nowhere.toml", "devices"]).fails_clearly(2);
    assert!(missing.contains("nowhere.toml"), "{missing}");
    let folder = text_of(&bench.path(""));
    bench.run(&["config", &folder]).fails_clearly(2);
    let binary = bench.write("binary.toml", [0xff, 0xfe, 0]);
    bench.run(&["config", &binary]).fails_clearly(2);
}

#[test]
fn a_journal_that_is_none_is_left_alone() {
    let world = World::of(IN_SETUP);
    world.bench.trust_signer();
    world.run(&["pair"]).exits(0);
    let journal = world.bench.state_dir().join("journal.sqlite3");
    let garbage = b"this is no journal, but somebody's letter".repeat(40);
    std::fs::write(&journal, &garbage).unwrap();
    for args in [&["enroll", &world.profile][..], &["history"], &["serve", &world.profile, "--json"]] {
        let sentence = world.run(args).fails_clearly(2);
        assert!(sentence.contains("journal.sqlite3"), "{sentence}");
    }
    assert_eq!(std::fs::read(&journal).unwrap(), garbage);
    let doctor = world.run(&["doctor", "--json"]).exits(1).json();
    let check = doctor.iter().find(|check| check["check"] == "journal").unwrap();
    assert!(check["health"] == "bad" && check["fix"].is_string(), "{check}");
    world.device_got(0, false);
}

#[test]
fn a_damaged_journal_is_left_alone() {
    let world = World::of(IN_SETUP);
    world.bench.trust_signer();
    world.enroll(&[]).exits(0);
    let journal = world.bench.state_dir().join("journal.sqlite3");
    let mut bytes = std::fs::read(&journal).unwrap();
    assert!(bytes.len() > 8192, "{}", bytes.len());
    bytes[4096..8192].fill(0xa5);
    std::fs::write(&journal, &bytes).unwrap();
    world.run(&["enroll", &world.profile]).fails_clearly(2);
    assert_eq!(std::fs::read(&journal).unwrap(), bytes);
    assert_eq!(world.run(&["doctor"]).exits(1).stderr, "");
}

#[test]
fn an_identity_that_is_none_is_left_alone() {
    let world = World::of(IN_SETUP);
    world.bench.trust_signer();
    std::fs::create_dir(world.bench.state_dir()).unwrap();
    let identity = world.bench.state_dir().join("identity.plist");
    for garbage in [&b"garbage"[..], b"", b"<plist version='1.0'><dict/></plist>"] {
        std::fs::write(&identity, garbage).unwrap();
        for args in [&["enroll", &world.profile][..], &["devices"], &["pair"]] {
            let sentence = world.run(args).fails_clearly(2);
            assert!(sentence.contains("identity.plist"), "{sentence}");
        }
        assert_eq!(std::fs::read(&identity).unwrap(), garbage);
        let doctor = world.run(&["doctor", "--json"]).exits(1).json();
        let check = doctor.iter().find(|check| check["check"] == "station identity").unwrap();
        assert!(check["health"] == "bad" && check["fix"].is_string(), "{check}");
    }
    world.device_got(0, false);
}

/// A command whose reader takes one line and leaves, as `| head -1`; it runs on.
fn read_one_line_of(bench: &Bench, args: &[&str]) -> Running {
    let environment: Vec<_> =
        bench.command(&[]).get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
    let script = r#"("$0" "$@"; echo $? > code) 2> said | head -1"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, &text_of(&shipped_binary())]).args(args);
    command.env_clear().envs(environment).current_dir(bench.path(""));
    let mut running = Running::start(command);
    assert!(running.line().is_some_and(|line| !line.is_empty()), "{args:?}");
    running
}

/// Its exit code and standard error in the end.
fn end_of(bench: &Bench, running: Running) -> (String, String) {
    running.finish().exits(0);
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap().trim().to_owned();
    (read("code"), read("said"))
}

#[test]
fn a_reader_who_leaves_early_is_no_error() {
    let bench = Bench::new();
    let sim = Simulator::start(&bench, &["--devices", "40", "--persona", "in-setup"]);
    let fine = ("0".to_owned(), String::new());
    for args in [&["devices"][..], &["devices", "--json"], &["--help"]] {
        assert_eq!(end_of(&bench, read_one_line_of(&bench, args)), fine, "{args:?}");
    }
    // The work is done, whoever looks.
    let file = bench.write("enroll.mobileconfig", f01());
    bench.trust_signer();
    assert_eq!(end_of(&bench, read_one_line_of(&bench, &["enroll", "--all", &file])), fine);
    assert!(sim.devices().iter().all(|device| count(device, "installs") == 1));
}

/// What would go on for ever ends when nobody reads it.
#[test]
fn a_log_that_nobody_reads_ends() {
    let world = World::of(IN_SETUP);
    let running = read_one_line_of(&world.bench, &["log", "--all"]);
    // Each install is a line of the device's log.
    poll("the end of the log", || {
        world.sim.control(&json!({ "do": "install", "udid": world.sim.udids[0], "file": world.profile }));
        world.bench.path("code").exists().then_some(())
    });
    assert_eq!(end_of(&world.bench, running), ("0".to_owned(), String::new()));
}

#[test]
fn output_that_a_full_disk_did_not_take_is_no_success() {
    let bench = Bench::new();
    let manifest = bench.write("room.csv", "serial\nC02ABCDEF123\n");
    bench.run(&["batch", "open", &manifest]).exits(0);
    let all: [&[&str]; 13] = [
        &["report"],
        &["report", "--format", "html"],
        &["batch", "status"],
        &["batch", "list", "--json"],
        &["history", "--csv"],
        &["config", "schema"],
        &["service", "print", "systemd"],
        &["completions", "bash"],
        &["man"],
        &["help", "enroll"],
        &["advise", "--rules"],
        &["enroll", "--help"],
        &["--version"],
    ];
    for args in all {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let done = bench.command(args).stdout(full).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{args:?}: {said}");
        let begin =
            "error: Standard output could not be written, so results are missing there: No space left";
        assert!(said.starts_with(begin) && said.lines().count() == 2, "{args:?}: {said}");
        // Who only looks at the beginning, as `head` does, wants no more.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = bench.command(args).stdout(writer).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}
