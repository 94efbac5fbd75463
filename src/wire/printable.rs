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
}
