//! What a rig needs of the operations: single devices by their UDID, and no look at others.

use super::recordings::looks;
use super::{Operations, RunOptions, Wanted, look};
use crate::api::view::{DeviceView, ListedDevice};
use crate::api::{OperationError, Orders, Update};
use crate::ids::{MuxId, Udid};
use crate::station::RunEnd;
use crate::wire::profile::{Profile, Purpose, TrustAnchors, made};
use crate::workflow::outcome::{Class, Outcome};
use crate::workflow::policy::Policy;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

impl Operations {
    /// As [`Operations::devices`], of one device; nobody else is asked anything.
    ///
    /// # Errors
    /// It is not attached, or the mux cannot be asked.
    pub(in crate::api) async fn look_at(&self, udid: &Udid) -> Result<ListedDevice, OperationError> {
        let link = self.desk.pick(Some(udid.as_str())).await?;
        Ok(look(&self.desk, link).await)
    }

    /// The profile that a rig installs and removes.
    ///
    /// # Errors
    /// None that can be met.
    pub(in crate::api) fn harmless_profile(&self) -> Result<Arc<Profile>, OperationError> {
        let now = self.parts.clock.now();
        let (bytes, anchors) = (made::harmless(), TrustAnchors::none());
        let name = Path::new("the rig's own profile");
        Ok(Arc::new(super::library::load_bytes(&bytes, name, Purpose::Any, &anchors, now)?))
    }

    /// A run that gives one device a profile.
    pub(in crate::api) fn to_install(udid: &Udid, profile: Arc<Profile>, policy: Policy) -> RunOptions {
        RunOptions {
            wanted: Wanted::One(Some(udid.to_string())),
            profile,
            shelf: None,
            policy,
            orders: Orders::default(),
            once: true,
        }
    }

    /// The number of a device's attachment, which changes when it leaves the bus and comes back;
    /// `None` while it is away.
    ///
    /// # Errors
    /// The mux cannot be asked.
    pub(in crate::api) async fn attachment_of(&self, udid: &Udid) -> Result<Option<MuxId>, OperationError> {
        let attached = self.desk.attached().await?;
        Ok(attached.iter().find(|a| a.udid.is_meant_by(udid.as_str())).map(|a| a.id))
    }

    /// If this is recorded: what follows is a recording of its own, of looks at the device.
    pub(in crate::api) fn records_looks(&self, udid: &Udid, person_within: Duration) {
        if let Some(recorder) = self.parts.backend.recorder() {
            recorder.began(udid, looks(person_within));
        }
    }

    /// If this is recorded: what was begun ends here.
    pub(in crate::api) fn recorded(&self, udid: &Udid, outcome: Outcome, class: Class) {
        if let Some(recorder) = self.parts.backend.recorder() {
            recorder.ended(udid, outcome.name(), class.name(), &[]);
        }
    }

    /// Runs a job of one device; `told` hears each change of how it stands, and the seconds left
    /// of what is waited for. `None` if the run was ended, or its device never came.
    ///
    /// # Errors
    /// As [`Operations::run`].
    pub(in crate::api) async fn run_one(
        &self,
        udid: &Udid,
        options: RunOptions,
        told: &(dyn Fn(&DeviceView, Option<u64>) + Send + Sync),
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Option<DeviceView>, OperationError> {
        let live = self.live();
        let is_it = |view: &DeviceView| view.udid.as_ref().is_some_and(|u| u.is_meant_by(udid.as_str()));
        let mut follower = live.follow();
        let run = self.run(options, shutdown);
        tokio::pin!(run);
        let end = loop {
            tokio::select! {
                biased;
                Some(update) = follower.next() => if let Update::Bay(bay) = update && is_it(&bay.device) {
                    told(&bay.device, bay.until.map(|until| live.seconds_until(until)));
                },
                end = &mut run => break end?,
            }
        };
        let stands = live.bays().into_iter().map(|bay| bay.device).find(is_it);
        Ok(stands.filter(|_| end == RunEnd::Done))
    }
}
