//! Texts in cells: cut, wrapped, and times in few letters.

use ratatui::text::Span;

/// Cells of a text.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// What fits into so many cells; a cut text ends with `…`.
pub(super) fn fit(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for letter in text.chars() {
        used += width(letter.encode_utf8(&mut [0; 4]));
        if used >= cells {
            break;
        }
        cut.push(letter);
    }
    if cells > 0 {
        cut.push('…');
    }
    cut
}

/// The same, filled with blanks.
pub(super) fn padded(text: &str, cells: usize) -> String {
    let mut text = fit(text, cells);
    let missing = cells.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// Lines of at most so many cells, broken between words; a longer word is cut into pieces.
pub(super) fn wrapped(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let wide = width(word);
        if used > 0 && used + 1 + wide > cells {
            lines.push(String::new());
            used = 0;
        }
        if used > 0 {
            add(&mut lines, ' ');
            used += 1;
        }
        for letter in word.chars() {
            let wide = width(letter.encode_utf8(&mut [0; 4]));
            if used + wide > cells {
                lines.push(String::new());
                used = 0;
            }
            add(&mut lines, letter);
            used += wide;
        }
    }
    lines
}

fn add(lines: &mut [String], letter: char) {
    if let Some(line) = lines.last_mut() {
        line.push(letter);
    }
}

/// `7:41`.
pub(super) fn countdown(seconds: u64) -> String {
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours} h"),
    }
}

/// `12 min`, `2 h 5 min`.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_into_their_cells() {
        assert_eq!(fit("Tablet", 6), "Tablet");
        assert_eq!(fit("Tablets", 6), "Table…");
        assert_eq!(fit("東京タワー", 6), "東京…");
        assert_eq!(padded("ab", 4), "ab  ");
        assert_eq!((fit("ab", 0), fit("ab", 1)), (String::new(), "…".to_owned()));
        assert_eq!(wrapped("Tap Trust on  the device", 10), ["Tap Trust", "on the", "device"]);
        assert_eq!(wrapped("0123456789ab", 5), ["01234", "56789", "ab"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn times_are_short() {
        assert_eq!([countdown(461), countdown(0), countdown(43_200)], ["7:41", "0:00", "12 h"]);
        assert_eq!([span(59), span(725), span(7500)], ["59 s", "12 min", "2 h 5 min"]);
    }
}
