//! A line of a recording: JSON with the types of property lists, keys in order.

use crate::limits::{DEVICE_FRAME_BYTES, PLIST_DEPTH};
use plist::{Date, Dictionary, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// Longest text that is written out; of a longer placeholder only its length is.
const SHOWN_TEXT: usize = 64;

/// Most bytes of long texts and data a line may stand for, together: a frame is shorter.
const MOST_BYTES: u64 = 4 << 20;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Milliseconds since the recording began, and at most a day's.
    pub t: u64,
    /// Which connection, counted from 1; 0 for what belongs to none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub c: u32,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What an entry tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The device was plugged in, or is there; its UDID.
    Attached(String),
    /// It was unplugged, or left.
    Detached(String),
    /// The way to all devices was lost, or came back.
    Mux(MuxMark),
    /// A rung of the recovery ladder was taken; whether that was done.
    Recovered(bool),
    /// The station asked the mux for a pair record; whether there was one. It may have used a
    /// copy of its own instead: then a `StartSession` follows.
    PairRecord(bool),
    /// A connection to lockdown or a service began.
    Open(String),
    /// A connection could not be begun.
    Refused(Refusal),
    /// TLS: true if it began, false if the device refused it.
    Tls(bool),
    /// A frame of the host.
    Host(Json),
    /// A frame of the device.
    Device(Json),
    /// A frame of so many bytes from the device that holds no property list.
    Garbage(u64),
    /// A frame of the device that announced an impossible length: of that the longest of as many
    /// bits, or 0. Nothing after it on this connection is written.
    Broken(u64),
    /// The device ended the connection.
    Ended(End),
}

/// See [`What::Mux`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MuxMark {
    /// Lost.
    Lost,
    /// Back.
    Ready,
}

/// A connection that could not be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// To what.
    pub to: String,
    /// True if the device was gone, false if nothing listened there.
    pub gone: bool,
}

/// How a device ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Between two frames.
    Closed,
    /// Inside a frame.
    Cut,
    /// With an alert of TLS.
    Tls,
    /// It did not answer, and the host gave up.
    Unanswered,
}

/// Why a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It is no JSON of this form.
    #[error("it is no line of a recording: {0}")]
    Form(String),
    /// A frame holds what no property list has.
    #[error("it holds no property list")]
    Frame,
}

impl Entry {
    /// The entry as a line, without its end.
    pub fn line(&self) -> String {
        // Serialising these types cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn parse(line: &str) -> Result<Self, EntryError> {
        serde_json::from_str(line).map_err(|e| EntryError::Form(e.to_string()))
    }

    /// How many bytes it says it stands for, which nobody has expanded yet.
    pub fn declared(&self) -> u64 {
        match &self.what {
            What::Host(json) | What::Device(json) => declared(json),
            What::Garbage(length) => (*length).min(DEVICE_FRAME_BYTES as u64),
            _ => 0,
        }
    }
}

fn declared(json: &Json) -> u64 {
    let sum = |items: &mut dyn Iterator<Item = &Json>| items.map(declared).fold(0, u64::saturating_add);
    match json {
        Json::Array(items) => sum(&mut items.iter()),
        Json::Object(fields) if fields.contains_key("$text") || fields.contains_key("$data") => {
            fields.get("length").and_then(Json::as_u64).unwrap_or_default()
        }
        Json::Object(fields) => sum(&mut fields.values()),
        _ => 0,
    }
}

/// A scrubbed frame as JSON: of data only text is kept, which placeholders are.
pub fn to_json(frame: &Dictionary) -> Json {
    dictionary_to_json(frame)
}

/// The frame a line holds.
///
/// # Errors
/// [`EntryError::Frame`].
pub fn to_frame(json: &Json) -> Result<Dictionary, EntryError> {
    let mut room = MOST_BYTES;
    match value_of(json, 0, &mut room)? {
        Value::Dictionary(frame) => Ok(frame),
        _ => Err(EntryError::Frame),
    }
}

fn dictionary_to_json(fields: &Dictionary) -> Json {
    // A map of serde_json is sorted, which makes recordings comparable.
    Json::Object(fields.iter().map(|(key, value)| (escaped(key), json_of(value))).collect())
}

/// A key that begins like ours gets one sign more.
fn escaped(key: &str) -> String {
    if key.starts_with('$') { format!("${key}") } else { key.to_owned() }
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Array(items) => items.iter().map(json_of).collect(),
        Value::Dictionary(fields) => dictionary_to_json(fields),
        Value::Boolean(flag) => json!(flag),
        Value::String(text) if text.len() > SHOWN_TEXT && text.ends_with('~') => {
            json!({ "$text": text.trim_end_matches('~'), "length": text.len() })
        }
        Value::String(text) => json!(text),
        Value::Data(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            json!({ "$data": text.trim_end_matches('~'), "length": bytes.len() })
        }
        Value::Integer(n) => match (n.as_signed(), n.as_unsigned()) {
            (Some(n), _) => json!(n),
            (None, n) => json!(n),
        },
        Value::Real(real) => json!({ "$real": real }),
        Value::Date(date) => json!({ "$date": date.to_xml_format() }),
        _ => Json::Null,
    }
}

fn value_of(json: &Json, depth: usize, room: &mut u64) -> Result<Value, EntryError> {
    if depth > PLIST_DEPTH {
        return Err(EntryError::Frame);
    }
    Ok(match json {
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::Integer(n.into()),
            (None, Some(n)) => Value::Integer(n.into()),
            (None, None) => return Err(EntryError::Frame),
        },
        Json::Array(items) => {
            Value::Array(items.iter().map(|item| value_of(item, depth + 1, room)).collect::<Result<_, _>>()?)
        }
        Json::Object(fields) => match typed(fields, room)? {
            Some(value) => value,
            None => Value::Dictionary(
                fields
                    .iter()
                    .map(|(key, inside)| {
                        let key = key.strip_prefix("$$").map_or(key.clone(), |rest| format!("${rest}"));
                        Ok((key, value_of(inside, depth + 1, room)?))
                    })
                    .collect::<Result<Vec<_>, EntryError>>()?
                    .into_iter()
                    .collect(),
            ),
        },
        Json::Null => return Err(EntryError::Frame),
    })
}

/// A value whose type JSON does not have.
fn typed(fields: &Map<String, Json>, room: &mut u64) -> Result<Option<Value>, EntryError> {
    let Some((name, inside)) = fields.iter().find(|(key, _)| key.starts_with('$') && !key.starts_with("$$"))
    else {
        return Ok(None);
    };
    let mut long = || {
        let text = inside.as_str().ok_or(EntryError::Frame)?;
        let length = fields.get("length").and_then(Json::as_u64).ok_or(EntryError::Frame)?;
        *room = room.checked_sub(length).ok_or(EntryError::Frame)?;
        let missing = length.checked_sub(text.len() as u64).ok_or(EntryError::Frame)?;
        Ok(format!("{text}{}", "~".repeat(missing as usize)))
    };
    let value = match (name.as_str(), fields.len()) {
        ("$text", 2) => Value::String(long()?),
        ("$data", 2) => Value::Data(long()?.into_bytes()),
        ("$real", 1) => Value::Real(inside.as_f64().ok_or(EntryError::Frame)?),
        ("$date", 1) => {
            let date = inside.as_str().and_then(|text| Date::from_xml_format(text).ok());
            Value::Date(date.ok_or(EntryError::Frame)?)
        }
        _ => return Err(EntryError::Frame),
    };
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_with_their_types_and_keys_in_order() {
        let mut frame = Dictionary::new();
        frame.insert("Zeta".into(), Value::Real(1.5));
        frame.insert("Alpha".into(), Value::Data(b"~Payload-1~~~~~~".to_vec()));
        frame.insert("$odd".into(), Value::Array(vec![Value::Boolean(true), Value::Integer(7.into())]));
        frame.insert("Long".into(), Value::String(format!("~Warning-1{}", "~".repeat(118))));
        let entry = Entry { t: 5, c: 1, what: What::Device(to_json(&frame)) };
        let line = entry.line();
        assert_eq!(
            line,
            "{\"t\":5,\"c\":1,\"device\":{\"$$odd\":[true,7],\"Alpha\":{\"$data\":\"~Payload-1\",\"length\":16},\
             \"Long\":{\"$text\":\"~Warning-1\",\"length\":128},\"Zeta\":{\"$real\":1.5}}}"
        );
        let What::Device(json) = Entry::parse(&line).unwrap().what else { panic!("a frame of the device") };
        let back = to_frame(&json).unwrap();
        assert_eq!(back.len(), 4);
        assert!(frame.iter().all(|(key, value)| back.get(key) == Some(value)));
    }

    #[test]
    fn lines_that_are_none_are_refused() {
        for bad in ["", "{}", "{\"t\":1}", "{\"t\":1,\"host\":{},\"open\":\"x\"}", "{\"t\":-1,\"tls\":true}"]
        {
            assert!(Entry::parse(bad).is_err(), "{bad}");
        }
        let huge = json!({ "A": { "$data": "~", "length": 1_u64 << 40 } });
        assert_eq!(to_frame(&huge), Err(EntryError::Frame));
        let half = json!({ "$data": "~", "length": MOST_BYTES / 2 });
        assert!(to_frame(&json!({ "A": [half, half] })).is_ok());
        assert_eq!(to_frame(&json!({ "A": [half, half, half] })), Err(EntryError::Frame));
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(to_frame(&json!({ "A": deep })).is_err());
    }
}
