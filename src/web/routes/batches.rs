//! Batches: open with a manifest, follow, close, report.

#![allow(unused_qualifications)] // in what utoipa's macros write

use super::super::problem::Problem;
use super::super::state::Web;
use super::{Id, Params};
use crate::api::view::{BatchEntryView, BatchView, EntryState, ReportFormat, Unexpected};
use crate::api::{
    EntryQuery, OpenBatch, OperationError, allow_device, batch_entries, close_batch, list_batches,
    open_batch, resume_batch, show_batch,
};
use crate::clock::Clock;
use crate::limits::{MANIFEST_BYTES, STOP_AFTER};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Longest name of a batch, in characters.
const NAME: usize = 100;

/// Most entries that an offset leaves out: more than a manifest may have.
const MOST_LEFT_OUT: u32 = 1_000_000;

/// Most entries of a page.
const PAGE: u32 = 1000;

/// A report is a page of its own and brings its styles; nothing else, and no script.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; sandbox";

/// How a batch is opened.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct OpenParams {
    /// What it is called
    #[param(max_length = 100)]
    name: Option<String>,
    /// What becomes of devices that the manifest does not name
    #[serde(default)]
    unexpected: Unexpected,
    /// Stop after so many equal faults in a row; 0: never
    #[serde(default = "usual_stop")]
    #[param(maximum = 1000, default = 5)]
    stop_after: u32,
}

fn usual_stop() -> u32 {
    STOP_AFTER
}

/// Which entries.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct EntryParams {
    /// Only those that stand so
    state: Option<EntryState>,
    /// Leave out so many
    #[serde(default)]
    #[param(default = 0, maximum = 1_000_000)]
    offset: u32,
    /// At most so many
    #[serde(default = "usual_page")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: u32,
}

fn usual_page() -> u32 {
    100
}

/// How a batch is closed.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct CloseParams {
    /// Even while devices are in work: its report calls them running
    #[serde(default)]
    #[param(default = false)]
    force: bool,
}

/// In which form.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct ReportParams {
    /// `csv`, `json` or `html`
    #[serde(default = "usual_format")]
    #[param(inline, default = "json")]
    format: ReportFormat,
}

fn usual_format() -> ReportFormat {
    ReportFormat::Json
}

/// A device to let in.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Allowed {
    /// Serial number, IMEI or UDID
    #[schema(min_length = 1, max_length = 64)]
    device: String,
}

/// All batches, newest first
#[utoipa::path(
    get, path = "/api/v1/batches", tag = "batches",
    responses(
        (status = 200, description = "Batches", body = Vec<BatchView>),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn list(State(web): State<Arc<Web>>) -> Result<Json<Vec<BatchView>>, Problem> {
    let listed = with_journal(&web, list_batches).await?;
    listed.map(Json).map_err(Problem::of_reading)
}

/// The one route with a large body.
pub(super) fn uploads() -> MethodRouter<Arc<Web>> {
    post(open).layer(DefaultBodyLimit::max(MANIFEST_BYTES))
}

/// Open a batch
///
/// The body is the manifest: CSV with a column for the serial number or the IMEI, and columns
/// for name, tag and blueprint.
#[utoipa::path(
    post, path = "/api/v1/batches", tag = "batches",
    params(OpenParams, ("Enlist-Request" = String, Header, description = "Any value")),
    request_body(content = String, content_type = "text/csv", description = "The manifest"),
    responses(
        (status = 201, description = "It is open", body = BatchView,
         headers(("Location" = String, description = "Where it is"))),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn open(
    State(web): State<Arc<Web>>,
    Params(params): Params<OpenParams>,
    headers: HeaderMap,
    manifest: Bytes,
) -> Result<Response, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/csv")) {
        return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).then("Send text/csv."));
    }
    if params.name.as_ref().is_some_and(|name| name.chars().count() > NAME || name.contains(char::is_control))
    {
        return Err(Problem::bad_request(format!("name is one line of at most {NAME} characters.")));
    }
    if params.stop_after > 1000 {
        return Err(Problem::bad_request("stop_after must be between 0 and 1000."));
    }
    let request = OpenBatch {
        name: params.name.filter(|name| !name.trim().is_empty()),
        file: "the manifest".to_owned(),
        manifest: manifest.to_vec(),
        unexpected: params.unexpected,
        stop_after: params.stop_after,
        export_ends: web.running.export_ends(),
        stale_allowed: None,
        blueprints: web.running.blueprints(),
    };
    let opened = with_journal(&web, move |journal, clock| open_batch(journal, &request, clock)).await?;
    let batch = opened.map_err(Problem::of_change)?;
    let location = HeaderValue::from_str(&format!("/api/v1/batches/{}", batch.id));
    let headers: HeaderMap = location.ok().map(|at| (header::LOCATION, at)).into_iter().collect();
    Ok((StatusCode::CREATED, headers, Json(batch)).into_response())
}

/// One batch
#[utoipa::path(
    get, path = "/api/v1/batches/{id}", tag = "batches",
    params(("id" = i64, Path, minimum = 1, description = "Its number")),
    responses(
        (status = 200, description = "The batch", body = BatchView),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn one(State(web): State<Arc<Web>>, Id(id): Id) -> Result<Json<BatchView>, Problem> {
    reading(&web, id, move |journal, clock| show_batch(journal, Some(id), clock)).await.map(Json)
}

/// Its entries
///
/// The manifest's lines in their order, then devices that it does not name.
#[utoipa::path(
    get, path = "/api/v1/batches/{id}/entries", tag = "batches",
    params(("id" = i64, Path, minimum = 1, description = "Its number"), EntryParams),
    responses(
        (status = 200, description = "Entries", body = Vec<BatchEntryView>),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn entries(
    State(web): State<Arc<Web>>,
    Id(id): Id,
    Params(params): Params<EntryParams>,
) -> Result<Json<Vec<BatchEntryView>>, Problem> {
    if !(1..=PAGE).contains(&params.limit) {
        return Err(Problem::bad_request(format!("limit must be between 1 and {PAGE}.")));
    }
    if params.offset > MOST_LEFT_OUT {
        return Err(Problem::bad_request(format!("offset must be at most {MOST_LEFT_OUT}.")));
    }
    let query = EntryQuery { state: params.state, offset: params.offset, limit: Some(params.limit) };
    reading(&web, id, move |journal, clock| batch_entries(journal, Some(id), query, clock)).await.map(Json)
}

/// Its report
///
/// Hash-chained; provisional while the batch is open. One is made at a time; who would wait too
/// long gets 503 with Retry-After.
#[utoipa::path(
    get, path = "/api/v1/batches/{id}/report", tag = "batches",
    params(("id" = i64, Path, minimum = 1, description = "Its number"), ReportParams),
    responses(
        (status = 200, description = "A file", content(
            (serde_json::Value = "application/json"), (String = "text/csv"), (String = "text/html"))),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn report(
    State(web): State<Arc<Web>>,
    Id(id): Id,
    Params(params): Params<ReportParams>,
) -> Result<Response, Problem> {
    let format = params.format;
    let turn = web.turn_to_report().await?;
    let made = reading(&web, id, move |journal, clock| {
        let made = crate::api::report(journal, Some(id), format, clock);
        // The turn went along: a report whose client left is still being made.
        drop(turn);
        made
    });
    let written = made.await?;
    let attached = format!("attachment; filename=\"{}\"", written.file_name);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(REPORT_POLICY)),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&attached).unwrap_or(HeaderValue::from_static("attachment")),
        ),
    ];
    Ok((headers, written.text).into_response())
}

/// Close a batch and seal its report
///
/// While devices are in work that is a conflict, unless `force` is true.
#[utoipa::path(
    post, path = "/api/v1/batches/{id}/close", tag = "batches",
    params(("id" = i64, Path, minimum = 1, description = "Its number"), CloseParams,
           ("Enlist-Request" = String, Header, description = "Any value")),
    responses(
        (status = 200, description = "It is closed", body = BatchView),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn close(
    State(web): State<Arc<Web>>,
    Id(id): Id,
    Params(CloseParams { force }): Params<CloseParams>,
) -> Result<Json<BatchView>, Problem> {
    changing(&web, id, move |journal, clock| close_batch(journal, Some(id), force, clock)).await.map(Json)
}

/// Let a batch go on that was stopped
#[utoipa::path(
    post, path = "/api/v1/batches/{id}/resume", tag = "batches",
    params(("id" = i64, Path, minimum = 1, description = "Its number"),
           ("Enlist-Request" = String, Header, description = "Any value")),
    responses(
        (status = 200, description = "It goes on", body = BatchView),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn resume(
    State(web): State<Arc<Web>>,
    Id(id): Id,
) -> Result<Json<BatchView>, Problem> {
    changing(&web, id, move |journal, clock| resume_batch(journal, Some(id), clock)).await.map(Json)
}

/// Let a device in that the manifest does not name
#[utoipa::path(
    post, path = "/api/v1/batches/{id}/allow", tag = "batches", request_body = Allowed,
    params(("id" = i64, Path, minimum = 1, description = "Its number"),
           ("Enlist-Request" = String, Header, description = "Any value")),
    responses(
        (status = 200, description = "It may come", body = BatchView),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn allow(
    State(web): State<Arc<Web>>,
    Id(id): Id,
    Json(allowed): Json<Allowed>,
) -> Result<Json<BatchView>, Problem> {
    let device = allowed.device;
    if !(1..=64).contains(&device.chars().count()) || device.contains(char::is_control) {
        return Err(Problem::bad_request("device is a serial number, an IMEI or a UDID."));
    }
    changing(&web, id, move |journal, clock| allow_device(journal, Some(id), &device, clock)).await.map(Json)
}

async fn with_journal<T: Send + 'static>(
    web: &Web,
    work: impl FnOnce(&Path, &Clock) -> T + Send + 'static,
) -> Result<T, Problem> {
    web.blocking(move |running| {
        let (journal, clock) = running.memory();
        work(journal, clock)
    })
    .await
}

/// A batch that is not there is told from a journal that cannot be read.
async fn known(web: &Web, id: i64) -> Result<(), Problem> {
    let batches = with_journal(web, list_batches).await?.map_err(Problem::of_reading)?;
    match batches.iter().any(|batch| batch.id == id) {
        true => Ok(()),
        false => Err(Problem::not_found(format!("There is no batch {id}."))),
    }
}

async fn reading<T: Send + 'static>(
    web: &Web,
    id: i64,
    work: impl FnOnce(&Path, &Clock) -> Result<T, OperationError> + Send + 'static,
) -> Result<T, Problem> {
    known(web, id).await?;
    with_journal(web, work).await?.map_err(Problem::of_reading)
}

async fn changing<T: Send + 'static>(
    web: &Web,
    id: i64,
    work: impl FnOnce(&Path, &Clock) -> Result<T, OperationError> + Send + 'static,
) -> Result<T, Problem> {
    known(web, id).await?;
    // The request was fine; it is the batch that does not allow it now.
    with_journal(web, work).await?.map_err(|error| Problem::of_change(error).or_conflict())
}
