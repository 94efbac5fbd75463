//! The SCEP payload (2.2; L24 to L27).

use super::findings::{Findings, Severity};
use super::hosts::{host, shown_url};
use super::rule::Rule;
use super::subject::{Payload, Subject};
use crate::wire::property_list::{Dictionary, Value};

pub(super) const SCEP: &str = "com.apple.security.scep";

const EXPORT_AGAIN: &str = "Export the direct-enrollment profile again (R18).";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L24",
        severities: &[Severity::Error],
        title: "SCEP without server",
        explanation: "A SCEP payload needs a PayloadContent dictionary with the URL of the server in it, http or https.",
        device: "2002",
        remedy: EXPORT_AGAIN,
        check: |subject, out| {
            for scep in subject.of(SCEP) {
                let Some(settings) = settings(scep) else {
                    out.error(
                        scep.key("PayloadContent"),
                        "The SCEP payload has no PayloadContent dictionary.",
                    );
                    continue;
                };
                let url = settings.get("URL").and_then(Value::as_string);
                if url.and_then(host).is_none() {
                    let message = "The SCEP payload has no address of a server in URL.";
                    let finding = out.error(scep.key("PayloadContent.URL"), message);
                    if let Some(url) = url {
                        finding.value(&shown_url(url));
                    }
                }
            }
        },
    },
    Rule {
        code: "L25",
        severities: &[Severity::Warning],
        title: "SCEP without challenge",
        explanation: "An export carries the challenge by which the SCEP server knows it; without one the server will likely refuse.",
        device: "likely 22013",
        remedy: EXPORT_AGAIN,
        check: |subject, out| {
            for (scep, settings) in all(subject) {
                if settings.get("Challenge").and_then(Value::as_string).is_none_or(str::is_empty) {
                    out.warn(scep.key("PayloadContent.Challenge"), "The SCEP payload has no Challenge.");
                }
            }
        },
    },
    Rule {
        code: "L26",
        severities: &[Severity::Warning, Severity::Error],
        title: "weak SCEP key",
        explanation: "Keysize below 2048 is weak, and 1024 is what its absence means. Key Type must be RSA, which its absence means.",
        device: "22000 for another Key Type",
        remedy: "Have the server ask for RSA with 2048 bits or more.",
        check: weak_key,
    },
    Rule {
        code: "L27",
        severities: &[Severity::Warning],
        title: "MDM identity cannot sign",
        explanation: "The identity of an MDM payload signs requests, so Key Usage needs bit 1; its absence means 0.",
        device: "enrolls; the server may refuse its certificate",
        remedy: "Have the server set Key Usage to 1 or 5.",
        check: |subject, out| {
            for (scep, settings) in all(subject).filter(|(scep, _)| subject.is_mdm_identity(scep)) {
                let usage = settings.get("Key Usage").map_or(Some(0), Value::as_signed_integer);
                if let Some(usage) = usage.filter(|usage| usage & 1 == 0) {
                    let message = "Key Usage lacks bit 1 (sign), which an MDM identity needs.";
                    out.warn(scep.key("PayloadContent.Key Usage"), message).value(&usage.to_string());
                }
            }
        },
    },
];

/// The settings of a SCEP payload.
pub(super) fn settings<'a>(scep: &Payload<'a>) -> Option<&'a Dictionary> {
    scep.at.get("PayloadContent").and_then(Value::as_dictionary)
}

/// The SCEP payloads that have settings.
pub(super) fn all<'s, 'a>(
    subject: &'s Subject<'a>,
) -> impl Iterator<Item = (&'s Payload<'a>, &'a Dictionary)> {
    subject.of(SCEP).filter_map(|scep| Some((scep, settings(scep)?)))
}

fn weak_key(subject: &Subject<'_>, out: &mut Findings<'_>) {
    for (scep, settings) in all(subject) {
        let size = settings.get("Keysize").map_or(Some(1024), Value::as_signed_integer);
        if let Some(size) = size.filter(|size| *size < 2048) {
            let message = "Keysize is below 2048; absence means 1024.";
            out.warn(scep.key("PayloadContent.Keysize"), message).value(&size.to_string());
        }
        let kind = settings.get("Key Type").map_or(Some("RSA"), Value::as_string);
        if let Some(kind) = kind.filter(|kind| *kind != "RSA") {
            out.error(scep.key("PayloadContent.Key Type"), "Key Type is not RSA.").value(kind);
        }
    }
}
