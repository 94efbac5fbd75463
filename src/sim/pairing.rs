//! What a device demands of an offered pair record (protocols.md 3.6 row 9, 3.8).

use super::keys::DeviceKey;
use crate::wire::lockdown::ErrorName;
use crate::wire::pair_record::OfferedRecord;
use openssl::error::ErrorStack;
use openssl::x509::X509;
use plist::Dictionary;

/// Reads and checks a record: the HostID's form, readable certificates, and that the device
/// certificate is for this device's key and made by the record's root.
///
/// # Errors
/// `InvalidPairRecord`.
pub(super) fn check(record: &Dictionary, key: &DeviceKey) -> Result<OfferedRecord, ErrorName> {
    let invalid = ErrorName::InvalidPairRecord;
    let offered = OfferedRecord::from_dictionary(record).map_err(|_| invalid.clone())?;
    let certificates_fit = certificates_fit(&offered, key).unwrap_or(false);
    if is_upper_case_uuid(&offered.host_id) && certificates_fit { Ok(offered) } else { Err(invalid) }
}

fn certificates_fit(offered: &OfferedRecord, key: &DeviceKey) -> Result<bool, ErrorStack> {
    let root = X509::from_pem(&offered.root_certificate)?;
    let host = X509::from_pem(&offered.host_certificate)?;
    let device = X509::from_pem(&offered.device_certificate)?;
    let root_key = root.public_key()?;
    // The device's own copy of its public key, not one derived from what was offered.
    let is_ours = device.public_key()?.public_eq(&key.private);
    Ok(is_ours && device.verify(&root_key)? && host.verify(&root_key)?)
}

/// "The device parses it and compares with the canonical text" (3.6).
fn is_upper_case_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'A'..=b'F').contains(&b),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_id_is_an_upper_case_uuid() {
        assert!(is_upper_case_uuid("1111AAAA-0000-4000-8000-000000000000"));
        for bad in ["1111aaaa-0000-4000-8000-000000000000", "1111AAAA00004000800000000000000000", ""] {
            assert!(!is_upper_case_uuid(bad), "{bad}");
        }
    }
}
