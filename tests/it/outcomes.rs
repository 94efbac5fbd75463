//! Every outcome of design section 3 that can be reached without USB: the shipped binary
//! against one simulated device in another process. A test is named after its outcome and
//! looks at exit code, class, pushes, and at what the device counted.
//!
//! Not reached here, because only the bus shows them and the simulator has no bus:
//! `recovery-mode`, `dfu-mode`, `charging-only`, `mac-attached`; and `quarantined`, which
//! nothing gives yet. What ends with `failed` has its own file, `endings`.

use crate::support::binary::{Bench, Done};
use crate::support::fleet::{Simulator, count, has_profile};
use crate::support::profile::{IDENTIFIER, UUID, f01, f02};
use crate::support::station::Serving;
use serde_json::{Value, json};

/// Nobody is asked for trust, and the profile is accepted at once.
pub(crate) const READY: &str = "pairing = 'silent'\naccept_after = '100ms'";

/// In Setup Assistant: needs nobody at all.
pub(crate) const IN_SETUP: &str = "persona = 'in-setup'";

/// One device, a profile, and nothing done yet.
pub(crate) struct World {
    pub(crate) bench: Bench,
    pub(crate) sim: Simulator,
    pub(crate) profile: String,
}

impl World {
    pub(crate) fn of(device: &str) -> Self {
        let bench = Bench::new();
        let sim = Simulator::of(&bench, &format!("[[device]]\n{device}\n"));
        let profile = bench.write("enroll.mobileconfig", f01());
        Self { bench, sim, profile }
    }

    pub(crate) fn enroll(&self, args: &[&str]) -> Done {
        let mut all = vec!["enroll", self.profile.as_str(), "--json"];
        all.extend(args);
        self.bench.run(&all)
    }

    pub(crate) fn serve(&self, args: &[&str]) -> Serving {
        let mut all = vec![self.profile.as_str()];
        all.extend(args);
        Serving::start(&self.bench, &all)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.bench.run(args)
    }

    /// Asserts what the device was sent, and whether it has the profile.
    #[track_caller]
    pub(crate) fn device_got(&self, pushes: u64, installed: bool) -> Value {
        let device = self.sim.first();
        assert_eq!(count(&device, "pushes_received"), pushes, "{device}");
        assert_eq!(has_profile(&device, IDENTIFIER, UUID), installed, "{device}");
        assert_eq!(count(&device, "pushes_after_accept"), 0, "{device}");
        assert_eq!(count(&device, "private_keys_offered"), 0, "{device}");
        device
    }
}

/// Asserts outcome, class and pushes of a result, and that whoever must act is told how.
#[track_caller]
pub(crate) fn stands(result: &Value, outcome: &str, class: &str, pushes: u64) {
    let is = |key: &str| result[key].as_str().unwrap_or_default();
    assert_eq!((is("outcome"), is("class")), (outcome, class), "{result}");
    assert_eq!(result["pushes"], pushes, "{result}");
    assert!(is("sentence").ends_with('.'), "{result}");
    assert_eq!(result["simulated"], true, "{result}");
    if class != "none" {
        assert!(is("next").len() > 10, "{result}");
    }
}

#[test]
fn attached() {
    let world = World::of("persona = 'trust-ignored'");
    let listed = world.run(&["devices", "--json"]).exits(0).only();
    assert_eq!((&listed["outcome"], &listed["paired"]), (&json!("attached"), &json!(false)), "{listed}");
    let mut serving = world.serve(&[]);
    let first = serving.until_outcome("attached");
    assert_eq!((&first["attached"], &first["ended"]), (&json!(true), &json!(false)));
    assert_eq!(first["udid"], world.sim.udids[0].as_str());
}

#[test]
fn restoring() {
    let world = World::of("persona = 'restore-mode'");
    stands(&world.enroll(&[]).exits(3).only(), "restoring", "operator", 0);
    world.device_got(0, false);
}

#[test]
fn waiting_for_trust() {
    let world = World::of("persona = 'trust-ignored'");
    let mut serving = world.serve(&[]);
    let waiting = serving.until_outcome("waiting-for-trust");
    assert_eq!((&waiting["class"], &waiting["ended"]), (&json!("operator"), &json!(false)), "{waiting}");
    assert!(waiting["until"].is_string(), "{waiting}");
    assert_eq!(world.sim.first()["dialog"], "showing");
    serving.end().exits(0);
    // Patience that ends.
    let result = world.enroll(&["--person-within", "1"]).exits(3).only();
    stands(&result, "waiting-for-trust", "operator", 0);
    world.device_got(0, false);
}

#[test]
fn trust_denied() {
    let world = World::of("persona = 'trust-denied'\ntrust_after = '100ms'");
    stands(&world.enroll(&[]).exits(3).only(), "trust-denied", "operator", 0);
    // Remembered until replug.
    stands(&world.enroll(&[]).exits(3).only(), "trust-denied", "operator", 0);
    assert_eq!(world.sim.first()["dialog"], "denied");
    world.sim.does("reattach");
    assert_eq!(world.sim.first()["dialog"], "closed");
    world.device_got(0, false);
}

#[test]
fn waiting_for_unlock() {
    let world = World::of("persona = 'locked-forever'\naccept_after = '100ms'\ntrust_after = '100ms'");
    let result = world.enroll(&["--person-within", "1"]).exits(3).only();
    stands(&result, "waiting-for-unlock", "operator", 0);
    world.device_got(0, false);
    let mut serving = world.serve(&[]);
    let waiting = serving.until_outcome("waiting-for-unlock");
    assert!(waiting["until"].is_string() && waiting["ended"] == false, "{waiting}");
    world.sim.does("unlock");
    let ended = serving.until_ended();
    stands(&ended, "enrolled", "none", 1);
    world.device_got(1, true);
}

/// The screen goes dark right after Trust was tapped, on a system that then refuses a session:
/// the station waits for its person as before.
#[test]
fn a_device_locked_between_pairing_and_session_is_waited_for() {
    let lock = "faults = [{ kind = 'lock-after', request = 'Pair' }]";
    let world =
        World::of(&format!("pairing = 'silent'\nsession_while_locked = false\nunlock_after = '1s'\n{lock}"));
    let mut serving = world.serve(&[]);
    serving.until_outcome("waiting-for-unlock");
    stands(&serving.until_ended(), "enrolled", "none", 1);
    world.device_got(1, true);
}

/// A device nobody paired with cannot be told from a locked one before its first unlock; a
/// paired one can.
#[test]
fn never_unlocked() {
    let world = World::of("pairing = 'silent'\nunlock_after = 'never'");
    world.run(&["pair", "--json"]).exits(0);
    world.sim.control(&json!({ "do": "reboot", "udid": world.sim.udids[0], "takes": "100ms" }));
    world.sim.until("the reboot", |device| device["attached"] == 2);
    let result = world.enroll(&["--person-within", "1"]).exits(3).only();
    stands(&result, "never-unlocked", "operator", 0);
    let device = world.device_got(0, false);
    assert_eq!(device["unlocked_since_boot"], false);
}

#[test]
fn pairing_forbidden() {
    for persona in ["pairing-forbidden", "supervised-challenge"] {
        let world = World::of(&format!("persona = '{persona}'"));
        stands(&world.enroll(&[]).exits(5).only(), "pairing-forbidden", "device", 0);
        let device = world.device_got(0, false);
        assert_eq!((count(&device, "pairings"), &device["trusted_hosts"]), (0, &json!([])));
    }
}

#[test]
fn not_activated() {
    let world = World::of("persona = 'unactivated'");
    stands(&world.enroll(&[]).exits(3).only(), "not-activated", "operator", 0);
    world.device_got(0, false);
}

#[test]
fn activation_locked() {
    for persona in ["activation-locked", "find-my-locked"] {
        let world = World::of(&format!("persona = '{persona}'"));
        stands(&world.enroll(&[]).exits(3).only(), "activation-locked", "operator", 0);
        world.device_got(0, false);
    }
}

#[test]
fn in_setup() {
    let world = World::of(IN_SETUP);
    let result = world.enroll(&["--setup-assistant", "hold"]).exits(3).only();
    stands(&result, "in-setup", "operator", 0);
    world.device_got(0, false);
    // The same device with the other policy: nobody is needed.
    stands(&world.enroll(&["--setup-assistant", "push"]).exits(0).only(), "enrolled", "none", 1);
    world.device_got(1, true);
}

#[test]
fn too_old() {
    let world = World::of(&format!("persona = 'old-os'\n{READY}"));
    let acme = world.bench.write("acme.mobileconfig", f02());
    let result = world.run(&["enroll", &acme, "--json"]).exits(5).only();
    stands(&result, "too-old", "configuration", 0);
    assert!(result["sentence"].as_str().unwrap().contains("15.8"), "{result}");
    world.device_got(0, false);
    // SCEP is not too new for it.
    stands(&world.enroll(&[]).exits(0).only(), "enrolled", "none", 1);
}

#[test]
fn other_mdm() {
    let world = World::of("persona = 'other-mdm'");
    let result = world.enroll(&[]).exits(3).only();
    stands(&result, "other-mdm", "operator", 1);
    let codes: Vec<_> = result["chain"].as_array().unwrap().iter().map(|link| &link["code"]).collect();
    assert!(codes.contains(&&json!(12001)), "{result}");
    world.device_got(1, false);
}

#[test]
fn already_enrolled() {
    let world = World::of(READY);
    world.sim.control(&json!({ "do": "install", "udid": world.sim.udids[0], "file": world.profile }));
    stands(&world.enroll(&[]).exits(0).only(), "already-enrolled", "none", 0);
    world.device_got(0, true);
}

#[test]
fn planned() {
    let world = World::of(READY);
    // A device that does not trust us yet is not asked to.
    let result = world.enroll(&["--dry-run"]).exits(0).only();
    stands(&result, "planned", "none", 0);
    assert!(result["sentence"].as_str().unwrap().contains("trust"), "{result}");
    assert_eq!(count(&world.device_got(0, false), "pair_requests"), 0);
    world.run(&["pair"]).exits(0);
    let result = world.enroll(&["--dry-run"]).exits(0).only();
    stands(&result, "planned", "none", 0);
    assert!(result["sentence"].as_str().unwrap().contains("install"), "{result}");
    world.device_got(0, false);
    assert!(!world.bench.state_dir().join("journal.sqlite3").exists(), "a dry run leaves no trace");
}

#[test]
fn pushing() {
    let world = World::of("persona = 'in-setup'\ninstall_takes = '60s'");
    let mut serving = world.serve(&[]);
    let pushing = serving.until("a push", |c| c["outcome"] == "pushing" && c["pushes"] == 1);
    assert_eq!((&pushing["class"], &pushing["ended"]), (&json!("none"), &json!(false)), "{pushing}");
    world.sim.until("the push", |device| count(device, "pushes_received") == 1);
    world.device_got(1, false);
}

#[test]
fn waiting_for_person() {
    let world = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let mut serving = world.serve(&[]);
    let waiting = serving.until_outcome("waiting-for-person");
    stands(&waiting, "waiting-for-person", "operator", 1);
    let until: jiff::Timestamp = waiting["until"].as_str().unwrap().parse().unwrap();
    let started: jiff::Timestamp = {
        let job = world.run(&["history", "--open", "--json"]).exits(0).only();
        job["started"].as_str().unwrap().parse().unwrap()
    };
    let left = until.duration_since(started).as_secs();
    assert!((480..500).contains(&left), "eight minutes, not {left} s");
    assert!(world.device_got(1, false)["pending"].is_object());
    world.sim.does("accept");
    stands(&serving.until_ended(), "enrolled", "none", 1);
    world.device_got(1, true);
}

/// The device drops a queued profile without a word, whether ignored or removed.
#[test]
fn person_did_not_accept() {
    let bench = Bench::new();
    let quiet = "pairing = 'silent'\n";
    let sim = Simulator::of(
        &bench,
        &format!(
            "[[device]]\npersona = 'person-ignores'\n{quiet}\
             [[device]]\npersona = 'person-cancels'\naccept_after = '100ms'\n{quiet}"
        ),
    );
    let profile = bench.write("enroll.mobileconfig", f01());
    let results = bench.run(&["enroll", &profile, "--all", "--json", "--accept-within", "2"]).exits(3).json();
    assert_eq!(results.len(), 2);
    for result in &results {
        stands(result, "person-did-not-accept", "operator", 1);
    }
    for device in sim.devices() {
        assert_eq!((count(&device, "pushes_received"), count(&device, "installs")), (1, 0), "{device}");
    }
    assert_eq!(count(&sim.device(&sim.udids[1]), "cancelled"), 1);
}

#[test]
fn verifying() {
    let world = World::of(IN_SETUP);
    let mut serving = world.serve(&[]);
    serving.until_outcome("verifying");
    world.device_got(1, true);
    stands(&serving.until_ended(), "enrolled", "none", 1);
}

#[test]
fn enrolled() {
    let world = World::of("persona = 'ready'\ntrust_after = '100ms'\naccept_after = '500ms'");
    let mut serving = world.serve(&[]);
    let ended = serving.until_ended();
    stands(&ended, "enrolled", "none", 1);
    let way =
        ["attached", "waiting-for-trust", "pushing", "waiting-for-person", "verifying", "enrolled"].to_vec();
    assert_eq!(serving.outcomes(), way);
    let device = world.device_got(1, true);
    assert_eq!((count(&device, "pairings"), count(&device, "installs")), (1, 1), "{device}");
    assert_eq!(serving.end().exits(0).stderr, "");
}

#[test]
fn policies_seen() {
    let world = World::of("persona = 'in-setup'\npolicies_after = '200ms'");
    let result = world.enroll(&["--policies-within", "20"]).exits(0).only();
    stands(&result, "policies-seen", "none", 1);
    let device = world.device_got(1, true);
    assert_eq!(device["installed"].as_array().unwrap().len(), 4, "{device}");
}

#[test]
fn retrying() {
    let errors = "install_errors = [{ domain = 'MCSCEPErrorDomain', code = 22005, times = 1 }]";
    let world = World::of(&format!("{IN_SETUP}\n{errors}"));
    let mut serving = world.serve(&[]);
    let retrying = serving.until_outcome("retrying");
    assert!(retrying["sentence"].as_str().unwrap().contains("again in 5 s"), "{retrying}");
    assert!(retrying["chain"].to_string().contains("22005"), "{retrying}");
    let ended = serving.until_ended();
    stands(&ended, "enrolled", "none", 2);
    assert_eq!(ended["attempts"], 2, "{ended}");
    world.device_got(2, true);
}

#[test]
fn detached_midway() {
    let world = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let mut serving = world.serve(&["--once", "--replug-within", "1"]);
    serving.until_outcome("waiting-for-person");
    world.sim.does("detach");
    let away = serving.until_outcome("detached-midway");
    assert_eq!((&away["class"], &away["ended"]), (&json!("transport"), &json!(false)), "{away}");
    let ended = serving.until_ended();
    stands(&ended, "detached-midway", "transport", 1);
    serving.finish().exits(1);
    world.device_got(1, false);
}
