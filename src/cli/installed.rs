//! `enlist installed` and `enlist remove`: configuration profiles on a device.

use super::arguments::{Global, PatientDeviceArg, RemoveArgs};
use super::compose;
use super::output::{Output, Tone};
use crate::api::OperationError;
use crate::api::view::{Exit, InstalledOn};
use crate::config::Environment;
use std::time::Duration;

pub(super) async fn list(
    args: &PatientDeviceArg,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment)?;
    let output = *output;
    let tell = move |text: &str| output.note(text);
    let within = Duration::from_secs(args.person_within);
    let listed = operations.installed(args.device.udid.as_deref(), within, &tell).await?;
    Ok(show(&listed, &output))
}

pub(super) async fn remove(
    args: &RemoveArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment)?;
    let output = *output;
    let tell = move |text: &str| output.note(text);
    let within = Duration::from_secs(args.device.person_within);
    let udid = args.device.device.udid.as_deref();
    let left = operations.remove(udid, &args.identifier, within, &tell).await?;
    Ok(show(&left, &output))
}

fn show(listed: &InstalledOn, output: &Output) -> Exit {
    if output.json {
        output.object(listed);
        return listed.device.exit();
    }
    output.device(&listed.device);
    for profile in &listed.profiles {
        let locked = if profile.removal_disallowed { "  locked" } else { "" };
        let name = profile.name.clone().unwrap_or_default();
        let by = profile.organization.as_ref().map(|o| format!("  ({o})")).unwrap_or_default();
        output.line(format!("  {}  {name}{by}{locked}", output.toned(Tone::Strong, &profile.identifier)));
        output.line(output.toned(Tone::Quiet, format!("    UUID {}", profile.uuid)));
    }
    listed.device.exit()
}
