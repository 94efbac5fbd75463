//! The entry for fuzzing what is asked of the server (`tests/fuzz/`): the router, its guards and
//! what they answer, without a socket. Not in the program.

use super::listen::Connection;
use super::problem::MEDIA_TYPE;
use super::routes::{self, SESSION};
use super::session::Access;
use super::state::Web;
use crate::api::{About, Operations, Parts, UnknownAge};
use crate::clock::Clock;
use crate::device::trust::{RecordStore, StationIdentity, Trust};
use crate::fuzz::script::Script;
use crate::secret::Secret;
use crate::sim::{Fleet, FleetOptions};
use crate::station::BayNames;
use crate::station::library::Signers;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Requests after which the journal begins anew, so that a long run stays fast.
const REQUESTS: usize = 1000;

/// Longest answer: the page's script.
const ANSWER_BYTES: usize = 8 << 20;

/// A token that no input holds.
const TOKEN: &str = "0f5a9c1b-fuzz-7d3e-token-8842";

thread_local! {
    static SITE: RefCell<Option<Site>> = const { RefCell::new(None) };
}

/// A request, and whether its answer is one that this server may give.
pub fn http(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let is_kiosk = script.byte() % 8 == 1;
    let Some(request) = request(&mut script) else { return };
    let access = Access::new(Some(Secret::new(TOKEN.to_owned())), false);
    assert!(!access.admits(request.headers(), Clock::System.now()), "admitted without the token");
    SITE.with_borrow_mut(|site| site.get_or_insert_with(Site::new).ask(request, is_kiosk));
}

const PATHS: &[&str] = &[
    "/",
    "/page/page.js",
    "/page/",
    "/healthz",
    "/metrics",
    "/api/v1/openapi.json",
    "/api/v1/station",
    "/api/v1/bays",
    "/api/v1/bays/{}",
    "/api/v1/doctor",
    "/api/v1/profiles",
    "/api/v1/session",
    "/api/v1/events",
    "/api/v1/jobs",
    "/api/v1/jobs/{}",
    "/api/v1/batches",
    "/api/v1/batches",
    "/api/v1/batches/{}",
    "/api/v1/batches/{}/entries",
    "/api/v1/batches/{}/report",
    "/api/v1/batches/{}/close",
    "/api/v1/batches/{}/resume",
    "/api/v1/batches/{}/allow",
];
const NAMES: &[&str] =
    &["1", "2", "0", "-1", "9223372036854775807", "usb-1-4.2", "%2e%2e", "a%2Fb", "%C3%A4"];
const KEYS: &[&str] = &[
    "after",
    "before",
    "format",
    "force",
    "limit",
    "name",
    "offset",
    "open",
    "outcome",
    "since",
    "state",
    "stop_after",
    "q",
    "unexpected",
];
const VALUES: &[&str] = &[
    "1",
    "100",
    "0",
    "-1",
    "1001",
    "99999999999",
    "csv",
    "json",
    "html",
    "enrolled",
    "failed",
    "true",
    "missing",
    "ask",
    "allow",
    "refuse",
    "2026-01-01T00:00:00Z",
    "%00",
    "%25",
    "a+b",
];
const HEADERS: &[(&str, &str)] = &[
    ("enlist-request", "1"),
    ("enlist-request", "1"),
    ("content-type", "text/csv"),
    ("content-type", "application/json"),
    ("content-type", "multipart/form-data; boundary=x"),
    ("origin", "http://127.0.0.1:7417"),
    ("origin", "http://evil.example"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-site", "cross-site"),
    ("authorization", "Bearer nobody"),
    ("cookie", "enlist_session=9999999999.00"),
    ("content-length", "99999999999"),
    ("last-event-id", "1"),
    ("accept", "text/event-stream"),
];
const BODIES: &[&str] = &[
    "serial,name\nC02ABCDEF123,a\n",
    "{\"device\":\"C02ABCDEF123\"}",
    "{\"token\":\"x\"}",
    "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n",
];

/// `None` for what no HTTP library would let through.
fn request(script: &mut Script<'_>) -> Option<Request> {
    let methods = [Method::GET, Method::POST, Method::DELETE, Method::HEAD, Method::PUT, Method::OPTIONS];
    let method = match script.byte() {
        0..8 => Method::from_bytes(script.bytes()).ok()?,
        other => methods[usize::from(other) % methods.len()].clone(),
    };
    let mut target = match script.byte() {
        0..16 => String::from_utf8_lossy(script.bytes()).into_owned(),
        _ => script.pick(PATHS)?.replace("{}", &script.text(NAMES)),
    };
    for n in 0..script.byte() % 4 {
        let mark = if n == 0 { '?' } else { '&' };
        target.push_str(&format!("{mark}{}={}", script.text(KEYS), script.text(VALUES)));
    }
    let mut headers = HeaderMap::new();
    let host = match script.byte() {
        0..8 => HeaderValue::from_bytes(script.bytes()).ok()?,
        _ => HeaderValue::from_static("127.0.0.1:7417"),
    };
    headers.insert(header::HOST, host);
    for _ in 0..script.byte() % 6 {
        let (name, value) = script.pick(HEADERS)?;
        let value = match script.byte() {
            0..16 => HeaderValue::from_bytes(script.bytes()).ok()?,
            _ => HeaderValue::from_static(value),
        };
        headers.append(HeaderName::from_static(name), value);
    }
    let body = match script.byte() {
        0..128 => script.pick(BODIES)?.as_bytes().to_vec(),
        _ => script.rest().to_vec(),
    };
    let mut request = Request::new(Body::from(body));
    (*request.method_mut(), *request.uri_mut()) = (method, target.parse::<Uri>().ok()?);
    *request.headers_mut() = headers;
    let names = Arc::from(["bench.example".to_owned()]);
    let local = ([127, 0, 0, 1], 7417).into();
    request.extensions_mut().insert(Connection { local, tls: false, names });
    Some(request)
}

/// A station without devices, as two servers: one that may be changed, one in kiosk mode.
struct Site {
    runtime: Runtime,
    open: Router,
    kiosk: Router,
    folder: PathBuf,
    asked: usize,
    _stop: watch::Sender<bool>,
}

impl Site {
    fn new() -> Self {
        let thread = format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_alphanumeric(), "");
        let folder = std::env::temp_dir().join(format!("enlist-fuzz-{}-{thread}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let inside = runtime.enter();
        let fleet = Fleet::new(FleetOptions { devices: 0, ..FleetOptions::default() }).expect("no devices");
        let identity = StationIdentity::load_or_create(&folder.join("identity.plist"), &Clock::System);
        let store = RecordStore::new(folder.join("pair-records"), Clock::System);
        let operations = Operations::new(Parts {
            backend: fleet.backend(),
            bays: Arc::new(BayNames::default()),
            learned_bays: folder.join("bays.toml"),
            trust: Trust::new(Arc::new(identity.expect("an identity")), store),
            journal: folder.join("journal.sqlite3"),
            signers: Signers::default(),
            clock: Clock::System,
            quick: runtime.handle().clone(),
        });
        let about = About {
            simulated: true,
            profile: None,
            exports: None,
            unknown_age: UnknownAge::default(),
            checks: Arc::new(|| Box::pin(async { Ok(Vec::new()) })),
        };
        let running = operations.running(operations.live(), about);
        let (stop, stopped) = watch::channel(false);
        let router = |kiosk| {
            let access = Access::new(None, false);
            routes::router(Arc::new(Web::new(running.clone(), access, kiosk, stopped.clone())))
        };
        let (open, kiosk) = (router(false), router(true));
        drop(inside);
        Self { runtime, open, kiosk, folder, asked: 0, _stop: stop }
    }

    fn ask(&mut self, request: Request, is_kiosk: bool) {
        self.asked += 1;
        if self.asked.is_multiple_of(REQUESTS) {
            for end in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(self.folder.join(format!("journal.sqlite3{end}")));
            }
        }
        let asked = Asked::of(&request, is_kiosk);
        let router = if is_kiosk { &self.kiosk } else { &self.open };
        let service = TowerToHyperService::new(router.clone());
        self.runtime.block_on(async {
            match service.call(request).await {
                Ok(response) => asked.answered(response).await,
                Err(never) => match never {},
            }
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What an answer depends on.
#[derive(Debug)]
struct Asked {
    head: bool,
    changes: bool,
    is_meant: bool,
    is_foreign: bool,
    is_kiosk: bool,
    #[allow(dead_code)] // shown by assertions
    uri: Uri,
}

impl Asked {
    fn of(request: &Request, is_kiosk: bool) -> Self {
        let headers = request.headers();
        let ours = |origin: &HeaderValue| {
            origin.to_str().is_ok_and(|origin| {
                let origin = origin.to_ascii_lowercase();
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                origin == format!("http://{}", host.to_ascii_lowercase())
            })
        };
        Self {
            head: request.method() == Method::HEAD,
            changes: ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()),
            is_meant: headers.contains_key("enlist-request"),
            is_foreign: !headers.get_all(header::ORIGIN).iter().all(ours),
            is_kiosk: is_kiosk && request.uri().path() != SESSION,
            uri: request.uri().clone(),
        }
    }

    async fn answered(&self, response: Response) {
        let (status, headers) = (response.status(), response.headers().clone());
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{self:?}");
        assert_eq!(headers.get("x-content-type-options"), Some(&HeaderValue::from_static("nosniff")));
        assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY), "{self:?}");
        let allowed = !self.is_foreign && (!self.changes || self.is_meant && !self.is_kiosk);
        assert!(allowed || !status.is_success(), "{status}: {self:?}");
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            return;
        }
        let body = to_bytes(response.into_body(), ANSWER_BYTES).await.expect("an answer within bounds");
        if self.head {
            return assert!(body.is_empty(), "{self:?}");
        }
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(kind, MEDIA_TYPE, "{status}: {self:?}");
            let problem: Value = serde_json::from_slice(&body).expect("a problem");
            assert_eq!(problem["status"], status.as_u16());
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.ends_with('.') && !detail.contains(char::is_control), "{detail:?}");
        } else if kind.starts_with("application/json") {
            assert!(serde_json::from_slice::<Value>(&body).is_ok(), "{self:?}");
        }
    }
}
