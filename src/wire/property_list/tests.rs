//! Every row of profiles-and-enrollment.md 1.2, fixture F18, and random input.

use super::*;
use proptest::prelude::*;

fn read(bytes: impl AsRef<[u8]>) -> Result<Value, PlistError> {
    parse(bytes.as_ref(), Budget::DEVICE)
}

fn wrap(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">{body}</plist>\n"
    )
}

fn to_binary(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.to_writer_binary(&mut out).unwrap();
    out
}

/// A binary list whose object `n` is an array of `width` references to object `n + 1`;
/// the last object is the boolean true.
fn shared_arrays(levels: u8, width: u8) -> Vec<u8> {
    let mut out = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for level in 0..levels {
        offsets.push(out.len() as u8);
        out.push(0xa0 | width);
        out.extend(std::iter::repeat_n(level + 1, usize::from(width)));
    }
    offsets.push(out.len() as u8);
    out.push(0x09);
    finish_binary(out, &offsets, 0)
}

fn finish_binary(mut out: Vec<u8>, offsets: &[u8], root: u64) -> Vec<u8> {
    let table = out.len() as u64;
    out.extend(offsets);
    out.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    for field in [offsets.len() as u64, root, table] {
        out.extend(field.to_be_bytes());
    }
    out
}

#[test]
fn plain_lists_of_both_forms_are_read() {
    let value = read(wrap("<dict><key>a</key><string>b &amp; &#x63;</string></dict>")).unwrap();
    assert_eq!(value.as_dictionary().unwrap().get("a").unwrap().as_string(), Some("b & c"));
    assert_eq!(read(to_binary(&value)).unwrap(), value);
}

#[test]
fn byte_order_mark_blanks_and_a_missing_wrapper_are_accepted() {
    assert!(read(format!("\u{feff}{}", wrap("<dict/>"))).is_ok());
    assert!(read(format!("\n  {}", wrap("<dict/>"))).is_ok());
    assert!(read("<?xml version=\"1.0\"?><dict><key>a</key><true/></dict>").is_ok());
    assert!(read("<!-- a comment, <dict> --><plist><array/></plist><!-- end -->").is_ok());
}

#[test]
fn a_root_that_is_no_dictionary_is_a_value_all_the_same() {
    assert!(read(wrap("<array/>")).unwrap().as_array().is_some());
    assert_eq!(read(wrap("<string>x</string>")).unwrap().as_string(), Some("x"));
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    let value = read(wrap("<dict><key>a</key><true/><key>a</key><false/></dict>")).unwrap();
    assert_eq!(value.as_dictionary().unwrap().get("a").unwrap().as_boolean(), Some(false));
}

#[test]
fn what_the_crate_would_lose_silently_is_refused() {
    let at = |text: &str, what: &str| text.find(what).unwrap();
    let dtd = "<!DOCTYPE plist [<!ENTITY a \"b\">]><plist><string>&a;</string></plist>";
    assert_eq!(read(dtd), Err(PlistError::EntityDefinition { offset: at(dtd, "[") }));
    let foo = wrap("<string>&foo;</string>");
    assert_eq!(read(&foo), Err(PlistError::UnknownEntity { offset: at(&foo, "&foo") }));
    let bare = wrap("<string>a & b with a long text after it</string>");
    assert_eq!(read(&bare), Err(PlistError::UnknownEntity { offset: at(&bare, "& b") }));
    let cdata = wrap("<string><![CDATA[x]]></string>");
    assert_eq!(read(&cdata), Err(PlistError::Cdata { offset: at(&cdata, "<![CDATA") }));
    let attribute = wrap("<string a=\"&foo;\">x</string>");
    assert!(matches!(read(attribute), Err(PlistError::UnknownEntity { .. })));
}

#[test]
fn an_external_entity_opens_no_file() {
    let xml =
        "<!DOCTYPE plist [<!ENTITY x SYSTEM \"file:///no/such/file\">]><plist><string>&x;</string></plist>";
    assert!(matches!(read(xml), Err(PlistError::EntityDefinition { .. })));
}

#[test]
fn nested_entities_are_refused() {
    let mut dtd = String::from("<!ENTITY e0 \"ha\">");
    for n in 1..=9 {
        let tens = format!("&e{};", n - 1).repeat(10);
        dtd.push_str(&format!("<!ENTITY e{n} \"{tens}\">"));
    }
    let xml = format!("<?xml version=\"1.0\"?><!DOCTYPE plist [{dtd}]><plist><string>&e9;</string></plist>");
    assert!(matches!(read(xml), Err(PlistError::EntityDefinition { .. })));
}

#[test]
fn trailing_bytes_are_refused() {
    let xml = wrap("<dict/>");
    let offset = xml.len();
    assert_eq!(read(format!("{xml}junk")), Err(PlistError::TrailingData { offset }));
    assert_eq!(read(format!("{xml}<dict/>")), Err(PlistError::TrailingData { offset }));
    assert!(matches!(read("<dict/><dict/>"), Err(PlistError::TrailingData { offset: 7 })));
    let mut binary = to_binary(&Value::Boolean(true));
    binary.push(0);
    assert!(matches!(read(binary), Err(PlistError::Damaged { .. })));
}

#[test]
fn truncation_is_told_apart_at_every_cut() {
    let xml = wrap("<dict><key>ä</key><!-- c --><string>b &amp; c</string></dict>");
    let end = xml.trim_end().len();
    for cut in 1..end {
        let offset = cut;
        assert_eq!(read(&xml.as_bytes()[..cut]), Err(PlistError::Truncated { offset }), "cut at {cut}");
    }
    let binary = to_binary(&read(&xml).unwrap());
    for cut in 6..binary.len() {
        let error = read(&binary[..cut]).unwrap_err();
        assert!(matches!(error, PlistError::Truncated { .. } | PlistError::Damaged { .. }), "{cut}: {error}");
    }
}

#[test]
fn depth_is_bounded_in_both_forms() {
    let nested = |n: usize| wrap(&format!("{}{}", "<array>".repeat(n), "</array>".repeat(n)));
    assert!(read(nested(64)).is_ok());
    assert!(matches!(read(nested(65)), Err(PlistError::TooDeep { limit: 64, .. })));
    assert!(matches!(read(nested(200_000)), Err(PlistError::TooDeep { .. })));
    assert!(matches!(read("<x:array>".repeat(200_000)), Err(PlistError::TooDeep { .. })));
    assert!(read(shared_arrays(63, 1)).is_ok());
    assert!(matches!(read(shared_arrays(65, 1)), Err(PlistError::TooDeep { limit: 64, .. })));
}

#[test]
fn shared_references_are_counted_each_time() {
    let bomb = shared_arrays(7, 10);
    assert!(bomb.len() < 150, "a small bomb: {} bytes", bomb.len());
    assert_eq!(read(bomb), Err(PlistError::TooManyObjects { limit: 200_000 }));
    assert_eq!(read(shared_arrays(12, 10)), Err(PlistError::TooManyObjects { limit: 200_000 }));
    assert!(read(shared_arrays(4, 10)).is_ok());
}

#[test]
fn shared_data_is_counted_each_time() {
    let mut out = b"bplist00".to_vec();
    out.extend([0xaf, 0x10, 100]);
    out.extend([1; 100]);
    let data_at = out.len() as u8;
    out.extend([0x4f, 0x10, 60]);
    out.extend([0; 60]);
    let list = finish_binary(out, &[8, data_at], 0);
    assert!(parse(&list, Budget { bytes: 6000, depth: 4, objects: 200 }).is_ok());
    let small = Budget { bytes: 5999, depth: 4, objects: 200 };
    assert_eq!(parse(&list, small), Err(PlistError::TooMuchData { limit: 5999 }));
}

#[test]
fn a_list_that_contains_itself_is_refused() {
    let list = finish_binary(b"bplist00\xa1\x00".to_vec(), &[8], 0);
    assert_eq!(read(list), Err(PlistError::Recursive { offset: 8 }));
    let pair = finish_binary(b"bplist00\xa1\x01\xa1\x00".to_vec(), &[8, 10], 0);
    assert_eq!(read(pair), Err(PlistError::Recursive { offset: 8 }));
}

#[test]
fn wrong_offsets_and_lengths_are_refused() {
    let damaged = |out: &[u8], offsets: &[u8], root| {
        let error = read(finish_binary(out.to_vec(), offsets, root)).unwrap_err();
        assert!(matches!(error, PlistError::Damaged { .. }), "{error}");
    };
    damaged(b"bplist00\x09", &[200], 0); // object outside the file
    damaged(b"bplist00\x09", &[8], 1); // root outside the table
    damaged(b"bplist00\xa1\x07", &[8], 0); // reference outside the table
    damaged(b"bplist00\x5f\x13\xff\xff\xff\xff\xff\xff\xff\xff", &[8], 0); // huge text
    damaged(b"bplist00\xdf\x13\x7f\xff\xff\xff\xff\xff\xff\xff", &[8], 0); // huge dictionary
    damaged(b"bplist00\xd1\x01\x01\x09", &[8, 11], 0); // key that is no text
    damaged(b"bplist00\x70", &[8], 0); // unknown type
    damaged(b"bplist15\x09", &[8], 0); // unknown version
    damaged(b"bplist00\x13\x00", &[8], 0); // integer into the table
}

#[test]
fn size_is_refused_before_anything_else() {
    let budget = Budget { bytes: 10, depth: 1, objects: 1 };
    assert_eq!(parse(&[b'x'; 11], budget), Err(PlistError::TooLong { bytes: 11, limit: 10 }));
}

#[test]
fn other_inputs_are_named() {
    assert_eq!(read(""), Err(PlistError::Empty));
    assert_eq!(read("{\"a\": 1}"), Err(PlistError::NotPlist));
    assert_eq!(read("( a, b )"), Err(PlistError::NotPlist));
    assert!(matches!(read("<plist>\u{fe}</plist>".as_bytes()), Err(PlistError::Malformed { .. })));
    assert_eq!(read(b"<plist>\xff</plist>"), Err(PlistError::Encoding { offset: 7 }));
    let latin = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><string>Ã¤</string>";
    assert!(matches!(read(latin), Err(PlistError::Encoding { .. })));
    for odd in ["<?>", "<!-->x--><dict/>", "<dict", "<dict/", "<a<b>", "</dict>", "<!ELEMENT a>", "<!DOCTYPE"]
    {
        assert!(read(odd).is_err(), "{odd}");
    }
}

#[test]
fn integers_of_every_size_survive() {
    for text in
        ["-1", "-9223372036854775808", "9223372036854775807", "18446744073709551615", "0", "4294967296"]
    {
        let value = read(wrap(&format!("<integer>{text}</integer>"))).unwrap();
        let Value::Integer(number) = value else { panic!("{value:?}") };
        assert_eq!(number.to_string(), text);
        assert_eq!(read(to_binary(&value)).unwrap(), value);
        assert_eq!(read(to_xml(&value)).unwrap(), value);
    }
}

#[test]
fn an_answer_with_control_characters_is_read() {
    let xml = wrap("<dict><key>DeviceName</key><string>a\u{1}b\tc</string></dict>");
    assert!(parse_answer(xml.as_bytes(), Budget::DEVICE).is_ok());
    // A control character inside markup is what makes the first try fail.
    let broken = xml.replace("<string>", "<\u{1}string>");
    assert!(read(&broken).is_err());
    let value = parse_answer(broken.as_bytes(), Budget::DEVICE).unwrap();
    assert_eq!(value.as_dictionary().unwrap().get("DeviceName").unwrap().as_string(), Some("ab\tc"));
    let binary = to_binary(&value);
    assert_eq!(parse_answer(&binary, Budget::DEVICE).unwrap(), value);
    assert_eq!(parse_answer(b"junk\x01", Budget::DEVICE), Err(PlistError::NotPlist));
}

#[test]
fn long_runs_of_odd_markup_take_linear_time() {
    // Not timed: quadratic time would take hours here.
    for piece in ["&", "<!--", "<a ", "<!DOCTYPE ", "\"", "&amp", "<?x ", "<b>"] {
        let text = format!("<plist>{}", piece.repeat(500_000 / piece.len()));
        assert!(read(text).is_err(), "{piece}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(|n| Value::Integer(n.into())),
        any::<u64>().prop_map(|n| Value::Integer(n.into())),
        "[ -~äé東👩]{0,20}".prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Data),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map("[a-zA-Z<&> ]{1,8}", inner, 0..6)
                .prop_map(|map| Value::Dictionary(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn values_round_trip(value in any_value()) {
        prop_assert_eq!(&read(to_xml(&value)).unwrap(), &value);
        prop_assert_eq!(&read(to_binary(&value)).unwrap(), &value);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_answer(&bytes, Budget::DEVICE);
        let _ = read([b"bplist00".as_slice(), &bytes].concat());
        let _ = read([b"<plist>".as_slice(), &bytes].concat());
    }

    #[test]
    fn arbitrary_markup_never_panics(text in "(<|>|/|!|\\?|--|\\[|\\]|&|;|#|\"|'|plist|array|dict|key|data|x|=| ){0,60}") {
        let _ = read(format!("<{text}"));
    }

    #[test]
    fn a_flipped_byte_never_panics(value in any_value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for mut bytes in [to_binary(&value), to_xml(&value)] {
            let index = at.index(bytes.len());
            bytes[index] = byte;
            let _ = read(&bytes);
        }
    }
}

/// Found by fuzzing: the crate panicked when such a date was written or shown.
#[test]
fn a_date_that_no_calendar_has_is_refused() {
    let file = |name: &str| {
        std::fs::read(format!("{}/fixtures/profiles/broken/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    for name in ["binary-date-year-36000", "binary-date-year-minus-1168", "binary-date-no-number"] {
        let read = parse(&file(name), Budget::PROFILE);
        assert!(matches!(read, Err(PlistError::Damaged { .. })), "{name}: {read:?}");
    }
    for name in ["xml-date-year-10000", "xml-date-year-minus-1", "xml-date-hidden-offset"] {
        let read = parse(&file(name), Budget::PROFILE);
        assert!(matches!(read, Err(PlistError::Malformed { .. })), "{name}: {read:?}");
    }
    for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        let xml = format!("<plist><date>{text}</date></plist>");
        let read = parse(xml.as_bytes(), Budget::PROFILE);
        assert!(read.is_ok_and(|value| !to_xml(&value).is_empty()), "{text}");
    }
}
