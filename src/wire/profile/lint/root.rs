//! The root dictionary: what kind of file it is (1.3; L01, L02, L09, L10, L40, L41).

use super::findings::{Findings, Severity};
use super::rule::Rule;
use super::subject::{Form, Subject};
use crate::wire::profile::refusal::Refusal;
use crate::wire::property_list::Value;

/// Doubled keys that are told.
const MOST_DUPLICATES: usize = 60;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L01",
        severities: &[Severity::Error],
        title: "root is not a dictionary",
        explanation: "The property list must be one dictionary; an array or a string is no profile.",
        device: "malformed profile, 1000",
        remedy: "Download the profile again; do not edit it.",
        check: |subject, out| {
            if matches!(subject.refusal, Some(Refusal::RootNotDictionary)) {
                out.error("", "The root of the file is not a dictionary.");
            }
        },
    },
    Rule {
        code: "L02",
        severities: &[Severity::Error],
        title: "not a configuration profile",
        explanation: "PayloadType of the root must be Configuration. A Profile Service stub is L40.",
        device: "1017, or malformed profile 1000",
        remedy: "Export the direct-enrollment profile again (R18).",
        check: not_configuration,
    },
    Rule {
        code: "L09",
        severities: &[Severity::Error],
        title: "no payloads",
        explanation: "PayloadContent must be an array with payloads in it, unless EncryptedPayloadContent stands in its place.",
        device: "malformed profile 1000, or 1005",
        remedy: "Export the direct-enrollment profile again (R18).",
        check: no_content,
    },
    Rule {
        code: "L10",
        severities: &[Severity::Warning],
        title: "duplicate key",
        explanation: "A dictionary of the XML holds a key twice. The last one counts, for the device and for this check; another tool may read the first.",
        device: "the last one wins",
        remedy: "Have the profile made again by the server; do not edit it by hand.",
        check: |subject, out| {
            let Some(parts) = subject.parts.filter(|_| subject.root.is_some()) else { return };
            for path in parts.duplicate_keys(MOST_DUPLICATES) {
                out.warn(path, "The key stands twice in its dictionary; the last one counts.");
            }
        },
    },
    Rule {
        code: "L40",
        severities: &[Severity::Error, Severity::Warning],
        title: "over-the-air stub",
        explanation: "The root is of type Profile Service (1.8): the device would fetch the real profile from a URL, so nothing can be checked here. A site policy may allow it; a person must then agree.",
        device: "downloads the real profile; 24000 to 24003 or 4011 if that fails",
        remedy: "Export the direct-enrollment profile instead (R18).",
        check: profile_service,
    },
    Rule {
        code: "L41",
        severities: &[Severity::Error],
        title: "encrypted payloads",
        explanation: "EncryptedPayloadContent holds the payloads, encrypted for one device (1.7); nothing can be checked here, and no other device can install it.",
        device: "1006, or installs what nobody saw",
        remedy: "Export the profile without encryption.",
        check: |subject, out| {
            if subject.form == Form::Encrypted {
                let message = "The profile is encrypted for one device; its contents cannot be checked here.";
                out.error("EncryptedPayloadContent", message);
            }
        },
    },
];

fn not_configuration(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let Some(root) = subject.root.filter(|_| subject.form == Form::Other) else { return };
    match root.get("PayloadType") {
        None => drop(
            out.error("PayloadType", "The file is not a configuration profile: its PayloadType is missing."),
        ),
        Some(Value::String(kind)) => {
            let message = "The file is not a configuration profile: its PayloadType is another.";
            out.error("PayloadType", message).value(kind);
        }
        // L47 tells.
        Some(_) => {}
    }
}

fn no_content(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let Some(root) = subject.root else { return };
    if matches!(subject.form, Form::Encrypted | Form::ProfileService)
        || root.contains_key("EncryptedPayloadContent")
    {
        return;
    }
    match root.get("PayloadContent") {
        None => drop(out.error("PayloadContent", "The profile has no payloads: PayloadContent is missing.")),
        Some(Value::Array(payloads)) if payloads.is_empty() => {
            out.error("PayloadContent", "The profile has no payloads: PayloadContent is empty.");
        }
        Some(Value::Array(_)) => {}
        Some(_) => {
            out.error("PayloadContent", "The profile has no payloads: PayloadContent is not an array.");
        }
    }
}

fn profile_service(subject: &Subject<'_>, out: &mut Findings<'_>) {
    if subject.form != Form::ProfileService {
        return;
    }
    let message =
        "The file is an over-the-air stub: the real profile comes later and cannot be checked here.";
    match subject.context.policy.ota_allowed {
        true => drop(out.warn("PayloadType", message).hold()),
        false => drop(out.error("PayloadType", message)),
    }
}
