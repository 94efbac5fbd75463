use super::*;
use crate::ids::{BatchId, Bay, JobId};
use crate::journal::{BatchRow, EntryRow, Expected, JobRow};
use crate::wire::mcinstall_error::{ChainLink, ErrorChain};
use crate::workflow::outcome::{Class, Outcome};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

fn batch() -> BatchRow {
    BatchRow {
        id: BatchId(3),
        name: "Room <4>".into(),
        manifest: "ab".repeat(32),
        unexpected: "refuse".into(),
        stop_after: 5,
        opened_at: at(0),
        closed_at: Some(at(900)),
        seal: None,
        stop: None,
    }
}

fn row(n: u32) -> EntryRow {
    let good = !n.is_multiple_of(5);
    let outcome = if good { Outcome::Enrolled } else { Outcome::Failed };
    let chain = [ChainLink::new("MCSCEPErrorDomain", 22005)];
    let job = JobRow {
        id: JobId(n.into()),
        udid: format!("{n:08}-0000000000000000").parse().unwrap(),
        ecid: None,
        serial: None,
        name: Some("=cmd|' /C calc'!A1".into()),
        product_type: Some("iPad13,18".into()),
        os_version: Some("18.2".into()),
        imei: None,
        bay: Bay("Bay 1".into()),
        simulated: true,
        profile_sha256: "cd".repeat(32),
        profile_identifier: "com.example".into(),
        profile_uuid: "U".into(),
        profile_name: "P".into(),
        profile_file: None,
        stale_allowed: None,
        created_at: at(i64::from(n)),
        ended_at: Some(at(i64::from(n) * 20)),
        duration_ms: Some(1000),
        outcome: Some(outcome),
        class: Some(if good { Class::None } else { Class::Server }),
        sentence: Some("It said \"so\",\nand <b>".into()),
        next: None,
        chain: if good { ErrorChain::default() } else { ErrorChain::new(chain) },
        attempts: 1,
        pushes: 1,
        state: outcome,
    };
    EntryRow {
        expected: Some(Expected {
            line: n + 1,
            serial: Some(format!("SERIAL{n:05}")),
            ..Expected::default()
        }),
        unidentified: false,
        waiting: false,
        jobs: u32::from(n != 7),
        job: (n != 7).then_some(job),
        ended: n != 8,
        blueprint: None,
    }
}

fn report() -> Vec<Entry> {
    entries(&batch(), &(1..=20).map(row).collect::<Vec<_>>(), at(900))
}

#[test]
fn who_told_nobody_who_it_is_is_counted_apart() {
    let unknown = EntryRow { expected: None, unidentified: true, ..row(5) };
    let stranger = EntryRow { expected: None, ..row(10) };
    let entries = entries(&batch(), &[row(1), unknown, stranger], at(900));
    let lines: Vec<_> = entries.iter().map(|entry| entry.get("line")).collect();
    assert_eq!(lines, ["", "2", "unknown", "", ""]);
    assert!(entries[0].get("next").contains("1 told neither serial number nor IMEI"));
    let page = render(&entries, ReportFormat::Html);
    for said in ["1 of 1 devices enrolled", "1 came that the manifest", "1 came that told nobody"] {
        assert!(page.contains(said), "{said}");
    }
}

const FORMATS: [ReportFormat; 3] = [ReportFormat::Csv, ReportFormat::Json, ReportFormat::Html];

#[test]
fn what_was_written_verifies() {
    for format in FORMATS {
        let text = render(&report(), format);
        let found = verify(text.as_bytes()).unwrap();
        assert_eq!((found.format, found.findings, found.entries), (format, vec![], report()), "{text}");
    }
    assert_eq!(report().len(), 22);
    assert_eq!(seal(&batch(), &(1..=20).map(row).collect::<Vec<_>>()), report().last().unwrap().hash());
}

#[test]
fn names_from_strangers_are_harmless_everywhere() {
    for format in FORMATS {
        let text = render(&report(), format);
        assert!(!text.contains("\"=cmd") && !text.contains(",=cmd"), "{}", format.name());
    }
    let page = render(&report(), ReportFormat::Html);
    assert!(
        !page.contains("and <b>")
            && !page.contains("Room <4>")
            && !page.contains("<script>")
            && page.contains("SIMULATED")
    );
    assert!(!page.contains("http://") && !page.contains("https://") && page.contains("<svg"));
}

fn with(format: ReportFormat, change: impl FnOnce(&mut Vec<Entry>)) -> Vec<&'static str> {
    let mut entries = report();
    change(&mut entries);
    let found = verify(render(&entries, format).as_bytes()).unwrap();
    let mut what: Vec<_> = found.findings.iter().map(|f| f.what).collect();
    what.dedup();
    what
}

#[test]
fn a_change_an_omission_and_another_order_show() {
    for format in FORMATS {
        assert_eq!(with(format, |e| drop(e.remove(4))), ["missing"]);
        assert_eq!(with(format, |e| drop(e.drain(0..1))), ["missing"]);
        assert_eq!(with(format, |e| e.truncate(9)), ["cut"]);
        assert_eq!(with(format, |e| e.swap(4, 5)), ["missing", "reordered", "missing"]);
        assert_eq!(with(format, |e| e.push(e[3].clone())), ["reordered", "added"]);
        let other = |e: &mut Vec<Entry>| {
            let mut texts: Vec<String> = e[4].texts().map(str::to_owned).collect();
            texts[8] = "done".to_owned() + &texts[8];
            e[4] = Entry::from_file(texts, e[4].prev().into(), e[4].hash().into()).unwrap();
        };
        assert_eq!(with(format, other), ["changed"]);
        // One who makes the hash fit breaks the link to the next entry.
        let fitting = |e: &mut Vec<Entry>| {
            let mut texts: Vec<String> = e[4].texts().map(str::to_owned).collect();
            texts[8] = "done".to_owned() + &texts[8];
            let draft = Entry::from_file(texts.clone(), e[4].prev().into(), String::new()).unwrap();
            e[4] = Entry::from_file(texts, e[4].prev().into(), draft.should_be()).unwrap();
        };
        assert_eq!(with(format, fitting), ["changed"]);
    }
}

#[test]
fn every_character_of_a_page_counts() {
    let page = render(&report(), ReportFormat::Html);
    // What is shown, and not only what is chained.
    let shown = page.replacen("SERIAL00003", "SERIAL00009", 1);
    assert_ne!(shown, page);
    let what: Vec<_> = verify(shown.as_bytes()).unwrap().findings.iter().map(|f| f.what).collect();
    assert_eq!(what, ["derived"]);
    let json = render(&report(), ReportFormat::Json).replace("\"failed\": 4", "\"failed\": 3");
    let what: Vec<_> = verify(json.as_bytes()).unwrap().findings.iter().map(|f| f.what).collect();
    assert_eq!(what, ["derived"]);
}

#[test]
fn any_changed_byte_of_a_table_shows() {
    let text = render(&report(), ReportFormat::Csv);
    let bytes = text.as_bytes();
    for place in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.to_vec();
        changed[place] ^= 1;
        // The same cells written otherwise are the same report.
        if let Ok(found) = verify(&changed) {
            let around = &changed[place.saturating_sub(20)..(place + 20).min(changed.len())];
            let shown = String::from_utf8_lossy(around);
            assert!(!found.findings.is_empty() || found.entries == report(), "byte {place}: {shown}");
        }
    }
}

#[test]
fn other_files_are_no_reports() {
    for other in [&b""[..], b"hello", b"{}", b"<html></html>", b"\xff", b"number,kind\n0,batch\n"] {
        assert!(verify(other).is_err(), "{other:?}");
    }
}

#[test]
fn json_is_written_in_pieces_as_it_would_be_whole() {
    let whole = serde_json::to_string_pretty(&json_value(&report()).unwrap()).unwrap();
    assert_eq!(render(&report(), ReportFormat::Json), format!("{whole}\n"));
    let page = render(&report(), ReportFormat::Html);
    let data = whole.replace('<', "\\u003c");
    assert!(
        data.contains("and \\u003cb>") && page.contains(&format!("{}\n{data}\n</script>", html::DATA_BEGIN))
    );
}
