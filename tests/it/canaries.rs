//! Planted secrets are looked for in everything that leaves the program: output at every
//! level of its log, the journal's bytes, the board. And where secrets must be, nobody else
//! can read them.

use crate::outcomes::{READY, World};
use crate::support::profile::{f01_with_challenge, plain_f01};
use enlist::wire::pair_record::PairRecord;
use openssl::base64::encode_block;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const CHALLENGE: &str = "canary-51c0ffee-challenge";

/// Secrets in every form a leak could take.
struct Canaries {
    forms: Vec<(String, Vec<u8>)>,
}

impl Canaries {
    fn new() -> Self {
        let mut all = Self { forms: Vec::new() };
        all.plant("challenge", CHALLENGE.as_bytes());
        all.forms.push(("any private key".into(), b"PRIVATE KEY".to_vec()));
        all
    }

    fn plant(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= 16, "{name} is too short to be looked for");
        let hex = |upper: bool| -> String {
            let digit = |b: &u8| if upper { format!("{b:02X}") } else { format!("{b:02x}") };
            secret.iter().map(digit).collect()
        };
        // Bytes as Rust's own debug output writes them, and base64 without its last, padded part.
        let list = secret[..16].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let base64 = encode_block(&secret[..secret.len() / 3 * 3]).replace('\n', "");
        for form in [secret.to_vec(), hex(true).into(), hex(false).into(), list.into(), base64.into()] {
            self.forms.push((name.to_owned(), form));
        }
    }

    /// The body of a PEM file, line by line: a leak may be cut anywhere.
    fn plant_pem(&mut self, name: &str, pem: &[u8]) {
        let text = String::from_utf8(pem.to_vec()).unwrap();
        let body: Vec<_> = text.lines().filter(|line| !line.starts_with('-') && line.len() >= 32).collect();
        assert!(body.len() > 3, "{name} is no key");
        self.plant(name, pem);
        self.forms.extend(body.iter().map(|line| (name.to_owned(), line.as_bytes().to_vec())));
    }

    #[track_caller]
    fn are_not_in(&self, place: &str, bytes: &[u8]) {
        for (name, form) in &self.forms {
            let found = bytes.windows(form.len()).any(|window| window == form);
            assert!(!found, "{name} is in {place}");
        }
    }
}

/// The net has no holes: each form is found where it is.
#[test]
fn canaries_are_found_where_they_are() {
    let mut canaries = Canaries::new();
    canaries.plant("bag", &[0x5e; 32]);
    for (name, form) in &canaries.forms {
        let leak = [b"x", form.as_slice(), b"y"].concat();
        let caught = std::panic::catch_unwind(|| canaries.are_not_in("a leak", &leak)).is_err();
        assert!(caught, "{name} slipped through");
    }
    canaries.are_not_in("a plain profile", &plain_f01());
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

fn newest_record(world: &World) -> PairRecord {
    let folder = world.bench.state_dir().join("pair-records").join(&world.sim.udids[0]);
    let path = files_below(&folder).into_iter().max().unwrap();
    PairRecord::from_bytes(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn no_secret_leaves_the_program() {
    let world = World::of(READY);
    let profile = world.bench.write("secret.mobileconfig", f01_with_challenge(CHALLENGE));
    let file = profile.as_str();
    let mut outputs = Vec::new();
    for args in [
        &["pair", "-vvv"][..],
        &["enroll", file, "-vvv"],
        &["enroll", file, "-vvv", "--json", "--all"],
        &["serve", file, "--once", "--json", "-vvv"],
        &["profile", "show", file, "-vvv"],
        &["profile", "show", file, "--json"],
        &["info", "--json", "-vvv"],
        &["installed", "--json"],
        &["history", "--json"],
        &["doctor", "-vvv"],
        &["unpair", "-vvv"],
    ] {
        let done = world.run(args);
        assert!(done.code == Some(0) || args[0] == "doctor", "{done}");
        outputs.push((format!("the output of {args:?}"), done.all_output().into_bytes()));
    }
    // What goes wrong is logged in more words: a device that forgot the station, in the log of
    // every crate.
    world.sim.control(&serde_json::json!({ "do": "forget-pairing", "udid": world.sim.udids[0] }));
    world.run(&["pair"]).exits(0);
    world.sim.control(&serde_json::json!({ "do": "forget-pairing", "udid": world.sim.udids[0] }));
    let loud = world.bench.run_with("ENLIST_LOG", "trace", &["info"]).exits(0);
    assert!(loud.stderr.contains("DEBUG"), "nothing was logged at all\n{loud}");
    outputs.push(("the loudest log".into(), loud.all_output().into_bytes()));
    let again = world.bench.run_with("ENLIST_LOG", "trace", &["enroll", file, "--json"]).exits(0);
    outputs.push(("the log of a repaired pairing".into(), again.all_output().into_bytes()));

    let mut canaries = Canaries::new();
    let record = newest_record(&world);
    canaries.plant_pem("host key", record.host_private_key.expose());
    canaries.plant_pem("root key", record.root_private_key.as_ref().unwrap().expose());
    canaries.plant("escrow bag", record.escrow_bag.as_ref().unwrap().expose());
    for (place, bytes) in &outputs {
        canaries.are_not_in(place, bytes);
    }
    // The journal with what SQLite keeps beside it, and whatever else is not a place of keys.
    let mut looked_at = Vec::new();
    for path in files_below(&world.bench.state_dir()) {
        let name = path.strip_prefix(world.bench.state_dir()).unwrap().display().to_string();
        if name != "identity.plist" && !name.starts_with("pair-records/") {
            canaries.are_not_in(&name, &fs::read(&path).unwrap());
            looked_at.push(name);
        }
    }
    assert!(looked_at.iter().any(|name| name == "journal.sqlite3"), "{looked_at:?}");
}

/// What is recorded is for strangers: it holds neither secrets nor what tells whose device it is.
#[test]
fn no_secret_and_no_name_is_in_a_recording() {
    const NAME: &str = "canary-7a11 phone of Ann";
    let world = World::of(&format!("{READY}\nname = '{NAME}'\npolicies_after = '200ms'"));
    let profile = world.bench.write("secret.mobileconfig", f01_with_challenge(CHALLENGE));
    let password = world.bench.write("password", "canary-77aa-wifi-password\n");
    world.bench.write("enlist.toml", format!("[wifi]\nssid = 'canary-wifi'\npassword_file = '{password}'\n"));
    let into = world.bench.path("recording");
    let named = ["--name", "canary-5e7 {{SERIAL}}", "--policies-within", "20"];
    let args =
        [&["enroll", &profile, "-vvv", "--json", "--record", into.to_str().unwrap()], &named[..]].concat();
    let done = world.run(&args).exits(0);
    let info = world.run(&["info", "--json"]).exits(0).only();

    let mut canaries = Canaries::new();
    let record = newest_record(&world);
    canaries.plant("escrow bag", record.escrow_bag.as_ref().unwrap().expose());
    canaries.are_not_in("the output", &done.all_output().into_bytes());
    for (name, pem) in [
        ("host certificate", &record.host_certificate),
        ("root certificate", &record.root_certificate),
        ("device certificate", &record.device_certificate),
    ] {
        canaries.plant_pem(name, pem);
    }
    for (name, text) in [
        ("host id", record.host_id.as_str()),
        ("station id", &record.system_buid),
        ("profile uuid", crate::support::profile::UUID),
        ("password", "canary-77aa-wifi-password"),
    ] {
        canaries.plant(name, text.as_bytes());
    }
    for key in ["udid", "serial", "imei", "wifi_address", "name"] {
        let text = info[key].as_str().unwrap_or_else(|| panic!("no {key} in {info}"));
        assert!(text.len() > 8, "{text}");
        canaries.forms.push((key.to_owned(), text.as_bytes().to_vec()));
    }
    let ecid = u64::from_str_radix(info["udid"].as_str().unwrap().split_once('-').unwrap().1, 16).unwrap();
    canaries.forms.push(("ecid".into(), ecid.to_string().into_bytes()));
    canaries.forms.push(("any canary".into(), b"canary".to_vec()));
    canaries.forms.push(("any certificate".into(), b"BEGIN CERTIFICATE".to_vec()));
    let files = files_below(&into);
    assert!(files.len() > 5, "{files:?}");
    let mut frames = String::new();
    for path in files {
        let bytes = fs::read(&path).unwrap();
        canaries.are_not_in(&path.file_name().unwrap().to_string_lossy(), &bytes);
        frames.push_str(&String::from_utf8(bytes).unwrap());
    }
    // They passed there, though.
    for key in ["EscrowBag", "HostCertificate", "Payload", "SerialNumber", "WiFiAddress", "SetValue"] {
        assert!(frames.contains(key), "{key} was not recorded at all");
    }
}

/// Everything that the API shows of a run, and the log beside it.
#[test]
fn no_secret_is_in_the_api() {
    let world = World::of(READY);
    let profile = world.bench.write("secret.mobileconfig", f01_with_challenge(CHALLENGE));
    let site = crate::http::Site::start(&world.bench, &[&profile, "-vvv"]);
    site.until_ended();
    let mut canaries = Canaries::new();
    let record = newest_record(&world);
    canaries.plant_pem("host key", record.host_private_key.expose());
    canaries.plant("escrow bag", record.escrow_bag.as_ref().unwrap().expose());
    for target in ["station", "bays", "profiles", "jobs", "jobs/1", "doctor", "openapi.json"] {
        let answer = site.get(&format!("/api/v1/{target}"));
        assert_eq!(answer.status, 200, "{target}");
        canaries.are_not_in(target, answer.body.as_bytes());
    }
    site.running.terminate();
    let done = site.running.finish();
    canaries.are_not_in("the station's log", done.all_output().as_bytes());
}

/// The write-ahead log of a running station is looked at while it is there.
#[test]
fn no_secret_waits_in_the_write_ahead_log() {
    let world = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let profile = world.bench.write("secret.mobileconfig", f01_with_challenge(CHALLENGE));
    let mut serving = crate::support::station::Serving::start(&world.bench, &[&profile]);
    serving.until_outcome("waiting-for-person");
    let wal = fs::read(world.bench.state_dir().join("journal.sqlite3-wal")).unwrap();
    assert!(!wal.is_empty());
    let mut canaries = Canaries::new();
    canaries.plant_pem("host key", newest_record(&world).host_private_key.expose());
    canaries.are_not_in("the write-ahead log", &wal);
    serving.kill();
    for path in files_below(&world.bench.state_dir()) {
        if path.file_name().unwrap().to_string_lossy().starts_with("journal") {
            canaries.are_not_in("the journal after a crash", &fs::read(&path).unwrap());
        }
    }
}

/// A crash in the middle of a job, where the system would keep cores and Rust its backtraces.
#[test]
#[cfg(target_os = "linux")]
fn no_secret_is_in_what_a_crash_leaves() {
    let world = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let profile = world.bench.write("secret.mobileconfig", f01_with_challenge(CHALLENGE));
    let station = world.bench.command(&["serve", "--json", "-vvv", &profile]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -S -c $(ulimit -H -c); exec \"$0\" \"$@\""]);
    command.arg(station.get_program()).args(station.get_args()).current_dir(world.bench.path(""));
    command.env_clear().envs(station.get_envs().map(|(name, value)| (name, value.unwrap())));
    command.env("RUST_BACKTRACE", "full").env("ENLIST_LOG", "trace");
    let mut serving = crate::support::station::Serving::of(command);
    serving.until_outcome("waiting-for-person");
    let (limits, done) = serving.crash();

    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{limits}");
    let record = newest_record(&world);
    let mut canaries = Canaries::new();
    canaries.plant_pem("host key", record.host_private_key.expose());
    canaries.plant_pem("root key", record.root_private_key.as_ref().unwrap().expose());
    canaries.plant("escrow bag", record.escrow_bag.as_ref().unwrap().expose());
    assert_eq!(done.code, None, "a signal ended it: {done}");
    assert!(done.stderr.contains("DEBUG"), "nothing was logged: {done}");
    canaries.are_not_in("the output of the crash", done.all_output().as_bytes());
    let beside = |path: &PathBuf| {
        let name = path.strip_prefix(world.bench.path("")).unwrap().to_string_lossy().into_owned();
        name != "secret.mobileconfig"
            && name != "state/identity.plist"
            && !name.starts_with("state/pair-records/")
    };
    for path in files_below(&world.bench.path("")).into_iter().filter(beside) {
        canaries.are_not_in(&path.to_string_lossy(), &fs::read(&path).unwrap_or_default());
    }
    // A panic prints values by Debug.
    canaries.are_not_in("a panic with a pair record", format!("{record:#?}").as_bytes());
}

#[test]
fn files_with_secrets_are_for_their_owner_alone() {
    let world = World::of(READY);
    // The most open of all worlds.
    let script = "umask 000; exec \"$0\" \"$@\"";
    let binary = crate::support::binary::shipped_binary();
    let environment: Vec<_> =
        world.bench.command(&[]).get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).arg(binary).args(["enroll", &world.profile]);
    command.env_clear().envs(environment);
    crate::support::binary::Running::start(command).finish().exits(0);

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = world.bench.state_dir();
    let records = state.join("pair-records");
    for folder in [&state, &records, &records.join(&world.sim.udids[0])] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let files = files_below(&state);
    assert!(files.contains(&state.join("identity.plist")) && files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
