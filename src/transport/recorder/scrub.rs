//! Scrubbing: what is written of a frame. A placeholder is stable (the same secret is always
//! the same one within a recording), has the type of what it stands for and the class of its
//! length, and is a fixed point: scrubbing what was scrubbed changes nothing. That is how a
//! recording is proved clean, and how a request of today is compared with a recorded one.

use super::allow::{Kind, kind};
use super::words::{Vocabulary, vocabulary};
use crate::wire::fields::Fields;
use crate::wire::installation_proxy::COMPANY_PORTAL;
use openssl::sha::sha256;
use plist::{Date, Dictionary, Value};
use std::collections::{HashMap, HashSet};
use std::time::UNIX_EPOCH;

/// Version of these rules; a recording names the one it was written under.
pub const SCRUB_VERSION: u32 = 1;

/// Most secrets told apart in one recording; what comes later is number 0. Four digits: the
/// shortest placeholder has room for no more.
const MOST_SECRETS: u32 = 9999;

/// Longest word that is written as it is, in bytes: names of protocols are shorter.
const WORD_BYTES: usize = 64;

/// A secret as short as this may be part of a word by chance; one of more bytes than the most is
/// part of none.
const REPEATED_BYTES: std::ops::RangeInclusive<usize> = 6..=WORD_BYTES;

/// Integers beyond this identify something.
const MOST_NUMBER: i64 = 0xff_ffff;

/// Placeholders of integers begin here, for those of 32 bits and for longer ones.
const NARROW: u64 = 1 << 24;
const WIDE: u64 = 1 << 40;

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

/// Identifier of every enrollment profile of Intune (profiles-and-enrollment.md 3.1).
const INTUNE_ENROLLMENT: &str = "Microsoft.Profiles.MDM";

const IDENTIFIER: &str = "example.profile-";
const BUNDLE: &str = "example.app-";

/// Which placeholder stands for which secret of a recording. Keeps digests, not secrets.
#[derive(Debug, Default)]
pub struct Scrubber {
    numbers: HashMap<[u8; 32], u32>,
    last: HashMap<String, u32>,
    /// Digests of secrets, in upper case and without their key: what a word must not repeat.
    met: HashSet<[u8; 32]>,
    /// Seconds since 1970 on our clock, against which a device's time is written; none where
    /// what comes was scrubbed before.
    now: Option<f64>,
}

impl Scrubber {
    /// Tells the time, in seconds since 1970: frames come from a device, and not from a
    /// recording.
    pub fn at(&mut self, now: f64) -> &mut Self {
        self.now = Some(now);
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
        let asked = fields.text("Key").and_then(|key| Some((key, kind(key)?)));
        let mut out = Dictionary::new();
        for (key, value) in sorted(fields) {
            let (name, value) = match (kind(key), asked, value) {
                // Many values: each has its key.
                (Some(Kind::AsKey), _, Value::Dictionary(inside)) => {
                    (key.clone(), Value::Dictionary(self.dictionary(inside)))
                }
                (Some(Kind::AsKey), Some((asked, kind)), _) => (key.clone(), self.value(kind, asked, value)),
                (Some(Kind::AsKey), None, _) => (key.clone(), self.value(Kind::Hidden, UNKNOWN, value)),
                (Some(kind), ..) => (key.clone(), self.value(kind, key, value)),
                (None, ..) => {
                    let name = self.text(Kind::Hidden, UNKNOWN, key);
                    (name, self.value(Kind::Hidden, UNKNOWN, value))
                }
            };
            out.insert(name, value);
        }
        out
    }

    fn value(&mut self, kind: Kind, key: &str, value: &Value) -> Value {
        match (kind, value) {
            (_, Value::Array(items)) => {
                Value::Array(items.iter().map(|item| self.value(kind, key, item)).collect())
            }
            (Kind::Inside, Value::Dictionary(fields)) => Value::Dictionary(self.dictionary(fields)),
            (Kind::ByIdentifier, Value::Dictionary(fields)) => self.table(Kind::Identifier, fields),
            (Kind::ByBundle, Value::Dictionary(fields)) => self.table(Kind::Bundle, fields),
            (_, Value::Dictionary(fields)) => self.hidden_table(fields),
            (Kind::Flag, Value::Boolean(_)) => value.clone(),
            // Some devices send 0 and 1 for a boolean (3.5).
            (Kind::Flag, Value::Integer(n)) if matches!(n.as_signed(), Some(0 | 1)) => value.clone(),
            (Kind::Number, Value::Integer(n))
                if n.as_signed().is_some_and(|n| n.unsigned_abs() <= MOST_NUMBER.unsigned_abs()) =>
            {
                value.clone()
            }
            (Kind::Now, Value::Real(time)) => Value::Real(self.ahead(*time)),
            (Kind::Now, Value::Integer(n)) => {
                let time = n.as_signed().map_or(f64::MAX, |n| n as f64);
                Value::Integer((self.ahead(time) as i64).into())
            }
            (_, Value::String(text)) => Value::String(self.text(kind, key, text)),
            (_, Value::Data(bytes)) => Value::Data(self.padded(key, bytes).into_bytes()),
            (_, Value::Integer(n)) => self.integer(key, *n),
            (_, Value::Real(_)) => Value::Real(0.0),
            (_, Value::Date(_)) => Value::Date(Date::from(UNIX_EPOCH)),
            (_, Value::Boolean(_)) => Value::Boolean(false),
            _ => Value::String(String::new()),
        }
    }

    /// Dictionaries by names of this kind.
    fn table(&mut self, names: Kind, fields: &Dictionary) -> Value {
        let mut out = Dictionary::new();
        for (name, inside) in sorted(fields) {
            let name = self.text(names, UNKNOWN, name);
            out.insert(name, self.value(Kind::Inside, UNKNOWN, inside));
        }
        Value::Dictionary(out)
    }

    fn hidden_table(&mut self, fields: &Dictionary) -> Value {
        let mut out = Dictionary::new();
        for (name, inside) in sorted(fields) {
            let name = self.text(Kind::Hidden, UNKNOWN, name);
            out.insert(name, self.value(Kind::Hidden, UNKNOWN, inside));
        }
        Value::Dictionary(out)
    }

    /// How far a device's time is ahead, in whole minutes.
    fn ahead(&self, time: f64) -> f64 {
        let ahead = ((time - self.now.unwrap_or_default()) / 60.0).round() * 60.0;
        // Plus zero: there is no negative one then.
        if ahead.is_finite() { ahead.clamp(-MOST_AHEAD, MOST_AHEAD) + 0.0 } else { 0.0 }
    }

    fn text(&mut self, kind: Kind, key: &str, text: &str) -> String {
        // What was too short or too long for its form has this one, whatever its length is now.
        if text.starts_with(&format!("~{key}-")) {
            return self.padded(key, text.as_bytes());
        }
        // A station compares these without case, so in a replay they must be one.
        let upper =
            matches!(kind, Kind::Udid | Kind::Uuid | Kind::Address).then(|| text.to_ascii_uppercase());
        let text = upper.as_deref().unwrap_or(text);
        match kind {
            Kind::Word if self.may_say(key, text) => text.to_owned(),
            Kind::Bundle if text == COMPANY_PORTAL => text.to_owned(),
            Kind::Identifier if text == INTUNE_ENROLLMENT => text.to_owned(),
            Kind::Udid if text.len() == 25 => self.zeros(key, text, |n| format!("00000000-{n:016}")),
            // The same without its dash (0.4).
            Kind::Udid if text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                let (begin, end) = text.split_at(8);
                self.text(kind, key, &format!("{begin}-{end}")).replace('-', "")
            }
            Kind::Udid if text.len() == 40 => self.zeros(key, text, |n| format!("{n:040}")),
            Kind::Uuid if text.len() == 36 => {
                self.zeros(key, text, |n| format!("00000000-0000-4000-8000-{n:012}"))
            }
            Kind::Address if text.len() == 17 => {
                self.zeros(key, text, |n| format!("00:00:00:00:{:02}:{:02}", n / 100, n % 100))
            }
            Kind::Digits if (6..=40).contains(&text.len()) => {
                let width = text.len();
                self.zeros(key, text, |n| format!("{n:0width$}"))
            }
            Kind::Identifier if text.starts_with(INTUNE) => self.numbered(&format!("{INTUNE}profile-"), text),
            Kind::Identifier => self.numbered(IDENTIFIER, text),
            Kind::Bundle => self.numbered(BUNDLE, text),
            _ => self.padded(key, text.as_bytes()),
        }
    }

    /// True if this word of a protocol may be written. A name that is known gives nothing away,
    /// even if somebody's device is called so.
    fn may_say(&self, key: &str, word: &str) -> bool {
        is_word(word)
            && match vocabulary(key) {
                Some(Vocabulary::Names(lists)) => lists.iter().any(|names| names.contains(&word)),
                Some(Vocabulary::Form(is_so)) => is_so(word) && !self.repeats(word),
                None => false,
            }
    }

    /// True if `word` is, or holds, what was met as a secret.
    fn repeats(&self, word: &str) -> bool {
        let word = word.to_ascii_uppercase();
        let parts = word.as_bytes();
        !self.met.is_empty()
            && REPEATED_BYTES
                .into_iter()
                .any(|n| parts.windows(n).any(|part| self.met.contains(&sha256(part))))
    }

    /// What words must not repeat from now on. Under a key that nobody named stands the build
    /// of the system once more, which is no secret.
    fn meet(&mut self, key: &str, secret: &[u8]) {
        if key != UNKNOWN && REPEATED_BYTES.contains(&secret.len()) {
            self.met.insert(sha256(&secret.to_ascii_uppercase()));
        }
    }

    /// `begin` and a number with zeros up to the class of the text's length.
    fn numbered(&mut self, begin: &str, text: &str) -> String {
        let width = class(text.len().max(begin.len() + 4)) - begin.len();
        self.zeros(begin, text, |n| format!("{begin}{n:0width$}"))
    }

    /// The secret's number in the `form` of what it stands for.
    fn zeros(&mut self, name: &str, text: &str, form: impl Fn(u32) -> String) -> String {
        match number_at_end(text).filter(|n| form(*n) == text) {
            Some(number) => {
                self.seen(name, number);
                text.to_owned()
            }
            None => form(self.number(name, text.as_bytes())),
        }
    }

    /// `~Key-1~~~`, up to the class of the secret's length. What is empty holds no secret.
    fn padded(&mut self, key: &str, secret: &[u8]) -> String {
        if secret.is_empty() {
            return String::new();
        }
        let begin = format!("~{key}-");
        let form = |n: u32| {
            let mut out = format!("{begin}{n}");
            let wanted = class(secret.len().max(out.len()));
            out.extend(std::iter::repeat_n('~', wanted - out.len()));
            out
        };
        let said = std::str::from_utf8(secret).ok().and_then(|text| text.strip_prefix(&begin));
        let said = said.and_then(|rest| rest.trim_end_matches('~').parse().ok());
        match said.filter(|n| *n <= MOST_SECRETS && form(*n).as_bytes() == secret) {
            Some(number) => {
                self.seen(key, number);
                form(number)
            }
            None => form(self.number(key, secret)),
        }
    }

    fn integer(&mut self, key: &str, secret: plist::Integer) -> Value {
        let is_wide = secret.as_signed().is_none_or(|n| i32::try_from(n).is_err());
        let base = if is_wide { WIDE } else { NARROW };
        let said = secret.as_unsigned().and_then(|n| u32::try_from(n.checked_sub(base)?).ok());
        let number = match said.filter(|n| *n <= MOST_SECRETS) {
            Some(number) => {
                self.seen(key, number);
                number
            }
            None => self.number(key, secret.to_string().as_bytes()),
        };
        Value::Integer((base + u64::from(number)).into())
    }

    fn number(&mut self, name: &str, secret: &[u8]) -> u32 {
        let digest = sha256(&[name.as_bytes(), &[0], secret].concat());
        if let Some(number) = self.numbers.get(&digest) {
            return *number;
        }
        if self.numbers.len() >= MOST_SECRETS as usize {
            return 0;
        }
        self.meet(name, secret);
        let last = self.last.entry(name.to_owned()).or_default();
        let number = if *last < MOST_SECRETS { *last + 1 } else { 0 };
        *last = (*last).max(number);
        self.numbers.insert(digest, number);
        number
    }

    /// A number that is taken: what is met later gets another.
    fn seen(&mut self, name: &str, number: u32) {
        if self.last.len() < MOST_SECRETS as usize && number <= MOST_SECRETS {
            let last = self.last.entry(name.to_owned()).or_default();
            *last = (*last).max(number);
        }
    }
}

/// Numbers are given in this order, so that they do not depend on how a peer orders its keys.
fn sorted(fields: &Dictionary) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = fields.iter().collect();
    all.sort_by_key(|(key, _)| *key);
    all
}

/// The class of a length.
fn class(length: usize) -> usize {
    length.clamp(LEAST_CLASS, MOST_CLASS).next_power_of_two()
}

/// True if `text` may be the name of something in a protocol.
fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b',');
    !text.is_empty() && text.len() <= WORD_BYTES && text.bytes().all(plain)
}

/// The number that the last digits are; of a hardware address without its colons.
fn number_at_end(text: &str) -> Option<u32> {
    let digits = match text.strip_prefix("00:00:00:00:") {
        Some(tail) => tail.replace(':', ""),
        None => text.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().to_owned(),
    };
    digits.parse().ok().filter(|n| *n <= MOST_SECRETS)
}
