//! What can be done with devices, profiles and the journal.

mod backup;
pub(super) mod batches;
mod bays;
mod exports;
mod follow;
mod helpers;
mod history;
mod library_folder;
pub(super) mod recordings;
mod removal;
mod replays;
pub(super) mod report_check;
mod rig;
mod running;
mod tasks;

pub use backup::{BackupView, RestoreView, back_up, restore};
pub use bays::{LearnOptions, LearnStep};
pub use exports::Export;
pub(super) use exports::exit_of;
pub use helpers::show_helpers;
pub use history::{HistoryQuery, history, history_csv};
pub use library_folder::{Library, Stored, library_in};
pub use removal::Consent;
pub use replays::{ReplayKit, ReplayRun, read_recording, recordings_in};
pub use running::{About, Checks, JobsQuery, Running};

use super::export::Identity;
use super::run::{self, FilesMet};
use super::view::{
    AgeView, DeviceInfo, DeviceView, FindingView, InstalledOn, InstalledView, LintView, ListedDevice,
    ProfileView, RuleView,
};
use super::{Live, OperationError};
use crate::clock::Clock;
use crate::device::DeviceLink;
use crate::device::facts::Facts;
use crate::device::services::ready_made::DeviceLog;
use crate::device::trust::{Awaiting, Earned, Trust, TrustLimits, TrustObserver};
use crate::journal::Sighting;
use crate::station::age::AgeAnswers;
use crate::station::desk::PickError;
use crate::station::library::Signers;
use crate::station::library::candidate::{Judging, Memories};
use crate::station::library::shelf::{Catalogue, Shelf};
use crate::station::{BayNames, Board, Desk, Orders, RunEnd, Selection, Station, library};
use crate::transport::Backend;
use crate::wire::printable::printable;
use crate::wire::profile::lint::{self, LintContext};
use crate::wire::profile::{IdentityKind, Profile, Purpose, TrustAnchors};
use crate::workflow::choice::{NoSiblings, no_siblings};
use crate::workflow::outcome::{Outcome, Verdict};
use crate::workflow::policy::Policy;
use async_trait::async_trait;
use jiff::Timestamp;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// What the composition root hands in.
pub struct Parts {
    /// The way to the devices.
    pub backend: Arc<dyn Backend>,
    /// What ports are called.
    pub bays: Arc<BayNames>,
    /// Where learned names are kept.
    pub learned_bays: PathBuf,
    /// Who we are to devices.
    pub trust: Trust,
    /// The journal's file.
    pub journal: PathBuf,
    /// Whose signature profiles may have.
    pub signers: Signers,
    /// Wall time.
    pub clock: Clock,
    /// Where the journal, the feed and a server run: people wait for them, and devices keep
    /// the other threads busy for long.
    pub quick: Handle,
}

/// Which devices an enrollment is for.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// The one with this UDID, or the only one attached.
    One(Option<String>),
    /// All attached now.
    AllAttached,
    /// Whatever comes.
    Whatever,
}

/// How to run enrollments.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// For which devices.
    pub wanted: Wanted,
    /// The profile.
    pub profile: Arc<Profile>,
    /// Where new jobs get theirs, if it may change during the run.
    pub shelf: Option<Shelf>,
    /// The owner's decisions.
    pub policy: Policy,
    /// What else is wanted of devices: blueprints, hooks.
    pub orders: Orders,
    /// End when every job is over.
    pub once: bool,
}

/// The operations.
pub struct Operations {
    parts: Parts,
    desk: Desk,
    board: Arc<Board>,
    met: Mutex<FilesMet>,
}

impl Operations {
    /// Over these parts.
    pub fn new(parts: Parts) -> Self {
        let desk = Desk::new(parts.backend.clone(), parts.trust.clone(), parts.bays.clone());
        Self { parts, desk, board: Arc::default(), met: Mutex::default() }
    }

    /// The journal's file, for what is done with batches.
    pub fn journal_file(&self) -> &Path {
        &self.parts.journal
    }

    /// What the way to the devices is, for messages.
    pub fn describe_backend(&self) -> String {
        self.desk.describe_backend()
    }

    /// Everything attached, then what no mux serves. Devices are looked at side by side: a dead one holds up nobody.
    ///
    /// # Errors
    /// The mux cannot be asked.
    pub async fn devices(&self) -> Result<Vec<ListedDevice>, OperationError> {
        let mut looks = tokio::task::JoinSet::new();
        for (place, attachment) in self.desk.attached().await?.into_iter().enumerate() {
            let desk = self.desk.clone();
            looks.spawn(async move { (place, look(&desk, desk.link(attachment)).await) });
        }
        let mut listed = looks.join_all().await;
        listed.sort_by_key(|(place, _)| *place);
        let served = listed.into_iter().map(|(_, device)| device);
        let now = self.parts.clock.now();
        let unserved = self.desk.unserved().await.into_iter();
        let unserved = unserved.map(|state| ListedDevice {
            device: DeviceView::of_bay(&state, now),
            paired: false,
            unserved: true,
        });
        Ok(served.chain(unserved).collect())
    }

    /// How a device stands that is on the bus and that no mux serves; `None` if no such one
    /// is meant.
    pub async fn unserved(&self, wanted: &str) -> Option<DeviceView> {
        match self.desk.pick(Some(wanted)).await {
            Err(PickError::Unserved { state }) => Some(DeviceView::of_bay(&state, self.parts.clock.now())),
            _ => None,
        }
    }

    /// What identifies everything attached; asks nobody for trust.
    ///
    /// # Errors
    /// The mux cannot be asked.
    pub async fn identities(&self) -> Result<Vec<Identity>, OperationError> {
        let mut looks = tokio::task::JoinSet::new();
        for (place, attachment) in self.desk.attached().await?.into_iter().enumerate() {
            let desk = self.desk.clone();
            looks.spawn(async move {
                let known = match desk.info(&desk.link(attachment.clone())).await {
                    Ok(info) => {
                        let limited = info.limited.map(|verdict| verdict.sentence);
                        Identity::of_attachment(&attachment, &info.facts, limited)
                    }
                    Err(verdict) => {
                        Identity::of_attachment(&attachment, &Facts::default(), Some(verdict.sentence))
                    }
                };
                (place, known)
            });
        }
        let mut known = looks.join_all().await;
        known.sort_by_key(|(place, _)| *place);
        Ok(known.into_iter().map(|(_, identity)| identity).collect())
    }

    /// Everything a device shows.
    ///
    /// # Errors
    /// No such device, or the mux cannot be asked.
    pub async fn info(&self, wanted: Option<&str>) -> Result<DeviceInfo, OperationError> {
        let link = self.desk.pick(wanted).await?;
        let begun = Instant::now();
        let view = |verdict: &Verdict, facts: Option<&Facts>| {
            DeviceView::of_link(&link, verdict, facts, spent(begun))
        };
        Ok(match self.desk.info(&link).await {
            Ok(info) => {
                let standing = info.limited.clone().unwrap_or_else(|| Outcome::Attached.into());
                let device = view(&standing, Some(&info.facts));
                DeviceInfo::new(device, &info.facts, info.installed.as_deref(), self.parts.clock.now())
            }
            Err(verdict) => {
                let device = view(&verdict, None);
                DeviceInfo::new(device, &Facts::default(), None, self.parts.clock.now())
            }
        })
    }

    /// Earns a device's trust, waiting for its person as long as `person_within`. `tell`
    /// hears what the person must do.
    ///
    /// # Errors
    /// No such device, or the mux cannot be asked.
    pub async fn pair(
        &self,
        wanted: Option<&str>,
        person_within: Duration,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<DeviceView, OperationError> {
        let link = self.desk.pick(wanted).await?;
        let begun = Instant::now();
        let earned = self.earn(&link, person_within, tell).await;
        Ok(match earned {
            Ok(earned) => {
                let sentence = match (earned.paired, &earned.repaired) {
                    (_, Some(reason)) => format!("The device is paired anew: {reason}."),
                    (true, None) => "The device is paired.".into(),
                    (false, None) => "The device was paired already; the stored pair record holds.".into(),
                };
                let verdict = Verdict::from(Outcome::Attached).saying(sentence);
                DeviceView::of_link(&link, &verdict, Some(&earned.facts), spent(begun))
            }
            Err(verdict) => DeviceView::of_link(&link, &verdict, None, spent(begun)),
        })
    }

    /// Gives a device's trust back.
    ///
    /// # Errors
    /// As [`Operations::pair`].
    pub async fn unpair(&self, wanted: Option<&str>) -> Result<DeviceView, OperationError> {
        let link = self.desk.pick(wanted).await?;
        let begun = Instant::now();
        let attached = |sentence: &str| Verdict::from(Outcome::Attached).saying(sentence);
        let verdict = match self.desk.unpair(&link).await {
            Ok(true) => attached("The pairing is ended; a copy of the record is kept in the state folder."),
            Ok(false) => attached("The device was not paired with this station."),
            Err(verdict) => verdict,
        };
        Ok(DeviceView::of_link(&link, &verdict, None, spent(begun)))
    }

    /// Installed configuration profiles.
    ///
    /// # Errors
    /// As [`Operations::pair`].
    pub async fn installed(
        &self,
        wanted: Option<&str>,
        person_within: Duration,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<InstalledOn, OperationError> {
        let link = self.desk.pick(wanted).await?;
        let begun = Instant::now();
        let listed = async {
            let mut earned = self.earn(&link, person_within, tell).await?;
            let profiles = self.desk.installed(&mut earned).await?;
            Ok((earned.facts, profiles))
        };
        Ok(match listed.await {
            Ok((facts, profiles)) => {
                let verdict = Verdict::from(Outcome::Attached).saying(count_of_profiles(profiles.len()));
                let profiles = profiles.iter().map(InstalledView::new).collect();
                let device = DeviceView::of_link(&link, &verdict, Some(&facts), spent(begun));
                InstalledOn { device, profiles }
            }
            Err(verdict) => not_listed(&link, &verdict, begun),
        })
    }

    /// Follows a device's own log.
    ///
    /// # Errors
    /// As [`Operations::pair`]; how the device stands instead.
    pub async fn log(
        &self,
        wanted: Option<&str>,
        person_within: Duration,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<LogLines, OperationError> {
        let link = self.desk.pick(wanted).await?;
        let opened = async {
            let mut earned = self.earn(&link, person_within, tell).await?;
            let log = self.desk.log(&mut earned).await?;
            Ok::<_, Verdict>(LogLines { log, _session: earned })
        };
        opened.await.map_err(|verdict| OperationError {
            exit: super::view::Exit::of(verdict.outcome, verdict.class),
            sentence: verdict.sentence,
            next: verdict.next,
            devices: Vec::new(),
        })
    }

    /// As [`Operations::export`], for the other export of the enrollment that `profile` is
    /// of, if there is one.
    ///
    /// # Errors
    /// As [`Operations::export`]; it leads to another server, or is of the same kind.
    pub fn siblings(
        &self,
        path: Option<&Path>,
        profile: &Profile,
        answers: &AgeAnswers,
        lasting: Duration,
    ) -> Result<Vec<Arc<Profile>>, OperationError> {
        let Some(path) = path else { return Ok(Vec::new()) };
        let sibling = self.export(path, answers, lasting)?.profile;
        let sentence = match no_siblings(profile, &sibling) {
            None => return Ok(vec![sibling]),
            Some(NoSiblings::SameKind(kind)) => {
                let kind = kind.map_or("", IdentityKind::name).to_uppercase();
                format!(
                    "{} is another {kind} export; a sibling has another kind of identity.",
                    path.display()
                )
            }
            Some(NoSiblings::OtherServer) => {
                format!("{} leads to another MDM server than the profile.", path.display())
            }
        };
        let next = "Export the same enrollment profile once for SCEP and once for ACME.";
        Err(OperationError::new(super::view::Exit::Usage, sentence, next))
    }

    /// A profile that comes with the program; it has no age.
    ///
    /// # Errors
    /// It must not be pushed.
    pub fn built_in_profile(&self, name: &str, bytes: &[u8]) -> Result<Arc<Profile>, OperationError> {
        let (now, anchors) = (self.parts.clock.now(), TrustAnchors::none());
        Ok(Arc::new(library::load_bytes(bytes, Path::new(name), Purpose::Enrollment, &anchors, now)?))
    }

    /// A live view of this process's run.
    pub fn live(&self) -> Live {
        Live::new(self.board.clone(), self.parts.clock.clone())
    }

    /// Runs enrollments until `shutdown`, or with `once` until all are over.
    ///
    /// # Errors
    /// Nothing wanted is attached; the journal is in use or cannot be opened.
    pub async fn run(
        &self,
        options: RunOptions,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<RunEnd, OperationError> {
        // Before the journal: one that is opened has to be closed.
        let selection = self.select(&options.wanted).await?;
        let Parts { journal, clock, quick, .. } = &self.parts;
        let journal = {
            let _quick = quick.enter();
            run::journal(journal, clock, &self.board, options.policy.dry_run)?
        };
        let met = std::mem::take(&mut *self.met.lock().unwrap_or_else(PoisonError::into_inner));
        let recording = met.record(journal.as_ref()).await;
        let station = Arc::new(Station {
            backend: self.parts.backend.clone(),
            journal: journal.clone(),
            board: self.board.clone(),
            bays: self.parts.bays.clone(),
            trust: self.parts.trust.clone(),
            profile: options.profile,
            shelf: options.shelf,
            policy: options.policy,
            orders: options.orders,
            clock: self.parts.clock.clone(),
        });
        let end = station.run(selection, options.once, shutdown).await;
        recording.end().await;
        if let Some(journal) = journal {
            journal.close().await?;
        }
        Ok(end)
    }

    /// Keeps a file in mind for the journal of the run.
    fn note(&self, sighting: Sighting) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.sightings.push(sighting);
    }

    /// The same for a folder that is followed.
    fn follow_in_journal(&self, catalogue: Catalogue) {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).catalogue = Some(catalogue);
    }

    async fn select(&self, wanted: &Wanted) -> Result<Selection, OperationError> {
        Ok(match wanted {
            Wanted::Whatever => Selection::All,
            Wanted::One(udid) => {
                let link = self.desk.patiently(async |desk| desk.pick(udid.as_deref()).await).await?;
                Selection::Only(link.attachment().clone())
            }
            Wanted::AllAttached => {
                let attached = self.desk.patiently(async |desk| desk.any_attached().await).await?;
                Selection::Listed(attached)
            }
        })
    }

    async fn earn(
        &self,
        link: &DeviceLink,
        person_within: Duration,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Earned, Verdict> {
        let limits = TrustLimits { person: person_within, may_pair: true };
        self.desk.pair(link, limits, &Teller { tell }).await
    }
}

/// Reads a profile file to show it, whatever it is for. `journal` is asked what is remembered.
///
/// # Errors
/// It cannot be read as a configuration profile.
pub fn show_profile(
    path: &Path,
    exported_at: Option<Timestamp>,
    anchors: &TrustAnchors,
    journal: &Path,
    clock: &Clock,
) -> Result<ProfileView, OperationError> {
    let (bytes, now) = (library::bytes(path)?, clock.now());
    let profile = library::load_bytes(&bytes, path, Purpose::Any, anchors, now)?;
    let mut view = ProfileView::new(&path.display().to_string(), &profile, now);
    if profile.enrollment_refusals().is_empty() {
        let answers = AgeAnswers { exported_at, ..AgeAnswers::default() };
        let judging = Judging { answers: &answers, anchors, memories: &Memories::of(journal).open(), now };
        let examined = judging.examine(&bytes, &profile, path);
        view.refusals.extend(examined.errors.iter().map(FindingView::of_error));
        view.age = examined.age.map(|age| AgeView::new(&age, now));
    }
    Ok(view)
}

/// Applies every rule to a profile file; the worst findings come first.
///
/// # Errors
/// The file cannot be read. One that is no profile draws findings instead.
pub fn lint_profile(
    path: &Path,
    anchors: &TrustAnchors,
    context: &LintContext,
) -> Result<Vec<LintView>, OperationError> {
    let found = lint::lint(&library::bytes(path)?, anchors, context);
    let file = path.display().to_string();
    Ok(found.findings().iter().map(|finding| LintView::new(&file, finding)).collect())
}

/// All rules of the linter, by code.
pub fn lint_rules() -> Vec<RuleView> {
    lint::rules().map(RuleView::new).collect()
}

/// A device's log, line by line; safe to print.
pub struct LogLines {
    log: DeviceLog,
    _session: Earned,
}

impl LogLines {
    /// The next line; `None` when the device ended the log.
    pub async fn next(&mut self) -> Option<String> {
        self.log.next().await.ok().map(|line| printable(line.trim_end()))
    }
}

async fn look(desk: &Desk, link: DeviceLink) -> ListedDevice {
    let begun = Instant::now();
    let glanced = desk.glance(&link).await;
    let paired = desk.has_record(&link).await;
    let device = match &glanced {
        Ok(facts) => DeviceView::of_link(&link, &Outcome::Attached.into(), Some(facts), spent(begun)),
        Err(verdict) => DeviceView::of_link(&link, verdict, None, spent(begun)),
    };
    ListedDevice { device, paired, unserved: false }
}

fn not_listed(link: &DeviceLink, verdict: &Verdict, begun: Instant) -> InstalledOn {
    let device = DeviceView::of_link(link, verdict, None, spent(begun));
    InstalledOn { device, profiles: Vec::new() }
}

fn count_of_profiles(count: usize) -> String {
    match count {
        0 => "No configuration profile is installed.".into(),
        1 => "One configuration profile is installed.".into(),
        n => format!("{n} configuration profiles are installed."),
    }
}

fn spent(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Turns what a person must do into words.
struct Teller<'a> {
    tell: &'a (dyn Fn(&str) + Send + Sync),
}

#[async_trait]
impl TrustObserver for Teller<'_> {
    async fn met(&self, _: &Facts) {}

    async fn awaiting(&self, what: Awaiting, within: Duration) {
        let outcome = match what {
            Awaiting::Trust => Outcome::WaitingForTrust,
            Awaiting::Unlock => Outcome::WaitingForUnlock,
        };
        let next = outcome.next().unwrap_or_default();
        (self.tell)(&format!("{} {next} ({} s left)", outcome.sentence(), within.as_secs()));
    }
}
