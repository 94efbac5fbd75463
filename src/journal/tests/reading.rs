//! History, open jobs, counts.

use super::*;
use crate::wire::mcinstall_error::{ChainLink, ErrorChain};
use crate::workflow::outcome::{Class, Verdict};

#[tokio::test]
async fn a_row_tells_everything_of_a_job() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let job = live(&journal, 7).await;
    let row = scratch.reader().history(&HistoryFilter::default()).unwrap().pop().unwrap();
    let events = scratch.reader().job_events(job).unwrap();
    assert_eq!(events, scratch.seen());
    assert_eq!((row.id, &row.udid, row.simulated), (job, &udid(7), true));
    assert_eq!(row.bay, Bay("usb-1-99".into()));
    assert_eq!((row.ecid, row.serial.as_deref()), (label(7).ecid, Some("SIM0000007")));
    assert_eq!((row.os_version.as_deref(), row.product_type.as_deref()), (Some("18.6"), Some("iPad14,1")));
    assert_eq!(row.profile_name, "Example enrollment");
    assert_eq!((row.attempts, row.pushes), (2, 2));
    assert_eq!((row.created_at, row.ended_at), (events[0].at, events.last().map(|event| event.at)));
    assert!(row.duration_ms.is_some());
    assert_eq!(
        (row.outcome, row.class, row.state),
        (Some(Outcome::Enrolled), Some(Class::None), Outcome::Enrolled)
    );
    assert_eq!((row.sentence.as_deref(), row.next), (Some(Outcome::Enrolled.sentence()), None));
}

#[tokio::test]
async fn a_verdict_is_kept_whole() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let chain = ErrorChain::new([
        ChainLink::new("MCInstallationErrorDomain", 4001).saying("Profil \"fehlt\"", Some("Missing")),
        ChainLink::new("MCMDMErrorDomain", 12011),
    ]);
    let verdict = Verdict::failed(Class::Server, "The server said no.", "Ask it.").because(chain.clone());
    let job = journal.start_job(new_job(1)).await.unwrap();
    journal.append(job, EventKind::JobEnded(verdict)).await.unwrap();
    let row = scratch.reader().history(&HistoryFilter::default()).unwrap().pop().unwrap();
    assert_eq!((row.class, row.next.as_deref(), row.chain), (Some(Class::Server), Some("Ask it."), chain));
    scratch.assert_sound();
}

#[tokio::test]
async fn filters_select_and_the_newest_comes_first() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    for n in 1..=3 {
        live(&journal, n).await;
    }
    let failed = journal.start_job(new_job(1)).await.unwrap();
    journal.append(failed, ended(Outcome::Failed)).await.unwrap();
    let open = NewJob { simulated: false, profile_sha256: "cd".repeat(32), ..new_job(2) };
    journal.start_job(open.clone()).await.unwrap();

    let reader = scratch.reader();
    let all = HistoryFilter::default();
    let ids = |filter: HistoryFilter| -> Vec<i64> {
        reader.history(&filter).unwrap().iter().map(|row| row.id.0).collect()
    };
    assert_eq!(ids(all.clone()), [5, 4, 3, 2, 1]);
    assert_eq!(ids(HistoryFilter { limit: 2, ..all.clone() }), [5, 4]);
    let lower = udid(1).as_str().to_ascii_lowercase().parse().ok();
    assert_eq!(ids(HistoryFilter { udid: lower, ..all.clone() }), [4, 1]);
    assert_eq!(ids(HistoryFilter { outcome: Some(Outcome::Enrolled), ..all.clone() }), [3, 2, 1]);
    assert_eq!(ids(HistoryFilter { include_simulated: false, ..all.clone() }), [5]);
    assert_eq!(ids(HistoryFilter { open_only: true, ..all.clone() }), [5]);
    assert_eq!(ids(HistoryFilter { profile_sha256: Some("cd".repeat(32)), ..all.clone() }), [5]);
    let since = reader.job_events(failed).unwrap()[0].at;
    assert!(ids(HistoryFilter { since: Some(since), ..all.clone() }).starts_with(&[5, 4]));
    let future = since.saturating_add(std::time::Duration::from_secs(3600)).ok();
    assert_eq!(ids(HistoryFilter { since: future, ..all.clone() }), [] as [i64; 0]);

    let summary = reader.summary(&all).unwrap();
    assert_eq!(summary, Summary { open: 1, ended: vec![(Outcome::Enrolled, 3), (Outcome::Failed, 1)] });
    let found = journal.open_jobs(&open.udid, &open.profile_sha256).await.unwrap().unwrap();
    assert_eq!((found.id.0, found.events.len()), (5, 1));
    assert_eq!(found.events[0].kind, EventKind::JobStarted(open.clone()));
    assert_eq!(journal.open_jobs(&open.udid, "ab").await.unwrap(), None);
    scratch.assert_sound();
}
