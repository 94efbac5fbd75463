//! What a request must be before it is answered: whom it asks, who sent it, whether it may.
//!
//! Denied by default. A page of another site can make a browser send requests here, under a
//! name that it lets point here (DNS rebinding), so that name and origin are checked.

use super::listen::Connection;
use super::problem::{MEDIA_TYPE, Problem};
use super::state::Web;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// What a request that changes something must carry. A form of another site cannot set a
/// header, and a script of one would have to ask first (CORS), which nobody allows here.
const CHANGE_HEADER: &str = "enlist-request";

/// From the end of a request's head to the begin of its answer, its body included.
const ANSWER: Duration = Duration::from_secs(30);

/// Pause before a wrong token is told so: guessing a thousand takes minutes.
const WRONG_TOKEN: Duration = Duration::from_millis(300);

/// Longest path and query, in bytes: a search is short.
const TARGET_BYTES: usize = 2048;

/// What every answer carries. The page needs scripts, styles, images and events of its own and
/// nothing else.
const HEADERS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), usb=(), serial=(), hid=()"),
    ("cache-control", "no-store"),
];

/// The middleware around everything.
pub(super) async fn guard(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let head = request.method() == Method::HEAD;
    let admitted = admit(&web, &request);
    if let Err(Denied { wrong_token: true, .. }) = &admitted {
        sleep(WRONG_TOKEN).await;
    }
    let response = match admitted {
        Ok(()) => timeout(ANSWER, next.run(request)).await.unwrap_or_else(|_| too_slow().into_response()),
        Err(denied) => denied.problem.into_response(),
    };
    let mut response = in_our_words(response, head);
    for (name, value) in HEADERS {
        let entry = response.headers_mut().entry(HeaderName::from_static(name));
        entry.or_insert(HeaderValue::from_static(value));
    }
    let mut answers = web.counts.answers.lock().unwrap_or_else(PoisonError::into_inner);
    *answers.entry(response.status().as_u16()).or_default() += 1;
    drop(answers);
    response
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "urn:enlist:too-slow", "The request took too long.")
}

/// Errors of libraries get the form of ours; what they say in headers stays.
fn in_our_words(response: Response, head: bool) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_problem = kind.is_some_and(|kind| kind == MEDIA_TYPE);
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut problem = Problem::of_status(status).into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    if head {
        *problem.body_mut() = Body::empty();
    }
    problem
}

/// Why a request is not answered.
struct Denied {
    problem: Problem,
    wrong_token: bool,
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self { problem, wrong_token: false }
    }
}

fn admit(web: &Web, request: &Request) -> Result<(), Denied> {
    let Some(connection) = request.extensions().get::<Connection>() else {
        return Err(Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR).into());
    };
    let (headers, uri) = (request.headers(), request.uri());
    target(uri)?;
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > super::routes::most_bytes(uri.path()) as u64) {
        return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE).into());
    }
    let host = host(headers, connection)?;
    origin(headers, connection, host)?;
    let is_page = !guarded(uri.path());
    from_this_site(headers, is_page)?;
    if !is_page && !web.access.admits(headers, web.running.memory().1.now()) {
        let wrong_token = headers.contains_key(header::AUTHORIZATION);
        return Err(Denied { problem: no_token(), wrong_token });
    }
    Ok(())
}

/// The middleware around everything that changes something: it must be meant, and allowed.
pub(super) async fn may_change(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let (headers, forbidden) = (request.headers(), StatusCode::FORBIDDEN);
    if web.kiosk && request.uri().path() != super::routes::SESSION {
        let problem = Problem::new(forbidden, "urn:enlist:kiosk", "This station can be looked at only.");
        return problem.then("Its owner set it to kiosk mode.").into_response();
    }
    if !headers.contains_key(CHANGE_HEADER) && !web.access.shows_token(headers) {
        let said = "A request that changes something needs the header Enlist-Request.";
        let problem = Problem::new(forbidden, "urn:enlist:no-intent", said);
        return problem.then("Send Enlist-Request: 1.").into_response();
    }
    next.run(request).await
}

/// What a browser loads without a token holds no data.
fn guarded(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

fn no_token() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "urn:enlist:no-token",
        "The station's token was not shown, or is another.",
    )
    .then("Send Authorization: Bearer TOKEN.")
}

/// Paths that mean what they say: nothing empty, nothing that goes up, nothing hidden.
fn target(uri: &Uri) -> Result<(), Problem> {
    if uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(Problem::bad_request("The request names a server in its target; ask for a path."));
    }
    if uri.path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES) {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "urn:enlist:too-long",
            "The address is too long.",
        ));
    }
    let path = uri.path();
    let odd = || Problem::bad_request("The path has parts that mean something else than they seem to.");
    let decoded = decode(path).ok_or_else(odd)?;
    let mut parts = path[1..].split('/').peekable();
    while let Some(part) = parts.next() {
        let decoded = decode(part).ok_or_else(odd)?;
        let is_last = parts.peek().is_none();
        if matches!(decoded.as_str(), "." | "..") || part.is_empty() && !(is_last && path == "/") {
            return Err(odd());
        }
    }
    let goes_up = decoded.split(['/', '\\']).any(|part| matches!(part, "." | ".."));
    if goes_up || decoded.contains('\\') || decoded.chars().any(char::is_control) {
        return Err(odd());
    }
    Ok(())
}

/// Percent signs undone; `None` if that is not possible or gives no text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits =
                std::str::from_utf8(&digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The name the request asks for, if it is a name of this station.
fn host<'a>(headers: &'a HeaderMap, connection: &Connection) -> Result<&'a str, Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::bad_request("The request needs exactly one Host."));
    };
    let host = host.to_str().unwrap_or_default();
    let name = without_port(host).unwrap_or_default();
    if connection.is_called(name) {
        return Ok(host);
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "urn:enlist:wrong-host",
        "The request asks for a host that this station is not.",
    )
    .then("Use its address, or add the name to [api] hosts."))
}

/// `bench:1` is `bench`, `[::1]:1` is `::1`.
fn without_port(host: &str) -> Option<&str> {
    let is_port = |port: &str| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(address);
    }
    match host.split_once(':') {
        Some((name, port)) => is_port(port).then_some(name),
        None => Some(host),
    }
}

impl Connection {
    /// True for the address the connection came in on, and for the station's names.
    fn is_called(&self, name: &str) -> bool {
        let local = self.local.ip().to_canonical();
        match name.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical() == local,
            Err(_) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                local.is_loopback() && name.eq_ignore_ascii_case("localhost")
                    || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
            }
        }
    }
}

/// A page's origin, where one is told, must be this very station.
fn origin(headers: &HeaderMap, connection: &Connection, host: &str) -> Result<(), Problem> {
    let scheme = if connection.tls { "https" } else { "http" };
    let ours = |origin: &HeaderValue| {
        let rest = origin.to_str().ok().and_then(|o| o.strip_prefix(scheme)?.strip_prefix("://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    };
    match headers.get_all(header::ORIGIN).iter().all(ours) {
        true => Ok(()),
        false => Err(foreign()),
    }
}

fn foreign() -> Problem {
    let detail = "The request comes from a page of another site.";
    Problem::new(StatusCode::FORBIDDEN, "urn:enlist:foreign-origin", detail)
}

/// What browsers tell of who made them ask. A link on another page may lead to ours.
fn from_this_site(headers: &HeaderMap, is_page: bool) -> Result<(), Problem> {
    let says = |name: &str, word: &str| headers.get(name).is_some_and(|value| value == word);
    let site = headers.contains_key("sec-fetch-site");
    if !site || says("sec-fetch-site", "same-origin") || says("sec-fetch-site", "none") {
        return Ok(());
    }
    if is_page && says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document") {
        return Ok(());
    }
    Err(foreign())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(local: &str, tls: bool) -> Connection {
        let names = vec!["Bench.example".to_owned()].into();
        Connection { local: local.parse().unwrap(), tls, names }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_names_of_this_station_are_answered() {
        let is = |host: &str, local: &str| {
            self::host(&headers(&[("host", host)]), &connection(local, false)).is_ok()
        };
        for good in
            ["127.0.0.1", "127.0.0.1:7417", "localhost", "LOCALHOST:9000", "localhost.", "bench.EXAMPLE:1"]
        {
            assert!(is(good, "127.0.0.1:7417"), "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "10.0.0.1",
            "",
            ":7417",
            "localhost:",
            "a@localhost",
            "localhost:1:2",
            "localhost:99999",
            "localhost:+1",
            "[::1]",
            "[localhost",
            "127.1",
            "2130706433",
            "0.0.0.0",
            "localhost.evil.example",
            "xn--localhost",
            "localhost/..",
            "local host",
        ] {
            assert!(!is(bad, "127.0.0.1:7417"), "{bad}");
        }
        assert!(is("[::1]:7417", "[::1]:7417") && is("[::1]", "[::1]:7417"));
        assert!(is("10.0.0.9:1", "10.0.0.9:1") && !is("localhost", "10.0.0.9:1"));
        assert!(is("10.0.0.9", "[::ffff:10.0.0.9]:1"), "the same address in new clothes");
        let local = connection("127.0.0.1:1", false);
        assert!(host(&headers(&[]), &local).is_err());
        assert!(host(&headers(&[("host", "localhost"), ("host", "localhost")]), &local).is_err());
    }

    #[test]
    fn only_our_own_page_may_ask_from_a_browser() {
        let is = |origin: &str, tls| {
            let headers = headers(&[("origin", origin)]);
            self::origin(&headers, &connection("127.0.0.1:7417", tls), "localhost:7417").is_ok()
        };
        assert!(is("http://localhost:7417", false) && is("https://localhost:7417", true));
        for bad in [
            "null",
            "http://localhost",
            "http://localhost:7418",
            "https://localhost:7417",
            "http://evil.example",
        ] {
            assert!(!is(bad, false), "{bad}");
        }
        let site = |pairs: &[(&'static str, &str)], page| from_this_site(&headers(pairs), page).is_ok();
        assert!(site(&[], false) && site(&[("sec-fetch-site", "none")], false));
        assert!(!site(&[("sec-fetch-site", "cross-site")], true));
        assert!(!site(&[("sec-fetch-site", "same-site")], false), "another port is another site");
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(site(&link, true) && !site(&link, false));
    }

    #[test]
    fn paths_mean_what_they_say() {
        let is = |path: &str| path.parse::<Uri>().is_ok_and(|uri| target(&uri).is_ok());
        for good in
            ["/", "/api/v1/bays/Bay%207", "/api/v1/bays/%C3%A4", "/a?b=%00", "/api/v1/bays/a%2Fb", "/a..b"]
        {
            assert!(is(good), "{good}");
        }
        for bad in [
            "//",
            "//etc/passwd",
            "/a//b",
            "/a/",
            "/../etc",
            "/a/..",
            "/a/./b",
            "/%2e%2e/etc",
            "/a/%2E%2e%2fb",
            "/a/..%2f",
            "/a%5cb",
            "/a%00",
            "/a%0d%0a",
            "/%",
            "/%zz",
            "/%ff",
            "/%2",
            "http://localhost/",
            "*",
        ] {
            assert!(!is(bad), "{bad}");
        }
        assert!(!is(&format!("/{}", "a".repeat(3000))));
    }
}
