//! What a host may do to profiles and supervision data besides pushing (protocols.md 4.4,
//! 4.7, 4.9).

use super::installer::{INSTALLATION, MDM, open_signed};
use super::persona::Settings;
use super::state::State;
use super::supervision::constructed_supervisor;
use crate::wire::DEVICE_BUDGET;
use crate::wire::fields::{Fields, dictionary, string};
use crate::wire::mcinstall::{Reply, Status};
use crate::wire::notification_proxy::{MANAGED_ORG_INFO_CHANGED, PROFILE_LIST_CHANGED};
use crate::wire::property_list;
use plist::{Dictionary, Value};

const TUNNEL: &str = "DMCTunnelErrorDomain";
const CLOUD: &str = "MCCloudConfigErrorDomain";

/// What GetCloudConfiguration finds on a device that never met a host: nothing while in
/// Setup Assistant, the harmless dictionary of 4.7 after it, more if it is supervised.
pub(super) fn initial_cloud_configuration(settings: &Settings) -> Option<Dictionary> {
    if settings.supervised {
        let supervisor = constructed_supervisor().map(Value::Data);
        return Some(dictionary([
            ("AllowPairing", Some(Value::Boolean(settings.pairing == super::persona::PairingPolicy::Ask))),
            ("CloudConfigurationUIComplete", Some(Value::Boolean(true))),
            ("ConfigurationSource", Some(Value::from(2))),
            ("ConfigurationWasApplied", Some(Value::Boolean(true))),
            ("IsMDMUnremovable", Some(Value::Boolean(settings.mdm_locked))),
            ("IsMandatory", Some(Value::Boolean(true))),
            ("IsSupervised", Some(Value::Boolean(true))),
            ("OrganizationMagic", string("5EED5EED-0000-4000-8000-000000000000")),
            ("OrganizationName", string("Simulated Organisation")),
            ("SupervisorHostCertificates", Some(Value::Array(supervisor.into_iter().collect()))),
        ]));
    }
    settings.setup_done.then(|| {
        dictionary([
            ("AllowPairing", Some(Value::Boolean(true))),
            ("CloudConfigurationUIComplete", Some(Value::Boolean(true))),
            ("ConfigurationSource", Some(Value::from(0))),
            ("IsSupervised", Some(Value::Boolean(false))),
            ("PostSetupProfileWasInstalled", Some(Value::Boolean(true))),
        ])
    })
}

fn acknowledged() -> Reply {
    Reply::status_only(&Status::Acknowledged)
}

impl State {
    fn refuse(&self, domain: &str, code: i64) -> Reply {
        Reply::error(&self.chain(&[(domain, code)]))
    }

    /// RemoveProfile (4.4): by identifier, or by a property list, signed if the profile is
    /// locked.
    pub(super) fn remove_profile(&mut self, key: Option<&Value>) -> Reply {
        let (identifier, signer) = match key {
            None => return Reply::status_only(&Status::CommandFormatError),
            Some(Value::String(identifier)) => (identifier.clone(), None),
            Some(Value::Data(bytes)) => match named_profile(bytes) {
                Some(named) => named,
                None => return self.refuse(INSTALLATION, 4000),
            },
            Some(_) => return self.refuse(INSTALLATION, 4000),
        };
        let mut installed = self.profiles.installed.iter();
        let Some(n) = installed.position(|i| i.profile.listed.identifier == identifier) else {
            return acknowledged();
        };
        let found = &self.profiles.installed[n];
        if found.managed {
            return self.refuse(MDM, 12013);
        }
        let locked = found.profile.listed.removal_disallowed;
        if locked && (signer.is_none() || signer != found.profile.signer) {
            return self.refuse(INSTALLATION, 4008);
        }
        self.forget_profile(n);
        acknowledged()
    }

    fn forget_profile(&mut self, n: usize) {
        let gone = self.profiles.installed.remove(n);
        self.counters.removals += 1;
        if gone.profile.mdm().is_some() {
            // What the MDM server installed leaves with it.
            self.profiles.installed.retain(|i| !i.managed);
            self.post(MANAGED_ORG_INFO_CHANGED);
        }
        self.post(PROFILE_LIST_CHANGED);
    }

    /// StoreProfile (4.4).
    pub(super) fn store_profile(&mut self, fields: &Dictionary) -> Reply {
        match (fields.bytes("ProfileData"), fields.text("Purpose")) {
            (Some(bytes), Some("PostSetupInstallation")) => {
                if super::installer::parse(bytes).is_err() {
                    return self.refuse(INSTALLATION, 4011);
                }
                self.profiles.stored = Some(bytes.to_vec());
                acknowledged()
            }
            _ => Reply::status_only(&Status::CommandFormatError),
        }
    }

    /// GetStoredProfile (4.4).
    pub(super) fn stored_profile(&self) -> Reply {
        match &self.profiles.stored {
            Some(bytes) => acknowledged().with("ProfileData", Value::Data(bytes.clone())),
            None => acknowledged(),
        }
    }

    /// GetCloudConfiguration (4.4).
    pub(super) fn cloud_configuration(&self) -> Reply {
        match &self.cloud {
            Some(cloud) => acknowledged().with("CloudConfiguration", Value::Dictionary(cloud.clone())),
            None => acknowledged(),
        }
    }

    /// SetCloudConfiguration (4.7).
    pub(super) fn set_cloud_configuration(&mut self, wanted: &Dictionary) -> Reply {
        if wanted.is_empty() {
            self.cloud = None;
            return acknowledged();
        }
        if self.cloud.is_some() {
            return self.refuse(TUNNEL, 14002);
        }
        if self.bricked() {
            return self.refuse(CLOUD, 33003);
        }
        if self.settings.automated {
            return self.refuse(CLOUD, 33004);
        }
        let of_type = |key: &str, fits: fn(&Value) -> bool| wanted.get(key).is_none_or(fits);
        let is_text = |v: &Value| v.as_string().is_some();
        let is_flag = |v: &Value| v.as_boolean().is_some();
        let is_list = |v: &Value| v.as_array().is_some();
        let well_typed = of_type("OrganizationName", is_text)
            && ["ConfigurationURL", "ConfigurationWebURL", "OrganizationDepartment"]
                .iter()
                .all(|key| of_type(key, is_text))
            && ["IsSupervised", "AllowPairing", "IsMultiUser", "AwaitDeviceConfigured"]
                .iter()
                .all(|key| of_type(key, is_flag))
            && ["SupervisorHostCertificates", "SkipSetup", "AnchorCertificates"]
                .iter()
                .all(|key| of_type(key, is_list));
        if !well_typed {
            return self.refuse(CLOUD, 33002);
        }
        let mut cloud = wanted.clone();
        let supervised = wanted.flag("IsSupervised").unwrap_or(false);
        let mut force = |key: &str, value: Value| cloud.insert(key.to_owned(), value);
        force("ConfigurationSource", Value::from(2));
        force("IsMandatory", Value::Boolean(true));
        force("IsMDMUnremovable", Value::Boolean(false));
        if wanted.get("ConfigurationURL").is_none() && wanted.get("ConfigurationWebURL").is_none() {
            force("CloudConfigurationUIComplete", Value::Boolean(true));
            force("ConfigurationWasApplied", Value::Boolean(true));
        }
        if !supervised {
            cloud.remove("AwaitDeviceConfigured");
            cloud.remove("IsMultiUser");
        }
        self.settings.supervised = supervised;
        if wanted.flag("AllowPairing") == Some(false) {
            self.trust.pairings.clear();
            self.settings.pairing = super::persona::PairingPolicy::SupervisorsOnly;
        }
        self.cloud = Some(cloud);
        self.counters.configurations += 1;
        acknowledged()
    }

    /// EraseDevice (4.4): "works unsupervised".
    pub(super) fn erase_request(&mut self, fields: &Dictionary) -> Option<Reply> {
        self.counters.erase_requests += 1;
        let keys = ["PreserveDataPlan", "DisallowProximitySetup"];
        let well_typed = keys.iter().all(|k| fields.get(k).is_none_or(|v| v.as_boolean().is_some()));
        (!well_typed).then(|| Reply::status_only(&Status::CommandFormatError))
    }

    /// The rest of 4.4 and 4.9, as far as it makes sense without a network.
    pub(super) fn other_request(&mut self, name: &str, fields: &Dictionary, escalated: bool) -> Reply {
        match (name, escalated) {
            ("StoreProfile", _) => self.store_profile(fields),
            ("GetStoredProfile", _) => self.stored_profile(),
            ("PollMDMIfNetworkTethered", _) => acknowledged(),
            ("DownloadAndApplyCloudConfiguration", _) => self.download_cloud_configuration(),
            ("EstablishProvisionalEnrollment", _) => {
                Reply::status_only(&Status::Other("ProvisionalEnrollmentRejected".to_owned()))
            }
            ("SetWiFiPowerState", _) if fields.get("PowerState").is_some() => self.refuse(TUNNEL, 14005),
            ("GetEncryptionKey", _) if fields.text("IPCUIdentifier").is_some() => {
                acknowledged().with("PublicKey", Value::Data(self.key.public_pem.clone()))
            }
            ("SetCertificate", _) => Reply::status_only(&Status::Error)
                .with("Error", Value::String("InvalidCertificate".to_owned()))
                .with("Goodbye", Value::Boolean(true)),
            ("RequestUnlockToken", true) if self.settings.passcode => {
                self.refuse("DMCKeybagErrorDomain", 37002)
            }
            ("RequestUnlockToken", true) => acknowledged().with("UnlockToken", Value::Data(vec![0x5E; 32])),
            ("ClearPasscode", true) if fields.bytes("UnlockToken").is_some() => {
                self.settings.passcode = false;
                acknowledged()
            }
            ("DefaultMDMOptions", true) => {
                acknowledged().with("DefaultMDMOptions", Value::Dictionary(Dictionary::new()))
            }
            ("SetDefaultMDMOptions" | "DeviceConfigured", true) => acknowledged(),
            ("SecurityInfo", true) => acknowledged().with("SecurityInfo", self.security_info()),
            ("DeviceInformation", true) => acknowledged().with("QueryResponses", self.information(fields)),
            ("ProfileList", true) => acknowledged().with("ProfileList", self.mdm_profile_list()),
            _ => Reply::status_only(&Status::CommandFormatError),
        }
    }

    /// "At once if an MDM profile exists; else DEP errors" (4.4).
    fn download_cloud_configuration(&self) -> Reply {
        if self.profiles.installed.iter().any(|i| i.profile.mdm().is_some()) {
            return acknowledged();
        }
        self.refuse(CLOUD, 33005)
    }

    fn security_info(&self) -> Value {
        Value::Dictionary(dictionary([("PasscodePresent", Some(Value::Boolean(self.settings.passcode)))]))
    }

    fn information(&self, fields: &Dictionary) -> Value {
        let known = dictionary([
            ("DeviceName", string(self.identity.name.clone())),
            ("IsSupervised", Some(Value::Boolean(self.settings.supervised))),
            ("OSVersion", string(self.identity.os_version.clone())),
            ("SerialNumber", string(self.identity.serial.clone())),
            ("UDID", string(self.identity.udid.as_str())),
        ]);
        let queries = fields.list("Queries").unwrap_or_default();
        let asked = |key: &String| queries.iter().any(|q| q.as_string() == Some(key));
        Value::Dictionary(known.into_iter().filter(|(key, _)| asked(key)).collect())
    }

    /// The MDM form of the list, with payload types (4.8, 4.9).
    fn mdm_profile_list(&self) -> Value {
        let one = |i: &super::profiles::Installed| {
            let payloads = i.profile.payloads.iter();
            let content = payloads
                .map(|p| Value::Dictionary(dictionary([("PayloadType", string(p.kind.clone()))])))
                .collect();
            Value::Dictionary(dictionary([
                ("IsManaged", Some(Value::Boolean(i.managed))),
                ("PayloadContent", Some(Value::Array(content))),
                ("PayloadIdentifier", string(i.profile.listed.identifier.clone())),
                ("PayloadUUID", string(i.profile.listed.uuid.clone())),
            ]))
        };
        Value::Array(self.profiles.installed.iter().map(one).collect())
    }
}

/// The identifier in a removal's property list, and who signed it.
fn named_profile(bytes: &[u8]) -> Option<(String, Option<Vec<u8>>)> {
    let (value, signer) = match property_list::parse(bytes, DEVICE_BUDGET) {
        Ok(value) => (value, None),
        Err(_) => {
            let (content, signer) = open_signed(bytes).ok()?;
            (property_list::parse(&content, DEVICE_BUDGET).ok()?, Some(signer))
        }
    };
    let identifier = value.as_dictionary()?.text("PayloadIdentifier")?.to_owned();
    Some((identifier, signer))
}
