//! Example enrollment profiles F01 and F02 (profiles-and-enrollment.md 7), constructed
//! from facts; not from a device or a server.
//!
//! Used by tests and by the simulator. No secret in them is real.

use super::ber::{self, tag};
use super::signed_data::{DATA, SIGNED_DATA, SIGNING_TIME};
use crate::wire::property_list::{Dictionary, Value};
use jiff::{SignedDuration, Timestamp};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// What an example says; the default is BASE of section 7.
#[derive(Debug, Clone)]
pub struct ExampleOptions {
    /// `PayloadIdentifier` of the root; payloads append `.scep`, `.acme` or `.mdm`.
    pub identifier: String,
    /// `PayloadUUID` of the root.
    pub uuid: String,
    /// `PayloadUUID` of the identity.
    pub identity_uuid: String,
    /// `PayloadUUID` of the MDM payload.
    pub mdm_uuid: String,
    /// `PayloadDisplayName` of the root.
    pub display_name: String,
    /// `PayloadOrganization` of the root.
    pub organization: String,
    /// Host of the MDM server.
    pub mdm_host: String,
    /// Host of the SCEP server.
    pub scep_host: String,
    /// Host of the ACME server.
    pub acme_host: String,
    /// Challenge of SCEP, or client identifier of ACME: fake, but treated like a secret.
    pub challenge: Option<String>,
    /// Push topic.
    pub topic: String,
}

impl Default for ExampleOptions {
    fn default() -> Self {
        let uuid = |last: u8| format!("1111AAAA-0000-4000-8000-00000000000{last}");
        Self {
            identifier: "Microsoft.Profiles.MDM".to_owned(),
            uuid: uuid(0),
            identity_uuid: uuid(1),
            mdm_uuid: uuid(2),
            display_name: "Management Profile".to_owned(),
            organization: "Contoso Bench".to_owned(),
            mdm_host: "mdm.bench.example".to_owned(),
            scep_host: "scep.bench.example".to_owned(),
            acme_host: "acme.bench.example".to_owned(),
            challenge: None,
            topic: "com.apple.mgmt.External.22222222-0000-4000-8000-000000000000".to_owned(),
        }
    }
}

/// F01: identity by SCEP.
pub fn scep_plist(options: &ExampleOptions) -> Value {
    let challenge = options.challenge.as_deref().unwrap_or("FAKE-CHALLENGE-0001");
    let settings = dictionary([
        ("URL", format!("https://{}/scep", options.scep_host).into()),
        ("Name", "Bench".into()),
        ("Challenge", challenge.into()),
        ("Keysize", 2048.into()),
        ("Key Type", "RSA".into()),
        ("Key Usage", 5.into()),
        ("Subject", subject()),
        ("Retries", 3.into()),
        ("RetryDelay", 10.into()),
    ]);
    let mut scep =
        payload("com.apple.security.scep", format!("{}.scep", options.identifier), &options.identity_uuid);
    scep.insert("PayloadContent".to_owned(), settings.into());
    root(options, scep)
}

/// F02: identity by ACME.
pub fn acme_plist(options: &ExampleOptions) -> Value {
    let client = options.challenge.as_deref().unwrap_or("FAKE-CLIENT-0001");
    let mut acme =
        payload("com.apple.security.acme", format!("{}.acme", options.identifier), &options.identity_uuid);
    acme.extend(dictionary([
        ("DirectoryURL", format!("https://{}/acme/apple/directory", options.acme_host).into()),
        ("ClientIdentifier", client.into()),
        ("KeyType", "ECSECPrimeRandom".into()),
        ("KeySize", 384.into()),
        ("HardwareBound", true.into()),
        ("Attest", true.into()),
        ("UsageFlags", 1.into()),
        ("Subject", subject()),
    ]));
    root(options, acme)
}

fn root(options: &ExampleOptions, identity: Dictionary) -> Value {
    let server = |handler: &str| format!("https://{}/devicegatewayproxy/{handler}.ashx", options.mdm_host);
    let mut mdm = payload("com.apple.mdm", format!("{}.mdm", options.identifier), &options.mdm_uuid);
    let capabilities = ["com.apple.mdm.per-user-connections", "com.apple.mdm.token"];
    mdm.extend(dictionary([
        ("IdentityCertificateUUID", options.identity_uuid.as_str().into()),
        ("Topic", options.topic.as_str().into()),
        ("ServerURL", server("ioshandler").into()),
        ("CheckInURL", server("ioscheckinhandler").into()),
        ("AccessRights", 8191.into()),
        ("SignMessage", true.into()),
        ("CheckOutWhenRemoved", true.into()),
        ("ServerCapabilities", Value::Array(capabilities.into_iter().map(Value::from).collect())),
    ]));
    let mut root = payload("Configuration", options.identifier.clone(), &options.uuid);
    root.extend(dictionary([
        ("PayloadDisplayName", options.display_name.as_str().into()),
        ("PayloadOrganization", options.organization.as_str().into()),
        ("PayloadContent", Value::Array(vec![identity.into(), mdm.into()])),
    ]));
    root.into()
}

fn payload(kind: &str, identifier: String, uuid: &str) -> Dictionary {
    dictionary([
        ("PayloadType", kind.into()),
        ("PayloadVersion", 1.into()),
        ("PayloadIdentifier", identifier.into()),
        ("PayloadUUID", uuid.into()),
    ])
}

fn subject() -> Value {
    let name = ["CN", "00000000-aaaa-4bbb-8ccc-000000000001"].map(Value::from).to_vec();
    Value::Array(vec![Value::Array(vec![Value::Array(name)])])
}

fn dictionary<const N: usize>(entries: [(&str, Value); N]) -> Dictionary {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A signer as in SIGN of section 7: `CN=IOSProfileSigning.bench.example`, for one year,
/// under Bench Intermediate under Bench Root. Its keys are made anew each time.
pub struct Signer {
    root: X509,
    intermediate: X509,
    leaf: X509,
    key: PKey<Private>,
}

/// How a signature is written; the default is what most tools write.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignatureShape {
    /// The signer's word on the time; without it there is no such attribute.
    pub signing_time: Option<Timestamp>,
    /// Leave the content out.
    pub detached: bool,
    /// BER with indefinite lengths and the content in chunks, as streaming tools write.
    pub indefinite: bool,
    /// Leave the certificates out.
    pub without_certificates: bool,
    /// Digest with SHA-1, as old tools did.
    pub sha1: bool,
}

impl SignatureShape {
    fn digest(self) -> (MessageDigest, &'static [u8]) {
        match self.sha1 {
            true => (MessageDigest::sha1(), SHA1),
            false => (MessageDigest::sha256(), SHA256),
        }
    }
}

impl Signer {
    /// Makes keys and certificates valid from a day before `now`: the leaf for a year,
    /// the others for ten.
    pub fn new(now: Timestamp) -> Result<Self, ErrorStack> {
        let (root_key, intermediate_key) = (ec_key()?, ec_key()?);
        let key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let root = Certificate { name: "Bench Root", key: &root_key, now, years: 10, issuer: None };
        let root = root.build(&root_key, true)?;
        let intermediate = Certificate {
            name: "Bench Intermediate",
            key: &intermediate_key,
            now,
            years: 10,
            issuer: Some(&root),
        };
        let intermediate = intermediate.build(&root_key, true)?;
        let leaf = Certificate {
            name: "IOSProfileSigning.bench.example",
            key: &key,
            now,
            years: 1,
            issuer: Some(&intermediate),
        };
        let leaf = leaf.build(&intermediate_key, false)?;
        Ok(Self { root, intermediate, leaf, key })
    }

    /// The root certificate as PEM, to be trusted.
    pub fn root_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.root.to_pem()
    }

    /// The signing certificate.
    pub fn leaf(&self) -> &X509 {
        &self.leaf
    }

    /// Its private key: fake, made for this signer.
    pub fn key(&self) -> &PKey<Private> {
        &self.key
    }

    /// The certificate between leaf and root.
    pub fn intermediate(&self) -> &X509 {
        &self.intermediate
    }

    /// Signs as a server does on download: DER, SHA-256, content attached.
    pub fn sign(&self, content: &[u8], signing_time: Timestamp) -> Result<Vec<u8>, ErrorStack> {
        self.sign_as(
            content,
            SignatureShape { signing_time: Some(signing_time), ..SignatureShape::default() },
        )
    }

    /// Signs in another shape. (OpenSSL's own call cannot set the signing time.)
    pub fn sign_as(&self, content: &[u8], shape: SignatureShape) -> Result<Vec<u8>, ErrorStack> {
        let wrap = if shape.indefinite { ber::write_indefinite } else { ber::write };
        let algorithm = ber::write(tag::SEQUENCE, &[&oid(shape.digest().1)]);
        let encapsulated = match shape.detached {
            true => wrap(tag::SEQUENCE, &[&oid(DATA)]),
            false => wrap(tag::SEQUENCE, &[&oid(DATA), &wrap(tag::CONTEXT_0, &[&octets(content, shape)])]),
        };
        let certificates = match shape.without_certificates {
            true => Vec::new(),
            false => wrap(tag::CONTEXT_0, &[&self.leaf.to_der()?, &self.intermediate.to_der()?]),
        };
        let signed_data = wrap(
            tag::SEQUENCE,
            &[
                &ber::write(tag::INTEGER, &[&[1]]),
                &ber::write(tag::SET, &[&algorithm]),
                &encapsulated,
                &certificates,
                &ber::write(tag::SET, &[&self.signer_info(content, shape, &algorithm)?]),
            ],
        );
        Ok(wrap(tag::SEQUENCE, &[&oid(SIGNED_DATA), &wrap(tag::CONTEXT_0, &[&signed_data])]))
    }

    fn signer_info(
        &self,
        content: &[u8],
        shape: SignatureShape,
        algorithm: &[u8],
    ) -> Result<Vec<u8>, ErrorStack> {
        let attributes = attributes(content, shape)?;
        let mut signer = openssl::sign::Signer::new(shape.digest().0, &self.key)?;
        signer.update(&ber::write(tag::SET, &[&attributes]))?;
        let signature = signer.sign_to_vec()?;
        let mut serial = self.leaf.serial_number().to_bn()?.to_vec();
        if serial.first().is_none_or(|byte| byte & 0x80 != 0) {
            serial.insert(0, 0);
        }
        let issuer = self.leaf.issuer_name().to_der()?;
        let id = ber::write(tag::SEQUENCE, &[&issuer, &ber::write(tag::INTEGER, &[&serial])]);
        let encryption = ber::write(tag::SEQUENCE, &[&oid(RSA), &ber::write(tag::NULL, &[])]);
        let version = ber::write(tag::INTEGER, &[&[1]]);
        let attributes = ber::write(tag::CONTEXT_0, &[&attributes]);
        let signature = ber::write(tag::OCTETS, &[&signature]);
        Ok(ber::write(tag::SEQUENCE, &[&version, &id, algorithm, &attributes, &encryption, &signature]))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer([redacted])")
    }
}

/// 2.16.840.1.101.3.4.2.1
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// 1.3.14.3.2.26
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.113549.1.9.3
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
/// 1.2.840.113549.1.9.4
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];

fn oid(content: &[u8]) -> Vec<u8> {
    ber::write(tag::OID, &[content])
}

/// The signed attributes of 1.6, in the order DER wants of a set.
fn attributes(content: &[u8], shape: SignatureShape) -> Result<Vec<u8>, ErrorStack> {
    let attribute =
        |id: &[u8], value: Vec<u8>| ber::write(tag::SEQUENCE, &[&oid(id), &ber::write(tag::SET, &[&value])]);
    let digest = hash(shape.digest().0, content)?;
    let mut all = vec![
        attribute(CONTENT_TYPE, oid(DATA)),
        attribute(MESSAGE_DIGEST, ber::write(tag::OCTETS, &[&digest])),
    ];
    if let Some(time) = shape.signing_time {
        let text = time.strftime("%y%m%d%H%M%SZ").to_string();
        all.push(attribute(SIGNING_TIME, ber::write(tag::UTC_TIME, &[text.as_bytes()])));
    }
    all.sort();
    Ok(all.concat())
}

fn octets(content: &[u8], shape: SignatureShape) -> Vec<u8> {
    if !shape.indefinite {
        return ber::write(tag::OCTETS, &[content]);
    }
    let chunks: Vec<_> = content.chunks(1024).map(|chunk| ber::write(tag::OCTETS, &[chunk])).collect();
    ber::write_indefinite(tag::OCTET_CHUNKS, &chunks.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn ec_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

/// A certificate to be made.
struct Certificate<'a> {
    name: &'a str,
    key: &'a PKey<Private>,
    now: Timestamp,
    years: i64,
    /// None: signs itself.
    issuer: Option<&'a X509>,
}

impl Certificate<'_> {
    fn build(&self, issuer_key: &PKey<Private>, authority: bool) -> Result<X509, ErrorStack> {
        let name = name(self.name)?;
        let mut serial = [0; 8];
        openssl::rand::rand_bytes(&mut serial)?;
        serial[0] = 1;
        let mut builder = X509Builder::new()?;
        builder.set_version(2)?;
        builder.set_serial_number(&*BigNum::from_slice(&serial)?.to_asn1_integer()?)?;
        builder.set_subject_name(&name)?;
        builder.set_issuer_name(self.issuer.map_or(&*name, |issuer| issuer.subject_name()))?;
        builder.set_pubkey(self.key)?;
        let day = SignedDuration::from_hours(24).as_secs();
        let start = self.now.as_second() - day;
        builder.set_not_before(&*Asn1Time::from_unix(start as _)?)?;
        builder.set_not_after(&*Asn1Time::from_unix((start + self.years * 365 * day) as _)?)?;
        if authority {
            builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
            builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        } else {
            builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
            builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        }
        let issuer = self.issuer.map(|issuer| &**issuer);
        let key_id = SubjectKeyIdentifier::new().build(&builder.x509v3_context(issuer, None))?;
        builder.append_extension(key_id)?;
        if self.issuer.is_some() {
            let context = builder.x509v3_context(issuer, None);
            let issuer_id = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
            builder.append_extension(issuer_id)?;
        }
        builder.sign(issuer_key, MessageDigest::sha256())?;
        Ok(builder.build())
    }
}

fn name(common: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, common)?;
    Ok(builder.build())
}
