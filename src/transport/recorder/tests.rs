use super::entry::{to_frame, to_json};
use super::meta::ProfileMeta;
use super::scrub::Scrubber;
use super::*;
use crate::wire::fields::{data, dictionary, string};
use crate::wire::plist_frame;
use plist::Value;
use std::fs;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const UDID: &str = "00008110-001A2B3C4D5E6F70";
const NOW: f64 = 1_790_000_000.0;

fn secrets() -> Dictionary {
    let values = dictionary([
        ("DeviceName", string("canary of Ann")),
        ("ProductType", string("iPhone16,2")),
        ("ProductVersion", string("18.2")),
        ("SerialNumber", string("F2LCANARY123")),
        ("UniqueDeviceID", string(UDID)),
        ("UniqueChipID", Some(Value::from(0x001A_2B3C_4D5E_6F70_u64))),
        ("WiFiAddress", string("a4:83:e7:01:02:03")),
        ("InternationalMobileEquipmentIdentity", string("359876543210987")),
        ("canary-key", string("canary")),
        ("BrickState", Some(Value::Boolean(true))),
        ("TimeIntervalSince1970", Some(Value::Real(NOW + 92.0))),
    ]);
    dictionary([
        ("Request", string("GetValue")),
        ("EscrowBag", data(vec![0xca; 32])),
        ("Error", Some(Value::Dictionary(dictionary([("canary", string("canary"))])))),
        ("Value", Some(Value::Dictionary(values))),
    ])
}

#[test]
fn secrets_become_placeholders_and_placeholders_stay() {
    let once = Scrubber::default().at(NOW).frame(&secrets());
    assert_eq!(Scrubber::default().frame(&once), once, "a fixed point");
    let read = to_frame(&to_json(&once)).unwrap();
    assert_eq!(Scrubber::default().frame(&read), once, "and after it was written");
    let shown = format!("{once:?}").to_lowercase();
    for secret in ["canary", "f2l", "8110", "a4:83", "ann", "202, 202", "3598"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let values = once["Value"].as_dictionary().unwrap();
    assert_eq!(values["ProductType"].as_string(), Some("iPhone16,2"));
    assert_eq!(values["BrickState"].as_boolean(), Some(true));
    assert_eq!(values["UniqueDeviceID"].as_string(), Some("00000000-0000000000000001"));
    assert_eq!(values["WiFiAddress"].as_string(), Some("00:00:00:00:00:01"));
    assert_eq!(values["TimeIntervalSince1970"].as_real(), Some(120.0));
    assert_eq!(values["DeviceName"].as_string(), Some("~DeviceName-1~~~"));
    assert_eq!(once["EscrowBag"].as_data().map(<[u8]>::len), Some(32));
}

#[test]
fn the_same_secret_is_the_same_placeholder_and_another_is_another() {
    let mut scrubber = Scrubber::default();
    let host = |id: &str| dictionary([("HostID", string(id))]);
    let mut ask = |id: &str| scrubber.frame(&host(id))["HostID"].as_string().unwrap().to_owned();
    let first = ask("11111111-AAAA-4000-8000-000000000000");
    let second = ask("22222222-AAAA-4000-8000-000000000000");
    assert_ne!(first, second);
    assert_eq!(ask("11111111-AAAA-4000-8000-000000000000"), first);
    // What a replayed device says keeps its number, and takes it from others.
    assert_eq!(ask("00000000-0000-4000-8000-000000000007"), "00000000-0000-4000-8000-000000000007");
    assert_eq!(ask("33333333-AAAA-4000-8000-000000000000"), "00000000-0000-4000-8000-000000000008");
}

#[test]
fn a_value_of_another_type_or_form_than_the_list_says_is_hidden() {
    let odd = dictionary([
        ("ProductType", string("a canary of several words")),
        ("SerialNumber", Some(Value::from(359_876_543_210_987_u64))),
        ("ErrorCode", Some(Value::from(359_876_543_210_987_u64))),
        ("Domain", string("canary.domain")),
        ("HostID", data(b"canary-of-bytes".to_vec())),
        ("Port", Some(Value::Uid(plist::Uid::new(123_456_789)))),
        ("TimeZone", string("canary/ö1")),
    ]);
    let once = Scrubber::default().frame(&odd);
    let shown = format!("{once:?}");
    for secret in ["canary", "3598765", "123456789"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert_eq!(Scrubber::default().frame(&once), once);
}

/// A placeholder of what has not the form its key says may have that form by its length.
#[test]
fn placeholders_of_any_length_stay() {
    let keys = ["SerialNumber", "UniqueDeviceID", "WiFiAddress", "HostID", "ProfileIdentifier", "DeviceName"];
    for (key, length) in keys.iter().flat_map(|key| (1..80).map(move |length| (key, length))) {
        let secret = "S".repeat(length);
        let once = Scrubber::default().frame(&dictionary([(*key, string(&secret))]));
        assert!(length < 4 || !format!("{once:?}").contains(&secret), "{key} of {length} in {once:?}");
        assert_eq!(Scrubber::default().frame(&once), once, "{key} of {length}");
    }
}

const SERIAL: &str = "TMQPUB8AWG";

/// A device that repeats its serial number where a word belongs, before or after it was met.
#[test]
fn a_secret_in_the_place_of_a_word_is_hidden() {
    for text in
        [SERIAL.to_owned(), SERIAL.to_lowercase(), format!("com.apple.{SERIAL}"), format!("X{SERIAL}")]
    {
        for key in allow::words() {
            let mut scrubber = Scrubber::default();
            let before = scrubber.frame(&dictionary([(key, string(&text))]));
            scrubber.frame(&dictionary([("SerialNumber", string(SERIAL))]));
            let after = scrubber.frame(&dictionary([(key, string(&text))]));
            for frame in [before, after] {
                assert!(frame[key].as_string().unwrap().starts_with(&format!("~{key}-")), "{frame:?}");
                assert_eq!(Scrubber::default().frame(&frame), frame);
            }
        }
    }
}

/// Some forms leave room for a short secret.
#[test]
fn a_word_that_repeats_a_secret_is_hidden() {
    let build = |key: &str, name: &str, build: &str| {
        let mut scrubber = Scrubber::default();
        scrubber.frame(&dictionary([("Value", Some(Value::Dictionary(dictionary([(key, string(name))]))))]));
        let frame = scrubber.frame(&dictionary([("BuildVersion", string(build))]));
        frame["BuildVersion"].as_string().unwrap().to_owned()
    };
    assert_eq!(build("DeviceName", "22c152", "22C152"), "~BuildVersion-1~");
    assert_eq!(build("DeviceName", "22C152", "22C1521a"), "~BuildVersion-1~");
    assert_eq!(build("DeviceName", "2C152", "22C152"), "22C152", "so short a one may be there by chance");
    assert_eq!(build("SupplementalBuildVersion", "22C152", "22C152"), "22C152", "systems say it twice");
    let mut scrubber = Scrubber::default();
    let values = |name| dictionary([("DeviceClass", string("iPhone")), ("DeviceName", string(name))]);
    scrubber.frame(&values("iPhone"));
    assert_eq!(scrubber.frame(&values("iPhone"))["DeviceClass"].as_string(), Some("iPhone"));
}

/// A station compares them so, and a replay has to come to the same.
#[test]
fn identifiers_that_differ_in_case_alone_are_one() {
    let mut scrubber = Scrubber::default();
    let mut of = |key: &str, text: &str| {
        scrubber.frame(&dictionary([(key, string(text))]))[key].as_string().unwrap().to_owned()
    };
    for (key, text) in [
        ("UniqueDeviceID", UDID),
        ("UniqueDeviceID", "A1B2C3D4E5F60718293A4B5C6D7E8F9001122334"),
        ("PayloadUUID", "12345678-90AB-4CDE-8F01-234567890ABC"),
        ("PayloadUUID", "no uuid"),
    ] {
        assert_eq!(of(key, text), of(key, &text.to_lowercase()), "{key} {text}");
        assert_ne!(of(key, text), of(key, &text.replace(['B', '1', 'u'], "C")), "{key} {text}");
    }
    let (dashed, plain) = (of("UniqueDeviceID", UDID), of("UniqueDeviceID", &UDID.replace('-', "")));
    assert_eq!(dashed.replace('-', ""), plain);
    assert_eq!(of("UniqueDeviceID", &plain), plain, "a fixed point");
}

#[test]
fn of_an_impossible_length_only_its_class_is_written() {
    let class = |bytes: [u8; 4]| tap::broken_class(u32::from_be_bytes(bytes).into());
    assert_eq!(
        (class(*b"F2LZ"), class(*b"TMQP"), class(*b"J\xe4ne")),
        (0x7fff_ffff, 0x7fff_ffff, 0x7fff_ffff)
    );
    assert_eq!((class([0; 4]), class([0xff; 4]), class([0, 0x30, 0, 1])), (0, 0xffff_ffff, 0x3f_ffff));
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("enlist-recorder-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

fn attachment() -> Attachment {
    Attachment {
        id: MuxId(7),
        udid: UDID.parse().unwrap(),
        location: None,
        port: None,
        speed: None,
        product_id: None,
        simulated: true,
    }
}

fn job() -> JobMeta {
    let profile = ProfileMeta {
        role: "enroll".into(),
        identifier: "com.canary.mdm".into(),
        uuid: "33333333-AAAA-4000-8000-000000000000".into(),
        identity: "scep".into(),
    };
    JobMeta { task: "enroll".into(), profiles: vec![profile], ..JobMeta::default() }
}

async fn record(path: &Path) -> Recorder {
    let recorder = Recorder::new(Place::Folder(path.to_owned()), Clock::System);
    let attachment = attachment();
    recorder.attached(&attachment);
    recorder.began(&attachment.udid, job());
    let mut tap = recorder.tap(attachment.id, LOCKDOWN);
    tap.opened();
    let (ours, mut theirs) = duplex(1 << 16);
    let mut stream = tap.wrap(Box::new(ours));
    let ask = plist_frame::encode(&Value::Dictionary(dictionary([("Request", string("GetValue"))])));
    let answer = plist_frame::encode(&Value::Dictionary(secrets()));
    // In two parts: what is tapped is a stream.
    stream.write_all(&ask[..9]).await.unwrap();
    stream.write_all(&ask[9..]).await.unwrap();
    theirs.write_all(&answer).await.unwrap();
    let mut read = vec![0; answer.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(read, answer, "a tap changes nothing");
    theirs.write_all(&[0xff; 8]).await.unwrap();
    drop(theirs);
    let _ = stream.read_to_end(&mut Vec::new()).await;
    recorder
}

#[tokio::test]
async fn what_passes_is_written_without_secrets_and_the_check_proves_it() {
    let path = scratch("written");
    let recorder = record(&path).await;
    recorder.ended(&attachment().udid, "enrolled", "none", &[]);
    assert_eq!(recorder.finish(), Recorded { count: 1, troubles: vec![] });
    let checked = check(&path).unwrap();
    assert_eq!((checked.recordings, checked.frames, &checked.findings), (1, 2, &vec![]));
    let lines = fs::read_to_string(path.join("01-attach.jsonl")).unwrap();
    let kinds: Vec<_> = lines.lines().map(|line| entry::Entry::parse(line).unwrap().what).collect();
    assert!(
        matches!(
            &kinds[..],
            [
                What::Attached(_),
                What::Open(_),
                What::Host(_),
                What::Device(_),
                What::Broken(0xffff_ffff),
                What::Ended(entry::End::Cut)
            ]
        ),
        "{lines}"
    );
    let told = fs::read_to_string(path.join(META)).unwrap();
    assert!(told.contains("product = \"iPhone16,2\"") && told.contains("outcome = \"enrolled\""), "{told}");
    assert!(!told.to_lowercase().contains("canary"), "{told}");
    fs::remove_dir_all(path).unwrap();
}

/// A sound recording, and each way in which it may be made unclean.
#[tokio::test]
async fn planted_values_are_found() {
    let path = scratch("planted");
    let recorder = record(&path).await;
    recorder.ended(&attachment().udid, "enrolled", "none", &[]);
    recorder.finish();
    let frames = path.join("01-attach.jsonl");
    let sound = fs::read_to_string(&frames).unwrap();
    let plant = |from: &str, to: &str, what: &str| {
        assert!(sound.contains(from), "{from} in {sound}");
        fs::write(&frames, sound.replacen(from, to, 1)).unwrap();
        let findings = check(&path).unwrap().findings;
        assert!(findings.iter().any(|f| f.what.contains(what)), "{to}: {findings:?}");
        assert!(findings.iter().all(|f| !f.what.contains("canary")), "{findings:?}");
        fs::write(&frames, &sound).unwrap();
    };
    plant("~DeviceName-1~~~", "Ann's canary", "Value: DeviceName is not scrubbed");
    plant("00:00:00:00:00:01", "a4:83:e7:01:02:03", "WiFiAddress");
    plant("\"SerialNumber\":\"0", "\"SerialNumber\":\"F", "Value: SerialNumber is");
    plant("00000000-0000000000000001", UDID, "UDID");
    plant("\"ProductType\":\"iPhone16,2\"", "\"ProductType\":\"of canary\"", "ProductType");
    plant(
        "\"ProductType\":\"iPhone16,2\"",
        "\"ProductCanary\":\"of canary\"",
        "a key that is not on the list",
    );
    plant("~EscrowBag-1", "c2VjcmV0", "EscrowBag");
    plant("\"t\":", "\"t\": ", "not written as");
    plant("\"open\":\"lockdown\"", "\"open\":\"canary\"", "no service");
    plant("{\"t\":", "{\"canary\":1,\"t\":", "not written as");
    plant("{\"t\":0", "{\"t\":\"canary\"", "not written as");
    plant("\n", "\r\n", "not written as");
    // Numbers and words that have room for what identifies somebody.
    plant("{\"t\":0", "{\"t\":356789012345678", "larger than any");
    plant("\"c\":1", "\"c\":4294967295", "larger than any");
    plant("\"broken\":4294967295", "\"broken\":1177701466", "as the device sent it");
    plant("\"broken\":4294967295", "\"garbage\":356789012345678", "no frame is so long");
    plant("\"open\":\"lockdown\"", "\"open\":\"com.apple.Ann.canary\"", "no service");
    plant("~DeviceName-1~~~", "~DeviceName-2065550123~~~~~~~~~~", "DeviceName");
    plant("~EscrowBag-1", "~EscrowBag-2065550123", "EscrowBag");
    plant("\"Request\":\"GetValue\"", "\"Request\":\"AnnCanary\"", "Request");
    plant("\"ProductType\":\"iPhone16,2\"", "\"ProductType\":\"356789012345678\"", "ProductType");
    plant("\"ProductVersion\":\"18.2\"", "\"ProductVersion\":\"Ann.Canary\"", "ProductVersion");
    assert_eq!(check(&path).unwrap().findings, []);

    let meta = path.join(META);
    let told = fs::read_to_string(&meta).unwrap();
    let date = told.lines().find(|line| line.starts_with("date")).unwrap();
    for (from, to) in [
        ("example.profile-0000000000000001", "com.canary.mdm"),
        ("os = \"18.2\"", "os = \"canary of Ann\""),
        ("\n[job]", "cut = \"Ann canary\"\n\n[job]"),
        ("task = \"enroll\"", "task = \"canary\""),
        ("# A recording", "# A canary"),
        ("origin = \"simulator\"", "origin = \"constructed\""),
        ("product = \"iPhone16,2\"", "product = \"Anns-iPhone\""),
        ("product = \"iPhone16,2\"", "product = \"F2LCANARY123\""),
        ("os = \"18.2\"", "os = \"Ann.Canary\""),
        ("tool = \"enlist ", "tool = \"enlist F2LCANARY"),
        ("tool = \"enlist 0.", "tool = \"enlist 2065550123."),
        (date, "date = \"206-555-01\""),
        (date, "date = \"2065-55-01\""),
        ("person_within = 0", "person_within = 356789012345678"),
        ("replug_within = 0", "replug_within = 86401"),
        ("pushes = 0", "pushes = 2065550123"),
        ("outcome = \"enrolled\"", "outcome = \"AnnCanary\""),
        ("class = \"none\"", "class = \"F2LCANARY123\""),
    ] {
        assert!(told.contains(from), "{from} in {told}");
        fs::write(&meta, told.replacen(from, to, 1)).unwrap();
        assert_eq!(check(&path).unwrap().findings.len(), 1, "{to}");
    }
    fs::write(&meta, &told).unwrap();
    fs::write(path.join("notes.txt"), "canary").unwrap();
    assert_eq!(check(&path).unwrap().findings.len(), 1);
    fs::remove_dir_all(path).unwrap();
}

/// Folders are passed on with their names.
#[tokio::test]
async fn names_of_folders_are_looked_at_and_links_are_not_followed() {
    let path = scratch("names");
    let whole = path.join("device-001");
    record(&whole).await.finish();
    assert_eq!(check(&path).unwrap().findings, []);
    for name in
        ["Ann's iPhone", "f2lcanary123", "00008110-001a2b3c4d5e6f70", "359876543210987", "Ann", "ann\u{e9}"]
    {
        let named = path.join(name);
        fs::rename(&whole, &named).unwrap();
        let findings = check(&path).unwrap().findings;
        assert!(findings.len() == 1 && findings[0].what.contains("name"), "{name}: {findings:?}");
        assert_eq!(check(&named).unwrap().findings, [], "its own name is its owner's");
        fs::rename(&named, &whole).unwrap();
    }
    for name in ["2026-11-22_in-setup.1", "queued-with-an-error"] {
        fs::rename(&whole, path.join(name)).unwrap();
        assert_eq!(check(&path).unwrap().findings, [], "{name}");
        fs::rename(path.join(name), &whole).unwrap();
    }
    std::os::unix::fs::symlink(&whole, path.join("device-002")).unwrap();
    let checked = check(&path).unwrap();
    assert_eq!((checked.recordings, checked.findings.len()), (1, 1), "{checked:?}");
    fs::remove_dir_all(path).unwrap();
}

/// A program that is killed writes nothing more.
#[tokio::test]
async fn what_a_device_is_stands_in_the_recording_before_its_end() {
    let path = scratch("learned");
    let recorder = record(&path).await;
    let mut told = String::new();
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        told = fs::read_to_string(path.join(META)).unwrap_or_default();
        if told.contains("product = \"iPhone16,2\"") {
            break;
        }
    }
    assert!(told.contains("os = \"18.2\"") && told.contains("cut = \"the job did not end\""), "{told}");
    recorder.finish();
    fs::remove_dir_all(path).unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_hurts_nothing_and_is_told() {
    let path = scratch("taken");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("mine"), "").unwrap();
    let recorder = record(&path).await;
    assert_eq!(recorder.finish(), Recorded { count: 1, troubles: vec!["the disk did not take it"] });
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    fs::remove_dir_all(path).unwrap();
}

#[tokio::test]
async fn each_job_has_a_folder_of_its_own_and_old_ones_stay() {
    let path = scratch("each");
    for expected in [2, 4] {
        let recorder = Recorder::new(Place::FolderOfEach(path.clone()), Clock::System);
        for _ in 0..2 {
            recorder.attached(&attachment());
            recorder.began(&attachment().udid, job());
            recorder.tap(attachment().id, LOCKDOWN).opened();
            recorder.ended(&attachment().udid, "enrolled", "none", &[]);
        }
        assert_eq!(recorder.finish().count, 2);
        let checked = check(&path).unwrap();
        assert_eq!((checked.recordings, checked.findings.len()), (expected, 0));
    }
    fs::remove_dir_all(path).unwrap();
}
