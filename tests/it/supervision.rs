//! Supervision identities: a station that holds the device's needs no person (R23, R133), one
//! that holds another falls back to the person.

#![allow(clippy::disallowed_methods)] // certificates are made now, because the binary looks at the clock

use crate::outcomes::{World, stands};
use crate::support::fleet::count;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use serde_json::Value;

/// The identity that simulated devices are supervised by.
pub(crate) const SUPERVISOR: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/identities/supervisor.pem");

/// Supervised, after setup, and nobody ever comes.
const ALONE: &str = "persona = 'trust-ignored'\nsupervised = true\naccept_after = 'never'";

/// Another identity than the constructed one, valid between these days from now.
fn identity(name: &str, from: i64, to: i64) -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let now = jiff::Timestamp::now().as_second();
    let day = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&day(from)).unwrap();
    builder.set_not_after(&day(to)).unwrap();
    let san = SubjectAlternativeName::new().dns("localhost").build(&builder.x509v3_context(None, None));
    builder.append_extension(san.unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// One for a server on this computer.
pub(crate) fn server_identity() -> (X509, PKey<Private>) {
    identity("localhost", -1, 30)
}

fn pem(identity: &(X509, PKey<Private>)) -> Vec<u8> {
    [identity.0.to_pem().unwrap(), identity.1.private_key_to_pem_pkcs8().unwrap()].concat()
}

/// Tells the station of these identities.
pub(crate) fn supervise(world: &World, files: &[&str], more: &str) {
    let files: Vec<_> = files.iter().map(|file| format!("'{file}'")).collect();
    world.bench.write("enlist.toml", format!("[supervision]\nidentity = [{}]\n{more}", files.join(", ")));
}

/// Steps of the newest job, as the journal has them: name and result.
pub(crate) fn steps(world: &World) -> Vec<(String, String)> {
    let journal = rusqlite::Connection::open(world.bench.state_dir().join("journal.sqlite3")).unwrap();
    let sql = "SELECT step, result FROM steps WHERE job = (SELECT max(id) FROM jobs) ORDER BY seq";
    let mut rows = journal.prepare(sql).unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn did(world: &World, step: &str, result: &str) -> bool {
    steps(world).contains(&(step.to_owned(), result.to_owned()))
}

#[test]
fn a_supervised_device_is_enrolled_without_a_tap() {
    let world = World::of(ALONE);
    supervise(&world, &[SUPERVISOR], "");
    let planned = world.enroll(&["--dry-run"]).exits(0).only();
    assert!(planned["sentence"].as_str().unwrap().contains("asked for trust first"), "{planned}");
    let done = world.enroll(&[]).exits(0);
    stands(&done.only(), "enrolled", "none", 1);
    let device = world.device_got(1, true);
    assert_eq!((count(&device, "escalations"), &device["dialog"]), (1, &Value::from("closed")), "{device}");
    assert!(did(&world, "escalate", "done"), "{:?}", steps(&world));
    let again = world.enroll(&[]).exits(0).only();
    stands(&again, "already-enrolled", "none", 0);
}

/// What comes first is installed as the enrollment profile is: as its supervisor, once shown.
#[test]
fn a_supervisor_s_helpers_need_nobody_either() {
    let world = World::of(ALONE);
    supervise(&world, &[SUPERVISOR], "[wifi]\nssid = 'Bench'\nsecurity = 'none'\n");
    stands(&world.enroll(&[]).exits(0).only(), "enrolled", "none", 1);
    let device = world.sim.first();
    assert_eq!((count(&device, "escalations"), count(&device, "installs")), (1, 2), "{device}");
    let waited = steps(&world).iter().any(|(step, _)| step.starts_with("wait-for-"));
    assert!(did(&world, "push-helper", "done") && !waited, "{:?}", steps(&world));
}

#[test]
fn a_device_closed_to_computers_lets_its_supervisor_in() {
    let world = World::of("persona = 'supervised-challenge'\naccept_after = 'never'");
    let shut = world.enroll(&[]).exits(5).only();
    stands(&shut, "pairing-forbidden", "device", 0);
    supervise(&world, &[SUPERVISOR], "");
    let info = world.run(&["pair", "--json"]).exits(0).only();
    assert_eq!(info["outcome"], "attached", "{info}");
    let planned = world.enroll(&["--dry-run"]).exits(0).only();
    assert!(planned["sentence"].as_str().unwrap().contains("escalate, install, verify"), "{planned}");
    stands(&world.enroll(&[]).exits(0).only(), "enrolled", "none", 1);
}

#[test]
fn another_identity_is_told_and_the_person_is_asked() {
    let other = pem(&identity("Somebody Else", -1, 30));
    // The device demands a supervisor.
    let world = World::of("persona = 'supervised-challenge'");
    let file = world.bench.write("other.pem", &other);
    supervise(&world, &[&file], "");
    let shut = world.enroll(&[]).exits(5).only();
    stands(&shut, "pairing-forbidden", "device", 0);
    assert!(shut["sentence"].as_str().unwrap().contains("Somebody Else"), "{shut}");
    // It lets everybody pair: its person installs.
    let world = World::of("supervised = true\ntrust_after = '100ms'\naccept_after = '100ms'");
    let file = world.bench.write("other.pem", &other);
    supervise(&world, &[&file], "");
    stands(&world.enroll(&[]).exits(0).only(), "enrolled", "none", 1);
    assert_eq!(count(&world.sim.first(), "escalations"), 0);
    assert!(did(&world, "wait-for-person", "done"), "{:?}", steps(&world));
}

#[test]
fn of_several_identities_the_device_s_own_is_found() {
    let world = World::of(ALONE);
    let files: Vec<_> = (0..3)
        .map(|n| world.bench.write(&format!("{n}.pem"), pem(&identity(&format!("Other {n}"), -1, 30))))
        .collect();
    let mut all: Vec<&str> = files.iter().map(String::as_str).collect();
    all.push(SUPERVISOR);
    supervise(&world, &all, "");
    stands(&world.enroll(&[]).exits(0).only(), "enrolled", "none", 1);
    assert_eq!(count(&world.sim.first(), "escalations"), 1);
}

#[test]
fn an_identity_that_expired_is_told_and_the_person_is_asked() {
    let world = World::of("persona = 'in-setup'\naccept_after = '100ms'");
    let file = world.bench.write("old.pem", pem(&identity("Old Bench", -30, -1)));
    supervise(&world, &[&file], "[prepare]\norganization = 'Contoso'\nsupervised = true\n");
    let prepared = world.run(&["prepare", "--json"]).exits(0);
    assert!(prepared.stderr.contains("Old Bench, expired"), "{prepared}");
    world.sim.does("finish-setup");
    stands(&world.enroll(&[]).exits(0).only(), "enrolled", "none", 1);
    assert!(did(&world, "escalate", "warning"), "{:?}", steps(&world));
    assert_eq!(count(&world.sim.first(), "escalations"), 0);
}

/// Whether a silent MDM install works on every system is unconfirmed (R23).
#[test]
fn a_device_that_refuses_the_silent_install_asks_its_person() {
    let world = World::of("supervised = true\naccept_after = '100ms'\nsilent_install_forbidden = true");
    supervise(&world, &[SUPERVISOR], "");
    let done = world.enroll(&[]).exits(0).only();
    assert_eq!(done["outcome"], "enrolled", "{done}");
    assert!(did(&world, "wait-for-person", "done"), "{:?}", steps(&world));
}

#[test]
fn pkcs12_with_its_password_from_a_file_or_the_environment() {
    const PASSWORD: &str = "canary-5eed-password";
    let (certificate, key) = (std::fs::read(SUPERVISOR).unwrap(), std::fs::read(SUPERVISOR).unwrap());
    let (certificate, key) =
        (X509::from_pem(&certificate).unwrap(), PKey::private_key_from_pem(&key).unwrap());
    let p12 = Pkcs12::builder().name("bench").pkey(&key).cert(&certificate).build2(PASSWORD).unwrap();
    let world = World::of(ALONE);
    let file = world.bench.write("identity.p12", p12.to_der().unwrap());
    let password = world.bench.write("password", format!("{PASSWORD}\n"));
    supervise(&world, &[&file], "");
    let said = world.run(&["config"]).fails_clearly(2);
    assert!(said.contains("password"), "{said}");
    supervise(&world, &[&file], "password_env = 'BENCH_PASSWORD'\n");
    let said = world.run(&["config"]).fails_clearly(2);
    assert!(said.contains("BENCH_PASSWORD"), "{said}");
    let good = world.bench.run_with("BENCH_PASSWORD", PASSWORD, &["config"]).exits(0);
    assert!(!good.all_output().contains(PASSWORD));
    supervise(&world, &[&file], &format!("password_file = '{password}'\n"));
    let loud = world.bench.run_with("ENLIST_LOG", "trace", &["enroll", &world.profile, "--json"]).exits(0);
    let journal = std::fs::read(world.bench.state_dir().join("journal.sqlite3")).unwrap();
    let private = key.private_key_to_pem_pkcs8().unwrap();
    let private = String::from_utf8(private).unwrap();
    let secrets = private.lines().filter(|line| line.len() > 32).chain([PASSWORD, "PRIVATE KEY"]);
    for secret in secrets {
        assert!(!loud.all_output().contains(secret), "{secret} is in the log");
        assert!(!journal.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret} is in the journal");
    }
}

#[test]
fn a_file_that_is_no_identity_is_refused_in_words() {
    let world = World::of("persona = 'ready'");
    let nonsense = world.bench.write("nonsense.pem", "nonsense");
    for (file, words) in [(nonsense.as_str(), "neither PEM nor PKCS#12"), ("/nowhere/id.pem", "is not there")]
    {
        supervise(&world, &[file], "");
        let said = world.run(&["enroll", &world.profile]).fails_clearly(2);
        assert!(said.contains(words), "{said}");
    }
}
