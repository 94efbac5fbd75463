//! How a device reads a configuration profile (protocols.md 4.5, 4.10). Written apart from
//! the host's linter on purpose: the device is the judge of what the host lets through.

use crate::limits::PROFILE_REFUSE_BYTES;
use crate::wire::DEVICE_BUDGET;
use crate::wire::fields::Fields;
use crate::wire::mcinstall::InstalledProfile;
use crate::wire::property_list;
use openssl::cms::{CMSOptions, CmsContentInfo};
use plist::{Dictionary, Value};
use std::collections::BTreeSet;

/// Domain and code of one error, innermost last.
pub type Cause = (&'static str, i64);

/// MCProfileErrorDomain.
pub const PROFILE: &str = "MCProfileErrorDomain";
/// MCPayloadErrorDomain.
pub const PAYLOAD: &str = "MCPayloadErrorDomain";
/// MCInstallationErrorDomain.
pub const INSTALLATION: &str = "MCInstallationErrorDomain";
/// MCMDMErrorDomain.
pub const MDM: &str = "MCMDMErrorDomain";

/// PayloadType of an MDM payload.
pub const MDM_TYPE: &str = "com.apple.mdm";

/// Payloads that only supervised devices take (29000) and that a person cannot install by
/// hand (4.5: "single-app payloads").
const SUPERVISED_TYPES: &[&str] = &["com.apple.app.lock", "com.apple.proxy.http.global"];

/// A profile as the device understood it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceProfile {
    /// What GetProfileList shows.
    pub listed: InstalledProfile,
    /// TargetDeviceType.
    pub target: Option<i64>,
    /// Its payloads.
    pub payloads: Vec<Payload>,
    /// Certificate that signed it, DER; the first of the set.
    pub signer: Option<Vec<u8>>,
}

/// One payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// PayloadType.
    pub kind: String,
    /// PayloadUUID.
    pub uuid: String,
    /// All fields.
    pub fields: Dictionary,
}

impl Payload {
    /// True if it is installed by asking a server: an identity, the MDM (4.5 steps 5 and 6).
    pub fn asks_network(&self) -> bool {
        ["com.apple.security.scep", "com.apple.security.acme", MDM_TYPE].contains(&self.kind.as_str())
    }
}

impl DeviceProfile {
    /// Its MDM payload.
    pub fn mdm(&self) -> Option<&Payload> {
        self.payloads.iter().find(|p| p.kind == MDM_TYPE)
    }

    /// True if a payload must not be installed by hand (4.5).
    pub fn forbids_hands(&self) -> bool {
        self.payloads.iter().any(|p| p.kind == "com.apple.app.lock")
    }

    /// True if a payload needs supervision.
    pub fn needs_supervision(&self) -> bool {
        self.payloads.iter().any(|p| SUPERVISED_TYPES.contains(&p.kind.as_str()))
    }
}

/// Reads pushed bytes: a property list first, then CMS ("device order", 1.1 D).
///
/// # Errors
/// The chain below `MCInstallationErrorDomain` 4000.
pub fn parse(bytes: &[u8]) -> Result<DeviceProfile, Vec<Cause>> {
    if bytes.is_empty() {
        return Err(vec![(PROFILE, 1005)]);
    }
    if bytes.len() > PROFILE_REFUSE_BYTES {
        return Err(vec![(PROFILE, 1000)]);
    }
    if let Ok(value) = property_list::parse(bytes, DEVICE_BUDGET) {
        return read_root(value, None);
    }
    let (content, signer) = open_signed(bytes)?;
    let value = property_list::parse(&content, DEVICE_BUDGET).map_err(|_| vec![(PROFILE, 1000)])?;
    read_root(value, Some(signer))
}

/// Content and first certificate of a signed file whose signature is good. Whether the
/// signer is trusted only decides what the person reads on the screen.
///
/// # Errors
/// 1000 if it is no CMS, 1004 if the signature does not match.
pub fn open_signed(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Vec<Cause>> {
    let malformed = || vec![(PROFILE, 1000)];
    let mut cms = CmsContentInfo::from_der(bytes).map_err(|_| malformed())?;
    // A streaming signer writes indefinite lengths; OpenSSL's own encoding has none.
    let again = || first_certificate(&cms.to_der().ok()?).map(<[u8]>::to_vec);
    let signer = first_certificate(bytes).map(<[u8]>::to_vec).or_else(again).ok_or_else(malformed)?;
    let mut content = Vec::new();
    let flags = CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::BINARY;
    let verified = cms.verify(None, None, None, Some(&mut content), flags);
    verified.map_err(|_| vec![(PROFILE, 1004)])?;
    Ok((content, signer))
}

fn read_root(root: Value, signer: Option<Vec<u8>>) -> Result<DeviceProfile, Vec<Cause>> {
    let Value::Dictionary(root) = root else { return Err(vec![(PROFILE, 1000)]) };
    let listed = InstalledProfile {
        identifier: required(&root, "PayloadIdentifier")?,
        uuid: required(&root, "PayloadUUID")?,
        display_name: root.text("PayloadDisplayName").map(str::to_owned),
        organization: root.text("PayloadOrganization").map(str::to_owned),
        description: root.text("PayloadDescription").map(str::to_owned),
        version: version(&root)?,
        removal_disallowed: root.flag("PayloadRemovalDisallowed").unwrap_or(false),
    };
    match required(&root, "PayloadType")?.as_str() {
        "Configuration" => {}
        // An over-the-air stub (Profile Service) is a profile too; the simulator has no
        // network to follow it.
        _ => return Err(vec![(PROFILE, 1016)]),
    }
    if root.get("EncryptedPayloadContent").is_some() {
        return Err(vec![(PROFILE, 1006)]);
    }
    let content = match root.get("PayloadContent") {
        Some(Value::Array(content)) if content.is_empty() => return Err(vec![(PROFILE, 1005)]),
        Some(Value::Array(content)) => content,
        Some(_) => return Err(vec![(PROFILE, 1003)]),
        None => return Err(vec![(PROFILE, 1002)]),
    };
    let payloads = content.iter().map(read_payload).collect::<Result<Vec<_>, _>>()?;
    unique(&payloads, &listed)?;
    Ok(DeviceProfile { target: root.int("TargetDeviceType"), listed, payloads, signer })
}

fn required(fields: &Dictionary, key: &str) -> Result<String, Vec<Cause>> {
    match fields.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(vec![(PROFILE, 1003)]),
        None => Err(vec![(PROFILE, 1002)]),
    }
}

fn version(root: &Dictionary) -> Result<i64, Vec<Cause>> {
    match root.get("PayloadVersion") {
        None => Err(vec![(PROFILE, 1002)]),
        Some(value) => match value.as_signed_integer() {
            Some(1) => Ok(1),
            Some(_) => Err(vec![(PROFILE, 1001)]),
            None => Err(vec![(PROFILE, 1003)]),
        },
    }
}

fn read_payload(value: &Value) -> Result<Payload, Vec<Cause>> {
    let bad = |code| vec![(PROFILE, 1000), (PAYLOAD, code)];
    let fields = value.as_dictionary().ok_or_else(|| bad(2000))?;
    let text = |key| match fields.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(bad(2003)),
        None => Err(bad(2002)),
    };
    text("PayloadIdentifier")?;
    Ok(Payload { kind: text("PayloadType")?, uuid: text("PayloadUUID")?, fields: fields.clone() })
}

fn unique(payloads: &[Payload], listed: &InstalledProfile) -> Result<(), Vec<Cause>> {
    let mut uuids = BTreeSet::from([listed.uuid.to_ascii_uppercase()]);
    if !payloads.iter().all(|p| uuids.insert(p.uuid.to_ascii_uppercase())) {
        return Err(vec![(PROFILE, 1007)]);
    }
    let mut identifiers = BTreeSet::new();
    if !payloads.iter().all(|p| identifiers.insert(p.fields.text("PayloadIdentifier"))) {
        return Err(vec![(PROFILE, 1008)]);
    }
    Ok(())
}

/// Rules of the MDM payload itself: what stops an enrollment before the network is asked
/// (4.5 steps 2 and 5).
///
/// # Errors
/// The cause below 4001.
pub fn check_mdm(profile: &DeviceProfile, os_major: u32) -> Result<(), Vec<Cause>> {
    let Some(mdm) = profile.mdm() else { return Ok(()) };
    let text = |key| mdm.fields.text(key).filter(|t| !t.is_empty());
    if text("EnrollmentMode").is_some() || text("AssignedManagedAppleID").is_some() {
        return Err(vec![(INSTALLATION, 4022)]);
    }
    if text("ManagedAppleID").is_some() && os_major >= 18 {
        return Err(vec![(INSTALLATION, 4055)]);
    }
    match text("ServerURL") {
        None => return Err(vec![(MDM, 12011)]),
        Some(url) if !url.to_ascii_lowercase().starts_with("https://") => return Err(vec![(MDM, 12034)]),
        Some(_) => {}
    }
    match text("Topic") {
        None => return Err(vec![(MDM, 12098)]),
        Some(topic) if !topic.starts_with("com.apple.mgmt.") => return Err(vec![(MDM, 12022)]),
        Some(_) => {}
    }
    // 4.12: 0 is illegal; 2 needs 1; 128 needs 64.
    let rights = mdm.fields.int("AccessRights").unwrap_or(8191);
    let needs = |right: i64, other: i64| rights & right != 0 && rights & other == 0;
    if !(1..=8191).contains(&rights) || needs(2, 1) || needs(128, 64) {
        return Err(vec![(MDM, 12000)]);
    }
    let identity = text("IdentityCertificateUUID").and_then(|uuid| {
        profile.payloads.iter().find(|p| p.uuid.eq_ignore_ascii_case(uuid)).map(|p| p.kind.as_str())
    });
    match identity {
        Some("com.apple.security.scep" | "com.apple.security.pkcs12") => Ok(()),
        Some("com.apple.security.acme") if os_major >= 16 => Ok(()),
        _ => Err(vec![(MDM, 12005)]),
    }
}

/// What a replacement may not change (4.5): true if `new` agrees with `old`.
pub fn may_replace(old: &Payload, new: &Payload) -> bool {
    let same = |key: &str| old.fields.get(key) == new.fields.get(key);
    let fixed =
        ["Topic", "ServerURL", "CheckInURL", "ManagedAppleID", "EnrollmentMode", "RequiredAppIDForMDM"];
    let per_user = |p: &Payload| {
        let capabilities = p.fields.list("ServerCapabilities").unwrap_or_default();
        capabilities.iter().any(|c| c.as_string() == Some("com.apple.mdm.per-user-connections"))
    };
    let rights = |p: &Payload| p.fields.int("AccessRights").unwrap_or(8191);
    fixed.iter().all(|key| same(key)) && per_user(old) == per_user(new) && rights(new) & !rights(old) == 0
}

/// The first certificate of a SignedData's certificate set, DER. OpenSSL gives the set in no
/// order, and the first one is what the device compares (4.6).
pub fn first_certificate(cms: &[u8]) -> Option<&[u8]> {
    let (content_info, _) = element(cms, 0x30)?;
    let (_oid, rest) = element(content_info, 0x06)?;
    let (explicit, _) = element(rest, 0xA0)?;
    let (signed_data, _) = element(explicit, 0x30)?;
    let (_version, rest) = element(signed_data, 0x02)?;
    let (_digests, rest) = element(rest, 0x31)?;
    let (_content, rest) = element(rest, 0x30)?;
    let (certificates, _) = element(rest, 0xA0)?;
    let (_, after) = element(certificates, 0x30)?;
    Some(&certificates[..certificates.len() - after.len()])
}

/// Content of the DER element at the start, which must have this tag, and what follows it.
/// Indefinite lengths are not DER; a signer that uses them is refused as malformed.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], mut rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7F);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |n, d| (n << 8) | usize::from(*d));
        rest = after;
    }
    rest.split_at_checked(length)
}
