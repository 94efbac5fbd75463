//! F01 to F20 (profiles-and-enrollment.md 7), constructed, one row each: what
//! `profile lint --json` says about them, and by its exit code.

#![allow(clippy::disallowed_methods)] // signed at times before now, because the binary looks at the clock

use super::codes;
use crate::support::binary::Bench;
use crate::support::profile::{SIGNER, changed, f01, f02, payloads, plain_f01, signed};
use enlist::wire::profile::example::{ExampleOptions, Signer, scep_plist};
use enlist::wire::property_list::{Dictionary, Value, to_xml};
use jiff::{SignedDuration, Timestamp};

/// The verdicts of section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accept,
    Warn,
    Hold,
    Refuse,
}
use Verdict::{Accept, Hold, Refuse, Warn};

impl Verdict {
    /// As a caller of the command finds it: errors by the exit code; an age nobody knows
    /// needs a person.
    fn of(exit: i32, codes: &[&str]) -> Self {
        match codes {
            _ if exit == 1 => Self::Refuse,
            codes if codes.contains(&"L45I") && codes.contains(&"L46W") => Self::Hold,
            codes if codes.iter().any(|code| code.ends_with('W')) => Self::Warn,
            _ => Self::Accept,
        }
    }
}

/// One row: name, file, more arguments, verdict, codes.
type Row = (&'static str, Vec<u8>, &'static [&'static str], Verdict, &'static [&'static str]);

const NINE: &str = "1111AAAA-0000-4000-8000-000000000009";

fn ago(hours: i64) -> Vec<u8> {
    SIGNER.sign(&plain_f01(), Timestamp::now() - SignedDuration::from_hours(hours)).unwrap()
}

fn mdm(change: impl FnOnce(&mut Dictionary)) -> Vec<u8> {
    signed(&changed(|root| {
        let Value::Dictionary(mdm) = &mut payloads(root)[1] else { panic!("payload") };
        change(mdm);
    }))
}

fn with(key: &str, value: impl Into<Value>) -> Vec<u8> {
    let value = value.into();
    mdm(|mdm| drop(mdm.insert(key.into(), value)))
}

fn root(changes: &[(&str, Value)]) -> Vec<u8> {
    changed(|root| root.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), value.clone()))))
}

fn certificate(data: Vec<u8>) -> Value {
    let texts = [
        ("PayloadType", "com.apple.security.root"),
        ("PayloadIdentifier", "Microsoft.Profiles.MDM.root"),
        ("PayloadUUID", NINE),
    ];
    let mut payload: Dictionary =
        texts.map(|(key, text)| (key.to_owned(), Value::from(text))).into_iter().collect();
    payload.insert("PayloadVersion".into(), 1.into());
    payload.insert("PayloadContent".into(), Value::Data(data));
    payload.into()
}

fn zeros(bytes: usize) -> Value {
    let Value::Dictionary(mut root) = scep_plist(&ExampleOptions::default()) else { panic!("dictionary") };
    payloads(&mut root).push(certificate(vec![0; bytes]));
    root.into()
}

fn binary(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.to_writer_binary(&mut out).unwrap();
    out
}

fn utf16(mark: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = format!("{mark}{}", String::from_utf8(plain_f01()).unwrap());
    text.encode_utf16().flat_map(unit).collect()
}

fn f01_to_f07() -> Vec<Row> {
    let mut tampered = f01();
    let at = tampered.windows(4).position(|window| window == b"8191").unwrap();
    tampered[at + 2..at + 4].copy_from_slice(b"87");
    let stranger = Signer::new(Timestamp::now()).unwrap().sign(&plain_f01(), Timestamp::now()).unwrap();
    let account = |key: &'static str, value: &'static str| {
        mdm(|mdm| {
            mdm.remove("AccessRights");
            mdm.insert(key.into(), value.into());
        })
    };
    let wifi = changed(|root| {
        root.insert("PayloadIdentifier".into(), "example.bench.wifi".into());
        payloads(root).truncate(1);
        let Value::Dictionary(wifi) = &mut payloads(root)[0] else { panic!("payload") };
        wifi.remove("PayloadContent");
        let texts = [
            ("PayloadType", "com.apple.wifi.managed"),
            ("SSID_STR", "Bench"),
            ("EncryptionType", "WPA2"),
            ("Password", "fake-pass-123"),
        ];
        wifi.extend(texts.map(|(key, text)| (key.to_owned(), Value::from(text))));
    });
    vec![
        ("f01", f01(), &[], Accept, &[]),
        ("f02 iOS 17", f02(), &["--device-class", "iPhone", "--os", "17.0"], Warn, &["L32W"]),
        ("f02 iOS 15.8", f02(), &["--device-class", "iPhone", "--os", "15.8"], Refuse, &["L28E"]),
        ("f02 iPadOS 16.0", f02(), &["--device-class", "iPad", "--os", "16.0"], Refuse, &["L28E"]),
        ("f03 20 d", ago(20 * 24), &[], Refuse, &["L46E"]),
        ("f03 14 d", ago(14 * 24), &[], Refuse, &["L46E"]),
        ("f03 13 d 23 h", ago(14 * 24 - 1), &[], Warn, &["L46W"]),
        ("f03 10 d", ago(10 * 24), &[], Warn, &["L46W"]),
        ("f03 9 d", ago(9 * 24), &[], Accept, &[]),
        ("f03 unknown", plain_f01(), &[], Hold, &["L45I", "L46W"]),
        ("f04", stranger, &[], Warn, &["L43W"]),
        ("f05", tampered, &[], Refuse, &["L42E"]),
        ("f06 BYOD", account("EnrollmentMode", "BYOD"), &[], Refuse, &["L18E"]),
        ("f06 ADDE", account("EnrollmentMode", "ADDE"), &[], Refuse, &["L18E"]),
        ("f06 ID", account("ManagedAppleID", "t@bench.example"), &[], Refuse, &["L18E"]),
        ("f07", wifi.clone(), &[], Refuse, &["L11E", "L45I", "L50W"]),
        ("f07 helper", wifi, &["--helper"], Warn, &["L45I", "L50W"]),
    ]
}

fn f08_to_f13() -> Vec<Row> {
    let content = [("URL", "https://mdm.bench.example/ota"), ("Challenge", "FAKE")];
    let content: Dictionary =
        content.map(|(key, text)| (key.to_owned(), Value::from(text))).into_iter().collect();
    let stub = root(&[("PayloadType", "Profile Service".into()), ("PayloadContent", content.into())]);
    let mut recipients = openssl::stack::Stack::new().unwrap();
    recipients.push(SIGNER.leaf().clone()).unwrap();
    let (cipher, flags) = (openssl::symm::Cipher::aes_128_cbc(), openssl::cms::CMSOptions::BINARY);
    let sealed = openssl::cms::CmsContentInfo::encrypt(&recipients, b"<array/>", cipher, flags).unwrap();
    let encrypted = changed(|root| {
        root.remove("PayloadContent");
        root.insert("EncryptedPayloadContent".into(), Value::Data(sealed.to_der().unwrap()));
    });
    let two = changed(|root| {
        let Value::Dictionary(mut second) = payloads(root)[1].clone() else { panic!("payload") };
        second.insert("PayloadUUID".into(), "1111AAAA-0000-4000-8000-000000000003".into());
        second.insert("PayloadIdentifier".into(), "Microsoft.Profiles.MDM.mdm2".into());
        second.insert("ServerURL".into(), "https://mdm.other.example/x".into());
        payloads(root).push(second.into());
    });
    let not_identity = changed(|root| {
        let Value::Dictionary(mdm) = &mut payloads(root)[1] else { panic!("payload") };
        mdm.insert("IdentityCertificateUUID".into(), NINE.into());
        payloads(root).push(certificate(SIGNER.leaf().to_der().unwrap()));
    });
    let (uuid, server) = ("PayloadUUID", "ServerURL");
    vec![
        ("f08", signed(&stub), &[], Refuse, &["L40E"]),
        ("f09", signed(&encrypted), &[], Refuse, &["L41E"]),
        ("f10", signed(&two), &[], Refuse, &["L12E"]),
        ("f11", with("IdentityCertificateUUID", NINE), &[], Refuse, &["L13E"]),
        ("f11 root", signed(&not_identity), &[], Refuse, &["L14E"]),
        ("f12", with(uuid, "1111aaaa-0000-4000-8000-000000000001"), &[], Refuse, &["L07E"]),
        ("f12 root", with(uuid, "1111AAAA-0000-4000-8000-000000000000"), &[], Refuse, &["L07E"]),
        ("f13", with(server, "http://mdm.bench.example/x"), &[], Refuse, &["L15E"]),
        ("f13 CheckIn", with("CheckInURL", "http://mdm.bench.example/x"), &[], Refuse, &["L15E"]),
        ("f13 user", with(server, "https://user:pw@mdm.bench.example/x"), &[], Refuse, &["L15E"]),
        ("f13 no host", with(server, "https://"), &[], Refuse, &["L15E"]),
    ]
}

fn f14_to_f17() -> Vec<Row> {
    const TODAY: &[&str] = &["--exported-at", "today"];
    let (plain, plist) = (plain_f01(), scep_plist(&ExampleOptions::default()));
    let (half, der) = (plain[..plain.len() / 2].to_vec(), f01());
    let marked = [b"\xEF\xBB\xBF", plain.as_slice()].concat();
    vec![
        ("f14", to_xml(&zeros(20 << 20)), &[], Refuse, &["L48E"]),
        ("f14 1.5 MiB", signed(&binary(&zeros(3 << 19))), &[], Warn, &["L48W"]),
        // As XML it is longer than one request carries.
        ("f14 1.5 MiB as XML", signed(&to_xml(&zeros(3 << 19))), &[], Refuse, &["L48E"]),
        ("f15", binary(&plist), &[], Hold, &["L45I", "L46W"]),
        ("f15 stated", binary(&plist), TODAY, Accept, &["L45I"]),
        ("f15 signed", signed(&binary(&plist)), &[], Accept, &[]),
        ("f16 LE", utf16("\u{feff}", u16::to_le_bytes), TODAY, Warn, &["L45I", "U02W"]),
        ("f16 BE", utf16("\u{feff}", u16::to_be_bytes), TODAY, Warn, &["L45I", "U02W"]),
        ("f16 bare", utf16("", u16::to_le_bytes), TODAY, Warn, &["L45I", "U02W"]),
        ("f16 UTF-8", marked, TODAY, Accept, &["L45I"]),
        ("f17", half.clone(), &[], Refuse, &["U01E"]),
        ("f17 DER", der[..der.len() * 6 / 10].to_vec(), &[], Refuse, &["U01E"]),
        ("f17 re-signed", signed(&half), &[], Refuse, &["U01E"]),
    ]
}

fn f18_to_f20() -> Vec<Row> {
    const MAC: &[&str] = &["--job", "macos"];
    let entities: String = (1..10).map(|n| format!("<!ENTITY e{n} \"&e{0};&e{0};&e{0};\">", n - 1)).collect();
    let bomb = format!("<!DOCTYPE plist [<!ENTITY e0 \"x\">{entities}]><plist><string>&e9;</string></plist>");
    let external = "<!DOCTYPE plist [<!ENTITY x SYSTEM \"file:///no/such/file\">]><plist>&x;</plist>";
    let mut shared = b"bplist00".to_vec();
    (1..=7).for_each(|level| shared.extend([&[0xaa], [level; 10].as_slice()].concat()));
    shared.push(0x09);
    let table = shared.len() as u64;
    shared.extend((0..8).map(|object| 8 + 11 * object));
    shared.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    [8, 0, table].into_iter().for_each(|field: u64| shared.extend(field.to_be_bytes()));
    let in_array = to_xml(&Value::Array(vec![scep_plist(&ExampleOptions::default())]));
    let empty: &[&str] = &["L02E", "L03E", "L04E", "L06E", "L09E"];
    let both = signed(&root(&[("PayloadScope", "System".into()), ("TargetDeviceType", 5.into())]));
    let scope = |scope: &str| signed(&root(&[("PayloadScope", scope.into())]));
    vec![
        ("f18", bomb.into_bytes(), &[], Refuse, &["L48E"]),
        ("f18 shared", shared, &[], Refuse, &["L48E"]),
        ("f18 nested", format!("<plist>{}", "<array>".repeat(200_000)).into(), &[], Refuse, &["L48E"]),
        ("f18 external", external.into(), &[], Refuse, &["L48E"]),
        ("f19", in_array, &[], Refuse, &["L01E"]),
        ("f19 string", to_xml(&"text".into()), &[], Refuse, &["L01E"]),
        ("f19 empty", to_xml(&Dictionary::new().into()), &[], Refuse, empty),
        ("f19 version", signed(&root(&[("PayloadVersion", "1".into())])), &[], Refuse, &["L47E"]),
        ("f20", both.clone(), &[], Refuse, &["L37E", "L38E", "L38W"]),
        ("f20 System", scope("System"), &[], Warn, &["L38W"]),
        ("f20 User", scope("User"), &[], Refuse, &["L38E"]),
        ("f20 macOS", both, MAC, Accept, &[]),
        ("f20 macOS System", scope("System"), MAC, Accept, &[]),
    ]
}

#[test]
fn each_draws_its_verdict_and_codes() {
    let bench = Bench::new();
    bench.trust_signer();
    let rows: Vec<_> = [f01_to_f07(), f08_to_f13(), f14_to_f17(), f18_to_f20()].concat();
    let numbers: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.0[..3]).collect();
    assert_eq!(numbers.len(), 20);
    let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
    for (name, file, more, verdict, expected) in rows {
        let path = bench.write("given.mobileconfig", file);
        let more: Vec<_> = more.iter().map(|word| if *word == "today" { &today } else { *word }).collect();
        let job: &[&str] = match more.first() {
            None | Some(&"--exported-at" | &"--helper") => &["--job", "ios"],
            Some(_) => &[],
        };
        let done = bench.run(&[&["profile", "lint", "--json", &path], job, &more].concat());
        let found = codes(&done).remove(&path).unwrap_or_default();
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        assert_eq!(found, expected, "{name}: {done}");
        assert_eq!(Verdict::of(done.code.unwrap(), &found), verdict, "{name}: {done}");
        done.is_for_people();
        assert!(!done.all_output().contains("fake-pass-123"), "{name} shows a secret");
    }
}
