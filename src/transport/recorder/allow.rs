//! The allow-list: which keys of a frame may be written down, and as what (codebase-models.md
//! 3.6). A key that is not here is written as a placeholder, name and value.

/// How the value of a key is written. A value of another type or form is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A boolean, as it is.
    Flag,
    /// A small integer, as it is.
    Number,
    /// One word of a protocol, such as an error's name, as it is: see [`words`](super::words).
    Word,
    /// A time of the device's clock, as its distance from ours.
    Now,
    /// A UDID, as one of zeros.
    Udid,
    /// A UUID, as one of zeros.
    Uuid,
    /// A hardware address, as one of zeros.
    Address,
    /// A number in digits or letters that identifies hardware, as zeros.
    Digits,
    /// The identifier of a profile, as a number.
    Identifier,
    /// The bundle id of an app: the one we ask for as it is, others as a number.
    Bundle,
    /// Contents are looked at key by key.
    Inside,
    /// A dictionary whose keys are identifiers of profiles.
    ByIdentifier,
    /// A dictionary whose keys are bundle ids.
    ByBundle,
    /// As the key of the domain that `Key` beside it names.
    AsKey,
    /// Only its name may be seen.
    Hidden,
}

/// What may be written (protocols.md 3.3-3.12, 4.2-4.8, 5.2, 5.6).
const ALLOWED: &[(&str, Kind)] = &[
    // Requests and answers of lockdown.
    ("Domain", Kind::Word),
    ("EnableServiceSSL", Kind::Flag),
    ("EnableSessionSSL", Kind::Flag),
    ("Error", Kind::Word),
    ("EscrowBag", Kind::Hidden),
    ("ExtendedPairingErrors", Kind::Flag),
    ("ExtendedResponse", Kind::Inside),
    ("HostID", Kind::Uuid),
    ("HostName", Kind::Hidden),
    ("Key", Kind::Word),
    ("Label", Kind::Hidden),
    ("PairRecord", Kind::Inside),
    ("PairingChallenge", Kind::Hidden),
    ("PairingOptions", Kind::Inside),
    ("ChallengeResponse", Kind::Hidden),
    ("SupervisorCertificate", Kind::Hidden),
    ("DeviceCertificate", Kind::Hidden),
    ("HostCertificate", Kind::Hidden),
    ("RootCertificate", Kind::Hidden),
    ("SystemBUID", Kind::Uuid),
    ("Port", Kind::Number),
    ("ProtocolVersion", Kind::Word),
    ("Request", Kind::Word),
    ("Result", Kind::Word),
    ("Service", Kind::Word),
    ("SessionID", Kind::Uuid),
    ("Type", Kind::Word),
    ("Value", Kind::AsKey),
    ("Warning", Kind::Hidden),
    ("WiFiMACAddress", Kind::Address),
    // Values of lockdown.
    ("ActivationState", Kind::Word),
    ("BasebandStatus", Kind::Word),
    ("BluetoothAddress", Kind::Address),
    ("BoardId", Kind::Number),
    ("BrickState", Kind::Flag),
    ("BuildVersion", Kind::Word),
    ("CPUArchitecture", Kind::Word),
    ("ChipID", Kind::Number),
    ("DeviceClass", Kind::Word),
    ("DeviceColor", Kind::Hidden),
    ("DeviceName", Kind::Hidden),
    ("DevicePublicKey", Kind::Hidden),
    ("EthernetAddress", Kind::Address),
    ("HardwareModel", Kind::Word),
    ("HasSiDP", Kind::Flag),
    ("HostAttached", Kind::Flag),
    ("HumanReadableProductVersionString", Kind::Word),
    ("IntegratedCircuitCardIdentity", Kind::Digits),
    ("InternationalMobileEquipmentIdentity", Kind::Digits),
    ("InternationalMobileEquipmentIdentity2", Kind::Digits),
    ("IsAssociated", Kind::Flag),
    ("MobileEquipmentIdentifier", Kind::Digits),
    ("ModelNumber", Kind::Word),
    ("PasswordProtected", Kind::Flag),
    ("PhoneNumber", Kind::Digits),
    ("ProductName", Kind::Hidden),
    ("ProductType", Kind::Word),
    ("ProductVersion", Kind::Word),
    ("RegionInfo", Kind::Hidden),
    ("SIMStatus", Kind::Word),
    ("SerialNumber", Kind::Digits),
    ("SetupDone", Kind::Flag),
    ("SetupFinishedAllSteps", Kind::Flag),
    ("SetupState", Kind::Word),
    ("TelephonyCapability", Kind::Flag),
    ("TimeIntervalSince1970", Kind::Now),
    ("TimeZone", Kind::Hidden),
    ("TrustedHostAttached", Kind::Flag),
    ("UniqueChipID", Kind::Hidden),
    ("UniqueDeviceID", Kind::Udid),
    ("Uses24HourClock", Kind::Flag),
    ("WiFiAddress", Kind::Address),
    // MCInstall.
    ("Challenge", Kind::Hidden),
    ("CloudConfiguration", Kind::Inside),
    ("DisallowProximitySetup", Kind::Flag),
    ("PreserveDataPlan", Kind::Flag),
    ("ErrorChain", Kind::Inside),
    ("ErrorCode", Kind::Number),
    ("ErrorDomain", Kind::Word),
    ("LocalizedDescription", Kind::Hidden),
    ("USEnglishDescription", Kind::Hidden),
    ("OrderedIdentifiers", Kind::Identifier),
    ("Payload", Kind::Hidden),
    ("ProfileIdentifier", Kind::Identifier),
    ("ProfileManifest", Kind::ByIdentifier),
    ("ProfileMetadata", Kind::ByIdentifier),
    ("RequestType", Kind::Word),
    ("SignedRequest", Kind::Hidden),
    ("Status", Kind::Word),
    ("Description", Kind::Hidden),
    ("IsActive", Kind::Flag),
    ("PayloadDescription", Kind::Hidden),
    ("PayloadDisplayName", Kind::Hidden),
    ("PayloadOrganization", Kind::Hidden),
    ("PayloadRemovalDisallowed", Kind::Flag),
    ("PayloadUUID", Kind::Uuid),
    ("PayloadVersion", Kind::Number),
    // Supervision data (4.7).
    ("AllowPairing", Kind::Flag),
    ("AwaitDeviceConfigured", Kind::Flag),
    ("CloudConfigurationUIComplete", Kind::Flag),
    ("ConfigurationSource", Kind::Number),
    ("ConfigurationURL", Kind::Hidden),
    ("ConfigurationWasApplied", Kind::Flag),
    ("ConfigurationWebURL", Kind::Hidden),
    ("DeviceConfigured", Kind::Flag),
    ("IsMDMUnremovable", Kind::Flag),
    ("IsMandatory", Kind::Flag),
    ("IsMultiUser", Kind::Flag),
    ("IsSupervised", Kind::Flag),
    ("OrganizationDepartment", Kind::Hidden),
    ("OrganizationName", Kind::Hidden),
    ("MDMServerURL", Kind::Hidden),
    ("AnchorCertificates", Kind::Hidden),
    ("OrganizationAddress", Kind::Hidden),
    ("OrganizationEmail", Kind::Hidden),
    ("OrganizationMagic", Kind::Hidden),
    ("OrganizationSupportEmail", Kind::Hidden),
    ("OrganizationSupportPhone", Kind::Hidden),
    ("PostSetupProfileWasInstalled", Kind::Flag),
    ("SkipSetup", Kind::Word),
    ("SupervisorHostCertificates", Kind::Hidden),
    // Notifications and apps.
    ("BundleIDs", Kind::Bundle),
    ("CFBundleIdentifier", Kind::Bundle),
    ("ClientOptions", Kind::Inside),
    ("Command", Kind::Word),
    ("LookupResult", Kind::ByBundle),
    ("Name", Kind::Word),
    ("ReturnAttributes", Kind::Word),
];

/// How `key` is written; `None` for one that nobody named.
pub(super) fn kind(key: &str) -> Option<Kind> {
    ALLOWED.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind)
}

/// Every key whose value is a word.
#[cfg(test)]
pub(super) fn words() -> impl ExactSizeIterator<Item = &'static str> {
    let words: Vec<_> =
        ALLOWED.iter().filter(|(_, kind)| *kind == Kind::Word).map(|(name, _)| *name).collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_key_is_named_once() {
        let names: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), ALLOWED.len());
        assert_eq!(kind("DeviceName"), Some(Kind::Hidden));
    }
}
