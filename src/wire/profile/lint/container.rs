//! The file as a file: what it costs, and whether it can be read (1.1, 1.2; L48, and U01
//! and U02 of ours).

use super::findings::{Findings, Severity};
use super::rule::Rule;
use super::subject::Subject;
use crate::wire::profile::lint::context::Job;
use crate::wire::profile::refusal::Refusal;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L48",
        severities: &[Severity::Error, Severity::Warning],
        title: "larger or deeper than any export",
        explanation: "The file exceeds 10 MiB, nests deeper than 64 levels, unfolds to more than 200,000 objects, or defines entities; such a file is not read further. A file of 1 to 10 MiB draws a warning, but one request to a device carries 2 MiB.",
        device: "",
        remedy: "Export the direct-enrollment profile again (R18).",
        check: bounds,
    },
    Rule {
        code: "U01",
        severities: &[Severity::Error],
        title: "cannot be read",
        explanation: "The file is empty, cut off, damaged, packed, a web page, a Profile URL, wholly encrypted or something else that is no profile (1.1, 1.2).",
        device: "malformed profile 1000, or 4007",
        remedy: "Copy or download the file again.",
        check: |subject, out| {
            if let Some(refusal) = subject.refusal.filter(|refusal| refusal.code().is_none()) {
                out.error("", refusal.to_string()).remedy(refusal.next());
            }
        },
    },
    Rule {
        code: "U02",
        severities: &[Severity::Warning],
        title: "wrapped or written in another form",
        explanation: "The profile came as PEM, S/MIME, JSON, base64 or UTF-16, or without its plist element. It was converted for checking; what a signature covers is never changed (F16).",
        device: "refuses some of these forms; gets what is inside",
        remedy: "Take the file as the portal gives it, if it is at hand.",
        check: |subject, out| {
            let warnings = subject.parts.map(|parts| parts.warnings.as_slice()).unwrap_or_default();
            for warning in warnings.iter().filter(|warning| warning.code.is_none()) {
                out.warn("", warning.message.clone());
            }
        },
    },
];

fn bounds(subject: &Subject<'_>, out: &mut Findings<'_>) {
    if let Some(refusal) = subject.refusal.filter(|refusal| refusal.code() == Some("L48")) {
        let finding = out.error("", refusal.to_string());
        if let Refusal::TooLarge { bytes, .. } = refusal {
            finding.value(&bytes.to_string());
        }
        return;
    }
    let Some(parts) = subject.parts else { return };
    let by_usb = subject.context.platform() != Job::Macos;
    if let Some(refusal) = parts.too_large().filter(|_| by_usb && subject.profile().is_some()) {
        out.error("", refusal.to_string());
        return;
    }
    for warning in parts.warnings.iter().filter(|warning| warning.code == Some("L48")) {
        out.warn("", warning.message.clone()).value(&subject.bytes.to_string());
    }
}
