//! Errors as RFC 9457 has them: `application/problem+json`.

use crate::api::OperationError;
use crate::api::view::Exit;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// There is no room now.
const BUSY: &str = "urn:enlist:busy";

/// Seconds after which who was told [`BUSY`] may ask again.
const COME_BACK: HeaderValue = HeaderValue::from_static("5");

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// What kind of problem, as a stable name.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same in words.
    title: &'static str,
    /// HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time: one sentence.
    detail: String,
    /// What to do.
    next: Option<String>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind, title, status: status.as_u16(), detail: detail.into(), next: None }
    }

    pub(super) fn then(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "urn:enlist:not-found", what)
    }

    pub(super) fn bad_request(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "urn:enlist:bad-request", what)
    }

    /// Its turn did not come.
    pub(super) fn busy(what: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, BUSY, what).then("Ask again in a moment.")
    }

    /// An operation that only reads: the request is not to blame.
    pub(super) fn of_reading(error: OperationError) -> Self {
        Self::of(StatusCode::SERVICE_UNAVAILABLE, "urn:enlist:not-readable", error)
    }

    /// An operation that changes something.
    pub(super) fn of_change(error: OperationError) -> Self {
        match error.exit {
            Exit::Usage => Self::of(StatusCode::UNPROCESSABLE_ENTITY, "urn:enlist:not-usable", error),
            Exit::Refused => Self::of(StatusCode::CONFLICT, "urn:enlist:refused", error),
            _ => Self::of(StatusCode::SERVICE_UNAVAILABLE, "urn:enlist:failed", error),
        }
    }

    /// What is asked of a thing that does not allow it as it stands.
    pub(super) fn or_conflict(self) -> Self {
        match self.status {
            422 => Self { status: 409, title: "Conflict", ..self },
            _ => self,
        }
    }

    fn of(status: StatusCode, kind: &'static str, error: OperationError) -> Self {
        Self { next: error.next, ..Self::new(status, kind, error.sentence) }
    }

    /// What a library answered in its own words.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let (kind, detail) = match status {
            StatusCode::NOT_FOUND => ("urn:enlist:not-found", "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("urn:enlist:method", "This address does not take that method; Allow names those it takes.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("urn:enlist:too-large", "The body of the request is too large.")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("urn:enlist:media-type", "The body is of another kind."),
            status if status.is_client_error() => ("urn:enlist:bad-request", "The request cannot be used."),
            _ => ("urn:enlist:failed", "The station could not answer."),
        };
        Self::new(status, kind, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let busy = self.kind == BUSY;
        let mut response = (status, Json(self)).into_response();
        if busy {
            response.headers_mut().insert(header::RETRY_AFTER, COME_BACK);
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}
