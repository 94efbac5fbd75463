//! `enlist installed` and `enlist remove`: configuration profiles on a device.

use super::arguments::{Global, PatientDeviceArg, RemoveArgs};
use super::compose;
use super::output::{Output, Tone};
use crate::api::view::{Exit, InstalledOn};
use crate::api::{Consent, OperationError};
use crate::config::Environment;
use std::io::{self, BufRead, IsTerminal};

pub(super) async fn list(
    args: &PatientDeviceArg,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    let listed = operations.installed(args.udid(), args.patience(), &output.teller()).await?;
    Ok(show(&listed, output))
}

pub(super) async fn remove(
    args: &RemoveArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    let (udid, patience) = (args.device.udid(), args.device.patience());
    let ask = |question: &str, expected: &str| {
        output.raw(&format!("{question} "));
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).is_ok() && line.trim() == expected
    };
    let asks = output.terminal && !output.json && io::stdin().is_terminal();
    let consent = match args.yes {
        true => Consent::Given,
        false if asks => Consent::Ask(&ask),
        false => Consent::Nobody,
    };
    let left = operations.remove(udid, &args.identifier, consent, patience, &output.teller()).await?;
    Ok(show(&left, output))
}

/// The profiles on a device, and how it stands.
pub(super) fn show(listed: &InstalledOn, output: &Output) -> Exit {
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
