//! What may be said in a word. A device may put anything where a word of a protocol belongs,
//! its serial number too: so a word is written only if it is one that is known, or has a form
//! that has no room for what identifies anybody (protocols.md 3.1-3.12, 4.2-4.11, 5.1-5.6).
//!
//! May import: `wire`.

use super::allow::kind;
use crate::wire::installation_proxy::{self, Lookup};
use crate::wire::lockdown::{DOMAIN_FIND_MY, DOMAIN_SETUP, ErrorName, TYPE_NORMAL};
use crate::wire::{mcinstall, notification_proxy};

/// What the value of a key can be.
#[derive(Clone, Copy)]
pub(super) enum Vocabulary {
    /// One of these.
    Names(&'static [&'static [&'static str]]),
    /// What this accepts. It identifies nobody by itself, and yet may repeat what does.
    Form(fn(&str) -> bool),
}

/// Requests of lockdown, and of other services that use its key.
const REQUESTS: &[&str] = &[
    "EnterRecovery",
    "GetMultipleValues",
    "GetValue",
    "Goodbye",
    "Pair",
    "QueryType",
    "RemoveValue",
    "SetValue",
    "StartService",
    "StartSession",
    "StopSession",
    "Unpair",
    "ValidatePair",
];

/// Requests of MCInstall (4.4-4.6).
const MCINSTALL_REQUESTS: &[&str] = &[
    "Disconnect",
    "EraseDevice",
    "Escalate",
    "EscalateResponse",
    "Flush",
    "GetCloudConfiguration",
    "GetProfileList",
    "HelloHostIdentifier",
    "InstallProfile",
    "InstallProfileSilent",
    "ProceedWithKeybagMigration",
    "RemoveProfile",
    "SetCloudConfiguration",
];

/// Commands of the notification proxy (5.2) and the installation proxy (5.6).
const COMMANDS: &[&str] = &[
    Lookup::NAME,
    "Browse",
    "ObserveNotification",
    "PostNotification",
    "ProxyDeath",
    "RelayNotification",
    "Shutdown",
];

/// Statuses of MCInstall (4.2) and of the installation proxy (5.6).
const STATUSES: &[&str] = &[
    "Acknowledged",
    "CertificateRejected",
    "CommandFormatError",
    "Error",
    "PayloadEmpty",
    "SignedRequestRejected",
    "BrowsingApplications",
    "Complete",
    "Failure",
    "Success",
    "UnknownRequest",
];

/// Results before iOS 5 (3.1), and errors of the installation proxy (5.6).
const RESULTS: &[&str] = &["Failure", "Success"];
const OTHER_ERRORS: &[&str] = &["APIEndOfFile", "APIInternalError", "Failure", "UnknownCommand"];

/// Domains of lockdown (3.5).
const DOMAINS: &[&str] = &[
    DOMAIN_FIND_MY,
    DOMAIN_SETUP,
    "com.apple.Accessibility",
    "com.apple.disk_usage",
    "com.apple.fairplay",
    "com.apple.iTunes",
    "com.apple.international",
    "com.apple.lockdown.datamigrator",
    "com.apple.mobile.backup",
    "com.apple.mobile.battery",
    "com.apple.mobile.chaperone",
    "com.apple.mobile.data_sync",
    "com.apple.mobile.iTunes",
    "com.apple.mobile.iTunes.store",
    "com.apple.mobile.internal",
    "com.apple.mobile.lockdown_cache",
    "com.apple.mobile.restriction",
    "com.apple.mobile.software_behavior",
    "com.apple.mobile.wireless_lockdown",
    "com.apple.security.mac.amfi",
    "com.apple.xcode.developerdomain",
];

/// Services (4.1, 5.1-5.8).
const SERVICES: &[&str] = &[
    installation_proxy::SERVICE,
    mcinstall::SERVICE,
    notification_proxy::SERVICE,
    "com.apple.afc",
    "com.apple.mobile.diagnostics_relay",
    "com.apple.mobile.heartbeat",
    "com.apple.mobile.insecure_notification_proxy",
    "com.apple.mobileactivationd",
    "com.apple.os_trace_relay",
    "com.apple.preboardservice_v2",
    "com.apple.springboardservices",
    "com.apple.syslog_relay",
];

/// What lockdown says it is (3.2).
const TYPES: &[&str] = &[TYPE_NORMAL, "com.apple.mobile.restored"];

/// Notifications (5.2).
const NOTIFICATIONS: &[&str] = &[
    notification_proxy::MANAGED_ORG_INFO_CHANGED,
    notification_proxy::PROFILE_LIST_CHANGED,
    "com.apple.ManagedConfiguration.effectiveSettingsChanged",
    "com.apple.ManagedConfiguration.managedAppsChanged",
    "com.apple.UserProfiles.ProfileStoreDidUpdate",
    "com.apple.managedconfiguration.allowpasscodemodificationchanged",
    "com.apple.managedconfiguration.effectivesettingschanged",
    "com.apple.managedconfiguration.passcodechanged",
    "com.apple.managedconfiguration.restrictionchanged",
    "com.apple.mobile.keybagd.first_unlock",
    "com.apple.mobile.keybagd.lock_status",
    "com.apple.mobile.lockdown.BonjourServiceChanged",
    "com.apple.mobile.lockdown.activation_state",
    "com.apple.mobile.lockdown.device_name_changed",
    "com.apple.mobile.lockdown.host_attached",
    "com.apple.mobile.lockdown.host_detached",
    "com.apple.mobile.lockdown.host_paired",
    "com.apple.mobile.lockdown.open_trust_dialog",
    "com.apple.mobile.lockdown.phone_number_changed",
    "com.apple.mobile.lockdown.request_host_buid",
    "com.apple.mobile.lockdown.request_pair",
    "com.apple.mobile.lockdown.timezone_changed",
    "com.apple.mobile.lockdown.trusted_host_attached",
    "com.apple.purplebuddy.SetupStateChanged",
    "com.apple.purplebuddy.setupdone",
    "com.apple.purplebuddy.setupexited",
    "com.apple.purplebuddy.setuplaunched",
    "com.apple.springboard.lockcomplete",
    "com.apple.springboard.lockstate",
];

/// What `ActivationState` can be (5.1).
pub(crate) const ACTIVATION_STATES: &[&str] = &[
    "Activated",
    "Expired",
    "FactoryActivated",
    "MismatchedICCID",
    "MismatchedIMEI",
    "MissingSIM",
    "SoftActivation",
    "Unactivated",
    "Unlocked",
    "WildcardActivated",
];

/// What `BasebandStatus` can be (3.5), spelled so.
const BASEBAND: &[&str] = &[
    "BBError",
    "BBInfoAvailable",
    "BBNotAnswering",
    "BBNotReady",
    "BBRejectedTicket",
    "NoTelephonyCapabilty",
];

/// What `SIMStatus` can be (unconfirmed: names of Apple's telephony library).
const SIM: &[&str] = &[
    "kCTSIMSupportSIMStatusCorporateLocked",
    "kCTSIMSupportSIMStatusMemoryFailure",
    "kCTSIMSupportSIMStatusNetworkLocked",
    "kCTSIMSupportSIMStatusNotInserted",
    "kCTSIMSupportSIMStatusNotReady",
    "kCTSIMSupportSIMStatusOperatorLocked",
    "kCTSIMSupportSIMStatusPINLocked",
    "kCTSIMSupportSIMStatusPUKLocked",
    "kCTSIMSupportSIMStatusPermanentlyLocked",
    "kCTSIMSupportSIMStatusReady",
];

/// Processors and classes of devices (3.5), and what their products begin with.
const PROCESSORS: &[&str] = &["arm64", "arm64_32", "arm64e", "armv6", "armv7", "armv7k", "armv7s"];
const CLASSES_OF_DEVICES: &[&str] = &["AppleTV", "AudioAccessory", "RealityDevice", "Watch"];
const FAMILIES: &[&str] = &["iPad", "iPhone", "iPod"];

/// How Setup Assistant ended (3.5); any other word means the same to a station.
const SETUP: &[&str] = &["SetupUsingAssistant"];

/// `ReturnAttributes` of what we ask the installation proxy (5.6).
const ATTRIBUTES: &[&str] = &["CFBundleIdentifier"];

/// What stands between `MC`, `DMC` or `DEP` and `ErrorDomain` (4.10).
#[rustfmt::skip]
const ERROR_FAMILIES: &[&str] = &[
    "ACME", "APN", "AppLock", "CalDAV", "CardDAV", "Cellular", "Certificate", "Chaperone", "CloudConfig",
    "CloudConfiguration", "Defaults", "DeviceCapabilities", "Domains", "EAS", "Education", "Email",
    "Font", "GlobalHTTPProxy", "HTTPTransaction", "HomeScreen", "Installation", "Keybag", "Keychain",
    "LDAP", "MDM", "NetworkUsageRules", "Notifications", "OSXServer", "OTAProfiles", "Passcode",
    "Payload", "Profile", "Provisioning", "Restrictions", "SCEP", "SSO", "Settings", "SetupAssistant",
    "SharedDevice", "Store", "SubCal", "SubscribedCalendar", "Tunnel", "VPN", "WebClip",
    "WebContentFilter", "WiFi",
];

/// Domains of errors of the system itself, as they stand below those of 4.10.
const ERRORS_OF_THE_SYSTEM: &[&str] = &[
    "NSCocoaErrorDomain",
    "NSOSStatusErrorDomain",
    "NSPOSIXErrorDomain",
    "NSURLErrorDomain",
    "kCFErrorDomainCFNetwork",
];

/// Panes of Setup Assistant (4.11).
#[rustfmt::skip]
pub(crate) const PANES: &[&str] = &[
    "Accessibility", "AccessibilityAppearance", "ActionButton", "AdditionalPrivacySettings", "AgeAssurance",
    "AgeBasedSafetySettings", "Android", "AppStore", "Appearance", "AppleID", "Avatar", "Biometric",
    "CameraButton", "CloudStorage", "DeviceProtection", "DeviceToDeviceMigration", "Diagnostics", "Display",
    "DisplayTone", "EnableLockdownMode", "ExpressLanguage", "FileVault", "HomeButtonSensitivity",
    "Intelligence", "IntendedUser", "Keyboard", "Language", "LanguageAndLocale", "LiquidGlass", "Location",
    "LockdownMode", "MessagingActivationUsingPhoneNumber", "Multitasking", "OSShowcase", "OnBoarding",
    "Passcode", "Payment", "PreferredLanguage", "Privacy", "Region", "Registration", "Restore",
    "RestoreCompleted", "SIMSetup", "Safety", "SafetyAndHandling", "ScreenSaver", "ScreenTime", "Siri",
    "SoftwareUpdate", "SpokenLanguage", "TOS", "TVHomeScreenSync", "TVProviderSignIn", "TVRoom",
    "TapToSetup", "TermsOfAddress", "Tips", "Tone", "TouchID", "TrueToneDisplay", "UnlockWithWatch",
    "UpdateCompleted", "Wallpaper", "WatchMigration", "WebContentFiltering", "Welcome", "WiFi", "Zoom",
    "iCloudDiagnostics", "iCloudStorage", "iMessageAndFaceTime",
];

/// How a recorded job can end, and the classes of that. A test of the outcomes compares.
#[rustfmt::skip]
pub(crate) const OUTCOMES: &[&str] = &[
    "activation-locked", "already-enrolled", "attached", "charging-only", "detached-midway", "dfu-mode",
    "enrolled", "erased", "erasing", "failed", "in-setup", "mac-attached", "never-unlocked", "not-activated",
    "other-mdm", "pairing-forbidden", "person-did-not-accept", "planned", "policies-seen", "prepared",
    "pushing", "quarantined", "recovery-mode", "restoring", "retrying", "too-old", "trust-denied",
    "verifying", "waiting-for-person", "waiting-for-trust", "waiting-for-unlock",
];
pub(crate) const CLASSES: &[&str] =
    &["bug", "configuration", "device", "none", "operator", "server", "transport"];

/// What the value of `key`, which is a word, can be.
pub(super) fn vocabulary(key: &str) -> Option<Vocabulary> {
    use Vocabulary::{Form, Names};
    Some(match key {
        "ActivationState" => Names(&[ACTIVATION_STATES]),
        "BasebandStatus" => Names(&[BASEBAND]),
        "BuildVersion" => Form(is_build),
        "CPUArchitecture" => Names(&[PROCESSORS]),
        "Command" => Names(&[COMMANDS]),
        "DeviceClass" => Names(&[FAMILIES, CLASSES_OF_DEVICES]),
        "Domain" => Names(&[DOMAINS]),
        "Error" => Names(&[ErrorName::KNOWN, OTHER_ERRORS]),
        "ErrorDomain" => Form(is_error_domain),
        "HardwareModel" => Form(is_board),
        "HumanReadableProductVersionString" | "ProductVersion" => Form(is_version),
        "Key" => Form(|key| kind(key).is_some()),
        "ModelNumber" => Form(is_model),
        "Name" => Names(&[NOTIFICATIONS]),
        "ProductType" => Form(is_product),
        "ProtocolVersion" => Form(|text| is_digits(text, 1, 2)),
        "Request" => Names(&[REQUESTS]),
        "RequestType" => Names(&[MCINSTALL_REQUESTS]),
        "Result" => Names(&[RESULTS]),
        "ReturnAttributes" => Names(&[ATTRIBUTES]),
        "SIMStatus" => Names(&[SIM]),
        "Service" => Names(&[SERVICES]),
        "SetupState" => Names(&[SETUP]),
        "SkipSetup" => Names(&[PANES]),
        "Status" => Names(&[STATUSES]),
        "Type" => Names(&[TYPES]),
        _ => return None,
    })
}

/// True for the name of a service.
pub(super) fn is_service(name: &str) -> bool {
    SERVICES.contains(&name)
}

/// `iPhone14,7`.
pub(super) fn is_product(text: &str) -> bool {
    let (family, numbers) = text.split_at(text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len()));
    let known = FAMILIES.contains(&family) || CLASSES_OF_DEVICES.contains(&family);
    known && numbers.split_once(',').is_some_and(|(a, b)| is_digits(a, 1, 2) && is_digits(b, 1, 2))
}

/// `18.2` or `9.3.5`.
pub(super) fn is_version(text: &str) -> bool {
    text.split('.').count() <= 3 && text.split('.').all(|part| is_digits(part, 1, 2))
}

/// `22C152`, `21A5248v`.
fn is_build(text: &str) -> bool {
    let end = text.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(text);
    end.split_once(|c: char| c.is_ascii_uppercase())
        .is_some_and(|(train, number)| is_digits(train, 1, 2) && is_digits(number, 1, 5))
}

/// `D47AP`, `J71sAP`.
fn is_board(text: &str) -> bool {
    let Some(body) = text.strip_suffix("AP") else { return false };
    let Some(rest) = body.strip_prefix(|c: char| c.is_ascii_uppercase()) else { return false };
    let digits = rest.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    is_digits(digits, 1, 4) && rest.len() - digits.len() <= 2
}

/// `MYEF3`: sold, refurbished, replaced or engraved.
fn is_model(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 5
        && matches!(bytes[0], b'M' | b'F' | b'N' | b'P')
        && bytes.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && bytes[4].is_ascii_digit()
}

fn is_error_domain(text: &str) -> bool {
    let family = text
        .strip_suffix("ErrorDomain")
        .and_then(|begin| ["MC", "DMC", "DEP"].iter().find_map(|owner| begin.strip_prefix(owner)));
    ERRORS_OF_THE_SYSTEM.contains(&text) || family.is_some_and(|family| ERROR_FAMILIES.contains(&family))
}

/// True for so many digits, least and most.
pub(super) fn is_digits(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_say(key: &str, text: &str) -> bool {
        match vocabulary(key) {
            Some(Vocabulary::Names(lists)) => lists.iter().any(|list| list.contains(&text)),
            Some(Vocabulary::Form(is)) => is(text),
            None => false,
        }
    }

    #[test]
    fn what_devices_say_may_be_said() {
        for (key, text) in [
            ("BuildVersion", "22C152"),
            ("BuildVersion", "21A5248v"),
            ("ErrorDomain", "DMCInstallationErrorDomain"),
            ("ErrorDomain", "MCMDMErrorDomain"),
            ("ErrorDomain", "NSURLErrorDomain"),
            ("HardwareModel", "D53gAP"),
            ("HardwareModel", "J522xAP"),
            ("HardwareModel", "K93AAP"),
            ("Key", "DevicePublicKey"),
            ("ModelNumber", "MYEF3"),
            ("ProductType", "iPad13,18"),
            ("ProductVersion", "9.3.5"),
            ("ProtocolVersion", "2"),
        ] {
            assert!(may_say(key, text), "{key}: {text}");
        }
    }

    #[test]
    fn what_names_somebody_may_be_said_nowhere() {
        const SECRETS: [&str; 9] = [
            "F2LZ000001",
            "TMQPUB8AWG",
            "C39XK2ABCDEF",
            "00008110-00001A2B3C4D0001",
            "12345678-90AB-4CDE-8F01-234567890ABC",
            "356789012345678",
            "JaneDoe",
            "jane.doe.contoso.com",
            "com.apple.mobile.F2LZ000001",
        ];
        let words = super::super::allow::words();
        assert!(words.len() > 20);
        for key in words {
            assert!(vocabulary(key).is_some(), "{key} has no vocabulary");
            for secret in SECRETS {
                assert!(!may_say(key, secret), "{key}: {secret}");
            }
        }
        for odd in ["MCJaneDoeErrorDomain", "Jane14,7", "iPhone,", "iPhone356789,1", "MARIA", "A4", ""] {
            assert!(!super::super::allow::words().any(|key| may_say(key, odd)), "{odd}");
        }
    }
}
