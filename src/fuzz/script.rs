//! Bytes as a script: what they are asked for decides what they mean, so that a mutation of one
//! byte gives another sound message and not mere noise.

use crate::wire::property_list::{Budget, parse_answer};
use plist::{Dictionary, Value};

/// Budget of lists that stand in a script as they are.
const BUDGET: Budget = Budget { bytes: 1 << 16, depth: 12, objects: 5000 };

/// Deepest nesting that is made.
const DEPTH: usize = 3;

/// The bytes as they are asked for; zeros when there are no more.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn word(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte()).min(self.0.len());
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        head
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// A number that is often small and sometimes large.
    pub(crate) fn count(&mut self) -> usize {
        match self.byte() {
            small @ 0..128 => usize::from(small),
            large => usize::from(large - 127) << 11,
        }
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = usize::from(self.byte());
        of.get(at % of.len().max(1)).copied()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// One of the words, or any text.
    pub(crate) fn text(&mut self, words: &[&str]) -> String {
        match self.byte() {
            0..32 => String::from_utf8_lossy(self.bytes()).into_owned(),
            _ => self.pick(words).unwrap_or_default().to_owned(),
        }
    }

    /// A message: a list that stands in the script, or one of these keys and texts.
    pub(crate) fn message(&mut self, keys: &[&str], words: &[&str]) -> Dictionary {
        if self.yes() {
            return self.fields(keys, words, DEPTH);
        }
        match parse_answer(self.rest(), BUDGET) {
            Ok(Value::Dictionary(fields)) => fields,
            _ => Dictionary::new(),
        }
    }

    fn fields(&mut self, keys: &[&str], words: &[&str], depth: usize) -> Dictionary {
        let count = self.byte() % 10;
        (0..count).map(|_| (self.text(keys), self.nested(keys, words, depth))).collect()
    }

    fn nested(&mut self, keys: &[&str], words: &[&str], depth: usize) -> Value {
        match self.byte() % 12 {
            0 => Value::Boolean(self.yes()),
            1 => Value::from(i64::from(self.byte()) - 100),
            2 => Value::from(u64::from(self.word()) << 32 | u64::from(self.word())),
            3 => Value::Real(f64::from(self.word()) / 16.0),
            4 => Value::Data(self.bytes().to_vec()),
            5 | 6 if depth > 0 => {
                let count = self.byte() % 6;
                Value::Array((0..count).map(|_| self.nested(keys, words, depth - 1)).collect())
            }
            7 | 8 if depth > 0 => Value::Dictionary(self.fields(keys, words, depth - 1)),
            _ => Value::String(self.text(words)),
        }
    }
}

/// Equal, or with a number in it that is not even equal to itself.
#[track_caller]
pub(crate) fn assert_same<T: PartialEq + std::fmt::Debug>(left: &T, right: &T) {
    #[allow(clippy::eq_op)] // NaN
    let comparable = left == left;
    assert!(!comparable || left == right, "{left:?} became {right:?}");
}
