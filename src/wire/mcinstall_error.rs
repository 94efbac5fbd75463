//! The error chain of MCInstall and what its codes mean
//! (protocols.md 4.3, 4.10; profiles-and-enrollment.md 8).

use super::fields::{Fields, dictionary, string};
use crate::limits::{DEVICE_TEXT_CHARS, ERROR_CHAIN_LINKS};
use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One error of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    /// ErrorDomain as sent.
    pub domain: String,
    /// ErrorCode.
    pub code: i64,
    /// Text in the device's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub localized: Option<String>,
    /// Text in English, where the device gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub english: Option<String>,
}

impl ChainLink {
    /// A link without texts.
    pub fn new(domain: &str, code: i64) -> Self {
        Self { domain: domain.into(), code, localized: None, english: None }
    }

    /// Adds the texts a device would send.
    #[must_use]
    pub fn saying(mut self, localized: &str, english: Option<&str>) -> Self {
        self.localized = Some(localized.into());
        self.english = english.map(str::to_owned);
        self
    }

    pub(super) fn from_dictionary(fields: &Dictionary) -> Self {
        let text =
            |key: &str| fields.text(key).map(|t| t.chars().take(DEVICE_TEXT_CHARS).collect::<String>());
        Self {
            domain: text("ErrorDomain").unwrap_or_default(),
            code: fields.int("ErrorCode").unwrap_or_default(),
            localized: text("LocalizedDescription"),
            english: text("USEnglishDescription"),
        }
    }

    pub(super) fn to_dictionary(&self) -> Dictionary {
        dictionary([
            ("ErrorCode", Some(Value::from(self.code))),
            ("ErrorDomain", string(self.domain.clone())),
            ("LocalizedDescription", self.localized.clone().map(Value::String)),
            ("USEnglishDescription", self.english.clone().map(Value::String)),
        ])
    }

    /// The code, if the domain is `family` under either of its prefixes: the tunnel and the
    /// device-management code use `DMC`, the rest `MC` (4.3).
    pub fn code_in(&self, family: &str) -> Option<i64> {
        let tail = self.domain.strip_prefix("DMC").or_else(|| self.domain.strip_prefix("MC"))?;
        tail.strip_suffix("ErrorDomain").filter(|f| *f == family).map(|_| self.code)
    }

    /// Our own text for the code; `None` for codes the references do not name, which print raw.
    pub fn meaning(&self) -> Option<&'static str> {
        let family = self.domain.strip_prefix("DMC").or_else(|| self.domain.strip_prefix("MC"));
        let family = family.unwrap_or(&self.domain).trim_end_matches("ErrorDomain");
        MEANINGS.iter().find(|(f, code, _)| *f == family && *code == self.code).map(|(_, _, text)| *text)
    }
}

impl fmt::Display for ChainLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = if self.domain.is_empty() { "an unnamed error," } else { &self.domain };
        write!(f, "{domain} {}", self.code)?;
        let text = self.meaning().or(self.english.as_deref()).or(self.localized.as_deref());
        match text {
            Some(text) => write!(f, " ({text})"),
            None => Ok(()),
        }
    }
}

/// A whole chain, outermost first. The last link is the cause (4.3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorChain(Vec<ChainLink>);

impl ErrorChain {
    /// A chain of at most [`ERROR_CHAIN_LINKS`] links. Longer ones keep the outermost and
    /// the innermost, where the cause is.
    pub fn new(links: impl IntoIterator<Item = ChainLink>) -> Self {
        let mut links: Vec<_> = links.into_iter().collect();
        if links.len() > ERROR_CHAIN_LINKS {
            links.drain(1..=links.len() - ERROR_CHAIN_LINKS);
        }
        Self(links)
    }

    /// All links, outermost first.
    pub fn links(&self) -> &[ChainLink] {
        &self.0
    }

    /// True if the device sent no chain.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The link to show: the deepest one whose code is known, else the last.
    pub fn cause(&self) -> Option<&ChainLink> {
        let wrapper = |link: &&ChainLink| link.code_in("Installation") != Some(4001);
        let known = self.0.iter().rev().filter(wrapper).find(|link| link.meaning().is_some());
        known.or_else(|| self.0.last())
    }

    /// True if some link has one of `codes` in `family`.
    pub fn has(&self, family: &str, codes: &[i64]) -> bool {
        self.0.iter().any(|link| link.code_in(family).is_some_and(|code| codes.contains(&code)))
    }

    /// "Queued, waiting for the person": 4036 with 1013, which some systems may send
    /// instead of Acknowledged (4.5).
    pub fn means_queued(&self) -> bool {
        self.has("Installation", &[4036]) || self.has("Profile", &[1013])
    }
}

impl fmt::Display for ErrorChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, link) in self.0.iter().enumerate() {
            let arrow = if n == 0 { "" } else { " → " };
            write!(f, "{arrow}{link}")?;
        }
        Ok(())
    }
}

/// Family, code, meaning. Where the documents and the code read on devices differ
/// (4020-4022), this is what the device means (4.10).
const MEANINGS: &[(&str, i64, &str)] = &[
    ("Profile", 1000, "the profile is malformed"),
    ("Profile", 1001, "the profile's version is not supported"),
    ("Profile", 1002, "a required field is missing"),
    ("Profile", 1003, "a field has the wrong type"),
    ("Profile", 1004, "the signature is bad"),
    ("Profile", 1005, "the profile is empty"),
    ("Profile", 1006, "the profile cannot be decrypted"),
    ("Profile", 1007, "two payloads share a UUID"),
    ("Profile", 1008, "two payloads share an identifier"),
    ("Profile", 1009, "the profile could not be installed"),
    ("Profile", 1010, "a field has an unsupported value"),
    ("Profile", 1013, "queued for the person"),
    ("Profile", 1015, "the profile is for another kind of device"),
    ("Profile", 1016, "this type of profile is not supported"),
    ("Profile", 1017, "this type of profile is not supported"),
    ("Payload", 2000, "a payload is malformed"),
    ("Payload", 2001, "a payload's version is not supported"),
    ("Payload", 2002, "a payload lacks a required field"),
    ("Payload", 2003, "a field of a payload has the wrong type"),
    ("Payload", 2004, "a field of a payload has an unsupported value"),
    ("Payload", 2005, "internal error in a payload"),
    ("Installation", 4000, "the device cannot parse the profile"),
    ("Installation", 4001, "installation failed"),
    ("Installation", 4002, "a payload with this UUID is already installed"),
    ("Installation", 4003, "the profile was not queued"),
    ("Installation", 4004, "the person cancelled"),
    ("Installation", 4005, "the passcode does not comply"),
    ("Installation", 4006, "the profile's removal date is in the past"),
    ("Installation", 4007, "unknown file format"),
    ("Installation", 4008, "the installed profile was signed by somebody else"),
    ("Installation", 4009, "the device is locked"),
    ("Installation", 4010, "the update has another identifier"),
    ("Installation", 4011, "not a configuration profile"),
    ("Installation", 4012, "the profile cannot be updated"),
    ("Installation", 4013, "the update failed"),
    ("Installation", 4014, "the device has no identity"),
    ("Installation", 4015, "the replacement lacks the MDM payload"),
    ("Installation", 4016, "internal error of the installer"),
    ("Installation", 4017, "a second global HTTP proxy"),
    ("Installation", 4020, "installing profiles by hand is not allowed on this device"),
    ("Installation", 4021, "Lockdown Mode is on, or the profile may only come from an MDM server"),
    ("Installation", 4022, "a payload is not acceptable this way"),
    ("Installation", 4023, "a payload is not acceptable"),
    ("Installation", 4024, "the profile was not found"),
    ("Installation", 4025, "the profile needs a supervised device"),
    ("Installation", 4026, "the profile's removal date is in the past"),
    ("Installation", 4027, "the passcode must be changed first"),
    ("Installation", 4035, "trouble with the target device"),
    ("Installation", 4036, "queued for the person"),
    ("Installation", 4037, "installing profiles by hand is disabled"),
    ("Installation", 4042, "the escrow secret is missing"),
    ("Installation", 4043, "the device could not store the queued profile"),
    ("Installation", 4047, "not possible on a shared iPad in this state"),
    ("Installation", 4054, "profile-driven enrollment is blocked"),
    ("Installation", 4055, "profile-driven User Enrollment is no longer supported"),
    ("Passcode", 5010, "the device is locked"),
    ("Passcode", 5011, "wrong passcode"),
    ("Certificate", 9000, "wrong password of an embedded identity"),
    ("Certificate", 9005, "an embedded certificate is malformed"),
    ("Certificate", 9006, "an embedded certificate is not an identity"),
    ("MDM", 12000, "the access rights of the MDM payload are invalid"),
    ("MDM", 12001, "another MDM profile is already installed"),
    ("MDM", 12002, "the device could not check in with the MDM server"),
    ("MDM", 12003, "the challenge was invalid"),
    ("MDM", 12004, "the push certificate is invalid"),
    ("MDM", 12005, "the identity or pinning certificate was not found"),
    ("MDM", 12006, "the MDM server redirected and the device refused"),
    ("MDM", 12007, "the MDM server did not authorise the device"),
    ("MDM", 12008, "the MDM server's answer was malformed"),
    ("MDM", 12009, "the replacement profile is invalid"),
    ("MDM", 12011, "the MDM configuration is invalid"),
    ("MDM", 12012, "the installed MDM profile differs in fields that may not change"),
    ("MDM", 12013, "the profile is managed by the MDM server"),
    ("MDM", 12014, "the profile is not managed"),
    ("MDM", 12015, "no push token"),
    ("MDM", 12016, "the identity is missing"),
    ("MDM", 12020, "the MDM server rejected the device"),
    ("MDM", 12021, "unknown command"),
    ("MDM", 12022, "the push topic is invalid"),
    ("MDM", 12030, "the server address is malformed"),
    ("MDM", 12034, "the server address is not https"),
    ("MDM", 12063, "the person rejected it"),
    ("MDM", 12088, "a restriction on the device forbids MDM enrollment"),
    ("MDM", 12098, "the push topic is missing"),
    ("WiFi", 13000, "the Wi-Fi network could not be installed"),
    ("Tunnel", 14000, "a field of the request is invalid"),
    ("Tunnel", 14001, "the device is locked"),
    ("Tunnel", 14002, "the device already has a cloud configuration"),
    ("SCEP", 22000, "SCEP: invalid key usage"),
    ("SCEP", 22001, "SCEP: the key pair could not be made"),
    ("SCEP", 22002, "SCEP: bad answer of the certificate authority"),
    ("SCEP", 22003, "SCEP: bad answer of the registration authority"),
    ("SCEP", 22004, "SCEP: unsupported certificate configuration"),
    ("SCEP", 22005, "SCEP: network error"),
    ("SCEP", 22006, "SCEP: the certificate authority lacks a capability"),
    ("SCEP", 22007, "SCEP: the signed certificate is invalid"),
    ("SCEP", 22013, "SCEP: the server's answer was refused; a stale challenge is the first suspect"),
    ("HTTPTransaction", 23000, "HTTP: bad identity"),
    ("HTTPTransaction", 23001, "HTTP: bad answer of the server"),
    (
        "HTTPTransaction",
        23002,
        "HTTP: the server's certificate is not trusted; wrong clock, captive portal or TLS inspection",
    ),
    ("OTAProfiles", 24000, "over-the-air enrollment failed"),
    ("Chaperone", 29000, "the device is not supervised"),
    ("Chaperone", 29003, "wrong supervision certificate"),
    ("Chaperone", 29004, "the device is supervised"),
    ("CloudConfig", 33003, "the device is not activated"),
    ("CloudConfig", 33004, "the device must be configured through Automated Device Enrollment"),
    ("Keybag", 37002, "a passcode is set"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(links: &[(&str, i64)]) -> ErrorChain {
        ErrorChain::new(links.iter().map(|(domain, code)| ChainLink::new(domain, *code)))
    }

    #[test]
    fn the_deepest_known_code_is_the_cause() {
        let wrapped = chain(&[
            ("MCInstallationErrorDomain", 4001),
            ("MCInstallationErrorDomain", 4001),
            ("MCMDMErrorDomain", 12001),
        ]);
        assert_eq!(wrapped.cause().unwrap().code, 12001);
        let unknown = chain(&[("MCInstallationErrorDomain", 4001), ("MCNewErrorDomain", 99)]);
        assert_eq!(unknown.cause().unwrap().to_string(), "MCNewErrorDomain 99");
        let beneath = chain(&[("MCMDMErrorDomain", 12002), ("NSURLErrorDomain", -1009)]);
        assert_eq!(beneath.cause().unwrap().code, 12002);
        assert_eq!(chain(&[]).cause(), None);
    }

    #[test]
    fn both_prefixes_of_a_domain_count() {
        assert!(chain(&[("DMCInstallationErrorDomain", 4021)]).has("Installation", &[4021]));
        assert!(chain(&[("MCInstallationErrorDomain", 4036), ("MCProfileErrorDomain", 1013)]).means_queued());
        assert!(!chain(&[("XInstallationErrorDomain", 4036)]).means_queued());
    }

    #[test]
    fn a_very_long_chain_keeps_its_ends() {
        let long = ErrorChain::new((0..1000).map(|n| ChainLink::new("MCMDMErrorDomain", n)));
        assert_eq!(long.links().len(), ERROR_CHAIN_LINKS);
        assert_eq!((long.links()[0].code, long.links()[ERROR_CHAIN_LINKS - 1].code), (0, 999));
    }
}
