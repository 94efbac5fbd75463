//! What a device's supervision data say (protocols.md 4.7).

use crate::wire::fields::Fields;
use plist::{Dictionary, Value};

/// Most panes and longest text that are kept: real ones have a few dozen, and short.
const MOST_PANES: usize = 100;
const TEXT_CHARS: usize = 200;

/// Where a cloud configuration came from: Automated Device Enrollment (4.7).
const FROM_AUTOMATED: i64 = 1;

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

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS).collect()
}
