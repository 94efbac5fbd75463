//! Configuration profiles: a file's bytes to a model that can be trusted, shown and pushed.
//!
//! Start at [`Profile::load`]. It takes off wrappers (`container`, 1.1), judges a
//! signature (`signature`, 1.6), reads the property list within its budget (1.2) and
//! applies the rules that decide whether the file can be pushed for enrollment
//! (`rules`, 2.8). [`lint`] applies all rules, and tells more than a push needs. Section numbers and codes are those of profiles-and-enrollment.md.
//! May import the base modules and other codecs; no IO, no clock.

mod acme;
mod ber;
mod container;
pub mod example;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod lint;
pub mod made;
mod outline;
mod parts;
mod pin;
mod refusal;
mod rules;
mod signature;
mod signed_data;
mod stand_in;
#[cfg(test)]
mod tests;

pub use pin::{BadSignerPin, SignerPin};
pub use refusal::{PORTAL_PATH, Refusal, RefusalKind};
pub use rules::https_host;
pub use signature::{
    BadAnchors, CertificateFacts, ChainVerdict, SignatureReport, SignedReport, TrustAnchors,
};

pub use stand_in::stand_in;

use crate::secret::Secret;
use crate::wire::property_list::Dictionary;
use jiff::Timestamp;
use openssl::sha::sha256;
use parts::Parts;

/// What a file is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To enroll an iPhone or iPad: every rule of [`Profile::enrollment_refusals`] holds.
    Enrollment,
    /// To look at it, or to use it for something else: it must be a readable
    /// configuration profile, no more.
    Any,
}

/// Where a device gets its MDM identity from (3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// com.apple.security.scep
    Scep,
    /// com.apple.security.acme
    Acme,
    /// com.apple.security.pkcs12
    Pkcs12,
}

impl IdentityKind {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scep => "scep",
            Self::Acme => "acme",
            Self::Pkcs12 => "pkcs12",
        }
    }

    fn of(payload_type: &str) -> Option<Self> {
        match payload_type {
            "com.apple.security.scep" => Some(Self::Scep),
            "com.apple.security.acme" => Some(Self::Acme),
            "com.apple.security.pkcs12" => Some(Self::Pkcs12),
            _ => None,
        }
    }
}

/// One payload, without those of its settings that may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadSummary {
    /// `PayloadType`, as written; empty if missing.
    pub payload_type: String,
    /// `PayloadIdentifier`, as written; empty if missing.
    pub identifier: String,
    /// `PayloadUUID`, as written; empty if missing.
    pub uuid: String,
    /// `PayloadDisplayName`, safe to print.
    pub display_name: Option<String>,
    /// What it sets, `key.key = value` each, safe to print: what may be secret is not shown.
    pub settings: Vec<String>,
}

/// Something to show that does not stop a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The lint rule behind it, where there is one.
    pub code: Option<&'static str>,
    /// One sentence, safe to print.
    pub message: String,
}

impl Warning {
    fn new(code: &'static str, message: String) -> Self {
        Self { code: Some(code), message }
    }
}

/// A configuration profile that was read and judged. `Debug` shows no secrets.
#[derive(Debug, Clone)]
pub struct Profile {
    model: rules::Model,
    signature: SignatureReport,
    file_sha256: [u8; 32],
    content_sha256: [u8; 32],
    bytes: Secret<Vec<u8>>,
    root: Secret<Dictionary>,
    warnings: Vec<Warning>,
    refusals: Vec<Refusal>,
    signer_accepted: Option<bool>,
}

impl Profile {
    /// Reads a file. The signer's chain is judged with `anchors` at `now`, which must be
    /// the bench's time.
    ///
    /// Fails with the first reason that the file cannot be read as a configuration
    /// profile, or, for [`Purpose::Enrollment`], that it must not be pushed.
    pub fn load(
        file: &[u8],
        purpose: Purpose,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let mut parts = Parts::open(file, anchors, Some(now))?;
        let root = parts.root()?;
        let model = rules::read(&root).map_err(|refusal| parts.blame(refusal))?;
        let mut warnings = std::mem::take(&mut parts.warnings);
        if let SignatureReport::Signed(report) = &parts.signature {
            signature_warnings(report, &mut warnings);
        }
        warnings.extend_from_slice(&model.warnings);
        let refusals = refusals(&parts, &model);
        let signer_accepted =
            anchors.pin().map(|_| parts.wrong_signer.is_none() && parts.broken_signature().is_none());
        let profile = Self {
            model,
            file_sha256: sha256(file),
            content_sha256: sha256(&parts.content),
            signature: parts.signature,
            bytes: parts.pushed.unwrap_or(parts.content).into(),
            root: root.into(),
            warnings,
            refusals,
            signer_accepted,
        };
        match (purpose, profile.refusals.first()) {
            (Purpose::Enrollment, Some(refusal)) => Err(refusal.clone()),
            _ => Ok(profile),
        }
    }

    /// `PayloadIdentifier` of the root, as written: a device lists the profile by it.
    pub fn identifier(&self) -> &str {
        &self.model.identifier
    }

    /// `PayloadUUID` of the root, as written. With the identifier it proves that this
    /// profile is on a device (R27).
    pub fn uuid(&self) -> &str {
        &self.model.uuid
    }

    /// `PayloadDisplayName`, safe to print.
    pub fn display_name(&self) -> Option<&str> {
        self.model.display_name.as_deref()
    }

    /// `PayloadOrganization`, safe to print.
    pub fn organization(&self) -> Option<&str> {
        self.model.organization.as_deref()
    }

    /// The payloads in file order; none for encrypted profiles and Profile Service stubs.
    pub fn payloads(&self) -> &[PayloadSummary] {
        &self.model.payloads
    }

    /// The kind of identity its MDM payload uses; always there for enrollment profiles.
    pub fn identity(&self) -> Option<IdentityKind> {
        self.model.identity
    }

    /// Host of the MDM server, safe to print; always there for enrollment profiles.
    pub fn server_host(&self) -> Option<&str> {
        self.model.server_host.as_deref()
    }

    /// Push topic of the MDM payload; always there for enrollment profiles.
    pub fn topic(&self) -> Option<&str> {
        self.model.topic.as_deref()
    }

    /// Who signed it.
    pub fn signature(&self) -> &SignatureReport {
        &self.signature
    }

    /// Whether the signer is the one the site accepts; none if it accepts any.
    pub fn signer_accepted(&self) -> Option<bool> {
        self.signer_accepted
    }

    /// When it was signed, if a signature that holds says so: the best sign of an
    /// export's age (3.4).
    pub fn signing_time(&self) -> Option<Timestamp> {
        match &self.signature {
            SignatureReport::Signed(signed) if signed.broken.is_none() => signed.signing_time,
            _ => None,
        }
    }

    /// SHA-256 of the file as it was given.
    pub fn file_sha256(&self) -> [u8; 32] {
        self.file_sha256
    }

    /// SHA-256 of the property list without wrappers and signature: equal for the same
    /// export, however it was wrapped (3.4). Of a UTF-16 file, of its UTF-8.
    pub fn content_sha256(&self) -> [u8; 32] {
        self.content_sha256
    }

    /// The exact bytes to push: the signed file, or the plain property list. Wrappers are
    /// off, and an unsigned UTF-16 file is UTF-8; nothing inside a signature is touched.
    pub fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.bytes
    }

    /// The whole root dictionary, challenges and passwords included.
    pub fn root(&self) -> &Secret<Dictionary> {
        &self.root
    }

    /// What to show beside it.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Every reason not to push it for enrollment, most telling first; empty for a good
    /// enrollment profile.
    pub fn enrollment_refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// The oldest system (major, minor) that can use its identity, for a lockdown
    /// `DeviceClass` such as `iPhone` or `iPad` (R11, L28). None: any supported system.
    pub fn min_os(&self, device_class: &str) -> Option<(u32, u32)> {
        match self.identity()? {
            IdentityKind::Acme => Some(acme_floor(device_class)),
            IdentityKind::Scep | IdentityKind::Pkcs12 => None,
        }
    }
}

fn signature_warnings(report: &SignedReport, warnings: &mut Vec<Warning>) {
    match (&report.broken, &report.chain) {
        (Some(_), _) | (None, ChainVerdict::Trusted) => {}
        (_, ChainVerdict::OutOfTime { valid_when_signed: true, problem }) => warnings.push(Warning::new(
            "L44",
            format!("The signer was valid when it signed, but is not now ({problem}); the device will say Not Verified."),
        )),
        (_, ChainVerdict::OutOfTime { problem, .. } | ChainVerdict::Untrusted { problem }) => {
            warnings.push(Warning::new(
                "L43",
                format!("The signature holds, but the bench does not trust the signer ({problem}); the device may say Not Verified."),
            ));
        }
    }
    if matches!(report.digest.as_str(), "md5" | "sha1") {
        let message = format!("The signature uses {}, which is no longer safe.", report.digest);
        warnings.push(Warning { code: None, message });
    }
    if report.signers > 1 {
        let message = format!("The profile has {} signers; one is normal.", report.signers);
        warnings.push(Warning { code: None, message });
    }
}

/// Why not to push it: what the container and the rules say, most telling first.
fn refusals(parts: &Parts, model: &rules::Model) -> Vec<Refusal> {
    let broken =
        parts.broken_signature().map(|reason| Refusal::SignatureBroken { reason: reason.to_owned() });
    let signer = parts.wrong_signer.clone();
    broken.into_iter().chain(signer).chain(model.refusals.iter().cloned()).chain(parts.too_large()).collect()
}

/// The oldest system (major, minor) that knows ACME payloads, for a lockdown
/// `DeviceClass` or `Mac` (R11, R79, L28).
fn acme_floor(device_class: &str) -> (u32, u32) {
    match device_class {
        "iPad" => (16, 1),
        "Mac" => (13, 1),
        _ => (16, 0),
    }
}
