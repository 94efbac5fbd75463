//! Finds keys that stand twice in one dictionary of an XML list: the plist crate keeps the
//! last and says nothing (profiles-and-enrollment.md 1.2, L10).
//!
//! One pass over text that the scanner has found sound, without recursion; memory and time
//! grow with the text.

use std::collections::HashSet;

/// Longest part of a key shown in a path, in characters.
const SHOWN_KEY: usize = 64;

/// Where the walk stands: a container that is open.
enum Open {
    Dictionary { seen: HashSet<Vec<u8>>, key: Vec<u8> },
    Array { index: usize },
}

/// The paths of at most `most` keys that stand a second time.
pub(super) fn duplicates(xml: &[u8], most: usize) -> Vec<String> {
    let (mut found, mut open, mut at) = (Vec::new(), Vec::<Open>::new(), 0);
    while let Some(start) = position(xml, at, b"<") {
        let rest = &xml[start..];
        let end_mark: &[u8] = if rest.starts_with(b"<!--") { b"-->" } else { b">" };
        let Some(end) = tag_end(xml, start, end_mark) else { break };
        at = end + end_mark.len();
        let inside = &xml[start + 1..end];
        match inside.first() {
            Some(b'!' | b'?') | None => continue,
            Some(b'/') => match local_name(&inside[1..]) {
                b"dict" | b"array" => {
                    open.pop();
                    count(&mut open);
                }
                b"key" | b"plist" => {}
                _ => count(&mut open),
            },
            Some(_) => {
                let empty = inside.ends_with(b"/");
                match local_name(inside) {
                    b"dict" if !empty => {
                        open.push(Open::Dictionary { seen: HashSet::new(), key: Vec::new() });
                    }
                    b"array" if !empty => open.push(Open::Array { index: 0 }),
                    b"key" => {
                        let text = match empty {
                            true => Vec::new(),
                            false => unescape(&xml[at..position(xml, at, b"<").unwrap_or(xml.len())]),
                        };
                        let Some(Open::Dictionary { seen, key }) = open.last_mut() else { continue };
                        key.clone_from(&text);
                        if !seen.insert(text) {
                            found.push(path(&open));
                        }
                    }
                    _ if empty => count(&mut open),
                    _ => {}
                }
            }
        }
        if found.len() >= most {
            break;
        }
    }
    found
}

/// A value ended: the next one of an array has the next number.
fn count(open: &mut [Open]) {
    if let Some(Open::Array { index }) = open.last_mut() {
        *index += 1;
    }
}

fn path(open: &[Open]) -> String {
    let mut out = String::new();
    for container in open {
        match container {
            Open::Array { index } => out.push_str(&format!("[{index}]")),
            Open::Dictionary { key, .. } => {
                let shown: String = String::from_utf8_lossy(key).chars().take(SHOWN_KEY).collect();
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(&crate::wire::printable::printable(&shown));
            }
        }
    }
    out
}

/// Where a tag or comment ends; a quoted `>` ends no tag.
fn tag_end(xml: &[u8], start: usize, mark: &[u8]) -> Option<usize> {
    if mark.len() > 1 {
        return position(xml, start, mark);
    }
    if xml[start..].starts_with(b"<?") {
        return position(xml, start, b"?>").map(|question| question + 1);
    }
    let mut quote = None;
    for (index, byte) in xml[start..].iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(start + index),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The crate looks at the part after a namespace prefix only.
fn local_name(inside: &[u8]) -> &[u8] {
    let end = inside.iter().position(|b| b.is_ascii_whitespace() || *b == b'/').unwrap_or(inside.len());
    let name = &inside[..end];
    name.rsplit(|b| *b == b':').next().unwrap_or(name)
}

/// Resolves references, so that `&amp;` and `&#38;` are one key.
fn unescape(text: &[u8]) -> Vec<u8> {
    let Some(first) = position(text, 0, b"&") else { return text.to_vec() };
    let (mut out, mut at) = (text[..first].to_vec(), first);
    while at < text.len() {
        let resolved = (text[at] == b'&').then(|| reference(&text[at..])).flatten();
        match resolved {
            Some((letter, length)) => {
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// A reference at the start of the text: what it stands for, and its length.
fn reference(text: &[u8]) -> Option<(char, usize)> {
    let end = text.iter().take(14).position(|b| *b == b';')?;
    let name = std::str::from_utf8(&text[1..end]).ok()?;
    let letter = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let digits = name.strip_prefix('#')?;
            let number = match digits.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            char::from_u32(number.ok()?)?
        }
    };
    Some((letter, end + 1))
}

fn position(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::super::{Budget, duplicate_keys, to_xml};

    fn found(body: &str) -> Vec<String> {
        duplicate_keys(format!("<plist>{body}</plist>").as_bytes(), Budget::PROFILE, 10)
    }

    #[test]
    fn a_second_key_is_found_where_it_stands() {
        let cases = [
            ("<dict><key>a</key><true/><key>b</key><true/></dict>", &[][..]),
            ("<dict><key>a</key><true/><key>a</key><true/></dict>", &["a"]),
            ("<dict><key>a&amp;</key><true/><key>a&#38;</key><true/></dict>", &["a&"]),
            (
                "<dict><key>p</key><array><string>x</string><true/><dict><key>a</key><dict/><!-- > -->\
                 <key>a</key><array/><key>a</key><data></data></dict></array></dict>",
                &["p[2].a", "p[2].a"],
            ),
            ("<dict><key>a</key><dict><key>a</key><true/></dict></dict>", &[]),
            ("<array><dict><key/><true/><key></key><true/></dict></array>", &["[0]."]),
            ("<dict><key>x\u{202e}</key><true/><key>x\u{202e}</key><true/></dict>", &["x\\u{202e}"]),
        ];
        for (body, expected) in cases {
            assert_eq!(found(body), expected, "{body}");
        }
    }

    #[test]
    fn the_number_is_bounded_and_what_cannot_be_read_has_none() {
        let many = "<key>a</key><true/>".repeat(1000);
        assert_eq!(found(&format!("<dict>{many}</dict>")).len(), 10);
        assert!(found("<dict><key>a</key><key>a</key>").is_empty());
        assert!(duplicate_keys(b"bplist00", Budget::PROFILE, 10).is_empty());
        let sound = to_xml(&plist::Dictionary::new().into());
        assert!(duplicate_keys(&sound, Budget::PROFILE, 10).is_empty());
    }
}
