//! Who signed a profile, asked as two questions: does the signature hold, and does its
//! chain end in a root we trust (profiles-and-enrollment.md 1.6).

use super::pin::SignerPin;
use super::refusal::Refusal;
use super::signed_data::{SignedData, SignerInfo};
use crate::wire::printable::printable;
use jiff::Timestamp;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509NameRef, X509PurposeId, X509Ref, X509StoreContext};

/// Root certificates the bench trusts when it judges a signer. It decides no push by
/// itself: an unknown root draws a warning (L43).
#[derive(Clone, Default)]
pub struct TrustAnchors {
    certificates: Vec<X509>,
    pin: Option<SignerPin>,
}

impl TrustAnchors {
    /// Where Linux distributions and macOS keep their roots as one PEM file. This module
    /// reads no files: a caller reads the first that exists and hands it to
    /// [`Self::add_pem`]. The compiled-in path of a vendored OpenSSL exists nowhere.
    pub const SYSTEM_BUNDLES: [&str; 5] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];

    /// Trusts nobody.
    pub fn none() -> Self {
        Self::default()
    }

    /// Trusts the certificates of PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BadAnchors> {
        let mut anchors = Self::none();
        anchors.add_pem(pem)?;
        Ok(anchors)
    }

    /// Trusts the certificates of PEM text too; says how many there were.
    pub fn add_pem(&mut self, pem: &[u8]) -> Result<usize, BadAnchors> {
        let found = X509::stack_from_pem(pem).map_err(|_| BadAnchors)?;
        if found.is_empty() {
            return Err(BadAnchors);
        }
        let count = found.len();
        self.certificates.extend(found);
        Ok(count)
    }

    /// Accepts profiles of this signer only, if one is given.
    #[must_use]
    pub fn pinned(mut self, pin: Option<SignerPin>) -> Self {
        self.pin = pin;
        self
    }

    /// The one signer that is accepted, if there is one.
    pub fn pin(&self) -> Option<&SignerPin> {
        self.pin.as_ref()
    }

    pub(super) fn refuses(&self, report: &SignatureReport) -> Option<Refusal> {
        self.pin.as_ref().and_then(|pin| pin.refuses(report))
    }

    /// The certificates that are trusted.
    pub fn certificates(&self) -> &[X509] {
        &self.certificates
    }

    /// How many certificates are trusted.
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    fn store(&self, time: When) -> Result<X509Store, ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        for certificate in &self.certificates {
            store.add_cert(certificate.clone())?;
        }
        let mut rules = X509VerifyParam::new()?;
        // Signers are often web-server certificates (1.6).
        rules.set_purpose(X509PurposeId::ANY)?;
        // An anchor is trusted because it was given, self-signed or not.
        rules.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        match time {
            When::At(time) => rules.set_time(time.as_second() as _),
            When::Any => rules.set_flags(X509VerifyFlags::NO_CHECK_TIME)?,
        }
        store.set_param(&rules)?;
        Ok(store.build())
    }
}

impl std::fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrustAnchors({})", self.certificates.len())
    }
}

/// The text holds no certificate, or a damaged one.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("no readable PEM certificate in the list of trusted roots")]
pub struct BadAnchors;

/// Whether a profile is signed, and what is known about that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureReport {
    /// A plain property list; the device says "Not Signed" and allows it (1.6, L45).
    Unsigned,
    /// Signed, well or badly.
    Signed(Box<SignedReport>),
}

/// What is known about a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReport {
    /// None: the content is what was signed. Otherwise why not, in words (L42).
    pub broken: Option<String>,
    /// Whether the signer's chain ends in a root of the bench.
    pub chain: ChainVerdict,
    /// The signer; none if its certificate is not in the file.
    pub signer: Option<CertificateFacts>,
    /// Digest algorithm, as `sha256`; a dotted number if we do not know its name.
    pub digest: String,
    /// When it was signed, by the signer's word; none if not stated.
    pub signing_time: Option<Timestamp>,
    /// How many signers there are; one is normal.
    pub signers: usize,
    /// How many certificates the file carries.
    pub certificates: usize,
}

/// Answer to "does the signer's chain end in a root of the bench?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainVerdict {
    /// Yes, now.
    Trusted,
    /// Yes, but a certificate of it is expired or not yet valid.
    OutOfTime {
        /// What is wrong, in words.
        problem: String,
        /// The whole chain was valid at the signing time (L44).
        valid_when_signed: bool,
    },
    /// No (L43).
    Untrusted {
        /// Why, in words.
        problem: String,
    },
}

/// What is worth telling about a certificate. Texts are safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Common name of the subject; empty if it has none.
    pub common_name: String,
    /// The issuer: its common name, else organisation.
    pub issuer: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate.
    pub sha256: [u8; 32],
    /// What it is made for, of `PURPOSES`; a device asks for none of them (1.6).
    pub purposes: Vec<&'static str>,
}

/// Purposes of a certificate that are asked for, by name.
const PURPOSES: [(&str, X509PurposeId); 3] = [
    ("signing", X509PurposeId::SMIME_SIGN),
    ("server", X509PurposeId::SSL_SERVER),
    ("client", X509PurposeId::SSL_CLIENT),
];

/// Whether the certificate, by itself, is made for this: its chain and its dates are other
/// questions, so it is its own anchor.
fn made_for(certificate: &X509Ref, purpose: X509PurposeId) -> Result<bool, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    store.add_cert(certificate.to_owned())?;
    let mut rules = X509VerifyParam::new()?;
    rules.set_purpose(purpose)?;
    rules.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::NO_CHECK_TIME)?;
    store.set_param(&rules)?;
    let (store, chain) = (store.build(), Stack::new()?);
    X509StoreContext::new()?.init(&store, certificate, &chain, |context| context.verify_cert())
}

#[derive(Debug, Clone, Copy)]
enum When {
    At(Timestamp),
    Any,
}

/// Judges a signed file whose content is `content`. The chain is checked at `now`, or
/// without regard to dates.
pub(super) fn examine(
    data: &SignedData<'_>,
    content: &[u8],
    anchors: &TrustAnchors,
    now: Option<Timestamp>,
) -> SignedReport {
    let certificates: Vec<X509> =
        data.certificates.iter().filter_map(|der| X509::from_der(der).ok()).collect();
    let signer = data.signers.first();
    let certificate = signer.and_then(|signer| certificates.iter().find(|c| is_signer(signer, c)));
    let signing_time = signer.and_then(|signer| signer.signing_time);
    let chain = match certificate {
        Some(leaf) => chain_verdict(leaf, &certificates, anchors, signing_time, now),
        None => ChainVerdict::Untrusted { problem: "the signer's certificate is not in the file".to_owned() },
    };
    SignedReport {
        broken: broken(data, content, certificate.is_some()),
        chain,
        signer: certificate.and_then(|certificate| CertificateFacts::read(certificate).ok()),
        digest: signer.map(|signer| digest_name(&signer.digest)).unwrap_or_default(),
        signing_time,
        signers: data.signers.len(),
        certificates: data.certificates.len(),
    }
}

fn is_signer(signer: &SignerInfo<'_>, certificate: &X509) -> bool {
    let key_id = certificate.subject_key_id().map(|id| id.as_slice());
    certificate.to_der().is_ok_and(|der| signer.is(&der, key_id))
}

/// The signature question, chain left out. OpenSSL's own view of the content must be
/// ours, or one of us was deceived by the encoding.
fn broken(data: &SignedData<'_>, content: &[u8], certificate_found: bool) -> Option<String> {
    if data.signers.is_empty() {
        return Some("nobody signed it".to_owned());
    }
    if !certificate_found {
        return Some("the signer's certificate is not in the file".to_owned());
    }
    let mut seen = Vec::new();
    let options = CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::BINARY;
    let verified = CmsContentInfo::from_der(data.raw)
        .and_then(|mut cms| cms.verify(None, None, None, Some(&mut seen), options));
    match verified {
        Ok(()) if seen == content => None,
        Ok(()) => Some("its content is ambiguous".to_owned()),
        Err(stack) => Some(reason(&stack)),
    }
}

fn reason(stack: &ErrorStack) -> String {
    match stack.errors().first().and_then(|error| error.reason()) {
        Some(reason) => reason.to_owned(),
        None => "verification failure".to_owned(),
    }
}

fn chain_verdict(
    leaf: &X509Ref,
    others: &[X509],
    anchors: &TrustAnchors,
    signed: Option<Timestamp>,
    now: Option<Timestamp>,
) -> ChainVerdict {
    let verify = |when| chain_problem(leaf, others, anchors, when);
    let Some(problem) = verify(now.map_or(When::Any, When::At)) else { return ChainVerdict::Trusted };
    if let Some(problem) = verify(When::Any) {
        return ChainVerdict::Untrusted { problem };
    }
    let valid_when_signed = signed.is_some_and(|signed| verify(When::At(signed)).is_none());
    ChainVerdict::OutOfTime { problem, valid_when_signed }
}

/// What is wrong with the chain, in OpenSSL's words.
fn chain_problem(leaf: &X509Ref, others: &[X509], anchors: &TrustAnchors, when: When) -> Option<String> {
    let checked = (|| {
        let store = anchors.store(when)?;
        let mut chain = Stack::new()?;
        for certificate in others {
            chain.push(certificate.clone())?;
        }
        X509StoreContext::new()?.init(&store, leaf, &chain, |context| {
            Ok((!context.verify_cert()?).then(|| context.error().error_string().to_owned()))
        })
    })();
    checked.unwrap_or_else(|stack: ErrorStack| Some(reason(&stack)))
}

impl CertificateFacts {
    pub(super) fn read(certificate: &X509Ref) -> Result<Self, ErrorStack> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(&openssl::sha::sha256(&certificate.to_der()?));
        Ok(Self {
            common_name: name(certificate.subject_name(), &[Nid::COMMONNAME]),
            issuer: name(certificate.issuer_name(), &[Nid::COMMONNAME, Nid::ORGANIZATIONNAME]),
            not_before: timestamp(certificate.not_before())?,
            not_after: timestamp(certificate.not_after())?,
            sha256,
            purposes: PURPOSES
                .into_iter()
                .filter(|(_, purpose)| made_for(certificate, *purpose).unwrap_or(false))
                .map(|(name, _)| name)
                .collect(),
        })
    }
}

/// The first of these fields that the name has.
fn name(name: &X509NameRef, fields: &[Nid]) -> String {
    let entry = fields.iter().find_map(|nid| name.entries_by_nid(*nid).next());
    match entry.map(|entry| entry.data().to_string()) {
        Some(Ok(text)) => printable(&text),
        _ => String::new(),
    }
}

fn timestamp(time: &Asn1TimeRef) -> Result<Timestamp, ErrorStack> {
    let passed = Asn1Time::from_unix(0)?.diff(time)?;
    let seconds = i64::from(passed.days) * 86_400 + i64::from(passed.secs);
    Ok(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

fn digest_name(dotted: &str) -> String {
    let known = match dotted {
        "1.2.840.113549.2.5" => "md5",
        "1.3.14.3.2.26" => "sha1",
        "2.16.840.1.101.3.4.2.1" => "sha256",
        "2.16.840.1.101.3.4.2.2" => "sha384",
        "2.16.840.1.101.3.4.2.3" => "sha512",
        other => other,
    };
    known.to_owned()
}
