//! What a device's supervision data say, and what is written to it (protocols.md 4.7).

use crate::secret::Secret;
use crate::wire::fields::{Fields, dictionary};
use crate::wire::property_list;
use openssl::sha::sha256;
use plist::{Dictionary, Value};

/// Most panes and longest text that are kept: real ones have a few dozen, and short.
const MOST_PANES: usize = 100;
const TEXT_CHARS: usize = 200;

/// Where a cloud configuration came from: Automated Device Enrollment (4.7).
const FROM_AUTOMATED: i64 = 1;

/// Names of the enrollment address: that of 4.7, and one that a tool writes over USB.
const URL_KEYS: [&str; 2] = ["ConfigurationURL", "MDMServerURL"];

/// Most supervision identities that are kept: an organisation has ten (R133).
const MOST_SUPERVISORS: usize = 100;

/// Supervision data. Whatever the device does not tell is `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloudConfiguration {
    /// ConfigurationSource.
    pub source: Option<i64>,
    /// Whether there is a ConfigurationURL or ConfigurationWebURL.
    pub has_url: bool,
    /// IsMandatory.
    pub mandatory: Option<bool>,
    /// IsMDMUnremovable.
    pub unremovable: Option<bool>,
    /// AllowPairing; an absent one means true.
    pub allow_pairing: Option<bool>,
    /// AwaitDeviceConfigured, and not yet DeviceConfigured.
    pub awaits_configuration: bool,
    /// IsMultiUser: Shared iPad.
    pub multi_user: bool,
    /// How many supervision identities the device knows.
    pub supervisors: usize,
    /// SHA-256 of their certificates.
    pub supervisor_digests: Vec<[u8; 32]>,
    /// SkipSetup.
    pub skipped_panes: Vec<String>,
    /// OrganizationDepartment.
    pub department: Option<String>,
    /// OrganizationSupportPhone.
    pub support_phone: Option<String>,
}

impl CloudConfiguration {
    /// Reads a device's answer.
    pub fn new(values: &Dictionary) -> Self {
        let text = |key: &str| values.text(key).map(short).filter(|t| !t.is_empty());
        let panes = values.list("SkipSetup").unwrap_or_default().iter().take(MOST_PANES);
        let yes = |key: &str| values.flag(key) == Some(true);
        Self {
            source: values.int("ConfigurationSource"),
            has_url: ["ConfigurationURL", "ConfigurationWebURL"].iter().any(|key| values.text(key).is_some()),
            mandatory: values.flag("IsMandatory"),
            unremovable: values.flag("IsMDMUnremovable"),
            allow_pairing: values.flag("AllowPairing"),
            awaits_configuration: yes("AwaitDeviceConfigured") && !yes("DeviceConfigured"),
            multi_user: yes("IsMultiUser"),
            supervisor_digests: digests(values.list("SupervisorHostCertificates").unwrap_or_default()),
            supervisors: values.list("SupervisorHostCertificates").map_or(0, <[Value]>::len),
            skipped_panes: panes.filter_map(Value::as_string).map(short).collect(),
            department: text("OrganizationDepartment"),
            support_phone: text("OrganizationSupportPhone"),
        }
    }

    /// True if Automated Device Enrollment made it.
    pub fn is_automated(&self) -> bool {
        self.source == Some(FROM_AUTOMATED)
    }
}

fn digests(certificates: &[Value]) -> Vec<[u8; 32]> {
    let known = certificates.iter().take(MOST_SUPERVISORS).filter_map(Value::as_data);
    known.map(sha256).collect()
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS).collect()
}

/// Supervision data to be written to a device (4.7).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WantedConfiguration {
    /// OrganizationName, shown on the device.
    pub organization: String,
    /// OrganizationDepartment.
    pub department: Option<String>,
    /// OrganizationSupportPhone.
    pub support_phone: Option<String>,
    /// OrganizationSupportEmail.
    pub support_email: Option<String>,
    /// IsSupervised.
    pub supervised: bool,
    /// SupervisorHostCertificates, DER.
    pub supervisors: Vec<Vec<u8>>,
    /// AllowPairing.
    pub allow_pairing: bool,
    /// SkipSetup.
    pub skip: Vec<String>,
    /// Where Setup Assistant fetches its enrollment; holds an id of the organisation.
    pub url: Option<Secret<String>>,
    /// AnchorCertificates, DER: whom it trusts there.
    pub anchors: Vec<Vec<u8>>,
}

impl WantedConfiguration {
    /// As it is sent. The address is written under both names in use, because which one a
    /// device honours over USB is unconfirmed (profiles-and-enrollment.md 3.6).
    pub fn to_dictionary(&self) -> Secret<Dictionary> {
        let text = |value: &Option<String>| value.clone().map(Value::String);
        let url = || self.url.as_ref().map(|url| Value::String(url.expose().clone()));
        let list = |values: Vec<Value>| (!values.is_empty()).then_some(Value::Array(values));
        Secret::new(dictionary([
            ("AllowPairing", Some(Value::Boolean(self.allow_pairing))),
            ("AnchorCertificates", list(self.anchors.iter().cloned().map(Value::Data).collect())),
            (URL_KEYS[0], url()),
            (URL_KEYS[1], url()),
            ("IsSupervised", Some(Value::Boolean(self.supervised))),
            ("OrganizationDepartment", text(&self.department)),
            ("OrganizationName", Some(Value::String(self.organization.clone()))),
            ("OrganizationSupportEmail", text(&self.support_email)),
            ("OrganizationSupportPhone", text(&self.support_phone)),
            ("SkipSetup", list(self.skip.iter().cloned().map(Value::String).collect())),
            ("SupervisorHostCertificates", list(self.supervisors.iter().cloned().map(Value::Data).collect())),
        ]))
    }

    /// What was written, or may have been, to a device that shows this.
    pub fn of(shown: &Dictionary) -> Self {
        let text = |key: &str| shown.text(key).map(str::to_owned);
        let values = |key: &str| shown.list(key).unwrap_or_default().iter();
        let bytes = |key: &str| values(key).filter_map(Value::as_data).map(<[u8]>::to_vec).collect();
        Self {
            organization: text("OrganizationName").unwrap_or_default(),
            department: text("OrganizationDepartment"),
            support_phone: text("OrganizationSupportPhone"),
            support_email: text("OrganizationSupportEmail"),
            supervised: shown.flag("IsSupervised").unwrap_or(false),
            supervisors: bytes("SupervisorHostCertificates"),
            allow_pairing: shown.flag("AllowPairing").unwrap_or(true),
            skip: values("SkipSetup").filter_map(Value::as_string).map(str::to_owned).collect(),
            url: URL_KEYS.iter().find_map(|key| text(key)).map(Secret::new),
            anchors: bytes("AnchorCertificates"),
        }
    }

    /// SHA-256 of all of it, to tell one configuration from another.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&property_list::to_xml(&Value::Dictionary(self.to_dictionary().expose().clone())))
    }

    /// What a device's supervision data have otherwise, by key; empty if they are these. What
    /// the device adds by itself (4.7) is no difference.
    pub fn differences(&self, found: &Dictionary) -> Vec<&'static str> {
        let text = |key: &str, wanted: &Option<String>| wanted.as_deref() == found.text(key);
        let same_set = |key: &str, wanted: Vec<&[u8]>| {
            let bytes = |v: &Value| v.as_data().map(<[u8]>::to_vec).or(v.as_string().map(|s| s.into()));
            let mut there: Vec<_> = found.list(key).unwrap_or_default().iter().filter_map(bytes).collect();
            let mut wanted: Vec<_> = wanted.into_iter().map(<[u8]>::to_vec).collect();
            there.sort();
            wanted.sort();
            there == wanted
        };
        let url = self.url.as_ref().map(Secret::expose);
        let urls: Vec<_> = URL_KEYS.iter().filter_map(|key| found.text(key)).collect();
        let same_url = match url {
            Some(url) => urls.contains(&url.as_str()),
            None => urls.is_empty(),
        };
        let checks = [
            ("OrganizationName", found.text("OrganizationName") == Some(&self.organization)),
            ("OrganizationDepartment", text("OrganizationDepartment", &self.department)),
            ("OrganizationSupportPhone", text("OrganizationSupportPhone", &self.support_phone)),
            ("OrganizationSupportEmail", text("OrganizationSupportEmail", &self.support_email)),
            ("IsSupervised", found.flag("IsSupervised").unwrap_or(false) == self.supervised),
            ("AllowPairing", found.flag("AllowPairing").unwrap_or(true) == self.allow_pairing),
            (URL_KEYS[0], same_url),
            ("SkipSetup", same_set("SkipSetup", self.skip.iter().map(String::as_bytes).collect())),
            (
                "AnchorCertificates",
                same_set("AnchorCertificates", self.anchors.iter().map(Vec::as_slice).collect()),
            ),
            (
                "SupervisorHostCertificates",
                same_set("SupervisorHostCertificates", self.supervisors.iter().map(Vec::as_slice).collect()),
            ),
        ];
        checks.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> WantedConfiguration {
        WantedConfiguration {
            organization: "Contoso".into(),
            department: None,
            support_phone: None,
            support_email: None,
            supervised: true,
            supervisors: vec![vec![1, 2], vec![3]],
            allow_pairing: true,
            skip: vec!["Siri".into(), "TOS".into()],
            url: Some(Secret::new("https://mdm.example/enroll?id=canary".into())),
            anchors: vec![vec![9]],
        }
    }

    #[test]
    fn what_is_read_back_as_written_does_not_differ() {
        let mut found = wanted().to_dictionary().expose().clone();
        // Added by the device.
        found.insert("ConfigurationSource".into(), Value::from(2));
        found.insert("SkipSetup".into(), Value::Array(vec!["TOS".into(), "Siri".into()]));
        // A device that keeps only the name it knows.
        found.remove("MDMServerURL");
        assert!(wanted().differences(&found).is_empty());
        assert_eq!(WantedConfiguration::of(&wanted().to_dictionary().expose().clone()), wanted());
        assert!(!format!("{:?}", wanted()).contains("canary"));
    }

    #[test]
    fn each_difference_is_named_by_its_key() {
        let found = wanted().to_dictionary().expose().clone();
        let differs = |other: WantedConfiguration| other.differences(&found);
        assert_eq!(
            differs(WantedConfiguration { organization: "X".into(), ..wanted() }),
            ["OrganizationName"]
        );
        assert_eq!(differs(WantedConfiguration { url: None, ..wanted() }), ["ConfigurationURL"]);
        assert_eq!(differs(WantedConfiguration { skip: vec![], ..wanted() }), ["SkipSetup"]);
        assert_eq!(differs(WantedConfiguration { supervised: false, ..wanted() }), ["IsSupervised"]);
        let fewer = WantedConfiguration { supervisors: vec![vec![3]], ..wanted() };
        assert_eq!(differs(fewer), ["SupervisorHostCertificates"]);
    }
}
