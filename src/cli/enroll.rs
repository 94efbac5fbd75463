//! `enlist enroll`: attached devices, once.

use super::arguments::{EnrollArgs, Global, PolicyArgs};
use super::compose;
use super::output::Output;
use super::screen::{self, Show};
use crate::api::view::Exit;
use crate::api::{OperationError, Policy, RunOptions, Wanted};
use crate::clock::Clock;
use crate::config::{EnrollConfig, Environment};

pub(super) async fn run(
    args: &EnrollArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let policy = policy(&config.enroll, &args.policy, Policy { dry_run: args.dry_run, ..Policy::default() })?;
    let operations = compose::operations(global, environment).await?;
    let answers = args.age.answers();
    let export = operations.export(&args.file, &answers, policy.longest_job())?;
    let policy = export.policy(policy, &answers);
    if let Some(warning) = export.warning(Clock::System.now()) {
        output.note(format!("warning: {warning}"));
    }
    let profile = export.profile;
    for warning in profile.warnings() {
        output.note(format!("warning: {}", warning.message));
    }
    // Meant by serial number or ECID, and in no mode in which it could be enrolled.
    if let Some(udid) = &args.device.udid
        && let Some(device) = operations.unserved(udid).await
    {
        match output.json {
            true => output.object(&device),
            false => output.device(&device),
        }
        return Ok(device.exit());
    }
    let wanted = match args.all {
        true => Wanted::AllAttached,
        false => Wanted::One(args.device.udid.clone()),
    };
    let show = if output.json { Show::Results } else { Show::for_people(output) };
    let options = RunOptions { wanted, profile, shelf: None, policy, once: true };
    screen::run(&operations, options, show, output).await
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
    };
    Ok(flags.policy(config.policy(base)?)?)
}
