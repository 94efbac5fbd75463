//! The station's identity: one root, one host certificate, one HostID, made once.

use super::certificate::{self, Issuer};
use super::private_file;
use crate::clock::Clock;
use crate::device::DeviceError;
use crate::limits::PAIR_RECORD_BYTES;
use crate::secret::Secret;
use crate::wire::fields::{Fields, data, dictionary, string};
use crate::wire::pair_record::PairRecord;
use crate::wire::property_list::{self, Budget};
use plist::{Dictionary, Value};
use std::path::Path;
use uuid::Uuid;

const BUDGET: Budget = Budget { bytes: PAIR_RECORD_BYTES, depth: 8, objects: 1000 };

/// Who this station is towards every device. Making it costs two RSA keys; it is made once
/// and kept, so pairing a device costs one signature (design section 6).
#[derive(Debug)]
pub struct StationIdentity {
    root_certificate: Vec<u8>,
    root_private_key: Secret<Vec<u8>>,
    host_certificate: Vec<u8>,
    host_private_key: Secret<Vec<u8>>,
    host_id: String,
    system_buid: String,
    issuer: Issuer,
}

impl StationIdentity {
    /// Reads the identity at `path`, or makes it and keeps it there (mode 0600).
    ///
    /// # Errors
    /// [`DeviceError::File`], [`DeviceError::Identity`]. An unreadable identity is never
    /// replaced: every paired device would be lost to us.
    pub fn load_or_create(path: &Path, clock: &Clock) -> Result<Self, DeviceError> {
        match private_file::read(path, PAIR_RECORD_BYTES)? {
            Some(bytes) => Self::from_bytes(&bytes, path, clock),
            None => {
                let made = Self::create(path, clock)?;
                private_file::write(path, made.to_bytes().expose())?;
                Ok(made)
            }
        }
    }

    /// A pair record for a device whose public key is `device_public_key` (PEM, PKCS#1 or
    /// SubjectPublicKeyInfo). One signature, no new key. `system_buid` is the mux's own
    /// identity where it has one: its records should agree (3.6).
    ///
    /// # Errors
    /// [`DeviceError::DeviceKey`].
    pub fn record_for(
        &self,
        device_public_key: &[u8],
        system_buid: Option<&str>,
        wifi_mac_address: Option<String>,
    ) -> Result<PairRecord, DeviceError> {
        let failed = |e: openssl::error::ErrorStack| DeviceError::DeviceKey { reason: e.to_string() };
        let device_certificate = self.issuer.certify_device(device_public_key).map_err(failed)?;
        Ok(PairRecord {
            device_certificate,
            host_certificate: self.host_certificate.clone(),
            host_private_key: self.host_private_key.clone(),
            root_certificate: self.root_certificate.clone(),
            root_private_key: Some(self.root_private_key.clone()),
            host_id: self.host_id.clone(),
            system_buid: system_buid.unwrap_or(&self.system_buid).to_owned(),
            escrow_bag: None,
            wifi_mac_address,
            others: Secret::new(Dictionary::new()),
        })
    }

    /// The SystemBUID of records that no mux has a say in.
    pub fn system_buid(&self) -> &str {
        &self.system_buid
    }

    fn create(path: &Path, clock: &Clock) -> Result<Self, DeviceError> {
        let failed = |e: openssl::error::ErrorStack| DeviceError::Identity {
            path: path.into(),
            reason: e.to_string(),
        };
        let made = certificate::make_station(clock.now()).map_err(failed)?;
        let issuer = Issuer::new(&made.root_certificate, made.root_private_key.expose(), clock.now());
        Ok(Self {
            issuer: issuer.map_err(failed)?,
            root_certificate: made.root_certificate,
            root_private_key: made.root_private_key,
            host_certificate: made.host_certificate,
            host_private_key: made.host_private_key,
            // The device compares HostID with the canonical upper-case text (3.6).
            host_id: Uuid::new_v4().to_string().to_uppercase(),
            system_buid: Uuid::new_v4().to_string().to_uppercase(),
        })
    }

    fn to_bytes(&self) -> Secret<Vec<u8>> {
        let fields = dictionary([
            ("HostCertificate", data(self.host_certificate.clone())),
            ("HostID", string(self.host_id.clone())),
            ("HostPrivateKey", data(self.host_private_key.expose().clone())),
            ("RootCertificate", data(self.root_certificate.clone())),
            ("RootPrivateKey", data(self.root_private_key.expose().clone())),
            ("SystemBUID", string(self.system_buid.clone())),
        ]);
        Secret::new(property_list::to_xml(&Value::Dictionary(fields)))
    }

    fn from_bytes(bytes: &Secret<Vec<u8>>, path: &Path, clock: &Clock) -> Result<Self, DeviceError> {
        let unusable = |reason: String| DeviceError::Identity { path: path.into(), reason };
        let value = property_list::parse(bytes.expose(), BUDGET).map_err(|e| unusable(e.to_string()))?;
        let fields = value.as_dictionary().ok_or_else(|| unusable("not a dictionary".into()))?;
        let blob = |key: &str| {
            fields.bytes(key).map(<[u8]>::to_vec).ok_or_else(|| unusable(format!("{key} is missing")))
        };
        let text = |key: &str| {
            fields.text(key).map(str::to_owned).ok_or_else(|| unusable(format!("{key} is missing")))
        };
        let root_certificate = blob("RootCertificate")?;
        let root_private_key = Secret::new(blob("RootPrivateKey")?);
        let issuer = Issuer::new(&root_certificate, root_private_key.expose(), clock.now());
        Ok(Self {
            issuer: issuer.map_err(|e| unusable(e.to_string()))?,
            root_certificate,
            root_private_key,
            host_certificate: blob("HostCertificate")?,
            host_private_key: Secret::new(blob("HostPrivateKey")?),
            host_id: text("HostID")?,
            system_buid: text("SystemBUID")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::rsa::Rsa;
    use openssl::x509::X509;

    #[test]
    fn the_identity_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.plist");
        let first = StationIdentity::load_or_create(&path, &Clock::System).unwrap();
        let again = StationIdentity::load_or_create(&path, &Clock::System).unwrap();
        assert_eq!(first.host_id, again.host_id);
        assert_eq!(first.root_private_key, again.root_private_key);
        assert_eq!(first.host_id, first.host_id.to_uppercase());
        assert!(!format!("{first:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn an_unreadable_identity_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.plist");
        std::fs::write(&path, "garbage").unwrap();
        assert!(StationIdentity::load_or_create(&path, &Clock::System).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"garbage");
    }

    #[test]
    fn the_record_has_the_certificates_of_section_3_8() {
        let folder = tempfile::tempdir().unwrap();
        let station = StationIdentity::load_or_create(&folder.path().join("i"), &Clock::System).unwrap();
        let key = Rsa::generate(1024).unwrap();
        for pem in [key.public_key_to_pem_pkcs1().unwrap(), key.public_key_to_pem().unwrap()] {
            let record = station.record_for(&pem, Some("BUID"), None).unwrap();
            let root = X509::from_pem(&record.root_certificate).unwrap();
            for leaf in [&record.host_certificate, &record.device_certificate] {
                let leaf = X509::from_pem(leaf).unwrap();
                assert!(leaf.verify(&root.public_key().unwrap()).unwrap());
                assert_eq!(leaf.subject_name().entries().count(), 0);
                assert_eq!(leaf.version(), 2);
            }
            let device = X509::from_pem(&record.device_certificate).unwrap();
            assert_eq!(device.public_key().unwrap().rsa().unwrap().n(), key.n());
            assert!(device.subject_key_id().is_some());
            assert_eq!(record.system_buid, "BUID");
        }
        assert!(station.record_for(b"no key", None, None).is_err());
    }
}
