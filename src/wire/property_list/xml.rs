//! Checks an XML property list before the plist crate reads it: a tokenizer without
//! recursion, stricter than XML where the crate's reader and ours might disagree about
//! where markup ends (profiles-and-enrollment.md 1.2).

use super::{Budget, PlistError};

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Walks the markup and returns the text to parse: the input without byte-order mark and
/// leading blanks.
pub(super) fn check(bytes: &[u8], budget: Budget) -> Result<&[u8], PlistError> {
    let body = bytes.strip_prefix(BOM).unwrap_or(bytes).trim_ascii_start();
    let base = bytes.len() - body.len();
    if body.first() != Some(&b'<') {
        return Err(PlistError::NotPlist);
    }
    if let Err(error) = std::str::from_utf8(body) {
        let offset = base + error.valid_up_to();
        // A character cut in two is the end of a cut file, not another encoding.
        return Err(match error.error_len() {
            None => PlistError::Truncated { offset: bytes.len() },
            Some(_) => PlistError::Encoding { offset },
        });
    }
    foreign_encoding(body, base)?;
    Scan { bytes: body, base, at: 0, budget, open: 0, containers: 0, elements: 0, finished: false }.run()?;
    Ok(body)
}

/// Bytes that are valid UTF-8 by chance while the declaration says Latin-1 would be read
/// as other characters than the author wrote. UTF-16 is allowed: transcoded files keep it.
fn foreign_encoding(body: &[u8], base: usize) -> Result<(), PlistError> {
    let Some(first) = body.iter().position(|byte| !byte.is_ascii()) else { return Ok(()) };
    let Some(end) = body.starts_with(b"<?xml").then(|| find(body, 0, b"?>")).flatten() else { return Ok(()) };
    let declaration = body[..end].to_ascii_lowercase();
    let foreign =
        find(&declaration, 0, b"encoding").is_some_and(|at| find(&declaration, at, b"utf").is_none());
    match foreign {
        true => Err(PlistError::Encoding { offset: base + first }),
        false => Ok(()),
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    /// What was cut off in front, for offsets in messages.
    base: usize,
    at: usize,
    budget: Budget,
    open: usize,
    containers: usize,
    elements: usize,
    /// The root element is closed.
    finished: bool,
}

impl Scan<'_> {
    fn run(&mut self) -> Result<(), PlistError> {
        while self.at < self.bytes.len() {
            match self.bytes[self.at] {
                b'<' => self.markup()?,
                _ => self.text()?,
            }
        }
        match self.finished && self.open == 0 {
            true => Ok(()),
            false => Err(self.truncated()),
        }
    }

    fn text(&mut self) -> Result<(), PlistError> {
        let end = find(self.bytes, self.at, b"<").unwrap_or(self.bytes.len());
        if self.open == 0
            && let Some(stray) = self.bytes[self.at..end].iter().position(|b| !b.is_ascii_whitespace())
        {
            let offset = self.base + self.at + stray;
            return Err(match self.finished {
                true => PlistError::TrailingData { offset },
                false => PlistError::malformed("text before the first element", offset),
            });
        }
        self.references(self.at, end)?;
        self.at = end;
        Ok(())
    }

    /// Only the five entities of XML itself and numeric references may appear.
    fn references(&self, start: usize, end: usize) -> Result<(), PlistError> {
        let mut at = start;
        while let Some(found) = self.bytes[at..end].iter().position(|b| *b == b'&') {
            let name_start = at + found + 1;
            // Names are short; a longer look would make a run of '&' quadratic.
            let window = &self.bytes[name_start..end.min(name_start + 12)];
            let Some(length) = window.iter().position(|b| *b == b';') else {
                if end == self.bytes.len() && window.len() < 12 {
                    return Err(self.truncated());
                }
                return Err(PlistError::UnknownEntity { offset: self.base + name_start - 1 });
            };
            if !known_reference(&window[..length]) {
                return Err(PlistError::UnknownEntity { offset: self.base + name_start - 1 });
            }
            at = name_start + length + 1;
        }
        Ok(())
    }

    fn markup(&mut self) -> Result<(), PlistError> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"<!--") {
            // XML forbids these two; readers disagree about where such a comment ends.
            if rest[4..].starts_with(b">") || rest[4..].starts_with(b"->") {
                return Err(self.malformed("an ill-formed comment"));
            }
            return self.skip_past(4, b"-->");
        }
        if rest.starts_with(b"<![CDATA[") {
            return Err(PlistError::Cdata { offset: self.base + self.at });
        }
        if rest.starts_with(b"<!DOCTYPE") {
            return self.doctype();
        }
        if rest.starts_with(b"<!ENTITY") {
            return Err(PlistError::EntityDefinition { offset: self.base + self.at });
        }
        if is_prefix(rest, &[b"<!--", b"<![CDATA[", b"<!DOCTYPE", b"<?x"]) {
            return Err(self.truncated());
        }
        match rest.get(1) {
            Some(b'?') if rest[2].is_ascii_alphabetic() => self.skip_past(2, b"?>"),
            Some(b'/') => self.end_tag(),
            Some(first) if first.is_ascii_alphabetic() => self.start_tag(),
            None => Err(self.truncated()),
            Some(_) => Err(self.malformed("ill-formed markup")),
        }
    }

    fn skip_past(&mut self, from: usize, end: &[u8]) -> Result<(), PlistError> {
        self.at = find(self.bytes, self.at + from, end).ok_or_else(|| self.truncated())? + end.len();
        Ok(())
    }

    fn doctype(&mut self) -> Result<(), PlistError> {
        let end = find(self.bytes, self.at, b">").ok_or_else(|| self.definition_or_cut())?;
        let inside = &self.bytes[self.at + 1..end];
        if let Some(found) = inside.iter().position(|b| matches!(*b, b'[' | b'<')) {
            return Err(PlistError::EntityDefinition { offset: self.base + self.at + 1 + found });
        }
        if self.open > 0 || self.finished {
            return Err(self.malformed("a DOCTYPE in the middle"));
        }
        self.at = end + 1;
        Ok(())
    }

    fn definition_or_cut(&self) -> PlistError {
        match find(self.bytes, self.at, b"[") {
            Some(found) => PlistError::EntityDefinition { offset: self.base + found },
            None => self.truncated(),
        }
    }

    fn end_tag(&mut self) -> Result<(), PlistError> {
        let end = find(self.bytes, self.at, b">").ok_or_else(|| self.truncated())?;
        let name = self.bytes[self.at + 2..end].trim_ascii_end();
        if self.open == 0 || !name.iter().all(is_name_byte) {
            return Err(self.malformed("an ill-formed closing tag"));
        }
        self.at = end + 1;
        self.close(is_container(name));
        Ok(())
    }

    fn start_tag(&mut self) -> Result<(), PlistError> {
        if self.finished {
            return Err(PlistError::TrailingData { offset: self.base + self.at });
        }
        let start = self.at + 1;
        let end = self.tag_end(start)?;
        self.references(start, end)?;
        let inside = &self.bytes[start..end];
        let name = &inside[..inside.iter().position(|b| !is_name_byte(b)).unwrap_or(inside.len())];
        let empty = inside.ends_with(b"/");
        let container = is_container(name);
        self.elements += 1;
        self.containers += usize::from(container);
        self.open += 1;
        if self.containers > self.budget.depth {
            return Err(PlistError::TooDeep { limit: self.budget.depth, offset: self.base + self.at });
        }
        // The wrapper is no object of the list.
        if self.elements > self.budget.objects.saturating_add(1) {
            return Err(PlistError::TooManyObjects { limit: self.budget.objects });
        }
        self.at = end + 1;
        if empty {
            self.close(container);
            return Ok(());
        }
        match local(name) == b"date" {
            true => self.date(),
            false => Ok(()),
        }
    }

    /// The crate panics on a date that an offset moves beyond the years 0 to 9999; dates of
    /// a property list are in UTC, in plain text.
    fn date(&self) -> Result<(), PlistError> {
        let end = find(self.bytes, self.at, b"<").ok_or_else(|| self.truncated())?;
        let text = self.bytes[self.at..end].trim_ascii();
        let plain = text.ends_with(b"Z") && !text.contains(&b'&') && self.bytes[end..].starts_with(b"</");
        match plain || end + 1 == self.bytes.len() {
            true => Ok(()),
            false => Err(self.malformed("a date that is not in UTC")),
        }
    }

    /// The `>` that ends a tag: quoted ones do not count; a `<` never belongs in a tag.
    fn tag_end(&self, start: usize) -> Result<usize, PlistError> {
        let mut quote = None;
        for (index, byte) in self.bytes[start..].iter().enumerate() {
            match (quote, byte) {
                (_, b'<') => return Err(self.malformed("an unfinished tag")),
                (None, b'>') => return Ok(start + index),
                (None, b'"' | b'\'') => quote = Some(*byte),
                (Some(open), byte) if open == *byte => quote = None,
                _ => {}
            }
        }
        Err(self.truncated())
    }

    fn close(&mut self, container: bool) {
        self.open -= 1;
        self.containers = self.containers.saturating_sub(usize::from(container));
        self.finished = self.open == 0;
    }

    fn truncated(&self) -> PlistError {
        PlistError::Truncated { offset: self.base + self.bytes.len() }
    }

    fn malformed(&self, what: &str) -> PlistError {
        PlistError::malformed(what, self.base + self.at)
    }
}

fn known_reference(name: &[u8]) -> bool {
    match name {
        b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => true,
        [b'#', b'x', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit),
        [b'#', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_name_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(*byte, b':' | b'_' | b'-' | b'.')
}

/// The crate looks at the part after a namespace prefix only.
fn is_container(name: &[u8]) -> bool {
    matches!(local(name), b"array" | b"dict")
}

fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|b| *b == b':').next().unwrap_or(name)
}

/// Whether the input ends inside one of these openings.
fn is_prefix(rest: &[u8], openings: &[&[u8]]) -> bool {
    openings.iter().any(|opening| rest.len() < opening.len() && opening.starts_with(rest))
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|window| window == what).map(|at| from + at)
}
