//! How late the page shows what happened, in Chromium, and what an idle station costs. The
//! measuring is `tests/page/latency.mjs`; `tests/run` installs what it needs.

use super::ENLIST;
use std::process::Command;

pub(crate) const TOPIC: &str = "page";

pub(crate) fn run() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/latency.mjs");
    match Command::new("node").arg(script).env("ENLIST_TEST_BINARY", ENLIST).status() {
        Ok(ended) if ended.success() => {}
        Ok(_) => println!("page: not measured. tests/run installs Chromium and what drives it"),
        Err(error) => println!("page: not measured. node cannot be started: {error}"),
    }
}
