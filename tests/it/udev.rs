//! The udev rules in the tree, run by a small reader of the rules language: who gets which
//! rights, and that nothing else is done.

use std::collections::BTreeMap;
use std::path::Path;

const FILES: [&str; 2] = ["70-enlist.rules", "39-usbmuxd.rules"];

/// One `KEY{attribute}op"value"`.
#[derive(Debug)]
struct Term {
    key: String,
    operator: String,
    value: String,
}

/// Rules of a file; panics at what the language, or this project, does not know.
fn rules(file: &str) -> Vec<Vec<Term>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("udev").join(file);
    let text = std::fs::read_to_string(path).unwrap().replace("\\\n", "");
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.map(|line| line.split(", ").map(|term| parse(term, file)).collect()).collect()
}

fn parse(term: &str, file: &str) -> Term {
    let at = term.find(['=', '!', '+']).unwrap_or_else(|| panic!("{file}: no operator in {term}"));
    let (key, rest) = term.split_at(at);
    let (operator, value) =
        rest.split_at(rest.find('"').unwrap_or_else(|| panic!("{file}: no value in {term}")));
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap();
    let allowed: &[&str] = match key {
        "ACTION" | "SUBSYSTEM" | "ENV{DEVTYPE}" => &["==", "!="],
        "ATTR{idVendor}" | "ATTR{idProduct}" | "ATTR{bDeviceClass}" => &["==", "!="],
        "GROUP" | "MODE" | "GOTO" | "LABEL" => &["="],
        "TAG" => &["+="],
        _ => panic!("{file}: nothing may be done by {key}"),
    };
    assert!(allowed.contains(&operator), "{file}: {operator} after {key}");
    assert!(!value.is_empty() && !value.contains('"'), "{file}: {term}");
    Term { key: key.into(), operator: operator.into(), value: value.into() }
}

/// udev's patterns, as far as they are used here: `?`, `[a-b]`, `[ab]`, `|`.
fn fits(pattern: &str, text: &str) -> bool {
    fn one(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['?', rest @ ..], [_, after @ ..]) => one(rest, after),
            (['[', ..], [c, after @ ..]) => {
                let end = pattern.iter().position(|p| *p == ']').unwrap();
                let set = &pattern[1..end];
                let range = set.len() == 3 && set[1] == '-' && (set[0]..=set[2]).contains(c);
                (range || set.contains(c)) && one(&pattern[end + 1..], after)
            }
            ([p, rest @ ..], [c, after @ ..]) => p == c && one(rest, after),
            _ => false,
        }
    }
    let text: Vec<_> = text.chars().collect();
    pattern.split('|').any(|alternative| one(&alternative.chars().collect::<Vec<_>>(), &text))
}

/// What the rules give a device: group, mode, tags.
fn apply(file: &str, device: &[(&str, &str)]) -> BTreeMap<String, String> {
    let device: BTreeMap<_, _> = device.iter().copied().collect();
    let mut given = BTreeMap::new();
    let mut skip_to: Option<String> = None;
    for rule in rules(file) {
        if let Some(label) = &skip_to {
            if !rule.iter().any(|t| t.key == "LABEL" && t.value == *label) {
                continue;
            }
            skip_to = None;
        }
        let (tests, acts): (Vec<_>, Vec<_>) = rule.into_iter().partition(|t| t.operator.ends_with("=="));
        let (not, acts): (Vec<_>, Vec<_>) = acts.into_iter().partition(|t| t.operator == "!=");
        let is = |t: &Term| fits(&t.value, device.get(t.key.as_str()).copied().unwrap_or_default());
        if !tests.iter().all(is) || not.iter().any(is) {
            continue;
        }
        for act in acts {
            match act.key.as_str() {
                "GOTO" => skip_to = Some(act.value),
                "LABEL" => {}
                _ => _ = given.insert(act.key, act.value),
            }
        }
    }
    assert_eq!(skip_to, None, "{file}: a jump to nowhere");
    given
}

fn device(file: &str, vendor: &str, product: &str, class: &str, action: &str) -> BTreeMap<String, String> {
    let of = [
        ("ACTION", action),
        ("SUBSYSTEM", "usb"),
        ("ENV{DEVTYPE}", "usb_device"),
        ("ATTR{idVendor}", vendor),
        ("ATTR{idProduct}", product),
        ("ATTR{bDeviceClass}", class),
    ];
    apply(file, &of)
}

/// Product ids of table 1.1 that the station may have to open.
fn products() -> Vec<String> {
    let ranges = [0x1290..=0x12af, 0x1901..=0x1905, 0x1280..=0x1283];
    let single = [0x8600, 0x1227, 0x1222, 0xf014, 0x1881];
    ranges.into_iter().flatten().chain(single).map(|id: u32| format!("{id:04x}")).collect()
}

#[test]
fn every_device_of_table_1_1_is_given_to_the_group() {
    for file in FILES {
        for product in products() {
            let given = device(file, "05ac", &product, "00", "add");
            let rights: Vec<_> = ["GROUP", "MODE", "TAG"].map(|key| given[key].as_str()).into();
            assert_eq!(rights, ["enlist", "0660", "uaccess"], "{file}: {product}");
            // `udevadm trigger` sends change, not add.
            assert_eq!(device(file, "05ac", &product, "00", "change"), given);
            assert!(device(file, "05ac", &product, "00", "remove").is_empty());
        }
        let hub = device(file, "1d6b", "0002", "09", "add");
        assert_eq!((hub["GROUP"].as_str(), hub["MODE"].as_str()), ("enlist", "0664"));
    }
}

#[test]
fn nothing_else_is_touched() {
    for file in FILES {
        // A keyboard of Apple's, a stick of somebody's, the ids just outside the ranges.
        for (vendor, product) in
            [("05ac", "024f"), ("0781", "12a8"), ("05ac", "12b0"), ("05ac", "1906"), ("05ac", "1284")]
        {
            assert!(device(file, vendor, product, "00", "add").is_empty(), "{file}: {vendor}:{product}");
        }
        let interface = [("ACTION", "add"), ("SUBSYSTEM", "usb"), ("ENV{DEVTYPE}", "usb_interface")];
        assert!(apply(file, &interface).is_empty());
        // Neither a configuration (7.1: it cuts Macs off) nor a program; the reader knows no
        // such key, and this says it of the whole text.
        let acts = rules(file).into_iter().flatten();
        assert!(acts.into_iter().all(|t| !t.key.contains("bConfigurationValue") && t.key != "RUN"));
    }
}
