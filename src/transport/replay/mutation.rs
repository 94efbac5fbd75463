//! Answers that are changed at random, the same way for the same seed: what a device says that
//! was never recorded. The station must end its job in words all the same.

use crate::wire::plist_frame;
use fastrand::Rng;
use plist::{Dictionary, Value};
use std::time::Duration;

/// One answer in so many is changed: most jobs then get past the first ones.
const ONE_IN: u32 = 8;

/// What an answer that is late is late by: below and above what is waited for it.
const LATE: [Duration; 4] =
    [Duration::from_millis(700), Duration::from_secs(20), Duration::from_secs(90), Duration::from_secs(600)];

/// Errors of lockdown and statuses of MCInstall that may come any time (3.12, 4.2).
const ERRORS: &[&str] = &[
    "InvalidHostID",
    "PasswordProtected",
    "SessionInactive",
    "MissingValue",
    "ServiceProhibited",
    "InvalidService",
    "UserDeniedPairing",
    "PairingDialogResponsePending",
    "InternalError",
    "CommandFormatError",
    "Error",
    "NeverHeardOf",
];

/// How an answer comes instead.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Instead {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These, and the connection ends.
    Cut(Vec<u8>),
    /// This, but later.
    Late(Duration, Vec<u8>),
    /// Nothing.
    Silence,
    /// The device goes, and comes back after this long.
    Slip(Duration),
}

/// Changes answers.
#[derive(Debug)]
pub(super) struct Mutator {
    rng: Rng,
    /// How many were changed.
    pub(super) changed: usize,
}

impl Mutator {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), changed: 0 }
    }

    /// What comes instead of this answer; `None`: it comes as it is.
    pub(super) fn instead(&mut self, answer: &Dictionary) -> Option<Instead> {
        if self.rng.u32(..ONE_IN) != 0 {
            return None;
        }
        self.changed += 1;
        let whole = plist_frame::encode(&Value::Dictionary(answer.clone()));
        Some(match self.rng.u8(..12) {
            0 => Instead::Cut(whole[..self.rng.usize(..whole.len())].to_vec()),
            1 => Instead::Cut(whole),
            2 => Instead::Silence,
            3 => Instead::Late(self.pick(&LATE), whole),
            4 => Instead::Bytes(self.flipped(whole)),
            5 => Instead::Bytes(b"\0\0\0\x18these are no XML at all.".to_vec()),
            6 => Instead::Slip(self.pick(&LATE)),
            _ => {
                let mut changed = answer.clone();
                self.change(&mut changed, 0);
                Instead::Bytes(plist_frame::encode(&Value::Dictionary(changed)))
            }
        })
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.rng.usize(..among.len())].clone()
    }

    /// A byte of the frame's body is another one.
    fn flipped(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        if frame.len() > 4 {
            let at = self.rng.usize(4..frame.len());
            frame[at] ^= 1 << self.rng.u8(..8);
        }
        frame
    }

    /// Changes one field, here or further in.
    fn change(&mut self, fields: &mut Dictionary, depth: u8) {
        let keys: Vec<String> = fields.keys().cloned().collect();
        if keys.is_empty() || self.rng.u8(..6) == 0 {
            let name = self.pick(ERRORS).to_owned();
            let key = if fields.contains_key("Status") { "Status" } else { "Error" };
            fields.insert(key.to_owned(), Value::String(name));
            return;
        }
        let key = self.pick(&keys);
        match fields.get_mut(&key) {
            Some(Value::Dictionary(inside)) if depth < 4 && self.rng.u8(..4) != 0 => {
                self.change(inside, depth + 1);
            }
            Some(value) if self.rng.u8(..4) != 0 => *value = self.other(value),
            _ => _ = fields.remove(&key),
        }
    }

    fn other(&mut self, value: &Value) -> Value {
        match value {
            Value::Boolean(flag) if self.rng.bool() => Value::Boolean(!flag),
            Value::Integer(_) if self.rng.bool() => Value::Integer(self.rng.i64(..).into()),
            Value::String(text) if self.rng.bool() => {
                let keep = self.rng.usize(..=text.chars().count());
                Value::String(text.chars().take(keep).chain(['\u{7}', 'x']).collect())
            }
            _ => match self.rng.u8(..6) {
                0 => Value::Boolean(self.rng.bool()),
                1 => Value::Integer(self.rng.i32(..).into()),
                2 => Value::String("of another type".to_owned()),
                3 => Value::Data(vec![0xff; self.rng.usize(..64)]),
                4 => Value::Array(vec![value.clone(); self.rng.usize(..3)]),
                _ => Value::Dictionary(Dictionary::from_iter([("Error", Value::from(7))])),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::{dictionary, string};

    #[test]
    fn the_same_seed_changes_the_same() {
        let answer = dictionary([("Request", string("GetValue")), ("Value", string("x"))]);
        let run = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..500).map(|_| mutator.instead(&answer)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let changed = run(7).iter().flatten().count();
        assert!((10..120).contains(&changed), "{changed}");
    }
}
