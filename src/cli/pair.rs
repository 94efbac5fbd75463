//! `enlist pair` and `enlist unpair`.

use super::arguments::{DeviceArg, Global, PatientDeviceArg};
use super::compose;
use super::output::Output;
use crate::api::OperationError;
use crate::api::view::{DeviceView, Exit};
use crate::config::Environment;
use std::time::Duration;

pub(super) async fn pair(
    args: &PatientDeviceArg,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment)?;
    let output = *output;
    let tell = move |text: &str| output.note(text);
    let within = Duration::from_secs(args.person_within);
    Ok(show(&operations.pair(args.device.udid.as_deref(), within, &tell).await?, &output))
}

pub(super) async fn unpair(
    args: &DeviceArg,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment)?;
    Ok(show(&operations.unpair(args.udid.as_deref()).await?, output))
}

fn show(device: &DeviceView, output: &Output) -> Exit {
    if output.json {
        output.object(device);
    } else {
        output.device(device);
    }
    device.exit()
}
