//! Which blueprint a device gets, and why.

use super::{Blueprint, Match, Subject};
use crate::device::facts::OsVersion;

/// What was picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picked<'b> {
    /// This one, for this reason.
    One(&'b Blueprint, String),
    /// None fits.
    None,
    /// The manifest names one that is not there.
    NotThere(String),
    /// The manifest names one that is not for such a device, for this reason.
    NotFor(&'b Blueprint, String),
    /// Two fit equally well.
    Ambiguous(&'b Blueprint, &'b Blueprint),
}

/// Picks. The manifest's word comes first, then the priority, then how much a blueprint asks
/// for.
pub fn pick<'b>(blueprints: &'b [Blueprint], subject: &Subject<'_>) -> Picked<'b> {
    if let Some(wanted) = subject.wanted {
        let named = blueprints.iter().find(|b| b.name.eq_ignore_ascii_case(wanted));
        return match named {
            None => Picked::NotThere(wanted.to_owned()),
            Some(blueprint) => match blueprint.of.fits(subject) {
                Ok(_) => Picked::One(blueprint, "the manifest names it".to_owned()),
                Err(reason) => Picked::NotFor(blueprint, reason),
            },
        };
    }
    let fitting = blueprints.iter().filter_map(|b| Some((b, b.of.fits(subject).ok()?)));
    let mut fitting: Vec<_> = fitting.map(|(b, reasons)| ((b.priority, reasons.len()), b, reasons)).collect();
    fitting.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    match &fitting[..] {
        [] => Picked::None,
        [(rank, one, _), (same, other, _), ..] if rank == same => Picked::Ambiguous(one, other),
        [(_, one, reasons), ..] if reasons.is_empty() => {
            Picked::One(one, "it is for every device".to_owned())
        }
        [(_, one, reasons), ..] => Picked::One(one, reasons.join(", ")),
    }
}

impl Match {
    /// What of it the device meets, in words; or what it does not.
    fn fits(&self, subject: &Subject<'_>) -> Result<Vec<String>, String> {
        let facts = subject.facts;
        let mut met = Vec::new();
        let mut one_of = |what: &str, list: &[String], is: Option<&str>, same: fn(&str, &str) -> bool| {
            if list.is_empty() {
                return Ok(());
            }
            match is.filter(|is| list.iter().any(|one| same(one, is))) {
                Some(is) => {
                    met.push(format!("its {what} is {is}"));
                    Ok(())
                }
                None => Err(format!("its {what} is {}", is.unwrap_or("not known"))),
            }
        };
        let same = |one: &str, is: &str| one.eq_ignore_ascii_case(is);
        one_of("class", &self.classes, facts.class.as_deref(), same)?;
        one_of("model", &self.models, facts.product_type.as_deref(), |pattern, is| {
            match pattern.strip_suffix('*') {
                Some(begin) => is.get(..begin.len()).is_some_and(|head| head.eq_ignore_ascii_case(begin)),
                None => pattern.eq_ignore_ascii_case(is),
            }
        })?;
        one_of("bay", &self.bays, Some(&subject.bay.0), same)?;
        one_of("tag", &self.tags, subject.tag, same)?;
        if !self.serials.is_empty() {
            let serial = facts.serial.as_deref().map(str::to_ascii_uppercase);
            match serial.filter(|serial| self.serials.contains(serial)) {
                Some(_) => met.push("its serial number is listed".to_owned()),
                None => return Err("its serial number is not listed".to_owned()),
            }
        }
        if let Some(range) = range(self.os_from, self.os_below) {
            let is = facts.os().ok_or("its system is not known")?;
            let inside =
                self.os_from.is_none_or(|from| from <= is) && self.os_below.is_none_or(|end| is < end);
            match inside {
                true => met.push(format!("its system {is} is {range}")),
                false => return Err(format!("its system {is} is not {range}")),
            }
        }
        Ok(met)
    }
}

fn range(from: Option<OsVersion>, below: Option<OsVersion>) -> Option<String> {
    match (from, below) {
        (Some(from), Some(below)) => Some(format!("from {from} and below {below}")),
        (Some(from), None) => Some(format!("{from} or newer")),
        (None, Some(below)) => Some(format!("below {below}")),
        (None, None) => None,
    }
}
