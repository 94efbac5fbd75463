//! Secrets that stand in the file in clear (L50).

use super::findings::{Findings, Severity};
use super::rule::Rule;
use super::scep;
use super::subject::Subject;
use crate::wire::profile::rules::MDM;
use crate::wire::property_list::Value;

pub(super) const RULES: &[Rule] = &[Rule {
    code: "L50",
    severities: &[Severity::Warning],
    title: "secret in clear",
    explanation: "A password of Wi-Fi, EAP, a proxy, a removal lock or a PKCS#12 identity stands in the file, or a SCEP challenge in a profile without MDM. Whoever has the file has the secret. The challenge of an enrollment export is what the export is made of, and draws nothing.",
    device: "",
    remedy: "Keep the file where only the station reads it; the station never logs the secret.",
    check: in_clear,
}];

/// Keys whose values are secrets, by payload type, below the payload.
const SECRETS: [(&str, &[&str]); 7] = [
    ("com.apple.wifi.managed", &["Password"]),
    ("com.apple.wifi.managed", &["ProxyPassword"]),
    ("com.apple.wifi.managed", &["EAPClientConfiguration", "UserPassword"]),
    ("com.apple.proxy.http.global", &["ProxyPassword"]),
    ("com.apple.profileRemovalPassword", &["RemovalPassword"]),
    ("com.apple.security.pkcs12", &["Password"]),
    (scep::SCEP, &["PayloadContent", "Challenge"]),
];

fn in_clear(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let enrolls = subject.of(MDM).next().is_some();
    for payload in &subject.payloads {
        let of_type = SECRETS.iter().filter(|(kind, _)| *kind == payload.kind());
        for (kind, keys) in of_type.filter(|(kind, _)| !(enrolls && *kind == scep::SCEP)) {
            let mut value = Some(payload.at);
            let (last, above) = match keys.split_last() {
                Some(split) => split,
                None => continue,
            };
            for key in above {
                value = value.and_then(|at| at.get(key)).and_then(Value::as_dictionary);
            }
            let secret = value.and_then(|at| at.get(last)).and_then(Value::as_string);
            if secret.is_some_and(|secret| !secret.is_empty()) {
                let what = super::subject::short(kind);
                let message = format!("A secret of the {what} payload stands in the file in clear.");
                out.warn(payload.key(&keys.join(".")), message).secret();
            }
        }
    }
}
