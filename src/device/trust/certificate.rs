//! The three certificates of a pairing (protocols.md 3.8).

use crate::secret::Secret;
use jiff::Timestamp;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private, Public};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Builder, X509Name};

/// Validity, in seconds: ten years (3.8).
const VALIDITY: i64 = 10 * 365 * 86_400;

/// How far before now validity begins: device clocks are often wrong (3.8).
const BACKDATE: i64 = 2 * 86_400;

/// What a new station has.
pub(super) struct StationKeys {
    pub(super) root_certificate: Vec<u8>,
    pub(super) root_private_key: Secret<Vec<u8>>,
    pub(super) host_certificate: Vec<u8>,
    pub(super) host_private_key: Secret<Vec<u8>>,
}

/// Makes root and host: two RSA-2048 keys. PEM.
pub(super) fn make_station(now: Timestamp) -> Result<StationKeys, ErrorStack> {
    let root_key = PKey::from_rsa(Rsa::generate(2048)?)?;
    let host_key = PKey::from_rsa(Rsa::generate(2048)?)?;
    let mut root = draft(&root_key, now)?;
    root.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    root.sign(&root_key, MessageDigest::sha256())?;
    let mut host = draft(&host_key, now)?;
    add_leaf_extensions(&mut host)?;
    host.sign(&root_key, MessageDigest::sha256())?;
    Ok(StationKeys {
        root_certificate: root.build().to_pem()?,
        root_private_key: Secret::new(root_key.private_key_to_pem_pkcs8()?),
        host_certificate: host.build().to_pem()?,
        host_private_key: Secret::new(host_key.private_key_to_pem_pkcs8()?),
    })
}

/// The root, ready to sign device certificates.
pub(super) struct Issuer {
    certificate: X509,
    key: PKey<Private>,
    now: Timestamp,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl Issuer {
    pub(super) fn new(certificate: &[u8], key: &[u8], now: Timestamp) -> Result<Self, ErrorStack> {
        Ok(Self { certificate: X509::from_pem(certificate)?, key: PKey::private_key_from_pem(key)?, now })
    }

    /// A certificate over the device's own key; PEM.
    pub(super) fn certify_device(&self, public_key: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let key = read_public(public_key)?;
        let mut device = draft(&key, self.now)?;
        add_leaf_extensions(&mut device)?;
        let identifier =
            SubjectKeyIdentifier::new().build(&device.x509v3_context(Some(&self.certificate), None))?;
        device.append_extension(identifier)?;
        device.sign(&self.key, MessageDigest::sha256())?;
        device.build().to_pem()
    }
}

/// Devices give PKCS#1 ("RSA PUBLIC KEY", 3.5); the general form is read too.
fn read_public(pem: &[u8]) -> Result<PKey<Public>, ErrorStack> {
    match Rsa::public_key_from_pem_pkcs1(pem) {
        Ok(rsa) => PKey::from_rsa(rsa),
        Err(_) => PKey::public_key_from_pem(pem),
    }
}

/// A v3 certificate with empty names and serial 0, as every tool makes them (3.8).
fn draft<T: HasPublic>(key: &PKeyRef<T>, now: Timestamp) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(0)?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    let nobody = X509Name::builder()?.build();
    builder.set_subject_name(&nobody)?;
    builder.set_issuer_name(&nobody)?;
    let start = now.as_second() - BACKDATE;
    let begin = Asn1Time::from_unix(start)?;
    let end = Asn1Time::from_unix(start + VALIDITY)?;
    builder.set_not_before(&begin)?;
    builder.set_not_after(&end)?;
    builder.set_pubkey(key)?;
    Ok(builder)
}

fn add_leaf_extensions(builder: &mut X509Builder) -> Result<(), ErrorStack> {
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    let usage = KeyUsage::new().critical().digital_signature().key_encipherment().build()?;
    builder.append_extension(usage)
}
