//! Tokens, TLS, other addresses, kiosks, and ports that are taken.

use super::super::support::binary::{Bench, Running};
use super::{Answer, Site, request};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509Builder, X509NameBuilder};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const TOKEN: &str = "canary-token-5d1f0a7c9e24";

/// A certificate for `bench.example`, signed by itself.
pub(super) fn certificate(bench: &Bench) -> (String, String) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "bench.example").unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    let names = SubjectAlternativeName::new()
        .dns("bench.example")
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = bench.write("cert.pem", builder.build().to_pem().unwrap());
    (certificate, bench.write("key.pem", key.private_key_to_pem_pkcs8().unwrap()))
}

fn with_token(bench: &Bench, args: &[&str]) -> Running {
    let mut all = vec!["-vv", "serve", "--simulate", "1"];
    all.extend(args);
    let mut command = bench.command(&all);
    command.env("ENLIST_API_TOKEN", TOKEN);
    Running::start(command)
}

#[test]
fn with_a_token_nobody_else_is_answered_and_nobody_reads_it() {
    let bench = Bench::new();
    let site = Site::of(with_token(&bench, &["--listen", "127.0.0.1:0"]));
    let bearer = format!("Bearer {TOKEN}");
    let shown = [("Authorization", bearer.as_str())];
    for target in ["/api/v1/bays", "/api/v1/events", "/api/v1/openapi.json", "/api/v1/nothing", "/metrics"] {
        site.get(target).is_problem(401);
        site.ask("GET", target, &[("Authorization", "Bearer canary-token-5d1f0a7c9e25")], "").is_problem(401);
    }
    for target in ["/", "/page/app.js", "/healthz"] {
        assert_eq!(site.get(target).status, 200, "{target} holds no data");
    }
    assert_eq!(site.ask("GET", "/metrics", &shown, "").status, 200);
    site.ask("POST", "/api/v1/session", &[("Enlist-Request", "1")], "").is_problem(401);
    let opened = site.ask("POST", "/api/v1/session", &shown, "");
    assert_eq!(opened.status, 204);
    let cookie = opened.headers["set-cookie"].clone();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(site.ask("GET", "/api/v1/bays", &[("Cookie", cookie)], "").status, 200);
    // The cookie alone changes nothing: a form of another site would send it too.
    site.ask("POST", "/api/v1/batches/1/close", &[("Cookie", cookie)], "").is_problem(403);
    site.ask("POST", "/api/v1/batches/1/close", &shown, "").is_problem(404);
    let closed = site.ask("DELETE", "/api/v1/session", &[("Cookie", cookie), ("Enlist-Request", "1")], "");
    assert!(closed.headers["set-cookie"].starts_with("enlist_session=;"), "{closed:?}");
    site.running.terminate();
    let done = site.running.finish().exits(0);
    assert!(!done.all_output().contains(TOKEN), "the token is in the log");
}

#[test]
fn other_computers_get_in_with_token_and_tls_only() {
    let bench = Bench::new();
    let (certificate, key) = certificate(&bench);
    let open = ["serve", "--simulate", "1", "--listen", "0.0.0.0:0"];
    assert!(bench.run(&open).fails_clearly(2).contains("a token and TLS"));
    assert!(bench.run_with("ENLIST_API_TOKEN", TOKEN, &open).fails_clearly(2).contains("TLS"));
    let tls = format!("[api]\ntls_cert = '{certificate}'\ntls_key = '{key}'\n");
    bench.write("enlist.toml", &tls);
    assert!(bench.run(&open).fails_clearly(2).contains("a token"));
    assert!(bench.run_with("ENLIST_API_TOKEN", "short", &open).fails_clearly(2).contains("20 characters"));
    bench.write("enlist.toml", format!("[api]\ntls_cert = '{key}'\ntls_key = '{certificate}'\n"));
    assert!(bench.run_with("ENLIST_API_TOKEN", TOKEN, &open).fails_clearly(2).contains("certificate"));
    let token = bench.write("token", format!("{TOKEN}\n"));
    bench.write("enlist.toml", format!("{tls}token_file = '{token}'\n"));

    let site = Site::of(bench.start(&open));
    let port = site.address.port();
    let ask = |host: &str, headers: &[(&str, &str)]| {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut stream = connector.build().connect("bench.example", stream).unwrap();
        stream.write_all(request("GET", "/api/v1/bays", host, headers, "").as_bytes()).unwrap();
        Answer::read(stream)
    };
    let bearer = format!("Bearer {TOKEN}");
    let shown = [("Authorization", bearer.as_str())];
    ask("127.0.0.1", &[]).is_problem(401);
    ask("evil.example", &shown).is_problem(421);
    assert_eq!(ask("127.0.0.1", &shown).status, 200);
    assert_eq!(ask("bench.example", &shown).status, 200, "a name of the certificate");
    let origin = [("Authorization", bearer.as_str()), ("Origin", "http://bench.example")];
    ask("bench.example", &origin).is_problem(403);
    let plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (&plain).write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&plain).status, 0, "no word without TLS");
}

#[test]
fn an_address_that_is_taken_or_wrong_is_told_in_one_sentence() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = |listen: &str| bench.run(&["serve", "--simulate", "1", "--listen", listen]);
    assert_eq!(run(&address).fails_clearly(2), format!("{address} is in use by another program."));
    assert!(run("nowhere").fails_clearly(2).contains("'nowhere' is no address"));
    assert!(run("203.0.113.7:1").fails_clearly(2).contains("a token and TLS"));
    let file = bench.write("enlist.toml", "[api]\ntls_cert = 'x'\n");
    assert!(
        bench
            .run(&["--config", &file, "serve", "--simulate", "1", "--listen", "127.0.0.1:0"])
            .fails_clearly(2)
            .contains("only one")
    );
    bench.write("enlist.toml", "[api]\nlisten = 'off'\n");
    bench.run(&["serve", "--simulate", "1", "--once"]).exits(0);
}

#[test]
fn a_kiosk_can_be_looked_at_only() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "1", "--kiosk"]);
    assert_eq!(site.get("/api/v1/station").json()["kiosk"], true);
    let meant = [("Enlist-Request", "1"), ("Content-Type", "text/csv")];
    for target in
        ["/api/v1/batches", "/api/v1/batches/1/close", "/api/v1/batches/1/resume", "/api/v1/batches/1/allow"]
    {
        let problem = site.ask("POST", target, &meant, "serial\nX").is_problem(403);
        assert_eq!(problem["type"], "urn:enlist:kiosk");
    }
    assert_eq!(site.get("/api/v1/batches").status, 200);
}
