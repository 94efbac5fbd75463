//! Keys of simulated devices: distinct for neighbours, made beforehand because making an
//! RSA key takes longer than a whole enrollment.

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use std::sync::OnceLock;

const PEMS: &str = include_str!("../../fixtures/identities/simulated-devices.pem");
const END: &str = "-----END PRIVATE KEY-----";

/// A device's key pair.
#[derive(Debug, Clone)]
pub(super) struct DeviceKey {
    /// Private half: the device's end of TLS.
    pub(super) private: PKey<Private>,
    /// `DevicePublicKey`: PEM "RSA PUBLIC KEY", PKCS#1 (3.5).
    pub(super) public_pem: Vec<u8>,
}

/// The key of device number `index`: number `index` modulo 16 of the fixture.
pub(super) fn device_key(index: usize) -> Result<DeviceKey, ErrorStack> {
    static KEYS: OnceLock<Vec<DeviceKey>> = OnceLock::new();
    let keys = match KEYS.get() {
        Some(keys) => keys,
        None => {
            let made = PEMS.split_inclusive(END).filter(|pem| pem.contains("BEGIN")).map(read_key);
            let made = made.collect::<Result<Vec<_>, _>>()?;
            KEYS.get_or_init(|| made)
        }
    };
    Ok(keys[index % keys.len()].clone())
}

fn read_key(pem: &str) -> Result<DeviceKey, ErrorStack> {
    let private = PKey::private_key_from_pem(pem.as_bytes())?;
    let public_pem = private.rsa()?.public_key_to_pem_pkcs1()?;
    Ok(DeviceKey { private, public_pem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_neighbours_have_sixteen_keys() {
        let pems: std::collections::BTreeSet<_> =
            (0..16).map(|n| device_key(n).unwrap().public_pem).collect();
        assert_eq!(pems.len(), 16);
        assert!(pems.iter().all(|pem| pem.starts_with(b"-----BEGIN RSA PUBLIC KEY-----")));
        assert_eq!(device_key(0).unwrap().public_pem, device_key(16).unwrap().public_pem);
    }
}
