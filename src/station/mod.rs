//! The station: all attached devices at once, each its own job.
//!
//! May import: `workflow`, `journal`, `device`, traits of `transport`, base. No wire
//! messages, no rendering. Start at [`Station::run`]; [`board`] is what screens read,
//! [`desk`] does single things with single devices.

pub mod age;
pub mod backup;
pub mod batches;
pub mod bays;
pub mod blueprints;
pub mod board;
pub mod desk;
pub mod doctor;
mod flaps;
pub mod helpers;
pub mod hooks;
pub mod learn;
pub mod library;
pub mod macs;
mod orders;
mod owned;
pub mod pace;
mod pulse;
mod recordings;
mod registry;
mod rungs;
mod scheduler;
mod sink;
mod stays;
pub mod unserved;

pub use bays::BayNames;
pub use board::{BayState, Board, News};
pub use desk::Desk;
pub use orders::Orders;

use crate::clock::Clock;
use crate::device::trust::Trust;
use crate::device::{DeviceLink, Presence};
use crate::ids::{JobId, MuxId, PortPath, Udid};
use crate::journal::{Journal, JournalError, OpenJob};
use crate::limits::{HOOKS_GRACE, SHUTDOWN_GRACE};
use crate::transport::{Attachment, Backend, BackendEvent, RungError, Unserved};
use crate::wire::printable::sentence;
use crate::wire::profile::Profile;
use crate::workflow::assign::Assigner;
use crate::workflow::choice;
use crate::workflow::engine::{self, EventSink, Job};
use crate::workflow::event::{EventKind, NewJob};
use crate::workflow::memory::Memory;
use crate::workflow::outcome::{Class, Outcome, Verdict};
use crate::workflow::policy::{Policy, Task};
use batches::JobAssigner;
use hooks::Hooks;
use library::shelf::{OnShelf, Shelf};
use registry::{Arrival, Links, Registry};
use scheduler::Scheduler;
use sink::{DrySink, JournalSink};
use stays::{Due, Stays};
use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument;

/// A run without a fixed list of devices takes it that all are there when none came for
/// this long: a mux announces present devices at once.
const SETTLE: Duration = Duration::from_secs(2);

/// Such a run gives up if no device came for this long.
const NO_DEVICE: Duration = Duration::from_secs(15);

/// How long a job of such a run waits for an export, where the folder lost its last one: a
/// person who replaces a file is done by then.
const SUPPLY_WITHIN: Duration = Duration::from_secs(60);

/// Which devices a run is about.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Whatever comes.
    All,
    /// These, attached now; others are left alone.
    Listed(Vec<Attachment>),
    /// This one, attached now; nothing else is even shown.
    Only(Attachment),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// Every job is over.
    Done,
    /// No device came.
    NoDevice,
    /// The caller asked for the end; open jobs resume next time.
    Interrupted,
}

/// The station.
pub struct Station {
    /// The way to the devices.
    pub backend: Arc<dyn Backend>,
    /// The memory; `None` for dry runs, which leave no trace.
    pub journal: Option<Journal>,
    /// What screens read. The journal's observer must feed it.
    pub board: Arc<Board>,
    /// What ports are called.
    pub bays: Arc<BayNames>,
    /// Who we are to devices.
    pub trust: Trust,
    /// The profile wanted.
    pub profile: Arc<Profile>,
    /// Where new jobs get theirs, if it may change while the station runs.
    pub shelf: Option<Shelf>,
    /// The owner's decisions.
    pub policy: Policy,
    /// What else its owner wants done with devices.
    pub orders: Orders,
    /// Wall time.
    pub clock: Clock,
}

impl Station {
    /// Runs. With `once` it ends when every job is over, else only by `shutdown`.
    pub async fn run(
        self: &Arc<Self>,
        selection: Selection,
        once: bool,
        shutdown: impl Future<Output = ()> + Send,
    ) -> RunEnd {
        let mut run = Run {
            leftovers: self.leftovers().await,
            station: self.clone(),
            registry: Registry::new(&selection, once),
            jobs: JoinSet::new(),
            names: HashMap::new(),
            once,
            shows_unserved: !matches!(selection, Selection::Only(_)),
            // A run about certain devices leaves others alone; a dry run leaves all alone.
            recovers: matches!(selection, Selection::All) && !once && !self.policy.dry_run,
            stays: Stays::default(),
            scheduler: Arc::default(),
            hooks: Hooks::new(&self.orders.hooks, self.journal_path(), self.clock.clone()),
            watches: JoinSet::new(),
            rungs: JoinSet::new(),
            patience: Instant::now() + NO_DEVICE,
        };
        match selection {
            Selection::All => {}
            Selection::Listed(attachments) => attachments.into_iter().for_each(|a| run.attached(a)),
            Selection::Only(attachment) => run.attached(attachment),
        }
        let end = tokio::select! {
            end = run.until_over() => end,
            () = shutdown => RunEnd::Interrupted,
        };
        // Dropped jobs close their connections; their journal shows them open.
        let _ = timeout(SHUTDOWN_GRACE, run.jobs.shutdown()).await;
        let grace = if end == RunEnd::Interrupted { SHUTDOWN_GRACE } else { HOOKS_GRACE };
        let _ = timeout(grace, async {
            run.hooks.finish().await;
            while run.watches.join_next().await.is_some() {}
        })
        .await;
        end
    }

    fn link(&self, attachment: Attachment) -> DeviceLink {
        let bay = self.bays.of(&attachment);
        DeviceLink::new(self.backend.clone(), attachment, bay)
    }

    fn sink(&self) -> Arc<dyn EventSink> {
        match &self.journal {
            Some(journal) => Arc::new(JournalSink::new(journal.clone())),
            None => Arc::new(DrySink::new(self.board.clone(), self.clock.clone())),
        }
    }

    fn journal_path(&self) -> Option<PathBuf> {
        self.journal.as_ref().map(|journal| journal.path().to_owned())
    }

    /// Who decides about a job's device, once it is known.
    fn assigner(
        &self,
        udid: &Udid,
        profile: &Arc<Profile>,
        policy: &Policy,
        once: bool,
    ) -> Option<Arc<dyn Assigner>> {
        let journal = self.journal_path();
        let orders = &self.orders;
        let is_enrolled = matches!(policy.task, Task::Enroll);
        if !is_enrolled || journal.is_none() && orders.blueprints.is_none() {
            return None;
        }
        Some(Arc::new(JobAssigner {
            udid: udid.clone(),
            journal,
            orders: orders.clone(),
            profile: profile.clone(),
            policy: policy.clone(),
            once,
            clock: self.clock.clone(),
            recorder: self.backend.recorder().cloned(),
        }))
    }

    /// One device's job from whatever the journal knows of it to its end.
    async fn enroll(
        &self,
        link: DeviceLink,
        superseded: Vec<JobId>,
        links: watch::Receiver<Presence>,
        scheduler: Arc<Scheduler>,
        once: bool,
    ) -> Verdict {
        let (profile, mut policy) = match self.supply(&link, once).await {
            Ok(supplied) => supplied,
            Err(verdict) => return verdict,
        };
        recordings::began(self.backend.recorder(), link.udid(), &profile, &policy);
        let (id, memory) = match self.open_job(&link, &profile, &policy, superseded).await {
            Ok(opened) => opened,
            Err(error) => return journal_refused(&sentence(&error)),
        };
        if let Some(journal) = &self.journal {
            policy.owned = owned::owned(journal.path(), id, &profile, &policy).await;
        }
        // What was pushed in time may be finished.
        if memory.pushes.is_empty() && self.refuses_stale(&policy) {
            let verdict = age::too_old_by_now();
            return match self.sink().emit(id, EventKind::JobEnded(verdict.clone())).await {
                Ok(()) => verdict,
                Err(reason) => journal_refused(&reason),
            };
        }
        let job = Job {
            id,
            assigner: self.assigner(link.udid(), &profile, &policy, once),
            profile,
            policy,
            trust: self.trust.clone(),
            clock: self.clock.clone(),
            sink: scheduler.sink(self.sink(), link.attachment(), links.clone()),
            links,
            memory,
        };
        engine::run(job).await
    }

    /// Jobs an earlier run left open for other profiles, by device. A journal that cannot
    /// be read says so again at the first job.
    async fn leftovers(&self) -> HashMap<Udid, Vec<JobId>> {
        let Some(journal) = &self.journal else { return HashMap::new() };
        let ours = choice::sha256(&choice::preferred(&self.profile, &self.policy));
        let mut leftovers: HashMap<Udid, Vec<JobId>> = HashMap::new();
        for job in journal.all_open_jobs().await.unwrap_or_default() {
            if let Some(EventKind::JobStarted(new)) = job.events.first().map(|e| &e.kind)
                && new.profile_sha256 != ours
            {
                leftovers.entry(new.udid.clone()).or_default().push(job.id);
            }
        }
        leftovers
    }

    /// The device's open job for this profile, or a new one.
    async fn open_job(
        &self,
        link: &DeviceLink,
        profile: &Arc<Profile>,
        policy: &Policy,
        superseded: Vec<JobId>,
    ) -> Result<(JobId, Memory), JournalError> {
        let new = self.new_job(link, profile, policy);
        let Some(journal) = &self.journal else {
            return Ok((sink::begin_dry(&self.board, &self.clock, new), Memory::default()));
        };
        for id in superseded {
            journal.append(id, EventKind::JobEnded(superseded_verdict())).await?;
        }
        let open = journal.open_jobs(&new.udid, &new.profile_sha256).await?;
        let mut memory = open.as_ref().map(|job| Memory::of(&job.events)).unwrap_or_default();
        if memory.pushes.is_empty()
            && let Some(before) = journal.last_that_pushed(&new.udid, &new.profile_sha256).await?
        {
            memory = memory.after(&before.events);
        }
        match open {
            Some(OpenJob { id, events }) => {
                let started = events.first().map_or_else(|| self.clock.now(), |e| e.at);
                self.board.resumed(&new.udid, id, started, &memory);
                Ok((id, memory))
            }
            None => Ok((journal.start_job(new).await?, memory)),
        }
    }

    /// The profile a new job gets. It waits while there is none, with `once` not for ever; a
    /// device that goes meanwhile is missed by the job itself.
    async fn supply(&self, link: &DeviceLink, once: bool) -> Result<(Arc<Profile>, Policy), Verdict> {
        let policy = self.policy.clone();
        let Some(mut shelf) = self.shelf.clone() else { return Ok((self.profile.clone(), policy)) };
        let deadline = Instant::now() + SUPPLY_WITHIN;
        loop {
            let reason = match &*shelf.borrow_and_update() {
                OnShelf::Profile { profile, ends, .. } => {
                    return Ok((profile.clone(), Policy { export_ends: *ends, ..policy }));
                }
                OnShelf::Nothing(reason) => sentence(reason),
            };
            let verdict =
                Verdict::from(Outcome::Attached).saying(format!("It waits for a profile. {reason}"));
            self.board
                .holds(link.udid(), verdict.then("Put an export into the folder; the job then begins."));
            tokio::select! {
                changed = shelf.changed() => if changed.is_err() {
                    return Err(no_supply("The folder is no longer followed."));
                },
                () = sleep_until(deadline), if once => {
                    let waited = SUPPLY_WITHIN.as_secs();
                    return Err(no_supply(&format!("No profile came within {waited} seconds. {reason}")));
                }
            }
        }
    }

    /// The export grew too old while the station ran, and nobody allowed that.
    fn refuses_stale(&self, policy: &Policy) -> bool {
        policy.stale_allowed.is_none() && policy.is_stale(self.clock.now())
    }

    fn new_job(&self, link: &DeviceLink, profile: &Arc<Profile>, policy: &Policy) -> NewJob {
        let profile = choice::preferred(profile, policy);
        NewJob {
            udid: link.udid().clone(),
            bay: link.bay().clone(),
            simulated: link.attachment().simulated,
            profile_sha256: choice::sha256(&profile),
            profile_identifier: profile.identifier().to_owned(),
            profile_uuid: profile.uuid().to_owned(),
            profile_name: profile.display_name().unwrap_or(profile.identifier()).to_owned(),
            stale_allowed: policy.reason_for_stale(self.clock.now()).map(str::to_owned),
        }
    }
}

fn no_supply(reason: &str) -> Verdict {
    let next = "Put the file there that your MDM exported, then run it again.";
    Verdict::failed(Class::Configuration, reason, next)
}

fn superseded_verdict() -> Verdict {
    Verdict::failed(
        Class::Configuration,
        "The station ended before this job did, and the device's next job is another one.",
        "The newer job counts. If this one was to prepare or erase the device, look at the device.",
    )
}

fn journal_refused(reason: &str) -> Verdict {
    Verdict::failed(
        Class::Configuration,
        reason,
        "Check the disk's space and the rights of the state folder, then start again.",
    )
}

/// A run in progress.
struct Run {
    station: Arc<Station>,
    registry: Registry,
    leftovers: HashMap<Udid, Vec<JobId>>,
    jobs: JoinSet<Verdict>,
    names: HashMap<Id, Udid>,
    once: bool,
    shows_unserved: bool,
    /// Devices that no mux serves are reset.
    recovers: bool,
    stays: Stays,
    scheduler: Arc<Scheduler>,
    hooks: Hooks,
    /// Looks whether a batch has to stop.
    watches: JoinSet<()>,
    rungs: JoinSet<(PortPath, Result<(), RungError>)>,
    patience: Instant,
}

impl Run {
    async fn until_over(&mut self) -> RunEnd {
        let mut events = self.station.backend.watch();
        let mut watching = true;
        loop {
            if self.once && self.jobs.is_empty() && self.registry.is_settled() {
                return RunEnd::Done;
            }
            let due = self.registry.next_release().into_iter().chain(self.stays.due()).min();
            tokio::select! {
                biased;
                ended = self.jobs.join_next_with_id(), if !self.jobs.is_empty() => {
                    if let Some(ended) = ended {
                        self.ended(ended);
                    }
                }
                event = events.recv(), if watching => match event {
                    Some(event) => self.happened(event),
                    None => watching = false,
                },
                Some(Ok((port, done))) = self.rungs.join_next(), if !self.rungs.is_empty() => {
                    self.stays.taken(&port, &done, Instant::now());
                }
                () = sleep_until(due.unwrap_or(self.patience)), if due.is_some() => {
                    self.release();
                    self.recover();
                }
                () = self.station.board.pulse().turn() => {}
                () = sleep_until(self.patience), if self.once && self.jobs.is_empty() => {
                    return if self.registry.is_empty() { RunEnd::NoDevice } else { RunEnd::Done };
                }
            }
        }
    }

    fn happened(&mut self, event: BackendEvent) {
        match event {
            BackendEvent::Attached(attachment) => self.attached(attachment),
            BackendEvent::Detached(id) => self.detached(id),
            BackendEvent::Lost { reason } => {
                tracing::warn!(%reason, "the way to the devices is lost");
                self.registry.all_void(&reason);
                self.station.board.mux(Some(reason));
            }
            BackendEvent::Ready => self.station.board.mux(None),
            BackendEvent::Unserved(unserved) => self.unserved(&unserved),
            BackendEvent::UnservedLeft(port) => self.unserved_left(&port),
        }
    }

    fn unserved(&mut self, unserved: &Unserved) {
        // Of a device that is served a late look at the bus says nothing new.
        let served = unserved::udid(unserved).is_some_and(|udid| self.registry.is_present(&udid));
        if !self.shows_unserved || served {
            return;
        }
        if self.recovers {
            self.stays.shows(unserved, Instant::now());
        }
        self.show(unserved);
    }

    fn show(&self, unserved: &Unserved) {
        let bay = self.station.bays.of_port(&unserved.device.port).0;
        self.station.board.unserved(unserved, bay, self.stays.is_tried(unserved));
    }

    fn unserved_left(&mut self, port: &PortPath) {
        if !self.stays.left(port) {
            self.unplugged(port);
        }
    }

    fn unplugged(&self, port: &PortPath) {
        let board = &self.station.board;
        board.unserved_left(port);
        // Unplugged while the mux was dead, which could not tell.
        if let Some(udid) = board.device_at(port).filter(|udid| !self.registry.is_present(udid)) {
            board.detached(&udid);
        }
    }

    /// The recovery ladder for devices that no mux serves.
    fn recover(&mut self) {
        while let Some(due) = self.stays.next(Instant::now()) {
            match due {
                Due::Take(port, rung) => _ = self.rungs.spawn(rungs::take(self.station.clone(), port, rung)),
                Due::Ask(unserved) => self.show(&unserved),
                Due::Gone(port) => self.unplugged(&port),
            }
        }
    }

    fn attached(&mut self, attachment: Attachment) {
        if let Some(port) = &attachment.port {
            self.stays.served(port);
        }
        let link = self.station.link(attachment);
        let arrival = self.registry.attached(link.clone(), Instant::now());
        if !matches!(arrival, Arrival::Ignored) {
            self.station.board.attached(&link);
            self.patience = Instant::now() + SETTLE;
        }
        self.arrived(link, arrival);
    }

    fn arrived(&mut self, link: DeviceLink, arrival: Arrival) {
        if let Arrival::Starts(links) = arrival {
            self.start(link, links);
        }
    }

    fn detached(&mut self, id: MuxId) {
        let Some(departure) = self.registry.detached(id, Instant::now()) else { return };
        self.station.board.detached(&departure.udid);
        if let Some(bay) = departure.quarantined {
            self.station.board.quarantined(&departure.udid, Verdict::quarantined(&bay));
        }
    }

    /// Quarantine ends for devices that stayed calm.
    fn release(&mut self) {
        for (link, arrival) in self.registry.release(Instant::now()) {
            tracing::info!(udid = %link.udid(), bay = %link.bay(), "calm again: quarantine ends");
            self.arrived(link, arrival);
        }
    }

    fn start(&mut self, link: DeviceLink, links: Links) {
        let (station, udid) = (self.station.clone(), link.udid().clone());
        let superseded = self.leftovers.remove(&udid).unwrap_or_default();
        let (scheduler, once) = (self.scheduler.clone(), self.once);
        // Every line of the log says whose it is.
        let span = tracing::error_span!("device", bay = %link.bay(), %udid);
        let job = async move { station.enroll(link, superseded, links, scheduler, once).await };
        let task = self.jobs.spawn(job.instrument(span));
        self.names.insert(task.id(), udid);
    }

    fn ended(&mut self, ended: Result<(Id, Verdict), JoinError>) {
        let (id, verdict) = match ended {
            Ok((id, verdict)) => (id, verdict),
            Err(error) => {
                tracing::error!(%error, "a job broke");
                let next = "Plug the device in again, and report this with the log.";
                (error.id(), Verdict::failed(Class::Bug, "The job broke inside the station.", next))
            }
        };
        let Some(udid) = self.names.remove(&id) else { return };
        recordings::ended(self.station.backend.recorder(), &udid, &verdict);
        let again = self.registry.finished(&udid);
        self.patience = Instant::now() + SETTLE;
        // Most ends are on the board by their event; what no journal could take is not.
        let board = &self.station.board;
        if !board.bays().iter().any(|b| b.udid.as_ref() == Some(&udid) && b.ended.is_some()) {
            board.stands(&udid, verdict.clone(), self.station.clock.now());
        }
        if let Some(bay) = board.bays().iter().find(|b| b.udid.as_ref() == Some(&udid)) {
            self.hooks.ended(bay, &verdict);
        }
        self.watch_batch();
        if let Some((link, links)) = again {
            self.start(link, links);
        }
    }
}

impl Run {
    /// Stops the open batch if too many devices in a row failed alike.
    fn watch_batch(&mut self) {
        while self.watches.try_join_next().is_some() {}
        let (Some(journal), now) = (self.station.journal_path(), self.station.clock.now()) else { return };
        self.watches.spawn(async move {
            let looked = tokio::task::spawn_blocking(move || batches::stop_if_due(&journal, now)).await;
            match looked {
                Ok(Ok(Some(reason))) => tracing::warn!(%reason),
                Ok(Err(error)) => tracing::warn!(%error, "the batch was not looked at"),
                _ => {}
            }
        });
    }
}
