//! Profile files: what is in them, and what the linter finds.

use crate::station::age::Age;
use crate::wire::printable::printable;
use crate::wire::profile::lint::{Finding, Rule};
use crate::wire::profile::{ChainVerdict, Profile, SignatureReport};
use crate::workflow::helpers::HelperKind;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A profile file of `enlist profile show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfileView {
    /// File.
    pub file: String,
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: String,
    /// Display name.
    pub name: Option<String>,
    /// Organisation.
    pub organization: Option<String>,
    /// `scep`, `acme`, `pkcs12` or nothing.
    pub identity: Option<&'static str>,
    /// Host of the MDM server.
    pub server: Option<String>,
    /// Push topic.
    pub topic: Option<String>,
    /// SHA-256 of the file; empty for helpers, whose passwords it would let be guessed at.
    pub sha256: String,
    /// Payloads in file order.
    pub payloads: Vec<PayloadView>,
    /// Signature.
    pub signature: SignatureView,
    /// What to know.
    pub warnings: Vec<FindingView>,
    /// Why it cannot be pushed as an enrollment; empty if it can.
    pub refusals: Vec<FindingView>,
    /// How old it is; for enrollment profiles of which something tells it.
    pub age: Option<AgeView>,
}

/// A helper profile of `enlist profile helpers`, as it would be pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HelperView {
    /// `roots`, `wifi` or `other`.
    pub kind: HelperKind,
    /// What the linter finds; no errors.
    pub findings: Vec<LintView>,
    /// The profile.
    #[serde(flatten)]
    pub profile: ProfileView,
}

/// The age of an export (profiles-and-enrollment.md 3.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AgeView {
    /// `fresh`, `ageing`, `stale` or `from-the-future`.
    pub standing: &'static str,
    /// Exported at.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub exported: Option<Timestamp>,
    /// Good until.
    #[schema(value_type = String, format = DateTime)]
    pub ends: Timestamp,
    /// False if it may be older.
    pub sure: bool,
    /// In words.
    pub countdown: String,
}

impl AgeView {
    /// As it stands at `now`.
    pub fn new(age: &Age, now: Timestamp) -> Self {
        Self {
            standing: age.standing(now).name(),
            exported: age.exported,
            ends: age.ends,
            sure: age.sure,
            countdown: age.countdown(now),
        }
    }
}

/// A payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayloadView {
    /// PayloadType.
    #[serde(rename = "type")]
    pub kind: String,
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: String,
    /// Display name.
    pub name: Option<String>,
    /// What it sets, one `key = value` each; what may be secret is not shown.
    pub settings: Vec<String>,
}

/// A signature, with its two questions answered apart (profiles-and-enrollment.md 1.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignatureView {
    /// Signed at all.
    pub signed: bool,
    /// The content is what was signed.
    pub intact: Option<bool>,
    /// Why it is not.
    pub broken: Option<String>,
    /// The signer's chain ends in a root trusted here, now.
    pub trusted: Option<bool>,
    /// Why it does not.
    pub problem: Option<String>,
    /// Common name of the signer.
    pub signer: Option<String>,
    /// Issuer of the signer.
    pub issuer: Option<String>,
    /// SHA-256 of the signer's certificate.
    pub signer_sha256: Option<String>,
    /// What the signer's certificate is made for: `signing`, `server`, `client`.
    pub purposes: Vec<&'static str>,
    /// The signer's certificate is neither expired nor too young, now.
    pub in_time: Option<bool>,
    /// The signer is the one the configuration accepts; nothing if it accepts any.
    pub accepted: Option<bool>,
    /// Signer valid from.
    pub not_before: Option<String>,
    /// Signer valid until.
    pub not_after: Option<String>,
    /// When it was signed, by the signer's word.
    pub signed_at: Option<Timestamp>,
    /// Digest algorithm.
    pub digest: Option<String>,
}

/// A warning or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingView {
    /// Code of the rule, such as `L41`.
    pub code: Option<&'static str>,
    /// What.
    pub message: String,
    /// What to do.
    pub remedy: Option<&'static str>,
}

impl FindingView {
    /// An error of the linter.
    pub fn of_error(finding: &Finding) -> Self {
        Self { code: Some(finding.code), message: finding.message.clone(), remedy: Some(finding.remedy) }
    }
}

impl ProfileView {
    /// Everything but secrets.
    pub fn new(file: &str, profile: &Profile, now: Timestamp) -> Self {
        let payload = |p: &crate::wire::profile::PayloadSummary| PayloadView {
            kind: printable(&p.payload_type),
            identifier: printable(&p.identifier),
            uuid: printable(&p.uuid),
            name: p.display_name.as_deref().map(printable),
            settings: p.settings.clone(),
        };
        let warning = |w: &crate::wire::profile::Warning| FindingView {
            code: w.code,
            message: w.message.clone(),
            remedy: None,
        };
        let refusal = |r: &crate::wire::profile::Refusal| FindingView {
            code: r.code(),
            message: r.to_string(),
            remedy: Some(r.next()),
        };
        Self {
            file: file.to_owned(),
            identifier: printable(profile.identifier()),
            uuid: printable(profile.uuid()),
            name: profile.display_name().map(str::to_owned),
            organization: profile.organization().map(str::to_owned),
            identity: profile.identity().map(|i| i.name()),
            server: profile.server_host().map(str::to_owned),
            topic: profile.topic().map(printable),
            sha256: crate::station::library::hex(&profile.file_sha256()),
            payloads: profile.payloads().iter().map(payload).collect(),
            signature: SignatureView::new(profile.signature(), profile.signer_accepted(), now),
            warnings: profile.warnings().iter().map(warning).collect(),
            refusals: profile.enrollment_refusals().iter().map(refusal).collect(),
            age: None,
        }
    }
}

impl SignatureView {
    fn new(report: &SignatureReport, accepted: Option<bool>, now: Timestamp) -> Self {
        let unsigned = Self {
            signed: false,
            intact: None,
            broken: None,
            trusted: None,
            problem: None,
            signer: None,
            issuer: None,
            signer_sha256: None,
            purposes: Vec::new(),
            in_time: None,
            accepted,
            not_before: None,
            not_after: None,
            signed_at: None,
            digest: None,
        };
        let SignatureReport::Signed(signed) = report else { return unsigned };
        let signer = signed.signer.as_ref();
        Self {
            signed: true,
            intact: Some(signed.broken.is_none()),
            broken: signed.broken.clone(),
            trusted: Some(signed.chain == ChainVerdict::Trusted),
            problem: match &signed.chain {
                ChainVerdict::Trusted => None,
                ChainVerdict::OutOfTime { problem, .. } | ChainVerdict::Untrusted { problem } => {
                    Some(problem.clone())
                }
            },
            signer: signer.map(|s| s.common_name.clone()),
            issuer: signer.map(|s| s.issuer.clone()),
            signer_sha256: signer.map(|s| crate::station::library::hex(&s.sha256)),
            purposes: signer.map(|s| s.purposes.clone()).unwrap_or_default(),
            in_time: signer.map(|s| (s.not_before..=s.not_after).contains(&now)),
            accepted,
            not_before: signer.map(|s| s.not_before.to_string()),
            not_after: signer.map(|s| s.not_after.to_string()),
            signed_at: signed.signing_time,
            digest: Some(signed.digest.clone()),
        }
    }
}

/// A finding of `enlist profile lint`; these six fields and no other are the contract of
/// design section 5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintView {
    /// File.
    pub file: String,
    /// Code of the rule, such as `L46`.
    pub code: &'static str,
    /// `error`, `warning` or `info`.
    pub severity: &'static str,
    /// Key path, such as `PayloadContent[1].ServerURL`; empty for the file as a whole.
    pub path: String,
    /// One sentence, with the value where showing it helps.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

impl LintView {
    /// A finding of a file.
    pub fn new(file: &str, finding: &Finding) -> Self {
        let message = match &finding.value {
            Some(value) => format!("{} (found: {value})", finding.message),
            None => finding.message.clone(),
        };
        Self {
            file: file.to_owned(),
            code: finding.code,
            severity: finding.severity.name(),
            path: finding.path.clone(),
            message,
            remedy: finding.remedy,
        }
    }
}

/// A rule of `enlist profile lint --explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleView {
    /// Code, such as `L46`.
    pub code: &'static str,
    /// Its usual severity.
    pub severity: &'static str,
    /// All severities it may have.
    pub severities: Vec<&'static str>,
    /// What it is about.
    pub title: &'static str,
    /// When it fires, and why that matters.
    pub explanation: &'static str,
    /// What the device says or does if the file is pushed anyway.
    pub device: Option<&'static str>,
    /// What to do.
    pub remedy: &'static str,
}

impl RuleView {
    /// A rule.
    pub fn new(rule: &'static Rule) -> Self {
        Self {
            code: rule.code,
            severity: rule.severity().name(),
            severities: rule.severities.iter().map(|severity| severity.name()).collect(),
            title: rule.title,
            explanation: rule.explanation,
            device: Some(rule.device).filter(|device| !device.is_empty()),
            remedy: rule.remedy,
        }
    }
}
