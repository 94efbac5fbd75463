//! Supervision identities: who may pair silently and escalate (protocols.md 3.7, 4.6).

use super::installer::first_certificate;
use super::state::State;
use crate::wire::fields::Fields;
use jiff::{SignedDuration, Timestamp};
use openssl::asn1::Asn1Time;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::X509;

/// The constructed supervision identity: certificate and key.
const SUPERVISOR: &str = include_str!("../../fixtures/identities/supervisor.pem");

/// DER of the constructed supervisor's certificate.
pub(super) fn constructed_supervisor() -> Option<Vec<u8>> {
    X509::from_pem(SUPERVISOR.as_bytes()).ok()?.to_der().ok()
}

/// True if `response` is what 4.6 demands: SignedData by the supervisor, its certificate the
/// first of the set and valid at `now`, the content byte for byte the challenge.
fn answers(response: &[u8], challenge: &[u8], supervisor: &[u8], now: Timestamp) -> bool {
    first_certificate(response) == Some(supervisor)
        && is_valid(supervisor, now).unwrap_or(false)
        && signed_content(response, supervisor).is_some_and(|content| content == challenge)
}

/// Part of "a basic X.509 policy" (4.6).
fn is_valid(certificate: &[u8], now: Timestamp) -> Result<bool, ErrorStack> {
    let (certificate, now) = (X509::from_der(certificate)?, Asn1Time::from_unix(now.as_second())?);
    Ok(certificate.not_before() <= &*now && certificate.not_after() >= &*now)
}

fn signed_content(response: &[u8], supervisor: &[u8]) -> Option<Vec<u8>> {
    let mut cms = CmsContentInfo::from_der(response).ok()?;
    let mut signers = Stack::new().ok()?;
    signers.push(X509::from_der(supervisor).ok()?).ok()?;
    let mut content = Vec::new();
    // Only the supervisor's certificate is looked at; the chain above it is the list of
    // supervisors itself.
    let flags = CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::NOINTERN | CMSOptions::BINARY;
    cms.verify(Some(&signers), None, None, Some(&mut content), flags).ok()?;
    Some(content)
}

impl State {
    /// See [`answers`]; by the device's own clock.
    pub(super) fn is_answered(&self, response: &[u8], challenge: &[u8], supervisor: &[u8]) -> bool {
        let ahead = SignedDuration::from_secs(self.settings.clock_ahead);
        let now = self.clock.now();
        answers(response, challenge, supervisor, now.checked_add(ahead).unwrap_or(now))
    }

    /// True if the certificate is among `SupervisorHostCertificates`.
    pub(super) fn is_supervisor(&self, certificate: &[u8]) -> bool {
        let supervisors = self.cloud.as_ref().and_then(|c| c.list("SupervisorHostCertificates"));
        supervisors.unwrap_or_default().iter().any(|s| s.as_data() == Some(certificate))
    }
}
