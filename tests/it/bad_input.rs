//! Files that are no enrollment profile: one clear sentence, what to do, the right exit code,
//! and no device is asked for anything (there is not even a mux here).
//!
//! 2 is a file that cannot be read as a profile; 5 is one that can, or hides something, and
//! must not be pushed.

use crate::support::binary::{Bench, Running, text_of};
use crate::support::profile::{SIGNER, changed, f01, payloads, plain_f01, signed};
use enlist::wire::property_list::Value;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.trust_signer();
    bench
}

/// The file is refused by `enroll`, and the sentence names it and says `word`.
#[track_caller]
fn refused(bench: &Bench, file: &str, exit: i32, word: &str) {
    let sentence = bench.run(&["enroll", file]).fails_clearly(exit);
    assert!(sentence.contains(file), "names the file: {sentence}");
    assert!(sentence.to_lowercase().contains(&word.to_lowercase()), "says {word}: {sentence}");
}

#[track_caller]
fn refused_bytes(bytes: &[u8], exit: i32, word: &str) {
    let bench = bench();
    let file = bench.write("given.mobileconfig", bytes);
    refused(&bench, &file, exit, word);
    // With JSON wanted, too; and the station refuses it as well.
    bench.run(&["enroll", &file, "--json", "--all"]).fails_clearly(exit);
    bench.run(&["serve", &file, "--once"]).fails_clearly(exit);
}

#[test]
fn a_missing_file() {
    let bench = bench();
    let path = text_of(&bench.path("nowhere.mobileconfig"));
    refused(&bench, &path, 2, "no such file");
    bench.run(&["profile", "show", &path]).fails_clearly(2);
    bench.run(&["serve", &path]).fails_clearly(2);
}

#[test]
fn a_folder() {
    let bench = bench();
    let path = text_of(&bench.path(""));
    refused(&bench, &path, 2, "directory");
    bench.run(&["profile", "show", &path]).fails_clearly(2);
}

#[cfg(target_os = "linux")] // a file nobody can read, not even root
#[test]
fn an_unreadable_file() {
    let bench = bench();
    refused(&bench, "/proc/self/mem", 2, "cannot read");
    bench.run(&["profile", "show", "/proc/self/mem"]).fails_clearly(2);
}

/// A pipe nobody writes to must not be waited for.
#[test]
fn a_pipe() {
    let bench = bench();
    let path = text_of(&bench.path("pipe.mobileconfig"));
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    refused(&bench, &path, 2, "no regular file");
}

#[test]
fn an_empty_file() {
    refused_bytes(b"", 2, "empty");
}

#[test]
fn an_oversized_file_is_not_even_read() {
    let bench = bench();
    let path = bench.path("huge.mobileconfig");
    std::fs::File::create(&path).unwrap().set_len(11 << 20).unwrap();
    refused(&bench, &text_of(&path), 5, "limit");
}

#[test]
fn an_encrypted_file() {
    let mut recipients = openssl::stack::Stack::new().unwrap();
    recipients.push(SIGNER.leaf().clone()).unwrap();
    let (cipher, flags) = (openssl::symm::Cipher::aes_128_cbc(), openssl::cms::CMSOptions::BINARY);
    let sealed = openssl::cms::CmsContentInfo::encrypt(&recipients, &plain_f01(), cipher, flags).unwrap();
    let sealed = sealed.to_der().unwrap();
    refused_bytes(&sealed, 5, "encrypted");
    let inside = changed(|root| {
        root.remove("PayloadContent");
        root.insert("EncryptedPayloadContent".into(), Value::Data(sealed));
    });
    refused_bytes(&signed(&inside), 5, "encrypted");
}

#[test]
fn a_truncated_xml_file() {
    let whole = plain_f01();
    refused_bytes(&whole[..whole.len() / 2], 2, "");
}

#[test]
fn a_truncated_signed_file() {
    let whole = f01();
    refused_bytes(&whole[..whole.len() - 100], 2, "cut off");
    refused_bytes(&whole[..20], 2, "");
}

#[test]
fn a_file_with_entities() {
    let secret = Bench::new().write("secret.txt", "canary-entity");
    let xml = format!("<!DOCTYPE plist [<!ENTITY x SYSTEM \"file://{secret}\">]><plist>&x;</plist>");
    refused_bytes(xml.as_bytes(), 5, "");
    let laughs =
        "<!DOCTYPE plist [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><plist><string>&b;</string></plist>";
    refused_bytes(laughs.as_bytes(), 5, "");
}

#[test]
fn a_deeply_nested_file() {
    refused_bytes(format!("<plist>{}", "<array>".repeat(200_000)).as_bytes(), 5, "nest");
    refused_bytes(&signed(format!("<plist>{}", "<array>".repeat(200_000)).as_bytes()), 5, "nest");
}

/// 140 bytes that unfold to ten million objects.
#[test]
fn a_binary_plist_bomb() {
    let mut bomb = b"bplist00".to_vec();
    (1..=7).for_each(|level| bomb.extend([&[0xaa], [level; 10].as_slice()].concat()));
    bomb.push(0x09);
    let table = bomb.len() as u64;
    bomb.extend((0..8).map(|object| 8 + 11 * object));
    bomb.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    [8, 0, table].into_iter().for_each(|field: u64| bomb.extend(field.to_be_bytes()));
    refused_bytes(&bomb, 5, "");
}

#[test]
fn a_web_page() {
    refused_bytes(b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>", 2, "web page");
}

#[test]
fn an_archive() {
    refused_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc", 2, "gzip");
    refused_bytes(b"PK\x03\x04\x14\x00\x00\x00", 2, "zip");
}

#[test]
fn something_else_altogether() {
    refused_bytes(&[0xff; 4096], 2, "");
    refused_bytes(b"\x00\x01\x02", 2, "");
    refused_bytes(b"hello", 2, "");
    refused_bytes(b"bplist00", 2, "");
}

#[test]
fn a_wifi_profile_is_shown_and_not_pushed() {
    let wifi = changed(|root| {
        let payloads = payloads(root);
        payloads.truncate(1);
        let Value::Dictionary(payload) = &mut payloads[0] else { panic!("payload") };
        payload.insert("PayloadType".into(), "com.apple.wifi.managed".into());
    });
    refused_bytes(&signed(&wifi), 5, "no MDM payload");
    let bench = bench();
    let file = bench.write("wifi.mobileconfig", signed(&wifi));
    let shown = bench.run(&["profile", "show", &file, "--json"]).exits(0).only();
    assert_eq!(shown["refusals"][0]["code"], "L11", "{shown}");
}

#[test]
fn two_mdm_payloads() {
    let two = changed(|root| {
        let payloads = payloads(root);
        let Value::Dictionary(mut second) = payloads[1].clone() else { panic!("payload") };
        second.insert("PayloadUUID".into(), "1111AAAA-0000-4000-8000-000000000003".into());
        second.insert("PayloadIdentifier".into(), "Microsoft.Profiles.MDM.mdm2".into());
        payloads.push(second.into());
    });
    refused_bytes(&signed(&two), 5, "2 MDM payloads");
}

/// What is well formed and what a device would refuse all the same: every error of the linter.
#[test]
fn a_profile_that_a_device_would_refuse() {
    fn at(root: &mut enlist::wire::property_list::Dictionary, n: usize, key: &str, value: impl Into<Value>) {
        payloads(root)[n].as_dictionary_mut().unwrap().insert(key.into(), value.into());
    }
    let scep = |root: &mut enlist::wire::property_list::Dictionary, key: &str, value: Value| {
        let payload = payloads(root)[0].as_dictionary_mut().unwrap();
        payload.get_mut("PayloadContent").unwrap().as_dictionary_mut().unwrap().insert(key.into(), value);
    };
    let bench = bench();
    let cases: [(&str, Vec<u8>); 6] = [
        ("L17", changed(|root| at(root, 1, "AccessRights", 8192))),
        ("L08", changed(|root| at(root, 1, "PayloadIdentifier", "Microsoft.Profiles.MDM.scep"))),
        (
            "L20",
            changed(|root| {
                at(root, 1, "ServerURLPinningCertificateUUIDs", Value::Array(vec!["no such".into()]));
            }),
        ),
        ("L24", changed(|root| scep(root, "URL", "nowhere".into()))),
        ("L26", changed(|root| scep(root, "Key Type", "EC".into()))),
        ("L47", changed(|root| at(root, 1, "SignMessage", "yes"))),
    ];
    for (code, plain) in cases {
        let file = bench.write(&format!("{code}.mobileconfig"), signed(&plain));
        refused(&bench, &file, 5, code);
        let shown = bench.run(&["profile", "show", "--json", &file]).exits(0).only();
        assert_eq!(shown["refusals"][0]["code"], code, "{shown}");
    }
}

#[test]
fn a_tampered_signature() {
    let mut file = f01();
    let at = file.windows(16).position(|w| w == b"mdm.bench.exampl").unwrap();
    file[at] = b'w';
    refused_bytes(&file, 5, "changed after signing");
    let bench = bench();
    let path = bench.write("tampered.mobileconfig", &file);
    let shown = bench.run(&["profile", "show", &path, "--json"]).exits(0).only();
    assert_eq!(shown["signature"]["intact"], false, "{shown}");
}

/// One bad file must not hide the others.
#[test]
fn show_goes_on_after_a_bad_file() {
    let bench = bench();
    let (bad, good) = (bench.write("bad.mobileconfig", ""), bench.write("good.mobileconfig", f01()));
    let done = bench.run(&["profile", "show", &bad, &good, "--json"]).exits(2);
    assert!(done.stderr.starts_with("error: ") && done.stderr.contains("bad.mobileconfig"), "{done}");
    assert_eq!(done.only()["file"], good.as_str());
}

#[test]
fn arguments_that_make_no_sense() {
    let bench = bench();
    let file = bench.write("good.mobileconfig", f01());
    for args in [
        &["enrol"][..],
        &["enroll"],
        &["enroll", &file, "--accept-within", "soon"],
        &["enroll", &file, "--all", "-u", "00008110-001A2B3C4D5E6F70"],
        &["enroll", &file, "--setup-assistant", "perhaps"],
        &["history", "--outcome", "fine"],
        &["serve", "--simulate", "0"],
        &["sim", "--persona", "nobody"],
        &["sim", "--latency", "fast"],
    ] {
        let done = bench.run(args).exits(2);
        assert!(done.stdout.is_empty() && done.stderr.starts_with("error: "), "{done}");
        done.is_for_people();
    }
    // Understood, and still nothing an enrollment could work with.
    for args in [
        &["enroll", &file, "--accept-within", "481"][..],
        &["enroll", &file, "--pushes", "0"],
        &["enroll", &file, "--person-within", "86401"],
        &["serve"],
        &["serve", "--scenario", "nowhere.toml"],
    ] {
        bench.run(args).fails_clearly(2);
    }
}

/// `profile_signer`: enroll and serve push nothing else, and `show` says so.
#[test]
fn another_signer_than_the_configured_one() {
    let bench = bench();
    let file = bench.write("good.mobileconfig", f01());
    let trusting = std::fs::read_to_string(bench.path("enlist.toml")).unwrap();
    let digest = openssl::sha::sha256(&SIGNER.leaf().to_der().unwrap());
    let digest: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    let shown = || bench.run(&["profile", "show", &file, "--json"]).exits(0).only();
    assert!(shown()["signature"]["accepted"].is_null(), "any signer is accepted");
    for pin in ["IOSProfileSigning.bench.example", &digest] {
        bench.write("enlist.toml", format!("profile_signer = \"{pin}\"\n{trusting}"));
        let shown = shown();
        assert_eq!(shown["signature"]["accepted"], true, "{shown}");
        assert_eq!(shown["signature"]["purposes"], serde_json::json!(["server"]), "{shown}");
        assert_eq!(
            (&shown["signature"]["in_time"], shown["refusals"].as_array().unwrap().len()),
            (&true.into(), 0)
        );
    }
    bench.write("enlist.toml", format!("profile_signer = \"Somebody Else\"\n{trusting}"));
    refused(&bench, &file, 5, "only Somebody Else is accepted");
    bench.run(&["serve", &file, "--once"]).fails_clearly(5);
    let shown = shown();
    assert_eq!(
        (&shown["signature"]["accepted"], &shown["refusals"][0]["code"]),
        (&false.into(), &"L43".into())
    );
    let said = bench.run(&["profile", "show", &file]).exits(0).all_output();
    assert!(said.contains("it is not the accepted one") && said.contains("made for server"), "{said}");
    bench.write("enlist.toml", format!("profile_signer = \"\"\n{trusting}"));
    bench.run(&["config", "check"]).exits(2);
}

/// What `serve` would refuse at its start is told by the check of the configuration already.
#[test]
fn a_configuration_is_checked_as_serve_would() {
    let bench = Bench::new();
    for (text, said) in [
        ("[api]\nlisten = '0.0.0.0:7417'", "a token and TLS"),
        ("[api]\ntoken_file = '/nowhere/token'", "Cannot read the token /nowhere/token"),
        ("[api]\ntls_cert = '/nowhere/c.pem'\ntls_key = '/nowhere/k.pem'", "/nowhere/c.pem or its key"),
        ("profile = '/nowhere/export.mobileconfig'", "There is no /nowhere/export.mobileconfig"),
        ("blueprints = '/nowhere/blueprints'", "/nowhere/blueprints"),
    ] {
        let file = bench.write("checked.toml", format!("{text}\n"));
        let mut command = bench.command(&["config", &file]);
        command.env_remove("ENLIST_LISTEN");
        let told = Running::start(command).finish().fails_clearly(2);
        assert!(told.contains(said), "{text}: {told}");
    }
    let file = bench.write("checked.toml", "[[hooks]]\non = 'ended'\ncommand = ['/nowhere/hook']\n");
    let done = bench.run(&["config", &file]).exits(0);
    assert!(done.stderr.contains("does not exist: /nowhere/hook"), "{done}");
}
