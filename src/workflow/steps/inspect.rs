//! Step `inspect`: facts, supervision data, installed profiles. Repeatable, reads only.

use crate::device::DeviceSession;
use crate::device::facts::Facts;
use crate::device::services::mcinstall::McInstall;
use crate::device::trust::Earned;
use crate::wire::mcinstall::InstalledProfile;
use crate::wire::printable::printable;
use crate::wire::profile::Profile;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{DeviceLabel, StepResult};
use crate::workflow::failure::Failure;
use crate::workflow::methods::{self, Remark};
use crate::workflow::outcome::{Class, Outcome, Verdict};
use crate::workflow::plan;

/// What was found, and the connections it was found through.
pub(super) struct Inspection {
    pub(super) session: DeviceSession,
    pub(super) mcinstall: McInstall,
    pub(super) facts: Facts,
    pub(super) installed: Vec<InstalledProfile>,
    /// What the checks of section 4 say of the device, in words.
    pub(super) told: Option<String>,
}

impl Inspection {
    /// Reads the profile list again; true if `profile` is on it.
    pub(super) async fn lists(&mut self, profile: &Profile) -> Result<bool, Break> {
        self.installed = self.mcinstall.profiles().await?;
        Ok(plan::is_installed(profile, &self.installed))
    }

    /// Uses the session, so that the device keeps it: after one profile another may follow. One
    /// that is lost is missed by nobody but those who ask for more.
    pub(super) async fn keep_session(&mut self) {
        if let Err(error) = self.session.lockdown().device_name().await {
            tracing::debug!(%error, "the session is gone");
        }
    }
}

pub(super) async fn run(
    run: &mut Run,
    earned: Earned,
) -> Result<(Inspection, StepResult, Option<String>), Break> {
    let Earned { mut session, mut facts, .. } = earned;
    facts.read_session(&mut session).await?;
    facts.expect_device(session.link().udid())?;
    facts.compare_clock(run.job.clock.now());
    let mut mcinstall = match session.mcinstall().await {
        Ok(mcinstall) => mcinstall,
        Err(error) => return Err(service_refused(&facts, error.into())),
    };
    facts.take_cloud_configuration(mcinstall.cloud_configuration().await?.as_ref());
    // The list comes last: a plan to push should rest on the freshest look there is.
    let installed = mcinstall.profiles().await?;
    let remarks = methods::remarks(&facts, &installed, Some(run.job.profile.identifier()));
    let warned = remarks.iter().any(|remark| remark.warning);
    let result = if warned { StepResult::Warning } else { StepResult::Done };
    let told = told(&remarks);
    Ok((Inspection { session, mcinstall, facts, installed, told: told.clone() }, result, told))
}

/// What the checks of section 4 say of the device, for the journal and for a dry run.
fn told(remarks: &[Remark]) -> Option<String> {
    let one = |remark: &Remark| {
        let rules: Vec<_> = remark.rules.iter().map(ToString::to_string).collect();
        format!("{} ({}).", remark.sentence.trim_end_matches('.'), rules.join(", "))
    };
    (!remarks.is_empty()).then(|| remarks.iter().map(one).collect::<Vec<_>>().join(" "))
}

/// A device that is not activated refuses services; Find My decides whose turn it is.
fn service_refused(facts: &Facts, broken: Break) -> Break {
    match broken {
        Break::Failed(Failure::Final(verdict))
            if verdict.outcome == Outcome::NotActivated && facts.find_my == Some(true) =>
        {
            Break::Failed(Failure::Final(Outcome::ActivationLocked.into()))
        }
        Break::Failed(Failure::Final(verdict))
            if verdict.outcome == Outcome::NotActivated && facts.is_activated() =>
        {
            let said = "The device refuses its profile service, although it is activated.";
            let next = "Restart the device; if it stays, have its restrictions checked.";
            Break::Failed(Failure::Final(Verdict::failed(Class::Device, said, next)))
        }
        other => other,
    }
}

/// What names the device to a person; texts of the device are made safe to print.
pub(super) fn label(facts: &Facts) -> DeviceLabel {
    let shown = |text: &Option<String>| text.as_deref().map(printable);
    DeviceLabel {
        serial: shown(&facts.serial),
        name: shown(&facts.name),
        product_type: shown(&facts.product_type),
        os_version: shown(&facts.os_version),
        ecid: facts.ecid,
        imei: shown(&facts.imei),
    }
}
