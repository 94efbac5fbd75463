//! Which signer a site accepts, where it says so: `profile_signer` of the configuration.

use super::refusal::Refusal;
use super::signature::{CertificateFacts, ChainVerdict, SignatureReport};
use crate::wire::printable::printable;

/// Longest common name X.509 allows (RFC 5280, ub-common-name).
const LONGEST_NAME: usize = 64;

/// The one signer whose profiles are pushed.
///
/// A name alone proves nothing, for anybody can make a certificate with it: it counts only
/// under a chain that ends in a root of the bench. A digest names one certificate, which is
/// renewed each year (1.6), and needs no chain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum SignerPin {
    /// Common name of the signer's certificate, exactly.
    Name(String),
    /// SHA-256 of the signer's certificate.
    Digest([u8; 32]),
}

/// The text is neither a common name nor a SHA-256.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error(
    "profile_signer must be the common name of the signer's certificate (at most 64 characters) or its SHA-256 (64 hex digits)"
)]
pub struct BadSignerPin;

impl TryFrom<String> for SignerPin {
    type Error = BadSignerPin;

    /// A digest as `enlist profile show` and OpenSSL write it, with or without colons.
    fn try_from(text: String) -> Result<Self, BadSignerPin> {
        let text = text.trim();
        let digits: Vec<u8> =
            text.chars().filter(|c| *c != ':').map_while(|c| c.to_digit(16)).map(|d| d as u8).collect();
        if digits.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit() || c == ':') {
            let mut digest = [0; 32];
            for (byte, pair) in digest.iter_mut().zip(digits.as_chunks::<2>().0) {
                *byte = pair[0] << 4 | pair[1];
            }
            return Ok(Self::Digest(digest));
        }
        match text.is_empty() || text.chars().count() > LONGEST_NAME {
            true => Err(BadSignerPin),
            false => Ok(Self::Name(text.to_owned())),
        }
    }
}

impl std::fmt::Display for SignerPin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&printable(name)),
            Self::Digest(digest) => digest.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl SignerPin {
    /// Why a file with this signature is not the accepted signer's; none if it is, or if the
    /// signature does not hold, which is told first (L42).
    pub(super) fn refuses(&self, report: &SignatureReport) -> Option<Refusal> {
        let SignatureReport::Signed(signed) = report else {
            return Some(self.refusal("nobody".to_owned()));
        };
        let signer = signed.signer.as_ref().filter(|_| signed.broken.is_none())?;
        let chained = matches!(
            signed.chain,
            ChainVerdict::Trusted | ChainVerdict::OutOfTime { valid_when_signed: true, .. }
        );
        match self {
            Self::Digest(digest) if *digest == signer.sha256 => None,
            Self::Name(name) if *name == signer.common_name && chained => None,
            Self::Name(name) if *name == signer.common_name => {
                Some(self.refusal("that name under a chain that is not trusted here".to_owned()))
            }
            _ => Some(self.refusal(described(signer))),
        }
    }

    fn refusal(&self, found: String) -> Refusal {
        Refusal::OtherSigner { wanted: self.to_string(), found }
    }
}

fn described(signer: &CertificateFacts) -> String {
    match signer.common_name.as_str() {
        "" => "a certificate without a name".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let pin = |text: &str| SignerPin::try_from(text.to_owned());
        let digest = SignerPin::Digest([0xab; 32]);
        assert_eq!(pin(&"ab".repeat(32)), Ok(digest.clone()));
        assert_eq!(pin(&["AB"; 32].join(":")), Ok(digest.clone()));
        assert_eq!(digest.to_string(), "ab".repeat(32));
        assert_eq!(pin(" Signing 1 "), Ok(SignerPin::Name("Signing 1".to_owned())));
        for wrong in ["", " ", &"x".repeat(65)] {
            assert_eq!(pin(wrong), Err(BadSignerPin));
        }
    }
}
