//! The reports, of results that are made up.

use super::result::Found;
use super::{CheckView, RigReport, Status};
use crate::api::view::{DeviceView, Exit, LinkView};
use jiff::Timestamp;
use std::time::Duration;

const UDIDS: [&str; 2] = ["00008140-001B59F64B2E760E", "00008140-0000000000000001"];

fn check(udid: &str, check: &'static str, status: Status, sentence: &str) -> CheckView {
    let mut view = DeviceView::unseen(&udid.parse().unwrap());
    view.sentence = sentence.into();
    view.ms = 1234;
    let exit = if status == Status::Passed { Exit::Done } else { Exit::Failed };
    CheckView { device: "Bench & \"<b>\u{ffff}".into(), check, scenario: None, status, view, exit }
}

fn report() -> RigReport {
    let mut failed = check(UDIDS[0], "install", Status::Failed, "It says <script>.");
    failed.view.chain =
        vec![LinkView { domain: "MC<Error>Domain".into(), code: 4001, meaning: Some("a < b".into()) }];
    let checks = vec![
        check(UDIDS[0], "listed", Status::Passed, "It is listed."),
        failed,
        check(UDIDS[0], "erase", Status::Skipped, "The rig file does not allow it."),
        check(UDIDS[1], "replug", Status::NeedsPerson, "It was not unplugged."),
    ];
    let begun = Timestamp::from_second(1_800_000_000).unwrap();
    let took = Duration::from_millis(5000);
    RigReport { begun, took, way: "usbmuxd at /x".into(), checks, interrupted: false }
}

#[test]
fn junit_has_a_suite_a_device_and_a_case_a_check() {
    let xml = report().junit();
    assert!(xml.contains("tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\" time=\"5.000\""), "{xml}");
    assert_eq!((xml.matches("<testsuite ").count(), xml.matches("<testcase ").count()), (2, 4));
    assert!(xml.contains("name=\"Bench &amp; &quot;&lt;b&gt;\u{fffd}\""), "{xml}");
    assert!(xml.contains("MC&lt;Error&gt;Domain 4001") && xml.contains("type=\"needs-person\""), "{xml}");
    assert!(xml.contains("time=\"1.234\"") && xml.contains("<skipped message="), "{xml}");
    assert_eq!(xml.matches('<').count(), xml.matches('>').count());
}

#[test]
fn the_page_shows_everything_and_runs_nothing() {
    let page = report().page();
    assert!(page.contains("It says &lt;script&gt;.") && !page.contains("<script"), "{page}");
    assert!(page.contains("a &lt; b") && page.contains("1 passed, 1 failed, 1 without"), "{page}");
    assert_eq!(page.matches("<tr class=").count(), 4);
    assert!(!page.contains("SIMULATED"));
}

#[test]
fn the_worst_check_counts_and_a_run_that_was_ended_did_not_pass() {
    let mut report = report();
    assert_eq!(report.exit(), Exit::Failed);
    report.checks.truncate(1);
    assert_eq!(report.exit(), Exit::Done);
    report.interrupted = true;
    assert_eq!(report.exit(), Exit::Failed);
}

#[test]
fn with_nobody_there_what_needs_a_person_is_skipped() {
    let found = Found::needs_person("It was not unplugged.", "Do it.");
    assert_eq!(found.exit(), Exit::NeedsPerson);
    let found = found.unattended();
    assert_eq!((found.status, found.exit()), (Status::Skipped, Exit::Done));
    let failed = Found::failed("It broke.", "Mend it.").exiting(Exit::Refused).unattended();
    assert_eq!((failed.status, failed.exit()), (Status::Failed, Exit::Refused));
}
