//! JSON of a station, made harmless: what its texts could do to a terminal, and how long they
//! may be.

use crate::wire::printable::printable;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest text, in bytes: a sentence has two hundred; Apple's longest error has some more.
const TEXT_BYTES: usize = 1000;

/// A message of a type.
///
/// # Errors
/// What is wrong with it, in words that name none of its contents.
pub(super) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    let mut value: Value = serde_json::from_slice(json).map_err(|_| "it is no JSON".to_owned())?;
    clean(&mut value);
    serde_json::from_value(value).map_err(|error| printable(&clipped(error.to_string())))
}

/// Recursion is bounded: serde_json reads no more than 128 levels.
fn clean(value: &mut Value) {
    match value {
        Value::String(text) => *text = clipped(printable(text)),
        Value::Array(values) => values.iter_mut().for_each(clean),
        Value::Object(fields) => fields.values_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn clipped(mut text: String) -> String {
    if text.len() > TEXT_BYTES {
        let end = (0..=TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::view::station::TroubleView;

    #[test]
    fn no_text_of_a_station_drives_a_terminal_or_is_endless() {
        let read = |json: &str| read::<TroubleView>(json.as_bytes()).map(|view| view.trouble);
        assert_eq!(read(r#"{"trouble":"a\u001b[2Jb\u009b"}"#), Ok(Some(r"a\u{1b}[2Jb\u{9b}".into())));
        assert_eq!(read("{\"trouble\":\"a\u{202e}b\"}"), Ok(Some(r"a\u{202e}b".into())));
        let long = read(&format!(r#"{{"trouble":"{}"}}"#, "ä".repeat(5000))).unwrap().unwrap();
        assert!(long.len() < 1010 && long.ends_with('…'), "{}", long.len());
        assert_eq!(read("{"), Err("it is no JSON".into()));
        assert!(read(&"[".repeat(100_000)).is_err() && read("\u{1b}").is_err());
        let said = read(r#"{"trouble":{"\u001b[2J":1}}"#).unwrap_err();
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}
