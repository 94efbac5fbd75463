//! The letter of 3.7.

use super::*;
use CsvKind::{ConfiguratorSerials, CorporateIdentifiers};
use IdentifierType::{Imei, Serial};
use ImeiDigits::{Fifteen, Fourteen};
use proptest::prelude::*;

fn row(identifier: &str, details: &str) -> CsvRow {
    CsvRow { identifier: identifier.into(), details: details.into() }
}

fn one(kind: CsvKind, of: IdentifierType, identifier: &str, details: &str) -> Result<String, CsvRowError> {
    let out = write(kind, of, &[row(identifier, details)]);
    match out.refused.first() {
        Some((0, error)) => Err(error.clone()),
        _ => Ok(out.files.concat()),
    }
}

#[test]
fn the_examples_of_3_7_are_written_so() {
    let line = one(ConfiguratorSerials, Serial, "F7TLWCLBX196", "bench 3 slot 2");
    assert_eq!(line.as_deref(), Ok("F7TLWCLBX196,bench 3 slot 2\n"));
    let line = one(CorporateIdentifiers, Imei(Fourteen), "01234567890123", "bench 3 slot 2");
    assert_eq!(line.as_deref(), Ok("01234567890123,bench 3 slot 2\n"));
}

#[test]
fn identifiers_are_cleaned_to_the_letter() {
    for (of, given, written) in [
        (Serial, " f7tl.wclb.x196 ", Ok("F7TLWCLBX196,\n")),
        (Serial, "F7,TLWCLBX196", Err(CsvRowError::Serial("F7,TLWCLBX196".into()))),
        (Serial, "", Err(CsvRowError::Serial(String::new()))),
        (Serial, "SHORT", Err(CsvRowError::Serial("SHORT".into()))),
        (Serial, "350000000000006", Err(CsvRowError::SerialOfDigits("350000000000006".into()))),
        (Imei(Fifteen), "35 000000 000000 6", Ok("350000000000006,\n")),
        (Imei(Fourteen), "35-000000-000000-6", Ok("35000000000000,\n")),
        (Imei(Fifteen), "35000000000000", Err(CsvRowError::ImeiShort("35000000000000".into()))),
        (Imei(Fifteen), "3500000000000061", Err(CsvRowError::Imei("3500000000000061".into()))),
        (Imei(Fifteen), "F7TLWCLBX196", Err(CsvRowError::Imei("F7TLWCLBX196".into()))),
    ] {
        assert_eq!(one(CorporateIdentifiers, of, given, ""), written.map(str::to_owned), "{given}");
    }
}

#[test]
fn details_need_no_quotes_and_have_an_end() {
    let written = |details: &str| one(CorporateIdentifiers, Serial, "F7TLWCLBX196", details);
    assert_eq!(written("a,b \"c\"\r\nd").as_deref(), Ok("F7TLWCLBX196,a;b 'c'  d\n"));
    assert!(written(&"ü".repeat(128)).is_ok());
    assert_eq!(written(&"ü".repeat(129)), Err(CsvRowError::Details(129)));
    assert!(one(ConfiguratorSerials, Serial, "F7TLWCLBX196", &"x".repeat(500)).is_ok(), "free text");
}

fn many(count: usize, details: &str) -> Vec<CsvRow> {
    (0..count).map(|n| row(&format!("SERIAL{n:06}"), details)).collect()
}

#[test]
fn row_5001_begins_another_file() {
    assert_eq!(write(ConfiguratorSerials, Serial, &many(5000, "")).rows, [5000]);
    let two = write(CorporateIdentifiers, Serial, &many(5001, "x"));
    assert_eq!(two.rows, [5000, 1]);
    assert_eq!(two.files[1], "SERIAL005000,x\n");
    assert!(two.files.iter().all(|file| check(CorporateIdentifiers, file.as_bytes()).is_empty()));
}

/// 128 characters of four bytes each come to 2.6 MB in 5,000 rows, so rows end a file first;
/// free text can be longer.
#[test]
fn five_megabytes_begin_another_file() {
    let long = "x".repeat(2000);
    let out = write(ConfiguratorSerials, Serial, &many(5000, &long));
    assert!(out.files.len() > 1 && out.files.iter().all(|file| file.len() <= MOST_BYTES));
    assert_eq!(out.rows.iter().sum::<usize>(), 5000);
}

#[test]
fn a_device_that_came_twice_is_listed_once() {
    let out = write(CorporateIdentifiers, Serial, &[row("F7TLWCLBX196", "a"), row("f7tl.wclbx196", "b")]);
    assert_eq!((out.files.concat().as_str(), out.repeated), ("F7TLWCLBX196,a\n", 1));
    assert_eq!(write(CorporateIdentifiers, Serial, &[]).files, Vec::<String>::new());
}

/// Line, severity, a word of the message.
fn found(kind: CsvKind, text: impl AsRef<[u8]>) -> Vec<(usize, &'static str, String)> {
    let all = check(kind, text.as_ref());
    all.into_iter().map(|f| (f.line.unwrap_or(0), f.severity.name(), f.message)).collect()
}

#[test]
fn faults_are_found_in_their_lines() {
    let good = "F7TLWCLBX196,a\n";
    for (text, line, severity, word) in [
        ("".to_owned(), 1, "error", "empty"),
        ("Serial Number,Details\n".to_owned() + good, 1, "error", "header"),
        (format!("{good}\n"), 2, "error", "empty"),
        (format!("{good}F7TLWCLBX197\n"), 2, "error", "one column"),
        (format!("{good}F7TLWCLBX197;x\n"), 2, "error", "comma"),
        (format!("{good}F7TLWCLBX197,x,y\n"), 2, "error", "3 columns"),
        (format!("{good}F7TL.WCLB.X197,x\n"), 2, "error", "periods"),
        (format!("{good} F7TLWCLBX197,x\n"), 2, "error", "blanks"),
        (format!("{good}F7TLWCLBX197,{}\n", "x".repeat(129)), 2, "error", "129 characters"),
        (format!("{good}350000000000006,x\n"), 2, "error", "mixes"),
        (format!("{good}no serial,x\n"), 2, "error", "neither"),
        (format!("{good}f7tlwclbx197,x\n"), 2, "warning", "small letters"),
        (format!("{good}F7TLWCLBX196,b\n"), 2, "warning", "line 1"),
        (format!("{good}F7TLWCLBX197,\"x\"\n"), 2, "warning", "quotes"),
        (format!("\u{feff}{good}"), 1, "error", "byte order mark"),
        ("F7TLWCLBX196,a\rF7TLWCLBX197,b".to_owned(), 0, "error", "CR alone"),
    ] {
        let found = found(CorporateIdentifiers, &text);
        let hit = found.iter().any(|(l, s, message)| (*l, *s) == (line, severity) && message.contains(word));
        assert!(hit, "{text:?}: {found:?}");
    }
    assert_eq!(found(CorporateIdentifiers, "F7TLWCLBX196,a\r\nF7TLWCLBX197,\r\n"), []);
    assert_eq!(found(CorporateIdentifiers, good.trim_end()), [], "no line end after the last line");
    assert_eq!(found(CorporateIdentifiers, "350000000000006,a\n"), []);
    assert_eq!(found(ConfiguratorSerials, "350000000000006,a\n").len(), 1, "serial numbers only");
    assert_eq!(found(ConfiguratorSerials, format!("F7TLWCLBX196,{}\n", "x".repeat(500))), []);
    assert_eq!(found(CorporateIdentifiers, b"F7TLWCLBX196,a\nF7TLWCLBX197,\xe4\n")[0].0, 2, "not UTF-8");
}

#[test]
fn sizes_are_checked() {
    let rows = |count| many(count, "x").iter().map(|r| format!("{},x\n", r.identifier)).collect::<String>();
    assert_eq!(found(CorporateIdentifiers, rows(5000)), []);
    let long = found(CorporateIdentifiers, rows(5001));
    assert_eq!((long.len(), long[0].0), (1, 5001), "{long:?}");
    let big = format!("F7TLWCLBX196,{}\n", "x".repeat(MOST_BYTES));
    assert!(found(CorporateIdentifiers, &big).iter().any(|(line, _, m)| *line == 0 && m.contains("5 MB")));
    assert!(found(ConfiguratorSerials, &big).is_empty(), "no such limit there");
    assert_eq!(found(CorporateIdentifiers, "x\n".repeat(100_000)).len(), 1000, "bounded");
}

proptest! {
    #[test]
    fn what_is_written_is_found_right(identifiers in proptest::collection::vec(".{0,20}|[A-Z0-9.]{8,14}", 0..30), details in ".{0,140}") {
        let rows: Vec<_> = identifiers.iter().map(|id| row(id, &details)).collect();
        for kind in [ConfiguratorSerials, CorporateIdentifiers] {
            let out = write(kind, Serial, &rows);
            prop_assert_eq!(out.rows.iter().sum::<usize>() + out.repeated + out.refused.len(), rows.len());
            for file in out.files {
                prop_assert_eq!(check(kind, file.as_bytes()), vec![]);
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(CorporateIdentifiers, &bytes);
    }
}
