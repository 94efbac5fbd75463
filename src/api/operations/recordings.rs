//! Recordings: made of one device, and checked.

use super::Operations;
use crate::api::OperationError;
use crate::api::view::recording::{CheckedView, RecordingFinding};
use crate::api::view::{DeviceView, Exit, InstalledOn};
use crate::transport::recorder::{self, Recorder, meta::JobMeta};
use crate::wire::printable::system_words;
use std::path::Path;
use std::time::Duration;

/// What a recording is called that only looks.
const LOOK: &str = "look";

impl Operations {
    /// Records what a device answers while its trust is earned and its profiles are listed.
    /// The backend has to be one that records.
    ///
    /// # Errors
    /// As [`Operations::installed`].
    pub async fn record(
        &self,
        wanted: Option<&str>,
        person_within: Duration,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<InstalledOn, OperationError> {
        let link = self.desk.pick(wanted).await?;
        let udid = link.udid();
        let recorder = self.parts.backend.recorder();
        recorder.inspect(|recorder| recorder.began(udid, looks(person_within)));
        let listed = self.installed(Some(udid.as_str()), person_within, tell).await;
        if let (Some(recorder), Ok(listed)) = (recorder, &listed) {
            let DeviceView { outcome, class, chain, .. } = &listed.device;
            let chain: Vec<_> = chain.iter().map(|link| (link.domain.as_str(), link.code)).collect();
            recorder.ended(udid, outcome.name(), class.name(), &chain);
        }
        listed
    }
}

/// A recording that is of no job.
pub(super) fn looks(person_within: Duration) -> JobMeta {
    JobMeta { task: LOOK.to_owned(), person_within: person_within.as_secs(), ..JobMeta::default() }
}

/// Proves the recording in a folder clean, or those in its folders.
///
/// # Errors
/// The folder cannot be read, or holds no recording.
pub fn check_recording(folder: &Path) -> Result<CheckedView, OperationError> {
    let refused = |why: String| {
        let sentence = format!("{} cannot be checked: {why}.", folder.display());
        OperationError::new(Exit::Usage, sentence, "Give the folder of a recording.")
    };
    let checked = recorder::check(folder).map_err(|error| refused(system_words(&error)))?;
    if checked.recordings == 0 && checked.findings.is_empty() {
        return Err(refused("it holds no recording".to_owned()));
    }
    let findings = checked.findings.iter().map(|finding| RecordingFinding {
        file: finding.file.display().to_string(),
        line: finding.line,
        what: finding.what.clone(),
    });
    Ok(CheckedView {
        folder: folder.display().to_string(),
        recordings: checked.recordings,
        frames: checked.frames,
        clean: checked.findings.is_empty(),
        findings: findings.collect(),
    })
}

/// Ends the recordings of a run: how many there are, and why those are not whole that are not.
pub async fn finish_recordings(recorder: Recorder) -> (u32, Vec<&'static str>) {
    // It waits for the disk.
    match tokio::task::spawn_blocking(move || recorder.finish()).await {
        Ok(recorded) => (recorded.count, recorded.troubles),
        Err(_) => (0, vec!["the recorder broke"]),
    }
}
