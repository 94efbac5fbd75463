//! The journals of every version that are kept in `fixtures/journal/`.

use super::*;
use crate::journal::writer::write_batch;
use crate::transport::Rung;
use crate::workflow::helpers::{HelperKind, HelperName};
use crate::workflow::outcome::{Class, Verdict};
use std::fs;
use std::time::Duration;

fn kept(version: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/journal/v{version}.sqlite3"))
}

/// Three jobs: done after a replug, failed at the server, still open.
fn entries() -> Vec<Entry> {
    let failed = Verdict::failed(Class::Server, "The server refused the device.", "Check its limit.");
    let append = |job| move |kind| Entry::Append(JobId(job), kind);
    let first = life(1).into_iter().map(append(1));
    let second = life(2).into_iter().take(17).chain([EventKind::JobEnded(failed)]).map(append(2));
    let third = life(3).into_iter().take(10).chain(of_version_2()).chain(of_version_3()).map(append(3));
    let starts = (1..=3).map(|n| Entry::Start(new_job(n)));
    starts.chain(first).chain(second).chain(third).collect()
}

/// The kinds of event that version 2 added.
fn of_version_2() -> [EventKind; 3] {
    [
        EventKind::Recovering { rung: Rung::ResetDevice },
        EventKind::Recovering { rung: Rung::PowerCyclePort },
        EventKind::Quarantined { bay: Bay("Bay 7".into()) },
    ]
}

/// The kinds of event that version 3 added.
fn of_version_3() -> [EventKind; 7] {
    let helper = HelperName {
        kind: HelperKind::Wifi,
        identifier: "enlist.helper.wifi.a3d3f5ee5d0c4b3d".into(),
        uuid: "3333CCCC-0000-8000-8000-000000000000".into(),
        name: "Wi-Fi Bench".into(),
    };
    let at = "2026-03-02T09:00:00Z".parse().unwrap();
    [
        EventKind::Assigned {
            blueprint: Some("kiosk".into()),
            batch: None,
            line: None,
            tags: vec!["floor-2".into()],
            reason: "its class is iPad".into(),
        },
        EventKind::Held { sentence: "The batch is stopped.".into(), next: "Resume it.".into(), until: at },
        EventKind::HelperPushStarted { helper: helper.clone() },
        EventKind::HelperPushAnswered { helper: helper.clone(), answer: PushAnswer::Acknowledged },
        EventKind::WaitingForHelper { helper, until: "2026-03-02T08:10:00Z".parse().unwrap() },
        EventKind::EraseStarted,
        EventKind::EraseAnswered { accepted: true },
    ]
}

/// Writes the fixture of the present version anew. Those of earlier versions are what old
/// programs left behind, and stay as they are.
fn write_the_fixture() {
    assert_eq!(schema::MIGRATIONS.len(), 3);
    let scratch = Scratch::new();
    let mut store = scratch.store();
    let start: jiff::Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    for (second, entry) in entries().into_iter().enumerate() {
        let at = start.saturating_add(Duration::from_secs(second as u64)).unwrap();
        write_batch(&mut store.conn, at, vec![entry]).remove(0).unwrap();
    }
    drop(store);
    fs::create_dir_all(kept(3).parent().unwrap()).unwrap();
    fs::copy(&scratch.path, kept(3)).unwrap();
}

#[tokio::test]
async fn a_journal_of_version_1_is_opened_and_read() {
    is_opened_and_read(1, "pushing", &[]).await;
}

#[tokio::test]
async fn a_journal_of_version_2_is_opened_and_read() {
    is_opened_and_read(2, "quarantined", &of_version_2()).await;
}

#[tokio::test]
async fn a_journal_of_version_3_is_opened_and_read() {
    if crate::fixtures::refresh() {
        write_the_fixture();
    }
    let added: Vec<_> = of_version_2().into_iter().chain(of_version_3()).collect();
    is_opened_and_read(3, "erasing", &added).await;
}

/// `state` is that of the open job, `added` its last events.
async fn is_opened_and_read(version: usize, state: &str, added: &[EventKind]) {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path.parent().unwrap()).unwrap();
    fs::copy(kept(version), &scratch.path).unwrap();
    assert_eq!(scratch.reader().history(&HistoryFilter::default()).unwrap().len(), 3, "before a station");
    let journal = scratch.open();
    scratch.assert_sound();
    let rows = scratch.reader().history(&HistoryFilter::default()).unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let outcome = row.outcome.map_or("open", Outcome::name);
            (row.id.0, outcome, row.state.name(), row.attempts, row.pushes, row.duration_ms)
        })
        .collect();
    assert_eq!(
        told,
        [
            (3, "open", state, 1, 1, None),
            (2, "failed", "failed", 2, 2, Some(41_000)),
            (1, "enrolled", "enrolled", 2, 2, Some(24_000)),
        ]
    );
    assert_eq!(rows[2].created_at.to_string(), "2026-03-02T08:00:00Z");
    assert_eq!(rows[1].sentence.as_deref(), Some("The server refused the device."));
    let kinds: Vec<_> = scratch.reader().job_events(JobId(1)).unwrap().into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds[1..], life(1));
    let open = journal.all_open_jobs().await.unwrap();
    assert_eq!((open.len(), open[0].id, open[0].events.len()), (1, JobId(3), 11 + added.len()));
    let last: Vec<_> = open[0].events[11..].iter().map(|event| event.kind.clone()).collect();
    assert_eq!(last, added);
    journal.append(JobId(3), ended(Outcome::Failed)).await.unwrap();
    scratch.assert_sound();
}
