//! `enlist info`: everything a device tells.

use super::arguments::{DeviceArg, Global};
use super::compose;
use super::output::{Output, Tone};
use crate::api::OperationError;
use crate::api::view::{DeviceInfo, Exit};
use crate::config::Environment;

pub(super) async fn run(
    args: &DeviceArg,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    let info = operations.info(args.udid.as_deref()).await?;
    if output.json {
        output.object(&info);
    } else {
        show(&info, output);
    }
    Ok(info.device.exit())
}

fn show(info: &DeviceInfo, output: &Output) {
    let device = &info.device;
    output.device(device);
    let yes = |flag: Option<bool>| flag.map(|f| if f { "yes" } else { "no" }.to_owned());
    let clock = info.clock_ahead_s.map(|s| match s {
        0 => "as ours".to_owned(),
        s => format!("{} s {}", s.abs(), if s > 0 { "ahead of ours" } else { "behind ours" }),
    });
    let rows = [
        ("UDID", device.udid.as_ref().map(ToString::to_string)),
        ("serial", device.serial.clone()),
        ("ECID", device.ecid.clone()),
        ("IMEI", device.imei.clone()),
        ("second IMEI", info.imei2.clone()),
        ("name", device.name.clone()),
        ("class", info.device_class.clone()),
        ("product", device.product_type.clone()),
        ("system", device.os_version.clone()),
        ("build", info.build.clone()),
        ("Wi-Fi address", info.wifi_address.clone()),
        ("bay", Some(device.bay.to_string())),
        ("activation", info.activation_state.clone()),
        ("locked now", yes(info.locked)),
        ("Setup Assistant", Some(info.setup_assistant.to_owned())),
        ("supervised", yes(info.supervised)),
        ("organisation", info.organization.clone()),
        ("clock", clock),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            output.line(format!("  {} {value}", output.toned(Tone::Quiet, format!("{name:<16}"))));
        }
    }
    for profile in info.profiles.iter().flatten() {
        let name = profile.name.clone().unwrap_or_default();
        let label = output.toned(Tone::Quiet, format!("{:<16}", "profile"));
        output.line(format!("  {label} {}  {name}  {}", profile.identifier, profile.uuid));
    }
}
