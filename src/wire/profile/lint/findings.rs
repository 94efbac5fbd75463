//! What the rules find.

use super::rule::Rule;
use crate::wire::printable::printable;

/// Findings of one rule that are kept; a file with more has them counted in the last.
const MOST_OF_A_RULE: usize = 50;

/// Longest value shown, in characters.
const MOST_OF_A_VALUE: usize = 120;

/// What stands for a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// How bad a finding is (2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Information,
    /// Pushing is allowed; show it.
    Warning,
    /// Do not push.
    Error,
}

impl Severity {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "info",
        }
    }
}

/// One thing a rule found. Its texts are safe to print and hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Code of the rule.
    pub code: &'static str,
    /// How bad it is here.
    pub severity: Severity,
    /// Key path in the property list, such as `PayloadContent[1].ServerURL`; empty for the
    /// file as a whole.
    pub path: String,
    /// The value that stands there, where showing it helps; never a secret.
    pub value: Option<String>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
    /// A person must say or do something before the file is used (verdict HOLD of
    /// section 7).
    pub hold: bool,
}

impl Finding {
    /// Shows the value that was found, cut and escaped. Not for secrets.
    pub(super) fn value(&mut self, value: &str) -> &mut Self {
        let mut shown: String = value.chars().take(MOST_OF_A_VALUE).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        self.value = Some(printable(&shown));
        self
    }

    pub(super) fn secret(&mut self) -> &mut Self {
        self.value = Some(REDACTED.to_owned());
        self
    }

    pub(super) fn remedy(&mut self, remedy: &'static str) -> &mut Self {
        self.remedy = remedy;
        self
    }

    pub(super) fn hold(&mut self) -> &mut Self {
        self.hold = true;
        self
    }
}

/// What the findings of a file come to (section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing to say, or information only.
    Accept,
    /// Push and show.
    Warn,
    /// A person or a condition is needed first.
    Hold,
    /// Do not push.
    Refuse,
}

/// All findings of a file, the worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    findings: Vec<Finding>,
}

impl Lint {
    /// Sorted by severity, then as the rules and the file order them.
    pub(super) fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self { findings }
    }

    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// What they come to.
    pub fn verdict(&self) -> Verdict {
        let of = |finding: &Finding| match finding.severity {
            Severity::Error => Verdict::Refuse,
            _ if finding.hold => Verdict::Hold,
            Severity::Warning => Verdict::Warn,
            Severity::Information => Verdict::Accept,
        };
        self.findings.iter().map(of).max().unwrap_or(Verdict::Accept)
    }
}

/// Where one rule puts its findings.
pub(super) struct Findings<'a> {
    rule: &'static Rule,
    found: &'a mut Vec<Finding>,
    count: usize,
    /// Takes what is beyond the bound.
    spare: Option<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn of(rule: &'static Rule, found: &'a mut Vec<Finding>) -> Self {
        Self { rule, found, count: 0, spare: None }
    }

    pub(super) fn error(&mut self, path: impl Into<String>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, path.into(), message.into())
    }

    pub(super) fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, path.into(), message.into())
    }

    pub(super) fn info(&mut self, path: impl Into<String>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Information, path.into(), message.into())
    }

    fn add(&mut self, severity: Severity, path: String, message: String) -> &mut Finding {
        debug_assert!(self.rule.severities.contains(&severity), "{} is never {severity:?}", self.rule.code);
        let (code, remedy) = (self.rule.code, self.rule.remedy);
        let finding = Finding { code, severity, path, value: None, message, remedy, hold: false };
        self.count += 1;
        if self.count > MOST_OF_A_RULE {
            return self.spare.insert(finding);
        }
        self.found.push(finding);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }
}

impl Drop for Findings<'_> {
    /// Says in the last finding how many more there were, and keeps the worst severity.
    fn drop(&mut self) {
        if let (Some(spare), Some(last)) = (&self.spare, self.found.last_mut()) {
            last.severity = last.severity.max(spare.severity);
            last.message.push_str(&format!(" ({} more like it.)", self.count - MOST_OF_A_RULE));
        }
    }
}
