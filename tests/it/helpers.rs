//! What is on a device before the enrollment profile: helper profiles (R42, R72) and its name
//! (R41). The shipped binary against a simulator.

use crate::support::binary::{Bench, Done};
use crate::support::fleet::{Simulator, count};
use crate::support::profile::{IDENTIFIER, SIGNER, f01};
use crate::support::station::Serving;
use enlist::journal::{HistoryFilter, JournalReader};
use enlist::workflow::event::{EventKind, PushAnswer, StepId, StepResult};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

const PASSWORD: &str = "canary-77aa-wifi-password";
const IN_SETUP: &str = "persona = 'in-setup'";
const READY: &str = "pairing = 'silent'\naccept_after = '300ms'";

/// A profile of somebody else's, to be there first too.
const OTHER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>example.bench.restrictions</string>
<key>PayloadUUID</key><string>4444DDDD-0000-4000-8000-000000000000</string>
<key>PayloadDisplayName</key><string>Bench settings</string>
<key>PayloadContent</key><array><dict>
<key>PayloadType</key><string>com.apple.applicationaccess</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>example.bench.restrictions.1</string>
<key>PayloadUUID</key><string>4444DDDD-0000-4000-8000-000000000001</string>
<key>allowUntrustedTLSPrompt</key><true/>
</dict></array>
</dict></plist>"#;

struct World {
    bench: Bench,
    sim: Simulator,
    profile: String,
    root: String,
    other: String,
}

impl World {
    /// A device, a network in the configuration, and files for two more helpers.
    fn of(device: &str) -> Self {
        let bench = Bench::new();
        let sim = Simulator::of(&bench, &format!("[[device]]\n{device}\n"));
        let profile = bench.write("enroll.mobileconfig", f01());
        let root = bench.write("root.pem", SIGNER.root_pem().unwrap());
        let other = bench.write("other.mobileconfig", OTHER);
        let password = bench.write("password", format!("{PASSWORD}\n"));
        bench.write("enlist.toml", format!("[wifi]\nssid = 'Bench'\npassword_file = '{password}'\n"));
        Self { bench, sim, profile, root, other }
    }

    /// Enrolls with all three helpers, given in the wrong order.
    fn enroll(&self, more: &[&str]) -> Done {
        let all = ["enroll", &self.profile, "--json", "--helper", &self.other, "--helper", &self.root];
        self.bench.run(&[&all, more].concat())
    }

    fn serve(&self) -> Serving {
        let all = [self.profile.as_str(), "--helper", &self.other, "--helper", &self.root];
        Serving::start(&self.bench, &all)
    }

    /// What the last job wrote down.
    fn events(&self) -> Vec<EventKind> {
        let reader = JournalReader::open(&self.bench.state_dir().join("journal.sqlite3")).unwrap();
        assert_eq!(reader.check(), Vec::<String>::new());
        let job = reader.history(&HistoryFilter::default()).unwrap().remove(0);
        reader.job_events(job.id).unwrap().into_iter().map(|event| event.kind).collect()
    }
}

/// Identifiers on the device, in the order they were installed.
fn installed(device: &Value) -> Vec<String> {
    let shown =
        |p: &Value| p["identifier"].as_str().unwrap().split('.').take(3).collect::<Vec<_>>().join(".");
    device["installed"].as_array().unwrap().iter().map(shown).collect()
}

const IN_ORDER: [&str; 4] =
    ["enlist.helper.roots", "enlist.helper.wifi", "example.bench.restrictions", IDENTIFIER];

/// Names of what matters here, in order.
fn story(events: &[EventKind]) -> Vec<String> {
    let told = |event: &EventKind| match event {
        EventKind::HelperPushStarted { helper } => Some(format!("push {}", helper.kind.name())),
        EventKind::HelperPushAnswered { answer: PushAnswer::Refused, .. } => Some("refused".to_owned()),
        EventKind::WaitingForHelper { helper, .. } => Some(format!("wait {}", helper.kind.name())),
        EventKind::PushStarted { .. } => Some("push profile".to_owned()),
        EventKind::JobEnded(verdict) => Some(verdict.outcome.name().to_owned()),
        _ => None,
    };
    events.iter().filter_map(told).collect()
}

#[test]
fn helpers_are_there_before_the_enrollment_profile_in_their_order() {
    let world = World::of(IN_SETUP);
    let result = world.enroll(&[]).exits(0).only();
    assert_eq!((&result["outcome"], &result["pushes"]), (&"enrolled".into(), &1.into()), "{result}");
    let device = world.sim.first();
    assert_eq!(installed(&device), IN_ORDER);
    assert_eq!(count(&device, "pushes_received"), 4);
    let events = world.events();
    assert_eq!(story(&events), ["push roots", "push wifi", "push other", "push profile", "enrolled"]);
    let read_back = |event: &&EventKind| {
        matches!(event, EventKind::StepFinished { step: StepId::PushHelper, result: StepResult::Done, detail: Some(d) }
            if d.contains(" with UUID "))
    };
    assert_eq!(events.iter().filter(read_back).count(), 3, "{events:#?}");
}

#[test]
fn a_helper_that_is_there_is_not_pushed() {
    let world = World::of(IN_SETUP);
    world.enroll(&[]).exits(0);
    world.bench.run(&["remove", IDENTIFIER, "--yes"]).exits(0);
    world.enroll(&[]).exits(0);
    let device = world.sim.first();
    assert_eq!(count(&device, "pushes_received"), 5, "{device}");
    assert_eq!(story(&world.events()), ["push profile", "enrolled"]);
    // Another password is another version, and takes the place of the first.
    world.bench.run(&["remove", IDENTIFIER, "--yes"]).exits(0);
    world.bench.write("password", format!("{PASSWORD}-2"));
    world.enroll(&[]).exits(0);
    assert_eq!(story(&world.events()), ["push wifi", "push profile", "enrolled"]);
    let device = world.sim.first();
    assert_eq!(installed(&device).iter().filter(|id| id.starts_with("enlist.helper.wifi")).count(), 1);
}

#[test]
fn each_helper_waits_for_its_person_in_its_own_words() {
    let world = World::of(READY);
    let mut serving = world.serve();
    let mut waited = Vec::new();
    while waited.len() < 4 {
        let change = serving.until_outcome("waiting-for-person");
        if waited.last() != Some(&change["sentence"]) {
            assert!(change["until"].is_string(), "{change}");
            waited.push(change["sentence"].clone());
        }
    }
    assert_eq!(
        waited[0],
        "Install the certificate profile \"Root certificates\"; the enrollment profile follows."
    );
    assert_eq!(waited[1], "Install the Wi-Fi profile \"Wi-Fi Bench\"; the enrollment profile follows.");
    assert!(waited[2].as_str().unwrap().contains("\"Bench settings\""));
    assert_eq!(serving.until_ended()["outcome"], "enrolled");
    serving.end().exits(0);
    let device = world.sim.first();
    assert_eq!(installed(&device), IN_ORDER);
    // Never two at a time: a device keeps one only (4.5).
    assert_eq!((count(&device, "pushes_received"), count(&device, "pushes_replacing")), (4, 0), "{device}");
}

#[test]
fn the_card_of_a_helper_asks_for_no_trust() {
    let world = World::of(READY);
    let args = ["enroll", world.profile.as_str(), "--helper", &world.root];
    let done = world.bench.run(&args).exits(0);
    let said = done.stdout.join("\n");
    for step in ["Certificate Trust Settings", "the next profile follows", "Remote management: tap Trust"] {
        assert!(said.contains(step), "{step}: {done}");
    }
}

#[test]
fn a_killed_station_does_not_push_a_waiting_helper_again() {
    let world = World::of("pairing = 'silent'\naccept_after = 'never'");
    let mut serving = world.serve();
    let is_wifi = |change: &Value| change["sentence"].as_str().is_some_and(|s| s.contains("Wi-Fi Bench"));
    serving.until("the roots", |change| change["outcome"] == "waiting-for-person");
    world.sim.until_left_alone();
    serving.kill();
    assert_eq!(count(&world.sim.first(), "pushes_received"), 1);
    let mut serving = world.serve();
    serving.until("the roots again", |change| change["outcome"] == "waiting-for-person");
    assert_eq!(count(&world.sim.first(), "pushes_received"), 1, "looked at, not pushed");
    world.sim.does("accept");
    serving.until("the network", is_wifi);
    // A cable that slips is the same.
    world.sim.does("reattach");
    serving.until("the network again", is_wifi);
    world.sim.until_left_alone();
    for _ in 0..3 {
        let before = installed(&world.sim.first()).len();
        world.sim.does("accept");
        world.sim.until("the next profile", |d| {
            installed(d).len() == 4 || installed(d).len() > before && !d["pending"].is_null()
        });
    }
    assert_eq!(serving.until_ended()["outcome"], "enrolled");
    serving.end().exits(0);
    let device = world.sim.first();
    assert_eq!(installed(&device), IN_ORDER);
    assert_eq!((count(&device, "pushes_received"), count(&device, "pushes_replacing")), (4, 0), "{device}");
}

#[test]
fn a_refused_helper_ends_the_job_in_its_own_words() {
    let refuses =
        "install_errors = [{ domain = 'MCWiFiErrorDomain', code = 13002, only = 'com.apple.wifi.managed' }]";
    let world = World::of(&format!("{IN_SETUP}\n{refuses}"));
    let result = world.enroll(&[]).exits(1).only();
    let said = result["sentence"].as_str().unwrap();
    assert!(said.starts_with("The device refused the Wi-Fi profile \"Wi-Fi Bench\""), "{result}");
    assert_eq!(
        (&result["outcome"], &result["class"]),
        (&"failed".into(), &"configuration".into()),
        "{result}"
    );
    assert!(result["next"].as_str().unwrap().contains("[wifi]"), "{result}");
    assert_eq!(result["chain"].as_array().unwrap().last().unwrap()["code"], 13002, "{result}");
    assert_eq!(story(&world.events()), ["push roots", "push wifi", "refused", "failed"]);
    assert_eq!(installed(&world.sim.first()), ["enlist.helper.roots"]);
}

#[test]
fn nobody_installs_a_helper() {
    let world = World::of("pairing = 'silent'\naccept_after = 'never'");
    let result = world.enroll(&["--accept-within", "1"]).exits(3).only();
    assert_eq!(result["outcome"], "person-did-not-accept", "{result}");
    assert!(result["sentence"].as_str().unwrap().contains("Root certificates"), "{result}");
    assert_eq!(count(&world.sim.first(), "pushes_received"), 1);
}

#[test]
fn a_dry_run_names_what_comes_first() {
    let world = World::of(IN_SETUP);
    world.bench.run(&["pair"]).exits(0);
    let result = world.enroll(&["--dry-run", "--name", "Front desk"]).exits(0).only();
    let said = result["sentence"].as_str().unwrap();
    let steps = "name-device, push-helper, wait-for-helper, push-helper, wait-for-helper, push-helper, wait-for-helper, install";
    assert!(said.contains(steps), "{said}");
    assert!(said.contains("then the Wi-Fi profile \"Wi-Fi Bench\", then the helper profile"), "{said}");
    assert_eq!(count(&world.sim.first(), "pushes_received"), 0);
}

#[test]
fn the_password_is_on_the_device_and_nowhere_else() {
    let world = World::of(IN_SETUP);
    let all = ["enroll", &world.profile, "--json", "--helper", &world.root, "-vvv"];
    let loud = world.bench.run_with("ENLIST_LOG", "trace", &all).exits(0);
    let shown = world.bench.run(&["profile", "helpers"]).exits(0);
    let json = world.bench.run(&["profile", "helpers", "--json"]).exits(0);
    let checked = world.bench.run(&["config"]).exits(0);
    let history = world.bench.run(&["history", "--json"]).exits(0);
    // Nor what it could be guessed from: a plain digest of the profile.
    let out = world.bench.path("out");
    world.bench.run(&["profile", "helpers", "-o", out.to_str().unwrap()]).exits(0);
    let made = std::fs::read(out.join("1-wifi.mobileconfig")).unwrap();
    assert!(String::from_utf8_lossy(&made).contains(PASSWORD));
    let digest: String = openssl::sha::sha256(&made).iter().map(|b| format!("{b:02x}")).collect();
    for done in [&loud, &shown, &json, &checked, &history] {
        assert!(!done.all_output().contains(PASSWORD) && !done.all_output().contains(&digest), "{done}");
    }
    for file in ["journal.sqlite3", "journal.sqlite3-wal"] {
        let bytes = std::fs::read(world.bench.state_dir().join(file)).unwrap_or_default();
        for secret in [PASSWORD, digest.as_str()] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {file}");
        }
    }
}

#[test]
fn made_profiles_are_shown_and_pass_the_linter() {
    let world = World::of(IN_SETUP);
    let out = world.bench.path("out");
    let text = out.to_str().unwrap();
    let shown = world
        .bench
        .run(&["profile", "helpers", "--helper", &world.root, "-o", text, "--json"])
        .exits(0)
        .json();
    let kinds: Vec<_> = shown.iter().map(|helper| helper["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["roots", "wifi"]);
    for helper in &shown {
        let file = helper["file"].as_str().unwrap();
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        world.bench.run(&["profile", "lint", "--helper", file]).exits(0);
        let view = world.bench.run(&["profile", "show", file, "--json"]).exits(0).only();
        assert_eq!((&view["identifier"], &view["uuid"]), (&helper["identifier"], &helper["uuid"]));
    }
    // What is there already stays.
    world.bench.run(&["profile", "helpers", "-o", text]).exits(0);
    world.bench.run(&["profile", "helpers", "-o", text]).fails_clearly(2);
}

#[test]
fn what_is_no_helper_is_refused_before_a_device_is_touched() {
    let world = World::of(IN_SETUP);
    let key = world.bench.write("key.pem", SIGNER.key().private_key_to_pem_pkcs8().unwrap());
    let twice = world.bench.write("twice.mobileconfig", OTHER.replace("4444DDDD", "5555EEEE"));
    let broken = world.bench.write("broken.mobileconfig", OTHER.replace("<true/>", ""));
    let odd = world.bench.write(
        "odd.mobileconfig",
        OTHER.replacen("PayloadVersion</key><integer>1", "PayloadVersion</key><integer>2", 2),
    );
    let refused = |files: &[&str], code: i32| {
        let mut all = vec!["enroll", world.profile.as_str()];
        files.iter().for_each(|file| all.extend(["--helper", file]));
        world.bench.run(&all).fails_clearly(code)
    };
    assert!(refused(&[&world.profile], 2).contains("no helper"));
    assert!(refused(&[&key], 2).contains("private key"));
    assert!(refused(&[&world.other, &twice], 2).contains("another helper"));
    refused(&[&broken], 2);
    refused(&[&odd], 2);
    refused(&["/no/such/file"], 2);
    world.bench.write("enlist.toml", "[wifi]\nssid = 'Bench'\npassword_env = 'NO_SUCH_VARIABLE'\n");
    for all in [&["enroll", world.profile.as_str()][..], &["config"], &["profile", "helpers"]] {
        assert!(world.bench.run(all).fails_clearly(2).contains("NO_SUCH_VARIABLE"));
    }
    assert_eq!(count(&world.sim.first(), "messages"), 0);
}

#[test]
fn a_device_has_its_name_before_it_enrolls() {
    let world = World::of(IN_SETUP);
    let result = world.enroll(&["--name", "Bench {{SERIAL}}"]).exits(0).only();
    let device = world.sim.first();
    let name = format!("Bench {}", device["serial"].as_str().unwrap());
    assert_eq!((&device["name"], &result["name"]), (&name.as_str().into(), &name.as_str().into()));
    let events = world.events();
    let place = |wanted: &dyn Fn(&EventKind) -> bool| events.iter().position(wanted).unwrap();
    let named = place(&|e| {
        matches!(e, EventKind::StepFinished { step: StepId::NameDevice, result: StepResult::Done, .. })
    });
    assert!(named < place(&|e| matches!(e, EventKind::HelperPushStarted { .. })));
    assert!(
        world
            .bench
            .run(&["enroll", &world.profile, "--name", "{{OWNER}}"])
            .exits(2)
            .stderr
            .contains("{{SERIAL}}")
    );
}

#[test]
fn a_device_that_keeps_its_name_goes_on() {
    // "SetProhibited if managed" (3.5): this one is, by another MDM.
    let world = World::of("persona = 'other-mdm'");
    let result = world.bench.run(&["enroll", &world.profile, "--json", "--name", "Front desk"]).only();
    assert_eq!(result["outcome"], "other-mdm", "{result}");
    let warned = |event: &EventKind| {
        matches!(event, EventKind::StepFinished { step: StepId::NameDevice, result: StepResult::Warning, detail: Some(d) }
            if d.contains("SetProhibited"))
    };
    assert!(world.events().iter().any(warned));
    assert_ne!(world.sim.first()["name"], "Front desk");
}

#[test]
fn a_failing_network_is_told_from_the_devices_log() {
    let fails = "install_errors = [{ domain = 'MCSCEPErrorDomain', code = 22005 }]";
    let logs = "install_logs = ['XPC_TYPE_ERROR Connection invalid canary.example']";
    let world = World::of(&format!("{IN_SETUP}\n{fails}\n{logs}"));
    let mut serving = world.serve();
    let retrying = serving.until_outcome("retrying");
    serving.end();
    let said = retrying["sentence"].as_str().unwrap();
    assert!(
        said.contains("22005") && said.contains("XPC connection errors") && said.contains("R149"),
        "{said}"
    );
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn management_is_removed_with_consent_and_not_if_it_is_locked() {
    let mdm = "installed = [{ identifier = 'com.example.mdm', name = 'Management', mdm = true }, { identifier = 'example.wifi', name = 'Wi-Fi' }]";
    let world = World::of(&format!("pairing = 'silent'\n{mdm}"));
    assert!(world.bench.run(&["remove", "com.example.mdm"]).fails_clearly(5).contains("leaves its MDM"));
    world.bench.run(&["remove", "example.wifi"]).exits(0);
    world.bench.run(&["remove", "com.example.mdm", "--yes"]).exits(0);
    assert_eq!(installed(&world.sim.first()), Vec::<String>::new());
    let world = World::of(&format!(
        "pairing = 'ask'\ntrust_after = '10ms'\nsupervised = true\nmdm_locked = true\n{mdm}"
    ));
    world.bench.run(&["pair"]).exits(0);
    assert!(world.bench.run(&["remove", "com.example.mdm", "--yes"]).fails_clearly(5).contains("locked"));
    assert_eq!(count(&world.sim.first(), "removals"), 0);
}
