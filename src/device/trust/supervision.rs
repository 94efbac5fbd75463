//! Supervision identities: the organisation's certificates and keys, by which a station pairs
//! with its supervised devices and installs on them without a tap (protocols.md 3.7, 4.6; R133).

use super::private_file;
use crate::device::DeviceError;
use crate::secret::Secret;
use jiff::Timestamp;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::sha::sha256;
use openssl::x509::X509;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// An organisation may have so many (R133).
pub const MOST_IDENTITIES: usize = 10;

/// Largest file of an identity, in bytes: a key, a certificate and its chain come to 20 KiB.
const IDENTITY_BYTES: usize = 256 << 10;

/// Why a file is no supervision identity.
#[derive(Debug, thiserror::Error)]
pub enum SupervisionError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] DeviceError),
    /// It is not there.
    #[error("the supervision identity {} is not there", .0.display())]
    Absent(PathBuf),
    /// It wants a password, and none or another was given.
    #[error("the password of the supervision identity {} is missing or wrong", .0.display())]
    Password(PathBuf),
    /// Encrypted as only old tools do it.
    #[error("the supervision identity {} is encrypted in an old way that is not supported", .0.display())]
    OldEncryption(PathBuf),
    /// It holds no certificate, or no private key, or is neither PEM nor PKCS#12.
    #[error("{} holds no supervision identity: {reason}", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// More than an organisation can have.
    #[error("{0} supervision identities are too many; a device knows at most {MOST_IDENTITIES}")]
    TooMany(usize),
}

/// Whether a certificate holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    Holds,
    NotYet,
    Over,
}

/// A certificate that devices know, with its private key.
pub struct SupervisionIdentity {
    name: String,
    certificate: X509,
    der: Vec<u8>,
    key: Secret<PKey<Private>>,
}

impl std::fmt::Debug for SupervisionIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SupervisionIdentity").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SupervisionIdentity {
    /// Reads PEM with certificate and key, or PKCS#12.
    ///
    /// # Errors
    /// [`SupervisionError`].
    pub fn read(path: &Path, password: Option<&Secret<String>>) -> Result<Self, SupervisionError> {
        let Some(bytes) = private_file::read(path, IDENTITY_BYTES)? else {
            return Err(SupervisionError::Absent(path.into()));
        };
        let bytes = bytes.expose();
        let is_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
        let (certificate, key) =
            if is_pem { pem(path, bytes, password)? } else { pkcs12(path, bytes, password)? };
        let unfit = |_| unfit(path, "its certificate cannot be read");
        let der = certificate.to_der().map_err(unfit)?;
        let name = common_name(&certificate).unwrap_or_else(|| path.display().to_string());
        Ok(Self { name, certificate, der, key: Secret::new(key) })
    }

    /// Common name of its certificate; else its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.der
    }

    /// Its name, and what is wrong with its certificate at `now`.
    pub fn described(&self, now: Timestamp) -> String {
        let name = crate::wire::printable::printable(&self.name);
        match self.term(now) {
            Term::Holds => name,
            Term::NotYet => format!("{name}, valid from {} on", self.certificate.not_before()),
            Term::Over => format!("{name}, expired {}", self.certificate.not_after()),
        }
    }

    /// True if its certificate holds at `now`. Whether a device minds is for the device to say.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.term(now) == Term::Holds
    }

    fn term(&self, now: Timestamp) -> Term {
        let Ok(now) = Asn1Time::from_unix(now.as_second()) else { return Term::Holds };
        let compared = |time: &Asn1TimeRef| time.compare(&now).unwrap_or(Ordering::Equal);
        if compared(self.certificate.not_before()) == Ordering::Greater {
            Term::NotYet
        } else if compared(self.certificate.not_after()) == Ordering::Less {
            Term::Over
        } else {
            Term::Holds
        }
    }

    /// Answers a challenge as 4.6 demands: the content attached byte for byte (binary: a line
    /// feed stays one), SHA-256, our certificate the only one.
    pub(crate) fn sign(&self, challenge: &Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, DeviceError> {
        let signed = || {
            let content = Some(challenge.expose().as_slice());
            let (certificate, key) = (Some(&*self.certificate), Some(&**self.key.expose()));
            CmsContentInfo::sign(certificate, key, None, content, CMSOptions::BINARY)?.to_der()
        };
        let failed =
            |error: ErrorStack| DeviceError::Signing { name: self.name.clone(), reason: error.to_string() };
        signed().map(Secret::new).map_err(failed)
    }
}

/// The identities of a station, at most ten.
#[derive(Debug, Default)]
pub struct Supervisors(Vec<SupervisionIdentity>);

impl Supervisors {
    /// Reads them; `password` is that of each that has one.
    ///
    /// # Errors
    /// [`SupervisionError`].
    pub fn read(files: &[PathBuf], password: Option<&Secret<String>>) -> Result<Self, SupervisionError> {
        if files.len() > MOST_IDENTITIES {
            return Err(SupervisionError::TooMany(files.len()));
        }
        let read = |file: &PathBuf| SupervisionIdentity::read(file, password);
        Ok(Self(files.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// All of them, in the order of the configuration.
    pub fn all(&self) -> &[SupervisionIdentity] {
        &self.0
    }

    /// The one that a device lists among its supervisors (R133), by SHA-256 of certificates.
    pub fn among(&self, listed: &[[u8; 32]]) -> Option<&SupervisionIdentity> {
        self.0.iter().find(|identity| listed.contains(&sha256(&identity.der)))
    }
}

fn unfit(path: &Path, reason: &'static str) -> SupervisionError {
    SupervisionError::Unfit { path: path.into(), reason }
}

type Pair = (X509, PKey<Private>);

fn pem(path: &Path, bytes: &[u8], password: Option<&Secret<String>>) -> Result<Pair, SupervisionError> {
    let contains = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    if !contains(b"PRIVATE KEY-----") {
        return Err(unfit(path, "there is no private key in it"));
    }
    // Without a callback OpenSSL would ask on the terminal.
    let give = |buffer: &mut [u8]| {
        let password = password.map_or(&b""[..], |p| p.expose().as_bytes());
        let room = buffer.get_mut(..password.len());
        Ok(room.map_or(0, |room| {
            room.copy_from_slice(password);
            password.len()
        }))
    };
    let locked = contains(b"ENCRYPTED");
    let key = PKey::private_key_from_pem_callback(bytes, give).map_err(|_| match locked {
        true => SupervisionError::Password(path.into()),
        false => unfit(path, "its private key cannot be read"),
    })?;
    let certificates =
        X509::stack_from_pem(bytes).map_err(|_| unfit(path, "its certificate cannot be read"))?;
    belonging(path, certificates, key)
}

fn pkcs12(path: &Path, bytes: &[u8], password: Option<&Secret<String>>) -> Result<Pair, SupervisionError> {
    let parsed = Pkcs12::from_der(bytes).map_err(|_| unfit(path, "it is neither PEM nor PKCS#12"))?;
    let opened = parsed.parse2(password.map_or("", |p| p.expose())).map_err(|stack| {
        let old = stack.errors().iter().any(|e| e.reason().is_some_and(|r| r.contains("unsupported")));
        match old {
            true => SupervisionError::OldEncryption(path.into()),
            false => SupervisionError::Password(path.into()),
        }
    })?;
    let key = opened.pkey.ok_or_else(|| unfit(path, "there is no private key in it"))?;
    let more = opened.ca.into_iter().flatten();
    belonging(path, opened.cert.into_iter().chain(more).collect(), key)
}

/// The certificate that is the key's; others are its chain.
fn belonging(path: &Path, certificates: Vec<X509>, key: PKey<Private>) -> Result<Pair, SupervisionError> {
    if certificates.is_empty() {
        return Err(unfit(path, "there is no certificate in it"));
    }
    let is_its = |c: &X509| c.public_key().is_ok_and(|public| public.public_eq(&key));
    let found = certificates.into_iter().find(is_its);
    Ok((found.ok_or_else(|| unfit(path, "its key belongs to another certificate"))?, key))
}

fn common_name(certificate: &X509) -> Option<String> {
    let entry = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
    entry.data().to_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::stack::Stack;
    use openssl::symm::Cipher;

    const SUPERVISOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/identities/supervisor.pem");

    fn constructed() -> SupervisionIdentity {
        SupervisionIdentity::read(Path::new(SUPERVISOR), None).unwrap()
    }

    fn content_of(signed: &[u8], identity: &SupervisionIdentity) -> Vec<u8> {
        let mut cms = CmsContentInfo::from_der(signed).unwrap();
        let mut signers = Stack::new().unwrap();
        signers.push(identity.certificate.clone()).unwrap();
        let mut content = Vec::new();
        let flags = CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::NOINTERN | CMSOptions::BINARY;
        cms.verify(Some(&signers), None, None, Some(&mut content), flags).unwrap();
        content
    }

    /// The traps of 4.6: what a signer that takes them for text gets wrong.
    #[test]
    fn challenges_are_signed_byte_for_byte() {
        let identity = constructed();
        for challenge in [&b"\n"[..], b"\r", b"\r\n", b"a\nb\rc\r\nd\0", b"\0\0\n\n", b"ends\n"] {
            let signed = identity.sign(&Secret::new(challenge.to_vec())).unwrap();
            assert_eq!(content_of(signed.expose(), &identity), challenge);
        }
    }

    #[test]
    fn files_that_are_no_identity_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let good = std::fs::read_to_string(SUPERVISOR).unwrap();
        let certificate = constructed().certificate.to_pem().unwrap();
        let certificate = String::from_utf8(certificate).unwrap();
        let other = openssl::rsa::Rsa::generate(2048).unwrap();
        let other_key = PKey::from_rsa(other).unwrap();
        let other_pem = String::from_utf8(other_key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        let locked = other_key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"right").unwrap();
        let locked = format!("{certificate}{}", String::from_utf8(locked).unwrap());
        let said = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            SupervisionIdentity::read(&path, None).map(|_| ()).unwrap_err().to_string()
        };
        assert!(said("a", "nonsense").ends_with("it is neither PEM nor PKCS#12"));
        assert!(said("b", &certificate).ends_with("there is no private key in it"));
        assert!(said("c", &other_pem).ends_with("there is no certificate in it"));
        assert!(said("d", &format!("{certificate}{other_pem}")).ends_with("another certificate"));
        assert!(said("e", &locked).contains("password"));
        assert!(said("f", &good.replace("PRIVATE KEY", "PUBLIC THING")).contains("no private key"));
        let absent = SupervisionIdentity::read(&folder.path().join("none"), None).map(|_| ()).unwrap_err();
        assert!(absent.to_string().ends_with("is not there"));
    }

    #[test]
    fn pkcs12_is_opened_with_its_password_alone() {
        let identity = constructed();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.p12");
        let built = Pkcs12::builder()
            .name("bench")
            .pkey(identity.key.expose())
            .cert(&identity.certificate)
            .build2("right")
            .unwrap();
        std::fs::write(&path, built.to_der().unwrap()).unwrap();
        let read = |password: &str| SupervisionIdentity::read(&path, Some(&Secret::new(password.to_owned())));
        assert_eq!(read("right").unwrap().certificate(), identity.certificate());
        for wrong in ["wrong", ""] {
            assert!(matches!(read(wrong), Err(SupervisionError::Password(_))), "{wrong}");
        }
    }

    #[test]
    fn the_identity_a_device_lists_is_found() {
        let supervisors = Supervisors::read(&[SUPERVISOR.into()], None).unwrap();
        let listed = [sha256(b"another"), sha256(constructed().certificate())];
        assert!(supervisors.among(&listed).is_some() && supervisors.among(&listed[..1]).is_none());
        let eleven = vec![PathBuf::from(SUPERVISOR); 11];
        assert!(matches!(Supervisors::read(&eleven, None), Err(SupervisionError::TooMany(11))));
        assert!(!constructed().is_valid("2990-01-01T00:00:00Z".parse().unwrap()));
        assert!(!format!("{:?}", constructed()).contains("PRIVATE"));
    }
}
