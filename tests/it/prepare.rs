//! `enlist prepare`: Setup Assistant enrollment (4.B). The shipped binary against one simulated
//! device in another process.

#![allow(clippy::disallowed_methods)] // a real process is killed at a real moment

use crate::outcomes::{IN_SETUP, READY, World, stands};
use crate::supervision::{SUPERVISOR, steps, supervise};
use crate::support::binary::Done;
use crate::support::fleet::count;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;
use serde_json::json;
use std::io::{Read, Write};
use std::time::Duration;

/// Where devices enroll; the id is the organisation's own business.
const URL: &str = "https://mdm.bench.example/enroll?id=canary-0rgan1sat10n";

fn prepare(world: &World, args: &[&str]) -> Done {
    let mut all = vec!["prepare", "--json", "--organization", "Contoso Bench"];
    all.extend(args);
    world.run(&all)
}

fn configurations(world: &World) -> u64 {
    count(&world.sim.first(), "configurations")
}

#[test]
fn prepared() {
    let world = World::of(IN_SETUP);
    supervise(&world, &[SUPERVISOR], "[prepare]\nsupervised = true\nskip = ['Siri', 'Location']\n");
    world.run(&["pair"]).exits(0);
    let planned = prepare(&world, &["--dry-run"]).exits(0).only();
    assert!(planned["sentence"].as_str().unwrap().contains("Would do: configure"), "{planned}");
    assert_eq!(configurations(&world), 0);
    let done = prepare(&world, &["--enrollment-url", URL, "--user"]).exits(0);
    let result = done.only();
    stands(&result, "prepared", "none", 0);
    let next = result["next"].as_str().unwrap();
    assert!(next.contains("24 hours") && next.contains("R59") && next.contains("R69"), "{next}");
    let info = world.run(&["info", "--json"]).exits(0).only();
    assert_eq!((&info["supervised"], &info["organization"]), (&json!(true), &json!("Contoso Bench")));
    // Again: it is so already, and nothing is written.
    let again = prepare(&world, &["--enrollment-url", URL, "--user"]).exits(0).only();
    assert_eq!((&again["outcome"], configurations(&world)), (&json!("prepared"), 1), "{again}");
    // Otherwise: 14002 without asking for it.
    let other = prepare(&world, &["--not-supervised"]).exits(1).only();
    let said = other["sentence"].as_str().unwrap();
    assert!(said.contains("14002") && said.contains("IsSupervised"), "{other}");
    assert_eq!(configurations(&world), 1);
    let jobs = world.run(&["history", "--json"]).exits(0).json();
    assert!(jobs.iter().any(|job| job["profile_name"].as_str().unwrap().starts_with("Prepare for Contoso")));
    let journal = std::fs::read(world.bench.state_dir().join("journal.sqlite3")).unwrap();
    assert!(!journal.windows(6).any(|w| w == b"canary"), "the address is in the journal");
    let loud = world.bench.run_with(
        "ENLIST_LOG",
        "trace",
        &["prepare", "--organization", "Contoso Bench", "--enrollment-url", URL],
    );
    assert!(!loud.all_output().contains("canary"), "the address is in the log");
}

/// The day a user has is written down with the job (R59).
#[test]
fn the_day_of_the_user_stays_with_the_job() {
    let world = World::of(IN_SETUP);
    prepare(&world, &["--enrollment-url", URL, "--user"]).exits(0);
    let journal = rusqlite::Connection::open(world.bench.state_dir().join("journal.sqlite3")).unwrap();
    let sql = "SELECT at, json_extract(data, '$.until') FROM events \
               WHERE kind = 'waiting' AND json_extract(data, '$.state') = 'prepared'";
    let (at, until): (String, String) =
        journal.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let [at, until] = [at, until].map(|t| t.parse::<jiff::Timestamp>().unwrap());
    let hours = until.duration_since(at).as_secs().div_euclid(60);
    assert!((24 * 60 - 1..=24 * 60).contains(&hours), "{at} {until}");
    let job = world.run(&["history", "--json"]).exits(0).only();
    assert!(job["next"].as_str().unwrap().contains("24 hours"), "{job}");
}

/// R72: configured, then enrolled, in one job.
#[test]
fn prepared_and_enrolled_in_one_go() {
    let world = World::of(IN_SETUP);
    supervise(&world, &[SUPERVISOR], "");
    let profile = world.profile.clone();
    let done = prepare(&world, &[&profile, "--supervised", "--skip", "Siri"]).exits(0).only();
    stands(&done, "enrolled", "none", 1);
    world.device_got(1, true);
    assert_eq!(configurations(&world), 1);
    let info = world.run(&["info", "--json"]).exits(0).only();
    assert_eq!(info["supervised"], true, "{info}");
    let again = prepare(&world, &[&profile, "--supervised", "--skip", "Siri"]).exits(0).only();
    assert_eq!((&again["outcome"], configurations(&world)), (&json!("already-enrolled"), 1));
}

/// R72: Wi-Fi profile, cloud configuration, MDM profile, read back.
#[test]
fn the_network_comes_before_the_configuration() {
    let world = World::of(IN_SETUP);
    supervise(&world, &[SUPERVISOR], "[wifi]\nssid = 'Bench'\nsecurity = 'none'\n");
    let done = prepare(&world, &[&world.profile, "--supervised"]).exits(0).only();
    stands(&done, "enrolled", "none", 1);
    let steps = steps(&world);
    let at = |wanted: &str| steps.iter().position(|(step, result)| step == wanted && result == "done");
    let order = ["push-helper", "configure", "install", "verify"].map(|step| at(step).unwrap());
    assert!(order.is_sorted(), "{steps:?}");
}

/// R132, R133: afterwards only a station with the identity can pair, which ours is.
#[test]
fn closed_to_computers_but_its_supervisor() {
    let world = World::of(IN_SETUP);
    supervise(&world, &[SUPERVISOR], "");
    let done = prepare(&world, &["--supervised", "--no-pairing"]).exits(0).only();
    stands(&done, "prepared", "none", 0);
    assert_eq!(world.sim.first()["trusted_hosts"], json!([]), "the device forgot every host");
    let again = prepare(&world, &["--supervised", "--no-pairing"]).exits(0).only();
    assert_eq!((&again["outcome"], configurations(&world)), (&json!("prepared"), 1), "{again}");
    world.run(&["unpair"]).exits(0);
    world.bench.write("enlist.toml", "");
    assert_eq!(world.run(&["pair", "--json"]).exits(5).only()["outcome"], "pairing-forbidden");
}

#[test]
fn only_a_device_at_its_hello_screen_is_prepared() {
    let world = World::of(READY);
    let done = prepare(&world, &[]).exits(1).only();
    stands(&done, "failed", "device", 0);
    assert!(done["next"].as_str().unwrap().contains("enlist erase"), "{done}");
    assert_eq!(configurations(&world), 0);
}

/// R107: what is not supervised and should be is erased and supervised.
#[test]
fn a_used_device_is_erased_then_supervised() {
    let world = World::of(&format!("reboot_takes = '300ms'\nactivates_after = '2s'\n{READY}"));
    supervise(&world, &[SUPERVISOR], "");
    let serial = world.sim.first()["serial"].as_str().unwrap().to_owned();
    let udid = world.sim.udids[0].clone();
    world.run(&["erase", "-u", &udid, "--yes-erase", &serial]).exits(0);
    // It activates itself meanwhile, which is waited for.
    let done = prepare(&world, &["--supervised"]).exits(0).only();
    stands(&done, "prepared", "none", 0);
    let info = world.run(&["info", "--json"]).exits(0).only();
    assert_eq!(info["supervised"], true, "{info}");
}

/// A station cannot activate without Apple's servers (5.1): it waits, and then says so.
#[test]
fn a_device_that_is_not_activated_is_waited_for() {
    let world = World::of("persona = 'unactivated'\nactivates_after = '3s'");
    assert_eq!(prepare(&world, &[]).exits(0).only()["outcome"], "prepared");
    let world = World::of("persona = 'unactivated'");
    stands(&prepare(&world, &["--person-within", "1"]).exits(3).only(), "not-activated", "operator", 0);
    let world = World::of("persona = 'activation-locked'");
    stands(&prepare(&world, &[]).exits(3).only(), "activation-locked", "operator", 0);
}

#[test]
fn a_device_of_automated_enrollment_refuses_and_says_why() {
    let world = World::of(&format!("{IN_SETUP}\nautomated = true"));
    let done = prepare(&world, &[]).exits(1).only();
    assert_eq!(done["outcome"], "failed", "{done}");
    assert!(done["next"].as_str().unwrap().contains("Automated Device Enrollment"), "{done}");
    assert_eq!(done["chain"][0]["code"], 33004, "{done}");
}

#[test]
fn what_no_device_can_be_prepared_with_is_refused_before_any_is_touched() {
    let world = World::of(IN_SETUP);
    let said = |args: &[&str]| prepare(&world, args).fails_clearly(2);
    assert!(said(&["--enrollment-url", "http://mdm.bench.example"]).contains("https"));
    let profile_url = "https://appleconfigurator2.manage.microsoft.com/MDMServiceConfig?id=1111";
    assert!(said(&["--enrollment-url", profile_url]).contains("Profile URL"));
    assert!(said(&["--supervised"]).contains("supervision identity"));
    assert!(said(&["--no-pairing"]).contains("supervised"));
    assert!(world.run(&["prepare"]).fails_clearly(2).contains("organisation"));
    assert_eq!(count(&world.sim.first(), "pair_requests"), 0);
}

/// A server with the two pages of 3.6; ends with the test.
fn portal() -> (u16, X509, Vec<u8>) {
    let (certificate, key) = crate::supervision::server_identity();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    acceptor.set_private_key(&key).unwrap();
    let acceptor = acceptor.build();
    let listener = std::net::TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let anchor = certificate.to_der().unwrap();
    let listed = openssl::base64::encode_block(&anchor);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Ok(mut stream) = acceptor.accept(stream) else { continue };
            let mut request = [0; 2048];
            let n = stream.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            let body = if request.starts_with("GET /MDMServiceConfig?id=canary ") {
                json!({ "dep_enrollment_url": URL, "dep_anchor_certs_url": format!("https://localhost:{port}/anchors") })
            } else if request.starts_with("GET /anchors ") {
                json!([listed])
            } else {
                json!({})
            };
            let body = body.to_string();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown();
        }
    });
    (port, certificate, anchor)
}

/// R53, against a server of ours: it is no portal, but speaks as 3.6 says.
#[test]
fn a_profile_url_is_asked_for_the_enrollment_address() {
    let world = World::of(IN_SETUP);
    let (port, certificate, _) = portal();
    let url = format!("https://localhost:{port}/MDMServiceConfig?id=canary");
    // Nobody vouches for the server.
    let said = prepare(&world, &["--profile-url", &url]).fails_clearly(1);
    assert!(said.contains("localhost is not trusted") && !said.contains("canary"), "{said}");
    let root = world.bench.write("portal.pem", certificate.to_pem().unwrap());
    world.bench.write("enlist.toml", format!("trusted_roots = ['{root}']\n"));
    let done = prepare(&world, &["--profile-url", &url]).exits(0);
    stands(&done.only(), "prepared", "none", 0);
    assert!(!done.all_output().contains("canary"), "{done}");
    assert_eq!(configurations(&world), 1);
    // What it answered is what a device was given.
    let job = world.run(&["history", "--json"]).exits(0).only();
    assert!(job["profile_name"].as_str().unwrap().contains("mdm.bench.example"), "{job}");
    let other = format!("https://localhost:{port}/MDMServiceConfig?id=other");
    let said = prepare(&world, &["--profile-url", &other]).fails_clearly(1);
    assert!(said.contains("dep_enrollment_url"), "{said}");
    let said = prepare(&world, &["--profile-url", "https://localhost/other"]).fails_clearly(2);
    assert!(said.contains("Profile URL must be"), "{said}");
}

/// Whatever moment it is killed at, the next run looks at the device and goes on.
#[test]
fn kills_in_the_middle_lose_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::of(&format!("latency = '5ms+5ms'\n{IN_SETUP}"));
    supervise(&world, &[SUPERVISOR], "[prepare]\norganization = 'Contoso'\nsupervised = true\n");
    for _ in 0..12 {
        let mut running = world.bench.start(&["prepare", &world.profile, "--json"]);
        std::thread::sleep(Duration::from_millis(rng.u64(5..500)));
        running.kill();
    }
    // A kill between the journal's commit and the push makes this one wait 45 s.
    let running = world.bench.start(&["prepare", &world.profile, "--json"]);
    let done = running.within(Duration::from_secs(120)).finish().exits(0).only();
    let outcome = done["outcome"].as_str().unwrap();
    assert!(["enrolled", "already-enrolled"].contains(&outcome), "seed {seed}: {done}");
    let device = world.device_got(count(&world.sim.first(), "pushes_received"), true);
    assert_eq!((configurations(&world), count(&device, "installs")), (1, 1), "seed {seed}: {device}");
}
