//! F01 to F20 with their variants: exactly the findings that section 7 lists, and the
//! loader's refusal among the errors.

use super::*;

/// One file, how it is looked at, and what section 7 lists.
struct Case {
    name: &'static str,
    file: Vec<u8>,
    context: LintContext,
    expected: Vec<&'static str>,
}

fn case(name: &'static str, file: Vec<u8>, expected: &[&'static str]) -> Case {
    Case { name, file, context: ios(), expected: expected.to_vec() }
}

fn under(name: &'static str, file: Vec<u8>, context: LintContext, expected: &[&'static str]) -> Case {
    Case { name, file, context, expected: expected.to_vec() }
}

fn signed(name: &'static str, root: &Dictionary, expected: &[&'static str]) -> Case {
    case(name, sign(&xml(root)), expected)
}

fn binary(root: &Dictionary) -> Vec<u8> {
    let mut out = Vec::new();
    Value::Dictionary(root.clone()).to_writer_binary(&mut out).unwrap();
    out
}

fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

fn push(root: &mut Dictionary, payload: Dictionary) {
    root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap().push(payload.into());
}

fn certificate_payload(data: Vec<u8>) -> Dictionary {
    let mut out = Dictionary::new();
    insert(&mut out, "PayloadType", "com.apple.security.root");
    insert(&mut out, "PayloadVersion", 1);
    insert(&mut out, "PayloadIdentifier", "Microsoft.Profiles.MDM.root");
    insert(&mut out, "PayloadUUID", "1111AAAA-0000-4000-8000-000000000009");
    insert(&mut out, "PayloadContent", Value::Data(data));
    out
}

fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
    let unit = |u: u16| if big { u.to_be_bytes() } else { u.to_le_bytes() };
    text.encode_utf16().flat_map(unit).collect()
}

fn wifi() -> Dictionary {
    let mut root = with_root(|root| insert(root, "PayloadIdentifier", "example.bench.wifi"));
    let wifi = payload(&mut root, 0);
    wifi.remove("PayloadContent");
    insert(wifi, "PayloadType", "com.apple.wifi.managed");
    insert(wifi, "SSID_STR", "Bench");
    insert(wifi, "EncryptionType", "WPA2");
    insert(wifi, "Password", "fake-pass-123");
    root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap().truncate(1);
    root
}

fn f01_to_f06() -> Vec<Case> {
    let plain = xml(&scep());
    let acme = sign(&to_xml(&acme_plist(&ExampleOptions::default())));
    let on = |class: &str, os: &str| LintContext { device: Some(device(class, os)), ..ios() };
    let mut old_ipad = on("iPad", "17.0");
    old_ipad.device.as_mut().unwrap().product_type = Some("iPad7,3".into());
    let aged = |hours| SIGNER.sign(&plain, ago(hours)).unwrap();
    let mut tampered = sign(&plain);
    let at = tampered.windows(4).position(|window| window == b"8191").unwrap();
    tampered[at + 3] = b'7';
    tampered[at + 2] = b'8';
    let account = |key: &'static str, value: &str| {
        let root = with_mdm(|mdm| {
            mdm.remove("AccessRights");
            insert(mdm, key, value);
        });
        signed("f06", &root, &["L18E"])
    };
    let stranger = Signer::new(now()).unwrap().sign(&plain, yesterday()).unwrap();
    vec![
        case("f01", sign(&plain), &[]),
        under("f02 iOS 17", acme.clone(), on("iPhone", "17.0"), &["L32W"]),
        under("f02 iOS 15.8", acme.clone(), on("iPhone", "15.8"), &["L28E"]),
        under("f02 iPadOS 16.0", acme.clone(), on("iPad", "16.0"), &["L28E"]),
        under("f02 A10X", acme, old_ipad, &["L31W"]),
        case("f03 20 d", aged(20 * 24), &["L46E"]),
        case("f03 9 d", aged(9 * 24), &[]),
        case("f03 10 d", aged(10 * 24), &["L46W"]),
        case("f03 13 d 23 h", aged(14 * 24 - 1), &["L46W"]),
        case("f03 14 d", aged(14 * 24), &["L46E"]),
        case("f03 unknown", plain.clone(), &["L45I", "L46W"]),
        case("f04", stranger, &["L43W"]),
        case("f05", tampered, &["L42E"]),
        signed(
            "f06 both",
            &with_mdm(|mdm| {
                mdm.remove("AccessRights");
                insert(mdm, "EnrollmentMode", "BYOD");
                insert(mdm, "AssignedManagedAppleID", "t@bench.example");
            }),
            &["L18E"],
        ),
        account("EnrollmentMode", "ADDE"),
        account("ManagedAppleID", "t@bench.example"),
    ]
}

fn f07_to_f13() -> Vec<Case> {
    let stub = with_root(|root| {
        insert(root, "PayloadType", "Profile Service");
        let mut content = Dictionary::new();
        insert(&mut content, "URL", "https://mdm.bench.example/ota");
        insert(&mut content, "Challenge", "FAKE");
        insert(root, "PayloadContent", content);
    });
    let mut lenient = ios();
    lenient.policy.ota_allowed = true;
    let mut recipients = openssl::stack::Stack::new().unwrap();
    recipients.push(SIGNER.leaf().clone()).unwrap();
    let (cipher, options) = (openssl::symm::Cipher::aes_128_cbc(), openssl::cms::CMSOptions::BINARY);
    let sealed = openssl::cms::CmsContentInfo::encrypt(&recipients, b"<array/>", cipher, options).unwrap();
    let encrypted = with_root(|root| {
        root.remove("PayloadContent");
        insert(root, "EncryptedPayloadContent", Value::Data(sealed.to_der().unwrap()));
    });
    let two = with_root(|root| {
        let mut second = payload(root, 1).clone();
        insert(&mut second, "PayloadUUID", "1111AAAA-0000-4000-8000-000000000003");
        insert(&mut second, "PayloadIdentifier", "Microsoft.Profiles.MDM.mdm2");
        insert(&mut second, "ServerURL", "https://mdm.other.example/x");
        push(root, second);
    });
    let dangling =
        |mdm: &mut Dictionary| insert(mdm, "IdentityCertificateUUID", "1111AAAA-0000-4000-8000-000000000009");
    let mut not_identity = with_mdm(dangling);
    push(&mut not_identity, certificate_payload(SIGNER.leaf().to_der().unwrap()));
    let uuid = |uuid: &str| with_mdm(|mdm| insert(mdm, "PayloadUUID", uuid));
    let url = |key: &str, url: &str| signed("f13", &with_mdm(|mdm| insert(mdm, key, url)), &["L15E"]);
    let helper = LintContext { purpose: Purpose::Any, ..ios() };
    vec![
        case("f07 enrollment", xml(&wifi()), &["L11E", "L45I", "L50W"]),
        under("f07 helper", xml(&wifi()), helper, &["L45I", "L50W"]),
        case("f08 unsigned", xml(&stub), &["L40E"]),
        signed("f08", &stub, &["L40E"]),
        under("f08 policy", xml(&stub), lenient, &["L40W"]),
        signed("f09", &encrypted, &["L41E"]),
        signed("f10", &two, &["L12E"]),
        signed("f11", &with_mdm(dangling), &["L13E"]),
        signed("f11 root", &not_identity, &["L14E"]),
        signed("f12", &uuid("1111aaaa-0000-4000-8000-000000000001"), &["L07E"]),
        signed("f12 root", &uuid("1111AAAA-0000-4000-8000-000000000000"), &["L07E"]),
        url("ServerURL", "http://mdm.bench.example/x"),
        url("CheckInURL", "http://mdm.bench.example/x"),
        url("ServerURL", "https://user:pw@mdm.bench.example/x"),
        url("ServerURL", "https://"),
    ]
}

fn f14_to_f20() -> Vec<Case> {
    let with_zeros = |bytes: usize| {
        let mut root = scep();
        push(&mut root, certificate_payload(vec![0; bytes]));
        root
    };
    let stated = |hours| LintContext { exported_at: Some(ago(hours)), ..ios() };
    let macos = LintContext { job: Job::Macos, ..ios() };
    let text = String::from_utf8(xml(&scep())).unwrap();
    let half = &text.as_bytes()[..text.len() / 2];
    let der = sign(text.as_bytes());
    let entities: String = (1..9).map(|n| format!("<!ENTITY e{n} \"&e{};&e{};\">", n - 1, n - 1)).collect();
    let bomb = format!("<!DOCTYPE plist [<!ENTITY e0 \"x\">{entities}]><plist><string>&e8;</string></plist>");
    let external =
        "<!DOCTYPE plist [<!ENTITY x SYSTEM \"file:///no/such/file\">]><plist><string>&x;</string></plist>";
    let nested = format!("<plist>{}", "<array>".repeat(200_000));
    let mut shared = b"bplist00".to_vec();
    (1..=7).for_each(|level| shared.extend([&[0xaa], [level; 10].as_slice()].concat()));
    shared.push(0x09);
    let table = shared.len() as u64;
    shared.extend((0..8).map(|object| 8 + 11 * object));
    shared.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    [8, 0, table].into_iter().for_each(|field: u64| shared.extend(field.to_be_bytes()));
    let mac = with_root(|root| {
        insert(root, "PayloadScope", "System");
        insert(root, "TargetDeviceType", 5);
    });
    let scope = |scope: &str| with_root(|root| insert(root, "PayloadScope", scope));
    let odd = to_xml(&Value::Array(vec![scep().into()]));
    vec![
        case("f14", xml(&with_zeros(20 << 20)), &["L48E"]),
        case("f14 1.5 MiB", sign(&binary(&with_zeros(3 << 19))), &["L48W"]),
        // Base64 makes it longer than one request can carry.
        case("f14 1.5 MiB as XML", sign(&xml(&with_zeros(3 << 19))), &["L48E"]),
        case("f15", binary(&scep()), &["L45I", "L46W"]),
        under("f15 stated", binary(&scep()), stated(24), &["L45I"]),
        case("f15 signed", sign(&binary(&scep())), &[]),
        under("f16 LE", utf16(&text, false, true), stated(24), &["L45I", "U02W"]),
        under("f16 BE", utf16(&text, true, true), stated(24), &["L45I", "U02W"]),
        under("f16 LE bare", utf16(&text, false, false), stated(24), &["L45I", "U02W"]),
        case("f16 signed", sign(&utf16(&text, false, true)), &["U02W"]),
        case("f16 UTF-8", sign(format!("\u{feff}{text}").as_bytes()), &[]),
        case("f17", half.to_vec(), &["U01E"]),
        case("f17 DER", der[..der.len() * 6 / 10].to_vec(), &["U01E"]),
        case("f17 re-signed", sign(half), &["U01E"]),
        case("f18", bomb.into_bytes(), &["L48E"]),
        case("f18 shared", shared, &["L48E"]),
        case("f18 nested", nested.into_bytes(), &["L48E"]),
        case("f18 external", external.into(), &["L48E"]),
        case("f19", odd, &["L01E"]),
        case("f19 string", to_xml(&"text".into()), &["L01E"]),
        case("f19 empty", to_xml(&Dictionary::new().into()), &["L02E", "L03E", "L04E", "L06E", "L09E"]),
        signed("f19 version", &with_root(|root| insert(root, "PayloadVersion", "1")), &["L47E"]),
        signed("f20", &mac, &["L37E", "L38E", "L38W"]),
        signed("f20 System", &scope("System"), &["L38W"]),
        signed("f20 User", &scope("User"), &["L38E"]),
        under("f20 macOS", sign(&xml(&mac)), macos.clone(), &[]),
        under("f20 macOS System", sign(&xml(&scope("System"))), macos, &[]),
    ]
}

fn all() -> Vec<Case> {
    [f01_to_f06(), f07_to_f13(), f14_to_f20()].into_iter().flatten().collect()
}

#[test]
fn each_fixture_draws_exactly_what_is_listed() {
    for Case { name, file, context, expected } in all() {
        assert_eq!(shown(&check(&file, &context)), expected, "{name}");
    }
}

#[test]
fn what_the_loader_refuses_is_among_the_errors() {
    let mut refused = 0;
    for Case { name, file, .. } in all() {
        let lint = check(&file, &ios());
        let errors: Vec<_> =
            lint.findings().iter().filter(|f| f.severity == Severity::Error).map(|f| f.code).collect();
        let Err(refusal) = load(&file) else { continue };
        refused += 1;
        let code = refusal.code().unwrap_or("U01");
        assert!(errors.contains(&code), "{name}: {code} is not among {errors:?}");
        // Not only the first: every reason the loader has.
        for refusal in show(&file).iter().flat_map(|profile| profile.enrollment_refusals()) {
            let code = refusal.code().unwrap_or("U01");
            assert!(errors.contains(&code), "{name}: {code} is not among {errors:?}");
        }
    }
    assert!(refused > 30, "{refused}");
}
