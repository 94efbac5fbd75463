//! Two exports of one enrollment: which one a device gets, and what follows when ACME fails
//! (profiles-and-enrollment.md R11-R13). The shipped binary against a simulator.

use crate::support::binary::{Bench, Done};
use crate::support::fleet::{Simulator, count, has_profile};
use crate::support::profile::{IDENTIFIER, UUID, f01, signed};
use crate::support::station::Serving;
use enlist::journal::{HistoryFilter, JournalReader};
use enlist::wire::profile::example::{ExampleOptions, acme_plist};
use enlist::wire::property_list::to_xml;
use enlist::workflow::event::{EventKind, PushAnswer};
use serde_json::Value;

/// PayloadUUID of the ACME export.
const ACME_UUID: &str = "2222BBBB-0000-4000-8000-000000000000";

fn acme(change: impl FnOnce(&mut ExampleOptions)) -> Vec<u8> {
    let mut options = ExampleOptions { uuid: ACME_UUID.to_owned(), ..ExampleOptions::default() };
    change(&mut options);
    signed(&to_xml(&acme_plist(&options)))
}

struct World {
    bench: Bench,
    sim: Simulator,
    scep: String,
    acme: String,
}

impl World {
    fn of(device: &str) -> Self {
        Self::with(device, acme(|_| {}))
    }

    fn with(device: &str, acme: Vec<u8>) -> Self {
        let bench = Bench::new();
        let sim = Simulator::of(&bench, &format!("[[device]]\n{device}\n"));
        let scep = bench.write("scep.mobileconfig", f01());
        let acme = bench.write("acme.mobileconfig", acme);
        Self { bench, sim, scep, acme }
    }

    fn enroll(&self, files: &[&str], more: &[&str]) -> Done {
        self.bench.run(&[&["enroll", "--json"], files, more].concat())
    }

    /// ACME first, SCEP beside it.
    fn enroll_acme_first(&self, more: &[&str]) -> Done {
        let more = [&["--sibling", &self.scep, "--prefer", "acme"], more].concat();
        self.enroll(&[&self.acme], &more)
    }

    /// What the last job wrote down.
    fn events(&self) -> Vec<EventKind> {
        let reader = JournalReader::open(&self.bench.state_dir().join("journal.sqlite3")).unwrap();
        assert_eq!(reader.check(), Vec::<String>::new());
        let job = reader.history(&HistoryFilter::default()).unwrap().remove(0);
        reader.job_events(job.id).unwrap().into_iter().map(|event| event.kind).collect()
    }

    #[track_caller]
    fn has(&self, uuid: &str) {
        let device = self.sim.first();
        assert!(has_profile(&device, IDENTIFIER, uuid), "{device}");
    }
}

#[track_caller]
fn enrolled(result: &Value, pushes: u64) {
    assert_eq!(result["outcome"], "enrolled", "{result}");
    assert_eq!(result["pushes"], pushes, "{result}");
}

/// Names of what matters here, in order.
fn story(events: &[EventKind]) -> Vec<String> {
    let told = |event: &EventKind| match event {
        EventKind::JobStarted(new) => Some(format!("started with {}", new.profile_uuid)),
        EventKind::AttemptStarted { number } => Some(format!("attempt {number}")),
        EventKind::PushStarted { number } => Some(format!("push {number}")),
        EventKind::PushAnswered { answer: PushAnswer::Refused, .. } => Some("refused".to_owned()),
        EventKind::PushAnswered { .. } => Some("taken".to_owned()),
        EventKind::ProfileChosen { uuid, .. } => Some(format!("chose {uuid}")),
        EventKind::Retrying { .. } => Some("retry".to_owned()),
        EventKind::JobEnded(verdict) => Some(verdict.outcome.name().to_owned()),
        _ => None,
    };
    events.iter().filter_map(told).collect()
}

#[test]
fn a_failed_acme_push_is_followed_by_the_scep_sibling() {
    let world = World::of("persona = 'acme-broken'");
    enrolled(&world.enroll_acme_first(&[]).exits(0).only(), 2);
    world.has(UUID);
    let events = world.events();
    let (acme, scep) = (format!("started with {ACME_UUID}"), format!("chose {UUID}"));
    let expected =
        [acme.as_str(), "attempt 1", "push 1", "refused", &scep, "attempt 2", "push 2", "taken", "enrolled"];
    assert_eq!(story(&events), expected);
    let chosen = events.iter().find_map(|event| match event {
        EventKind::ProfileChosen { reason, chain, .. } => Some((reason.clone(), chain.clone())),
        _ => None,
    });
    let (reason, chain) = chosen.unwrap();
    assert!(reason.contains("R13") && reason.contains("23001"), "{reason}");
    assert!(chain.has("HTTPTransaction", &[23001]), "the device's whole chain is kept");
    let verified = |event: &EventKind| {
        matches!(event, EventKind::StepFinished { detail: Some(detail), .. }
            if *detail == format!("{IDENTIFIER} with UUID {UUID}"))
    };
    assert!(events.iter().any(verified), "read back is what was pushed last: {events:#?}");
}

#[test]
fn without_a_sibling_acme_is_retried_and_fails() {
    let world = World::of(
        "persona = 'in-setup'\ninstall_errors = [{ domain = 'MCHTTPTransactionErrorDomain', code = 23001, times = 1, only = 'com.apple.security.acme' }]",
    );
    enrolled(&world.enroll(&[&world.acme], &[]).exits(0).only(), 2);
    world.has(ACME_UUID);
    let events = story(&world.events());
    assert!(events.contains(&"retry".to_owned()), "{events:?}");
}

#[test]
fn after_the_fallback_the_budget_of_retries_is_scep_s() {
    let world = World::of(
        "persona = 'in-setup'\ninstall_errors = [{ domain = 'MCHTTPTransactionErrorDomain', code = 23001, times = 1, only = 'com.apple.security.acme' }, { domain = 'MCSCEPErrorDomain', code = 22005, times = 1, only = 'com.apple.security.scep' }]",
    );
    enrolled(&world.enroll_acme_first(&[]).exits(0).only(), 3);
    world.has(UUID);
    let events = story(&world.events());
    let order: Vec<_> =
        events.iter().filter(|e| e.starts_with("chose") || *e == "retry" || e.starts_with("push")).collect();
    assert_eq!(order, ["push 1", &format!("chose {UUID}"), "push 2", "retry", "push 3"]);
}

#[test]
fn scep_goes_first_by_default() {
    let world = World::of("persona = 'in-setup'");
    enrolled(&world.enroll(&[&world.acme], &["--sibling", &world.scep]).exits(0).only(), 1);
    world.has(UUID);
    assert_eq!(story(&world.events())[0], format!("started with {UUID}"));
}

#[test]
fn the_configuration_names_sibling_and_preference() {
    let world = World::of("persona = 'acme-broken'");
    let text = format!("[enroll]\nsibling = '{}'\nprefer = 'acme'\n", world.scep);
    world.bench.write("enlist.toml", text);
    enrolled(&world.enroll(&[&world.acme], &[]).exits(0).only(), 2);
    world.has(UUID);
}

#[test]
fn a_system_too_old_for_acme_gets_scep() {
    let world = World::of("persona = 'in-setup'\nfamily = 'iphone'\nos_version = '15.8'");
    enrolled(&world.enroll_acme_first(&[]).exits(0).only(), 1);
    world.has(UUID);
    let told = |event: &EventKind| matches!(event, EventKind::ProfileChosen { reason, .. } if reason.contains("16.0"));
    assert!(world.events().iter().any(told));
}

#[test]
fn an_export_for_one_device_is_refused_for_another() {
    let foreign = || acme(|options| options.challenge = Some("00008140-0000000000000001".to_owned()));
    let world = World::with("persona = 'in-setup'", foreign());
    let result = world.enroll(&[&world.acme], &[]).only();
    assert_eq!(
        (&result["outcome"], &result["class"]),
        (&"failed".into(), &"configuration".into()),
        "{result}"
    );
    assert!(result["sentence"].as_str().unwrap().contains("one device alone"), "{result}");
    assert_eq!(count(&world.sim.first(), "pushes_received"), 0);
    enrolled(&world.enroll_acme_first(&[]).exits(0).only(), 1);
    world.has(UUID);
}

#[test]
fn files_that_are_no_siblings_are_refused() {
    let elsewhere = acme(|options| options.mdm_host = "mdm.other.example".to_owned());
    let world = World::with("persona = 'in-setup'", elsewhere);
    let said = world.enroll(&[&world.scep], &["--sibling", &world.acme]).fails_clearly(2);
    assert!(said.contains("another MDM server"), "{said}");
    let said = world.enroll(&[&world.scep], &["--sibling", &world.scep]).fails_clearly(2);
    assert!(said.contains("another SCEP export"), "{said}");
    assert_eq!(count(&world.sim.first(), "pushes_received"), 0);
}

#[test]
fn a_dry_run_says_which_export_it_would_be() {
    let world = World::of("persona = 'in-setup'\nfamily = 'iphone'\nos_version = '15.8'\npairing = 'silent'");
    world.bench.run(&["pair"]).exits(0);
    let result = world.enroll_acme_first(&["--dry-run"]).exits(0).only();
    assert!(result["sentence"].as_str().unwrap().contains("SCEP"), "{result}");
}

#[test]
fn a_station_killed_after_the_fallback_knows_which_one_it_pushed() {
    let world = World::of("persona = 'acme-broken'\ninstall_takes = '1s'");
    let args = [world.acme.as_str(), "--sibling", &world.scep, "--prefer", "acme"];
    let mut serving = Serving::start(&world.bench, &args);
    world.sim.until("the second push", |device| count(device, "pushes_received") == 2);
    serving.kill();
    enrolled(&world.enroll_acme_first(&[]).exits(0).only(), 2);
    world.has(UUID);
    assert_eq!(count(&world.sim.first(), "pushes_received"), 2, "nothing is pushed twice");
    assert_eq!(story(&world.events()).iter().filter(|e| e.starts_with("chose")).count(), 1);
}

#[test]
fn after_setup_a_second_push_is_the_scep_export() {
    let world = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let more = ["--pushes", "2", "--accept-within", "1"];
    let result = world.enroll_acme_first(&more).exits(3).only();
    assert_eq!(
        (&result["outcome"], &result["pushes"]),
        (&"person-did-not-accept".into(), &2.into()),
        "{result}"
    );
    let story = story(&world.events());
    let chose = story.iter().position(|e| *e == format!("chose {UUID}")).unwrap();
    assert!(chose > story.iter().position(|e| e == "push 1").unwrap(), "{story:?}");
    assert!(chose < story.iter().position(|e| e == "push 2").unwrap(), "{story:?}");
}

/// Two devices of the same kind, one after the other, with one ACME file.
fn second_device(acme: impl FnOnce(&Simulator) -> Vec<u8>, config: &str) -> (Done, Done) {
    let bench = Bench::new();
    let sim = Simulator::of(&bench, "[[device]]\npersona = \"in-setup\"\ncount = 2\n");
    bench.write("enlist.toml", config);
    // What the first one is called is known to the journal from its job on.
    let file = bench.write("acme.mobileconfig", acme(&sim));
    let enroll = |n: usize| bench.run(&["enroll", "--json", "-u", &sim.udids[n], &file]);
    (enroll(0), enroll(1))
}

#[test]
fn an_acme_export_that_names_a_device_is_refused_for_a_second() {
    let serial = |sim: &Simulator| sim.device(&sim.udids[0])["serial"].as_str().unwrap().to_owned();
    for client in [
        (|sim: &Simulator, _: String| sim.udids[0].clone()) as fn(&Simulator, String) -> String,
        |_, serial| serial,
        |_, serial| openssl::base64::encode_block(format!("{{\"serial\":\"{serial}\"}}").as_bytes()),
    ] {
        let file = |sim: &Simulator| acme(|o| o.challenge = Some(client(sim, serial(sim))));
        let (first, second) = second_device(file, "");
        assert_eq!(first.exits(0).only()["outcome"], "enrolled");
        let refused = second.exits(1).only();
        assert!(refused["sentence"].as_str().unwrap().contains("for one device alone"), "{refused}");
        assert_eq!(refused["class"], "configuration");
    }
}

#[test]
fn whether_one_acme_export_serves_many_is_the_owners_to_say() {
    let (_, second) = second_device(|_| acme(|_| {}), "");
    assert_eq!(second.exits(0).only()["outcome"], "enrolled");
    let (first, second) = second_device(|_| acme(|_| {}), "[enroll]\nacme_reuse = 'no'\n");
    assert_eq!(first.exits(0).only()["outcome"], "enrolled");
    assert!(second.exits(1).only()["sentence"].as_str().unwrap().contains("for one device alone"));
}
