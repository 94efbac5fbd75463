//! Step `follow-policies`: after enrollment the MDM server sends its first policies, which
//! show as further profiles (R28). Repeatable, reads only; never fails a job.

use super::inspect::Inspection;
use super::wait_for_person::{changed, listen};
use crate::limits::PROFILE_POLL;
use crate::wire::mcinstall::InstalledProfile;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::StepResult;
use tokio::time::sleep;

/// Identifier prefix of policies Intune sends (profiles-and-enrollment.md 3.1).
const POLICY_PREFIX: &str = "www.windowsintune.com.";

pub(super) async fn run(
    run: &mut Run,
    inspection: &mut Inspection,
) -> Result<(bool, StepResult, Option<String>), Break> {
    let until = run.after_now(run.job.policy.policies_within);
    let before: Vec<String> = inspection.installed.iter().map(|p| p.identifier.clone()).collect();
    let mut news = listen(inspection).await;
    let profile = run.job.profile.clone();
    loop {
        let arrived = |p: &&InstalledProfile| {
            p.identifier.starts_with(POLICY_PREFIX) || !before.contains(&p.identifier)
        };
        if let Some(policy) = inspection.installed.iter().find(arrived) {
            let detail = crate::wire::printable::printable(&policy.identifier);
            return Ok((true, StepResult::Done, Some(detail)));
        }
        if run.now() >= until {
            return Ok((false, StepResult::Skipped, Some("no policy was seen in time".into())));
        }
        tokio::select! {
            biased;
            () = sleep(PROFILE_POLL) => {}
            () = changed(&mut news) => {}
        }
        // A device that was unplugged or dropped us is enrolled all the same.
        if inspection.lists(&profile).await.is_err() {
            return Ok((false, StepResult::Skipped, Some("the connection ended".into())));
        }
    }
}
