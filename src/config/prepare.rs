//! Section `[prepare]`: how a device is configured before Setup Assistant goes on (R55, R56).

use super::ConfigError;
use crate::workflow::preparation::{BadPreparation, Preparation, Wishes};
use serde::Deserialize;

/// Section `[prepare]`; each key has a flag of `enlist prepare` that outranks it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrepareConfig {
    /// Name of the organisation, shown on the device.
    pub organization: Option<String>,
    /// Its department, shown in Setup Assistant.
    pub department: Option<String>,
    /// Telephone of its help desk.
    pub support_phone: Option<String>,
    /// Mail address of its help desk.
    pub support_email: Option<String>,
    /// Supervise the device with the identities of `[supervision]`.
    pub supervised: Option<bool>,
    /// Let every computer pair with it.
    pub allow_pairing: Option<bool>,
    /// Panes of Setup Assistant that are not shown.
    pub skip: Vec<String>,
    /// Address at which Setup Assistant fetches its enrollment.
    pub enrollment_url: Option<String>,
    /// The enrollment binds a user, who has a day to finish it.
    pub user: Option<bool>,
}

impl PrepareConfig {
    /// These settings over `base`.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            organization: self.organization.or(base.organization),
            department: self.department.or(base.department),
            support_phone: self.support_phone.or(base.support_phone),
            support_email: self.support_email.or(base.support_email),
            supervised: self.supervised.or(base.supervised),
            allow_pairing: self.allow_pairing.or(base.allow_pairing),
            skip: if self.skip.is_empty() { base.skip } else { self.skip },
            enrollment_url: self.enrollment_url.or(base.enrollment_url),
            user: self.user.or(base.user),
        }
    }

    /// What they ask for.
    pub fn wishes(self) -> Wishes {
        Wishes {
            organization: self.organization,
            department: self.department,
            support_phone: self.support_phone,
            support_email: self.support_email,
            supervised: self.supervised.unwrap_or(false),
            allow_pairing: self.allow_pairing.unwrap_or(true),
            skip: self.skip,
            enrollment_url: self.enrollment_url,
            anchors: Vec::new(),
            user: self.user.unwrap_or(false),
        }
    }

    /// Refuses what no device could be prepared with. What is missing may come as a flag.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(&self, has_identity: bool) -> Result<(), ConfigError> {
        // Which identity it is does not matter here.
        let identities = if has_identity { vec![Vec::new()] } else { Vec::new() };
        match Preparation::new(self.clone().wishes(), identities) {
            Ok(_) | Err(BadPreparation::NoOrganization) => Ok(()),
            Err(bad) => Err(ConfigError::Value { what: "[prepare]".into(), reason: bad.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use std::path::Path;

    #[test]
    fn what_no_device_can_be_prepared_with_is_refused_at_load() {
        let error = |text: &str| Config::parse(text, Path::new("x")).map(|_| ()).unwrap_err().to_string();
        let url = error("[prepare]\norganization = 'A'\nenrollment_url = 'http://mdm.example'");
        assert!(url.starts_with("[prepare]: the enrollment address must be an https address"), "{url}");
        assert!(error("[prepare]\nsupervised = true").contains("needs a supervision identity"));
        assert!(error("[prepare]\nskip = ['a b']").contains("'a b' is no pane"));
        assert!(error("[prepare]\norganisation = 'A'").contains("did you mean 'organization'"));
        let good = "[supervision]\nidentity = 'a.pem'\n[prepare]\nsupervised = true\nskip = ['Siri']";
        assert!(Config::parse(good, Path::new("x")).is_ok());
    }
}
