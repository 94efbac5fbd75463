//! The station and its bays, its library, this computer; who may look.

use super::super::problem::Problem;
use super::super::state::Web;
use crate::api::Stored;
use crate::api::view::station::StationView;
use crate::api::view::{BayView, Check};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// What the station is and does
#[utoipa::path(
    get, path = "/api/v1/station", tag = "station",
    responses(
        (status = 200, description = "The station", body = StationView),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn station(State(web): State<Arc<Web>>) -> Json<StationView> {
    Json(web.running.station(web.kiosk))
}

/// How every bay stands
///
/// A line for each device that is attached or whose job is open, and for each that was in its
/// bay last; in the order of bays.
#[utoipa::path(
    get, path = "/api/v1/bays", tag = "station",
    responses(
        (status = 200, description = "Lines of the board", body = Vec<BayView>),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn bays(State(web): State<Arc<Web>>) -> Json<Vec<BayView>> {
    Json(web.running.bays())
}

/// How one bay stands
#[utoipa::path(
    get, path = "/api/v1/bays/{bay}", tag = "station",
    params(("bay" = String, Path, description = "Name of the bay, such as `Bay 7` or `usb-1-4.2`")),
    responses(
        (status = 200, description = "What is in it, or was last", body = BayView),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn bay(
    State(web): State<Arc<Web>>,
    Path(bay): Path<String>,
) -> Result<Json<BayView>, Problem> {
    let found = web.running.bay(&bay);
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found("Nothing is in that bay, or there is no bay of that name."))
}

/// Check this computer
///
/// At most every ten seconds; in between the last result is given.
#[utoipa::path(
    get, path = "/api/v1/doctor", tag = "station",
    responses(
        (status = 200, description = "Checks, each with its fix", body = Vec<Check>),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn doctor(State(web): State<Arc<Web>>) -> Result<Json<Vec<Check>>, Problem> {
    web.checks().await.map(Json).map_err(Problem::of_reading)
}

/// The exports this station takes profiles from, with their age
#[utoipa::path(
    get, path = "/api/v1/profiles", tag = "station",
    responses(
        (status = 200, description = "Files by name", body = Vec<Stored>),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn profiles(State(web): State<Arc<Web>>) -> Result<Json<Vec<Stored>>, Problem> {
    let listed = web.blocking(|running| running.profiles()).await?;
    listed.map(Json).map_err(Problem::of_reading)
}

/// Show the token and get a cookie for it
///
/// For browsers, which cannot send the token with every request.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session",
    params(("Enlist-Request" = Option<String>, Header, description = "Any value")),
    responses(
        (status = 204, description = "The cookie is set, if this station has a token"),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn open_session(State(web): State<Arc<Web>>) -> Response {
    // The guard has seen the token, or an older cookie, which is made new.
    with_cookie(web.access.cookie(web.running.memory().1.now()))
}

/// Give the cookie back
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session",
    params(("Enlist-Request" = String, Header, description = "Any value")),
    responses(
        (status = 204, description = "The cookie is gone"),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn close_session(State(web): State<Arc<Web>>) -> Response {
    with_cookie(web.access.no_cookie())
}

fn with_cookie(cookie: Option<header::HeaderValue>) -> Response {
    let headers: HeaderMap = cookie.map(|cookie| (header::SET_COOKIE, cookie)).into_iter().collect();
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Whether the program answers
///
/// It does not say whether enrollments work: `/api/v1/doctor` and `/metrics` do.
#[utoipa::path(
    get, path = "/healthz", tag = "station",
    responses((status = 200, description = "It does", content_type = "text/plain", body = String))
)]
pub(in crate::web) async fn health() -> &'static str {
    "ok\n"
}
