//! Scrubbing: what is written of a frame. A placeholder is stable (the same secret is always
//! the same one within a recording), has the type of what it stands for and the class of its
//! length, and is a fixed point: scrubbing what was scrubbed changes nothing. That is how a
//! recording is proved clean, and how a request of today is compared with a recorded one.

use super::allow::{Kind, kind};
use crate::wire::fields::Fields;
use crate::wire::installation_proxy::COMPANY_PORTAL;
use openssl::sha::sha256;
use plist::{Date, Dictionary, Value};
use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

/// Version of these rules; a recording names the one it was written under.
pub const SCRUB_VERSION: u32 = 1;

/// Most secrets told apart in one recording; what comes later is number 0.
const MOST_SECRETS: usize = 10_000;

/// Longest word that is written as it is, in bytes: names of protocols are shorter.
const WORD_BYTES: usize = 64;

/// Integers beyond this identify something.
const MOST_NUMBER: i64 = 0xff_ffff;

/// The classes of length: 8 bytes, and each power of two above.
const LEAST_CLASS: usize = 8;

/// Longest placeholder that is made: what is longer is shown as this long.
const MOST_CLASS: usize = 4 << 20;

/// Most seconds that a device's clock is written to be ahead or behind: four years.
const MOST_AHEAD: f64 = 4.0 * 365.0 * 86_400.0;

/// Name of a key that nobody named.
const UNKNOWN: &str = "unknown";

/// What policies of Intune begin with (profiles-and-enrollment.md 3.1): that they are some may
/// be seen.
const INTUNE: &str = "www.windowsintune.com.";
const IDENTIFIER: &str = "example.profile-";
const BUNDLE: &str = "example.app-";

/// Which placeholder stands for which secret of a recording. Keeps digests, not secrets.
#[derive(Debug, Default)]
pub struct Scrubber {
    numbers: HashMap<[u8; 32], u32>,
    last: HashMap<String, u32>,
    /// Seconds since 1970 on our clock, against which a device's time is written.
    now: f64,
}

impl Scrubber {
    /// Tells the time, in seconds since 1970.
    pub fn at(&mut self, now: f64) -> &mut Self {
        self.now = now;
        self
    }

    /// A frame as it is written.
    pub fn frame(&mut self, frame: &Dictionary) -> Dictionary {
        self.dictionary(frame)
    }

    /// The placeholder of a UDID.
    pub fn udid(&mut self, udid: &str) -> String {
        self.text(Kind::Udid, "UniqueDeviceID", udid)
    }

    /// The placeholders of a profile's identifier and UUID.
    pub fn profile(&mut self, identifier: &str, uuid: &str) -> (String, String) {
        (
            self.text(Kind::Identifier, "ProfileIdentifier", identifier),
            self.text(Kind::Uuid, "PayloadUUID", uuid),
        )
    }

    fn dictionary(&mut self, fields: &Dictionary) -> Dictionary {
        let named = fields.text("Key").map(str::to_owned);
        let mut out = Dictionary::new();
        for (key, value) in fields {
            match kind(key) {
                Some(Kind::AsKey) => {
                    let inner = named.as_deref().and_then(|key| Some((key, kind(key)?)));
                    let value = match (value, inner) {
                        (Value::Dictionary(inside), _) => Value::Dictionary(self.dictionary(inside)),
                        (value, Some((key, kind))) => self.value(kind, key, value),
                        (value, None) => self.value(Kind::Hidden, UNKNOWN, value),
                    };
                    out.insert(key.clone(), value);
                }
                Some(kind) => {
                    let value = self.value(kind, key, value);
                    out.insert(key.clone(), value);
                }
                None => {
                    let name = self.text(Kind::Hidden, UNKNOWN, key);
                    let value = self.value(Kind::Hidden, UNKNOWN, value);
                    out.insert(name, value);
                }
            }
        }
        out
    }

    fn value(&mut self, kind: Kind, key: &str, value: &Value) -> Value {
        match (kind, value) {
            (Kind::Inside, Value::Dictionary(fields)) => Value::Dictionary(self.dictionary(fields)),
            (Kind::ByIdentifier | Kind::ByBundle, Value::Dictionary(fields)) => {
                let of = if kind == Kind::ByBundle { Kind::Bundle } else { Kind::Identifier };
                let mut out = Dictionary::new();
                for (name, inside) in fields {
                    let name = self.text(of, "ProfileIdentifier", name);
                    let inside = match inside {
                        Value::Dictionary(inside) => Value::Dictionary(self.dictionary(inside)),
                        other => self.value(Kind::Hidden, UNKNOWN, other),
                    };
                    out.insert(name, inside);
                }
                Value::Dictionary(out)
            }
            (kind, Value::Array(items)) => {
                Value::Array(items.iter().map(|item| self.value(kind, key, item)).collect())
            }
            (Kind::Flag, Value::Boolean(_)) => value.clone(),
            // Some devices send 0 and 1 for a boolean (3.5).
            (Kind::Flag, Value::Integer(n)) if matches!(n.as_signed(), Some(0 | 1)) => value.clone(),
            (Kind::Number, Value::Integer(n)) if n.as_signed().is_some_and(|n| n.abs() <= MOST_NUMBER) => {
                value.clone()
            }
            (Kind::Now, Value::Real(time)) => Value::Real(self.ahead(*time)),
            (Kind::Hidden, Value::Dictionary(fields)) => {
                let inside = fields.iter().map(|(name, value)| {
                    let name = self.text(Kind::Hidden, UNKNOWN, name);
                    (name, self.value(Kind::Hidden, UNKNOWN, value))
                });
                Value::Dictionary(inside.collect::<Vec<_>>().into_iter().collect())
            }
            (kind, Value::String(text)) => Value::String(self.text(kind, key, text)),
            (_, other) => self.hidden(key, other),
        }
    }

    /// How far a device's time is ahead, in whole minutes. A time this near to 1970 was
    /// scrubbed before.
    fn ahead(&self, time: f64) -> f64 {
        if time.abs() <= MOST_AHEAD && time % 60.0 == 0.0 {
            return time;
        }
        let ahead = ((time - self.now) / 60.0).round() * 60.0;
        if ahead.is_finite() { ahead.clamp(-MOST_AHEAD, MOST_AHEAD) } else { 0.0 }
    }

    fn text(&mut self, kind: Kind, key: &str, text: &str) -> String {
        match kind {
            Kind::Word if is_word(text) => text.to_owned(),
            Kind::Apple if text.starts_with("com.apple.") && is_word(text) => text.to_owned(),
            Kind::Bundle if text == COMPANY_PORTAL || text.is_empty() => text.to_owned(),
            Kind::Udid if text.len() == 25 => self.zeros(key, text, |n| format!("00000000-{n:016}")),
            Kind::Udid if text.len() == 40 => self.zeros(key, text, |n| format!("{n:040}")),
            Kind::Uuid if text.len() == 36 => {
                self.zeros(key, text, |n| format!("00000000-0000-4000-8000-{n:012}"))
            }
            Kind::Address if text.len() == 17 => {
                self.zeros(key, text, |n| format!("00:00:00:00:{:02x}:{:02x}", (n >> 8) as u8, n as u8))
            }
            Kind::Digits if (6..=40).contains(&text.len()) => {
                let width = text.len();
                self.zeros(key, text, |n| format!("{n:0width$}"))
            }
            Kind::Identifier if text.starts_with(INTUNE) => {
                self.padded(&format!("{INTUNE}profile-"), '-', text)
            }
            Kind::Identifier => self.padded(IDENTIFIER, '-', text),
            Kind::Bundle => self.padded(BUNDLE, '-', text),
            _ => self.padded(&format!("~{key}-"), '~', text),
        }
    }

    /// A placeholder in the form of what it stands for.
    fn zeros(&mut self, key: &str, text: &str, form: impl Fn(u32) -> String) -> String {
        let number = digits_at_end(text);
        if number.is_some_and(|n| form(n) == text) {
            self.seen(key, number.unwrap_or_default());
            return text.to_owned();
        }
        form(self.number(key, text.as_bytes()))
    }

    /// A placeholder of `begin`, a number, and `pad` up to the class of the text's length.
    fn padded(&mut self, begin: &str, pad: char, text: &str) -> String {
        let form = |n: u32, length: usize| {
            let mut out = format!("{begin}{n}");
            let wanted = class(length.max(out.len()));
            out.extend(std::iter::repeat_n(pad, wanted - out.len()));
            out
        };
        let said = text.strip_prefix(begin).map(|rest| rest.trim_end_matches(pad));
        let said = said.and_then(|digits| digits.parse().ok());
        match said {
            Some(n) if form(n, text.len()) == text => {
                self.seen(begin, n);
                text.to_owned()
            }
            _ => form(self.number(begin, text.as_bytes()), text.len()),
        }
    }

    fn hidden(&mut self, key: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(Kind::Hidden, key, text)),
            Value::Data(bytes) => {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                // What is no text is never a placeholder, and gets one by its digest.
                let placeholder = match text.is_empty() {
                    false => self.padded(&format!("~{key}-"), '~', text),
                    true => {
                        let number = self.number(&format!("~{key}-"), bytes);
                        self.padded(
                            &format!("~{key}-"),
                            '~',
                            &sized(&format!("~{key}-{number}"), bytes.len()),
                        )
                    }
                };
                Value::Data(placeholder.into_bytes())
            }
            Value::Integer(n) => {
                // The class of an integer is whether it fits into 32 bits.
                let wide = n.as_signed().is_none_or(|n| i32::try_from(n).is_err());
                let base: u64 = if wide { 1 << 40 } else { 1 << 24 };
                let said =
                    n.as_unsigned().and_then(|n| n.checked_sub(base)).filter(|n| *n <= MOST_SECRETS as u64);
                let number = match said {
                    Some(said) => said,
                    None => u64::from(self.number(&format!("#{key}"), n.to_string().as_bytes())),
                };
                Value::Integer((base + number).into())
            }
            Value::Real(_) => Value::Real(0.0),
            Value::Date(_) => Value::Date(Date::from(UNIX_EPOCH + Duration::from_secs(0))),
            Value::Boolean(_) => Value::Boolean(false),
            _ => Value::String(self.text(Kind::Hidden, key, "")),
        }
    }

    fn number(&mut self, name: &str, secret: &[u8]) -> u32 {
        let digest = sha256(&[name.as_bytes(), &[0], secret].concat());
        if let Some(number) = self.numbers.get(&digest) {
            return *number;
        }
        if self.numbers.len() >= MOST_SECRETS {
            return 0;
        }
        let last = self.last.entry(name.to_owned()).or_default();
        *last += 1;
        self.numbers.insert(digest, *last);
        *last
    }

    /// A number that is taken: what is met later gets another.
    fn seen(&mut self, name: &str, number: u32) {
        if self.last.len() < MOST_SECRETS && number as usize <= MOST_SECRETS {
            let last = self.last.entry(name.to_owned()).or_default();
            *last = (*last).max(number);
        }
    }
}

/// The class of a length.
fn class(length: usize) -> usize {
    length.clamp(LEAST_CLASS, MOST_CLASS).next_power_of_two()
}

fn sized(text: &str, length: usize) -> String {
    let wanted = class(length.max(text.len()));
    let mut out = text.to_owned();
    out.extend(std::iter::repeat_n('~', wanted - text.len()));
    out
}

fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b',');
    !text.is_empty() && text.len() <= WORD_BYTES && text.bytes().all(plain)
}

/// The number at the end, in hex where a colon stands in it.
fn digits_at_end(text: &str) -> Option<u32> {
    if let Some((_, tail)) = text.split_once("00:00:00:00:") {
        return u32::from_str_radix(&tail.replace(':', ""), 16).ok();
    }
    let at = text.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    text[at..].parse().ok().filter(|n| *n as usize <= MOST_SECRETS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::{data, dictionary, string};

    #[test]
    fn secrets_become_placeholders_and_placeholders_stay() {
        let values = dictionary([
            ("DeviceName", string("canary of Ann")),
            ("ProductType", string("iPhone16,2")),
            ("SerialNumber", string("F2LCANARY123")),
            ("UniqueDeviceID", string("00008110-001A2B3C4D5E6F70")),
            ("UniqueChipID", Some(Value::from(0x001A_2B3C_4D5E_6F70_u64))),
            ("WiFiAddress", string("a4:83:e7:01:02:03")),
            ("canary-key", string("canary")),
            ("TimeIntervalSince1970", Some(Value::Real(1_790_000_090.0))),
        ]);
        let frame = dictionary([
            ("Request", string("GetValue")),
            ("EscrowBag", data(vec![0xca; 32])),
            ("Value", Some(Value::Dictionary(values))),
        ]);
        let once = Scrubber::default().at(1_790_000_000.0).frame(&frame);
        assert_eq!(Scrubber::default().at(5.0).frame(&once), once, "a fixed point");
        let shown = format!("{once:?}").to_lowercase();
        for secret in ["canary", "f2l", "8110", "a4:83", "ann", "202, 202"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("iphone16,2") && shown.contains("getvalue"));
    }
}
