//! A rule as data, and the page of all rules.

use super::findings::{Findings, Severity};
use super::subject::Subject;

/// One rule of profiles-and-enrollment.md 2.8, or one of ours (`U01` to `U03`) for what
/// 1.1, 1.2 and 1.6 ask to be told and 2.8 gives no code.
#[derive(Debug)]
pub struct Rule {
    /// The stable code, such as `L46`.
    pub code: &'static str,
    /// The severities its findings may have, the usual one first.
    pub severities: &'static [Severity],
    /// What it is about, in few words.
    pub title: &'static str,
    /// When it fires, and why that matters.
    pub explanation: &'static str,
    /// What the device says or does if the file is pushed anyway; empty if nothing.
    pub device: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    pub(super) check: fn(&Subject<'_>, &mut Findings<'_>),
}

impl Rule {
    /// The usual severity.
    pub fn severity(&self) -> Severity {
        self.severities.first().copied().unwrap_or(Severity::Error)
    }

    /// The severities in words, such as `error or warning`.
    pub fn severity_words(&self) -> String {
        self.severities.iter().map(|s| s.name()).collect::<Vec<_>>().join(" or ")
    }
}

/// The page of the crate's documentation that lists all rules.
#[cfg(test)]
pub(in crate::wire::profile) fn page() -> String {
    let mut out = String::from("\n# Rules\n");
    for rule in super::rules() {
        let Rule { code, title, explanation, device, remedy, .. } = rule;
        out.push_str(&format!("\n## {code}: {title}\n\n*{}* {explanation}\n", rule.severity_words()));
        if !device.is_empty() {
            out.push_str(&format!("\n- If pushed anyway: {device}\n"));
        } else {
            out.push('\n');
        }
        out.push_str(&format!("- Remedy: {remedy}\n"));
    }
    out
}
