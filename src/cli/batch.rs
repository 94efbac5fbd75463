//! `enlist batch`: open, follow and close batches. Works beside a running station, which
//! reads the same journal.

use super::arguments::{BatchCommand, BatchOpenArgs, Entries, Global};
use super::output::{Output, Tone};
use super::{compose, report};
use crate::api::view::{BatchEntryView, BatchState, BatchView, EntryState, Exit, Unexpected};
use crate::api::{self, AgeAnswers, EntryQuery, OpenBatch, OperationError, system_words};
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::limits::{MANIFEST_BYTES, STOP_AFTER};
use jiff::Timestamp;
use std::io::Read;
use std::path::Path;

pub(super) fn run(
    command: &BatchCommand,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let journal = compose::journal_in(&compose::state_dir(global, environment, &config)?);
    let clock = Clock::System;
    let batch = match command {
        BatchCommand::Open(args) => {
            let answers = args.age.answers(&config.enroll);
            let export_ends = compose::end_of_export(args.profile.as_ref(), &config, &answers)?;
            let request = request(args, &config, export_ends)?;
            api::open_batch(&journal, &request, &clock)?
        }
        BatchCommand::Status { batch, devices } => {
            let view = api::show_batch(&journal, batch.id, &clock)?;
            if let Some(Entries(state)) = devices {
                let query = EntryQuery { state: *state, ..EntryQuery::default() };
                let entries = api::batch_entries(&journal, batch.id, query, &clock)?;
                entries.iter().for_each(|entry| line(entry, output));
                // One kind of object for whoever reads them.
                if output.json {
                    return Ok(Exit::Done);
                }
            }
            view
        }
        BatchCommand::List => {
            let batches = api::list_batches(&journal, &clock)?;
            batches.iter().for_each(|batch| show(batch, output));
            if batches.is_empty() && !output.json {
                output.note("There is no batch yet.");
            }
            return Ok(Exit::Done);
        }
        BatchCommand::Resume(batch) => api::resume_batch(&journal, batch.id, &clock)?,
        BatchCommand::Allow { device, batch } => api::allow_device(&journal, batch.id, device, &clock)?,
        BatchCommand::Close { batch, force } => api::close_batch(&journal, batch.id, *force, &clock)?,
        BatchCommand::Report(args) => return report::run(args, global, environment, output),
    };
    show(&batch, output);
    Ok(Exit::Done)
}

fn request(
    args: &BatchOpenArgs,
    config: &Config,
    export_ends: Option<Timestamp>,
) -> Result<OpenBatch, OperationError> {
    let answers = args.age.answers(&config.enroll);
    let blueprints = compose::blueprint_names(config, None)?;
    let base = OpenBatch { blueprints, ..of_manifest(&args.manifest, config, export_ends, &answers)? };
    Ok(OpenBatch {
        name: args.name.clone().or(base.name.clone()),
        unexpected: args.unexpected.unwrap_or(base.unexpected),
        stop_after: args.stop_after.unwrap_or(base.stop_after),
        ..base
    })
}

/// A batch as the configuration has it, with this manifest.
pub(super) fn of_manifest(
    manifest: &Path,
    config: &Config,
    export_ends: Option<Timestamp>,
    answers: &AgeAnswers,
) -> Result<OpenBatch, OperationError> {
    let unexpected = config.batch.unexpected.and_then(|u| Unexpected::named(u.name()));
    let name = manifest.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Ok(OpenBatch {
        name,
        file: manifest.display().to_string(),
        manifest: bytes_of(manifest)?,
        unexpected: unexpected.unwrap_or_default(),
        stop_after: config.batch.stop_after.unwrap_or(STOP_AFTER),
        export_ends,
        stale_allowed: answers.allow_stale.clone(),
        blueprints: None,
    })
}

/// Bounded, and never waiting for the other end of a pipe.
fn bytes_of(path: &Path) -> Result<Vec<u8>, OperationError> {
    let failed = |error: std::io::Error| {
        let said = format!("Cannot read the manifest {}: {}.", path.display(), system_words(&error));
        OperationError::new(Exit::Usage, said, "Check the path and its rights.")
    };
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if !kind.is_file() {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MANIFEST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn show(batch: &BatchView, output: &Output) {
    if output.json {
        return output.object(batch);
    }
    let tone = match batch.state {
        BatchState::Open => Tone::Busy,
        BatchState::Stopped => Tone::Bad,
        BatchState::Closed => Tone::Good,
    };
    let opened = batch.opened.strftime("%Y-%m-%d %H:%M:%SZ");
    let name = output.toned(Tone::Strong, format!("batch {} \"{}\"", batch.id, batch.name));
    let state = output.toned(tone, format!("{} {}", tone.shape(), batch.state.name()));
    output.line(format!("{name}  {state}  opened {opened}  {} %", batch.progress.percent));
    output.line(format!("  {}", batch.sentence));
    if batch.progress.unexpected > 0 {
        output.line(format!("  {} came that the manifest does not name", batch.progress.unexpected));
    }
    if batch.progress.unidentified > 0 {
        let many = batch.progress.unidentified;
        output.line(format!("  {many} came and did not tell who they are: not known yet which line each is"));
    }
    if let (Some(eta), Some(left)) = (batch.progress.eta, batch.progress.eta_s) {
        let each = batch.progress.per_hour.map(|n| format!(" at {n:.0} an hour")).unwrap_or_default();
        output.line(format!(
            "  done about {} UTC, in {} min{each}",
            eta.strftime("%H:%M"),
            left.div_ceil(60)
        ));
    }
    if let Some(seal) = &batch.seal {
        output.line(format!("  sealed {seal}"));
    }
    if let Some(next) = &batch.next {
        output.line(format!("  next: {next}"));
    }
}

fn line(entry: &BatchEntryView, output: &Output) {
    if output.json {
        return output.object(entry);
    }
    let tone = match entry.state {
        _ if entry.waiting => Tone::Person,
        EntryState::Missing => Tone::Quiet,
        EntryState::Running => Tone::Busy,
        EntryState::Done => Tone::Good,
        EntryState::Failed => Tone::Bad,
    };
    let unlisted = if entry.unidentified { "line ?" } else { "not listed" };
    let place = entry.line.map_or_else(|| unlisted.to_owned(), |line| format!("line {line}"));
    let known = entry.serial.as_ref().or(entry.imei.as_ref());
    let known = known.cloned().or_else(|| entry.device.as_ref().map(|d| d.known_as())).unwrap_or_default();
    let words = entry.device.as_ref().map(|d| format!("  {}  {}", d.bay, d.sentence)).unwrap_or_default();
    let named = entry.name.as_ref().map(|name| format!("  {name}")).unwrap_or_default();
    let state = if entry.waiting { "waiting" } else { entry.state.name() };
    let state = output.toned(tone, format!("{} {state:<8}", tone.shape()));
    output.line(format!("{state} {place:<11} {known}{named}{words}"));
}
