//! The linter: every rule of profiles-and-enrollment.md 2.8, applied to a file.
//!
//! Start at [`lint`]. A rule is data ([`Rule`]) and a function from the subject, which is
//! the file taken apart and what is known about job, device and clock ([`LintContext`]), to
//! findings. The rules live in files by noun. [`super::Profile::load`] decides whether a
//! file is pushed; what it refuses is always among the errors found here, because both ask
//! the same functions.
//!
//! The rest of this page is written by the rules themselves (a test compares them;
//! `ENLIST_REFRESH_FIXTURES=1` rewrites it).
#![doc = include_str!("RULES.md")]

mod acme;
mod age;
mod certificates;
mod container;
mod context;
mod device;
mod findings;
mod hosts;
mod identifiers;
mod installed;
mod known;
mod mdm;
mod pkcs12;
mod root;
mod rule;
mod scep;
mod secrets;
mod subject;
mod trust;
mod types;
mod wifi;

pub(in crate::wire::profile) use acme::product_attests;
pub(super) use age::claims_inside;
pub use age::{ExportAge, export_age};
pub use context::{DeviceContext, Installed, InstalledMdm, Job, LintContext, LintPolicy, OsVersion};
pub use findings::{Finding, Lint, Severity, Verdict};
pub use rule::Rule;
#[cfg(test)]
pub(in crate::wire::profile) use rule::page;

use super::parts::Parts;
use super::signature::TrustAnchors;
use findings::Findings;
use std::sync::LazyLock;
use subject::Subject;

/// All rules, by code.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    SORTED.iter().copied()
}

/// The rule with this code; letter case does not matter.
pub fn rule(code: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.code.eq_ignore_ascii_case(code.trim()))
}

static SORTED: LazyLock<Vec<&'static Rule>> = LazyLock::new(|| {
    let families = [
        root::RULES,
        identifiers::RULES,
        mdm::RULES,
        scep::RULES,
        acme::RULES,
        certificates::RULES,
        device::RULES,
        trust::RULES,
        age::RULES,
        types::RULES,
        container::RULES,
        wifi::RULES,
        secrets::RULES,
        known::RULES,
        installed::RULES,
    ];
    let mut all: Vec<_> = families.into_iter().flatten().collect();
    all.sort_by_key(|rule| rule.code);
    all
});

/// Applies every rule to a file. Signers are judged with `anchors`.
///
/// Costs time and memory in proportion to the file and its budget, whatever the file.
pub fn lint(file: &[u8], anchors: &TrustAnchors, context: &LintContext) -> Lint {
    opened(file, anchors, context, all_rules)
}

/// As [`lint`] and [`export_age`] together, for the price of one.
pub fn examine(file: &[u8], anchors: &TrustAnchors, context: &LintContext) -> (Lint, Option<ExportAge>) {
    opened(file, anchors, context, |subject| (all_rules(subject), age::of(subject)))
}

fn opened<T>(
    file: &[u8],
    anchors: &TrustAnchors,
    context: &LintContext,
    ask: impl FnOnce(&Subject<'_>) -> T,
) -> T {
    let opened = Parts::open(file, anchors, context.now).map(|mut parts| {
        let root = parts.root();
        (parts, root)
    });
    ask(&Subject::new(file.len(), &opened, context))
}

fn all_rules(subject: &Subject<'_>) -> Lint {
    let mut found = Vec::new();
    for rule in rules() {
        (rule.check)(subject, &mut Findings::of(rule, &mut found));
    }
    Lint::new(found)
}
