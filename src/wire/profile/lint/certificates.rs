//! Certificates in payloads (2.4; L36).

use super::findings::{Findings, Severity};
use super::pkcs12;
use super::rule::Rule;
use super::subject::{Payload, Subject};
use crate::wire::profile::signature::CertificateFacts;
use crate::wire::property_list::Value;
use openssl::x509::X509;

/// Certificates of a profile that are looked at, and the longest one, in bytes. Real
/// profiles have a handful of two kilobytes each.
const MOST_CERTIFICATES: usize = 200;
const LONGEST_CERTIFICATE: usize = 256 << 10;

pub(super) const RULES: &[Rule] = &[Rule {
    code: "L36",
    severities: &[Severity::Warning, Severity::Error],
    title: "certificate out of time",
    explanation: "A certificate in the profile has expired or is not yet valid; an error if it is the identity of the MDM payload. What cannot be read as a certificate is not judged. Silent without a clock.",
    device: "installs it; connections fail",
    remedy: "Have the certificate renewed where the profile is made, and export again (R18).",
    check: out_of_time,
}];

fn out_of_time(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let Some(now) = subject.context.now else { return };
    let (mut left, mut rounds) = (MOST_CERTIFICATES, pkcs12::ROUNDS);
    for payload in &subject.payloads {
        for certificate in certificates(payload, &mut rounds).into_iter().take(left) {
            left -= 1;
            let Ok(facts) = CertificateFacts::read(&certificate) else { continue };
            let problem = if facts.not_after < now {
                format!("expired at {}", facts.not_after)
            } else if facts.not_before > now {
                format!("is not valid before {}", facts.not_before)
            } else {
                continue;
            };
            let message = format!("The certificate {problem}.");
            let path = payload.key("PayloadContent");
            let finding = match subject.is_mdm_identity(payload) {
                true => out.error(path, message),
                false => out.warn(path, message),
            };
            finding.value(&facts.common_name);
        }
    }
}

fn certificates(payload: &Payload<'_>, rounds: &mut u64) -> Vec<X509> {
    let Some(data) = payload.at.get("PayloadContent").and_then(Value::as_data) else { return Vec::new() };
    if data.len() > LONGEST_CERTIFICATE {
        return Vec::new();
    }
    match payload.kind() {
        // Some tools put PEM where DER belongs.
        "com.apple.security.root" | "com.apple.security.pkcs1" => {
            X509::from_der(data).or_else(|_| X509::from_pem(data)).into_iter().collect()
        }
        "com.apple.security.pem" => X509::stack_from_pem(data).unwrap_or_default(),
        "com.apple.security.pkcs12" => pkcs12::certificates(data, payload.text("Password"), rounds)
            .iter()
            .filter_map(|der| X509::from_der(der).ok())
            .collect(),
        _ => Vec::new(),
    }
}
