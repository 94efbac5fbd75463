//! A requirement as data, and the page of all of them.

use super::{Method, rules};
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::LazyLock;

/// Number of a requirement of profiles-and-enrollment.md 4: 24 is R24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct R(pub u16);

impl R {
    /// Reads `R24`, `r24`, `24`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        text.strip_prefix(['R', 'r']).unwrap_or(text).parse().ok().map(Self)
    }
}

impl fmt::Display for R {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{}", self.0)
    }
}

impl Serialize for R {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What carries a DO or a CHECK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carrier {
    /// The item that does it, as a path such as `workflow::plan::plan`.
    pub code: &'static str,
    /// The test that shows it; its path begins with `it` if it is one of `tests/it`.
    pub test: &'static str,
}

/// What this station does about a requirement (the verbs of section 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The station does it.
    Do(Carrier),
    /// The station tests it.
    Check(Carrier),
    /// The station can only tell a person.
    Advise,
    /// Out of reach of a USB cable.
    Out,
}

impl Disposition {
    /// The verb.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Do(_) => "DO",
            Self::Check(_) => "CHECK",
            Self::Advise => "ADVISE",
            Self::Out => "OUT",
        }
    }

    /// What carries it, for DO and CHECK.
    pub fn carrier(self) -> Option<Carrier> {
        match self {
            Self::Do(carrier) | Self::Check(carrier) => Some(carrier),
            Self::Advise | Self::Out => None,
        }
    }
}

/// One requirement or fact of section 4.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// Its number.
    pub rule: R,
    /// What it says, in one sentence of ours.
    pub words: &'static str,
    /// What the station does about it.
    pub disposition: Disposition,
}

impl Requirement {
    /// The method whose section it stands in; `None` for those of 4.G, which concern all.
    pub fn method(&self) -> Option<Method> {
        Some(match self.rule.0 {
            ..=46 => Method::Direct,
            47..=72 => Method::SetupAssistant,
            73..=92 => Method::DirectMac,
            93..=159 => Method::Automated,
            160..=176 => Method::User,
            177..=186 => Method::Byod,
            187.. => return None,
        })
    }
}

/// All requirements, by number.
pub fn requirements() -> &'static [Requirement] {
    &SORTED
}

/// The requirement with this number.
pub fn requirement(rule: R) -> Option<&'static Requirement> {
    SORTED.binary_search_by_key(&rule, |r| r.rule).ok().and_then(|at| SORTED.get(at))
}

static SORTED: LazyLock<Vec<Requirement>> = LazyLock::new(|| {
    let mut all: Vec<_> = rules::FAMILIES.iter().copied().flatten().copied().collect();
    all.sort_by_key(|r| r.rule);
    all
});

pub(super) const fn done(
    rule: u16,
    words: &'static str,
    code: &'static str,
    test: &'static str,
) -> Requirement {
    Requirement { rule: R(rule), words, disposition: Disposition::Do(Carrier { code, test }) }
}

pub(super) const fn check(
    rule: u16,
    words: &'static str,
    code: &'static str,
    test: &'static str,
) -> Requirement {
    Requirement { rule: R(rule), words, disposition: Disposition::Check(Carrier { code, test }) }
}

pub(super) const fn tell(rule: u16, words: &'static str) -> Requirement {
    Requirement { rule: R(rule), words, disposition: Disposition::Advise }
}

pub(super) const fn out(rule: u16, words: &'static str) -> Requirement {
    Requirement { rule: R(rule), words, disposition: Disposition::Out }
}

/// The page of the crate's documentation that lists all requirements and conditions.
#[cfg(test)]
pub(super) fn page() -> String {
    use std::fmt::Write;
    let mut page = String::from("\n# Methods\n");
    for method in Method::ALL {
        let _ = write!(page, "\n## {method}\n\n{}\n\n", method.about());
        for condition in method.conditions() {
            let rules: Vec<_> = condition.rules.iter().map(ToString::to_string).collect();
            let _ =
                writeln!(page, "- {}: {} ({})", condition.kind.words(), condition.words, rules.join(", "));
        }
    }
    page.push_str("\n# Requirements\n\n| Rule | Verb | What | Where |\n|---|---|---|---|\n");
    for Requirement { rule, words, disposition } in requirements() {
        let place = match disposition.carrier() {
            Some(Carrier { code, test }) => format!("`{code}`, test `{test}`"),
            None => String::new(),
        };
        let _ =
            writeln!(page, "| {rule} | {} | {} | {place} |", disposition.verb(), words.replace('|', "\\|"));
    }
    page
}
