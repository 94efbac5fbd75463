//! The ACME payload (2.3, 3.3; L28 to L32).

use super::context::DeviceContext;
use super::findings::{Findings, Severity};
use super::hosts::shown_url;
use super::rule::Rule;
use super::subject::{Payload, Subject};
use crate::wire::profile::{acme_floor, rules};
use crate::wire::property_list::Value;

pub(super) const ACME: &str = "com.apple.security.acme";

const SCEP_EXPORT: &str = "Take the SCEP export of the same profile (R12).";
const SERVER: &str = "Have the server's ACME settings corrected, or take the SCEP export (R12).";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L28",
        severities: &[Severity::Error],
        title: "system too old for ACME",
        explanation: "ACME needs iOS 16.0, iPadOS 16.1 or macOS 13.1 (R11, R79). Silent while the device's system is unknown.",
        device: "an error of the 2000 range: unknown payload",
        remedy: SCEP_EXPORT,
        check: |subject, out| {
            let Some((name, (major, minor), version)) = too_old(subject) else { return };
            for acme in subject.of(ACME) {
                let message = format!("This device runs {name} {version}; ACME needs {major}.{minor}.");
                out.error(acme.key("PayloadType"), message);
            }
        },
    },
    Rule {
        code: "L29",
        severities: &[Severity::Error],
        title: "incomplete ACME payload",
        explanation: "DirectoryURL (https), ClientIdentifier, KeyType, KeySize, HardwareBound and Subject are required.",
        device: "2002 or 2004",
        remedy: SERVER,
        check: |subject, out| subject.of(ACME).for_each(|acme| incomplete(acme, out)),
    },
    Rule {
        code: "L30",
        severities: &[Severity::Error],
        title: "impossible ACME key",
        explanation: "A key bound to hardware is of an elliptic curve with 256 or 384 bits, and Attest needs such a key.",
        device: "2004",
        remedy: SERVER,
        check: |subject, out| subject.of(ACME).for_each(|acme| impossible_key(acme, out)),
    },
    Rule {
        code: "L31",
        severities: &[Severity::Warning],
        title: "hardware cannot attest",
        explanation: "iPhone and iPad attest since the A11; A10X and older, and Macs with a T2, ignore Attest silently. Silent while the hardware is unknown.",
        device: "installs without attestation; the server may refuse to issue",
        remedy: SCEP_EXPORT,
        check: |subject, out| {
            for acme in subject.of(ACME).filter(|acme| cannot_attest(subject, acme)) {
                out.warn(
                    acme.key("Attest"),
                    "This device's hardware cannot attest; the server may refuse it.",
                );
            }
        },
    },
    Rule {
        code: "L32",
        severities: &[Severity::Warning],
        title: "ACME where SCEP comes first",
        explanation: "The site policy prefers SCEP, as the vendor recommends (R12, R13). Silent where L28 or L31 already says so for this device.",
        device: "",
        remedy: SCEP_EXPORT,
        check: |subject, out| {
            let said = too_old(subject).is_some();
            if subject.context.policy.prefer_scep && !said {
                for acme in subject.of(ACME).filter(|acme| !cannot_attest(subject, acme)) {
                    out.warn(
                        acme.key("PayloadType"),
                        "This is an ACME export; the site policy prefers SCEP.",
                    );
                }
            }
        },
    },
];

fn too_old<'a>(subject: &Subject<'a>) -> Option<(&'static str, (u32, u32), super::context::OsVersion)> {
    let (name, class, version) = subject.context.system()?;
    let floor = acme_floor(class);
    ((version.major, version.minor) < floor).then_some((name, floor, version))
}

fn incomplete(acme: &Payload<'_>, out: &mut Findings<'_>) {
    let url = acme.at.get("DirectoryURL");
    if !rules::is_server(url) {
        let finding = out.error(acme.key("DirectoryURL"), "DirectoryURL is missing or not an https address.");
        if let Some(url) = url.and_then(Value::as_string) {
            finding.value(&shown_url(url));
        }
    }
    for key in ["ClientIdentifier", "KeyType", "KeySize", "HardwareBound", "Subject"] {
        let value = acme.at.get(key);
        if value.is_none() || value.and_then(Value::as_string) == Some("") {
            out.error(acme.key(key), format!("{key} is missing."));
        }
    }
}

fn impossible_key(acme: &Payload<'_>, out: &mut Findings<'_>) {
    let bound = acme.boolean("HardwareBound") == Some(true);
    if bound && acme.text("KeyType").is_some_and(|kind| kind != "ECSECPrimeRandom") {
        let message = "HardwareBound needs KeyType ECSECPrimeRandom.";
        out.error(acme.key("KeyType"), message).value(acme.text("KeyType").unwrap_or_default());
    }
    if let Some(size) = acme.integer("KeySize").filter(|size| bound && !matches!(size, 256 | 384)) {
        out.error(acme.key("KeySize"), "HardwareBound needs KeySize 256 or 384.").value(&size.to_string());
    }
    if acme.boolean("Attest") == Some(true) && !bound {
        out.error(acme.key("Attest"), "Attest needs HardwareBound.");
    }
}

fn cannot_attest(subject: &Subject<'_>, acme: &Payload<'_>) -> bool {
    let device = subject.context.device.as_ref();
    acme.boolean("Attest") == Some(true) && device.and_then(attests) == Some(false)
}

/// Whether the hardware attests (2.3); none if it cannot be told.
fn attests(device: &DeviceContext) -> Option<bool> {
    device.chip.as_deref().and_then(chip_attests).or_else(|| product_attests(device.product_type.as_deref()?))
}

fn chip_attests(chip: &str) -> Option<bool> {
    let number = |rest: &str| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    };
    match chip.trim() {
        "T1" | "T2" => Some(false),
        chip => match (chip.strip_prefix('M'), chip.strip_prefix('A')) {
            (Some(rest), _) => number(rest).map(|_| true),
            (_, Some(rest)) => number(rest).map(|number| number >= 11),
            _ => None,
        },
    }
}

/// iPhone10,x are the first with A11; iPad7,x end with A10X and A10, iPad8,x begin with
/// A12X; the last iPod has an A10. Macs do not tell their chip by name.
pub(in crate::wire::profile) fn product_attests(product: &str) -> Option<bool> {
    let family: String = product.chars().take_while(char::is_ascii_alphabetic).collect();
    let generation = product[family.len()..].split(',').next()?.parse::<u32>().ok()?;
    match family.as_str() {
        "iPhone" => Some(generation >= 10),
        "iPad" => Some(generation >= 8),
        "iPod" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_is_told_by_product_or_chip() {
        let products = [
            ("iPad7,3", Some(false)),
            ("iPad8,1", Some(true)),
            ("iPhone9,4", Some(false)),
            ("iPhone10,1", Some(true)),
            ("iPod9,1", Some(false)),
            ("Mac13,1", None),
            ("iPad", None),
            ("", None),
        ];
        for (product, expected) in products {
            assert_eq!(product_attests(product), expected, "{product}");
        }
        let chips = [("A10X", false), ("A11", true), ("M1", true), ("T2", false)];
        for (chip, expected) in chips {
            assert_eq!(chip_attests(chip), Some(expected), "{chip}");
        }
        assert_eq!(chip_attests("Intel"), None);
    }
}
