//! Step `wait-for-person`: the profile is queued on the device; somebody must install it.
//! Repeatable, reads only.
//!
//! The device never reports accept, cancel or expiry (protocols.md 4.5). We listen for
//! changes of the profile list and read it every two seconds all the same.

use super::inspect::Inspection;
use crate::device::services::notification_proxy::NotificationProxy;
use crate::limits::PROFILE_POLL;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{EventKind, StepResult};
use crate::workflow::methods::NO_COMPANY_PORTAL;
use crate::workflow::outcome::Outcome;
use crate::workflow::plan::grace_after;
use jiff::Timestamp;
use std::future::pending;
use tokio::time::sleep;

/// Shows `state` meanwhile. True if the profile arrived; false if `until` passed without it.
pub(super) async fn run(
    run: &mut Run,
    inspection: &mut Inspection,
    state: Outcome,
    until: Timestamp,
) -> Result<(bool, StepResult, Option<String>), Break> {
    run.emit(EventKind::Waiting { state, until }).await?;
    let mut news = listen(inspection).await;
    if state == Outcome::WaitingForPerson {
        // While a person reads the card this costs nobody time, and in Setup Assistant there
        // are no apps to look for.
        inspection.facts.look_for_company_portal(&mut inspection.session).await;
    }
    let profile = run.job.profile.clone();
    loop {
        if inspection.lists(&profile).await? {
            return Ok(match inspection.facts.company_portal {
                Some(true) => (true, StepResult::Warning, Some(NO_COMPANY_PORTAL.to_owned())),
                _ => (true, StepResult::Done, None),
            });
        }
        if run.now() >= grace_after(until) {
            let detail = "the device dropped the profile; nobody installed it".to_owned();
            return Ok((false, StepResult::Warning, Some(detail)));
        }
        tokio::select! {
            () = sleep(PROFILE_POLL) => {}
            () = changed(&mut news) => {}
        }
    }
}

/// The device's notifications; without them polling alone serves.
pub(super) async fn listen(inspection: &mut Inspection) -> Option<NotificationProxy> {
    let listening = async {
        let mut proxy = inspection.session.notification_proxy().await?;
        proxy.observe_profiles().await?;
        Ok::<_, crate::device::DeviceError>(proxy)
    };
    match listening.await {
        Ok(proxy) => Some(proxy),
        Err(error) => {
            tracing::debug!(%error, "no notifications; the list is polled");
            None
        }
    }
}

/// Resolves on the next notification; never, once they ended.
pub(super) async fn changed(news: &mut Option<NotificationProxy>) {
    match news {
        Some(proxy) => {
            if proxy.next().await.is_err() {
                *news = None;
            }
        }
        None => pending().await,
    }
}
