//! Does the journal hold together? Used by `doctor` and by every test that ends a run.

use super::fold::{Cells, Fold, JOB_COLUMNS};
use crate::workflow::event::EventKind;
use jiff::Timestamp;
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;

/// First use, identifier, UUID, name of each profile, by its SHA-256.
type Profiles = BTreeMap<String, Cells>;

/// Everything that is inconsistent, in words; empty if all is well. Reads one snapshot, so
/// a station may write meanwhile.
pub fn check(conn: &Connection) -> Vec<String> {
    let mut found = Vec::new();
    let snapshot = conn.unchecked_transaction();
    let parts: [(&str, Part); 4] =
        [("integrity", integrity), ("references", references), ("order", order), ("jobs", jobs)];
    for (name, part) in parts {
        if let Err(error) = part(conn, &mut found) {
            found.push(format!("the check of {name} could not be finished: {error}"));
        }
    }
    drop(snapshot);
    found
}

type Part = fn(&Connection, &mut Vec<String>) -> rusqlite::Result<()>;

fn integrity(conn: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("PRAGMA integrity_check")?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // A finding may have a headline that only names the database.
    let lines =
        lines.iter().flat_map(|text| text.lines()).filter(|line| *line != "ok" && !line.starts_with("***"));
    found.extend(lines.map(|line| format!("integrity: {line}")));
    Ok(())
}

fn references(conn: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        found.push(format!("a row of {table} refers to one of {parent} that is not there"));
    }
    Ok(())
}

/// Events are numbered without gaps: nothing was taken out, nothing was slipped in. SQLite
/// undoes numbers together with the events of a batch that failed.
fn order(conn: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("SELECT seq FROM events ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut last = 0;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        if seq != last + 1 {
            found.push(format!("event {seq} follows event {last}"));
        }
        last = seq;
    }
    let issued = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
    let issued: i64 = conn.query_row(issued, [], |row| row.get(0))?;
    if issued != last {
        found.push(format!("the last event is {last}, but {issued} were numbered"));
    }
    Ok(())
}

fn jobs(conn: &Connection, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut used = Profiles::new();
    let sql = format!("SELECT {} FROM jobs WHERE id = ?1", as_text(JOB_COLUMNS));
    let mut statement = conn.prepare("SELECT id FROM jobs ORDER BY id")?;
    let ids: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // A journal of an earlier version has no batches, and is checked as it is.
    let batches = conn.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'batch_jobs'")?.exists([])?;
    for job in ids {
        let fold = fold(conn, job, &mut used, found)?;
        found.extend(fold.problems.iter().map(|problem| format!("job {job}: {problem}")));
        let row = rows(conn, &sql, &[&job])?.pop().unwrap_or_default();
        for ((column, is), should) in JOB_COLUMNS.iter().zip(&row).zip(fold.job()) {
            if *is != should {
                let (is, should) = (word(is.as_ref()), word(should.as_ref()));
                found.push(format!("job {job}: {column} is {is}, its events say {should}"));
            }
        }
        compare(conn, job, "attempts", ATTEMPT_COLUMNS, fold.attempts(), found)?;
        compare(conn, job, "steps", STEP_COLUMNS, fold.steps(), found)?;
        if batches {
            compare(conn, job, "batch_jobs", BATCH_COLUMNS, fold.batch(), found)?;
        }
    }
    profiles(conn, &used, found)
}

const ATTEMPT_COLUMNS: &[&str] = &["number", "started_at", "ended_at"];
const STEP_COLUMNS: &[&str] = &["attempt", "seq", "step", "started_at", "ended_at", "result", "detail"];
const BATCH_COLUMNS: &[&str] = &["batch", "line", "blueprint"];
const PROFILE_COLUMNS: &[&str] = &["first_used", "identifier", "uuid", "name"];

fn fold(conn: &Connection, job: i64, used: &mut Profiles, found: &mut Vec<String>) -> rusqlite::Result<Fold> {
    let mut fold = Fold::default();
    let mut statement = conn.prepare("SELECT seq, at, kind, data FROM events WHERE job = ?1 ORDER BY seq")?;
    let mut rows = statement.query([job])?;
    while let Some(row) = rows.next()? {
        let (seq, at, name, data) = event(row)?;
        if at.parse::<Timestamp>().map(super::project::text_of).ok().as_ref() != Some(&at) {
            found.push(format!("job {job}: event {seq} has the time '{at}'"));
        }
        let Ok(kind) = serde_json::from_str::<EventKind>(&data) else {
            found.push(format!("job {job}: event {seq} ({name}) cannot be understood"));
            continue;
        };
        if kind.name() != name {
            found.push(format!("job {job}: event {seq} is called {name} and says {}", kind.name()));
        }
        if let EventKind::JobStarted(new) = &kind {
            let cells = [&at, &new.profile_identifier, &new.profile_uuid, &new.profile_name];
            let cells = cells.into_iter().cloned().map(Some).collect();
            used.entry(new.profile_sha256.clone()).or_insert(cells);
        }
        fold.take(seq, &at, &kind);
    }
    Ok(fold)
}

fn event(row: &Row<'_>) -> rusqlite::Result<(i64, String, String, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn compare(
    conn: &Connection,
    job: i64,
    table: &str,
    columns: &[&str],
    should: &[Cells],
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT {} FROM {table} WHERE job = ?1 ORDER BY 0 + {}", as_text(columns), columns[0]);
    let is = rows(conn, &sql, &[&job])?;
    let line = |row: &Cells| row.iter().map(|cell| word(cell.as_ref())).collect::<Vec<_>>().join(" ");
    for extra in is.iter().filter(|row| !should.contains(row)) {
        found.push(format!("job {job}: {table} has a row that its events do not: {}", line(extra)));
    }
    for missing in should.iter().filter(|row| !is.contains(row)) {
        found.push(format!("job {job}: {table} lacks a row of its events: {}", line(missing)));
    }
    Ok(())
}

fn profiles(conn: &Connection, used: &Profiles, found: &mut Vec<String>) -> rusqlite::Result<()> {
    let sql = format!("SELECT sha256, {} FROM profiles", as_text(PROFILE_COLUMNS));
    let mut is: Profiles =
        rows(conn, &sql, &[])?.into_iter().map(|mut row| (row.remove(0).unwrap_or_default(), row)).collect();
    for (sha, should) in used {
        match is.remove(sha) {
            Some(row) if row == *should => {}
            Some(_) => found.push(format!("profile {sha} differs from the first job that used it")),
            None => found.push(format!("profile {sha} is not listed, and a job used it")),
        }
    }
    found.extend(is.into_keys().map(|sha| format!("profile {sha} is listed, and no job used it")));
    Ok(())
}

fn rows(conn: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Vec<Cells>> {
    let mut statement = conn.prepare(sql)?;
    let width = statement.column_count();
    let cells = |row: &Row<'_>| (0..width).map(|column| row.get(column)).collect();
    statement.query_map(params, cells)?.collect()
}

fn as_text(columns: &[&str]) -> String {
    columns.iter().map(|column| format!("CAST({column} AS TEXT)")).collect::<Vec<_>>().join(", ")
}

fn word(cell: Option<&String>) -> String {
    cell.map_or_else(|| "nothing".to_owned(), |text| format!("'{text}'"))
}
