//! Server-sent events: a screen gets everything once, then each change; who comes back takes
//! up where it left off.

use super::problem::Problem;
use super::state::{FOLLOWERS, Web, stopped};
use crate::api::feed::{FeedEvent, Since};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// An event that says nothing, so that either end notices when the other is gone.
const ALIVE: Duration = Duration::from_secs(10);

/// Changes of so short a time are sent together: ten screens cost a tenth then, and nobody
/// sees it.
const TOGETHER: Duration = Duration::from_millis(8);

/// Events sent at once at most; more follow.
const AT_ONCE: usize = 256;

/// How long a browser waits before it comes back, in milliseconds.
const COME_BACK: u32 = 1000;

/// Follow everything
///
/// First `snapshot` with everything; then `bay`, `mux` and `journal` as they change. Every
/// event has an id; who sends the last one as `Last-Event-ID` gets what came after it, or
/// `resync` with everything again if that is too long ago. A follower that lags too far gets
/// `resync` too. `alive` comes every ten seconds without news. `end` is the last event of a
/// station that is being stopped. The data of
/// `snapshot` and `resync` is a SnapshotView, that of `bay` a BayView, that of the others a
/// TroubleView. A line without `attached` whose job ended leaves its bay when another comes.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last event seen")),
    responses(
        (status = 200, description = "Events without end", content_type = "text/event-stream", body = String),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(super) async fn follow(State(web): State<Arc<Web>>, method: Method, headers: HeaderMap) -> Response {
    let Ok(place) = web.followers.clone().try_acquire_owned() else {
        let detail = format!("{} screens follow already.", FOLLOWERS);
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:enlist:too-many-followers", detail)
            .then("Close one.")
            .into_response();
    };
    let kind = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    if method == Method::HEAD {
        return (kind, Body::empty()).into_response();
    }
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let (sender, chunks) = mpsc::channel(2);
    tokio::spawn(async move {
        tell(&web, last.as_deref(), sender).await;
        drop(place);
    });
    (kind, Body::new(Chunks(chunks))).into_response()
}

/// Where a follower is: after this update, or in need of everything.
enum At {
    After(u64),
    New(&'static str),
}

async fn tell(web: &Web, last: Option<&str>, sender: mpsc::Sender<Bytes>) {
    let feed = web.running.feed();
    let mut newest = feed.follow();
    let mut stop = web.stop.clone();
    let mut at = match last {
        None => At::New("snapshot"),
        Some(id) => known(id, feed.epoch()).map_or(At::New("resync"), At::After),
    };
    let mut text = format!("retry: {COME_BACK}\n\n");
    loop {
        newest.mark_unchanged();
        at = next(web, at, &mut text);
        let is_more = matches!(&at, At::New(_)) || !text.is_empty();
        if !text.is_empty() {
            let chunk = Bytes::from(std::mem::take(&mut text));
            tokio::select! {
                sent = sender.send(chunk) => if sent.is_err() { return },
                () = stopped(&mut stop) => return,
            }
        }
        if is_more {
            continue;
        }
        tokio::select! {
            changed = timeout(ALIVE, newest.changed()) => match changed {
                Ok(Ok(())) => sleep(TOGETHER).await,
                Ok(Err(_)) => return,
                Err(_) => text.push_str("event: alive\ndata: {}\n\n"),
            },
            () = sender.closed() => return,
            () = stopped(&mut stop) => {
                let _ = sender.try_send(Bytes::from_static(b"event: end\ndata: {}\n\n"));
                return;
            }
        }
    }
}

/// Writes what comes next into `text`, and says where that leaves the follower.
fn next(web: &Web, at: At, text: &mut String) -> At {
    let feed = web.running.feed();
    let number = match at {
        At::After(number) => number,
        At::New(name) => {
            let (number, snapshot) = web.running.snapshot(web.kiosk);
            if let Ok(json) = serde_json::to_string(&snapshot) {
                event(text, name, feed.epoch(), number, &json);
            }
            return At::After(number);
        }
    };
    match feed.since(number) {
        Since::TooOld => At::New("resync"),
        Since::Events(events) => {
            let mut last = number;
            for FeedEvent { number, name, json } in events.iter().take(AT_ONCE).map(|event| &**event) {
                event(text, name, feed.epoch(), *number, json);
                last = *number;
            }
            At::After(last)
        }
    }
}

/// JSON has no line breaks of its own, so it is one line.
fn event(text: &mut String, name: &str, epoch: &str, number: u64, json: &str) {
    let _ = write!(text, "event: {name}\nid: {epoch}-{number}\ndata: {json}\n\n");
}

/// The number in an id of this run.
fn known(id: &str, epoch: &str) -> Option<u64> {
    let (theirs, number) = id.split_once('-')?;
    number.parse().ok().filter(|_| theirs == epoch)
}

/// Chunks of a body as they come.
struct Chunks(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_another_run_mean_nothing() {
        assert_eq!(known("abc-12", "abc"), Some(12));
        for bad in ["abd-12", "abc", "abc-", "abc-x", "-12", "", "abc--1", "12"] {
            assert_eq!(known(bad, "abc"), None, "{bad}");
        }
    }
}
