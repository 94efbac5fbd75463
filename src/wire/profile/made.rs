//! Profiles the station makes itself, to be pushed before an enrollment: a Wi-Fi network
//! (2.5), root certificates (2.4), and one that is harmless.
//!
//! The same settings make the same bytes, identifier and UUID included, on every station and
//! after every restart: only so can a device's list tell whether it has them already (1.5).

use super::signature::CertificateFacts;
use crate::secret::Secret;
use crate::wire::property_list::{Dictionary, Value, to_xml};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::sha::sha256;
use openssl::x509::{X509, X509NameRef};
use uuid::Builder;

/// What every identifier of a made profile begins with: none of them manages a device.
pub const MADE: &str = "enlist.helper.";

/// Rounds that make a UUID of a password. The UUID stands in the journal and on the device,
/// so guessing at it must cost more than guessing at what the network itself sends through
/// the air, which is 4096 rounds of the same.
const ROUNDS: usize = 200_000;

/// Longest name of a network, in bytes (IEEE 802.11).
const SSID_BYTES: usize = 32;

/// How a network is encrypted: `EncryptionType` (2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names of Apple's values
pub enum WifiSecurity {
    None,
    Wep,
    Wpa,
    Wpa2,
    Wpa3,
    Any,
}

impl WifiSecurity {
    /// `EncryptionType`.
    fn encryption_type(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Wep => "WEP",
            Self::Wpa => "WPA",
            Self::Wpa2 => "WPA2",
            Self::Wpa3 => "WPA3",
            Self::Any => "Any",
        }
    }
}

/// A Wi-Fi network to join.
#[derive(Debug, Clone)]
pub struct WifiNetwork {
    /// Its name.
    pub ssid: String,
    /// How it is encrypted.
    pub security: WifiSecurity,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// It does not tell its name.
    pub hidden: bool,
    /// Joined whenever it is near.
    pub auto_join: bool,
    /// The device shows it a random address (iOS 14.0).
    pub random_address: bool,
}

/// Why no device could join a network. Holds nothing of its password.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum BadNetwork {
    /// The name.
    #[error("the name of a network has 1 to {SSID_BYTES} bytes; this one has {bytes}")]
    Ssid {
        /// Its length.
        bytes: usize,
    },
    /// What no property list can carry.
    #[error("the {what} of a network has no control characters")]
    Control {
        /// `name` or `password`.
        what: &'static str,
    },
    /// A password for an open network.
    #[error("a network with security \"none\" has no password")]
    NeedlessPassword,
    /// No password for another one.
    #[error("a network with security \"{}\" needs a password", .security.encryption_type().to_lowercase())]
    NoPassword {
        /// Its security.
        security: WifiSecurity,
    },
    /// A password that is none.
    #[error("the password of a network with security \"{}\" has {expected}; this one has {chars} characters",
        .security.encryption_type().to_lowercase())]
    Password {
        /// Its security.
        security: WifiSecurity,
        /// What it has.
        expected: &'static str,
        /// How long the given one is.
        chars: usize,
    },
}

impl WifiNetwork {
    /// Checks everything but the password.
    ///
    /// # Errors
    /// [`BadNetwork::Ssid`].
    pub fn check_name(ssid: &str) -> Result<(), BadNetwork> {
        match ssid.len() {
            1..=SSID_BYTES if ssid.contains(char::is_control) => Err(BadNetwork::Control { what: "name" }),
            1..=SSID_BYTES => Ok(()),
            bytes => Err(BadNetwork::Ssid { bytes }),
        }
    }

    /// Checks that a device could join it: one that cannot does not say so before it has to.
    ///
    /// # Errors
    /// [`BadNetwork`].
    pub fn check(&self) -> Result<(), BadNetwork> {
        Self::check_name(&self.ssid)?;
        let security = self.security;
        let password = match (security, &self.password) {
            (WifiSecurity::None, None) => return Ok(()),
            (WifiSecurity::None, Some(_)) => return Err(BadNetwork::NeedlessPassword),
            (_, None) => return Err(BadNetwork::NoPassword { security }),
            (_, Some(password)) => password.expose(),
        };
        if password.contains(char::is_control) {
            return Err(BadNetwork::Control { what: "password" });
        }
        let chars = password.chars().count();
        let hex = password.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (fits, expected) = match security {
            WifiSecurity::Wep => {
                let fits = [5, 13].contains(&chars) || hex && [10, 26].contains(&chars);
                (fits, "5 or 13 characters, or 10 or 26 hexadecimal digits")
            }
            WifiSecurity::Wpa | WifiSecurity::Wpa2 => {
                let fits = (8..=63).contains(&chars) || hex && chars == 64;
                (fits, "8 to 63 characters, or 64 hexadecimal digits")
            }
            _ => ((1..=128).contains(&chars), "1 to 128 characters"),
        };
        if fits { Ok(()) } else { Err(BadNetwork::Password { security, expected, chars }) }
    }

    /// The profile that lets a device join it.
    ///
    /// # Errors
    /// OpenSSL fails.
    pub fn profile(&self) -> Result<Secret<Vec<u8>>, ErrorStack> {
        let mut wifi = Dictionary::new();
        let mut put = |key: &str, value: Value| wifi.insert(key.to_owned(), value);
        put("SSID_STR", self.ssid.as_str().into());
        put("EncryptionType", self.security.encryption_type().into());
        put("HIDDEN_NETWORK", self.hidden.into());
        put("AutoJoin", self.auto_join.into());
        if !self.random_address {
            put("DisableAssociationMACRandomization", true.into());
        }
        let settings = sha256(&to_xml(&Value::Dictionary(wifi.clone())));
        let password = self.password.as_ref().map(|password| password.expose().as_str()).unwrap_or_default();
        let mut seed = [0; 32];
        pbkdf2_hmac(password.as_bytes(), &settings, ROUNDS, MessageDigest::sha256(), &mut seed)?;
        if !password.is_empty() {
            wifi.insert("Password".to_owned(), password.into());
        }
        // Of the name alone: another password replaces the profile, another network joins it.
        let identifier = format!("{MADE}wifi.{}", hex(&sha256(self.ssid.as_bytes())[..8]));
        let payload = payload("com.apple.wifi.managed", &format!("{identifier}.1"), &uuid(&seed, b"payload"));
        let payload = titled(payload.chain(wifi), &self.ssid);
        let about = "Lets the device join this network before it is enrolled.";
        let name = format!("Wi-Fi {}", self.ssid);
        Ok(root(&identifier, &uuid(&seed, b"root"), &name, about, vec![payload.into()]).into())
    }
}

/// The profile with these certificates; the order they are given in does not matter.
///
/// # Errors
/// OpenSSL fails.
pub fn certificates(certificates: &[X509]) -> Result<Vec<u8>, ErrorStack> {
    let mut all =
        certificates.iter().map(|c| Ok((c.to_der()?, c))).collect::<Result<Vec<_>, ErrorStack>>()?;
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.dedup_by(|(one, _), (other, _)| one == other);
    let identifier = format!("{MADE}roots");
    let payloads = all.iter().map(|(der, certificate)| {
        let digest = sha256(der);
        let own = format!("{identifier}.{}", hex(&digest[..8]));
        let kind = match issued_by_itself(certificate) {
            true => "com.apple.security.root",
            false => "com.apple.security.pkcs1",
        };
        let content = [("PayloadContent".to_owned(), Value::Data(der.clone()))];
        let payload = payload(kind, &own, &uuid(&digest, b"certificate"));
        titled(payload.chain(content), &common_name(certificate)).into()
    });
    let payloads: Vec<Value> = payloads.collect();
    let together: Vec<u8> = all.iter().flat_map(|(der, _)| sha256(der)).collect();
    let about = "Certificates that the device trusts before it is enrolled.";
    Ok(root(&identifier, &uuid(&sha256(&together), b"root"), "Root certificates", about, payloads))
}

/// A profile that changes nothing but a home screen: one icon that leads nowhere and can be
/// removed. A rig installs, reads back and removes it.
pub fn harmless() -> Vec<u8> {
    let identifier = format!("{MADE}rig");
    let clip = [
        ("Label".to_owned(), Value::from("Enlist rig")),
        ("URL".to_owned(), "https://rig.invalid/".into()),
        ("IsRemovable".to_owned(), true.into()),
    ];
    let seed = identifier.as_bytes();
    let payload = payload("com.apple.webClip.managed", &format!("{identifier}.1"), &uuid(seed, b"payload"));
    let about = "Proves that profiles reach this device; it may be removed.";
    let payload = titled(payload.chain(clip), "Enlist rig");
    root(&identifier, &uuid(seed, b"root"), "Enlist rig", about, vec![payload.into()])
}

/// True for a root; others are intermediates.
fn issued_by_itself(certificate: &X509) -> bool {
    let der = |name: &X509NameRef| name.to_der().ok();
    der(certificate.subject_name()) == der(certificate.issuer_name())
}

fn common_name(certificate: &X509) -> String {
    let text = CertificateFacts::read(certificate).map(|facts| facts.common_name).unwrap_or_default();
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    if text.is_empty() { "Certificate".to_owned() } else { text }
}

fn payload(kind: &str, identifier: &str, uuid: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    let texts = [("PayloadType", kind), ("PayloadIdentifier", identifier), ("PayloadUUID", uuid)];
    let texts = texts.map(|(key, text)| (key.to_owned(), Value::from(text)));
    texts.into_iter().chain([("PayloadVersion".to_owned(), 1.into())])
}

fn titled(entries: impl Iterator<Item = (String, Value)>, name: &str) -> Dictionary {
    entries.chain([("PayloadDisplayName".to_owned(), name.into())]).collect()
}

fn root(identifier: &str, uuid: &str, name: &str, about: &str, payloads: Vec<Value>) -> Vec<u8> {
    let more = [
        ("PayloadDescription".to_owned(), about.into()),
        ("PayloadOrganization".to_owned(), "Enlist".into()),
        // Without it an iPhone asks whether its Watch is meant (protocols.md 4.5).
        ("TargetDeviceType".to_owned(), 1.into()),
        ("PayloadContent".to_owned(), Value::Array(payloads)),
    ];
    to_xml(&titled(payload("Configuration", identifier, uuid).chain(more), name).into())
}

/// A UUID of our own making (version 8) that stands for `seed` and `purpose`.
fn uuid(seed: &[u8], purpose: &[u8]) -> String {
    let digest = sha256(&[seed, purpose].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid().hyphenated().to_string().to_uppercase()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::profile::example::Signer;
    use crate::wire::profile::lint::{Job, LintContext, Severity, lint};
    use crate::wire::profile::{Profile, Purpose, TrustAnchors};
    use jiff::Timestamp;

    fn bench() -> WifiNetwork {
        WifiNetwork {
            ssid: "Bench".into(),
            security: WifiSecurity::Wpa2,
            password: Some("fake-pass-123".to_owned().into()),
            hidden: false,
            auto_join: true,
            random_address: true,
        }
    }

    fn now() -> Timestamp {
        "2026-03-02T08:00:00Z".parse().unwrap()
    }

    fn load(bytes: &[u8]) -> Profile {
        Profile::load(bytes, Purpose::Any, &TrustAnchors::none(), now()).unwrap()
    }

    fn of(change: impl FnOnce(&mut WifiNetwork)) -> Profile {
        let mut network = bench();
        change(&mut network);
        load(network.profile().unwrap().expose())
    }

    /// The findings of the linter that are worse than the two every made profile has: it is not
    /// signed (L45), and its password stands in it (L50).
    fn findings(bytes: &[u8]) -> Vec<String> {
        let context = LintContext { purpose: Purpose::Any, job: Job::Ios, ..LintContext::new(Some(now())) };
        let lint = lint(bytes, &TrustAnchors::none(), &context);
        let unexpected = |f: &&crate::wire::profile::lint::Finding| {
            !["L45", "L50"].contains(&f.code) || f.severity == Severity::Error
        };
        lint.findings().iter().filter(unexpected).map(|f| format!("{} {}", f.code, f.message)).collect()
    }

    fn roots() -> Vec<X509> {
        let signer = Signer::new(now()).unwrap();
        vec![X509::from_pem(&signer.root_pem().unwrap()).unwrap(), signer.intermediate().clone()]
    }

    #[test]
    fn made_profiles_pass_the_linter() {
        for security in ["none", "wep", "wpa", "wpa2", "wpa3", "any"] {
            let mut network = bench();
            network.security = serde_json::from_value(security.into()).unwrap();
            network.password = match security {
                "none" => None,
                "wep" => Some("12345".to_owned().into()),
                _ => network.password,
            };
            assert_eq!(network.check(), Ok(()), "{security}");
            assert_eq!(findings(network.profile().unwrap().expose()), Vec::<String>::new(), "{security}");
        }
        assert_eq!(findings(&certificates(&roots()).unwrap()), Vec::<String>::new());
        assert_eq!(findings(&harmless()), Vec::<String>::new());
    }

    #[test]
    fn the_same_settings_make_the_same_profile_and_others_another() {
        let same = of(|_| {});
        assert_eq!(same.bytes().expose(), of(|_| {}).bytes().expose());
        for other in [
            of(|n| n.password = Some("fake-pass-124".to_owned().into())),
            of(|n| n.hidden = true),
            of(|n| n.security = WifiSecurity::Wpa3),
        ] {
            assert_eq!(other.identifier(), same.identifier(), "it replaces the one that is there");
            assert_ne!(other.uuid(), same.uuid());
        }
        assert_ne!(of(|n| n.ssid = "Other".into()).identifier(), same.identifier());
        let uuids = std::iter::once(same.uuid()).chain(same.payloads().iter().map(|p| p.uuid.as_str()));
        let uuids: std::collections::BTreeSet<_> = uuids.collect();
        assert_eq!(uuids.len(), 2);
        assert_eq!((same.uuid().len(), &same.uuid()[14..15]), (36, "8"));
    }

    #[test]
    fn certificates_become_one_profile_in_whatever_order_they_come() {
        let all = roots();
        let made = certificates(&all).unwrap();
        let turned: Vec<_> = all.iter().rev().chain(&all).cloned().collect();
        assert_eq!(made, certificates(&turned).unwrap());
        assert_ne!(made, certificates(&all[..1]).unwrap());
        let mut kinds: Vec<_> =
            load(&made).payloads().iter().map(|p| (p.payload_type.clone(), p.display_name.clone())).collect();
        kinds.sort();
        let expected =
            [("com.apple.security.pkcs1", "Bench Intermediate"), ("com.apple.security.root", "Bench Root")];
        assert_eq!(kinds, expected.map(|(kind, name)| (kind.to_owned(), Some(name.to_owned()))));
    }

    #[test]
    fn the_password_is_where_the_device_reads_it_and_nowhere_else() {
        let profile = of(|_| {});
        let root = profile.root().expose();
        let wifi = root["PayloadContent"].as_array().unwrap()[0].as_dictionary().unwrap();
        assert_eq!(wifi["Password"].as_string(), Some("fake-pass-123"));
        assert_eq!(wifi["SSID_STR"].as_string(), Some("Bench"));
        assert_eq!(root["TargetDeviceType"].as_signed_integer(), Some(1));
        assert!(!format!("{profile:?} {:?}", bench()).contains("fake-pass"));
        assert!(!profile.payloads()[0].settings.concat().contains("fake-pass"));
        assert!(profile.payloads()[0].settings.contains(&"SSID_STR = Bench".to_owned()));
    }

    #[test]
    fn networks_nobody_can_join_are_refused() {
        let bad = |change: fn(&mut WifiNetwork)| {
            let mut network = bench();
            change(&mut network);
            network.check().unwrap_err().to_string()
        };
        assert!(bad(|n| n.ssid = String::new()).contains("1 to 32 bytes"));
        assert!(bad(|n| n.ssid = "ä".repeat(17)).contains("has 34"));
        assert!(bad(|n| n.security = WifiSecurity::None).contains("no password"));
        assert!(bad(|n| n.password = None).contains("\"wpa2\" needs a password"));
        let short = bad(|n| n.password = Some("short".to_owned().into()));
        assert!(short.contains("8 to 63") && short.contains("has 5 characters"), "{short}");
        let wep = |n: &mut WifiNetwork| {
            (n.security, n.password) = (WifiSecurity::Wep, Some("abc".to_owned().into()))
        };
        assert!(bad(wep).contains("10 or 26"));
        assert!(bad(|n| n.ssid = "a\nb".into()).contains("control"));
        assert_eq!(WifiNetwork { password: Some("0a".repeat(32).into()), ..bench() }.check(), Ok(()));
    }
}
