//! The API of the shipped binary, asked by hand: what it answers, what it refuses, and what
//! hostile clients cannot do to it. All devices are simulated.

#![allow(clippy::disallowed_methods)] // real stations live in real time

mod hostile;
mod remote;
mod resume;
mod watch;

use super::support::binary::{Bench, Running, poll};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A station with its page on a free port.
pub(crate) struct Site {
    pub(crate) running: Running,
    address: SocketAddr,
}

impl Site {
    pub(crate) fn start(bench: &Bench, args: &[&str]) -> Self {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(args);
        Self::of(bench.start(&all))
    }

    /// Reads where it listens.
    fn of(mut running: Running) -> Self {
        loop {
            let line = running.line().expect("it ended before it said where its page is");
            if let Some(url) = line.strip_prefix("page  ") {
                let address = url.trim_end_matches('/').rsplit('/').next().unwrap();
                return Self { address: address.parse().unwrap(), running };
            }
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(45))).unwrap();
        stream
    }

    /// Sends bytes and reads all that comes until the station closes.
    fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        Answer::read(stream)
    }

    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.raw(request(method, target, &self.address.to_string(), headers, body).as_bytes())
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], "")
    }

    /// Waits until every job is over.
    pub(crate) fn until_ended(&self) -> Vec<Value> {
        poll("the jobs' end", || {
            let bays = self.get("/api/v1/bays").json();
            let bays = bays.as_array().unwrap();
            (!bays.is_empty() && bays.iter().all(|b| b["ended"] == true)).then(|| bays.clone())
        })
    }
}

fn request(method: &str, target: &str, host: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text + "\r\n" + body
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// Status 0: closed without a word.
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Asserts that it is a problem with this status, in one sentence.
    #[track_caller]
    fn is_problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["type"].as_str().unwrap().starts_with("urn:enlist:"), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.ends_with('.') && !detail.contains('\n'), "{detail}");
        problem
    }
}

#[test]
fn the_document_names_every_address_and_each_is_guarded() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "1"]);
    site.until_ended();
    let document = site.get("/api/v1/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 14, "{}", paths.len());
    let intent = [("Enlist-Request", "1")];
    for (path, operations) in paths {
        let target = path.replace("{bay}", "usb-1-1").replace("{id}", "1");
        for method in operations.as_object().unwrap().keys().map(|m| m.to_uppercase()) {
            if method == "GET" {
                let wrong = [("Origin", "http://evil.example")];
                site.ask("GET", &target, &wrong, "").is_problem(403);
                let head = site.ask("HEAD", &target, &[], "");
                assert!(head.body.is_empty(), "{target}: {head:?}");
                assert!(matches!(head.status, 200 | 404), "{target}: {head:?}");
                assert_eq!(head.headers["x-content-type-options"], "nosniff");
                assert!(head.headers["content-security-policy"].contains("default-src 'none'"), "{head:?}");
            } else {
                let problem = site.ask(&method, &target, &[], "").is_problem(403);
                assert_eq!(problem["type"], "urn:enlist:no-intent", "{method} {target}");
                let meant = site.ask(&method, &target, &intent, "");
                assert_ne!(meant.status, 403, "{method} {target}: {meant:?}");
            }
        }
        let put = site.ask("PUT", &target, &intent, "");
        put.is_problem(405);
        assert!(put.headers.contains_key("allow"), "{target}: {put:?}");
    }
    for method in ["TRACE", "OPTIONS", "DELETE", "PATCH", "POST", "PROPFIND"] {
        let refused = site.ask(method, "/api/v1/jobs", &intent, "");
        refused.is_problem(405);
        assert_eq!(refused.headers["allow"], "GET,HEAD", "{method}");
        assert!(!refused.headers.keys().any(|name| name.starts_with("access-control-")), "{refused:?}");
    }
}

#[test]
fn a_batch_with_devices_in_work_is_closed_only_if_that_is_meant() {
    let bench = Bench::new();
    bench.write("enlist.toml", "[batch]\nunexpected = 'ask'\n");
    let manifest = bench.write("room.csv", "serial\nC02ABCDEF123\n");
    let site = Site::start(&bench, &["--simulate", "1", "--batch", &manifest]);
    let waits = poll("the question", || {
        let bays = site.get("/api/v1/bays").json();
        let held = |bay: &&Value| bay["outcome"] == "attached" && bay["class"] == "operator";
        bays.as_array().unwrap().iter().find(held).cloned()
    });
    assert!(waits["next"].as_str().unwrap().contains("enlist batch allow"), "{waits}");
    let close = |query: &str| {
        let target = format!("/api/v1/batches/1/close{query}");
        site.ask("POST", &target, &[("Enlist-Request", "1")], "")
    };
    let problem = close("").is_problem(409);
    let serial = waits["serial"].as_str().unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(&format!("1 device is still in work: {serial}")));
    close("?force=maybe").is_problem(400);
    let closed = close("?force=true");
    assert_eq!((closed.status, &closed.json()["state"]), (200, &"closed".into()), "{closed:?}");
}

#[test]
fn the_history_is_searched_and_read_page_by_page() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "5"]);
    let bays = site.until_ended();
    assert_eq!(bays.len(), 5);
    let mut seen = Vec::new();
    let mut target = Some("/api/v1/jobs?limit=2".to_owned());
    while let Some(next) = target {
        let page = site.get(&next);
        assert_eq!(page.status, 200, "{page:?}");
        seen.extend(page.json().as_array().unwrap().iter().map(|job| job["job"].as_i64().unwrap()));
        let link = page.headers.get("link").map(|link| link.strip_suffix(">; rel=\"next\"").unwrap());
        target = link.map(|link| link.trim_start_matches('<').to_owned());
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    let serial = bays[2]["serial"].as_str().unwrap().to_owned();
    let count = |query: &str| site.get(&format!("/api/v1/jobs?{query}")).json().as_array().unwrap().len();
    assert_eq!(count(&format!("q={}", serial.to_lowercase())), 1);
    assert_eq!((count("q=%25"), count("q=_"), count("q=Simulated"), count("q=nothing")), (0, 0, 5, 0));
    assert_eq!((count("outcome=enrolled"), count("outcome=failed"), count("open=true")), (5, 0, 0));
    assert_eq!((count("since=2000-01-01T00:00:00Z"), count("since=2999-01-01T00:00:00Z")), (5, 0));
    for bad in [
        "limit=0",
        "limit=501",
        "limit=x",
        "outcome=nice",
        "before=0",
        "open=maybe",
        "since=now",
        "limt=1",
        "open=true&outcome=enrolled",
        &format!("q={}", "x".repeat(101)),
    ] {
        site.get(&format!("/api/v1/jobs?{bad}")).is_problem(400);
    }
    let job = site.get("/api/v1/jobs/3").json();
    let events: Vec<_> =
        job["timeline"].as_array().unwrap().iter().map(|m| m["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], *events.last().unwrap()), ("job-started", "job-ended"));
    assert_eq!(job["simulated"], true);
    assert_eq!(site.get(&format!("/api/v1/bays/{}", job["bay"].as_str().unwrap())).json()["job"], 3);
    site.get("/api/v1/jobs/99").is_problem(404);
    site.get("/api/v1/jobs/zero").is_problem(400);
    site.get("/api/v1/bays/Bay%207").is_problem(404);
    site.get("/api/v1/batches/7").is_problem(404);
    site.get("/nothing").is_problem(404);
    assert_eq!(site.get("/healthz").body, "ok\n");
}

#[test]
fn the_raw_error_chain_of_a_failed_job_is_there() {
    let bench = Bench::new();
    let scenario = bench.write("s.toml", "[[device]]\npersona = \"enrollment-forbidden\"\n");
    let site = Site::start(&bench, &["--scenario", &scenario]);
    let bays = site.until_ended();
    let job = site.get(&format!("/api/v1/jobs/{}", bays[0]["job"])).json();
    let chain = job["raw_chain"].as_array().unwrap();
    assert!(chain.iter().any(|link| link["code"] == 12088), "{job}");
    assert!(chain[0]["domain"].as_str().is_some() && chain[0].get("localized").is_some());
}

#[test]
fn figures_for_prometheus_have_the_form_it_reads() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "3"]);
    site.until_ended();
    let answer = site.get("/metrics");
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let mut kinds = HashMap::new();
    let mut figures = HashMap::new();
    for line in answer.body.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "{name} twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let family = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end));
            assert!(
                kinds.contains_key(family) || base.is_some_and(|b| kinds.get(b) == Some(&"histogram")),
                "{line}"
            );
            figures.insert(name, value);
        }
    }
    assert!((figures["enlist_jobs_ended_total{outcome=\"enrolled\"}"] - 3.0).abs() < 0.1);
    assert!((figures["enlist_job_duration_seconds_count"] - 3.0).abs() < 0.1);
    assert!((figures["enlist_job_duration_seconds_bucket{le=\"+Inf\"}"] - 3.0).abs() < 0.1);
    assert!((figures["enlist_devices{outcome=\"enrolled\"}"] - 3.0).abs() < 0.1);
}

/// A follower that reads event by event.
struct Follower {
    stream: BufReader<TcpStream>,
    text: String,
}

#[derive(Debug)]
struct Told {
    name: String,
    id: Option<String>,
    data: Value,
}

impl Follower {
    fn start(site: &Site, last: Option<&str>) -> Self {
        let mut stream = site.connect();
        let last = last.map(|id| ("Last-Event-ID", id));
        let headers: Vec<_> = last.into_iter().collect();
        let text = request("GET", "/api/v1/events", &site.address.to_string(), &headers, "");
        stream.write_all(text.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0, "it closed before its head was whole");
        }
        Self { stream, text: String::new() }
    }

    /// The next event; `None` when the station closed.
    fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
                    found.map(str::to_owned)
                };
                let Some(name) = field("event") else { continue };
                let data = serde_json::from_str(&field("data").unwrap()).unwrap();
                return Some(Told { name, id: field("id"), data });
            }
            let mut size = String::new();
            self.stream.read_line(&mut size).ok().filter(|read| *read > 0)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).ok()?;
            self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
            if size == 0 {
                return None;
            }
        }
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Told) -> bool) -> Told {
        loop {
            let told = self.next().unwrap_or_else(|| panic!("closed before {what}"));
            if is_so(&told) {
                return told;
            }
        }
    }
}

#[test]
fn a_screen_follows_and_takes_up_where_it_left_off() {
    let bench = Bench::new();
    let site = Site::start(&bench, &["--simulate", "2"]);
    let mut first = Follower::start(&site, None);
    let snapshot = first.next().unwrap();
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(snapshot.data["station"]["simulated"], true);
    assert_eq!(snapshot.data["station"]["card"].as_array().unwrap().len(), 6);
    let change = first.until("a change", |told| told.name == "bay");
    let left_at = change.id.clone().unwrap();
    drop(first);
    site.until_ended();
    let mut again = Follower::start(&site, Some(&left_at));
    let next = again.next().unwrap();
    assert_eq!(next.name, "bay", "no snapshot for who comes back");
    let number = |id: &str| id.split_once('-').unwrap().1.parse::<u64>().unwrap();
    assert_eq!(number(next.id.as_ref().unwrap()), number(&left_at) + 1, "nothing is left out");
    again.until("both ends", |told| {
        assert!(told.name != "resync" && told.name != "snapshot");
        told.data["ended"] == true && told.data["outcome"] == "enrolled"
    });
    for nonsense in ["abc", "0-0", "ffffffffffff-1", &format!("{left_at}9999"), ""] {
        let told = Follower::start(&site, Some(nonsense)).next().unwrap();
        assert_eq!(told.name, "resync", "{nonsense:?}");
        assert_eq!(told.data["bays"].as_array().unwrap().len(), 2);
    }
    let mut last = Follower::start(&site, None);
    last.next().unwrap();
    let Site { running, .. } = site;
    let asked = std::time::Instant::now();
    running.terminate();
    assert_eq!(last.next().unwrap().name, "end", "told at once");
    assert!(last.next().is_none(), "and closed");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    running.finish().exits(0);
}
