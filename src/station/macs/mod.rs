//! Macs side by side, each its own job in the same journal.
//!
//! A Mac is asked who it is before its job begins, because the journal knows devices by their
//! hardware; one that cannot be asked is written down by its address. Start at [`Macs::run`];
//! [`files`] chooses among exports, [`kit`] writes what is carried by hand.

pub mod files;
pub mod kit;

use super::sink::{self, DrySink, JournalSink};
use super::{Board, RunEnd, journal_refused, library, superseded_verdict};
use crate::clock::Clock;
use crate::device::mac::{Mac, MacFacts};
use crate::ids::{Bay, JobId, Udid};
use crate::journal::{Journal, JournalError, OpenJob};
use crate::wire::printable::sentence;
use crate::wire::profile::Profile;
use crate::workflow::engine::EventSink;
use crate::workflow::event::{EventKind, NewJob};
use crate::workflow::mac::{self, MacJob, MacPolicy, failure, words};
use crate::workflow::memory::Memory;
use crate::workflow::outcome::{Class, Verdict};
use files::MacFiles;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Time an interrupted run gives its jobs to remove what they copied: one ssh connection, even
/// to a Mac that is slow to answer.
const FAREWELL: Duration = Duration::from_secs(20);

/// A run over Macs.
pub struct Macs {
    /// The memory; `None` for dry runs, which leave no trace.
    pub journal: Option<Journal>,
    /// What screens read. The journal's observer must feed it.
    pub board: Arc<Board>,
    /// The exports to choose from.
    pub files: MacFiles,
    /// The owner's decisions.
    pub policy: MacPolicy,
    /// Wall time.
    pub clock: Clock,
}

/// Macs met in a run, and the address each was met at.
type Met = Mutex<HashMap<Udid, String>>;

impl Macs {
    /// Runs until every job is over, or until `shutdown`: then copies are removed, and jobs stay
    /// open to be resumed.
    pub async fn run(self: &Arc<Self>, macs: Vec<Mac>, shutdown: impl Future<Output = ()> + Send) -> RunEnd {
        let (stop, stopped) = watch::channel(false);
        let met = Arc::new(Met::default());
        let mut jobs = JoinSet::new();
        for mac in macs {
            let (run, met, mut stopped) = (self.clone(), met.clone(), stopped.clone());
            jobs.spawn(async move {
                let cancelled = async move {
                    // A closed channel says that the run is gone.
                    let _ = stopped.wait_for(|stopped| *stopped).await;
                };
                run.enroll(mac, &met, cancelled).await;
            });
        }
        let all = async {
            while let Some(ended) = jobs.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "the job of a Mac broke");
                }
            }
        };
        let end = tokio::select! {
            () = all => return RunEnd::Done,
            () = shutdown => RunEnd::Interrupted,
        };
        stop.send_replace(true);
        let farewell = async { while jobs.join_next().await.is_some() {} };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("a Mac did not answer in time; a copy of the profile may be left on it");
        }
        end
    }

    /// One Mac, from its first answer to its end.
    async fn enroll(&self, mac: Mac, met: &Met, cancelled: impl Future<Output = ()> + Send) {
        let bay = Bay(mac.place());
        tokio::pin!(cancelled);
        let facts = tokio::select! {
            () = &mut cancelled => return,
            facts = mac.identify() => facts,
        };
        let facts = match facts {
            Ok(facts) => facts,
            Err(error) => return self.written_off(&bay, failure::verdict(&error)).await,
        };
        if let Some(elsewhere) = first_met(met, &facts.udid, &bay.0) {
            return self.written_off(&bay, twice(&elsewhere)).await;
        }
        let Some(profile) = self.files.choose(facts.os) else {
            let profile = self.files.any();
            return self.ended(&bay, &facts.udid, Some(&facts), &profile, words::too_old(facts.os)).await;
        };
        self.board.arrived(&facts.udid, &bay);
        let (id, memory) = match self.open_job(&facts.udid, &bay, &profile).await {
            Ok(opened) => opened,
            Err(error) => {
                return self.board.stands(&facts.udid, journal_refused(&sentence(&error)), self.clock.now());
            }
        };
        let udid = facts.udid.clone();
        let job = MacJob {
            id,
            mac,
            facts,
            profile,
            policy: self.policy.clone(),
            clock: self.clock.clone(),
            sink: self.sink(),
            memory,
        };
        // What no journal could take is not on the board by its event.
        if let Some(verdict) = mac::run(job, cancelled).await
            && !self.board.bays().iter().any(|b| b.udid.as_ref() == Some(&udid) && b.ended.is_some())
        {
            self.board.stands(&udid, verdict, self.clock.now());
        }
    }

    /// A Mac whose job ends before it knew who it is.
    async fn written_off(&self, bay: &Bay, verdict: Verdict) {
        let profile = self.files.any();
        self.ended(bay, &Udid::of_address(&bay.0), None, &profile, verdict).await;
    }

    /// Writes down a job that is over as it begins.
    async fn ended(
        &self,
        bay: &Bay,
        udid: &Udid,
        facts: Option<&MacFacts>,
        profile: &Profile,
        verdict: Verdict,
    ) {
        self.board.arrived(udid, bay);
        let (id, _) = match self.open_job(udid, bay, profile).await {
            Ok(opened) => opened,
            Err(error) => {
                return self.board.stands(udid, journal_refused(&sentence(&error)), self.clock.now());
            }
        };
        let sink = self.sink();
        if let Some(facts) = facts {
            let _ = sink.post(id, EventKind::Identified(mac::label(facts))).await;
        }
        if let Err(reason) = sink.emit(id, EventKind::JobEnded(verdict.clone())).await {
            tracing::error!(reason, "the end of a job was not written");
            self.board.stands(udid, verdict, self.clock.now());
        }
    }

    fn sink(&self) -> Arc<dyn EventSink> {
        match &self.journal {
            Some(journal) => Arc::new(JournalSink::new(journal.clone())),
            None => Arc::new(DrySink::new(self.board.clone(), self.clock.clone())),
        }
    }

    /// The Mac's open job for this profile, or a new one; open jobs for other profiles end.
    async fn open_job(
        &self,
        udid: &Udid,
        bay: &Bay,
        profile: &Profile,
    ) -> Result<(JobId, Memory), JournalError> {
        let new = NewJob {
            udid: udid.clone(),
            bay: bay.clone(),
            simulated: false,
            profile_sha256: library::hex(&profile.file_sha256()),
            profile_identifier: profile.identifier().to_owned(),
            profile_uuid: profile.uuid().to_owned(),
            profile_name: profile.display_name().unwrap_or(profile.identifier()).to_owned(),
            stale_allowed: self.files.reason_for_stale(profile, self.clock.now()),
        };
        let Some(journal) = &self.journal else {
            return Ok((sink::begin_dry(&self.board, &self.clock, new), Memory::default()));
        };
        for job in journal.all_open_jobs().await? {
            if let Some(EventKind::JobStarted(old)) = job.events.first().map(|e| &e.kind)
                && old.udid == new.udid
                && old.profile_sha256 != new.profile_sha256
            {
                journal.append(job.id, EventKind::JobEnded(superseded_verdict())).await?;
            }
        }
        match journal.open_jobs(&new.udid, &new.profile_sha256).await? {
            Some(OpenJob { id, events }) => {
                let memory = Memory::of(&events);
                let started = events.first().map_or_else(|| self.clock.now(), |e| e.at);
                self.board.resumed(udid, id, started, &memory);
                Ok((id, memory))
            }
            None => Ok((journal.start_job(new).await?, Memory::default())),
        }
    }
}

/// Where this Mac was met before in this run, if it was.
fn first_met(met: &Met, udid: &Udid, place: &str) -> Option<String> {
    // Whole after every statement: a panic elsewhere cannot have torn it.
    let mut met = met.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(elsewhere) = met.get(udid) {
        return Some(elsewhere.clone());
    }
    met.insert(udid.clone(), place.to_owned());
    None
}

fn twice(elsewhere: &str) -> Verdict {
    Verdict::failed(
        Class::Configuration,
        format!("This is the Mac that {elsewhere} leads to already."),
        "Nothing; its other line counts. Check the address if it should be another Mac.",
    )
}
