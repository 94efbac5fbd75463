//! `enlist backup` and `enlist restore`: what a station cannot make anew, in one file.

use super::arguments::Global;
use super::compose;
use super::output::Output;
use crate::api::view::Exit;
use crate::api::{self, BackupView, OperationError};
use crate::clock::Clock;
use crate::config::Environment;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The backup, a tar file for its owner alone: it holds keys
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// Put aside what the state folder holds; otherwise nothing is restored over it
    #[arg(long)]
    force: bool,
}

pub(super) fn back_up(
    args: &BackupArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let state_dir = compose::state_dir(global, environment, &config)?;
    let made = api::back_up(&state_dir, &args.file, args.force, &Clock::System)?;
    match output.json {
        true => output.object(&made),
        false => output.line(format!("Backed up {} to {}.", contents(&made), made.file.display())),
    }
    Ok(Exit::Done)
}

pub(super) fn restore(
    args: &RestoreArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let state_dir = compose::state_dir(global, environment, &config)?;
    let restored = api::restore(&state_dir, &args.file, args.force, &Clock::System)?;
    if output.json {
        output.object(&restored);
        return Ok(Exit::Done);
    }
    let (what, made) = (contents(&restored.backup), restored.backup.made);
    output.line(format!("Restored {what} of {made} to {}.", state_dir.display()));
    if let Some(before) = &restored.before {
        output.line(format!("What was there is in {}.", before.display()));
    }
    Ok(Exit::Done)
}

fn contents(backup: &BackupView) -> String {
    let mut parts = Vec::new();
    parts.extend(backup.journal.then(|| "the journal".to_owned()));
    parts.extend(backup.identity.then(|| "the identity".to_owned()));
    let mut counted = |count: usize, one: &str, many: &str| {
        if count > 0 {
            parts.push(format!("{count} {}", if count == 1 { one } else { many }));
        }
    };
    counted(backup.pair_records, "pair record", "pair records");
    counted(backup.profiles, "export", "exports");
    match parts.pop() {
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
        None => "learned bays".into(),
    }
}
