//! `enlist profile add`, `list`, `remove`: the exports the station keeps.

use super::arguments::{AddArgs, Global};
use super::compose;
use super::output::{Output, Tone};
use crate::api::view::Exit;
use crate::api::{
    AgeAnswers, OperationError, Stored, add_profile, library_in, list_profiles, remove_profile,
};
use crate::clock::Clock;
use crate::config::{Config, Environment};
use serde_json::json;
use std::path::{Path, PathBuf};

fn place(global: &Global, environment: &Environment) -> Result<(Config, PathBuf), OperationError> {
    let config = compose::configuration(global, environment)?;
    let library = library_in(&compose::state_dir(global, environment, &config)?);
    Ok((config, library))
}

pub(super) fn add(
    args: &AddArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (config, library) = place(global, environment)?;
    let answers = AgeAnswers { exported_at: args.exported_at, allow_stale: None };
    let (stored, is_new) =
        add_profile(&library, &args.file, &answers, &compose::signers(&config), &Clock::System)?;
    if output.json {
        output.object(&stored);
    } else {
        let done = if is_new { "added" } else { "was there already" };
        output.line(format!("{} {done}", output.toned(Tone::Good, "✔")));
        print(&stored, output);
    }
    Ok(Exit::Done)
}

pub(super) fn list(
    folder: Option<&Path>,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (config, library) = place(global, environment)?;
    let library = folder.unwrap_or(&library);
    let listed = list_profiles(library, &compose::signers(&config), &Clock::System)?;
    for stored in &listed {
        match output.json {
            true => output.object(stored),
            false => print(stored, output),
        }
    }
    if listed.is_empty() && !output.json {
        output.note(format!("No profiles in {}.", library.display()));
    }
    Ok(Exit::Done)
}

pub(super) fn remove(
    wanted: &str,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (config, library) = place(global, environment)?;
    let removed = remove_profile(&library, wanted, &compose::signers(&config), &Clock::System)?;
    match output.json {
        true => output.object(&json!({ "removed": removed })),
        false => output.line(format!("{} {removed} is removed", output.toned(Tone::Good, "✔"))),
    }
    Ok(Exit::Done)
}

fn print(stored: &Stored, output: &Output) {
    let tone = match (&stored.problem, stored.chosen) {
        (Some(_), _) => Tone::Bad,
        (None, true) => Tone::Good,
        (None, false) => Tone::Quiet,
    };
    let name = stored.name.as_deref().or(stored.identifier.as_deref()).unwrap_or("no profile");
    let identity = stored.identity.map(|kind| format!(", {}", kind.to_uppercase())).unwrap_or_default();
    let chosen = if stored.chosen { "  (the one serve pushes)" } else { "" };
    output.line(format!("{} {}{chosen}", output.toned(tone, tone.shape()), stored.file));
    output.line(format!("    {name}{identity}"));
    let told = stored.problem.as_deref().or(stored.age.as_ref().map(|age| age.countdown.as_str()));
    output.line(format!("    {}", told.unwrap_or("nothing tells its age")));
}
