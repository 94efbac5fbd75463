//! What we read from a device (protocols.md 3.5).

use super::cloud_configuration::CloudConfiguration;
use super::services::installation_proxy;
use super::{DeviceError, DeviceSession};
use crate::ids::Udid;
use crate::wire::fields::Fields;
use crate::wire::installation_proxy::COMPANY_PORTAL;
use crate::wire::lockdown::{DOMAIN_FIND_MY, DOMAIN_SETUP};
pub use crate::wire::profile::lint::OsVersion;
use jiff::{SignedDuration, Timestamp};
use plist::{Dictionary, Value};

/// Where Setup Assistant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SetupState {
    /// It is done: profiles are queued for the person.
    Finished,
    /// It runs: profiles are installed silently.
    Running,
    /// The device does not say.
    #[default]
    Unknown,
}

/// Facts of one device. Whatever it does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// UDID as lockdown tells it.
    pub udid: Option<Udid>,
    /// ECID.
    pub ecid: Option<u64>,
    /// Serial number.
    pub serial: Option<String>,
    /// Name set on the device.
    pub name: Option<String>,
    /// `iPhone`, `iPad`, ...
    pub class: Option<String>,
    /// Such as `iPhone16,2`.
    pub product_type: Option<String>,
    /// System version as told.
    pub os_version: Option<String>,
    /// Build.
    pub build: Option<String>,
    /// IMEI of the first slot.
    pub imei: Option<String>,
    /// IMEI of the second slot.
    pub imei2: Option<String>,
    /// Wi-Fi address.
    pub wifi_address: Option<String>,
    /// `Activated`, `Unactivated`, ...
    pub activation_state: Option<String>,
    /// Services are refused while true.
    pub brick_state: Option<bool>,
    /// Locked now and asking for a passcode; not "has a passcode".
    pub locked: Option<bool>,
    /// Setup Assistant.
    pub setup: SetupState,
    /// Bound to an owner by Find My.
    pub find_my: Option<bool>,
    /// Supervised, from the cloud configuration.
    pub supervised: Option<bool>,
    /// Organisation that supervises it.
    pub organization: Option<String>,
    /// The rest of the cloud configuration.
    pub cloud: Option<CloudConfiguration>,
    /// Whether Company Portal is on it, where that was asked (R30).
    pub company_portal: Option<bool>,
    /// Seconds since 1970 on the device's clock.
    pub device_time: Option<f64>,
    /// How far its clock was ahead of this computer's when it was read; below zero: behind.
    pub clock_ahead: Option<SignedDuration>,
}

impl Facts {
    /// Takes what a dump of the default domain holds. Called for the open dump first and
    /// for the session's after it; later values win, missing ones change nothing.
    pub fn take_default_domain(&mut self, values: &Dictionary) {
        let text = |key: &str| values.text(key).map(|t| t.chars().take(200).collect::<String>());
        let keep = |slot: &mut Option<String>, key: &str| {
            if let Some(value) = text(key) {
                *slot = Some(value);
            }
        };
        if let Some(udid) = values.text("UniqueDeviceID").and_then(|u| u.parse().ok()) {
            self.udid = Some(udid);
        }
        keep(&mut self.serial, "SerialNumber");
        keep(&mut self.name, "DeviceName");
        keep(&mut self.class, "DeviceClass");
        keep(&mut self.product_type, "ProductType");
        keep(&mut self.os_version, "ProductVersion");
        keep(&mut self.build, "BuildVersion");
        keep(&mut self.imei, "InternationalMobileEquipmentIdentity");
        keep(&mut self.imei2, "InternationalMobileEquipmentIdentity2");
        keep(&mut self.wifi_address, "WiFiAddress");
        keep(&mut self.activation_state, "ActivationState");
        self.ecid = values.uint("UniqueChipID").or(self.ecid);
        self.brick_state = values.flag("BrickState").or(self.brick_state);
        self.locked = values.flag("PasswordProtected").or(self.locked);
        let number = |value: &Value| value.as_real().or(value.as_signed_integer().map(|n| n as f64));
        self.device_time = values.get("TimeIntervalSince1970").and_then(number).or(self.device_time);
    }

    /// Compares the device's clock, read just now, with this computer's (3.4): certificates
    /// fail where they differ.
    pub fn compare_clock(&mut self, now: Timestamp) {
        let ahead =
            |time: f64| SignedDuration::try_from_secs_f64(time - now.as_duration().as_secs_f64()).ok();
        self.clock_ahead = self.device_time.and_then(ahead);
    }

    /// Takes the Setup Assistant domain. The device's own test (3.5): SetupDone, or
    /// SetupFinishedAllSteps, or SetupState is a string.
    pub fn take_setup_domain(&mut self, values: &Dictionary) {
        let flag = |key: &str| values.flag(key);
        let (done, all) = (flag("SetupDone"), flag("SetupFinishedAllSteps"));
        self.setup = if done == Some(true) || all == Some(true) || values.text("SetupState").is_some() {
            SetupState::Finished
        } else if done.is_some() || all.is_some() || values.is_empty() {
            // An answer without any of the three is a device whose setup has not begun.
            SetupState::Running
        } else {
            SetupState::Unknown
        };
    }

    /// Takes the cloud configuration (4.7).
    pub fn take_cloud_configuration(&mut self, configuration: Option<&Dictionary>) {
        self.supervised = Some(configuration.and_then(|c| c.flag("IsSupervised")).unwrap_or(false));
        self.organization = configuration.and_then(|c| c.text("OrganizationName")).map(str::to_owned);
        self.cloud = configuration.map(CloudConfiguration::new);
    }

    /// Reads everything a session opens: the default domain, Setup Assistant, and Find My
    /// where activation makes it matter.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn read_session(&mut self, session: &mut DeviceSession) -> Result<(), DeviceError> {
        self.take_default_domain(session.values());
        let lockdown = session.lockdown();
        match lockdown.get(Some(DOMAIN_SETUP), None).await? {
            Some(Value::Dictionary(values)) => self.take_setup_domain(&values),
            _ => self.setup = SetupState::Unknown,
        }
        if self.is_unactivated() {
            self.read_find_my(session).await?;
        }
        Ok(())
    }

    /// Asks whether Find My binds it to an owner.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn read_find_my(&mut self, session: &mut DeviceSession) -> Result<(), DeviceError> {
        let find_my = session.lockdown().get(Some(DOMAIN_FIND_MY), Some("IsAssociated")).await?;
        self.find_my = find_my.and_then(|v| v.as_boolean());
        Ok(())
    }

    /// Asks again how activation stands.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn read_activation(&mut self, session: &mut DeviceSession) -> Result<(), DeviceError> {
        let lockdown = session.lockdown();
        let state = lockdown.get(None, Some("ActivationState")).await?;
        let brick = lockdown.get(None, Some("BrickState")).await?;
        self.activation_state = state.and_then(|v| v.into_string());
        self.brick_state = brick.and_then(|v| v.as_boolean());
        Ok(())
    }

    /// Asks whether Company Portal is there (R30). A device that does not tell, or has no
    /// such service, changes nothing.
    pub async fn look_for_company_portal(&mut self, session: &mut DeviceSession) {
        match installation_proxy::has_app(session, COMPANY_PORTAL).await {
            Ok(found) => self.company_portal = found,
            Err(error) => tracing::debug!(%error, "the apps were not told"),
        }
    }

    /// Refuses to go on with another device than was asked for. One that does not tell who it
    /// is passes.
    ///
    /// # Errors
    /// [`DeviceError::OtherDevice`].
    pub fn expect_device(&self, asked_for: &Udid) -> Result<(), DeviceError> {
        match &self.udid {
            Some(found) if !asked_for.is_meant_by(found.as_str()) => {
                Err(DeviceError::OtherDevice { found: found.clone() })
            }
            _ => Ok(()),
        }
    }

    /// True if the device says that it is not activated. "BrickState is true unless
    /// Activated/FactoryActivated" (3.5).
    pub fn is_unactivated(&self) -> bool {
        self.activation_state.as_deref() == Some("Unactivated")
            || (self.activation_state.is_none() && self.brick_state == Some(true))
    }

    /// True if the device says that it is activated.
    pub fn is_activated(&self) -> bool {
        matches!(self.activation_state.as_deref(), Some("Activated" | "FactoryActivated"))
    }

    /// The system version, if it can be read.
    pub fn os(&self) -> Option<OsVersion> {
        OsVersion::told(self.os_version.as_deref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::{dictionary, string};

    #[test]
    fn setup_is_finished_by_any_of_the_three_signs() {
        let state = |pairs: Vec<(&str, Option<Value>)>| {
            let mut facts = Facts::default();
            facts.take_setup_domain(&dictionary(pairs));
            facts.setup
        };
        let yes = || Some(Value::Boolean(true));
        let no = || Some(Value::Boolean(false));
        assert_eq!(state(vec![("SetupDone", yes())]), SetupState::Finished);
        assert_eq!(state(vec![("SetupFinishedAllSteps", yes())]), SetupState::Finished);
        assert_eq!(
            state(vec![("SetupDone", no()), ("SetupState", string("SetupUsingAssistant"))]),
            SetupState::Finished
        );
        assert_eq!(state(vec![("SetupDone", no())]), SetupState::Running);
        assert_eq!(state(vec![]), SetupState::Running);
    }

    #[test]
    fn the_sessions_values_win_and_missing_ones_change_nothing() {
        let mut facts = Facts::default();
        facts.take_default_domain(&dictionary([
            ("DeviceName", string("old")),
            ("ProductVersion", string("18.2.1")),
            ("UniqueChipID", Some(Value::from(u64::MAX))),
        ]));
        facts.take_default_domain(&dictionary([("DeviceName", string("new"))]));
        assert_eq!(facts.name.as_deref(), Some("new"));
        assert_eq!(facts.os(), Some(OsVersion { patch: 1, ..OsVersion::new(18, 2) }));
        assert_eq!(facts.ecid, Some(u64::MAX));
    }
}
