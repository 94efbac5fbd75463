//! What a request of today and a recorded one may differ in, and which requests may come in
//! another order.

use plist::{Dictionary, Value};

/// Fields that each station, or each run, has its own of. That they are there and of the
/// recorded type is all that is compared (3.6-3.8, 4.4-4.6).
pub const COMPUTED: &[&str] = &[
    "ChallengeResponse",
    "DeviceCertificate",
    "HostCertificate",
    "HostID",
    "HostName",
    "Label",
    "Payload",
    "RootCertificate",
    "SignedRequest",
    "SupervisorCertificate",
    "SystemBUID",
];

/// Requests that change nothing on the device, so that one more or less of something else
/// before them makes no difference: they may move inside their phase.
pub const READS: &[&str] = &[
    "GetCloudConfiguration",
    "GetProfileList",
    "GetValue",
    "HelloHostIdentifier",
    "Lookup",
    "ObserveNotification",
    "QueryType",
    "StartService",
];

/// What a device says on which nothing depends that a station does or how its job ends: it is
/// shown, or kept, or given back as it came, or nobody looks at it.
pub const UNREAD: &[&str] = &[
    // Shown, or kept with the job (3.5).
    "BluetoothAddress",
    "BuildVersion",
    "DeviceClass",
    "DeviceColor",
    "DeviceName",
    "HardwareModel",
    "HumanReadableProductVersionString",
    "InternationalMobileEquipmentIdentity",
    "ModelNumber",
    "ProductName",
    "RegionInfo",
    "SIMStatus",
    "SerialNumber",
    "UniqueChipID",
    "WiFiAddress",
    "PasswordProtected",
    "PayloadRemovalDisallowed",
    // Counts where ActivationState is not told (3.5).
    "BrickState",
    // Nobody looks at these.
    "BasebandStatus",
    "BoardId",
    "CPUArchitecture",
    "ChipID",
    "Description",
    "HasSiDP",
    "HostAttached",
    "IsActive",
    "OrderedIdentifiers",
    "OrganizationMagic",
    "PayloadDescription",
    "PayloadDisplayName",
    "PayloadOrganization",
    "PayloadVersion",
    "ProtocolVersion",
    "TelephonyCapability",
    "TimeIntervalSince1970",
    "TimeZone",
    "TrustedHostAttached",
    "Uses24HourClock",
    // Handles and nonces: given back as they came, whatever they are (3.7, 3.9, 3.10, 4.6).
    "Challenge",
    "EscrowBag",
    "PairingChallenge",
    "Port",
    "SessionID",
    // The replayed device has its own.
    "DevicePublicKey",
];

/// What a device says that counts in some jobs and in others not, and why not. Where it counts, a
/// replay with another value goes another way or ends otherwise; where not, both are the same.
pub const SOMETIMES: &[(&str, &str)] = &[
    ("Command", "what a device tells unasked lets the station look sooner; it looks anyway"),
    ("ConfigurationSource", "tells Automated Device Enrollment: counts in an erase, and where SCEP failed"),
    (
        "ErrorCode",
        "counts where the job ends with it and where a rule asks for it; a push may follow any other",
    ),
    ("ErrorDomain", "counts with its ErrorCode"),
    ("LocalizedDescription", "shown where a code is not known"),
    (
        "MDMServerURL",
        "one of the two names of an enrollment address is enough (profiles-and-enrollment.md 3.6)",
    ),
    ("Name", "of what is told unasked: see Command"),
    ("OrganizationName", "shown; counts where the device is prepared"),
    ("PayloadUUID", "counts of the job's own profiles, until they are proved; of others nobody asks it"),
    ("SetupState", "that it is told counts, and only if SetupDone does not say the same (3.5)"),
    (
        "SupervisorHostCertificates",
        "count where the device is prepared; the station's own is in no recording",
    ),
    ("USEnglishDescription", "shown where a code is not known"),
];

/// What a line of a recording says that is no frame and may be otherwise, and why.
pub const MARKS: &[(&str, &str)] = &[
    ("t", "a station takes its own time"),
    ("attached", "counts where the device tells its own UDID"),
    ("garbage", "how much of it makes no difference"),
];

/// True if nothing need depend on what stands under this key: by the lists above, or because
/// nobody named the key, and so nobody can look at it.
pub fn is_irrelevant(key: &str) -> bool {
    COMPUTED.contains(&key)
        || UNREAD.contains(&key)
        || SOMETIMES.iter().any(|(sometimes, _)| *sometimes == key)
        || key.starts_with("~unknown-")
}

/// True for the placeholder of a profile's identifier. Of profiles that are not the job's it counts
/// only that they are there, not what they are called (R28).
pub fn is_identifier(key: &str) -> bool {
    let number = key.strip_prefix("profile-");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// What a request is called: lockdown's `Request`, MCInstall's `RequestType`, the `Command`
/// of others.
pub(super) fn name(frame: &Dictionary) -> Option<&str> {
    let said = |key| frame.get(key).and_then(Value::as_string);
    said("Request").or(said("RequestType")).or(said("Command"))
}

/// True for a request that may move.
pub(super) fn is_read(frame: &Dictionary) -> bool {
    name(frame).is_some_and(|name| READS.contains(&name))
}

/// True for a request by which a profile is pushed (4.4).
pub(super) fn is_push(frame: &Dictionary) -> bool {
    matches!(name(frame), Some("InstallProfile" | "InstallProfileSilent"))
}

/// True if what the station says now is what it said then. Both are scrubbed.
pub(super) fn is_same(then: &Dictionary, now: &Dictionary) -> bool {
    then.len() == now.len()
        && then.iter().all(|(key, then)| {
            now.get(key).is_some_and(|now| match (then, now) {
                (then, now) if COMPUTED.contains(&key.as_str()) => is_same_type(then, now),
                (Value::Dictionary(then), Value::Dictionary(now)) => is_same(then, now),
                (then, now) => then == now,
            })
        })
}

fn is_same_type(then: &Value, now: &Value) -> bool {
    match (then, now) {
        // Texts of a form have one length.
        (Value::String(then), Value::String(now)) => !then.is_empty() && !now.is_empty(),
        (then, now) => std::mem::discriminant(then) == std::mem::discriminant(now),
    }
}

/// A frame as pairs of path and value, in order: what a person compares.
pub(super) fn flat(frame: &Dictionary) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (key, value) in frame {
        flatten(key.clone(), value, &mut out);
    }
    out.sort();
    out
}

fn flatten(path: String, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Dictionary(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, value)| flatten(format!("{path}.{key}"), value, out));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(n, item)| flatten(format!("{path}[{n}]"), item, out));
        }
        other => {
            let one = Dictionary::from_iter([(String::new(), other.clone())]);
            let json = crate::transport::recorder::entry::to_json(&one);
            out.push((path, json.get("").map(ToString::to_string).unwrap_or_default()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::{data, dictionary, string};

    #[test]
    fn a_key_stands_in_one_list_of_rules() {
        let mut keys: Vec<_> = COMPUTED.iter().chain(UNREAD).copied().collect();
        keys.extend(SOMETIMES.iter().map(|(key, _)| *key));
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn computed_fields_differ_freely_and_others_not_at_all() {
        let pair = |certificate: Option<Value>, options: &str| {
            let record = dictionary([("HostID", string("A")), ("HostCertificate", certificate)]);
            dictionary([
                ("Request", string("Pair")),
                ("PairRecord", Some(Value::Dictionary(record))),
                ("PairingOptions", string(options)),
            ])
        };
        let then = pair(data(b"then".to_vec()), "x");
        assert!(is_same(&then, &pair(data(b"now, and longer".to_vec()), "x")));
        assert!(!is_same(&then, &pair(string("now"), "x")), "another type");
        assert!(!is_same(&then, &pair(None, "x")), "missing");
        assert!(!is_same(&then, &pair(data(b"then".to_vec()), "y")), "a field that is not computed");
        assert!(is_read(&dictionary([("RequestType", string("GetProfileList"))])));
        assert!(!is_read(&then));
        let paths: Vec<_> = flat(&then).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["PairRecord.HostCertificate", "PairRecord.HostID", "PairingOptions", "Request"]);
    }
}
