//! Each rule: at least one file that makes it fire with a severity, and one close to it
//! that does not.

use super::*;
use crate::wire::profile::example::SignatureShape;
use crate::wire::profile::lint::{Installed, InstalledMdm};

/// A rule, and a file that makes it fire with this severity, or not at all.
struct Case {
    code: &'static str,
    expected: Option<Severity>,
    file: Vec<u8>,
    context: LintContext,
}

const ERROR: Option<Severity> = Some(Severity::Error);
const WARNING: Option<Severity> = Some(Severity::Warning);
const INFO: Option<Severity> = Some(Severity::Information);
const SILENT: Option<Severity> = None;

/// Collects cases with few words.
#[derive(Default)]
struct Table(Vec<Case>);

impl Table {
    fn file(&mut self, code: &'static str, expected: Option<Severity>, file: Vec<u8>, context: LintContext) {
        self.0.push(Case { code, expected, file, context });
    }

    /// F01 with a change of its root, signed, for an iOS job.
    fn root(&mut self, code: &'static str, expected: Option<Severity>, change: impl FnOnce(&mut Dictionary)) {
        self.file(code, expected, sign(&xml(&with_root(change))), ios());
    }

    fn scep(&mut self, code: &'static str, expected: Option<Severity>, change: impl FnOnce(&mut Dictionary)) {
        self.root(code, expected, |root| change(settings(root)));
    }

    fn mdm(&mut self, code: &'static str, expected: Option<Severity>, change: impl FnOnce(&mut Dictionary)) {
        self.root(code, expected, |root| change(payload(root, 1)));
    }

    fn acme(
        &mut self,
        code: &'static str,
        expected: Option<Severity>,
        context: LintContext,
        change: impl FnOnce(&mut Dictionary),
    ) {
        let mut root = acme_plist(&ExampleOptions::default()).into_dictionary().unwrap();
        change(payload(&mut root, 0));
        self.file(code, expected, sign(&xml(&root)), context);
    }

    /// F01 with one more payload.
    fn extra(
        &mut self,
        code: &'static str,
        expected: Option<Severity>,
        context: LintContext,
        more: Dictionary,
    ) {
        let root = with_root(|root| push(root, more));
        self.file(code, expected, sign(&xml(&root)), context);
    }
}

fn settings(root: &mut Dictionary) -> &mut Dictionary {
    payload(root, 0).get_mut("PayloadContent").unwrap().as_dictionary_mut().unwrap()
}

fn push(root: &mut Dictionary, payload: Dictionary) {
    root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap().push(payload.into());
}

fn more(kind: &str, entries: &[(&str, Value)]) -> Dictionary {
    let mut out = Dictionary::new();
    insert(&mut out, "PayloadType", kind);
    insert(&mut out, "PayloadVersion", 1);
    insert(&mut out, "PayloadIdentifier", "Microsoft.Profiles.MDM.more");
    insert(&mut out, "PayloadUUID", "1111AAAA-0000-4000-8000-000000000009");
    entries.iter().for_each(|(key, value)| insert(&mut out, key, value.clone()));
    out
}

fn texts(all: &[&str]) -> Value {
    Value::Array(all.iter().map(|text| Value::from(*text)).collect())
}

fn dictionary(entries: &[(&str, Value)]) -> Value {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<Dictionary>().into()
}

fn date(when: Timestamp) -> Value {
    Value::Date(std::time::SystemTime::from(when).into())
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

fn on(change: impl FnOnce(&mut DeviceContext)) -> LintContext {
    let mut known = device("iPhone", "17.2");
    change(&mut known);
    LintContext { device: Some(known), ..ios() }
}

fn macos() -> LintContext {
    LintContext { job: Job::Macos, ..ios() }
}

fn at(now: Timestamp) -> LintContext {
    LintContext { now: Some(now), ..ios() }
}

/// A certificate of this age in days, of a year's life, and its identity as PKCS#12.
fn certificate(age: i64) -> (Vec<u8>, Vec<u8>) {
    let signer = Signer::new(now() - days(age)).unwrap();
    let mut builder = openssl::pkcs12::Pkcs12::builder();
    builder.cert(signer.leaf()).pkey(signer.key());
    let identity = builder.build2("pass").unwrap().to_der().unwrap();
    (signer.leaf().to_der().unwrap(), identity)
}

fn unsigned(change: impl FnOnce(&mut Dictionary)) -> Vec<u8> {
    xml(&with_root(change))
}

fn form_and_names(table: &mut Table) {
    table.file("L01", ERROR, to_xml(&Value::Array(Vec::new())), ios());
    table.root("L01", SILENT, |_| ());
    table.root("L02", ERROR, |root| drop(root.remove("PayloadType")));
    table.root("L02", ERROR, |root| insert(root, "PayloadType", "Enrollment Service"));
    table.root("L02", SILENT, |root| insert(root, "PayloadType", "Profile Service"));
    table.root("L03", ERROR, |root| insert(root, "PayloadVersion", 2));
    table.mdm("L03", ERROR, |mdm| drop(mdm.remove("PayloadVersion")));
    table.root("L03", SILENT, |root| insert(root, "PayloadVersion", "1"));
    table.mdm("L04", ERROR, |mdm| insert(mdm, "PayloadIdentifier", ""));
    table.root("L04", ERROR, |root| insert(root, "PayloadIdentifier", 7));
    table.root("L04", SILENT, |_| ());
    for odd in ["plain", "a b.c", "a_b.c", "a..b", ".a", "a."] {
        table.root("L05", WARNING, |root| insert(root, "PayloadIdentifier", odd));
    }
    table.root("L05", SILENT, |root| insert(root, "PayloadIdentifier", "a-1.b_2.C"));
    table.root("L06", ERROR, |root| drop(root.remove("PayloadUUID")));
    table.mdm("L06", WARNING, |mdm| insert(mdm, "PayloadUUID", "1234"));
    table.root("L06", SILENT, |root| insert(root, "PayloadUUID", "1111aaaa-0000-4000-8000-00000000000f"));
    table.mdm("L07", ERROR, |mdm| insert(mdm, "PayloadUUID", "1111aaaa-0000-4000-8000-000000000000"));
    table.root("L07", SILENT, |_| ());
    table.mdm("L08", ERROR, |mdm| insert(mdm, "PayloadIdentifier", "Microsoft.Profiles.MDM.scep"));
    table.mdm("L08", SILENT, |mdm| insert(mdm, "PayloadIdentifier", "Microsoft.Profiles.MDM"));
    table.root("L09", ERROR, |root| drop(root.remove("PayloadContent")));
    table.root("L09", ERROR, |root| insert(root, "PayloadContent", Value::Array(Vec::new())));
    table.root("L09", ERROR, |root| insert(root, "PayloadContent", "x"));
    table.root("L09", SILENT, |root| {
        root.remove("PayloadContent");
        insert(root, "EncryptedPayloadContent", Value::Data(vec![1]));
    });
    let text = String::from_utf8(xml(&scep())).unwrap();
    let twice = text.replace("<key>Topic</key>", "<key>Topic</key><string>x</string><key>Topic</key>");
    table.file("L10", WARNING, sign(twice.as_bytes()), ios());
    table.root("L10", SILENT, |_| ());
    let stub = |root: &mut Dictionary| insert(root, "PayloadType", "Profile Service");
    table.root("L40", ERROR, stub);
    let mut lenient = ios();
    lenient.policy.ota_allowed = true;
    table.file("L40", WARNING, unsigned(stub), lenient);
    table.root("L40", SILENT, |_| ());
    table.root("L41", ERROR, |root| insert(root, "EncryptedPayloadContent", Value::Data(vec![1])));
    table.root("L41", SILENT, |_| ());
    table.mdm("L47", ERROR, |mdm| insert(mdm, "AccessRights", "8191"));
    table.scep("L47", ERROR, |scep| insert(scep, "Keysize", "2048"));
    table.root("L47", ERROR, |root| push_value(root, "text".into()));
    table.root("L47", ERROR, |root| insert(root, "TargetDeviceType", "1"));
    table.root("L47", SILENT, |root| insert(root, "DurationUntilRemoval", 5.5));
    table.extra("L52", WARNING, ios(), more("com.example.own", &[]));
    table.mdm("L52", WARNING, |mdm| drop(mdm.remove("PayloadType")));
    table.extra("L52", SILENT, ios(), more("com.apple.dock", &[]));
}

fn push_value(root: &mut Dictionary, value: Value) {
    root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap().push(value);
}

fn management(table: &mut Table) {
    let without_mdm = |root: &mut Dictionary| {
        root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap().truncate(1);
    };
    table.root("L11", ERROR, without_mdm);
    let helper = LintContext { purpose: Purpose::Any, ..ios() };
    table.file("L11", SILENT, unsigned(without_mdm), helper);
    table.root("L12", ERROR, |root| {
        let second = payload(root, 1).clone();
        push(root, second);
    });
    table.root("L12", SILENT, |_| ());
    table.mdm("L13", ERROR, |mdm| drop(mdm.remove("IdentityCertificateUUID")));
    table.mdm("L13", ERROR, |mdm| {
        insert(mdm, "IdentityCertificateUUID", "1111AAAA-0000-4000-8000-000000000009")
    });
    let lower = "1111aaaa-0000-4000-8000-000000000001";
    table.mdm("L13", SILENT, |mdm| insert(mdm, "IdentityCertificateUUID", lower));
    table.root("L14", ERROR, |root| insert(payload(root, 0), "PayloadType", "com.apple.security.root"));
    table.root("L14", SILENT, |root| insert(payload(root, 0), "PayloadType", "com.apple.security.pkcs12"));
    table.mdm("L15", ERROR, |mdm| drop(mdm.remove("ServerURL")));
    table.mdm("L15", ERROR, |mdm| insert(mdm, "CheckInURL", "ftp://x"));
    table.mdm("L15", SILENT, |mdm| drop(mdm.remove("CheckInURL")));
    table.mdm("L16", ERROR, |mdm| insert(mdm, "Topic", "com.example"));
    table.mdm("L16", ERROR, |mdm| insert(mdm, "Topic", "com.apple.mgmt."));
    table.mdm("L16", SILENT, |mdm| insert(mdm, "Topic", "com.apple.mgmt.x"));
    for rights in [0, 2, 8192, -1, 128 + 19] {
        table.mdm("L17", ERROR, |mdm| insert(mdm, "AccessRights", rights));
    }
    table.mdm("L17", WARNING, |mdm| drop(mdm.remove("AccessRights")));
    table.mdm("L17", SILENT, |mdm| insert(mdm, "AccessRights", 3));
    table.mdm("L18", ERROR, |mdm| insert(mdm, "EnrollmentMode", "BYOD"));
    table.mdm("L18", SILENT, |_| ());
    table.mdm("L19", WARNING, |mdm| insert(mdm, "RequiredAppIDForMDM", 1));
    table.mdm("L19", SILENT, |mdm| {
        insert(mdm, "RequiredAppIDForMDM", 1);
        insert(mdm, "EnrollmentMode", "ADDE");
    });
    let pin = "1111AAAA-0000-4000-8000-000000000009";
    table.mdm("L20", ERROR, |mdm| insert(mdm, "ServerURLPinningCertificateUUIDs", texts(&[pin])));
    table.mdm("L20", ERROR, |mdm| insert(mdm, "CheckInURLPinningCertificateUUIDs", texts(&[lower])));
    table.root("L20", SILENT, |root| {
        insert(payload(root, 1), "ServerURLPinningCertificateUUIDs", texts(&[pin]));
        push(root, more("com.apple.security.pem", &[("PayloadContent", Value::Data(Vec::new()))]));
    });
    table.mdm("L21", WARNING, |mdm| insert(mdm, "UseDevelopmentAPNS", true));
    table.mdm("L21", SILENT, |mdm| insert(mdm, "UseDevelopmentAPNS", false));
    table.mdm("L22", WARNING, |mdm| drop(mdm.remove("CheckOutWhenRemoved")));
    table.mdm("L22", SILENT, |_| ());
    table.mdm("L23", WARNING, |mdm| insert(mdm, "AccessRights", 8191 - 16));
    table.mdm("L23", SILENT, |mdm| insert(mdm, "AccessRights", 1 + 2 + 16));
    let lone = with_mdm(|mdm| insert(mdm, "ServerCapabilities", texts(&["com.apple.mdm.token"])));
    table.file("L39", WARNING, sign(&xml(&lone)), macos());
    table.file("L39", SILENT, sign(&xml(&lone)), ios());
    table.file("L39", SILENT, sign(&xml(&scep())), macos());
    table.scep("L53", WARNING, |scep| insert(scep, "URL", "https://scep.other.example/x"));
    table.scep("L53", SILENT, |scep| insert(scep, "URL", "http://a.b.bench.example/x"));
}

fn identities(table: &mut Table) {
    table.root("L24", ERROR, |root| drop(payload(root, 0).remove("PayloadContent")));
    table.scep("L24", ERROR, |scep| drop(scep.remove("URL")));
    table.scep("L24", SILENT, |scep| insert(scep, "URL", "http://scep.bench.example"));
    table.scep("L25", WARNING, |scep| drop(scep.remove("Challenge")));
    table.scep("L25", SILENT, |_| ());
    table.scep("L26", WARNING, |scep| drop(scep.remove("Keysize")));
    table.scep("L26", ERROR, |scep| insert(scep, "Key Type", "EC"));
    table.scep("L26", SILENT, |scep| drop(scep.remove("Key Type")));
    table.scep("L27", WARNING, |scep| insert(scep, "Key Usage", 4));
    table.scep("L27", SILENT, |scep| insert(scep, "Key Usage", 1));
    let system = |class: &str, os: &str| LintContext { device: Some(device(class, os)), ..ios() };
    for (class, os, expected) in [
        ("iPhone", "15.8.1", ERROR),
        ("iPhone", "16.0", SILENT),
        ("iPad", "16.0.3", ERROR),
        ("iPad", "16.1", SILENT),
    ] {
        table.acme("L28", expected, system(class, os), |_| ());
    }
    for (os, expected) in [("13.0", ERROR), ("13.1", SILENT)] {
        table.acme("L28", expected, LintContext { device: Some(device("Mac", os)), ..macos() }, |_| ());
    }
    table.acme("L28", SILENT, ios(), |_| ());
    for key in ["DirectoryURL", "ClientIdentifier", "KeyType", "KeySize", "HardwareBound", "Subject"] {
        table.acme("L29", ERROR, ios(), |acme| drop(acme.remove(key)));
    }
    table.acme("L29", ERROR, ios(), |acme| insert(acme, "DirectoryURL", "http://acme.bench.example"));
    table.acme("L29", SILENT, ios(), |_| ());
    table.acme("L30", ERROR, ios(), |acme| insert(acme, "KeyType", "RSA"));
    table.acme("L30", ERROR, ios(), |acme| insert(acme, "KeySize", 521));
    table.acme("L30", ERROR, ios(), |acme| insert(acme, "HardwareBound", false));
    table.acme("L30", SILENT, ios(), |acme| insert(acme, "KeySize", 256));
    table.acme("L31", WARNING, on(|d| d.product_type = Some("iPhone9,1".into())), |_| ());
    table.acme("L31", WARNING, on(|d| d.chip = Some("T2".into())), |_| ());
    table.acme("L31", SILENT, on(|d| d.product_type = Some("iPhone10,1".into())), |_| ());
    table.acme("L32", WARNING, ios(), |_| ());
    let mut modern = ios();
    modern.policy.prefer_scep = false;
    table.acme("L32", SILENT, modern, |_| ());
}

fn certificates_and_networks(table: &mut Table) {
    let (fresh, _) = certificate(10);
    let (old, old_identity) = certificate(400);
    let (_, fresh_identity) = certificate(10);
    let root = |data: &[u8]| more("com.apple.security.root", &[("PayloadContent", Value::Data(data.into()))]);
    table.extra("L36", WARNING, ios(), root(&old));
    table.extra("L36", WARNING, at(now() - days(200)), root(&fresh));
    table.extra("L36", SILENT, ios(), root(&fresh));
    table.extra("L36", SILENT, ios(), root(b"junk"));
    let as_identity = |identity: &[u8], password: &str| {
        let identity = identity.to_vec();
        let password = password.to_owned();
        move |root: &mut Dictionary| {
            insert(payload(root, 0), "PayloadType", "com.apple.security.pkcs12");
            insert(payload(root, 0), "PayloadContent", Value::Data(identity));
            insert(payload(root, 0), "Password", password);
        }
    };
    table.root("L36", ERROR, as_identity(&old_identity, "pass"));
    table.root("L36", SILENT, as_identity(&fresh_identity, "pass"));
    table.root("L36", SILENT, as_identity(&old_identity, "wrong"));
    table.root("L50", WARNING, as_identity(&fresh_identity, "pass"));
    let wifi = |entries: &[(&str, Value)]| more("com.apple.wifi.managed", entries);
    table.extra("L49", ERROR, ios(), wifi(&[("PayloadCertificateUUID", "nowhere".into())]));
    let anchor = |uuid: &str| dictionary(&[("PayloadCertificateAnchorUUID", texts(&[uuid]))]);
    table.extra("L49", ERROR, ios(), wifi(&[("EAPClientConfiguration", anchor("nowhere"))]));
    let there = "1111aaaa-0000-4000-8000-000000000001";
    table.extra("L49", SILENT, ios(), wifi(&[("EAPClientConfiguration", anchor(there))]));
    table.extra("L50", WARNING, ios(), wifi(&[("Password", "x".into())]));
    let password = dictionary(&[("UserPassword", "x".into())]);
    table.extra("L50", WARNING, ios(), wifi(&[("EAPClientConfiguration", password)]));
    table.root("L50", WARNING, |root| insert(payload(root, 1), "PayloadType", "com.apple.dock"));
    table.root("L50", SILENT, |_| ());
}

fn devices(table: &mut Table) {
    let proxy = || more("com.apple.proxy.http.global", &[]);
    table.extra("L33", ERROR, on(|d| d.supervised = Some(false)), proxy());
    table.extra("L33", INFO, ios(), proxy());
    table.extra("L33", SILENT, on(|d| d.supervised = Some(true)), proxy());
    for (class, context, expected) in [
        (4, ios(), ERROR),
        (5, ios(), ERROR),
        (9, ios(), ERROR),
        (1, ios(), SILENT),
        (0, ios(), SILENT),
        (1, macos(), ERROR),
        (5, macos(), SILENT),
        (5, LintContext::new(Some(now())), WARNING),
    ] {
        let root = with_root(|root| insert(root, "TargetDeviceType", class));
        table.file("L37", expected, sign(&xml(&root)), context);
    }
    table.root("L38", ERROR, |root| insert(root, "TargetDeviceType", 5));
    table.root("L38", ERROR, |root| insert(root, "PayloadScope", "User"));
    table.root("L38", WARNING, |root| insert(root, "PayloadScope", "System"));
    table.root("L38", SILENT, |_| ());
    let locked = unsigned(|root| insert(root, "PayloadRemovalDisallowed", true));
    table.file("L51", WARNING, locked.clone(), on(|d| d.supervised = Some(false)));
    table.file("L51", SILENT, locked.clone(), on(|d| d.supervised = Some(true)));
    table.file("L51", SILENT, locked, ios());
    let installed = |identifier: &str, mdm: Option<InstalledMdm>| {
        on(|d| d.installed = vec![Installed { identifier: identifier.into(), mdm }])
    };
    let file = || sign(&xml(&scep()));
    let topic = |topic: &str| Some(InstalledMdm { topic: Some(topic.into()), ..InstalledMdm::default() });
    let ours = "com.apple.mgmt.External.22222222-0000-4000-8000-000000000000";
    let name = "Microsoft.Profiles.MDM";
    table.file("L54", ERROR, file(), installed(name, topic("com.apple.mgmt.other")));
    table.file("L54", SILENT, file(), installed(name, topic(ours)));
    table.file("L54", SILENT, file(), installed("com.example.mdm", topic("com.apple.mgmt.other")));
    table.file("L55", ERROR, file(), installed("com.example.mdm", topic(ours)));
    table.file("L55", SILENT, file(), installed("com.example.wifi", None));
    table.file("L55", SILENT, file(), installed(name, topic(ours)));
}

fn dates(table: &mut Table) {
    table.root("L34", ERROR, |root| insert(root, "RemovalDate", date(yesterday())));
    table.root("L34", ERROR, |root| insert(root, "DurationUntilRemoval", 0));
    // Before the year 0, where the plist crate panics over a date: refused when it is read.
    let ancient =
        with_root(|root| insert(root, "RemovalDate", date("-005000-01-01T00:00:00Z".parse().unwrap())));
    let mut binary = Vec::new();
    Value::Dictionary(ancient).to_writer_binary(&mut binary).unwrap();
    table.file("U01", ERROR, binary, ios());
    table.root("L34", SILENT, |root| insert(root, "RemovalDate", date(now() + days(1))));
    table.root("L35", WARNING, |root| insert(root, "PayloadExpirationDate", date(yesterday())));
    let expired = sign(&unsigned(|root| insert(root, "PayloadExpirationDate", date(yesterday()))));
    let mut strict = ios();
    strict.policy.expired_is_stale = true;
    table.file("L35", ERROR, expired.clone(), strict);
    table.file("L35", SILENT, expired, LintContext { now: None, ..ios() });
    let plain = xml(&scep());
    let stated = |ago: i64| LintContext { exported_at: Some(now() - days(ago)), ..ios() };
    table.file("L46", ERROR, plain.clone(), stated(14));
    table.file("L46", WARNING, plain.clone(), stated(10));
    table.file("L46", SILENT, plain.clone(), stated(9));
    table.file("L46", WARNING, plain.clone(), ios());
    table.file("L46", WARNING, plain.clone(), stated(-3));
    table.file("L46", WARNING, sign(&plain), LintContext { now: None, ..ios() });
    // A signature's time outranks the operator, an expiration date too.
    table.file("L46", SILENT, sign(&plain), stated(20));
    let ends = |when| unsigned(|root| insert(root, "PayloadExpirationDate", date(when)));
    table.file("L46", ERROR, ends(yesterday()), stated(1));
    table.file("L46", WARNING, ends(now() + days(3)), stated(1));
    table.file("L46", SILENT, ends(now() + days(30)), stated(20));
    let mut named = stated(20);
    named.policy.stale_allowed = Some("the portal is down (A. Technician)".into());
    table.file("L46", WARNING, plain, named);
    // A challenge with dates outranks both.
    let challenge = |claims: String| {
        let encoded = openssl::base64::encode_block(claims.as_bytes());
        let token = format!("e30.{}.c2ln", encoded.trim_end_matches('=').replace('+', "-").replace('/', "_"));
        unsigned(|root| insert(settings(root), "Challenge", token))
    };
    let issued = |ago: i64| challenge(format!("{{\"iat\":{}}}", (now() - days(ago)).as_second()));
    let until = |left: i64| challenge(format!("{{\"exp\":{}}}", (now() + days(left)).as_second()));
    table.file("L46", ERROR, issued(15), stated(1));
    table.file("L46", SILENT, issued(1), stated(20));
    table.file("L46", ERROR, until(-1), stated(1));
    table.file("L46", WARNING, until(2), stated(1));
}

fn trust_and_container(table: &mut Table) {
    let plain = xml(&scep());
    let mut tampered = sign(&plain);
    let place = tampered.windows(4).position(|window| window == b"8191").unwrap();
    tampered[place] = b'7';
    table.file("L42", ERROR, tampered, ios());
    table.root("L42", SILENT, |_| ());
    let stranger = Signer::new(now()).unwrap();
    table.file("L43", WARNING, stranger.sign(&plain, yesterday()).unwrap(), ios());
    table.root("L43", SILENT, |_| ());
    table.file("L44", WARNING, sign(&plain), at(now() + days(366)));
    table.file("L44", SILENT, sign(&plain), at(now() + days(300)));
    table.file(
        "L43",
        WARNING,
        SIGNER.sign_as(&plain, SignatureShape::default()).unwrap(),
        at(now() + days(366)),
    );
    table.file("L45", INFO, plain.clone(), ios());
    table.root("L45", SILENT, |_| ());
    let zeros =
        |bytes: usize| more("com.apple.security.root", &[("PayloadContent", Value::Data(vec![0; bytes]))]);
    table.extra("L48", ERROR, ios(), zeros(11 << 20));
    table.extra("L48", ERROR, ios(), zeros(2 << 20));
    table.extra("L48", WARNING, macos(), zeros(2 << 20));
    table.extra("L48", WARNING, ios(), zeros(1 << 20));
    table.extra("L48", SILENT, ios(), zeros(1 << 10));
    table.file("U01", ERROR, b"<!DOCTYPE html><html>".to_vec(), ios());
    table.file("U01", ERROR, Vec::new(), ios());
    table.root("U01", SILENT, |_| ());
    let pem = openssl::base64::encode_block(&sign(&plain));
    let pem = format!("-----BEGIN PKCS7-----\n{pem}\n-----END PKCS7-----\n");
    table.file("U02", WARNING, pem.into_bytes(), ios());
    table.root("U02", SILENT, |_| ());
    let weak = SignatureShape { sha1: true, signing_time: Some(yesterday()), ..SignatureShape::default() };
    table.file("U03", WARNING, SIGNER.sign_as(&plain, weak).unwrap(), ios());
    table.root("U03", SILENT, |_| ());
}

fn all() -> Vec<Case> {
    let mut table = Table::default();
    let families = [
        form_and_names,
        management,
        identities,
        certificates_and_networks,
        devices,
        dates,
        trust_and_container,
    ];
    families.into_iter().for_each(|family| family(&mut table));
    table.0
}

#[test]
fn each_rule_fires_and_is_silent_where_it_should() {
    let (mut fired, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for (number, Case { code, expected, file, context }) in all().into_iter().enumerate() {
        let lint = check(&file, &context);
        let worst = lint.findings().iter().filter(|f| f.code == code).map(|f| f.severity).max();
        assert_eq!(worst, expected, "case {number} of {code}: {lint:#?}");
        match expected {
            Some(severity) => fired.insert((code, severity)),
            None => silent.insert((code, Severity::Information)),
        };
    }
    // Needs a pin: `signatures::another_signer_than_the_accepted_one_is_refused`.
    fired.insert(("L43", Severity::Error));
    // Every rule, and each of its severities, has a case.
    for rule in rules() {
        for severity in rule.severities {
            assert!(fired.contains(&(rule.code, *severity)), "{} never {severity:?}", rule.code);
        }
        assert!(silent.contains(&(rule.code, Severity::Information)), "{} never silent", rule.code);
    }
}
