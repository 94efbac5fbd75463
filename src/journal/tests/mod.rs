//! The journal's own tests, by what they are about.

mod book;
mod checking;
mod fixture;
mod library;
mod opening;
mod reading;
mod writing;

use super::*;
use crate::ids::Bay;
use crate::workflow::event::{DeviceLabel, PushAnswer, StepId, StepResult};
use crate::workflow::outcome::Outcome;
use std::sync::Mutex;
use tempfile::TempDir;

/// A scratch journal and what its observer was told.
struct Scratch {
    folder: TempDir,
    path: PathBuf,
    seen: Arc<Mutex<Vec<Event>>>,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("station/journal.sqlite3");
        Self { folder, path, seen: Arc::default() }
    }

    fn try_open(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.path, Clock::System, self.observer())
    }

    fn open(&self) -> Journal {
        self.try_open().unwrap()
    }

    fn observer(&self) -> Observer {
        let seen = self.seen.clone();
        Arc::new(move |event| seen.lock().unwrap().push(event.clone()))
    }

    fn seen(&self) -> Vec<Event> {
        self.seen.lock().unwrap().clone()
    }

    fn reader(&self) -> JournalReader {
        JournalReader::open(&self.path).unwrap()
    }

    /// An open database without a writer, for tests that need the connection.
    fn store(&self) -> schema::Store {
        schema::open_store(&self.path, schema::MIGRATIONS).unwrap()
    }

    fn assert_sound(&self) {
        assert_eq!(self.reader().check(), Vec::<String>::new());
    }
}

fn udid(n: u32) -> Udid {
    format!("00008110-{n:016X}").parse().unwrap()
}

/// A job of device `n`; all use the same profile.
fn new_job(n: u32) -> NewJob {
    NewJob {
        udid: udid(n),
        bay: Bay(format!("usb-1-{n}")),
        simulated: true,
        profile_sha256: "ab".repeat(32),
        profile_identifier: "com.example.enroll".into(),
        profile_uuid: "6C2A0F7E-3B1D-4E55-9C1A-7D1E0C3B2A11".into(),
        profile_name: "Example enrollment".into(),
        stale_allowed: None,
    }
}

fn label(n: u32) -> DeviceLabel {
    DeviceLabel {
        serial: Some(format!("SIM{n:07}")),
        name: Some("Ada's iPad".into()),
        product_type: Some("iPad14,1".into()),
        os_version: Some("18.5".into()),
        ecid: Some(u64::MAX - u64::from(n)),
        imei: None,
    }
}

fn ended(outcome: Outcome) -> EventKind {
    EventKind::JobEnded(outcome.into())
}

/// What follows `job-started` in a job that is unplugged once and ends well.
fn life(n: u32) -> Vec<EventKind> {
    use EventKind as K;
    let begin = |step| K::StepStarted { step };
    let finish = |step| K::StepFinished { step, result: StepResult::Done, detail: None };
    let skip =
        |step| K::StepFinished { step, result: StepResult::Skipped, detail: Some("not needed".into()) };
    vec![
        K::AttemptStarted { number: 1 },
        begin(StepId::Pair),
        K::Waiting { state: Outcome::WaitingForTrust, until: "2026-03-02T08:01:00Z".parse().unwrap() },
        finish(StepId::Pair),
        begin(StepId::Inspect),
        K::Identified(label(n)),
        finish(StepId::Inspect),
        K::Planned { steps: vec![StepId::Install, StepId::Verify], reason: "not enrolled".into() },
        begin(StepId::Install),
        K::PushStarted { number: 1 },
        K::Detached,
        K::Reattached { bay: Bay("usb-1-99".into()) },
        K::AttemptStarted { number: 2 },
        skip(StepId::Pair),
        begin(StepId::Install),
        K::PushStarted { number: 2 },
        K::PushAnswered { number: 2, answer: PushAnswer::Acknowledged },
        finish(StepId::Install),
        K::Identified(DeviceLabel { os_version: Some("18.6".into()), ..Default::default() }),
        begin(StepId::Verify),
        finish(StepId::Verify),
        ended(Outcome::Enrolled),
    ]
}

async fn live(journal: &Journal, n: u32) -> JobId {
    let job = journal.start_job(new_job(n)).await.unwrap();
    for kind in life(n) {
        journal.append(job, kind).await.unwrap();
    }
    job
}
