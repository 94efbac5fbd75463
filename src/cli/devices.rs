//! `enlist devices`: what is attached.

use super::arguments::Global;
use super::compose;
use super::output::{Output, Tone, who};
use crate::api::OperationError;
use crate::api::view::{Exit, ListedDevice};
use crate::config::Environment;

pub(super) async fn run(
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    let listed = operations.devices().await?;
    for device in &listed {
        if output.json {
            output.object(device);
        } else {
            output.line(row(device, output));
        }
    }
    if listed.is_empty() {
        let sentence = format!("No device is attached to {}.", operations.describe_backend());
        return Err(OperationError::new(
            Exit::NoDevice,
            sentence,
            "Plug a device in and unlock it; see `enlist doctor`.",
        ));
    }
    Ok(listed.iter().fold(Exit::Done, |worst, d| worst.worst(d.device.exit())))
}

fn row(listed: &ListedDevice, output: &Output) -> String {
    let device = &listed.device;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let tone = Tone::of(device, true);
    if listed.unserved {
        return format!(
            "{} {:<10} {}  {}",
            output.toned(tone, tone.shape()),
            device.bay.to_string(),
            who(device),
            device.sentence
        );
    }
    let paired = if listed.paired { "paired" } else { "not paired" };
    let mark = if device.simulated { "  [simulated]" } else { "" };
    let trouble = if device.exit() == Exit::Done { String::new() } else { format!("  {}", device.sentence) };
    format!(
        "{} {:<10} {}  {}  {}  {}  {}{mark}{trouble}",
        output.toned(tone, tone.shape()),
        device.bay.to_string(),
        device.known_as(),
        text(&device.name),
        text(&device.product_type),
        text(&device.os_version),
        output.toned(Tone::Quiet, paired),
    )
}
