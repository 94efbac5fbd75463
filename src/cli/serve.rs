//! `enlist serve`: the station. A composition root: real devices, or simulated ones.

use super::arguments::{Global, ServeArgs};
use super::output::{Output, Tone};
use super::screen::{self, Show};
use super::{batch, compose, enroll, helpers, serve_web, service};
use crate::api::view::Exit;
use crate::api::{
    Export, Live, OpenBatch, OperationError, Operations, Policy, RunOptions, Wanted, go_on_or_open,
    library_in,
};
use crate::clock::Clock;
use crate::config::Environment;
use crate::sim::{Fleet, FleetOptions, SimError};
use crate::wire::printable::system_words;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

/// What simulated devices are enrolled with when no file is given.
const EXAMPLE: &[u8] = include_bytes!("../../fixtures/profiles/example-scep.mobileconfig");

/// A simulated technician is quick.
const TECHNICIAN_TAKES: Duration = Duration::from_millis(50);

/// A day at the bench: technicians are slow sometimes, so push again (R45), and a cable
/// that slipped may be found hours later.
fn station_policy() -> Policy {
    Policy { pushes: 3, replug_within: Duration::from_secs(12 * 3600), ..Policy::default() }
}

pub(super) async fn run(
    args: &ServeArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let mut base = station_policy();
    if args.once {
        base.replug_within = Policy::default().replug_within;
    }
    let mut policy = enroll::policy(&config.enroll, &args.policy, base)?;
    let fleet = simulated(args)?;
    let taken = args.record.of_each();
    let (operations, way) = match &fleet {
        // Simulated devices must not mix with the real ones' records.
        Some(fleet) => {
            let folder = compose::state_dir(global, environment, &config)?.join("simulated");
            let backend = compose::recorded(fleet.backend(), taken.recorder());
            (compose::operations_over(backend, &folder, &config, global)?, None)
        }
        None => {
            let (operations, way) = compose::station(global, environment, taken.recorder()).await?;
            (operations, Some(way))
        }
    };
    let _shared = match &way {
        Some(way) => way.share(args.mux_socket.as_ref(), &config).await?,
        None => None,
    };
    policy.helpers = helpers::of_run(&args.policy.helpers, &config, &operations, output)?;
    let answers = args.age.answers(&config.enroll);
    // A station without end refuses the devices that come too late, one by one.
    let lasting = if args.once { policy.longest_job() } else { Duration::ZERO };
    let library = library_in(&compose::state_dir(global, environment, &config)?);
    let given = args.file.as_ref().or(config.profile.as_ref());
    let given = given.or((fleet.is_none() && library.is_dir()).then_some(&library));
    if let (Some(name), true) = (&args.profile, given.is_none_or(|path| path.is_file())) {
        return Err(no_choice(name, given));
    }
    let mut shelf = None;
    let mut orders = compose::orders(&config, args.blueprints.as_ref(), None)?;
    let export = match (given, &fleet) {
        (Some(folder), _) if folder.is_dir() => {
            let (export, why, followed) =
                operations.export_of_folder(folder, args.profile.as_deref(), &answers, lasting).await?;
            output.note(format!("profile {why}"));
            shelf = Some(followed);
            export
        }
        (Some(path), _) => operations.export(path, &answers, lasting)?,
        (None, Some(_)) => {
            let profile = operations.built_in_profile("the built-in example profile", EXAMPLE)?;
            // It belongs to no MDM, so it has no age.
            Export { profile, age: None, refusal: None, ends: None }
        }
        (None, None) => compose::only_blueprints(&mut orders).ok_or_else(enroll::no_profile)?,
    };
    let sibling = enroll::sibling(&args.policy, &config.enroll);
    policy.siblings = operations.siblings(sibling, &export.profile, &answers, lasting)?;
    operations.helpers_fit(&policy.helpers, &export.profile)?;
    let policy = export.policy(policy, &answers);
    // An address that is taken is told before anything is begun.
    let live = operations.live().of_export(policy.export_ends, shelf.clone());
    let live = live.of_blueprints(orders.blueprints.clone());
    let profile = export.profile.display_name().unwrap_or(export.profile.identifier()).to_owned();
    let unknown = config.enroll.unknown_age.unwrap_or_default();
    let about = serve_web::about(fleet.is_some(), profile, given.cloned(), unknown, global, environment);
    let server = match serve_web::options(args.listen.as_ref(), args.kiosk, &config, environment)? {
        Some(options) => {
            let running = operations.running(live, about);
            let server = serve_web::start(options, running, &operations.quick()).await?;
            serve_web::warn_of_open_secrets(&config);
            Some(server)
        }
        None => None,
    };
    if let Some(manifest) = &args.batch {
        let blueprints = compose::blueprint_names(&config, args.blueprints.as_ref())?;
        let request = batch::of_manifest(manifest, &config, policy.export_ends, &answers)?;
        let request = OpenBatch { blueprints, ..request };
        let opened = go_on_or_open(operations.journal_file(), &request, &Clock::System)?;
        output.note(format!("batch {} \"{}\": {}", opened.id, opened.name, opened.sentence));
    }
    if let Some(fleet) = fleet.as_ref().filter(|fleet| fleet.waiting() > 0) {
        tokio::spawn(technician(fleet.clone(), operations.live()));
    }
    greet(&operations, fleet.as_ref(), &export, output);
    for warning in policy.siblings.iter().flat_map(|sibling| sibling.warnings()) {
        output.note(format!("warning: {}", warning.message));
    }
    if let Some(server) = &server {
        serve_web::greet(server, output);
    }
    let profile = export.profile;
    let show = if output.json { Show::Changes } else { Show::for_people(output) };
    let options = RunOptions { wanted: Wanted::Whatever, profile, shelf, policy, orders, once: args.once };
    let attended = service::attend(environment, operations.live());
    let ended = screen::run(&operations, options, show, output).await;
    drop(attended);
    if let Some(server) = server {
        server.end().await;
    }
    taken.finish(output).await;
    ended
}

/// The simulated technician, who looks at the station's screen: takes out what is done, and
/// plugs the next one in.
async fn technician(fleet: Fleet, live: Live) {
    let mut follower = live.follow();
    let mut seen = HashSet::new();
    while fleet.waiting() > 0 {
        let done = live.bays().into_iter().filter(|bay| bay.ended && bay.attached);
        for udid in done.filter_map(|bay| bay.device.udid).filter(|udid| seen.insert(udid.clone())) {
            let fleet = fleet.clone();
            tokio::spawn(async move {
                sleep(TECHNICIAN_TAKES).await;
                let _ = fleet.swap(&udid);
            });
        }
        if follower.next().await.is_none() {
            return;
        }
    }
}

fn simulated(args: &ServeArgs) -> Result<Option<Fleet>, OperationError> {
    let fleet = match (&args.scenario, args.simulate) {
        (Some(path), _) => {
            let unreadable = |e: std::io::Error| {
                let sentence = format!("Cannot read the scenario {}: {}.", path.display(), system_words(&e));
                OperationError::new(Exit::Usage, sentence, "Check the path.")
            };
            let text = crate::config::read_text(path).map_err(unreadable)?;
            Fleet::from_scenario(&text, Clock::System)
        }
        (None, Some(devices)) => {
            Fleet::new(FleetOptions { devices: devices.into(), seed: args.seed, ..FleetOptions::default() })
        }
        (None, None) => return Ok(None),
    };
    fleet.map(Some).map_err(|e: SimError| {
        OperationError::new(Exit::Usage, format!("{e}."), "Correct it; README shows a scenario.")
    })
}

/// `--profile` chooses in a folder, and there is none to choose in.
fn no_choice(wanted: &str, given: Option<&PathBuf>) -> OperationError {
    let said = match given {
        Some(path) => format!("{} is one file: --profile {wanted} cannot choose in it.", path.display()),
        None => format!("There is no folder in which --profile {wanted} could choose."),
    };
    OperationError::new(Exit::Usage, said, "Give the folder of the exports, or leave --profile out.")
}

fn greet(operations: &Operations, fleet: Option<&Fleet>, export: &Export, output: &Output) {
    if output.json {
        return;
    }
    let (profile, now) = (&export.profile, Clock::System.now());
    let name = profile.display_name().unwrap_or(profile.identifier());
    let age = export.age.as_ref().map(|age| format!(", {}", age.countdown(now))).unwrap_or_default();
    output.line(format!(
        "{}  pushing \"{name}\" ({}){age}",
        output.toned(Tone::Strong, "Enlist"),
        profile.identifier()
    ));
    if let Some(warning) = export.warning(now) {
        output.note(format!("warning: {warning}"));
    }
    match fleet {
        Some(fleet) => {
            let many = fleet.udids().len();
            let words =
                format!("SIMULATED: {many} devices that exist only in this program, with a simulated person");
            output.line(output.toned(Tone::Person, words));
        }
        None => {
            output.line(format!("watching {}; plug devices in, Ctrl-C ends", operations.describe_backend()))
        }
    }
    for warning in profile.warnings() {
        output.note(format!("warning: {}", warning.message));
    }
}
