//! What a browser gets: a page of plain HTML, styles and small modules, inside the program.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Name, kind and content of what the page loads.
const FILES: &[(&str, &str, &str)] = &[
    ("style.css", STYLE, include_str!("page/style.css")),
    ("icon.svg", PICTURE, include_str!("page/icon.svg")),
    ("app.js", SCRIPT, include_str!("page/app.js")),
    ("batches.js", SCRIPT, include_str!("page/batches.js")),
    ("bays.js", SCRIPT, include_str!("page/bays.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("feed.js", SCRIPT, include_str!("page/feed.js")),
    ("jobs.js", SCRIPT, include_str!("page/jobs.js")),
    ("panels.js", SCRIPT, include_str!("page/panels.js")),
];

/// The page.
pub(super) async fn index() -> Response {
    ([(header::CONTENT_TYPE, HTML)], include_str!("page/index.html")).into_response()
}

/// A file of the page.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    let found = FILES.iter().find(|(known, ..)| *known == name);
    match found {
        Some((_, kind, text)) => ([(header::CONTENT_TYPE, *kind)], *text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
