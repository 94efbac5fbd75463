//! Reading typed fields out of a peer's dictionary without trusting it.

use plist::{Dictionary, Value};

/// Typed views of a dictionary's fields; a missing or mistyped field is `None`.
pub trait Fields {
    /// A string.
    fn text(&self, key: &str) -> Option<&str>;
    /// A boolean; integers 0 and 1 count, as some devices send them (protocols.md 3.5).
    fn flag(&self, key: &str) -> Option<bool>;
    /// An integer that may be negative.
    fn int(&self, key: &str) -> Option<i64>;
    /// An integer that may exceed `i64`; a negative one is reinterpreted, because some
    /// plist writers print large unsigned values so (protocols.md 3.4).
    fn uint(&self, key: &str) -> Option<u64>;
    /// Bytes.
    fn bytes(&self, key: &str) -> Option<&[u8]>;
    /// A dictionary.
    fn dict(&self, key: &str) -> Option<&Dictionary>;
    /// An array.
    fn list(&self, key: &str) -> Option<&[Value]>;
}

impl Fields for Dictionary {
    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_string()
    }

    fn flag(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        value.as_boolean().or_else(|| value.as_unsigned_integer().map(|n| n != 0))
    }

    fn int(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_signed_integer()
    }

    fn uint(&self, key: &str) -> Option<u64> {
        let value = self.get(key)?;
        value.as_unsigned_integer().or_else(|| value.as_signed_integer().map(i64::cast_unsigned))
    }

    fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.get(key)?.as_data()
    }

    fn dict(&self, key: &str) -> Option<&Dictionary> {
        self.get(key)?.as_dictionary()
    }

    fn list(&self, key: &str) -> Option<&[Value]> {
        self.get(key)?.as_array().map(Vec::as_slice)
    }
}

/// Builds a dictionary from pairs, leaving out `None`s.
pub fn dictionary<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Dictionary {
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// A string value.
pub fn string(text: impl Into<String>) -> Option<Value> {
    Some(Value::String(text.into()))
}

/// A data value.
pub fn data(bytes: impl Into<Vec<u8>>) -> Option<Value> {
    Some(Value::Data(bytes.into()))
}
