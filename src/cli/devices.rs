//! `enlist devices`: what is attached.

use super::arguments::{DevicesArgs, Global};
use super::output::{Output, Tone, who};
use super::{compose, screen};
use crate::api::view::{DeviceChange, Exit, ListedDevice, WhatChanged};
use crate::api::{OperationError, Operations};
use crate::config::Environment;

pub(super) async fn run(
    args: &DevicesArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    if args.follow {
        return Ok(follow(&operations, output).await);
    }
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

async fn follow(operations: &Operations, output: &Output) -> Exit {
    if !output.json {
        output.line(format!("watching {}; Ctrl-C ends", operations.describe_backend()));
    }
    let tell = |change: DeviceChange| match output.json {
        true => output.object(&change),
        false => output.line(words(&change, output)),
    };
    operations.follow_devices(&tell, screen::interrupted()).await;
    Exit::Done
}

fn words(change: &DeviceChange, output: &Output) -> String {
    let what = match change.change {
        WhatChanged::Attached => "attached",
        WhatChanged::Detached => "detached",
        WhatChanged::Unserved => "no mux",
        WhatChanged::UnservedLeft => "left",
        WhatChanged::MuxLost => "mux lost",
        WhatChanged::MuxReady => "mux ready",
    };
    let Some(device) = &change.device else {
        return format!("{what:<9} {}", change.reason.as_deref().unwrap_or_default());
    };
    let trouble = if change.change == WhatChanged::Unserved { device.sentence.as_str() } else { "" };
    let line = format!("{what:<9} {:<10} {}  {trouble}", device.bay.to_string(), who(device));
    output.toned(if trouble.is_empty() { Tone::Quiet } else { Tone::of(device, true) }, line.trim_end())
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
