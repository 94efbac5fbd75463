//! `enlist profile add`, `list`, `remove`: the exports the station keeps, and those it met.

use super::arguments::{AddArgs, Global};
use super::compose;
use super::output::{Output, Tone};
use crate::api::view::{Exit, LibraryProfileView};
use crate::api::{AgeAnswers, OperationError, Stored};
use crate::config::Environment;
use serde_json::json;
use std::path::Path;

pub(super) async fn add(
    args: &AddArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let library = compose::library(global, environment)?;
    let answers =
        AgeAnswers { exported_at: args.exported_at, unknown: library.unknown, ..AgeAnswers::default() };
    let (stored, is_new) = library.add(&args.file, &answers).await?;
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
    met: bool,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let library = compose::library(global, environment)?;
    if met {
        let known = library.known(true)?;
        for profile in &known {
            match output.json {
                true => output.object(profile),
                false => print_known(profile, output),
            }
        }
        if known.is_empty() && !output.json {
            output.note(format!("No profile was met yet, says {}.", library.journal.display()));
        }
        return Ok(Exit::Done);
    }
    let listed = library.list(folder)?;
    for stored in &listed {
        match output.json {
            true => output.object(stored),
            false => print(stored, output),
        }
    }
    if listed.is_empty() && !output.json {
        output.note(format!("No profiles in {}.", folder.unwrap_or(&library.folder).display()));
    }
    Ok(Exit::Done)
}

pub(super) async fn remove(
    wanted: &str,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let removed = compose::library(global, environment)?.remove(wanted).await?;
    match output.json {
        true => output.object(&json!({ "removed": removed })),
        false => output.line(format!("{} {removed} is removed", output.toned(Tone::Good, "✔"))),
    }
    Ok(Exit::Done)
}

fn print_known(profile: &LibraryProfileView, output: &Output) {
    let (tone, gone) = match (&profile.problem, profile.gone) {
        (Some(_), _) => (Tone::Bad, ""),
        (None, Some(_)) => (Tone::Quiet, ", gone"),
        (None, None) => (Tone::Good, ""),
    };
    let name = profile.name.as_deref().unwrap_or(&profile.identifier);
    let sha = profile.sha256.get(..12).unwrap_or(&profile.sha256);
    let kind = profile.kind.to_uppercase();
    output.line(format!("{} {sha}  {name}, {kind}{gone}", output.toned(tone, tone.shape())));
    let jobs = if profile.jobs == 1 { "job" } else { "jobs" };
    output.line(format!(
        "    seen {} to {}, {} {jobs}",
        profile.first_seen.strftime("%Y-%m-%d"),
        profile.last_seen.strftime("%Y-%m-%d"),
        profile.jobs
    ));
    for place in &profile.places {
        let gone = place.gone.map(|at| at.strftime(", until %Y-%m-%d").to_string()).unwrap_or_default();
        output.line(output.toned(Tone::Quiet, format!("    {}/{}{gone}", place.folder, place.file)));
    }
    let told = profile.problem.as_deref().or(profile.age.as_ref().map(|age| age.countdown.as_str()));
    output.line(format!("    {}", told.unwrap_or("nothing tells its age")));
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
