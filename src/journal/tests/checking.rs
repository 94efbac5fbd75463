//! `check` finds what is planted, each kind by its name.

use super::*;
use rusqlite::Connection;

/// A finished job 1, an open job 2, and a connection that may do anything to them.
async fn planted(sql: &str) -> Vec<String> {
    let scratch = Scratch::new();
    let journal = scratch.open();
    live(&journal, 1).await;
    let open = journal.start_job(new_job(2)).await.unwrap();
    journal.append(open, EventKind::AttemptStarted { number: 1 }).await.unwrap();
    journal.append(open, EventKind::StepStarted { step: StepId::Pair }).await.unwrap();
    journal.close().await.unwrap();
    let conn = Connection::open(&scratch.path).unwrap();
    assert_eq!(check(&conn), Vec::<String>::new());
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF;
         DROP TRIGGER events_stay; DROP TRIGGER events_remain; DROP TRIGGER events_end;
         DROP INDEX events_one_start; DROP INDEX events_one_end;",
    )
    .unwrap();
    conn.execute_batch(sql).unwrap();
    drop(conn);
    check(&Connection::open(&scratch.path).unwrap())
}

#[tokio::test]
async fn planted_faults_are_found() {
    const END: &str = "INSERT INTO events (job, at, kind, data) SELECT 1, at, kind, data FROM events";
    let cases: &[(&str, &str)] = &[
        ("UPDATE jobs SET pushes = 9 WHERE id = 1", "job 1: pushes is '9', its events say '2'"),
        ("UPDATE jobs SET attempts = 0 WHERE id = 1", "job 1: attempts is '0'"),
        ("UPDATE jobs SET state = 'retrying' WHERE id = 2", "job 2: state is 'retrying'"),
        ("UPDATE jobs SET serial = NULL WHERE id = 1", "job 1: serial is nothing"),
        ("UPDATE jobs SET bay = 'x' WHERE id = 1", "job 1: bay is 'x'"),
        ("UPDATE jobs SET chain = '[1]' WHERE id = 1", "job 1: chain is '[1]'"),
        ("UPDATE jobs SET ended_at = NULL, outcome = NULL WHERE id = 1", "job 1: outcome is nothing"),
        ("UPDATE jobs SET ended_at = 'x', outcome = 'failed' WHERE id = 2", "job 2: outcome is 'failed'"),
        ("UPDATE attempts SET ended_at = NULL", "job 1: attempts has a row that its events do not: '1'"),
        ("DELETE FROM attempts WHERE job = 2", "job 2: attempts lacks a row"),
        ("UPDATE steps SET result = 'failed' WHERE job = 1", "job 1: steps has a row"),
        ("DELETE FROM steps WHERE job = 2", "job 2: steps lacks a row"),
        ("UPDATE profiles SET uuid = 'x'", "differs from the first job that used it"),
        ("INSERT INTO profiles VALUES ('x', 'x', 'x', 'x', 'x')", "profile x is listed, and no job used it"),
        ("DELETE FROM profiles", "is not listed, and a job used it"),
        ("DELETE FROM profiles", "a row of jobs refers to one of profiles that is not there"),
        ("DELETE FROM events WHERE seq = 5", "event 6 follows event 4"),
        ("DELETE FROM events WHERE seq = 26", "the last event is 25, but 26 were numbered"),
        ("DELETE FROM events WHERE kind = 'job-ended'", "its events say nothing"),
        (&format!("{END} WHERE kind = 'job-ended'"), "job 1: event 27 (job-ended) comes after the end"),
        (&format!("{END} WHERE kind = 'detached'"), "job 1: event 27 (detached) comes after the end"),
        (
            "INSERT INTO events (job, at, kind, data) SELECT 2, at, kind, data FROM events WHERE seq = 1",
            "job 2: event 27 (job-started) is number 4 of the job",
        ),
        (
            "UPDATE events SET job = 2 WHERE seq = 2",
            "job 2: event 2 (attempt-started) is number 1 of the job",
        ),
        ("UPDATE events SET job = 9 WHERE seq = 2", "a row of events refers to one of jobs"),
        ("UPDATE events SET data = replace(data, '1', '3') WHERE seq = 11", "job 1: push 3 follows push 0"),
        (
            "UPDATE events SET data = replace(data, '2', '1') WHERE kind = 'push-answered'",
            "job 1: push 1 was answered, push 2 was the last",
        ),
        (
            "UPDATE events SET data = replace(data, '2', '7') WHERE kind = 'attempt-started'",
            "job 1: attempt 7 follows attempt 1",
        ),
        ("UPDATE events SET data = '{}' WHERE seq = 3", "job 1: event 3 (step-started) cannot be understood"),
        ("UPDATE events SET kind = 'detached' WHERE seq = 3", "is called detached and says step-started"),
        (
            "UPDATE events SET at = '2026-03-02 08:00' WHERE seq = 3",
            "event 3 has the time '2026-03-02 08:00'",
        ),
        (
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, 'imei            TEXT', 'imei TEXT NOT NULL')",
            "integrity: NULL value in jobs.imei",
        ),
    ];
    for (sql, expected) in cases {
        let found = planted(sql).await;
        assert!(found.iter().any(|line| line.contains(expected)), "{sql}: {found:#?}");
    }
}

#[tokio::test]
async fn the_database_itself_guards_the_events() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    live(&journal, 1).await;
    journal.close().await.unwrap();
    let conn = Connection::open(&scratch.path).unwrap();
    for (sql, cause) in [
        ("UPDATE events SET at = ''", "events are never changed"),
        ("DELETE FROM events", "events are never deleted"),
        ("INSERT INTO events (job, at, kind, data) VALUES (1, '', '', '{}')", "the job has ended"),
        ("DELETE FROM jobs", "FOREIGN KEY"),
    ] {
        let error = conn.execute_batch(sql).unwrap_err().to_string();
        assert!(error.contains(cause), "{sql}: {error}");
    }
}
