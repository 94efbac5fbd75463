//! What a Profile URL answers (profiles-and-enrollment.md 3.6, R53): where devices enroll, and
//! whom they are to trust there.

use crate::secret::Secret;
use crate::wire::profile::https_host;
use openssl::base64::decode_block;
use openssl::x509::X509;
use serde_json::Value;

/// Most certificates that are taken; real lists have one or two.
const MOST_ANCHORS: usize = 20;

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// `dep_enrollment_url`: the device's configuration URL.
    pub enrollment_url: Secret<String>,
    /// `dep_anchor_certs_url`: where the certificates are.
    pub anchors_url: Option<Secret<String>>,
    /// `trust_profile_url`: there is a profile of roots that devices need.
    pub has_trust_profile: bool,
}

/// The answer is none.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum BadServiceConfig {
    /// Not JSON, or without the address.
    #[error("the Profile URL does not answer with an enrollment address (dep_enrollment_url)")]
    NoAddress,
    /// An address that is not https.
    #[error("the Profile URL answers with an address that is not https")]
    Address,
    /// 3.6: "JSON array of base64 certificates".
    #[error("the list of certificates beside the Profile URL cannot be read")]
    Anchors,
}

impl ServiceConfig {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`BadServiceConfig`].
    pub fn parse(json: &[u8]) -> Result<Self, BadServiceConfig> {
        let root: Value = serde_json::from_slice(json).map_err(|_| BadServiceConfig::NoAddress)?;
        let text = |key: &str| root.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let address = |url: &str| match https_host(url) {
            Some(_) => Ok(Secret::new(url.to_owned())),
            None => Err(BadServiceConfig::Address),
        };
        Ok(Self {
            enrollment_url: address(text("dep_enrollment_url").ok_or(BadServiceConfig::NoAddress)?)?,
            anchors_url: text("dep_anchor_certs_url").map(address).transpose()?,
            has_trust_profile: text("trust_profile_url").is_some(),
        })
    }
}

/// Reads the list of certificates, which may be empty: DER each.
///
/// # Errors
/// [`BadServiceConfig::Anchors`].
pub fn parse_anchors(json: &[u8]) -> Result<Vec<Vec<u8>>, BadServiceConfig> {
    let bad = || BadServiceConfig::Anchors;
    let root: Value = serde_json::from_slice(json).map_err(|_| bad())?;
    let list = root.as_array().filter(|list| list.len() <= MOST_ANCHORS).ok_or_else(bad)?;
    let certificate = |entry: &Value| {
        let text: String = entry.as_str()?.split_whitespace().collect();
        let bytes = decode_block(&text).ok()?;
        X509::from_der(&bytes).or_else(|_| X509::from_pem(&bytes)).ok()?.to_der().ok()
    };
    list.iter().map(|entry| certificate(entry).ok_or_else(bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_addresses_are_taken() {
        let parse = |json: &str| ServiceConfig::parse(json.as_bytes());
        let good = parse(r#"{"dep_enrollment_url":"https://mdm.example/e","dep_anchor_certs_url":"https://mdm.example/a","trust_profile_url":"https://mdm.example/t","more":1}"#).unwrap();
        assert_eq!(good.enrollment_url.expose(), "https://mdm.example/e");
        assert!(good.anchors_url.is_some() && good.has_trust_profile);
        let least =
            parse(r#"{"dep_enrollment_url":"https://mdm.example/e","dep_anchor_certs_url":""}"#).unwrap();
        assert!(least.anchors_url.is_none() && !least.has_trust_profile);
        for json in ["", "<html>", "[]", "{}", r#"{"dep_enrollment_url":7}"#] {
            assert_eq!(parse(json), Err(BadServiceConfig::NoAddress), "{json}");
        }
        let plain = r#"{"dep_enrollment_url":"http://mdm.example/e"}"#;
        assert_eq!(parse(plain), Err(BadServiceConfig::Address));
    }

    #[test]
    fn certificates_are_read_or_refused() {
        assert_eq!(parse_anchors(b"[]"), Ok(vec![]));
        for json in ["{}", "[7]", r#"["AAAA"]"#, r#"["?"]"#, "nonsense"] {
            assert_eq!(parse_anchors(json.as_bytes()), Err(BadServiceConfig::Anchors), "{json}");
        }
    }
}
