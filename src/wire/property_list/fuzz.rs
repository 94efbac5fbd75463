//! Entries for fuzzing (`tests/fuzz/`): whatever the bytes are, the two readers keep their
//! budget. Not in the program: compiled for tests and fuzzing only.

use super::{Budget, Value, duplicate_keys, parse, parse_answer, to_xml};

/// Small, so that inputs of a few kilobytes can reach every bound.
const BUDGET: Budget = Budget { bytes: 1 << 14, depth: 8, objects: 500 };

/// Most repeated keys asked for.
const MOST_KEYS: usize = 4;

/// An XML list, or what claims to be one.
pub fn xml(bytes: &[u8]) {
    assert!(duplicate_keys(bytes, BUDGET, MOST_KEYS).len() <= MOST_KEYS);
    let _ = parse_answer(bytes, BUDGET);
    list(bytes);
}

/// A binary list; the magic number is put in front where it is missing, and half of the
/// inputs get a trailer that fits, without which few would get past it.
pub fn binary_plist(bytes: &[u8]) {
    list(bytes);
    let Some((first, rest)) = bytes.split_first() else { return };
    let entries = usize::from(first & 0x1f).min(rest.len()).max(1);
    let (objects, table) = rest.split_at(rest.len().saturating_sub(entries));
    let mut whole = b"bplist00".to_vec();
    whole.extend_from_slice(objects);
    let start = whole.len() as u64;
    whole.extend_from_slice(table);
    whole.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    [table.len() as u64, 0, start].into_iter().for_each(|field| whole.extend(field.to_be_bytes()));
    list(&whole);
}

fn list(bytes: &[u8]) {
    let Ok(value) = parse(bytes, BUDGET) else { return };
    let mut objects = 0;
    count(&value, 0, &mut objects);
    // What was read can be written: it goes to devices and to the journal.
    let _ = to_xml(&value);
}

fn count(value: &Value, depth: usize, objects: &mut usize) {
    *objects += 1;
    assert!(depth <= BUDGET.depth && *objects <= BUDGET.objects, "over the budget");
    match value {
        Value::Array(items) => items.iter().for_each(|item| count(item, depth + 1, objects)),
        Value::Dictionary(entries) => {
            entries.iter().for_each(|(_, item)| count(item, depth + 1, objects));
        }
        _ => {}
    }
}
