//! What can be asked. A route is a line in [`router`] and one in `openapi.rs`; a test holds
//! them against each other.

pub(super) mod batches;
pub(super) mod jobs;
pub(super) mod station;

use super::problem::Problem;
use super::state::Web;
use super::{assets, events, guard, metrics, openapi};
use crate::limits::MANIFEST_BYTES;
use crate::wire::printable::printable;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Where a browser shows the token.
pub(super) const SESSION: &str = "/api/v1/session";

/// Where manifests go.
const BATCHES: &str = "/api/v1/batches";

/// Largest body of a request, in bytes, but for manifests.
const BODY_BYTES: usize = 64 << 10;

/// Most that is repeated of what was asked, in characters.
const REASON_CHARS: usize = 500;

/// Everything that can be asked, with its guard.
pub(super) fn router(web: Arc<Web>) -> Router {
    let change = |method: MethodRouter<Arc<Web>>| {
        method.route_layer(middleware::from_fn_with_state(web.clone(), guard::may_change))
    };
    let router = Router::new()
        .route("/", get(assets::index))
        .route("/page/{file}", get(assets::file))
        .route("/healthz", get(station::health))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/api/v1/station", get(station::station))
        .route("/api/v1/bays", get(station::bays))
        .route("/api/v1/bays/{bay}", get(station::bay))
        .route("/api/v1/doctor", get(station::doctor))
        .route("/api/v1/profiles", get(station::profiles))
        .route(SESSION, change(post(station::open_session).delete(station::close_session)))
        .route("/api/v1/events", get(events::follow))
        .route("/api/v1/jobs", get(jobs::list))
        .route("/api/v1/jobs/{id}", get(jobs::one))
        .route(BATCHES, get(batches::list).merge(change(batches::uploads())))
        .route("/api/v1/batches/{id}", get(batches::one))
        .route("/api/v1/batches/{id}/entries", get(batches::entries))
        .route("/api/v1/batches/{id}/report", get(batches::report))
        .route("/api/v1/batches/{id}/close", change(post(batches::close)))
        .route("/api/v1/batches/{id}/resume", change(post(batches::resume)))
        .route("/api/v1/batches/{id}/allow", change(post(batches::allow)))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(web.clone());
    router.layer(middleware::from_fn_with_state(web, guard::guard))
}

/// How large the body of a request to this path may be.
pub(super) fn most_bytes(path: &str) -> usize {
    if path == BATCHES { MANIFEST_BYTES } else { BODY_BYTES }
}

/// A query of a type, or a problem that names what is wrong with it.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|Query(query)| Self(query)).map_err(|error| Problem::bad_request(said(&error.body_text())))
    }
}

/// A number in the path.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::bad_request("The path has no number."))?;
        let id = text.parse().ok().filter(|id: &i64| *id > 0);
        id.map(Self).ok_or_else(|| Problem::bad_request("Numbers of jobs and batches are 1, 2, 3 and so on."))
    }
}

/// The library's words with ours around them. They repeat what was asked: as much as can be read.
fn said(reason: &str) -> String {
    let reason = reason.strip_prefix("Failed to deserialize query string: ").unwrap_or(reason);
    let reason: String = printable(reason.trim_end_matches('.')).chars().take(REASON_CHARS).collect();
    format!("The query cannot be used: {reason}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_of_a_query_can_be_read() {
        let told = said("Failed to deserialize query string: format: unknown variant `\0\u{1b}[2J`.");
        assert_eq!(told, "The query cannot be used: format: unknown variant `\\u{0}\\u{1b}[2J`.");
        assert!(said(&"x".repeat(100_000)).len() < 600);
    }
}
