//! Step `wait-for-person`: the profile is queued on the device; somebody must install it.
//! Repeatable, reads only.
//!
//! The device never reports accept, cancel or expiry (protocols.md 4.5). We listen for
//! changes of the profile list and read it every two seconds all the same.

use super::inspect::Inspection;
use super::network_signs;
use crate::device::services::notification_proxy::NotificationProxy;
use crate::limits::{LOG_AFTER, PROFILE_POLL, SESSION_POKE};
use crate::wire::profile::Profile;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{EventKind, StepResult};
use crate::workflow::methods::NO_COMPANY_PORTAL;
use crate::workflow::outcome::Outcome;
use crate::workflow::plan::grace_after;
use jiff::Timestamp;
use std::future::pending;
use tokio::time::{Instant, sleep};

/// Shows `state` meanwhile. True if the profile arrived; false if `until` passed without it.
pub(super) async fn run(
    run: &mut Run,
    inspection: &mut Inspection,
    state: Outcome,
    until: Timestamp,
) -> Result<(bool, StepResult, Option<String>), Break> {
    run.emit(EventKind::Waiting { state, until }).await?;
    if state == Outcome::WaitingForPerson {
        // While a person reads the card this costs nobody time, and in Setup Assistant there
        // are no apps to look for.
        inspection.facts.look_for_company_portal(&mut inspection.session).await;
    }
    let profile = run.job.profile.clone();
    if until_listed(run, inspection, &profile, until).await? {
        return Ok(match inspection.facts.company_portal {
            Some(true) => (true, StepResult::Warning, Some(NO_COMPANY_PORTAL.to_owned())),
            _ => (true, StepResult::Done, None),
        });
    }
    let sign = run.network_sign.map(|sign| format!(" {sign}")).unwrap_or_default();
    let detail = format!("the device dropped the profile; nobody installed it{sign}");
    Ok((false, StepResult::Warning, Some(detail)))
}

/// Reads the list until `profile` is on it: true; or until `until` has passed: false. A long
/// wait looks into the device's log meanwhile (R149).
pub(super) async fn until_listed(
    run: &mut Run,
    inspection: &mut Inspection,
    profile: &Profile,
    until: Timestamp,
) -> Result<bool, Break> {
    let mut news = listen(inspection).await;
    let mut log = network_signs::Watch::after(LOG_AFTER);
    let mut poked = Instant::now();
    loop {
        if inspection.lists(profile).await? {
            return Ok(true);
        }
        if run.now() >= grace_after(until) {
            return Ok(false);
        }
        if poked.elapsed() >= SESSION_POKE {
            poked = Instant::now();
            inspection.keep_session().await;
        }
        log.open_if_due(inspection).await;
        tokio::select! {
            biased;
            () = sleep(PROFILE_POLL) => {}
            () = changed(&mut news) => {}
            sign = log.sign() => run.network_sign = Some(sign),
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
