//! Version, identifier and UUID of root and payloads (1.3, 1.4; L03 to L08).

use super::findings::{Findings, Severity};
use super::rule::Rule;
use super::subject::Subject;
use crate::wire::property_list::{Dictionary, Value};
use std::collections::HashMap;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L03",
        severities: &[Severity::Error],
        title: "PayloadVersion is not 1",
        explanation: "Root and every payload must have PayloadVersion 1.",
        device: "1001 for the root, 2001 for a payload",
        remedy: "Export the direct-enrollment profile again (R18).",
        check: |subject, out| {
            for (at, path) in dictionaries(subject) {
                let path = join(&path, "PayloadVersion");
                match at.get("PayloadVersion") {
                    None => drop(out.error(path, "PayloadVersion is missing.")),
                    Some(value) => match value.as_signed_integer() {
                        Some(1) | None => {}
                        Some(other) => {
                            out.error(path, "PayloadVersion is not 1.").value(&other.to_string());
                        }
                    },
                }
            }
        },
    },
    Rule {
        code: "L04",
        severities: &[Severity::Error],
        title: "no PayloadIdentifier",
        explanation: "Root and every payload need a PayloadIdentifier, a string that is not empty. The root's decides whether a profile replaces another.",
        device: "1002 for the root, 2002 for a payload",
        remedy: "Export the direct-enrollment profile again (R18).",
        check: |subject, out| {
            for (at, path) in dictionaries(subject) {
                if at.get("PayloadIdentifier").and_then(Value::as_string).is_none_or(str::is_empty) {
                    let message = "PayloadIdentifier is missing, empty or not a string.";
                    out.error(join(&path, "PayloadIdentifier"), message);
                }
            }
        },
    },
    Rule {
        code: "L05",
        severities: &[Severity::Warning],
        title: "identifier not reverse-DNS",
        explanation: "An identifier should be of letters, digits and hyphens with dots between, such as Microsoft.Profiles.MDM, so that it stays unique.",
        device: "",
        remedy: "Have the profile made with an identifier in reverse-DNS form.",
        check: |subject, out| {
            for (at, path) in dictionaries(subject) {
                let identifier = at.get("PayloadIdentifier").and_then(Value::as_string).unwrap_or_default();
                if !identifier.is_empty() && !is_reverse_dns(identifier) {
                    let message = "PayloadIdentifier is not in reverse-DNS form.";
                    out.warn(join(&path, "PayloadIdentifier"), message).value(identifier);
                }
            }
        },
    },
    Rule {
        code: "L06",
        severities: &[Severity::Error, Severity::Warning],
        title: "no PayloadUUID, or an odd one",
        explanation: "Root and every payload need a PayloadUUID; with the identifier it proves an enrollment (R27). It should have the form 8-4-4-4-12.",
        device: "1002",
        remedy: "Export the direct-enrollment profile again (R18).",
        check: |subject, out| {
            for (at, path) in dictionaries(subject) {
                let path = join(&path, "PayloadUUID");
                match at.get("PayloadUUID").map(Value::as_string) {
                    None | Some(Some("")) => drop(out.error(path, "PayloadUUID is missing or empty.")),
                    Some(Some(uuid)) if !is_uuid(uuid) => {
                        out.warn(path, "PayloadUUID has not the form 8-4-4-4-12.").value(uuid);
                    }
                    Some(_) => {}
                }
            }
        },
    },
    Rule {
        code: "L07",
        severities: &[Severity::Error],
        title: "same PayloadUUID twice",
        explanation: "Each PayloadUUID must be unique in the file; the root counts, letter case does not.",
        device: "1007 or 4002",
        remedy: "Have the profile made again by the server, with a UUID for each payload.",
        check: |subject, out| {
            let fold = |text: &str| text.to_ascii_lowercase();
            let all = dictionaries(subject);
            twice(&all, "PayloadUUID", fold, "The same PayloadUUID stands twice", out);
        },
    },
    Rule {
        code: "L08",
        severities: &[Severity::Error],
        title: "same payload PayloadIdentifier twice",
        explanation: "Each payload needs a PayloadIdentifier of its own inside the profile.",
        device: "1008",
        remedy: "Have the profile made again by the server, with an identifier for each payload.",
        check: |subject, out| {
            let payloads: Vec<_> = subject.payloads.iter().map(|p| (p.at, p.path())).collect();
            let fold = |text: &str| text.to_owned();
            twice(&payloads, "PayloadIdentifier", fold, "The same PayloadIdentifier stands twice", out);
        },
    },
];

/// The root and the payloads, with their paths.
fn dictionaries<'a>(subject: &Subject<'a>) -> Vec<(&'a Dictionary, String)> {
    let root = subject.root.map(|root| (root, String::new()));
    root.into_iter().chain(subject.payloads.iter().map(|payload| (payload.at, payload.path()))).collect()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn twice(
    all: &[(&Dictionary, String)],
    key: &str,
    fold: impl Fn(&str) -> String,
    what: &str,
    out: &mut Findings<'_>,
) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (at, path) in all {
        let Some(text) = at.get(key).and_then(Value::as_string).filter(|text| !text.is_empty()) else {
            continue;
        };
        match seen.get(fold(text).as_str()) {
            Some(first) => {
                let first = if first.is_empty() { "the root" } else { first };
                out.error(join(path, key), format!("{what}: it is also that of {first}.")).value(text);
            }
            None => drop(seen.insert(fold(text), path)),
        }
    }
}

/// `[A-Za-z0-9-]+(\.[A-Za-z0-9_-]+)+`
fn is_reverse_dns(identifier: &str) -> bool {
    let mut parts = identifier.split('.');
    let plain = |part: &str, also: &[char]| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(&c))
    };
    let first = parts.next().is_some_and(|part| plain(part, &['-']));
    let mut rest = parts.peekable();
    first && rest.peek().is_some() && rest.all(|part| plain(part, &['_', '-']))
}

/// 8-4-4-4-12 hexadecimal digits.
pub(super) fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}
