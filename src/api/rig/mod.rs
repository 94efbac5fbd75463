//! The rig: the shipped workflow against devices that a rig file lists, and against no other.
//!
//! Works over [`Operations`] as the subcommands do, so what it proves holds for them. Devices
//! are worked with one after the other; each is leased for the whole run. What a device may be
//! used for stands in the rig file; what it may not is skipped, and the report says why.
//! [`Rig::run`] is the start; `checks` has the checks, `play` plays scenarios.

mod checks;
mod file;
mod hands;
mod junit;
mod lease;
mod page;
mod play;
mod result;
pub mod scenario;
#[cfg(test)]
mod tests;

pub use checks::Check;
pub use file::{BadRig, Dut, RigFile};
pub use result::{CheckView, RigReport, RigSummary, Status};

use crate::api::view::{DeviceView, Exit};
use crate::api::{AgeAnswers, Export, OperationError, Operations};
use crate::clock::Clock;
use crate::limits::SHUTDOWN_GRACE;
use crate::wire::printable::sentence;
use crate::workflow::policy::Policy;
use crate::workflow::preparation::Wishes;
use checks::Seat;
use lease::{Lease, LeaseError};
use result::Found;
use scenario::Scene;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How a run goes.
#[derive(Debug, Clone)]
pub struct RigOptions {
    /// A person is there and reads what is asked of them.
    pub attended: bool,
    /// Only these checks, and those they need; all if there is none.
    pub only: Vec<Check>,
    /// What is played after the checks.
    pub scenes: Vec<Scene>,
    /// Folder of the leases, unless the rig file names one.
    pub leases: PathBuf,
    /// The owner's decisions; people's times are the rig file's.
    pub policy: Policy,
    /// What erased devices are prepared with.
    pub wishes: Wishes,
    /// What the operator says of the age of exports.
    pub answers: AgeAnswers,
}

/// Who watches a run.
pub trait RigScreen: Send + Sync {
    /// A check begins.
    fn begins(&self, device: &str, check: &str);
    /// A check ended.
    fn ended(&self, check: &CheckView);
    /// A person is to do something, within this time if the words do not say it.
    fn asks(&self, device: &str, words: &str, within: Option<Duration>);
}

/// A rig.
pub struct Rig {
    /// The operations.
    pub operations: Operations,
    /// The devices.
    pub file: RigFile,
    /// How it goes.
    pub options: RigOptions,
    /// Wall time.
    pub clock: Clock,
}

/// Tells that the run is to end.
#[derive(Debug, Clone)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    async fn asked(&self) {
        let mut asked = self.0.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending().await
        }
    }

    fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}

fn interrupted() -> Found {
    Found::skipped("The run was ended before this was done.")
}

/// Lets a check come to its end; once the run is to end, it has little time for that.
async fn unless_stopped(stop: &Stop, check: impl Future<Output = Found>) -> Found {
    tokio::pin!(check);
    tokio::select! {
        biased;
        found = &mut check => found,
        () = stop.asked() => {
            // A job in work needs this grace itself, to write down where it stands.
            timeout(SHUTDOWN_GRACE * 2, &mut check).await.unwrap_or_else(|_| interrupted())
        }
    }
}

impl Rig {
    /// Runs all checks and scenarios, until `shutdown`. Whatever a device does is in the report.
    ///
    /// # Errors
    /// An export of the rig file cannot be used; no device was touched then.
    pub async fn run(
        &self,
        screen: &dyn RigScreen,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<RigReport, OperationError> {
        let exports: Vec<_> =
            self.file.devices.iter().map(|dut| self.export(dut)).collect::<Result<_, _>>()?;
        let (asked, stop) = watch::channel(false);
        let stop = Stop(stop);
        let (begun, clock) = (self.clock.now(), Instant::now());
        let all = self.all(&exports, screen, &stop);
        tokio::pin!(all, shutdown);
        let checks = tokio::select! {
            checks = &mut all => checks,
            () = &mut shutdown => {
                asked.send_replace(true);
                all.await
            }
        };
        Ok(RigReport {
            begun,
            took: clock.elapsed(),
            way: self.operations.describe_backend(),
            checks,
            interrupted: stop.is_asked(),
        })
    }

    /// The export a device is enrolled with.
    fn export(&self, dut: &Dut) -> Result<Option<Export>, OperationError> {
        let Some(path) = &dut.enrolls_with else { return Ok(None) };
        // No job of it may outlive its export.
        let lasting = self.policy(true).longest_job();
        self.operations.export(path, &self.options.answers, lasting).map(Some)
    }

    async fn all(&self, exports: &[Option<Export>], screen: &dyn RigScreen, stop: &Stop) -> Vec<CheckView> {
        let folder = self.file.leases.as_ref().unwrap_or(&self.options.leases);
        let mut seats = Vec::new();
        for (dut, export) in self.file.devices.iter().zip(exports) {
            let lease = Lease::take(folder, &dut.udid);
            seats.push((Seat::new(self, dut, export.as_ref(), screen, stop.clone()), lease));
        }
        let mut checks = Vec::new();
        for (seat, lease) in &mut seats {
            match lease {
                Ok(_) => seat.check_all(&mut checks).await,
                Err(error) => checks.push(seat.ended(Check::Lease, None, not_leased(error), 0)),
            }
        }
        let mut free: Vec<&mut Seat<'_>> =
            seats.iter_mut().filter(|(_, l)| l.is_ok()).map(|(s, _)| s).collect();
        for scene in &self.options.scenes {
            play::scene(scene, &mut free, &mut checks).await;
        }
        // Device by device, in the order of the rig file; within one in the order of time.
        let place = |view: &DeviceView| {
            let is = |dut: &Dut| view.udid.as_ref().is_some_and(|udid| dut.udid.is_meant_by(udid.as_str()));
            self.file.devices.iter().position(is)
        };
        checks.sort_by_key(|check| place(&check.view));
        checks
    }

    /// What holds for the jobs of a device; `answered`: somebody answers its dialogs.
    fn policy(&self, answered: bool) -> Policy {
        let patience = self.file.patience();
        Policy {
            person_within: if answered { patience } else { Duration::ZERO },
            accept_within: Duration::from_secs(self.file.accept_within),
            replug_within: patience,
            pushes: 1,
            policies_within: Duration::ZERO,
            device_name: None,
            ..self.options.policy.clone()
        }
    }
}

fn not_leased(error: &LeaseError) -> Found {
    match error {
        LeaseError::Taken { .. } => {
            Found::failed(sentence(error), "Wait for the other run, or end it.").exiting(Exit::Refused)
        }
        LeaseError::File { .. } => {
            Found::failed(sentence(error), "Name another folder: leases = \"DIR\" in the rig file.")
                .exiting(Exit::Usage)
        }
    }
}

impl RigReport {
    /// The report as JUnit XML.
    pub fn junit(&self) -> String {
        junit::render(self)
    }

    /// The report as one page that needs nothing else.
    pub fn page(&self) -> String {
        page::render(self)
    }
}
