//! `enlist config`: is the configuration file good?

use super::arguments::{ConfigArgs, ConfigCommand, Global};
use super::compose;
use super::output::Output;
use super::serve_web;
use crate::api::view::Exit;
use crate::api::{OperationError, printable};
use crate::config::{Config, Environment, MuxWay, keys, mux_address};
use std::path::Path;

pub(super) fn run(
    args: &ConfigArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    if let Some(ConfigCommand::Schema) = args.command {
        let schema = keys::schema();
        match output.json {
            true => output.object(&schema),
            false => output.line(format!("{schema:#}")),
        }
        return Ok(Exit::Done);
    }
    let (config, from) = match &args.file {
        Some(path) => {
            let credentials = environment.credentials.as_deref();
            (Config::read(path)?.with_credentials(credentials), path.display().to_string())
        }
        None => {
            let path = global.config.as_ref().or(environment.config.as_ref());
            let from = path.map_or_else(|| "the built-in defaults".into(), |p| p.display().to_string());
            (compose::configuration(global, environment)?, from)
        }
    };
    let state_dir = compose::state_dir(global, environment, &config)?;
    let mux = mux_address(environment, &config)?;
    let way = match global.mux.or(config.mux.way).unwrap_or_default() {
        MuxWay::Auto => "auto",
        MuxWay::Usbmuxd => "usbmuxd",
        MuxWay::Usb => "usb",
    };
    compose::anchors(&config)?;
    match config.lacks_credentials() {
        true => output.note("note: only the service has its credentials, so what they hold was not checked"),
        false => {
            config.wifi.as_ref().map(|wifi| wifi.network()).transpose()?;
            compose::supervisors(&config)?;
            if let Some(options) = serve_web::options(None, false, &config, environment)? {
                options.check()?;
            }
            compose::orders(&config, None, None)?;
        }
    }
    if let Some(profile) = config.profile.as_ref().filter(|profile| !profile.exists()) {
        let said = format!("There is no {}, which profile names.", profile.display());
        return Err(OperationError::new(
            Exit::Usage,
            said,
            "Put the export there, or name another file or folder.",
        ));
    }
    for program in config.hooks.iter().filter_map(|hook| hook.command.first()).map(Path::new) {
        if program.is_absolute() && !program.exists() {
            output.note(format!("warning: a hook's command does not exist: {}", program.display()));
        }
    }
    let wifi = config.wifi.as_ref().map(|wifi| &wifi.ssid);
    if output.json {
        output.object(&serde_json::json!({
            "config": from,
            "ok": true,
            "state_dir": state_dir,
            "mux": mux.to_string(),
            "way": way,
            "bays": config.bays,
            "profile": config.profile,
            "wifi": wifi,
        }));
    } else {
        output.line(format!("Good: {from}"));
        output.line(format!("  state folder  {}", state_dir.display()));
        output.line(format!("  way           {way}"));
        output.line(format!("  mux           {mux}"));
        if !config.bays.is_empty() {
            output.line(format!("  bays          {} ports have names", config.bays.len()));
        }
        if let Some(ssid) = wifi {
            output.line(format!("  Wi-Fi         {ssid}"));
        }
        if let Some(profile) = &config.profile {
            output.line(format!("  profile       {}", printable(&profile.to_string_lossy())));
        }
    }
    Ok(Exit::Done)
}
