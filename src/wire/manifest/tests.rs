use super::*;

fn refused(text: impl AsRef<[u8]>) -> String {
    read(text.as_ref()).unwrap_err().to_string()
}

#[test]
fn what_spreadsheets_write_is_taken() {
    let plain = "serial,imei,name,tag,blueprint\nC02ABCDEF123,,Front desk,A-1,kiosk\n,356938035643809,,,\n";
    let rows = read(plain.as_bytes()).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].line, 2);
    assert_eq!(rows[0].serial.as_deref(), Some("C02ABCDEF123"));
    assert_eq!(rows[0].name.as_deref(), Some("Front desk"));
    assert_eq!(rows[1].imei.as_deref(), Some("356938035643809"));
    for same in [
        "\u{feff}Serial Number;IMEI;Device Name;Tag;Blueprint\r\nc02abcdef123;;Front desk;A-1;kiosk\r\n;35-693803 5643809;;;\r\n",
        "SERIAL_NUMBER\tImei\tNAME\ttag\tblueprint\nC02ABCDEF123\t\t\"Front desk\"\tA-1\tkiosk\n\t356938035643809\n",
        "serial, imei, name, tag, blueprint\nC02ABCDEF123, , Front desk, A-1, kiosk\n\n, 356938035643809\n,,,,\n",
    ] {
        let without_lines = |rows: Vec<ManifestRow>| -> Vec<_> {
            rows.into_iter().map(|row| ManifestRow { line: 0, ..row }).collect()
        };
        assert_eq!(without_lines(read(same.as_bytes()).unwrap()), without_lines(rows.clone()), "{same:?}");
    }
    let windows = read(b"serial\r\n\r\nC02ABCDEF123\r\nC02ABCDEF124\r\n").unwrap();
    assert_eq!([windows[0].line, windows[1].line], [3, 4]);
    let named = read(b"sep=;\nserial;name\nC02ABCDEF123;x, y\n").unwrap();
    assert_eq!((named[0].line, named[0].name.as_deref()), (3, Some("x, y")));
}

#[test]
fn lines_that_end_with_cr_alone_are_lines() {
    let lines = |text: &str| read(text.as_bytes()).unwrap().iter().map(|row| row.line).collect::<Vec<_>>();
    assert_eq!(lines("serial,name\rC02ABCDEF123,a\rC02ABCDEF124,b\rC02ABCDEF125,c\r"), [2, 3, 4]);
    assert_eq!(lines("serial\r\rC02ABCDEF123\rC02ABCDEF124"), [3, 4]);
    assert_eq!(lines("serial,name\rC02ABCDEF123,\"a\"\r\nC02ABCDEF124,b\nC02ABCDEF125,c"), [2, 3, 4]);
    for sep in ["sep=;\r", "sep=;\n", "sep=;\r\n"] {
        assert_eq!(lines(&format!("{sep}serial;name\rC02ABCDEF123;a\rC02ABCDEF124;b")), [3, 4], "{sep:?}");
    }
    assert_eq!(
        refused("serial\rC02ABCDEF123\rc02abcdef123\r"),
        "line 3: it repeats the serial number C02ABCDEF123 of line 2"
    );
}

#[test]
fn wrong_columns_are_named() {
    assert!(refused("seral,name\nC02ABCDEF123,x\n").starts_with("line 1: there is no column 'seral'"));
    assert!(refused("C02ABCDEF123\nC02ABCDEF124\n").contains("the first line names the columns"));
    assert_eq!(refused("name,tag\nx,y\n"), "line 1: there is neither a column serial nor a column imei");
    assert!(refused("serial,Serial Number\na,b\n").contains("twice"));
    assert_eq!(refused("serial,name\nC02ABCDEF123,a,b\n"), "line 2: it has 3 fields, the first line 2");
}

#[test]
fn duplicates_and_wrong_values_are_told_with_their_lines() {
    let text = "serial,imei\nC02ABCDEF123,\nC02ABCDEF124,\nc02abcdef123,\n,12345\n,356938035643808\n,3.5694E+14\n,\nC0,\n";
    let said = refused(text.replace(",\nC0,", ",x\nC0,"));
    for part in [
        "line 4: it repeats the serial number C02ABCDEF123 of line 2",
        "line 5: '12345' is no IMEI",
        "line 6: the check digit",
        "line 7: the spreadsheet rounded the IMEI",
        "line 8: 'x' is no IMEI",
        "line 9: 'C0' is no serial number",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let same = "imei\n356938035643809\n35693803564380\n";
    assert_eq!(refused(same), "line 3: it repeats the IMEI 35693803564380 of line 2");
    assert!(refused("serial,name\n,x\n").contains("line 2: it has neither"));
}

#[test]
fn other_files_are_refused_in_words() {
    assert_eq!(read(b"").unwrap_err(), ManifestError::Empty);
    assert_eq!(read(b"serial\n\n").unwrap_err(), ManifestError::Empty);
    assert_eq!(read(b"\xFF\xFEs\0").unwrap_err(), ManifestError::Utf16);
    assert_eq!(refused(b"serial,name\nC02ABCDEF123,\xFF\n"), "line 2: it is not text in UTF-8");
    assert!(refused("\0\0\0PK binary\n").contains("there is no column"));
    assert!(refused(format!("serial,name\nC02ABCDEF123,{}\n", "x".repeat(64))).contains("64 characters"));
}

#[test]
fn a_hundred_thousand_lines_are_read_and_no_more() {
    let lines = |count: usize| (0..count).map(|n| format!("S{n:09}\n")).collect::<String>();
    let rows = read(format!("serial\n{}", lines(MANIFEST_ROWS)).as_bytes()).unwrap();
    assert_eq!((rows.len(), rows[MANIFEST_ROWS - 1].line), (MANIFEST_ROWS, 100_001));
    let too_many = read(format!("serial\n{}", lines(MANIFEST_ROWS + 1)).as_bytes());
    assert_eq!(too_many, Err(ManifestError::TooMany));
    let wrong = refused(format!("serial\n{}", "?\n".repeat(100_000)));
    assert!(wrong.len() < 1500 && wrong.ends_with("and 99990 more lines are wrong"), "{wrong}");
}

mod any_bytes {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn end_in_rows_or_words(bytes: Vec<u8>) {
            let _ = super::read(&bytes);
        }
    }
}
