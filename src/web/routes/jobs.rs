//! The history: jobs, page by page, and one with everything that happened to it.

#![allow(unused_qualifications)] // in what utoipa's macros write

use super::super::problem::Problem;
use super::super::state::Web;
use super::{Id, Params};
use crate::api::view::JobView;
use crate::api::view::job::JobDetail;
use crate::api::{JobsQuery, Outcome};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Most jobs of a page.
const PAGE: u32 = 500;

/// Longest text to search for, in characters: an identifier has 64.
const TEXT: usize = 100;

/// Which jobs.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct JobsParams {
    /// Text in UDID, serial number, name, IMEI, model or bay of the device, or in the SHA-256
    /// of the profile
    #[param(max_length = 100)]
    q: Option<String>,
    /// Only jobs that ended so
    outcome: Option<Outcome>,
    /// `true`: only open jobs
    #[serde(default)]
    #[param(default = false)]
    open: bool,
    /// Only jobs begun then or later
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only jobs with smaller numbers: the last number of the page before
    #[param(minimum = 1)]
    before: Option<i64>,
    /// At most so many
    #[serde(default = "usual")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

fn usual() -> u32 {
    50
}

/// Jobs, newest first
///
/// `Link` with `rel="next"` leads to the next page, where there is one.
#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "history", params(JobsParams),
    responses(
        (status = 200, description = "A page of jobs", body = Vec<JobView>,
         headers(("Link" = Option<String>, description = "The next page"))),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn list(
    State(web): State<Arc<Web>>,
    Params(params): Params<JobsParams>,
) -> Result<Response, Problem> {
    params.check()?;
    // One more tells whether there is more.
    let query = JobsQuery {
        text: params.q.clone().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        outcome: params.outcome,
        open_only: params.open,
        since: params.since,
        before: params.before,
        limit: params.limit + 1,
    };
    let jobs = web.blocking(move |running| running.jobs(&query)).await?;
    let mut jobs = jobs.map_err(Problem::of_reading)?;
    let is_more = jobs.len() > params.limit as usize;
    jobs.truncate(params.limit as usize);
    let last = jobs.last().and_then(|job| job.device.job).filter(|_| is_more);
    let link = last.and_then(|last| HeaderValue::from_str(&params.next(last)).ok());
    let headers: HeaderMap = link.map(|link| (header::LINK, link)).into_iter().collect();
    Ok((headers, Json(jobs)).into_response())
}

/// One job, with everything that happened to it
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", tag = "history",
    params(("id" = i64, Path, minimum = 1, description = "Its number")),
    responses(
        (status = 200, description = "The job", body = JobDetail),
        (status = "default", description = "A problem", content_type = "application/problem+json", body = Problem),
    )
)]
pub(in crate::web) async fn one(State(web): State<Arc<Web>>, Id(id): Id) -> Result<Json<JobDetail>, Problem> {
    let found = web.blocking(move |running| running.job(id)).await?.map_err(Problem::of_reading)?;
    found.map(Json).ok_or_else(|| Problem::not_found(format!("There is no job {id}.")))
}

impl JobsParams {
    fn check(&self) -> Result<(), Problem> {
        if !(1..=PAGE).contains(&self.limit) {
            return Err(Problem::bad_request(format!("limit must be between 1 and {PAGE}.")));
        }
        if self.before.is_some_and(|before| before < 1) {
            return Err(Problem::bad_request("before must be the number of a job."));
        }
        if self.q.as_ref().is_some_and(|q| q.chars().count() > TEXT) {
            return Err(Problem::bad_request(format!("q may have {TEXT} characters.")));
        }
        if self.open && self.outcome.is_some() {
            return Err(Problem::bad_request("A job that is open has not ended: open goes without outcome."));
        }
        Ok(())
    }

    fn next(&self, last: i64) -> String {
        let mut target = format!("/api/v1/jobs?before={last}&limit={}", self.limit);
        let mut add = |name: &str, value: String| {
            target.push_str(&format!("&{name}={}", encode(&value)));
        };
        if let Some(q) = &self.q {
            add("q", q.clone());
        }
        if let Some(outcome) = self.outcome {
            add("outcome", outcome.name().to_owned());
        }
        if self.open {
            add("open", "true".to_owned());
        }
        if let Some(since) = self.since {
            add("since", since.to_string());
        }
        format!("<{target}>; rel=\"next\"")
    }
}

/// Percent signs for all but letters, digits and a few that mean nothing.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
