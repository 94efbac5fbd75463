//! The report as JUnit XML, for CI: a suite a device, a case a check.

use super::result::{CheckView, RigReport, Status};
use crate::api::report::escaped as html;
use std::fmt::Write;

/// Text as XML 1.0 takes it: two characters that are printable are none of its.
fn escaped(text: &str) -> String {
    html(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

pub(super) fn render(report: &RigReport) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&CheckView> = report.checks.iter().collect();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "<testsuites name=\"enlist rig\" {} time=\"{:.3}\">",
        counts(&all),
        report.took.as_secs_f64()
    );
    for checks in report.by_device() {
        suite(report, checks, &mut out);
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(report: &RigReport, checks: &[CheckView], out: &mut String) {
    let Some(last) = checks.last() else { return };
    let took: u64 = checks.iter().map(|check| check.view.ms).sum();
    let all: Vec<&CheckView> = checks.iter().collect();
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" {} time=\"{}\" timestamp=\"{}\">",
        escaped(&last.device),
        counts(&all),
        seconds(took),
        report.begun.strftime("%Y-%m-%dT%H:%M:%SZ")
    );
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let properties = [
        ("udid", last.view.udid.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("serial", text(&last.view.serial)),
        ("bay", last.view.bay.to_string()),
        ("product_type", text(&last.view.product_type)),
        ("os_version", text(&last.view.os_version)),
        ("simulated", last.view.simulated.to_string()),
        ("way", report.way.clone()),
        ("enlist", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    out.push_str("    <properties>\n");
    for (name, value) in properties {
        let _ = writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", escaped(&value));
    }
    out.push_str("    </properties>\n");
    checks.iter().for_each(|check| case(check, out));
    out.push_str("  </testsuite>\n");
}

fn case(check: &CheckView, out: &mut String) {
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        escaped(&check.device),
        escaped(&check.title()),
        seconds(check.view.ms)
    );
    let sentence = escaped(&check.view.sentence);
    match check.status {
        Status::Passed => {
            let _ = writeln!(out, "><system-out>{sentence}</system-out></testcase>");
        }
        Status::Skipped => {
            let _ = writeln!(out, "><skipped message=\"{sentence}\"/></testcase>");
        }
        Status::Failed | Status::NeedsPerson => {
            let kind = match check.status {
                Status::NeedsPerson => Status::NeedsPerson.name(),
                _ => check.view.outcome.name(),
            };
            let next = escaped(check.view.next.as_deref().unwrap_or_default());
            let chain = chain(check);
            let _ = writeln!(
                out,
                "><failure type=\"{kind}\" message=\"{sentence}\">{next}{chain}</failure></testcase>"
            );
        }
    }
}

fn chain(check: &CheckView) -> String {
    let link = |link: &crate::api::view::LinkView| format!("\n{} {}", escaped(&link.domain), link.code);
    check.view.chain.iter().map(link).collect()
}

/// A person who did not come is a failure to CI: what was to be proved is not.
fn counts(checks: &[&CheckView]) -> String {
    let count = |which: &[Status]| checks.iter().filter(|check| which.contains(&check.status)).count();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\"",
        checks.len(),
        count(&[Status::Failed, Status::NeedsPerson]),
        count(&[Status::Skipped])
    )
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
