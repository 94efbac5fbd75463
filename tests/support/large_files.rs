//! Files as large as anybody may give, for the tests and for the figures.

fn repeated(start: &str, middle: &str, end: &str, bytes: usize) -> Vec<u8> {
    let count = (bytes - start.len() - end.len()) / middle.len();
    [start, &middle.repeat(count), end].concat().into_bytes()
}

/// A binary list whose root is `root`, with `filler` bytes behind.
fn binary(root: &[u8], filler: usize) -> Vec<u8> {
    let mut out = [b"bplist00", root, &vec![0; filler]].concat();
    let table = out.len() as u64;
    out.extend([8, 0, 0, 0, 0, 0, 0, 1, 4]);
    [1, 0, table].into_iter().for_each(|field: u64| out.extend(field.to_be_bytes()));
    out
}

/// Ten levels of ten references each, and one text of nearly the whole file at the bottom.
fn shared(bytes: usize) -> Vec<u8> {
    let mut objects: Vec<Vec<u8>> = (1..=9u8).map(|level| [vec![0xaa], vec![level; 10]].concat()).collect();
    let text = bytes - 300;
    objects.push([&[0x5f, 0x12][..], &(text as u32).to_be_bytes(), &vec![b'a'; text]].concat());
    let mut out = b"bplist00".to_vec();
    let offsets: Vec<_> = objects
        .iter()
        .map(|object| {
            let at = out.len() as u32;
            out.extend_from_slice(object);
            at
        })
        .collect();
    let table = out.len() as u64;
    offsets.iter().for_each(|at| out.extend(at.to_be_bytes()));
    out.extend([0, 0, 0, 0, 0, 0, 4, 1]);
    [10, 0, table].into_iter().for_each(|field: u64| out.extend(field.to_be_bytes()));
    out
}

/// Files of a little less than `bytes`, each the worst of its kind.
pub fn files(bytes: usize, signed: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let room = bytes - 4096;
    let sparse = |start: &[u8]| [start, &vec![0; room]].concat();
    let array = [&[0xaf, 0x12][..], &((room / 4) as u32).to_be_bytes()].concat();
    let oid: &[u8] = b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
    let laughs = "<!DOCTYPE plist [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">";
    vec![
        ("text", vec![b'x'; room]),
        ("words", repeated("", "words ", "", room)),
        ("zeros", vec![0; room]),
        ("nested arrays", repeated("<plist>", "<array>", "", room)),
        ("nested elements", repeated("<plist>", "<a>", "", room)),
        ("flat elements", repeated("<plist><array>", "<true/>", "</array></plist>", room)),
        ("entities", repeated(laughs, "<!ENTITY c \"&b;&b;\">", "]><plist>&c;</plist>", room)),
        ("ampersands", repeated("<plist><string>", "&amp;", "</string></plist>", room)),
        ("open comments", repeated("<plist>", "<!-- ", "", room)),
        ("comments", repeated("<plist>", "<!---->", "<dict/></plist>", room)),
        ("data", repeated("<plist><dict><key>a</key><data>", "AAAA", "</data></dict></plist>", room)),
        ("one text", repeated("<plist><dict><key>a</key><string>", "x", "</string></dict></plist>", room)),
        ("keys", repeated("<plist><dict>", "<key>a</key><true/>", "</dict></plist>", room)),
        ("blanks", repeated("", " ", "<plist><dict/></plist>", room)),
        ("json", repeated("", "[", "", room)),
        ("json text", repeated("{\"value\":\"", "A", "\"}", room)),
        ("base64", vec![b'A'; room]),
        ("UTF-16", [b"\xff\xfe".as_slice(), &b"<\0a\0>\0".repeat(room / 6)].concat()),
        ("binary array", binary(&array, room)),
        ("shared references", shared(room)),
        (
            "signed data",
            signed(&repeated("<plist><dict><key>a</key><data>", "AAAA", "</data></dict></plist>", room)),
        ),
        ("signed text", signed(&vec![b'x'; room])),
        ("CMS of zeros", sparse(oid)),
        ("CMS of indefinite lengths", [oid, &[0x30, 0x80].repeat(room / 2)].concat()),
        ("CMS of empty elements", [oid, &[0xa0, 0x80, 0x30, 0x80], &[0x05, 0x00].repeat(room / 2)].concat()),
        ("PEM", repeated("-----BEGIN CMS-----\n", "MIIB", "-----END CMS-----", room)),
        ("gzip", sparse(&[0x1f, 0x8b])),
    ]
}
