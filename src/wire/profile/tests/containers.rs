//! Every row of 1.1.

use super::*;
use crate::wire::profile::container::{Kind, declare_utf8, open};
use crate::wire::profile::example::SignatureShape;
use proptest::prelude::*;

fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn base64(bytes: &[u8]) -> String {
    let text = openssl::base64::encode_block(bytes);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n") + "\n"
}

fn pem(der: &[u8], label: &str) -> String {
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", base64(der))
}

#[test]
fn each_row_is_recognised_by_its_first_bytes() {
    let rows: [(&[u8], Kind); 32] = [
        (b"", Kind::Empty),
        (b"\x1f\x8b\x08", Kind::Compressed("gzip")),
        (b"PK\x03\x04", Kind::Compressed("zip")),
        (b"bplist00\xd0", Kind::BinaryPlist),
        (b"\x30\x82\x12\x34\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", Kind::SignedData),
        (b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", Kind::SignedData),
        (b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", Kind::SignedData),
        (b"\x30\x84\0\0\x12\x34\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", Kind::SignedData),
        (b"\x30\x82\x12\x34\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", Kind::EnvelopedData),
        (b"\x30\x82\x12\x34\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x05", Kind::Unknown),
        (b"-----BEGIN PKCS7-----\n", Kind::Pem),
        (b"\n-----BEGIN CMS-----\n", Kind::Pem),
        (b"-----BEGIN CERTIFICATE-----\n", Kind::Unknown),
        (b"MIME-Version: 1.0\n", Kind::Mime),
        (b"content-type: application/pkcs7-mime\n", Kind::Mime),
        (b"\xff\xfe<\0", Kind::Utf16),
        (b"\xfe\xff\0<", Kind::Utf16),
        (b"<\0?\0", Kind::Utf16),
        (b"\0<\0?", Kind::Utf16),
        (b"<?xml version=\"1.0\"?><plist>", Kind::Xml),
        (b"\xef\xbb\xbf \n<plist>", Kind::Xml),
        (b"<!DOCTYPE plist PUBLIC", Kind::Xml),
        (b"<!DOCTYPE HTML>", Kind::WebPage),
        (b"  <html lang=en>", Kind::WebPage),
        (b"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML\">", Kind::WebPage),
        (b"{\"value\": 1}", Kind::Json),
        (b"https://appleconfigurator2.manage.microsoft.com/MDMServiceConfig?id=1\n", Kind::Url),
        (b"https://a.example and more", Kind::Unknown),
        (b"PD94bWw=\r\n", Kind::Base64),
        (b"hello there", Kind::Unknown),
        (b" \n", Kind::Unknown),
        (b"<dict/>", Kind::Unknown),
    ];
    for (bytes, kind) in rows {
        assert_eq!(Kind::of(bytes), kind, "{}", bytes.escape_ascii());
    }
}

#[test]
fn dead_ends_are_refused_with_their_reason() {
    use Refusal::*;
    let rows: [(&[u8], Refusal); 10] = [
        (b"", Empty),
        (b"\x1f\x8b\x08", Compressed { form: "gzip" }),
        (b"PK\x03\x04", Compressed { form: "zip" }),
        (b"\x30\x82\x12\x34\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", WhollyEncrypted),
        (b"<!DOCTYPE html><html></html>", WebPage),
        (b"https://appleconfigurator2.manage.microsoft.com/MDMServiceConfig?id=1\n", ProfileUrl),
        (b"{\"value\": 7}", JsonWithoutValue),
        (b"{\"error\": {}}", JsonWithoutValue),
        (b"{ a = b; }", NotProfile),
        (b"some text", NotProfile),
    ];
    for (bytes, refusal) in rows {
        assert_eq!(refused(bytes), refusal);
    }
}

#[test]
fn wrapped_profiles_are_pushed_unwrapped() {
    let plain = xml(&scep());
    let signed = sign(&plain);
    let graph = |text: &str| serde_json::json!({"@odata.context": "x", "value": text}).to_string();
    let smime = format!(
        "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}",
        base64(&signed)
    );
    let text = String::from_utf8(plain.clone()).unwrap();
    let cases: [(String, &[u8], usize); 8] = [
        (pem(&signed, "PKCS7"), &signed, 1),
        (pem(&signed, "CMS"), &signed, 1),
        (smime, &signed, 1),
        (graph(&text), &plain, 1),
        (graph(&base64(&signed)), &signed, 2),
        (base64(&plain), &plain, 1),
        (base64(&signed), &signed, 1),
        (base64(pem(&signed, "CMS").as_bytes()), &signed, 2),
    ];
    for (file, pushed, warnings) in cases {
        let profile = load(file.as_bytes()).unwrap();
        assert_eq!(profile.bytes().expose(), pushed);
        assert_eq!(profile.warnings().len(), warnings, "{:?}", profile.warnings());
        assert_eq!(profile.content_sha256(), sha256(&plain));
        assert_eq!(profile.file_sha256(), sha256(file.as_bytes()));
    }
}

#[test]
fn openssl_s_own_mail_and_streams_are_read() {
    use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
    let plain = xml(&scep());
    let mut chain = openssl::stack::Stack::new().unwrap();
    chain.push(SIGNER.intermediate().clone()).unwrap();
    let flags = Pkcs7Flags::BINARY | Pkcs7Flags::STREAM;
    let signed = Pkcs7::sign(SIGNER.leaf(), SIGNER.key(), &chain, &plain, flags).unwrap();
    let mail = signed.to_smime(&plain, flags).unwrap();
    let profile = load(&mail).unwrap();
    assert!(profile.bytes().expose().starts_with(&[0x30, 0x80]), "streams have indefinite lengths");
    assert_eq!(profile.content_sha256(), sha256(&plain));
    // Clear-signed mail holds no profile inside the signature.
    let clear = Pkcs7Flags::BINARY | Pkcs7Flags::DETACHED;
    let signed = Pkcs7::sign(SIGNER.leaf(), SIGNER.key(), &chain, &plain, clear).unwrap();
    assert_eq!(refused(&signed.to_smime(&plain, clear).unwrap()), Refusal::Detached);
}

#[test]
fn damaged_wrappers_are_unreadable() {
    let half = base64(&sign(b"x"));
    for file in [
        format!("-----BEGIN CMS-----\n{half}"),
        "-----BEGIN CMS-----\n***\n-----END CMS-----".to_owned(),
        "MIME-Version: 1.0\nno body".to_owned(),
        "MIME-Version: 1.0\n\n***".to_owned(),
        "{\"value\": ".to_owned(),
        "QUJD=QUJD".to_owned(),
        "A".to_owned(),
    ] {
        assert_eq!(refused(file.as_bytes()).kind(), RefusalKind::Unreadable, "{file}");
    }
}

#[test]
fn base64_is_decoded_once_only() {
    let twice = base64(base64(&xml(&scep())).as_bytes());
    assert_eq!(refused(twice.as_bytes()), Refusal::NotProfile);
    let mut nested = String::from_utf8(xml(&scep())).unwrap();
    for _ in 0..4 {
        nested = serde_json::json!({ "value": nested }).to_string();
    }
    assert!(load(nested.as_bytes()).is_ok());
    nested = serde_json::json!({ "value": nested }).to_string();
    assert_eq!(refused(nested.as_bytes()), Refusal::TooManyLayers);
}

#[test]
fn f16_utf16_is_pushed_as_utf8_with_a_warning() {
    let text =
        String::from_utf8(xml(&with_root(|root| insert(root, "PayloadDisplayName", "Büro 👩")))).unwrap();
    let declared = text.replace("encoding=\"UTF-8\"", "encoding=\"UTF-16\"");
    for (big, mark) in [(false, true), (true, true), (false, false), (true, false)] {
        let profile = load(&utf16(&declared, big, mark)).unwrap();
        assert_eq!(profile.bytes().expose(), text.as_bytes());
        assert_eq!(profile.display_name(), Some("Büro 👩"));
        assert_eq!(warning_codes(&profile), [None]);
    }
    let marked = format!("\u{feff}{text}");
    let profile = load(marked.as_bytes()).unwrap();
    assert_eq!(profile.bytes().expose(), marked.as_bytes());
    assert!(profile.warnings().is_empty());
    // Inside a signature nothing is touched.
    let signed = sign(&utf16(&declared, false, true));
    let profile = load(&signed).unwrap();
    assert_eq!(profile.bytes().expose(), &signed);
    assert_eq!(warning_codes(&profile), [None]);
    assert_eq!(refused(&utf16(&declared, false, true)[..1001]).kind(), RefusalKind::Unreadable);
    assert_eq!(refused(b"\xff\xfe\x00\xd8<\0").kind(), RefusalKind::Unreadable);
}

#[test]
fn the_declaration_is_made_true() {
    for (from, to) in [
        ("<?xml version='1.0' encoding='utf-16'?><a/>", "<?xml version='1.0' encoding='UTF-8'?><a/>"),
        ("<?xml version=\"1.0\"?><a encoding=\"x\"/>", "<?xml version=\"1.0\"?><a encoding=\"x\"/>"),
        ("<plist/>", "<plist/>"),
    ] {
        assert_eq!(declare_utf8(from), to);
    }
}

#[test]
fn f14_size_is_refused_before_reading() {
    let limit = limits::PROFILE_REFUSE_BYTES;
    let bytes = 20 << 20;
    assert_eq!(refused(&vec![b'<'; bytes]), Refusal::TooLarge { bytes, limit });
    let padded = |size: usize| {
        let mut root = scep();
        let mut extra = payload(&mut root, 0).clone();
        insert(&mut extra, "PayloadType", "com.apple.security.root");
        insert(&mut extra, "PayloadIdentifier", "Microsoft.Profiles.MDM.root");
        insert(&mut extra, "PayloadUUID", "1111AAAA-0000-4000-8000-000000000003");
        insert(&mut extra, "PayloadContent", Value::Data(vec![0; size]));
        root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap().push(extra.into());
        let mut out = Vec::new();
        Value::Dictionary(root).to_writer_binary(&mut out).unwrap();
        out
    };
    assert_eq!(warning_codes(&load(&padded(3 << 19)).unwrap()), [Some("L48")]);
    let refusal = refused(&padded(3 << 20));
    assert!(matches!(refusal, Refusal::TooLargeToPush { .. }), "{refusal}");
    assert_eq!((refusal.code(), refusal.kind()), (Some("L48"), RefusalKind::Forbidden));
}

#[test]
fn what_can_be_pushed_fits_a_frame() {
    let mut request = Dictionary::new();
    insert(&mut request, "RequestType", "InstallProfile");
    insert(&mut request, "Payload", Value::Data(vec![0; limits::PROFILE_PUSH_BYTES]));
    assert!(xml(&request).len() < limits::DEVICE_FRAME_BYTES);
}

proptest! {
    #[test]
    fn arbitrary_files_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = open(&bytes);
        for start in ["MIME-Version: 1.0\n\n", "-----BEGIN CMS-----", "{\"value\":\"", "\u{feff}", "QUJD"] {
            let _ = open(&[start.as_bytes(), &bytes].concat());
        }
        let _ = open(&[b"\xff\xfe".as_slice(), &bytes].concat());
    }

    #[test]
    fn a_damaged_signed_file_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), indefinite: bool) {
        let shape = SignatureShape { indefinite, ..SignatureShape::default() };
        let mut file = SIGNER.sign_as(b"<plist/>", shape).unwrap();
        let index = at.index(file.len());
        file[index] = byte;
        let _ = show(&file);
        let _ = show(&file[..index]);
    }
}
