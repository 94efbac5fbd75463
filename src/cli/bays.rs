//! `enlist bays`: which USB port is called what.

use super::arguments::{BaysCommand, Global, LearnArgs};
use super::compose;
use super::output::{Output, Tone};
use super::screen;
use crate::api::view::{Exit, PortView};
use crate::api::{LearnOptions, LearnStep, OperationError};
use crate::config::Environment;

pub(super) async fn run(
    command: &BaysCommand,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    match command {
        BaysCommand::List => list(global, environment, output).await,
        BaysCommand::Learn(args) => learn(args, global, environment, output).await,
    }
}

async fn list(global: &Global, environment: &Environment, output: &Output) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    let ports = operations.bays().await;
    for port in &ports {
        if output.json {
            output.object(port);
        } else {
            output.line(row(port, output));
        }
    }
    if ports.is_empty() && !output.json {
        output.note("No port has a name, and no device is on one: `enlist bays learn` names them.");
    }
    Ok(Exit::Done)
}

fn row(port: &PortView, output: &Output) -> String {
    let devices = match port.devices.is_empty() {
        true => "empty".to_owned(),
        false => port.devices.join(", "),
    };
    let by = output.toned(Tone::Quiet, format!("named by {}", port.named_by));
    format!("{:<24}  {:<20}  {by}  {devices}", port.bay.to_string(), port.port)
}

async fn learn(
    args: &LearnArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    let options = LearnOptions {
        names: args.names.clone(),
        prefix: args.prefix.clone(),
        count: args.count.map(usize::from),
    };
    if !output.json {
        output.line(
            "Plug one device into each port, one after the other. Ctrl-C ends and keeps what was learned.",
        );
        output.line("A device that is plugged in already counts when it is plugged in again.");
    }
    let tell = |step: LearnStep| told(&step, output);
    let learned = operations.learn_bays(options, &tell, screen::interrupted()).await?;
    if !output.json {
        output
            .line(format!("{} bays are learned; a station uses them from its next start on.", learned.len()));
    }
    Ok(Exit::Done)
}

fn told(step: &LearnStep, output: &Output) {
    match step {
        LearnStep::Named(port) if output.json => output.object(port),
        LearnStep::Named(port) => {
            let done = output.toned(Tone::Good, Tone::Good.shape());
            output.line(format!("{done} {} is port {}", port.bay, port.port));
        }
        LearnStep::Next(name) => output.note(format!("Plug the device into {name}.")),
        LearnStep::Again(port) => {
            output.note(format!("Port {} is {} already: take another one.", port.port, port.bay));
        }
        LearnStep::NoPort => output.note(
            "A device came, but its port is not known: the USB bus of this computer cannot be watched, or the device is elsewhere. See `enlist doctor`.",
        ),
        LearnStep::Lost(reason) => output.note(format!("mux lost: {reason}; ports are still seen on the bus")),
    }
}
