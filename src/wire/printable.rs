//! Text of files and devices, made safe to show.

use std::fmt::Write;
use std::io;

/// Escapes what could deceive a reader or drive a terminal: control characters, line
/// separators, marks that reorder text (right-to-left overrides and isolates), and
/// invisible characters. `\n` becomes `\u{a}`. Joiners inside emoji and scripts stay.
///
/// Names in profiles come from strangers (profiles-and-enrollment.md 7, "cheap extras").
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_deceptive(c) {
            // Writing to a String cannot fail.
            true => _ = write!(out, "\\u{{{:x}}}", u32::from(c)),
            false => out.push(c),
        }
    }
    out
}

/// What the system said, without Rust's "(os error 2)".
pub fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// An error as a sentence: a capital letter, a full stop. A name of a file or of a wire
/// message that begins it stays as it is.
pub fn sentence(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let text = text.trim_end_matches('.');
    let first = text.split(' ').next().unwrap_or_default();
    let is_word = first.chars().all(|c| c.is_ascii_lowercase() || c == '\'' || c == ',');
    let mut chars = text.chars();
    match chars.next() {
        Some(letter) if is_word => letter.to_uppercase().chain(chars).chain(['.']).collect(),
        _ => format!("{text}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_escaped() {
        let cases = [
            ("Management Profile", "Management Profile"),
            ("Büro 東京 👩\u{200d}🔧", "Büro 東京 👩\u{200d}🔧"),
            ("a\u{202e}gpj.exe", "a\\u{202e}gpj.exe"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("two\nlines\r", "two\\u{a}lines\\u{d}"),
            ("x\u{2066}y\u{2069}\u{feff}\u{85}", "x\\u{2066}y\\u{2069}\\u{feff}\\u{85}"),
        ];
        for (text, shown) in cases {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn a_path_or_a_wire_name_that_begins_a_sentence_stays_as_it_is() {
        assert_eq!(sentence("no device is attached"), "No device is attached.");
        assert_eq!(sentence("profiles/a.mobileconfig: cut off."), "profiles/a.mobileconfig: cut off.");
        assert_eq!(sentence("a.mobileconfig: cut off"), "a.mobileconfig: cut off.");
    }
}
