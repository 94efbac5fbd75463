//! What comes over a wire: a mux's socket, a device's services, a server.

use super::script::{Script, assert_same};
use crate::device::Facts;
use crate::ids::MuxId;
use crate::limits;
use crate::proto::pairing::Pairing;
use crate::wire::fields::Fields;
use crate::wire::lockdown::{self, ErrorName};
use crate::wire::mcinstall::{self, RemovalKey};
use crate::wire::pair_record::{OfferedRecord, PairRecord};
use crate::wire::plist_frame::FrameDecoder;
use crate::wire::property_list::{self, Budget};
use crate::wire::service_config::{self, ServiceConfig};
use crate::wire::usbmuxd::{self, MuxWireError, PacketDecoder};
use crate::wire::{device_log, installation_proxy, notification_proxy};
use jiff::Timestamp;
use plist::{Dictionary, Value};

/// Small, so that short inputs reach it.
const FRAME_LIMIT: usize = 300;

/// The socket of usbmuxd, from both its ends: bytes in any pieces, and messages that are made.
pub fn usbmuxd(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    if script.yes() {
        return usbmuxd_message(&mut script);
    }
    let limit = if script.yes() { limits::MUX_REQUEST_BYTES } else { FRAME_LIMIT };
    let mut decoder = PacketDecoder::new(limit);
    let mut fed = 0;
    while !script.is_over() {
        let piece = script.bytes();
        decoder.feed(piece);
        fed += piece.len();
        loop {
            match decoder.next_packet() {
                Ok(Some(packet)) => usbmuxd_payload(&packet.payload),
                Ok(None) => break,
                Err(MuxWireError::Length(length)) => {
                    assert!(!(16..=limit).contains(&length));
                    return;
                }
                // The packet is skipped; the stream goes on.
                Err(_) => {}
            }
        }
    }
    assert!(decoder.into_rest().len() <= fed);
}

fn usbmuxd_message(script: &mut Script<'_>) {
    const KEYS: &[&str] = &[
        "BUID",
        "ClientVersionString",
        "ConnectionSpeed",
        "ConnectionType",
        "DeviceID",
        "DeviceList",
        "ListenerList",
        "LocationID",
        "MessageType",
        "Number",
        "PairRecordData",
        "PairRecordID",
        "PortNumber",
        "ProductID",
        "Properties",
        "SerialNumber",
        "Simulated",
    ];
    const WORDS: &[&str] = &[
        "Attached",
        "Connect",
        "DeletePairRecord",
        "Detached",
        "Listen",
        "ListDevices",
        "ListListeners",
        "Network",
        "Paired",
        "ReadBUID",
        "ReadPairRecord",
        "Result",
        "SavePairRecord",
        "USB",
        "00008110-001A2B3C4D5E6F70",
    ];
    let tag = script.word();
    let mut payload = script.message(KEYS, WORDS);
    if let Some(kind) = script.pick(WORDS) {
        payload.insert("MessageType".to_owned(), Value::String(kind.to_owned()));
    }
    usbmuxd_payload(&payload);
    // What is made of a message is whole, whatever it says, and says the same again.
    let said = usbmuxd::Message::from_payload(&payload).to_payload();
    let mut decoder = PacketDecoder::new(limits::MUX_REPLY_BYTES);
    decoder.feed(&usbmuxd::Packet { tag, payload: said }.encode());
    let again = decoder.next_packet().expect("our own message").expect("all of it");
    assert_eq!(again.tag, tag);
    assert!(decoder.into_rest().is_empty());
}

fn usbmuxd_payload(payload: &Dictionary) {
    let message = usbmuxd::Message::from_payload(payload);
    assert_same(&message, &usbmuxd::Message::from_payload(&message.to_payload()));
    if let Ok(request) = usbmuxd::Request::from_payload(payload) {
        assert_same(&Ok(request.clone()), &usbmuxd::Request::from_payload(&request.to_payload()));
        if let usbmuxd::Request::Connect { device: MuxId(_), port } = request {
            assert_eq!(payload.uint("PortNumber"), Some(u64::from(port.swap_bytes())));
        }
    }
}

/// Frames of lockdown and its services, in any pieces.
pub fn plist_frame(bytes: &[u8]) {
    const BUDGET: Budget = Budget { bytes: 4 * FRAME_LIMIT, depth: 8, objects: 200 };
    let mut script = Script::new(bytes);
    let limit = if script.yes() { 4 * FRAME_LIMIT } else { FRAME_LIMIT };
    let mut decoder = FrameDecoder::new(limit);
    let (mut fed, mut taken) = (0, 0);
    while !script.is_over() {
        let piece = script.bytes();
        fed += piece.len();
        match script.yes() {
            true => decoder.feed(piece),
            false => decoder.spare().extend_from_slice(piece),
        }
        while let Ok(Some(body)) = decoder.next_frame() {
            assert!(!body.is_empty() && body.len() <= limit);
            taken += 4 + body.len();
            let _ = property_list::parse_answer(&body, BUDGET);
        }
        assert!(taken <= fed);
        if decoder.next_frame().is_err() {
            return;
        }
        assert_eq!(decoder.is_midway(), taken < fed, "bytes were lost or made");
    }
}

/// Answers of lockdown, the values in them, and the requests a device reads.
pub fn lockdown(bytes: &[u8]) {
    const KEYS: &[&str] = &[
        "ActivationState",
        "BrickState",
        "BuildVersion",
        "ChallengeResponse",
        "ConfigurationSource",
        "DeviceClass",
        "DeviceName",
        "Domain",
        "EnableServiceSSL",
        "EnableSessionSSL",
        "Error",
        "EscrowBag",
        "ExtendedPairingErrors",
        "ExtendedResponse",
        "HostID",
        "HostName",
        "InternationalMobileEquipmentIdentity",
        "IsSupervised",
        "Key",
        "OrganizationName",
        "PairRecord",
        "PairingChallenge",
        "PairingOptions",
        "PasswordProtected",
        "Port",
        "ProductType",
        "ProductVersion",
        "Request",
        "Result",
        "SerialNumber",
        "Service",
        "SessionID",
        "SetupDone",
        "SetupFinishedAllSteps",
        "SetupState",
        "SkipSetup",
        "SupervisorCertificate",
        "SupervisorHostCertificates",
        "SystemBUID",
        "TimeIntervalSince1970",
        "Type",
        "UniqueChipID",
        "UniqueDeviceID",
        "Value",
        "Warning",
    ];
    const WORDS: &[&str] = &[
        "18.2",
        "00008110-001A2B3C4D5E6F70",
        "Activated",
        "EnterRecovery",
        "Failure",
        "GetValue",
        "Goodbye",
        "MCChallengeRequired",
        "Pair",
        "PairingDialogResponsePending",
        "PasswordProtected",
        "QueryType",
        "RemoveValue",
        "SetValue",
        "StartService",
        "StartSession",
        "StopSession",
        "Unactivated",
        "Unpair",
        "UserDeniedPairing",
        "com.apple.mobile.lockdown",
        "iPhone",
    ];
    let mut script = Script::new(bytes);
    let now = Timestamp::from_second(i64::from(script.word())).unwrap_or_default();
    let fields = script.message(KEYS, WORDS);
    let reply = lockdown::Reply::new(fields.clone());
    if let Some(error) = reply.error() {
        let known = !matches!(error.name, ErrorName::Other(_));
        assert!(known || error.name.as_str().chars().count() <= limits::DEVICE_TEXT_CHARS);
        assert!(error.detail.is_none_or(|detail| detail.chars().count() <= limits::DEVICE_TEXT_CHARS));
    }
    let _ = (Pairing::of(&reply), reply.session(), reply.kind(), reply.escrow_bag());
    assert!(reply.service().is_none_or(|(port, _)| port != 0));
    lockdown_values(&fields, now);
    if let Ok(request) = lockdown::Request::from_plist(&fields) {
        let Value::Dictionary(written) = request.to_plist("fuzz") else { panic!("a dictionary") };
        assert_same(&Ok(request), &lockdown::Request::from_plist(&written));
    }
}

fn lockdown_values(values: &Dictionary, now: Timestamp) {
    let mut facts = Facts::default();
    facts.take_default_domain(values);
    facts.take_setup_domain(values);
    facts.take_cloud_configuration(Some(values));
    facts.compare_clock(now);
    let before = facts.clone();
    facts.take_default_domain(&Dictionary::new());
    assert_same(&before, &facts);
    let texts = [&facts.serial, &facts.name, &facts.class, &facts.imei, &facts.os_version];
    assert!(texts.into_iter().flatten().all(|text| text.chars().count() <= 200));
    let _ = (facts.os(), facts.is_unactivated());
}

/// Answers of MCInstall with their error chains, and the requests a device reads.
pub fn mcinstall(bytes: &[u8]) {
    const KEYS: &[&str] = &[
        "Challenge",
        "CloudConfiguration",
        "DisallowProximitySetup",
        "ErrorChain",
        "ErrorCode",
        "ErrorDomain",
        "LocalizedDescription",
        "OrderedIdentifiers",
        "Payload",
        "PayloadDescription",
        "PayloadDisplayName",
        "PayloadIdentifier",
        "PayloadOrganization",
        "PayloadRemovalDisallowed",
        "PayloadUUID",
        "PayloadVersion",
        "PreserveDataPlan",
        "ProfileIdentifier",
        "ProfileManifest",
        "ProfileMetadata",
        "RequestType",
        "SignedRequest",
        "Status",
        "SupervisorCertificate",
        "USEnglishDescription",
    ];
    const WORDS: &[&str] = &[
        "Acknowledged",
        "CertificateRejected",
        "CommandFormatError",
        "DMCInstallationErrorDomain",
        "Disconnect",
        "EraseDevice",
        "Error",
        "Escalate",
        "EscalateResponse",
        "Flush",
        "GetCloudConfiguration",
        "GetProfileList",
        "InstallProfile",
        "InstallProfileSilent",
        "MCInstallationErrorDomain",
        "MCMDMErrorDomain",
        "MCProfileErrorDomain",
        "Microsoft.Profiles.MDM",
        "RemoveProfile",
        "SetCloudConfiguration",
        "SignedRequestRejected",
        "a.b",
    ];
    let mut script = Script::new(bytes);
    let fields = script.message(KEYS, WORDS);
    let reply = mcinstall::Reply::new(fields.clone());
    let chain = reply.error_chain();
    assert!(chain.links().len() <= limits::ERROR_CHAIN_LINKS);
    assert_eq!(chain.is_empty(), chain.cause().is_none());
    let text = |text: &Option<String>| text.as_ref().map_or(0, |text| text.chars().count());
    let longest = chain.links().iter().map(|l| text(&l.english).max(text(&l.localized)));
    assert!(longest.max().unwrap_or(0) <= limits::DEVICE_TEXT_CHARS);
    assert_eq!(mcinstall::Reply::error(&chain).error_chain(), chain);
    let _ =
        (chain.to_string(), chain.means_queued(), reply.status(), reply.challenge(), format!("{reply:?}"));
    mcinstall_profiles(&reply);
    let mut facts = Facts::default();
    facts.take_cloud_configuration(reply.cloud_configuration());
    if let Ok(request) = mcinstall::Request::from_plist(&fields) {
        // A list inside data is written as XML, which does not hold every text.
        if let mcinstall::Request::RemoveProfile(RemovalKey::Full { .. }) = request {
            return;
        }
        let Value::Dictionary(written) = request.to_plist() else { panic!("a dictionary") };
        assert_same(&Ok(request), &mcinstall::Request::from_plist(&written));
    }
}

/// A profile that a device names anywhere is listed, and the list reads back.
fn mcinstall_profiles(reply: &mcinstall::Reply) {
    let mut profiles = reply.profiles();
    profiles.sort_by(|a, b| a.identifier.cmp(&b.identifier));
    profiles.dedup_by(|a, b| a.identifier == b.identifier);
    let mut again = mcinstall::Reply::profile_list(&profiles).profiles();
    again.sort_by(|a, b| a.identifier.cmp(&b.identifier));
    assert_eq!(again, profiles);
}

/// Pair records: those of a mux or of a file, and those a host offers a device.
pub fn pair_record(bytes: &[u8]) {
    const KEYS: &[&str] = &[
        "DeviceCertificate",
        "EscrowBag",
        "HostCertificate",
        "HostID",
        "HostPrivateKey",
        "RootCertificate",
        "RootPrivateKey",
        "SystemBUID",
        "UDID",
        "WiFiMACAddress",
    ];
    if let Ok(record) = PairRecord::from_bytes(bytes) {
        reads_back(&record);
    }
    let fields = Script::new(bytes).message(KEYS, &["-----BEGIN CERTIFICATE-----", "H", "u"]);
    let _ = OfferedRecord::from_dictionary(&fields);
    let made = property_list::to_xml(&Value::Dictionary(fields));
    if let Ok(record) = PairRecord::from_bytes(&made) {
        let offered = OfferedRecord::from_dictionary(&record.for_device());
        assert_eq!(offered.map(|offered| offered.host_id), Ok(record.host_id.clone()));
        reads_back(&record);
    }
}

/// A record that was read is stored and read again by every later session.
fn reads_back(record: &PairRecord) {
    let again = PairRecord::from_bytes(record.to_bytes().expose());
    let again = again.unwrap_or_else(|error| panic!("{error}: {record:?}"));
    assert_same(record, &again);
}

/// The small ones: notification and installation proxies, a device's log, what a Profile URL
/// answers.
pub fn services(bytes: &[u8]) {
    const KEYS: &[&str] = &[
        "BundleIDs",
        "CFBundleIdentifier",
        "ClientOptions",
        "Command",
        "Error",
        "LookupResult",
        "Name",
        "ReturnAttributes",
        "Status",
    ];
    const WORDS: &[&str] = &[
        "Complete",
        "Lookup",
        "ObserveNotification",
        "PostNotification",
        "ProxyDeath",
        "RelayNotification",
        "Shutdown",
        installation_proxy::COMPANY_PORTAL,
        notification_proxy::PROFILE_LIST_CHANGED,
    ];
    let mut script = Script::new(bytes);
    match script.byte() % 3 {
        0 => {
            let text = String::from_utf8_lossy(script.rest());
            let _ = text.lines().filter_map(device_log::network_sign).count();
        }
        1 => {
            let json = script.rest();
            let addresses = ServiceConfig::parse(json).into_iter();
            let addresses = addresses.flat_map(|config| [Some(config.enrollment_url), config.anchors_url]);
            assert!(addresses.flatten().all(|url| url.expose().to_ascii_lowercase().starts_with("https://")));
            let _ = service_config::parse_anchors(json);
        }
        _ => {
            let fields = script.message(KEYS, WORDS);
            let message = notification_proxy::Message::from_plist(&fields);
            let Value::Dictionary(written) = message.to_plist() else { panic!("a dictionary") };
            assert_eq!(notification_proxy::Message::from_plist(&written), message);
            let _ = installation_proxy::lists(&fields, installation_proxy::COMPANY_PORTAL);
            if let Some(lookup) = installation_proxy::Lookup::from_plist(&fields) {
                let Value::Dictionary(answer) = lookup.answer(&lookup.bundles) else {
                    panic!("a dictionary")
                };
                let listed = |bundle: &String| installation_proxy::lists(&answer, bundle) == Some(true);
                assert!(lookup.bundles.iter().all(listed));
            }
        }
    }
}
