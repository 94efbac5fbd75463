//! Types of the values (1.3, 1.4, 2.1 to 2.6; L47).

use super::findings::{Findings, Severity};
use super::rule::Rule;
use super::subject::{Form, Subject};
use crate::wire::property_list::{Dictionary, Value};
use Kind::*;

pub(super) const RULES: &[Rule] = &[Rule {
    code: "L47",
    severities: &[Severity::Error],
    title: "value of the wrong type",
    explanation: "A value of the root or of a payload has another type in the property list than Apple's schema gives it, such as PayloadVersion as a string.",
    device: "1003 for the root, 2003 for a payload",
    remedy: "Have the profile made again by the server; do not edit it by hand.",
    check: wrong_types,
}];

/// Types of a property list, as the schema asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A string, or an array of strings (D: PayloadDescription; SubjectAltName).
    TextOrTexts,
    Texts,
    Integer,
    Number,
    Boolean,
    Date,
    Data,
    Array,
    Dictionary,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Text => "a string",
            TextOrTexts => "a string or an array of strings",
            Texts => "an array of strings",
            Integer => "an integer",
            Number => "a number",
            Boolean => "a boolean",
            Date => "a date",
            Data => "data",
            Array => "an array",
            Dictionary => "a dictionary",
        }
    }

    fn fits(self, value: &Value) -> bool {
        let texts = || value.as_array().is_some_and(|items| items.iter().all(|i| i.as_string().is_some()));
        match self {
            Text => value.as_string().is_some(),
            TextOrTexts => value.as_string().is_some() || texts(),
            Texts => texts(),
            Integer => value.as_signed_integer().is_some(),
            Number => value.as_real().is_some() || value.as_signed_integer().is_some(),
            Boolean => value.as_boolean().is_some(),
            Date => value.as_date().is_some(),
            Data => value.as_data().is_some(),
            Array => value.as_array().is_some(),
            Dictionary => value.as_dictionary().is_some(),
        }
    }
}

type Keys = &'static [(&'static str, Kind)];

/// What root and payloads have alike (1.3, 1.4).
const COMMON: Keys = &[
    ("PayloadType", Text),
    ("PayloadVersion", Integer),
    ("PayloadIdentifier", Text),
    ("PayloadUUID", Text),
    ("PayloadDisplayName", Text),
    ("PayloadOrganization", Text),
    ("PayloadDescription", TextOrTexts),
];

/// The root alone (1.3).
const ROOT: Keys = &[
    ("EncryptedPayloadContent", Data),
    ("IsEncrypted", Boolean),
    ("PayloadRemovalDisallowed", Boolean),
    ("HasRemovalPasscode", Boolean),
    ("PayloadScope", Text),
    ("RemovalDate", Date),
    ("DurationUntilRemoval", Number),
    ("PayloadExpirationDate", Date),
    ("TargetDeviceType", Integer),
    ("ConsentText", Dictionary),
];

const CERTIFICATE: Keys = &[("PayloadContent", Data), ("PayloadCertificateFileName", Text)];

/// The restrictions of 2.7; there are many more.
const RESTRICTIONS: Keys = &[
    ("allowHostPairing", Boolean),
    ("allowUIConfigurationProfileInstallation", Boolean),
    ("allowUSBRestrictedMode", Boolean),
    ("allowUnpairedExternalBootToRecovery", Boolean),
    ("forceWiFiToAllowedNetworksOnly", Boolean),
    ("forceWiFiWhitelisting", Boolean),
    ("forceWiFiPowerOn", Boolean),
    ("allowEraseContentAndSettings", Boolean),
    ("allowAccountModification", Boolean),
    ("allowPasscodeModification", Boolean),
    ("allowDeviceNameModification", Boolean),
    ("allowAppInstallation", Boolean),
    ("allowUIAppInstallation", Boolean),
    ("allowProximitySetupToNewDevice", Boolean),
    ("allowEnterpriseAppTrust", Boolean),
    ("allowUntrustedTLSPrompt", Boolean),
    ("forceAutomaticDateAndTime", Boolean),
    ("forceEncryptedBackup", Boolean),
    ("allowESIMModification", Boolean),
    ("allowCellularPlanModification", Boolean),
    ("enforcedSoftwareUpdateDelay", Integer),
    ("forceDelayedSoftwareUpdates", Boolean),
];

/// Payloads by type (2.1 to 2.6).
const PAYLOADS: &[(&str, Keys)] = &[
    (
        "com.apple.mdm",
        &[
            ("IdentityCertificateUUID", Text),
            ("Topic", Text),
            ("ServerURL", Text),
            ("CheckInURL", Text),
            ("SignMessage", Boolean),
            ("AccessRights", Integer),
            ("UseDevelopmentAPNS", Boolean),
            ("ManagedAppleID", Text),
            ("AssignedManagedAppleID", Text),
            ("EnrollmentMode", Text),
            ("ServerURLPinningCertificateUUIDs", Texts),
            ("CheckInURLPinningCertificateUUIDs", Texts),
            ("PinningRevocationCheckRequired", Boolean),
            ("ServerCapabilities", Texts),
            ("CheckOutWhenRemoved", Boolean),
            ("RequiredAppIDForMDM", Integer),
            ("PromptUserToAllowBootstrapTokenForAuthentication", Boolean),
        ],
    ),
    (
        "com.apple.security.acme",
        &[
            ("DirectoryURL", Text),
            ("ClientIdentifier", Text),
            ("KeyType", Text),
            ("KeySize", Integer),
            ("HardwareBound", Boolean),
            ("Subject", Array),
            ("SubjectAltName", Dictionary),
            ("UsageFlags", Integer),
            ("ExtendedKeyUsage", Texts),
            ("Attest", Boolean),
            ("KeyIsExtractable", Boolean),
            ("AllowAllAppsAccess", Boolean),
        ],
    ),
    ("com.apple.security.scep", &[("PayloadContent", Dictionary)]),
    ("com.apple.security.root", CERTIFICATE),
    ("com.apple.security.pkcs1", CERTIFICATE),
    ("com.apple.security.pem", CERTIFICATE),
    (
        "com.apple.security.pkcs12",
        &[
            ("PayloadContent", Data),
            ("PayloadCertificateFileName", Text),
            ("Password", Text),
            ("KeyIsExtractable", Boolean),
            ("AllowAllAppsAccess", Boolean),
        ],
    ),
    (
        "com.apple.wifi.managed",
        &[
            ("SSID_STR", Text),
            ("HIDDEN_NETWORK", Boolean),
            ("AutoJoin", Boolean),
            ("EncryptionType", Text),
            ("Password", Text),
            ("PayloadCertificateUUID", Text),
            ("EAPClientConfiguration", Dictionary),
            ("ProxyType", Text),
            ("ProxyServer", Text),
            ("ProxyServerPort", Integer),
            ("ProxyUsername", Text),
            ("ProxyPassword", Text),
            ("ProxyPACURL", Text),
            ("ProxyPACFallbackAllowed", Boolean),
            ("CaptiveBypass", Boolean),
            ("DisableAssociationMACRandomization", Boolean),
            ("EnableIPv6", Boolean),
            ("TLSCertificateRequired", Boolean),
            ("IsHotspot", Boolean),
            ("ServiceProviderRoamingEnabled", Boolean),
            ("DisplayedOperatorName", Text),
            ("DomainName", Text),
            ("HESSID", Text),
            ("RoamingConsortiumOIs", Texts),
            ("NAIRealmNames", Texts),
            ("MCCAndMNCs", Texts),
            ("QoSMarkingPolicy", Dictionary),
            ("SetupModes", Array),
        ],
    ),
    (
        "com.apple.proxy.http.global",
        &[
            ("ProxyType", Text),
            ("ProxyServer", Text),
            ("ProxyServerPort", Integer),
            ("ProxyUsername", Text),
            ("ProxyPassword", Text),
            ("ProxyPACURL", Text),
            ("ProxyPACFallbackAllowed", Boolean),
            ("ProxyCaptiveLoginAllowed", Boolean),
        ],
    ),
    ("com.apple.profileRemovalPassword", &[("RemovalPassword", Text)]),
    ("com.apple.applicationaccess", RESTRICTIONS),
    (
        "com.apple.SetupAssistant.managed",
        &[
            ("SkipSetupItems", Texts),
            ("SkipCloudSetup", Boolean),
            ("SkipSiriSetup", Boolean),
            ("SkipPrivacySetup", Boolean),
            ("SkipiCloudStorageSetup", Boolean),
            ("SkipTrueTone", Boolean),
            ("SkipAppearance", Boolean),
            ("SkipTouchIDSetup", Boolean),
            ("SkipScreenTime", Boolean),
            ("SkipAccessibility", Boolean),
            ("SkipUnlockWithWatch", Boolean),
            ("SkipWallpaper", Boolean),
        ],
    ),
];

/// Dictionaries inside payloads: the payload's type, the key, what is inside (2.2, 2.5).
const INNER: &[(&str, &str, Keys)] = &[
    (
        "com.apple.security.scep",
        "PayloadContent",
        &[
            ("URL", Text),
            ("Name", Text),
            ("Subject", Array),
            ("Challenge", Text),
            ("Keysize", Integer),
            ("Key Type", Text),
            ("Key Usage", Integer),
            ("CAFingerprint", Data),
            ("Retries", Integer),
            ("RetryDelay", Integer),
            ("SubjectAltName", Dictionary),
            ("KeyIsExtractable", Boolean),
            ("AllowAllAppsAccess", Boolean),
        ],
    ),
    (
        "com.apple.wifi.managed",
        "EAPClientConfiguration",
        &[
            ("AcceptEAPTypes", Array),
            ("UserName", Text),
            ("UserPassword", Text),
            ("OneTimeUserPassword", Boolean),
            ("OuterIdentity", Text),
            ("TTLSInnerAuthentication", Text),
            ("PayloadCertificateAnchorUUID", Texts),
            ("TLSTrustedCertificates", Array),
            ("TLSTrustedServerNames", Texts),
            ("TLSCertificateIsRequired", Boolean),
            ("TLSMinimumVersion", Text),
            ("TLSMaximumVersion", Text),
            ("TLSAllowTrustExceptions", Boolean),
            ("EAPFASTUsePAC", Boolean),
            ("EAPFASTProvisionPAC", Boolean),
            ("EAPFASTProvisionPACAnonymously", Boolean),
            ("EAPSIMNumberOfRANDs", Integer),
            ("SystemModeCredentialsSource", Text),
            ("SystemModeUseOpenDirectoryCredentials", Boolean),
        ],
    ),
    (
        "com.apple.wifi.managed",
        "QoSMarkingPolicy",
        &[
            ("QoSMarkingAllowListAppIdentifiers", Texts),
            ("QoSMarkingWhitelistedAppIdentifiers", Texts),
            ("QoSMarkingAppleAudioVideoCalls", Boolean),
            ("QoSMarkingEnabled", Boolean),
        ],
    ),
];

fn wrong_types(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let Some(root) = subject.root else { return };
    for keys in [COMMON, ROOT] {
        check(root, "", keys, out);
    }
    // For a Profile Service it is a dictionary (1.8).
    if subject.form != Form::ProfileService {
        check(root, "", &[("PayloadContent", Array)], out);
    }
    if subject.form == Form::Plain
        && let Some(entries) = root.get("PayloadContent").and_then(Value::as_array)
    {
        for (index, _) in entries.iter().enumerate().filter(|(_, entry)| entry.as_dictionary().is_none()) {
            out.error(format!("PayloadContent[{index}]"), "An entry of PayloadContent is not a dictionary.");
        }
    }
    for payload in &subject.payloads {
        let path = payload.path();
        check(payload.at, &path, COMMON, out);
        for (_, keys) in PAYLOADS.iter().filter(|(kind, _)| *kind == payload.kind()) {
            check(payload.at, &path, keys, out);
        }
        for (_, key, keys) in INNER.iter().filter(|(kind, _, _)| *kind == payload.kind()) {
            if let Some(inner) = payload.at.get(key).and_then(Value::as_dictionary) {
                check(inner, &payload.key(key), keys, out);
            }
        }
    }
}

/// Values are not shown: they may be secrets in the wrong place.
fn check(at: &Dictionary, path: &str, keys: Keys, out: &mut Findings<'_>) {
    for (key, kind) in keys {
        if at.get(key).is_some_and(|value| !kind.fits(value)) {
            let path = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
            out.error(path, format!("{key} is not {}.", kind.name()));
        }
    }
}
