//! `enlist config`: is the configuration file good?

use super::arguments::{ConfigArgs, Global};
use super::compose;
use super::output::Output;
use crate::api::OperationError;
use crate::api::view::Exit;
use crate::config::{Config, Environment, mux_address};

pub(super) fn run(
    args: &ConfigArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (config, from) = match &args.file {
        Some(path) => (Config::read(path)?, path.display().to_string()),
        None => {
            let path = global.config.as_ref().or(environment.config.as_ref());
            let from = path.map_or_else(|| "the built-in defaults".into(), |p| p.display().to_string());
            (compose::configuration(global, environment)?, from)
        }
    };
    let state_dir = compose::state_dir(global, environment, &config)?;
    let mux = mux_address(environment, &config)?;
    compose::anchors(&config)?;
    if output.json {
        output.object(&serde_json::json!({
            "config": from,
            "ok": true,
            "state_dir": state_dir,
            "mux": mux.to_string(),
            "profile": config.profile,
        }));
    } else {
        output.line(format!("Good: {from}"));
        output.line(format!("  state folder  {}", state_dir.display()));
        output.line(format!("  mux           {mux}"));
        if let Some(profile) = &config.profile {
            output.line(format!("  profile       {}", profile.display()));
        }
    }
    Ok(Exit::Done)
}
