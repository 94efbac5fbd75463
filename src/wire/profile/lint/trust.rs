//! Who signed the file (1.6; L42 to L45, and U03 of ours).

use super::findings::Severity;
use super::rule::Rule;
use super::subject::{Form, Subject};
use crate::wire::profile::signature::{ChainVerdict, SignedReport};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L42",
        severities: &[Severity::Error],
        title: "broken signature",
        explanation: "The content is not what was signed, or the signature cannot be checked. Other findings about the content tell little then, and its age and its signer are not judged.",
        device: "malformed profile 1000, or 1004",
        remedy: "Do not use the file; download it again.",
        check: |subject, out| {
            if let Some(reason) = subject.signed().and_then(|report| report.broken.as_deref()) {
                let message =
                    format!("The profile was changed after signing, or its signature is broken ({reason}).");
                out.error("", message);
            }
        },
    },
    Rule {
        code: "L43",
        severities: &[Severity::Warning, Severity::Error],
        title: "signer is not trusted here",
        explanation: "The signature holds, but its chain does not end in a root that the bench trusts. The device asks its own roots. An error where the site accepts one signer only (profile_signer) and this is another, or none.",
        device: "Not Verified, in red; installation is allowed",
        remedy: "If the signer is the organisation's own, add its root under trusted_roots.",
        check: |subject, out| {
            if let Some(refusal) = subject.parts.and_then(|parts| parts.wrong_signer.as_ref()) {
                out.error("", refusal.to_string()).remedy(refusal.next());
                return;
            }
            let Some(report) = sound(subject) else { return };
            let problem = match &report.chain {
                ChainVerdict::Untrusted { problem } => problem,
                ChainVerdict::OutOfTime { problem, valid_when_signed: false } => problem,
                _ => return,
            };
            let message = format!("The signature holds, but its signer is not trusted here ({problem}).");
            let finding = out.warn("", message);
            if let Some(signer) = &report.signer {
                let digest: String = signer.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                finding.value(&format!("{} by {}, {digest}", signer.common_name, signer.issuer));
            }
        },
    },
    Rule {
        code: "L44",
        severities: &[Severity::Warning],
        title: "signer has expired since",
        explanation: "The signer's certificate was valid when it signed and is not now; it is renewed each year, and harms nothing (1.6).",
        device: "Not Verified",
        remedy: "Export the profile again for a newer signature, or go on.",
        check: |subject, out| {
            let Some(report) = sound(subject) else { return };
            if let ChainVerdict::OutOfTime { problem, valid_when_signed: true } = &report.chain {
                let message = format!("The signer was valid when it signed, but is not now ({problem}).");
                out.warn("", message);
            }
        },
    },
    Rule {
        code: "L45",
        severities: &[Severity::Information],
        title: "not signed",
        explanation: "The profile is a plain property list: anybody may have changed it on its way.",
        device: "Not Signed; installation is allowed",
        remedy: "Make sure that the file comes straight from the portal.",
        check: |subject, out| {
            let unsigned = subject.parts.is_some() && subject.signed().is_none();
            if unsigned && matches!(subject.form, Form::Plain | Form::Encrypted) {
                out.info("", "The profile is not signed; the device will say Not Signed.");
            }
        },
    },
    Rule {
        code: "U03",
        severities: &[Severity::Warning],
        title: "odd signature",
        explanation: "The signature holds, but it uses a digest that is no longer safe, or there is more than one signer (1.6).",
        device: "",
        remedy: "Have the server sign with SHA-256 and one certificate.",
        check: |subject, out| {
            let Some(report) = sound(subject) else { return };
            if matches!(report.digest.as_str(), "md5" | "sha1") {
                out.warn("", format!("The signature uses {}, which is no longer safe.", report.digest));
            }
            if report.signers > 1 {
                out.warn("", format!("The profile has {} signers; one is normal.", report.signers));
            }
        },
    },
];

/// The signature, if it holds.
fn sound<'a>(subject: &Subject<'a>) -> Option<&'a SignedReport> {
    subject.signed().filter(|report| report.broken.is_none())
}
