//! Replays: a recording through the workflow that ships, and whether it ends as it did.

mod job;

use super::super::view::{BayView, Exit, MismatchView, ReplayView, ResultView};
use crate::api::{Live, OperationError, RunEnd};
use crate::clock::Clock;
use crate::device::DeviceError;
use crate::device::trust::{RecordStore, StationIdentity, Supervisors, Trust};
use crate::secret::Secret;
use crate::station::{BayNames, Board, Orders, Selection, Station};
use crate::transport::Backend;
use crate::transport::recorder::META;
use crate::transport::recorder::meta::{ResultMeta, errors};
use crate::transport::recorder::scrub::Scrubber;
use crate::transport::replay::{Mismatch, Replay, ReplayKey, ReplayParts, Tape, TapeError};
use crate::wire::printable::{sentence, system_words};
use std::fs;
use std::future::Future;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// How much longer than its policy allows a replayed job may take, in its own time, before it
/// counts as one that never ends.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// The supervision identity of a replay whose station showed one: a device of a recording takes
/// any for its own.
const SUPERVISOR: &[u8] = include_bytes!("../../../fixtures/identities/supervisor.pem");

/// What replays of one run have in common: making keys takes longer than a replay.
#[derive(Debug)]
pub struct ReplayKit {
    folder: PathBuf,
    identity: Arc<StationIdentity>,
    key: ReplayKey,
}

impl ReplayKit {
    /// Makes a station of its own in a folder of its own, below `state_dir`; it is gone with
    /// the kit.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn make(state_dir: &Path) -> Result<Self, OperationError> {
        let folder = state_dir.join(format!("replay-{}", Uuid::new_v4()));
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| unusable(&folder, &system_words(&error)))?;
        let identity = StationIdentity::load_or_create(&folder.join("identity.plist"), &Clock::System)?;
        let key = ReplayKey::generate().map_err(|error| unusable(&folder, &error.to_string()))?;
        Ok(Self { folder, identity: Arc::new(identity), key })
    }

    fn trust(&self, tape: &Tape, clock: &Clock) -> Result<Trust, OperationError> {
        let store = RecordStore::new(self.folder.join(format!("records-{}", Uuid::new_v4())), clock.clone());
        let trust = Trust::new(self.identity.clone(), store);
        if tape.supervisors() == 0 {
            return Ok(trust);
        }
        let file = self.folder.join("supervisor.pem");
        fs::write(&file, SUPERVISOR).map_err(|error| unusable(&file, &system_words(&error)))?;
        Ok(trust.supervising(Supervisors::read(&[file], None)?))
    }

    fn parts(
        &self,
        tape: &Tape,
        trust: &Trust,
        clock: &Clock,
        mutate: Option<u64>,
    ) -> Result<ReplayParts, DeviceError> {
        let mut record = self.identity.record_for(self.key.public_pem(), None, None)?;
        record.escrow_bag = tape.escrow_bag().map(|bag| Secret::new(bag.to_vec()));
        Ok(ReplayParts {
            key: self.key.clone(),
            record: record.to_bytes(),
            certificate: record.device_certificate,
            buid: self.identity.system_buid().to_owned(),
            supervisor: trust.supervisors().all().first().map(|identity| identity.certificate().to_vec()),
            clock: clock.clone(),
            mutate,
        })
    }
}

impl Drop for ReplayKit {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// One replay.
pub struct ReplayRun {
    folder: PathBuf,
    tape: Arc<Tape>,
    replay: Arc<Replay>,
    station: Arc<Station>,
    mutate: Option<u64>,
}

impl ReplayRun {
    /// Gets a recording ready. Call inside the runtime that is to run it; its clock counts.
    /// With `mutate` answers are changed at random by this seed.
    ///
    /// # Errors
    /// The job that was recorded cannot be made again.
    pub fn new(
        tape: Tape,
        folder: &Path,
        kit: &ReplayKit,
        mutate: Option<u64>,
    ) -> Result<Self, OperationError> {
        let clock = Clock::starting_at(Clock::System.now());
        let (profile, policy) = job::Remake { tape: &tape, folder, now: clock.now() }.job()?;
        let trust = kit.trust(&tape, &clock)?;
        let parts = kit.parts(&tape, &trust, &clock, mutate)?;
        let tape = Arc::new(tape);
        let replay = Arc::new(Replay::start(tape.clone(), parts));
        let station = Station {
            backend: replay.clone(),
            // A replay leaves no trace: its jobs are nobody's history.
            journal: None,
            board: Arc::new(Board::default()),
            bays: Arc::new(BayNames::default()),
            trust,
            profile,
            shelf: None,
            policy,
            orders: Orders::default(),
            clock,
        };
        Ok(Self { folder: folder.to_owned(), tape, replay, station: Arc::new(station), mutate })
    }

    /// A live view of it.
    pub fn live(&self) -> Live {
        Live::new(self.station.board.clone(), self.station.clock.clone())
    }

    /// Runs it until its job is over, the station goes another way than was recorded, a
    /// recording that is cut has nothing more, or `shutdown`.
    ///
    /// # Errors
    /// The device is not there.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<RunEnd, OperationError> {
        let attached = self.replay.list().await?;
        let over = self.replay.over();
        let policy = &self.station.policy;
        let longest = policy.longest_job() + policy.replug_within + GRACE;
        let stop = async {
            tokio::select! {
                () = shutdown => {}
                _ = over => {}
                () = sleep(longest) => {}
            }
        };
        Ok(self.station.run(Selection::Listed(attached), true, stop).await)
    }

    /// How it ended.
    pub async fn outcome(&self) -> ReplayView {
        let rest = self.replay.rest().await;
        let reached = self.live().bays().into_iter().find(|bay| bay.ended);
        let mut view = ReplayView {
            recording: self.folder.display().to_string(),
            origin: self.tape.meta.origin.name().to_owned(),
            ok: false,
            simulated: true,
            frames: self.tape.frames(),
            seed: self.mutate,
            changed: rest.changed,
            recorded: self.tape.meta.result.as_ref().map(ResultView::of_meta),
            reached: reached.as_ref().map(|bay| ResultView::of_bay(bay, rest.pushes)),
            difference: None,
            sentence: String::new(),
        };
        match self.mutate {
            Some(_) => in_words(&mut view, reached.as_ref()),
            None => self.compare(&mut view, rest.left),
        }
        view
    }

    /// A faithful replay ends as the recording did, having said all that was said. Of one that is
    /// cut, nothing but that can be asked.
    fn compare(&self, view: &mut ReplayView, rest: Option<Mismatch>) {
        let difference = self.replay.difference().or(rest);
        let cut = &self.tape.meta.cut;
        let is_played = self.replay.is_played();
        view.sentence = match (&difference, &view.recorded, &view.reached) {
            (Some(mismatch), ..) => sentence(&mismatch.reason),
            (None, ..) if is_played => {
                view.ok = true;
                let all = view.frames;
                format!(
                    "The recording is cut ({cut}). All {all} frames of it were replayed, and nothing differs."
                )
            }
            (None, ..) if !cut.is_empty() => {
                format!("The recording is cut ({cut}), and the replay ended before it did.")
            }
            (None, None, _) => "The recording does not say how its job ended.".to_owned(),
            (None, Some(_), None) => "The job did not come to its end.".to_owned(),
            (None, Some(then), Some(now)) if !then.is_met_by(now) => {
                format!("The job ended as {now}; recorded is {then}.")
            }
            (None, Some(then), Some(_)) => {
                view.ok = true;
                format!("The job ended as it was recorded: {then}.")
            }
        };
        view.difference = difference.map(MismatchView::of);
    }
}

/// A job whose answers were changed has to end in words, whatever they are.
fn in_words(view: &mut ReplayView, reached: Option<&BayView>) {
    let Some(bay) = reached else {
        view.sentence = "The job did not come to its end.".to_owned();
        return;
    };
    // This one verdict is given where a job panicked.
    let broke = bay.device.sentence.contains("broke inside the station");
    view.ok = !broke && !bay.device.sentence.is_empty();
    view.sentence = format!("The job ended in words: {}", bay.device.sentence);
}

impl ResultView {
    fn of_meta(meta: &ResultMeta) -> Self {
        let ResultMeta { outcome, class, pushes, chain } = meta.clone();
        Self { outcome, class, pushes, chain }
    }

    fn of_bay(bay: &BayView, pushes: u32) -> Self {
        let (outcome, class) = (bay.device.outcome.name(), bay.device.class.name());
        let chain = bay.device.chain.iter().map(|link| (link.domain.as_str(), link.code));
        let chain = Some(errors(chain, &mut Scrubber::default()));
        Self { outcome: outcome.to_owned(), class: class.to_owned(), pushes, chain }
    }
}

/// Reads a recording.
///
/// # Errors
/// It is none, or not a clean one.
pub fn read_recording(folder: &Path) -> Result<Tape, OperationError> {
    Ok(Tape::read(folder)?)
}

/// The recordings that a folder is, or holds.
///
/// # Errors
/// It is none and holds none.
pub fn recordings_in(folder: &Path) -> Result<Vec<PathBuf>, OperationError> {
    if folder.join(META).is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let failed = |error: std::io::Error| {
        let said = format!("{} cannot be read: {}.", folder.display(), system_words(&error));
        OperationError::new(Exit::Usage, said, NEXT)
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.join(META).is_file() {
            found.push(path);
        }
    }
    found.sort();
    match found.is_empty() {
        true => {
            let said = format!("{} is no recording, and holds none.", folder.display());
            Err(OperationError::new(Exit::Usage, said, NEXT))
        }
        false => Ok(found),
    }
}

const NEXT: &str = "Name a folder with a meta.toml in it, as `enlist record` makes them.";

impl From<TapeError> for OperationError {
    fn from(error: TapeError) -> Self {
        Self::new(Exit::Failed, sentence(&error), "Record it again, or take the version that was kept.")
    }
}

fn unusable(path: &Path, reason: &str) -> OperationError {
    let said = format!("{} cannot be used: {reason}.", path.display());
    OperationError::new(Exit::Usage, said, "Name another folder: --state-dir DIR.")
}
