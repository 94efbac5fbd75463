//! Jobs that do something else with a device than enroll it: erase it, prepare it.

use super::{Operations, RunOptions, Wanted};
use crate::api::view::Exit;
use crate::api::{OperationError, Orders};
use crate::device::trust::SupervisionError;
use crate::transport::https::{self, HttpsError};
use crate::wire::printable::sentence;
use crate::wire::profile::{Profile, Refusal, stand_in};
use crate::wire::service_config::{BadServiceConfig, ServiceConfig, parse_anchors};
use crate::workflow::erasure::{Erasure, NoConsent};
use crate::workflow::policy::{Policy, Task};
use crate::workflow::preparation::{BadPreparation, Preparation, Wishes, check_profile_url};
use std::sync::Arc;

impl Operations {
    /// Asks a Profile URL for the enrollment address (R53, 3.6): a call of a server, made only
    /// because a person asked for it. True if devices need a profile of roots besides.
    ///
    /// # Errors
    /// It is no Profile URL, or its server does not answer as one.
    pub async fn ask_profile_url(&self, url: &str, wishes: &mut Wishes) -> Result<bool, OperationError> {
        check_profile_url(url)?;
        let anchors = self.parts.signers.anchors()?;
        let answer = https::get(url, anchors.certificates()).await?;
        let config = ServiceConfig::parse(answer.expose())?;
        if let Some(url) = &config.anchors_url {
            let answer = https::get(url.expose(), anchors.certificates()).await?;
            wishes.anchors = parse_anchors(answer.expose())?;
        }
        wishes.enrollment_url = Some(config.enrollment_url.expose().clone());
        Ok(config.has_trust_profile)
    }

    /// What devices are to be prepared with, supervised by this station's identities.
    ///
    /// # Errors
    /// No device can be prepared so.
    pub fn preparation(&self, wishes: Wishes) -> Result<Arc<Preparation>, OperationError> {
        let identities = self.parts.trust.supervisors().all().iter();
        let certificates = identities.map(|identity| identity.certificate().to_vec()).collect();
        Ok(Arc::new(Preparation::new(wishes, certificates)?))
    }

    /// A run that prepares devices and no more.
    ///
    /// # Errors
    /// None that can be met.
    pub fn to_prepare(
        &self,
        wanted: Wanted,
        preparation: Arc<Preparation>,
        policy: Policy,
    ) -> Result<RunOptions, OperationError> {
        let profile = stands_for("prepare", &preparation.title(), preparation.wanted.digest())?;
        let policy = Policy { task: Task::Prepare, prepare: Some(preparation), ..policy };
        Ok(RunOptions { wanted, profile, shelf: None, policy, orders: Orders::default(), once: true })
    }

    /// A run that erases one device; `serial` is the consent, typed by a person. A dry run
    /// needs none.
    ///
    /// # Errors
    /// The consent names no device.
    pub fn to_erase(
        &self,
        udid: &str,
        serial: Option<&str>,
        despite_find_my: bool,
        policy: Policy,
    ) -> Result<RunOptions, OperationError> {
        let erasure = match serial {
            None if policy.dry_run => Erasure { serial: String::new(), despite_find_my },
            serial => Erasure::of(serial.unwrap_or_default(), despite_find_my)?,
        };
        let profile = stands_for("erase", "Erase", [0; 32])?;
        let policy = Policy { task: Task::Erase(erasure), ..policy };
        Ok(RunOptions {
            wanted: Wanted::One(Some(udid.to_owned())),
            profile,
            shelf: None,
            policy,
            orders: Orders::default(),
            once: true,
        })
    }
}

fn stands_for(kind: &str, title: &str, digest: [u8; 32]) -> Result<Arc<Profile>, OperationError> {
    let broken = |refusal: Refusal| OperationError::new(Exit::Failed, sentence(&refusal), "Report this.");
    stand_in(kind, title, digest).map(Arc::new).map_err(broken)
}

impl From<BadPreparation> for OperationError {
    fn from(bad: BadPreparation) -> Self {
        let next = match bad {
            BadPreparation::NoOrganization => "Give it with --organization, or as organization in [prepare].",
            BadPreparation::NoIdentity => "Name it in the configuration: identity in [supervision].",
            BadPreparation::ProfileUrl => {
                "Give it as --profile-url, and this computer asks; or open it in a browser: the answer names the address as dep_enrollment_url (R53)."
            }
            BadPreparation::ClosedToAll => "Supervise it, or let computers pair.",
            BadPreparation::Pane(_) => "Take names such as Siri, Location, AppleID; case counts.",
            BadPreparation::NoProfileUrl => "Copy it from Export Profile in the portal (R53).",
            BadPreparation::Address | BadPreparation::Text(_) => "Correct it; see `enlist prepare --help`.",
        };
        Self::new(Exit::Usage, sentence(&bad), next)
    }
}

impl From<HttpsError> for OperationError {
    fn from(error: HttpsError) -> Self {
        let said = format!("The Profile URL was not answered: {error}.");
        let next = "Check this computer's network; roots of a proxy belong into trusted_roots. Or ask with a browser, and give the answer's dep_enrollment_url as --enrollment-url.";
        Self::new(Exit::Failed, said, next)
    }
}

impl From<BadServiceConfig> for OperationError {
    fn from(error: BadServiceConfig) -> Self {
        let next = "Copy the Profile URL again from Export Profile in the portal (R53).";
        Self::new(Exit::Failed, sentence(error), next)
    }
}

impl From<NoConsent> for OperationError {
    fn from(error: NoConsent) -> Self {
        let next = "Type the serial number of the device that is to be erased: --yes-erase SERIAL.";
        Self::new(Exit::Refused, sentence(&error), next)
    }
}

impl From<SupervisionError> for OperationError {
    fn from(error: SupervisionError) -> Self {
        let next = match error {
            SupervisionError::Password(_) => "Give it in [supervision], with password_file or password_env.",
            SupervisionError::OldEncryption(_) => {
                "Convert it: openssl pkcs12 -legacy -in FILE -out identity.pem, which asks for its passwords."
            }
            _ => "Correct identity in [supervision] of the configuration.",
        };
        Self::new(Exit::Usage, sentence(&error), next)
    }
}
