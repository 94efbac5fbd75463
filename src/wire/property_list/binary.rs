//! Checks a binary property list (`bplist00`) before the plist crate reads it.
//!
//! Layout: magic, objects, offset table, trailer of 32 bytes (6 unused, offset size,
//! reference size, then object count, root object and table offset as big-endian u64).
//! Objects refer to others by number, so a few bytes may unfold to billions of objects
//! (profiles-and-enrollment.md 1.2); the walk counts every visit against the budget.

use super::{Budget, PlistError};

const MAGIC: &[u8] = b"bplist00";
const TRAILER: usize = 32;
/// Seconds since 2001 at which the years 1 and 9999 begin and end (UTC).
const DATES: std::ops::RangeInclusive<f64> = -63_113_904_000.0..=252_423_993_599.0;

/// Walks every object from the root, shared ones each time they are reached.
pub(super) fn check(bytes: &[u8], budget: Budget) -> Result<(), PlistError> {
    let table = Table::read(bytes, budget)?;
    let mut walk = Walk {
        objects: 0,
        data: 0,
        on_path: vec![false; table.count],
        path: Vec::new(),
        table: &table,
        budget,
    };
    walk.visit(table.root, false)?;
    while let Some(frame) = walk.path.last_mut() {
        if frame.next == frame.count {
            walk.on_path[frame.object] = false;
            walk.path.pop();
            continue;
        }
        let (at, is_key) = (frame.refs + frame.next * table.ref_size, frame.next < frame.keys);
        frame.next += 1;
        let object = table.reference(at)?;
        walk.visit(object, is_key)?;
    }
    Ok(())
}

/// The trailer, checked, and the way from an object's number to its bytes.
struct Table<'a> {
    bytes: &'a [u8],
    offset_size: usize,
    ref_size: usize,
    count: usize,
    root: usize,
    /// Start of the offset table: objects end here.
    start: usize,
}

impl<'a> Table<'a> {
    fn read(bytes: &'a [u8], budget: Budget) -> Result<Self, PlistError> {
        if bytes.len() < MAGIC.len() + TRAILER {
            return Err(PlistError::Truncated { offset: bytes.len() });
        }
        if !bytes.starts_with(MAGIC) {
            return Err(damaged("unknown version", MAGIC.len() - 2));
        }
        let trailer = bytes.len() - TRAILER;
        let field = |at: usize| uint(bytes, trailer + at, 8).and_then(|n| usize::try_from(n).ok());
        let (Some(count), Some(root), Some(start)) = (field(8), field(16), field(24)) else {
            return Err(damaged("impossible trailer", trailer));
        };
        let size = |at: usize| match bytes[trailer + at] {
            size @ (1 | 2 | 3 | 4 | 8) => Ok(usize::from(size)),
            _ => Err(damaged("impossible integer size in the trailer", trailer + at)),
        };
        let (offset_size, ref_size) = (size(6)?, size(7)?);
        let end = count.checked_mul(offset_size).and_then(|n| n.checked_add(start));
        if count == 0 || root >= count || start < MAGIC.len() || end != Some(trailer) {
            return Err(damaged("the object table does not fit the file", trailer));
        }
        // After the fit, so that a damaged trailer is not called a bomb.
        if count > budget.objects {
            return Err(PlistError::TooManyObjects { limit: budget.objects });
        }
        Ok(Self { bytes, offset_size, ref_size, count, root, start })
    }

    /// Where an object's bytes begin.
    fn offset(&self, object: usize) -> Result<usize, PlistError> {
        let at = self.start + object * self.offset_size;
        uint(self.bytes, at, self.offset_size)
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (MAGIC.len()..self.start).contains(n))
            .ok_or_else(|| damaged("an object lies outside the file", at))
    }

    /// The object number written at `at`.
    fn reference(&self, at: usize) -> Result<usize, PlistError> {
        uint(self.bytes, at, self.ref_size)
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n < self.count)
            .ok_or_else(|| damaged("a reference to a missing object", at))
    }

    /// Length of an object whose marker stands at `at`, and where its content begins.
    fn length(&self, at: usize) -> Result<(usize, usize), PlistError> {
        let short = usize::from(self.bytes[at] & 0x0f);
        if short != 0x0f {
            return Ok((short, at + 1));
        }
        let wrong = || damaged("an impossible length", at);
        let marker = *self.bytes.get(at + 1).filter(|m| (0x10..=0x13).contains(*m)).ok_or_else(wrong)?;
        let width = 1 << (marker & 0x0f);
        let length = uint(self.bytes, at + 2, width).and_then(|n| usize::try_from(n).ok());
        Ok((length.ok_or_else(wrong)?, at + 2 + width))
    }

    /// That `count` items of `width` bytes from `content` end before the offset table.
    fn fits(&self, content: usize, count: usize, width: usize) -> Result<usize, PlistError> {
        let size = count.checked_mul(width).filter(|n| *n <= self.start.saturating_sub(content));
        size.filter(|_| content <= self.start).ok_or_else(|| damaged("a length beyond the file", content))
    }
}

/// An array or dictionary whose children are being visited.
struct Frame {
    object: usize,
    /// Where its references stand.
    refs: usize,
    /// How many references: for a dictionary, keys and values.
    count: usize,
    /// How many of them, the first ones, are keys.
    keys: usize,
    next: usize,
}

struct Walk<'t, 'a> {
    table: &'t Table<'a>,
    budget: Budget,
    objects: usize,
    data: usize,
    on_path: Vec<bool>,
    path: Vec<Frame>,
}

impl Walk<'_, '_> {
    fn visit(&mut self, object: usize, is_key: bool) -> Result<(), PlistError> {
        self.objects += 1;
        if self.objects > self.budget.objects {
            return Err(PlistError::TooManyObjects { limit: self.budget.objects });
        }
        let at = self.table.offset(object)?;
        let marker = self.table.bytes[at];
        if is_key && !matches!(marker >> 4, 0x5 | 0x6) {
            return Err(damaged("a dictionary key that is not text", at));
        }
        match (marker >> 4, marker & 0x0f) {
            (0x0, 0x8 | 0x9) => Ok(()),
            (0x3, 0x3) => self.date(at),
            (0x1, size @ 0..=4) | (0x2, size @ 2..=3) => self.table.fits(at + 1, 1, 1 << size).map(|_| ()),
            (0x8, size @ 0..=7) => self.table.fits(at + 1, 1, usize::from(size) + 1).map(|_| ()),
            (0x4 | 0x5, _) => self.leaf(at, 1),
            (0x6, _) => self.leaf(at, 2),
            (0xa, _) => self.enter(object, at, 0),
            (0xd, _) => self.enter(object, at, 1),
            _ => Err(damaged("an object of unknown type", at)),
        }
    }

    /// The crate panics when it writes a year that RFC 3339 cannot say.
    fn date(&self, at: usize) -> Result<(), PlistError> {
        let content = self.table.fits(at + 1, 1, 8).map(|_| uint(self.table.bytes, at + 1, 8))?;
        match content.map(f64::from_bits) {
            Some(seconds) if DATES.contains(&seconds) => Ok(()),
            _ => Err(damaged("a date outside the years 1 to 9999", at)),
        }
    }

    fn leaf(&mut self, at: usize, width: usize) -> Result<(), PlistError> {
        let (length, content) = self.table.length(at)?;
        self.data = self.data.saturating_add(self.table.fits(content, length, width)?);
        match self.data > self.budget.bytes {
            true => Err(PlistError::TooMuchData { limit: self.budget.bytes }),
            false => Ok(()),
        }
    }

    /// `keys_each` is 1 for a dictionary (a key beside each value), 0 for an array.
    fn enter(&mut self, object: usize, at: usize, keys_each: usize) -> Result<(), PlistError> {
        if self.on_path[object] {
            return Err(PlistError::Recursive { offset: at });
        }
        if self.path.len() >= self.budget.depth {
            return Err(PlistError::TooDeep { limit: self.budget.depth, offset: at });
        }
        let (length, refs) = self.table.length(at)?;
        self.table.fits(refs, length, self.table.ref_size * (1 + keys_each))?;
        let count = length * (1 + keys_each);
        self.on_path[object] = true;
        self.path.push(Frame { object, refs, count, keys: length * keys_each, next: 0 });
        Ok(())
    }
}

/// A big-endian integer of `size` bytes (1 to 8) at `at`.
fn uint(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let slice = bytes.get(at..at.checked_add(size)?)?;
    Some(slice.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn damaged(what: &'static str, offset: usize) -> PlistError {
    PlistError::Damaged { what, offset }
}
