//! Fixtures F01, F02, F06 to F13, F15, F18 to F20 as push or no push.

use super::*;

#[test]
fn f01_scep_is_accepted() {
    let profile = load(&sign(&xml(&scep()))).unwrap();
    assert_eq!(profile.identifier(), "Microsoft.Profiles.MDM");
    assert_eq!(profile.uuid(), "1111AAAA-0000-4000-8000-000000000000");
    assert_eq!(profile.display_name(), Some("Management Profile"));
    assert_eq!(profile.organization(), Some("Contoso Bench"));
    assert_eq!(profile.identity(), Some(IdentityKind::Scep));
    assert_eq!(profile.server_host(), Some("mdm.bench.example"));
    assert_eq!(profile.topic(), Some("com.apple.mgmt.External.22222222-0000-4000-8000-000000000000"));
    let types: Vec<_> = profile.payloads().iter().map(|payload| payload.payload_type.as_str()).collect();
    assert_eq!(types, ["com.apple.security.scep", "com.apple.mdm"]);
    assert_eq!((profile.min_os("iPhone"), profile.min_os("iPad")), (None, None));
    assert!(profile.enrollment_refusals().is_empty());
}

#[test]
fn f02_acme_needs_a_newer_system() {
    let plain = to_xml(&acme_plist(&ExampleOptions::default()));
    let profile = load(&sign(&plain)).unwrap();
    assert_eq!(profile.identity(), Some(IdentityKind::Acme));
    assert_eq!((profile.min_os("iPhone"), profile.min_os("iPad")), (Some((16, 0)), Some((16, 1))));
}

/// The files of fixtures/profiles and what the generator writes for them.
fn stored_examples() -> [(std::path::PathBuf, Vec<u8>); 2] {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles");
    let options = ExampleOptions::default();
    [("scep", scep_plist(&options)), ("acme", acme_plist(&options))]
        .map(|(name, plist)| (folder.join(format!("example-{name}.mobileconfig")), to_xml(&plist)))
}

#[test]
fn the_stored_examples_are_what_the_generator_writes() {
    for (path, written) in stored_examples() {
        if crate::fixtures::refresh() {
            std::fs::write(&path, &written).unwrap();
        }
        let stored = std::fs::read(path).unwrap();
        assert_eq!(String::from_utf8_lossy(&stored), String::from_utf8_lossy(&written));
        assert!(load(&stored).is_ok());
    }
}

#[test]
fn f06_account_driven_files_are_refused() {
    for (key, value) in
        [("EnrollmentMode", "BYOD"), ("EnrollmentMode", "ADDE"), ("ManagedAppleID", "t@bench.example")]
    {
        assert_eq!(codes(&with_mdm(|mdm| insert(mdm, key, value))), ["L18"]);
    }
}

#[test]
fn f07_a_wifi_profile_is_shown_but_not_pushed_for_enrollment() {
    let mut root = with_root(|root| insert(root, "PayloadIdentifier", "example.bench.wifi"));
    let wifi = payload(&mut root, 0);
    wifi.retain(|key, _| key.starts_with("Payload") && key != "PayloadContent");
    insert(wifi, "PayloadType", "com.apple.wifi.managed");
    insert(wifi, "Password", "fake-pass-123");
    root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap().truncate(1);
    assert_eq!(refused(&xml(&root)), Refusal::NoMdm);
    let profile = show(&xml(&root)).unwrap();
    assert_eq!(profile.signature(), &SignatureReport::Unsigned);
    assert_eq!((profile.identity(), profile.server_host(), profile.topic()), (None, None, None));
    assert!(!format!("{profile:?}").contains("fake-pass-123"));
}

#[test]
fn f08_a_profile_service_stub_is_refused() {
    let root = with_root(|root| {
        insert(root, "PayloadType", "Profile Service");
        insert(root, "PayloadContent", Dictionary::new());
    });
    assert_eq!(codes(&root), ["L40"]);
}

#[test]
fn f09_an_encrypted_profile_is_refused_and_no_other_rule_fires() {
    let mut recipients = openssl::stack::Stack::new().unwrap();
    recipients.push(SIGNER.leaf().clone()).unwrap();
    let options = openssl::cms::CMSOptions::BINARY;
    let cipher = openssl::symm::Cipher::aes_128_cbc();
    let sealed = openssl::cms::CmsContentInfo::encrypt(&recipients, b"<array/>", cipher, options).unwrap();
    let root = with_root(|root| {
        root.remove("PayloadContent");
        insert(root, "EncryptedPayloadContent", Value::Data(sealed.to_der().unwrap()));
    });
    assert_eq!(codes(&root), ["L41"]);
    assert_eq!(refused(&sealed.to_der().unwrap()), Refusal::WhollyEncrypted);
}

#[test]
fn f10_two_mdm_payloads_are_refused() {
    let root = with_root(|root| {
        let mut second = payload(root, 1).clone();
        insert(&mut second, "PayloadUUID", "1111AAAA-0000-4000-8000-000000000003");
        insert(&mut second, "PayloadIdentifier", "Microsoft.Profiles.MDM.mdm2");
        root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap().push(second.into());
    });
    assert_eq!(codes(&root), ["L12"]);
}

#[test]
fn f11_a_dangling_identity_is_refused() {
    let dangling =
        with_mdm(|mdm| insert(mdm, "IdentityCertificateUUID", "1111AAAA-0000-4000-8000-000000000009"));
    assert_eq!(codes(&dangling), ["L13"]);
    assert_eq!(codes(&with_mdm(|mdm| drop(mdm.remove("IdentityCertificateUUID")))), ["L13"]);
    let root = with_root(|root| insert(payload(root, 0), "PayloadType", "com.apple.security.root"));
    assert_eq!(codes(&root), ["L14"]);
    let pkcs12 = with_root(|root| insert(payload(root, 0), "PayloadType", "com.apple.security.pkcs12"));
    assert_eq!(load(&xml(&pkcs12)).unwrap().identity(), Some(IdentityKind::Pkcs12));
    let other_case =
        with_mdm(|mdm| insert(mdm, "IdentityCertificateUUID", "1111aaaa-0000-4000-8000-000000000001"));
    assert!(codes(&other_case).is_empty());
}

#[test]
fn f12_one_uuid_twice_is_refused() {
    for uuid in ["1111aaaa-0000-4000-8000-000000000001", "1111AAAA-0000-4000-8000-000000000000"] {
        assert_eq!(codes(&with_mdm(|mdm| insert(mdm, "PayloadUUID", uuid))), ["L07"]);
    }
}

#[test]
fn f13_only_https_servers_are_accepted() {
    for key in ["ServerURL", "CheckInURL"] {
        for url in ["http://mdm.bench.example/x", "https://user:pw@mdm.bench.example/x", "https://"] {
            assert_eq!(codes(&with_mdm(|mdm| insert(mdm, key, url))), ["L15"]);
        }
    }
    assert_eq!(codes(&with_mdm(|mdm| drop(mdm.remove("ServerURL")))), ["L15"]);
    assert!(codes(&with_mdm(|mdm| drop(mdm.remove("CheckInURL")))).is_empty());
    assert_eq!(codes(&with_mdm(|mdm| insert(mdm, "Topic", "com.example"))), ["L16"]);
}

#[test]
fn f15_a_binary_list_gives_the_same_model() {
    let mut binary = Vec::new();
    Value::Dictionary(scep()).to_writer_binary(&mut binary).unwrap();
    for file in [binary.clone(), sign(&binary)] {
        let profile = load(&file).unwrap();
        assert_eq!(profile.payloads(), load(&xml(&scep())).unwrap().payloads());
        assert_eq!(profile.bytes().expose(), &file);
    }
}

#[test]
fn f18_bombs_are_forbidden_by_l48() {
    let entity =
        "<!DOCTYPE plist [<!ENTITY x SYSTEM \"file:///no/such/file\">]><plist><string>&x;</string></plist>";
    let nested = format!("<plist>{}", "<array>".repeat(200_000));
    let mut shared = b"bplist00".to_vec();
    (1..=7).for_each(|level| shared.extend([&[0xaa], [level; 10].as_slice()].concat()));
    shared.push(0x09);
    let table = shared.len() as u64;
    shared.extend((0..8).map(|object| 8 + 11 * object));
    shared.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    [8, 0, table].into_iter().for_each(|field: u64| shared.extend(field.to_be_bytes()));
    for file in [entity.as_bytes(), nested.as_bytes(), &shared, &sign(nested.as_bytes())] {
        let refusal = refused(file);
        assert_eq!((refusal.code(), refusal.kind()), (Some("L48"), RefusalKind::Forbidden), "{refusal}");
    }
}

#[test]
fn f19_a_wrong_root_is_refused_even_for_show() {
    let code = |file: &[u8]| show(file).unwrap_err().code();
    let value = |value: Value| code(&to_xml(&value));
    assert_eq!(value(Value::Array(vec![scep().into()])), Some("L01"));
    assert_eq!(value("text".into()), Some("L01"));
    assert_eq!(value(Dictionary::new().into()), Some("L02"));
    let changed = |key: &str, value: Value| code(&xml(&with_root(|root| insert(root, key, value))));
    let without = |key: &str| code(&xml(&with_root(|root| drop(root.remove(key)))));
    assert_eq!(changed("PayloadType", "Enrollment Service".into()), Some("L02"));
    assert_eq!(changed("PayloadVersion", "1".into()), Some("L47"));
    assert_eq!(changed("PayloadVersion", 2.into()), Some("L03"));
    assert_eq!(without("PayloadVersion"), Some("L03"));
    assert_eq!(changed("PayloadIdentifier", "".into()), Some("L04"));
    assert_eq!(without("PayloadIdentifier"), Some("L04"));
    assert_eq!(without("PayloadUUID"), Some("L06"));
    assert_eq!(changed("PayloadUUID", 7.into()), Some("L47"));
    assert_eq!(without("PayloadContent"), Some("L09"));
    assert_eq!(changed("PayloadContent", Value::Array(Vec::new())), Some("L09"));
    assert_eq!(changed("PayloadContent", Value::Array(vec!["x".into()])), Some("L47"));
    let nameless = with_root(|root| drop(payload(root, 0).remove("PayloadIdentifier")));
    assert_eq!(codes(&nameless), ["L04"]);
}

#[test]
fn f20_profiles_for_macs_are_refused_for_phones() {
    let both = with_root(|root| {
        insert(root, "PayloadScope", "System");
        insert(root, "TargetDeviceType", 5);
    });
    assert_eq!(codes(&both), ["L38", "L37"]);
    assert_eq!(codes(&with_root(|root| insert(root, "PayloadScope", "User"))), ["L38"]);
    let system = load(&xml(&with_root(|root| insert(root, "PayloadScope", "System")))).unwrap();
    assert_eq!(warning_codes(&system), [Some("L38")]);
    for (class, expected) in [(0, vec![]), (1, vec![]), (4, vec!["L37"]), (9, vec!["L37"])] {
        assert_eq!(codes(&with_root(|root| insert(root, "TargetDeviceType", class))), expected);
    }
}

#[test]
fn names_from_the_file_are_safe_to_print() {
    let profile =
        load(&xml(&with_root(|root| insert(root, "PayloadDisplayName", "a\u{202e}b\u{9b}")))).unwrap();
    assert_eq!(profile.display_name(), Some("a\\u{202e}b\\u{9b}"));
    let odd = with_root(|root| insert(root, "PayloadType", "x\u{202e}"));
    assert!(show(&xml(&odd)).unwrap_err().to_string().contains("x\\u{202e}"));
}

#[test]
fn cdata_and_a_missing_wrapper() {
    let text = String::from_utf8(xml(&scep())).unwrap();
    let cdata = text.replace("Management Profile", "<![CDATA[Management Profile]]>");
    assert!(matches!(
        refused(cdata.as_bytes()),
        Refusal::PropertyList { error: PlistError::Cdata { .. }, .. }
    ));
    let bare = text.replace("<plist version=\"1.0\">", "").replace("</plist>", "");
    assert_eq!(warning_codes(&load(bare.as_bytes()).unwrap()), [None]);
}

#[test]
fn no_secret_is_printed() {
    let options = ExampleOptions { challenge: Some("canary-51c0".to_owned()), ..ExampleOptions::default() };
    for plist in [scep_plist(&options), acme_plist(&options)] {
        let profile = load(&sign(&to_xml(&plist))).unwrap();
        assert!(!format!("{profile:?} {:?}", profile.warnings()).contains("canary-51c0"));
    }
}

#[test]
fn every_refusal_is_two_sentences() {
    let files = [xml(&with_mdm(|mdm| insert(mdm, "Topic", "x"))), b"<html>".to_vec(), b"bplist00".to_vec()];
    for file in files {
        let refusal = refused(&file);
        for text in [refusal.to_string(), refusal.next().to_owned()] {
            assert!(text.starts_with(|c: char| c.is_ascii_uppercase()) && text.ends_with('.'), "{text}");
        }
    }
}
