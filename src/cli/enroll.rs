//! `enlist enroll`: attached devices, once.

use super::arguments::{EnrollArgs, Global, PolicyArgs};
use super::output::Output;
use super::screen::{self, Show};
use super::{compose, helpers};
use crate::api::view::Exit;
use crate::api::{OperationError, Policy, RunOptions, Wanted};
use crate::clock::Clock;
use crate::config::{EnrollConfig, Environment};
use std::path::Path;

pub(super) async fn run(
    args: &EnrollArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let mut policy =
        policy(&config.enroll, &args.policy, Policy { dry_run: args.dry_run, ..Policy::default() })?;
    let taken = args.record.of(args.all)?;
    let (operations, _) = compose::station(global, environment, taken.recorder()).await?;
    policy.helpers = helpers::of_run(&args.policy.helpers, &config, &operations, output)?;
    let answers = args.age.answers(&config.enroll);
    let lasting = policy.longest_job();
    let mut orders = compose::orders(&config, None, args.blueprint.clone())?;
    let given = args.file.as_ref().or(config.profile.as_ref());
    let export = match given.map(|file| operations.export(file, &answers, lasting)) {
        Some(export) => export?,
        None => compose::only_blueprints(&mut orders).ok_or_else(no_profile)?,
    };
    let sibling = sibling(&args.policy, &config.enroll);
    policy.siblings = operations.siblings(sibling, &export.profile, &answers, lasting)?;
    operations.helpers_fit(&policy.helpers, &export.profile)?;
    let policy = export.policy(policy, &answers);
    if let Some(warning) = export.warning(Clock::System.now()) {
        output.note(format!("warning: {warning}"));
    }
    let profile = export.profile;
    for warning in [&profile].into_iter().chain(&policy.siblings).flat_map(|profile| profile.warnings()) {
        output.note(format!("warning: {}", warning.message));
    }
    // Meant by serial number or ECID, and in no mode in which it could be enrolled.
    if let Some(udid) = &args.device.udid
        && let Some(device) = operations.unserved(udid).await
    {
        output.result(&device);
        return Ok(device.exit());
    }
    let wanted = match args.all {
        true => Wanted::AllAttached,
        false => Wanted::One(args.device.udid.clone()),
    };
    let show = if output.json { Show::Results } else { Show::for_people(output) };
    let options = RunOptions { wanted, profile, shelf: None, policy, orders, once: true };
    let ended = screen::run(&operations, options, show, output).await;
    taken.finish(output).await;
    ended
}

pub(super) fn no_profile() -> OperationError {
    OperationError::new(
        Exit::Usage,
        "There is no profile to push.",
        "Give the file your MDM exported: `enlist serve FILE`, or profile = \"FILE\" in the configuration.",
    )
}

/// The other export of the same enrollment, by flag or by configuration.
pub(super) fn sibling<'a>(flags: &'a PolicyArgs, config: &'a EnrollConfig) -> Option<&'a Path> {
    flags.sibling.as_deref().or(config.sibling.as_deref())
}

/// Defaults, then the configuration, then flags.
pub(super) fn policy(
    config: &EnrollConfig,
    flags: &PolicyArgs,
    base: Policy,
) -> Result<Policy, OperationError> {
    let flags = EnrollConfig {
        person_within: flags.person_within,
        accept_within: flags.accept_within,
        pushes: flags.pushes,
        setup_assistant: flags.setup_assistant,
        replug_within: flags.replug_within,
        policies_within: flags.policies_within,
        prefer: flags.prefer,
        device_name: flags.name.clone(),
        ..EnrollConfig::default()
    };
    Ok(flags.policy(config.policy(base)?)?)
}
