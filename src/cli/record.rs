//! `enlist record`, and `--record` of other commands.

use super::arguments::{Global, PatientDeviceArg};
use super::compose::{self, Recorder};
use super::installed;
use super::output::{Output, Tone};
use crate::api::view::Exit;
use crate::api::{OperationError, check_recording, finish_recordings, system_words};
use crate::config::Environment;
use clap::Args;
use std::path::{Path, PathBuf};

const WHAT_IT_DOES: &str = "Earns the device's trust, reads what it tells, and lists its profiles; nothing is \
installed. To record an enrollment: enlist enroll FILE --record DIR; serve, prepare and erase take it too. Nothing is \
written that names a device, a person or an organisation.";

/// A recording of what a device and this station say to each other.
#[derive(Debug, Args)]
#[command(after_help = WHAT_IT_DOES)]
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
    std::fs::create_dir_all(&args.dir).map_err(|error| unusable(&args.dir, &system_words(&error)))?;
    let taken = RecordFlag { record: Some(args.dir.clone()) }.of_one()?;
    let (operations, _) = compose::station(global, environment, taken.recorder()).await?;
    let ended = operations.record(args.device.udid(), args.device.patience(), &output.teller()).await;
    let whole = taken.finish(output).await;
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

/// `--record` of the commands that run jobs.
#[derive(Debug, Args)]
pub(super) struct RecordFlag {
    /// Record what device and station say in this folder, as `enlist record` does; of several
    /// devices each in a folder of its own
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

/// What records a run, if anything does.
pub(super) struct Taken(Option<(Recorder, PathBuf)>);

impl RecordFlag {
    /// For a run about one device.
    ///
    /// # Errors
    /// There is something in the folder.
    pub(super) fn of_one(&self) -> Result<Taken, OperationError> {
        let Some(dir) = &self.record else { return Ok(Taken(None)) };
        must_be_empty(dir)?;
        Ok(Taken(Some((compose::record_into(dir), dir.clone()))))
    }

    /// For a run about many.
    pub(super) fn of_each(&self) -> Taken {
        Taken(self.record.as_ref().map(|dir| (compose::record_each_into(dir), dir.clone())))
    }

    /// For a run about `all` devices attached, or one of them.
    ///
    /// # Errors
    /// As [`RecordFlag::of_one`].
    pub(super) fn of(&self, all: bool) -> Result<Taken, OperationError> {
        if all { Ok(self.of_each()) } else { self.of_one() }
    }
}

impl Taken {
    pub(super) fn recorder(&self) -> Option<&Recorder> {
        self.0.as_ref().map(|(recorder, _)| recorder)
    }

    /// Ends the recordings and says where they are; false if one is not whole.
    pub(super) async fn finish(self, output: &Output) -> bool {
        let Some((recorder, dir)) = self.0 else { return true };
        let (count, troubles) = finish_recordings(recorder).await;
        let many = if count == 1 { "1 recording".to_owned() } else { format!("{count} recordings") };
        let cut = match troubles.first() {
            Some(first) => format!("; not whole: {} ({first})", troubles.len()),
            None => String::new(),
        };
        output.note(format!("{many} in {}{cut}", dir.display()));
        troubles.is_empty()
    }
}

/// Refuses a folder with something in it, before anything is begun.
///
/// # Errors
/// There is something in it.
fn must_be_empty(dir: &Path) -> Result<(), OperationError> {
    match std::fs::read_dir(dir).map(|mut inside| inside.next().is_none()) {
        Ok(false) => Err(unusable(dir, "there is something in it")),
        // If it cannot be read or made, the recorder will say so, and the job goes on.
        Ok(true) | Err(_) => Ok(()),
    }
}

fn unusable(dir: &Path, why: &str) -> OperationError {
    let sentence = format!("{} cannot take a recording: {why}.", dir.display());
    OperationError::new(Exit::Usage, sentence, "Give a folder that is empty or not there yet.")
}
