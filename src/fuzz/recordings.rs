//! Recordings: read from files that anybody may have edited, and written of frames that any
//! device may have sent.

use super::script::{Script, assert_same};
use crate::transport::recorder::entry::{Entry, What, to_frame, to_json};
use crate::transport::recorder::meta::Meta;
use crate::transport::recorder::scrub::Scrubber;

/// What no recording may hold: no word of a protocol, as values that are public are.
const CANARY: &str = "Ann's canary: 7F3E";

/// Lines and heads of recordings read back; frames lose what they must not give away.
pub fn recording(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    match script.byte() % 3 {
        0 => String::from_utf8_lossy(script.rest()).lines().for_each(line),
        1 => {
            if let Ok(meta) = Meta::parse(&String::from_utf8_lossy(script.rest())) {
                let text = meta.text();
                assert_eq!(Meta::parse(&text), Ok(meta), "{text}");
            }
        }
        _ => scrubbed(&mut script),
    }
}

fn line(text: &str) {
    let Ok(entry) = Entry::parse(text) else { return };
    let written = entry.line();
    assert!(!written.contains('\n'));
    assert_same(&Ok(entry.clone()), &Entry::parse(&written));
    if let What::Host(json) | What::Device(json) = &entry.what
        && let Ok(frame) = to_frame(json)
    {
        assert_same(&Ok(frame.clone()), &to_frame(&to_json(&frame)));
    }
}

fn scrubbed(script: &mut Script<'_>) {
    const KEYS: &[&str] = &[
        "Challenge",
        "CloudConfiguration",
        "DeviceName",
        "Error",
        "ErrorChain",
        "ErrorCode",
        "ErrorDomain",
        "EscrowBag",
        "HostID",
        "InternationalMobileEquipmentIdentity",
        "Key",
        "LocalizedDescription",
        "OrderedIdentifiers",
        "OrganizationName",
        "PairRecord",
        "Payload",
        "PayloadIdentifier",
        "PayloadUUID",
        "ProfileIdentifier",
        "ProfileManifest",
        "ProfileMetadata",
        "ProductType",
        "Request",
        "RequestType",
        "SerialNumber",
        "Service",
        "SessionID",
        "Status",
        "UniqueChipID",
        "UniqueDeviceID",
        "Value",
        "WiFiAddress",
        "Anything",
    ];
    const WORDS: &[&str] =
        &[CANARY, "Acknowledged", "GetValue", "InstallProfile", "PasswordProtected", "Trusted", "iPhone16,2"];
    let mut scrubber = Scrubber::default();
    let frame = script.message(KEYS, WORDS);
    let clean = scrubber.at(1_600_000_000.0).frame(&frame);
    let json = to_json(&clean);
    assert!(!json.to_string().contains(CANARY), "{json}");
    let again = to_frame(&json).map(|frame| to_json(&Scrubber::default().frame(&frame)));
    assert_eq!(again, Ok(json), "what is clean is scrubbed again");
}
