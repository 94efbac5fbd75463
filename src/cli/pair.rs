//! `enlist pair` and `enlist unpair`.

use super::arguments::{DeviceArg, Global, PatientDeviceArg};
use super::compose;
use super::output::Output;
use crate::api::OperationError;
use crate::api::view::{DeviceView, Exit};
use crate::config::Environment;

pub(super) async fn pair(
    args: &PatientDeviceArg,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    let paired = operations.pair(args.udid(), args.patience(), &output.teller()).await?;
    Ok(show(&paired, output))
}

pub(super) async fn unpair(
    args: &DeviceArg,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    Ok(show(&operations.unpair(args.udid.as_deref()).await?, output))
}

fn show(device: &DeviceView, output: &Output) -> Exit {
    output.result(device);
    device.exit()
}
