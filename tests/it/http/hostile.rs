//! Requests nobody friendly sends: each is refused, and the station goes on.

use super::super::support::binary::{Bench, poll};
use super::{Site, request};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// It still answers.
#[track_caller]
fn is_well(site: &Site) {
    poll("an answer", || (site.get("/healthz").status == 200).then_some(()));
}

#[test]
fn other_names_paths_and_forms_are_refused() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "1"]);
    for host in
        ["evil.example", "evil.example:7417", "127.0.0.1.evil.example", "[::1]", "0.0.0.0", "user@localhost"]
    {
        site.raw(request("GET", "/", host, &[], "").as_bytes()).is_problem(421);
    }
    let named = site.raw(request("GET", "/", "localhost:9", &[], "").as_bytes());
    assert_eq!(named.status, 200, "a forwarded port has another number");
    for target in [
        "//",
        "/../etc/passwd",
        "/page/../index.html",
        "/page/%2e%2e/x",
        "/page/..%2fx",
        "/page/%00",
        "/page/a%5cb",
        "/page//style.css",
        "/page/%zz",
        "/page/%ff",
        "/./",
        "/page/",
    ] {
        site.get(target).is_problem(400);
    }
    let long = format!("/{}", "a".repeat(4000));
    site.get(&long).is_problem(414);
    for origin in ["http://evil.example", "null", "https://localhost", "http://127.0.0.1:1"] {
        site.ask("GET", "/api/v1/bays", &[("Origin", origin)], "").is_problem(403);
    }
    site.ask("GET", "/api/v1/bays", &[("Sec-Fetch-Site", "cross-site")], "").is_problem(403);
    let own = format!("http://{}", site.address);
    assert_eq!(site.ask("GET", "/api/v1/bays", &[("Origin", &own)], "").status, 200);
    // A form of another site can send this; it opens no batch.
    let form = [("Content-Type", "text/plain")];
    site.ask("POST", "/api/v1/batches", &form, "serial\nX").is_problem(403);
    site.ask(
        "POST",
        "/api/v1/batches",
        &[("Content-Type", "text/plain"), ("Enlist-Request", "1")],
        "serial\nX",
    )
    .is_problem(415);
    is_well(&site);
}

#[test]
fn what_is_no_http_is_cut_off() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "1"]);
    let host = site.address;
    let many = "X: y\r\n".repeat(100);
    let large = format!("X: {}\r\n", "y".repeat(40_000));
    for (what, bytes) in [
        ("noise", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
        ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned() + "\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned()),
        ("no host, 1.0", "GET / HTTP/1.0\r\n\r\n".to_owned()),
        ("two hosts", format!("GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\nConnection: close\r\n\r\n")),
        ("a future version", format!("GET / HTTP/9.9\r\nHost: {host}\r\n\r\n")),
        (
            "a proxy's form",
            format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        ),
        ("a tunnel", format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")),
        ("a star", format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")),
        ("a folded line", format!("GET / HTTP/1.1\r\nHost: {host}\r\n folded: 1\r\n\r\n")),
        (
            "two lengths",
            format!(
                "POST /api/v1/batches HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
            ),
        ),
        (
            "length and chunks",
            format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"
            ),
        ),
        ("many lines", format!("GET / HTTP/1.1\r\nHost: {host}\r\n{many}\r\n")),
        ("a long line", format!("GET / HTTP/1.1\r\nHost: {host}\r\n{large}\r\n")),
    ] {
        let answer = site.raw(bytes.as_bytes());
        assert!(matches!(answer.status, 0 | 400..=499 | 505), "{what}: {answer:?}");
    }
    let csv = [("Content-Type", "text/csv"), ("Enlist-Request", "1"), ("Content-Length", "99999999999")];
    site.ask("POST", "/api/v1/batches", &csv, "").is_problem(413);
    let json = [("Content-Type", "application/json"), ("Enlist-Request", "1"), ("Content-Length", "70000")];
    site.ask("POST", "/api/v1/batches/1/allow", &json, "").is_problem(413);
    is_well(&site);
}

#[test]
fn the_slow_are_cut_off_and_the_others_served() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "1"]);
    let begun = Instant::now();
    let mut loris: Vec<_> = (0..20).map(|_| site.connect()).collect();
    for stream in &mut loris {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 127").unwrap();
    }
    let mut silent = site.connect();
    let mut slow_body = site.connect();
    let head = format!(
        "POST /api/v1/batches HTTP/1.1\r\nHost: {}\r\nEnlist-Request: 1\r\nContent-Type: text/csv\r\nContent-Length: 1000\r\n\r\nserial",
        site.address
    );
    slow_body.write_all(head.as_bytes()).unwrap();
    assert_eq!(site.get("/healthz").status, 200, "others are served meanwhile");
    // A byte now and then does not help: the head as a whole has its time.
    while begun.elapsed() < Duration::from_secs(9) {
        std::thread::sleep(Duration::from_secs(1));
        loris.iter_mut().for_each(|stream| _ = stream.write_all(b"x"));
    }
    for stream in loris.iter_mut().chain([&mut silent]) {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert_eq!(super::Answer::read(slow_body).status, 408);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    is_well(&site);
}

#[test]
fn too_many_connections_are_turned_away_until_some_are_gone() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "1"]);
    let held: Vec<_> = (0..256).map(|_| site.connect()).collect();
    let refused = poll("a refusal", || Some(site.get("/healthz")).filter(|a| a.status != 200));
    assert!(matches!(refused.status, 503 | 0), "{refused:?}");
    drop(held);
    // Whoever comes before the station saw them go may be one too many.
    poll("all to be gone", || {
        let figures = site.get("/metrics");
        figures.body.contains("\nenlist_http_connections 1\n").then_some(())
    });
    let mut followers: Vec<_> = (0..64).map(|_| super::Follower::start(&site, None)).collect();
    followers.iter_mut().for_each(|follower| _ = follower.next().unwrap());
    site.get("/api/v1/events").is_problem(503);
    drop(followers);
    poll("a free place", || {
        let answer = site.ask("HEAD", "/api/v1/events", &[], "");
        (answer.status == 200).then_some(())
    });
    let mut follower = super::Follower::start(&site, None);
    assert_eq!(follower.next().unwrap().name, "snapshot");
}
