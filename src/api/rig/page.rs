//! The report as one page: no script, nothing from elsewhere.

use super::result::{CheckView, RigReport, Status};
use crate::api::report::escaped;
use std::fmt::Write;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--quiet:#59636e;--line:#d1d9e0;--page:#fff;\
--passed:#1a7f37;--failed:#c4321f;--person:#9a6700}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--quiet:#9198a1;--line:#3d444d;--page:#0d1117;\
--passed:#3fb950;--failed:#f85149;--person:#d29922}}\
body{margin:2rem auto;max-width:70rem;padding:0 1rem;background:var(--page);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}\
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .2rem}p{margin:.3rem 0}\
.quiet,.skipped b{color:var(--quiet)}.mark{border:2px solid var(--person);padding:.1rem .5rem;font-weight:600}\
.passed b{color:var(--passed)}.failed b{color:var(--failed)}.needs-person b{color:var(--person)}\
table{border-collapse:collapse;width:100%;font-size:.95rem}th,td{text-align:left;vertical-align:top;\
padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}th{color:var(--quiet);font-weight:600}\
td b,td:last-child{white-space:nowrap}.wide{overflow-x:auto}code{overflow-wrap:anywhere}";

/// The page.
pub(super) fn render(report: &RigReport) -> String {
    let mut page = String::new();
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    page.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    );
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        page,
        "<title>Enlist rig</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Enlist rig</h1>\n"
    );
    head(report, &mut page);
    for checks in report.by_device() {
        device(checks, &mut page);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn head(report: &RigReport, page: &mut String) {
    if report.checks.iter().any(|check| check.view.simulated) {
        page.push_str("<p><span class=\"mark\">SIMULATED DEVICES</span></p>\n");
    }
    let sum = report.summary();
    let ended = if report.interrupted { " It was ended before it was done." } else { "" };
    let _ = writeln!(
        page,
        "<p><b>{} passed, {} failed, {} without the person they need, {} skipped.</b>{ended}</p>\n\
         <p class=\"quiet\">Begun {} UTC, {:.0} seconds, over {}, with Enlist {}.</p>",
        sum.passed,
        sum.failed,
        sum.needs_person,
        sum.skipped,
        report.begun.strftime("%Y-%m-%d %H:%M:%S"),
        report.took.as_secs_f64(),
        escaped(&report.way),
        env!("CARGO_PKG_VERSION")
    );
}

fn device(checks: &[CheckView], page: &mut String) {
    let Some(last) = checks.last() else { return };
    let known = [&last.view.serial, &last.view.product_type, &last.view.os_version];
    let known: Vec<_> = known.into_iter().flatten().map(|text| escaped(text)).collect();
    let udid = last.view.udid.as_ref().map(ToString::to_string).unwrap_or_default();
    let name = escaped(&last.device);
    let _ = writeln!(
        page,
        "<h2>{name}</h2>\n<p class=\"quiet\"><code>{}</code> {} in {}</p>\n\
         <div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\"><table>\n\
         <tr><th scope=\"col\">Check</th><th scope=\"col\">Result</th><th scope=\"col\">What was found</th>\
         <th scope=\"col\">Seconds</th></tr>",
        escaped(&udid),
        known.join(", "),
        escaped(&last.view.bay.to_string())
    );
    for check in checks {
        row(check, page);
    }
    page.push_str("</table></div>\n");
}

fn row(check: &CheckView, page: &mut String) {
    let status = check.status.name();
    let shape = match check.status {
        Status::Passed => "✔",
        Status::Failed => "✖",
        Status::NeedsPerson => "▲",
        Status::Skipped => "○",
    };
    let mut words = escaped(&check.view.sentence);
    if let (Some(next), Status::Failed | Status::NeedsPerson) = (&check.view.next, check.status) {
        let _ = write!(words, " <span class=\"quiet\">{}</span>", escaped(next));
    }
    for link in check.view.chain.iter().filter(|_| check.status == Status::Failed) {
        let meaning = link.meaning.as_deref().map(escaped).unwrap_or_default();
        let _ = write!(words, "<br><code>{} {}</code> {meaning}", escaped(&link.domain), link.code);
    }
    let _ = writeln!(
        page,
        "<tr class=\"{status}\"><td>{}</td><td><b>{shape} {status}</b></td><td>{words}</td><td>{}.{}</td></tr>",
        escaped(&check.title()),
        check.view.ms / 1000,
        check.view.ms % 1000 / 100
    );
}
