//! lockdown's values and who may read them (protocols.md 3.3-3.5).

use super::persona::PublicValues;
use super::state::State;
use crate::wire::lockdown::{DOMAIN_FIND_MY, DOMAIN_SETUP, ErrorName};
use plist::{Dictionary, Value};
use std::collections::BTreeMap;

/// Most values a host may set on one device.
const MOST_OVERRIDES: usize = 256;

/// Values a host wrote, by domain and key; `None` for one it removed.
pub(super) type Overrides = BTreeMap<(String, String), Option<Value>>;

/// Who may read a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Flagged public in the code that was read (3.4).
    Flagged,
    /// A hardware key that every sessionless tool relies on (3.4).
    Usual,
    /// Needs a session, though nobody has read it in code (3.4).
    Unconfirmed,
    /// Needs a session.
    Session,
}

use Access::{Flagged, Session, Unconfirmed, Usual};

const ITUNES: &str = "com.apple.mobile.iTunes";
const WIRELESS: &str = "com.apple.mobile.wireless_lockdown";
const INTERNATIONAL: &str = "com.apple.international";

/// What a host may write: domain and key (3.5 "settable"). The last needs no session (3.11).
const SETTABLE: &[(&str, &str)] = &[
    ("", "DeviceName"),
    ("", "TimeZone"),
    ("", "TimeIntervalSince1970"),
    ("", "Uses24HourClock"),
    ("", "ActivationStateAcknowledged"),
    (INTERNATIONAL, "Language"),
    (INTERNATIONAL, "Locale"),
    (INTERNATIONAL, "Keyboard"),
    (WIRELESS, "EnableWifiConnections"),
    (WIRELESS, "EnableWifiDebugging"),
    (WIRELESS, "EnableWifiPairing"),
    (WIRELESS, "WirelessHostID"),
    ("", UNTRUSTED),
];
const UNTRUSTED: &str = "UntrustedHostBUID";

impl State {
    /// GetValue of one key.
    pub(super) fn value(&self, domain: &str, key: &str, session: bool) -> Result<Value, ErrorName> {
        let values = self.domain(domain).ok_or(ErrorName::MissingValue)?;
        let (_, value, access) =
            values.into_iter().find(|(k, ..)| *k == key).ok_or(ErrorName::MissingValue)?;
        if session || self.is_public(access) { Ok(value) } else { Err(ErrorName::GetProhibited) }
    }

    /// GetValue of a whole domain: what is permitted. The default domain is always allowed.
    pub(super) fn values(&self, domain: &str, session: bool) -> Result<Dictionary, ErrorName> {
        let values = self.domain(domain).ok_or(ErrorName::MissingValue)?;
        let permitted = values.into_iter().filter(|(_, _, access)| session || self.is_public(*access));
        let permitted: Dictionary = permitted.map(|(key, value, _)| (key, value)).collect();
        if permitted.is_empty() && !session { Err(ErrorName::GetProhibited) } else { Ok(permitted) }
    }

    /// SetValue.
    pub(super) fn set_value(
        &mut self,
        domain: &str,
        key: &str,
        value: Value,
        session: bool,
    ) -> Result<(), ErrorName> {
        let allowed = SETTABLE.contains(&(domain, key)) && (session || key == UNTRUSTED);
        if !allowed {
            return Err(ErrorName::SetProhibited);
        }
        match (key, &value) {
            // "SetProhibited if managed" (3.5).
            ("DeviceName", Value::String(_)) if self.profiles.is_managed() => {
                return Err(ErrorName::SetProhibited);
            }
            ("DeviceName", Value::String(name)) => {
                self.identity.name = name.chars().take(200).collect();
                self.post("com.apple.mobile.lockdown.device_name_changed");
                return Ok(());
            }
            ("DeviceName" | UNTRUSTED, v) if v.as_string().is_none_or(|t| t.len() > 50) => {
                return Err(ErrorName::InvalidResponse);
            }
            _ => {}
        }
        if self.overrides.len() >= MOST_OVERRIDES {
            return Err(ErrorName::SetProhibited);
        }
        self.overrides.insert((domain.to_owned(), key.to_owned()), Some(value));
        Ok(())
    }

    /// RemoveValue.
    pub(super) fn remove_value(&mut self, domain: &str, key: &str, session: bool) -> Result<(), ErrorName> {
        let present = self.domain(domain).is_some_and(|values| values.iter().any(|(k, ..)| k == key));
        if !present {
            return Err(ErrorName::MissingValue);
        }
        let removable = session && SETTABLE.contains(&(domain, key)) && key != "DeviceName";
        if !removable {
            return Err(ErrorName::RemoveProhibited);
        }
        self.overrides.insert((domain.to_owned(), key.to_owned()), None);
        Ok(())
    }

    fn is_public(&self, access: Access) -> bool {
        match self.settings.public_values {
            PublicValues::Flagged => access == Flagged,
            PublicValues::Usual => matches!(access, Flagged | Usual),
            PublicValues::Generous => access != Session,
        }
    }

    /// All values of a domain; `None` if the device has no such domain.
    fn domain(&self, domain: &str) -> Option<Vec<(String, Value, Access)>> {
        let values = match domain {
            "" => self.default_domain(),
            DOMAIN_SETUP => self.setup_domain(),
            DOMAIN_FIND_MY => vec![("IsAssociated", flag(self.settings.find_my), Session)],
            "com.apple.mobile.battery" => vec![
                ("BatteryCurrentCapacity", Value::from(80), Session),
                ("BatteryIsCharging", flag(true), Session),
                ("ExternalConnected", flag(true), Session),
                ("FullyCharged", flag(false), Session),
            ],
            "com.apple.disk_usage" => vec![
                ("AmountDataAvailable", Value::from(98_000_000_000_u64), Session),
                ("AmountDataReserved", Value::from(209_715_200_u64), Session),
                ("TotalDataAvailable", Value::from(98_000_000_000_u64), Session),
                ("TotalDataCapacity", Value::from(118_000_000_000_u64), Session),
                ("TotalDiskCapacity", Value::from(128_000_000_000_u64), Session),
            ],
            "com.apple.mobile.chaperone" => {
                vec![("DeviceIsChaperoned", flag(self.settings.supervised), Session)]
            }
            ITUNES => vec![
                ("iTunesSetupComplete", flag(false), Flagged),
                // Shown by some parsers as 2^64-1 (3.4).
                ("FamilyID", Value::from(-1), Flagged),
                ("MinITunesVersion", text("12.11"), Flagged),
                ("MinMacOSVersion", text("11.0"), Flagged),
            ],
            WIRELESS => vec![
                ("EnableWifiConnections", flag(false), Flagged),
                ("EnableWifiDebugging", flag(false), Flagged),
                ("EnableWifiPairing", flag(false), Flagged),
                ("SupportsWifi", flag(true), Session),
                ("SupportsWifiSyncing", flag(true), Session),
            ],
            INTERNATIONAL => vec![
                ("Keyboard", text("en_US"), Session),
                ("Language", text("en"), Session),
                ("Locale", text("en_US"), Session),
                ("SupportedLanguages", Value::Array(vec![text("en"), text("de")]), Session),
            ],
            "com.apple.mobile.restriction" => vec![
                ("ProhibitAppDelete", flag(false), Session),
                ("ProhibitAppInstall", flag(false), Session),
            ],
            "com.apple.mobile.backup" => vec![("WillEncrypt", flag(false), Session)],
            "com.apple.security.mac.amfi" => vec![("DeveloperModeStatus", flag(false), Session)],
            "com.apple.lockdown.datamigrator" => vec![("MigrationDone", flag(true), Flagged)],
            _ => return None,
        };
        let mut values: Vec<_> = values.into_iter().map(|(k, v, a)| (k.to_owned(), v, a)).collect();
        for ((of, key), value) in &self.overrides {
            if of == domain {
                let old = values.iter().position(|(k, ..)| k == key).map(|n| values.remove(n));
                let access = old.map_or(Session, |(_, _, access)| access);
                values.extend(value.clone().map(|v| (key.clone(), v, access)));
            }
        }
        Some(values)
    }

    fn setup_domain(&self) -> Vec<(&'static str, Value, Access)> {
        let mut values = vec![
            ("SetupDone", flag(self.setup_done), Unconfirmed),
            ("SetupFinishedAllSteps", flag(self.setup_done), Unconfirmed),
        ];
        if self.setup_done {
            values.push(("SetupState", text("SetupUsingAssistant"), Unconfirmed));
        }
        values
    }

    fn default_domain(&self) -> Vec<(&'static str, Value, Access)> {
        let id = &self.identity;
        let phone = id.imei.is_some();
        let class = match id.family {
            super::Family::Iphone => "iPhone",
            super::Family::Ipad => "iPad",
        };
        let mut values = vec![
            ("ActivationState", text(self.activation.as_str()), Session),
            ("BasebandStatus", text(if phone { "BBInfoAvailable" } else { "NoTelephonyCapabilty" }), Session),
            ("BluetoothAddress", text(&id.bluetooth), Session),
            ("BoardId", Value::from(id.chip & 0x1E), Session),
            ("BrickState", flag(self.bricked()), Session),
            ("BuildVersion", text(&id.build), Usual),
            ("CPUArchitecture", text("arm64e"), Usual),
            ("ChipID", Value::from(id.chip), Session),
            ("DeviceClass", text(class), Usual),
            ("DeviceColor", text("1"), Session),
            ("DeviceName", text(&id.name), Flagged),
            ("DevicePublicKey", Value::Data(self.key.public_pem.clone()), Flagged),
            ("HardwareModel", text(&id.hardware_model), Usual),
            ("HasSiDP", flag(true), Flagged),
            ("HostAttached", flag(true), Session),
            ("HumanReadableProductVersionString", text(&id.os_version), Session),
            ("ModelNumber", text(&id.model_number), Session),
            ("PasswordProtected", flag(self.locked), Session),
            ("ProductName", text("iPhone OS"), Session),
            ("ProductType", text(&id.product_type), Usual),
            ("ProductVersion", text(&id.os_version), Usual),
            ("ProtocolVersion", text("2"), Flagged),
            ("RegionInfo", text("LL/A"), Session),
            ("SerialNumber", text(&id.serial), Unconfirmed),
            ("TelephonyCapability", flag(phone), Session),
            (
                "TimeIntervalSince1970",
                Value::Real((self.clock.now().as_second().saturating_add(self.settings.clock_ahead)) as f64),
                Session,
            ),
            ("TimeZone", text("Europe/Berlin"), Session),
            ("TrustedHostAttached", flag(!self.trust.pairings.is_empty()), Session),
            ("UniqueChipID", Value::from(id.ecid), Usual),
            ("UniqueDeviceID", text(id.udid.as_str()), Usual),
            ("Uses24HourClock", flag(true), Session),
            ("WiFiAddress", text(&id.wifi), Usual),
        ];
        if let Some(imei) = &id.imei {
            values.push(("InternationalMobileEquipmentIdentity", text(imei), Unconfirmed));
            values.push(("SIMStatus", text("kCTSIMSupportSIMStatusNotInserted"), Session));
        }
        values
    }
}

fn flag(value: bool) -> Value {
    Value::Boolean(value)
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}
