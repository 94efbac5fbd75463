//! `enlist watch` of the shipped binary: in a real terminal beside a running station, into a
//! pipe, and against stations that are not there. All devices are simulated.

use super::super::support::binary::{Bench, PATIENCE, Running, poll};
use super::super::support::terminal::{self, Tty, keep};
use super::{Site, remote};
use serde_json::Value;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A batch over some bays, a fifth of it in trouble; everybody takes their time, so that a
/// person could watch. `ENLIST_WATCH_DEVICES=300` is the real thing: sixteen bays, five percent.
fn batch(bench: &Bench) -> (usize, String, String) {
    let wanted = std::env::var("ENLIST_WATCH_DEVICES").ok().map(|n| n.parse().unwrap());
    let (devices, bays, percent) = wanted.map_or((24, 4, 20), |devices| (devices, 16, 5));
    let text = format!(
        "seed = 11\nbays = {bays}\nlatency = \"8ms+4ms\"\n[trouble]\npercent = {percent}\n\
         personas = [\"pairing-forbidden\", \"enrollment-forbidden\"]\n\
         [[device]]\npersona = \"in-setup\"\ninstall_takes = \"400ms\"\ncount = {devices}\n"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let serials: Vec<String> = runtime.block_on(async {
        let fleet = enlist::sim::Fleet::from_scenario(&text, enlist::clock::Clock::System).unwrap();
        fleet.inspect_all().into_iter().map(|device| device.serial).collect()
    });
    let rows = serials.iter().enumerate().map(|(n, serial)| format!("{serial},Tablet {}\n", n + 1));
    let manifest = bench.write("school.csv", format!("serial,name\n{}", rows.collect::<String>()));
    (devices, bench.write("day.toml", text), manifest)
}

fn url(site: &Site) -> String {
    format!("http://{}", site.address)
}

/// How far the batch of the strip is.
fn percent(screen: &str) -> Option<u32> {
    let line = screen.lines().find(|line| line.trim_start().starts_with("school "))?;
    line.split(" %").next()?.split_whitespace().last()?.parse().ok()
}

#[test]
fn a_batch_on_the_board_of_a_real_terminal() {
    if !terminal::is_there() {
        return;
    }
    let bench = Bench::new();
    let (devices, scenario, manifest) = batch(&bench);
    let patience = Duration::from_secs(300);
    let running =
        bench.start(&["serve", "--listen", "127.0.0.1:0", "--scenario", &scenario, "--batch", &manifest]);
    let site = Site::of(running.within(patience));
    let (old, wide) = ((80, 24), (120, 40));
    let tty = Tty::start(&bench, old, &[], &["watch", &url(&site)]);
    let large = Tty::start(&bench, wide, &[], &["watch", &url(&site)]);
    for (tty, size) in [(&tty, "80x24"), (&large, "120x40")] {
        let half = tty.until_within(patience, "a batch in the middle", |screen| {
            percent(screen).is_some_and(|percent| (20..100).contains(&percent)) && screen.contains('●')
        });
        assert!(half.contains("✔ Live") && half.contains("SIMULATED"), "{half}");
        keep(&format!("batch-{size}"), &half);
    }
    // A window that grows and shrinks is drawn anew, and one that is too small says so.
    tty.resize(60, 20);
    let small = tty.until("a small window", |screen| screen.contains("has 60 x 20"));
    keep("too-small", &small);
    tty.resize(80, 24);
    tty.until("the board again", |screen| screen.contains("1 Bays"));

    // At the end the board says what the journal says.
    let ended = || {
        let jobs = site.get("/api/v1/jobs?limit=500").json();
        let jobs = jobs.as_array().unwrap();
        jobs.len() == devices && jobs.iter().all(|job| job["open"] == false)
    };
    let deadline = Instant::now() + patience;
    while !ended() {
        assert!(Instant::now() < deadline, "the batch does not end:\n{}", tty.screen());
        std::thread::sleep(Duration::from_millis(200));
    }
    let batch = &site.get("/api/v1/batches").json()[0];
    let count = |key: &str| batch["progress"][key].as_u64().unwrap();
    // Who trusts nobody never tells its serial number: missing, and nobody knows which line.
    assert_eq!(count("done") + count("failed") + count("missing"), devices as u64, "{batch}");
    assert_eq!((count("missing"), count("running")), (count("unidentified"), 0), "{batch}");
    let figures = format!("{} of {devices} done, {} failed", count("done"), count("failed"));
    let is_over = |screen: &str| screen.contains(&figures) && screen.contains("● 0 working");
    keep("batch-over-80x24", &tty.until("its end", is_over));
    keep("batch-over-120x40", &large.until("its end", is_over));
    large.press(&["2"]);
    let whole = large.until("the batch", |screen| {
        screen.contains(&figures) && screen.contains("an hour") && screen.contains("Tablet")
    });
    keep("batch-view-120x40", &whole);
    large.press(&["f", "f", "f"]);
    let failed =
        large.until("those that failed", |screen| screen.contains("that are failed") && screen.contains('✖'));
    keep("batch-failed-120x40", &failed);
    large.press(&["Enter"]);
    let job = large.until("a job", |screen| screen.contains("What happened") && screen.contains("Plan:"));
    keep("job-120x40", &job);
    assert!(job.contains("SIMULATED"), "{job}");
    large.press(&["q"]);
    large.ended(0);

    // The history, searched, on the old terminal; and back.
    tty.press(&["3"]);
    tty.until("the history", |screen| screen.contains("Jobs, newest first") && screen.contains("✔ Enrolled"));
    tty.press(&["/"]);
    tty.press(&["Tablet 7"]);
    tty.press(&["Enter"]);
    let found = tty.until("what was found", |screen| {
        screen.contains("Jobs with Tablet 7")
            && screen.matches("Tablet ").count() == screen.matches("Tablet 7").count()
    });
    keep("history-80x24", &found);
    tty.press(&["Enter"]);
    let job = tty.until("the job", |screen| screen.contains("What happened"));
    keep("job-80x24", &job);
    tty.press(&["End"]);
    tty.until("the facts", |screen| screen.contains("SHA-256"));
    tty.press(&["Escape"]);
    tty.until("the history", |screen| screen.contains("Jobs with Tablet 7"));
    tty.press(&["?"]);
    keep("help-80x24", &tty.until("help", |screen| screen.contains("failed: the job says why")));
    tty.press(&["x"]);
    tty.press(&["1"]);
    tty.until("the bays", |screen| screen.contains("Bay 1") || screen.contains("usb-"));
    tty.press(&["C-c"]);
    tty.ended(0);
}

#[test]
fn the_board_outlives_its_station_and_comes_back_by_itself() {
    if !terminal::is_there() {
        return;
    }
    let bench = Bench::new();
    let mut site = Site::start(&bench, &["--simulate", "3", "--seed", "3"]);
    let listen = site.address.to_string();
    let tty = Tty::start(&bench, (80, 24), &[("NO_COLOR", "1")], &["watch", &listen]);
    tty.until("three that are done", |screen| screen.contains("✔ 3 done"));
    let coloured = tty.coloured();
    assert!(coloured.contains("\x1b[7m"), "what is chosen is reversed: {coloured}");
    for colour in 31..38 {
        let codes = coloured.matches(&format!("\x1b[{colour}m")).count()
            + coloured.matches(&format!(";{colour}m")).count();
        assert_eq!(codes, 0, "colour {colour} in spite of NO_COLOR");
    }
    site.running.kill();
    let lost = tty.until("the banner", |screen| screen.contains("Connection lost"));
    assert!(lost.contains("may be old") && lost.contains("✔ 3 done"), "what was known stays: {lost}");
    keep("lost-80x24", &lost);
    let again = bench.start(&["serve", "--listen", &listen, "--simulate", "5", "--seed", "3"]);
    let again = Site::of(again);
    tty.until("five that are done", |screen| screen.contains("✔ Live") && screen.contains("✔ 5 done"));
    again.running.terminate();
    again.running.finish().exits(0);
    keep("stopped-80x24", &tty.until("the farewell", |screen| screen.contains("The station was stopped.")));
    tty.press(&["q"]);
    tty.ended(0);
}

#[test]
fn into_a_pipe_it_writes_lines_or_an_object_for_each_event() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "2"]);
    let url = url(&site);
    let mut json = bench.start(&["watch", &url, "--json"]);
    let mut next = || -> Value { serde_json::from_str(&json.line().unwrap()).unwrap() };
    assert_eq!(next()["event"], "live");
    let snapshot = next();
    assert_eq!((&snapshot["event"], &snapshot["station"]["simulated"]), (&"snapshot".into(), &true.into()));
    site.until_ended();
    // The same state, by another one who comes now, and by who was there before.
    let mut plain = bench.start(&["watch", &url]);
    assert_eq!(plain.line().unwrap(), "● following the station");
    assert!(plain.line().unwrap().starts_with("● SIMULATED: 2 lines; "));
    let enrolled = plain.line().unwrap();
    assert!(
        enrolled.starts_with("✔ ") && enrolled.contains("[simulated]") && enrolled.contains("enrolled"),
        "{enrolled}"
    );
    site.running.terminate();
    let mut events = vec![];
    while events.last().is_none_or(|event: &Value| event["event"] != "lost") {
        events.push(next());
    }
    let bays: Vec<_> = events.iter().filter(|event| event["event"] == "bay").collect();
    let known =
        snapshot["bays"].as_array().unwrap().iter().filter(|bay| bay["outcome"] == "enrolled").count();
    let done: std::collections::BTreeSet<_> = bays
        .iter()
        .filter(|bay| bay["outcome"] == "enrolled" && bay["ended"] == true)
        .map(|bay| bay["udid"].to_string())
        .collect();
    assert!(done.len() + known >= 2, "{events:?}");
    assert!(events.iter().any(|event| event["event"] == "stopped"), "{events:?}");
    assert!(events.last().unwrap()["trouble"].as_str().unwrap().ends_with('.'), "{events:?}");
    json.terminate();
    json.finish().exits(0);
    plain.terminate();
    plain.finish().exits(0);
}

#[test]
fn a_station_that_cannot_be_watched_is_told_in_one_sentence() {
    let bench = Bench::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = bench.run(&["watch", &nobody]).fails_clearly(1);
    assert!(said.starts_with(&format!("No station answers at http://{nobody}: ")), "{said}");
    assert!(bench.run(&["watch", "ftp://bench"]).fails_clearly(2).contains("'ftp://bench' is no address"));
    let token = bench.write("token", "canary-token-5d1f0a7c9e24\n");
    let in_clear = bench.run(&["watch", "http://bench.example", "--token-file", &token]);
    assert!(in_clear.fails_clearly(2).contains("unprotected"));
    let missing = bench.run(&["watch", "--token-file", "/nowhere"]).fails_clearly(2);
    assert!(missing.starts_with("Cannot read the token"), "{missing}");
    let site = Site::start(&bench, &["--simulate", "1"]);
    let tls = bench.run(&["watch", &format!("https://{}", site.address)]).fails_clearly(2);
    assert!(tls.contains("does not speak TLS"), "{tls}");
}

#[test]
fn a_station_on_another_computer_is_known_by_its_certificate_and_knows_the_token() {
    let bench = Bench::new();
    let (certificate, key) = remote::certificate(&bench);
    let token = bench.write("token", "canary-token-5d1f0a7c9e24\n");
    bench.write(
        "enlist.toml",
        format!("[api]\ntls_cert = '{certificate}'\ntls_key = '{key}'\ntoken_file = '{token}'\n"),
    );
    let site = Site::of(bench.start(&["serve", "--simulate", "1", "--listen", "0.0.0.0:0"]));
    std::fs::remove_file(bench.path("enlist.toml")).unwrap();
    let url = format!("https://127.0.0.1:{}", site.address.port());
    let unknown = bench.run(&["watch", &url, "--token-file", &token]).fails_clearly(2);
    assert!(unknown.contains("is not trusted"), "{unknown}");
    let other = Bench::new();
    let (stranger, _) = remote::certificate(&other);
    let stranger = bench.run(&["watch", &url, "--token-file", &token, "--certificate", &stranger]);
    assert!(stranger.fails_clearly(2).contains("is not trusted"));
    let nothing = bench.run(&["watch", &url, "--certificate", &certificate]).fails_clearly(2);
    assert!(nothing.contains("refuses"), "{nothing}");
    let wrong = bench.write("wrong", "canary-token-5d1f0a7c9e25");
    bench.run(&["watch", &url, "--certificate", &certificate, "--token-file", &wrong]).fails_clearly(2);
    let mut watching =
        bench.start(&["watch", &url, "--certificate", &certificate, "--token-file", &token, "--lines"]);
    assert_eq!(watching.line().unwrap(), "● following the station");
    poll("an enrolled device", || watching.line().unwrap().contains("enrolled").then_some(()));
    watching.terminate();
    let done: Running = watching.within(PATIENCE);
    assert!(!done.finish().exits(0).all_output().contains("canary-token"));
}
