//! `enlist record`, and `--record` of other commands.

use super::arguments::{Global, PatientDeviceArg};
use super::compose::{self, Recorder};
use super::installed;
use super::output::{Output, Tone};
use crate::api::view::Exit;
use crate::api::{OperationError, check_recording, finish_recordings, system_words};
use crate::config::Environment;
use clap::Args;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Writes down what a device and this station say to each other, without anything that names a
/// device, a person or an organisation, and without secrets: enough to find a fault elsewhere.
/// Earns the device's trust, reads what it tells, and lists its profiles. An enrollment is
/// recorded by `enlist enroll --record DIR` and `enlist serve --record DIR`.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// Folder to be made for the recording
    dir: PathBuf,
    /// Prove that the recordings in DIR hold nothing they must not
    #[arg(long, conflicts_with_all = ["udid", "person_within"])]
    check: bool,
    #[command(flatten)]
    device: PatientDeviceArg,
}

pub(super) async fn run(
    args: &RecordArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    if args.check {
        return check(&args.dir, output);
    }
    let recorder = compose::record_into(begun(&args.dir)?);
    let (operations, _) = compose::station(global, environment, Some(&recorder)).await?;
    let ended = operations.record(args.device.udid(), args.device.patience(), &output.teller()).await;
    let whole = finish(recorder, &args.dir, output).await;
    let shown = installed::show(&ended?, output);
    Ok(if whole { shown } else { Exit::Failed.worst(shown) })
}

fn check(dir: &Path, output: &Output) -> Result<Exit, OperationError> {
    let checked = check_recording(dir)?;
    if output.json {
        output.object(&checked);
    } else {
        for finding in &checked.findings {
            let place = if finding.line > 0 { format!(":{}", finding.line) } else { String::new() };
            output.line(format!("{}{place}: {}", finding.file, finding.what));
        }
        let (tone, verdict) = match checked.clean {
            true => (Tone::Good, "clean"),
            false => (Tone::Bad, "NOT clean: do not pass it on"),
        };
        let verdict = output.toned(tone, verdict);
        output.line(format!(
            "{}: {verdict}; recordings: {}, frames: {}",
            checked.folder, checked.recordings, checked.frames
        ));
    }
    Ok(if checked.clean { Exit::Done } else { Exit::Failed })
}

/// A folder that is there and empty: the recording is what was asked for.
fn begun(dir: &Path) -> Result<&Path, OperationError> {
    must_be_empty(dir)?;
    std::fs::create_dir_all(dir).map_err(|error| unusable(dir, &system_words(&error)))?;
    Ok(dir)
}

/// Refuses a folder with something in it, before anything is begun.
///
/// # Errors
/// There is something in it.
pub(super) fn must_be_empty(dir: &Path) -> Result<(), OperationError> {
    match std::fs::read_dir(dir).map(|mut inside| inside.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unusable(dir, "there is something in it")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // The recorder will say so, and the job goes on.
        Err(_) => Ok(()),
    }
}

fn unusable(dir: &Path, why: &str) -> OperationError {
    let sentence = format!("{} cannot take a recording: {why}.", dir.display());
    OperationError::new(Exit::Usage, sentence, "Give a folder that is empty or not there yet.")
}

/// Ends the recordings and says where they are; false if one is not whole.
pub(super) async fn finish(recorder: Recorder, dir: &Path, output: &Output) -> bool {
    let (count, troubles) = finish_recordings(recorder).await;
    let many = if count == 1 { "1 recording".to_owned() } else { format!("{count} recordings") };
    let cut = match troubles.first() {
        Some(first) => format!("; not whole: {} ({first})", troubles.len()),
        None => String::new(),
    };
    output.note(format!("{many} in {}{cut}", dir.display()));
    troubles.is_empty()
}
