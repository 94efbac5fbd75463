//! Wi-Fi and EAP (2.5; L49).

use super::findings::{Findings, Severity};
use super::mdm::references;
use super::rule::Rule;
use super::subject::Subject;
use crate::wire::property_list::Value;

pub(super) const RULES: &[Rule] = &[Rule {
    code: "L49",
    severities: &[Severity::Error],
    title: "network refers to a payload that is not there",
    explanation: "PayloadCertificateUUID and PayloadCertificateAnchorUUID of a Wi-Fi payload, or of another with EAP settings, must name payloads of the same profile.",
    device: "an error of MCEAP or MCWiFi (unconfirmed)",
    remedy: "Have the profile made with its certificates in it.",
    check: dangling,
}];

fn dangling(subject: &Subject<'_>, out: &mut Findings<'_>) {
    for payload in &subject.payloads {
        let eap = payload.at.get("EAPClientConfiguration").and_then(Value::as_dictionary);
        let wifi = payload.kind() == "com.apple.wifi.managed";
        let mut named = Vec::new();
        if let Some(uuid) = payload.text("PayloadCertificateUUID").filter(|_| wifi || eap.is_some()) {
            named.push(("PayloadCertificateUUID".to_owned(), uuid));
        }
        if let Some(eap) = eap {
            let key = "PayloadCertificateAnchorUUID";
            let anchors = references(eap, key).into_iter();
            named.extend(anchors.map(|(n, uuid)| (format!("EAPClientConfiguration.{key}[{n}]"), uuid)));
        }
        for (key, uuid) in named {
            if subject.types_of(uuid).is_empty() {
                out.error(payload.key(&key), "The UUID names no payload of the file.").value(uuid);
            }
        }
    }
}
