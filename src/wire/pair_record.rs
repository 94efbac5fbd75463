//! The pair record: what host and device keep of their trust (protocols.md 2.6, 3.6).

use super::fields::{Fields, data, dictionary, string};
use super::property_list::{self, Budget, PlistError};
use crate::limits;
use crate::secret::Secret;
use plist::{Dictionary, Value};

const BUDGET: Budget = Budget { bytes: limits::PAIR_RECORD_BYTES, depth: 8, objects: 1000 };

/// A pair record as a file or as the mux stores it. A secret of the strength of the
/// device's trust: private halves are wrapped, and `Debug` shows none of them.
#[derive(Debug, Clone, PartialEq)]
pub struct PairRecord {
    /// Certificate of the device, signed by the root; PEM.
    pub device_certificate: Vec<u8>,
    /// Certificate of this host; PEM.
    pub host_certificate: Vec<u8>,
    /// Key of this host; PEM.
    pub host_private_key: Secret<Vec<u8>>,
    /// Certificate that signed the other two; PEM.
    pub root_certificate: Vec<u8>,
    /// Key of the root; PEM. Absent in records that keep it elsewhere.
    pub root_private_key: Option<Secret<Vec<u8>>>,
    /// Identity of the host towards this device: an upper-case UUID.
    pub host_id: String,
    /// Identity of the station.
    pub system_buid: String,
    /// Opens some services on a locked device; absent if the device was locked when it
    /// was paired (3.6).
    pub escrow_bag: Option<Secret<Vec<u8>>>,
    /// The device's Wi-Fi address; absent on some.
    pub wifi_mac_address: Option<String>,
    /// Fields other tools added, kept as they were.
    pub others: Secret<Dictionary>,
}

/// Why a stored record is of no use.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PairRecordError {
    /// Not an acceptable property list.
    #[error("the stored pair record is unreadable: {0}")]
    Plist(#[from] PlistError),
    /// Not a dictionary.
    #[error("the stored pair record is not a dictionary")]
    Shape,
    /// A field without which no session can be started.
    #[error("the stored pair record lacks {0}")]
    Missing(&'static str),
}

impl PairRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// [`PairRecordError`]: the record cannot be used to start a session; pair again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PairRecordError> {
        let Value::Dictionary(mut fields) = property_list::parse(bytes, BUDGET)? else {
            return Err(PairRecordError::Shape);
        };
        let mut take = |key: &'static str| match fields.remove(key) {
            Some(Value::Data(bytes)) => Some(bytes),
            Some(Value::String(text)) => Some(text.into_bytes()),
            _ => None,
        };
        let need = |key, value: Option<Vec<u8>>| value.ok_or(PairRecordError::Missing(key));
        let root_private_key = take("RootPrivateKey").map(Secret::new);
        let root_certificate = need("RootCertificate", take("RootCertificate"))?;
        // Some tools keep one pair for both roles (3.9: "LIM uses the root pair").
        let host_certificate = take("HostCertificate").unwrap_or_else(|| root_certificate.clone());
        let host_private_key = take("HostPrivateKey").map(Secret::new).or_else(|| root_private_key.clone());
        Ok(Self {
            device_certificate: need("DeviceCertificate", take("DeviceCertificate"))?,
            host_certificate,
            host_private_key: host_private_key.ok_or(PairRecordError::Missing("HostPrivateKey"))?,
            root_certificate,
            root_private_key,
            host_id: text_of(take("HostID")).ok_or(PairRecordError::Missing("HostID"))?,
            system_buid: text_of(take("SystemBUID")).unwrap_or_default(),
            escrow_bag: take("EscrowBag").map(Secret::new),
            wifi_mac_address: text_of(take("WiFiMACAddress")),
            others: Secret::new(fields),
        })
    }

    /// The record as an XML property list, private keys included: for the mux and our own
    /// store only.
    pub fn to_bytes(&self) -> Secret<Vec<u8>> {
        let hidden =
            |secret: &Option<Secret<Vec<u8>>>| secret.as_ref().and_then(|s| data(s.expose().clone()));
        let mut fields = self.for_device();
        fields.extend(dictionary([
            ("EscrowBag", hidden(&self.escrow_bag)),
            ("HostPrivateKey", data(self.host_private_key.expose().clone())),
            ("RootPrivateKey", hidden(&self.root_private_key)),
            ("WiFiMACAddress", self.wifi_mac_address.clone().map(Value::String)),
        ]));
        fields.extend(self.others.expose().clone());
        Secret::new(property_list::to_xml(&Value::Dictionary(fields)))
    }

    /// The half the device gets in Pair: certificates and names, never a private key (3.6).
    pub fn for_device(&self) -> Dictionary {
        dictionary([
            ("DeviceCertificate", data(self.device_certificate.clone())),
            ("HostCertificate", data(self.host_certificate.clone())),
            ("HostID", string(self.host_id.clone())),
            ("RootCertificate", data(self.root_certificate.clone())),
            ("SystemBUID", string(self.system_buid.clone())),
        ])
    }
}

fn text_of(bytes: Option<Vec<u8>>) -> Option<String> {
    String::from_utf8(bytes?).ok()
}

/// What a device reads out of the `PairRecord` of a Pair request.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferedRecord {
    /// PEM of the device's certificate, made by the host.
    pub device_certificate: Vec<u8>,
    /// PEM of the host's certificate.
    pub host_certificate: Vec<u8>,
    /// PEM of the root.
    pub root_certificate: Vec<u8>,
    /// Host identity.
    pub host_id: String,
    /// Station identity.
    pub system_buid: String,
}

impl OfferedRecord {
    /// Reads it.
    ///
    /// # Errors
    /// The name of the field that is missing or mistyped.
    pub fn from_dictionary(fields: &Dictionary) -> Result<Self, &'static str> {
        let bytes = |key: &'static str| fields.bytes(key).map(<[u8]>::to_vec).ok_or(key);
        let text = |key: &'static str| fields.text(key).map(str::to_owned).ok_or(key);
        Ok(Self {
            device_certificate: bytes("DeviceCertificate")?,
            host_certificate: bytes("HostCertificate")?,
            root_certificate: bytes("RootCertificate")?,
            host_id: text("HostID")?,
            system_buid: text("SystemBUID")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> PairRecord {
        PairRecord {
            device_certificate: b"device".to_vec(),
            host_certificate: b"host".to_vec(),
            host_private_key: Secret::new(b"canary-host-key".to_vec()),
            root_certificate: b"root".to_vec(),
            root_private_key: Some(Secret::new(b"canary-root-key".to_vec())),
            host_id: "H".into(),
            system_buid: "B".into(),
            escrow_bag: Some(Secret::new(b"canary-bag".to_vec())),
            wifi_mac_address: None,
            others: Secret::new(dictionary([("UDID", string("u"))])),
        }
    }

    #[test]
    fn a_record_reads_back_with_the_fields_of_others() {
        let bytes = record().to_bytes();
        assert_eq!(PairRecord::from_bytes(bytes.expose()), Ok(record()));
    }

    #[test]
    fn the_device_gets_no_private_key() {
        let keys: Vec<_> = record().for_device().keys().cloned().collect();
        assert_eq!(keys, ["DeviceCertificate", "HostCertificate", "HostID", "RootCertificate", "SystemBUID"]);
        assert!(!format!("{:?}", record()).contains("canary"));
    }

    #[test]
    fn a_record_without_escrow_bag_or_host_pair_still_serves() {
        let fields = dictionary([
            ("DeviceCertificate", data(*b"d")),
            ("HostID", string("H")),
            ("RootCertificate", data(*b"r")),
            ("RootPrivateKey", data(*b"k")),
        ]);
        let read = PairRecord::from_bytes(&property_list::to_xml(&Value::Dictionary(fields))).unwrap();
        assert_eq!(read.host_certificate, b"r");
        assert_eq!(read.host_private_key.expose(), b"k");
        assert_eq!(read.escrow_bag, None);
    }
}
