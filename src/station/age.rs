//! How old an export is, by the signals of profiles-and-enrollment.md 3.4, best first, and
//! what follows from it. Pure but for [`file_date`].
//!
//! May import: `wire`, `workflow`, base.

use crate::wire::profile::TrustAnchors;
use crate::wire::profile::lint::{self, ExportAge, LintContext};
use crate::workflow::methods::{Platform, portal_path};
use crate::workflow::outcome::{Class, Verdict};
pub use crate::workflow::policy::UnknownAge;
use jiff::{SignedDuration, Timestamp};
use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

/// Until an export ends, warnings are given from this long before: from day 10 of 14.
const WARN_BEFORE: SignedDuration = SignedDuration::from_hours(4 * 24);

/// How long an export is good for (R16).
const LIFE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// As the linter has it (L46): clocks and time zones may be off by this much.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// The weak signs, which may be reset or are late.
const FILE_DATE: &str = "date of the file";
const FIRST_LOOK: &str = "first look of this station";

/// What the operator says of an export's age.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgeAnswers {
    /// Why one that is too old may be used (F03).
    pub allow_stale: Option<String>,
    /// When it was exported, where the file does not say.
    pub exported_at: Option<Timestamp>,
    /// What to do where neither the file nor a person says it.
    pub unknown: UnknownAge,
}

impl AgeAnswers {
    /// Why no job may begin at `now` with an export of this age that may take as long as
    /// `lasting`; `None` if one may, or if somebody answers for it.
    pub fn objection(&self, age: Option<&Age>, lasting: Duration, now: Timestamp) -> Option<Objection> {
        if let Some(reason) = age.and_then(|age| age.refusal(lasting, now)) {
            return Some(Objection::TooOld(reason));
        }
        let known = match self.unknown {
            UnknownAge::Hold => age.is_some_and(|age| age.sure),
            UnknownAge::FileDate => age.is_some(),
        };
        (!known).then_some(Objection::Unknown)
    }
}

/// Why an export is not used as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// It is too old, or would be before its run ends.
    #[error("{0}")]
    TooOld(String),
    /// Neither the file nor a person says how old it is (3.4: hold until one does).
    #[error(
        "Nothing in it tells when it was exported, and its date is no proof: copying resets it (3.4, L46)."
    )]
    Unknown,
}

impl Objection {
    /// What to do.
    pub fn next(&self) -> String {
        match self {
            Self::TooOld(_) => next_action(),
            Self::Unknown => "State the day of its export: --exported-at DATE. The station remembers it. \
                 Or take the file's date: enroll.unknown_age = \"file-date\" in the configuration."
                .to_owned(),
        }
    }
}

/// What is known of an export's age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Age {
    /// Exported at.
    pub exported: Option<Timestamp>,
    /// The MDM takes it until.
    pub ends: Timestamp,
    /// What tells it, in words.
    pub told_by: Cow<'static, str>,
    /// False if it may well be older: copying a file resets its date.
    pub sure: bool,
}

/// How an age is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Fresh.
    Fresh,
    /// Ends in four days or less.
    Ageing,
    /// Ended.
    Stale,
    /// Exported in the future: a clock is wrong.
    FromTheFuture,
}

impl Standing {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Ageing => "ageing",
            Self::Stale => "stale",
            Self::FromTheFuture => "from-the-future",
        }
    }
}

/// What is known beside the file itself: the weak signals of 3.4.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside {
    /// The operator's word.
    pub exported_at: Option<Timestamp>,
    /// The date of the file.
    pub file_date: Option<Timestamp>,
    /// First seen by this station.
    pub first_seen: Option<Timestamp>,
}

impl Age {
    /// The age of an enrollment profile; `None` if nothing tells it.
    pub fn of(file: &[u8], beside: Beside, anchors: &TrustAnchors, now: Timestamp) -> Option<Self> {
        let mut context = LintContext::new(Some(now));
        context.exported_at = beside.exported_at;
        Self::by(lint::export_age(file, anchors, &context), beside, now)
    }

    /// The same, by the best sign in the file, if there is one.
    pub fn by(sign: Option<ExportAge>, beside: Beside, now: Timestamp) -> Option<Self> {
        if let Some(age) = sign {
            return Some(Self {
                exported: age.begins,
                ends: age.ends,
                told_by: age.told_by.into(),
                sure: true,
            });
        }
        // Both are lower bounds of the age, so the earlier one is nearer to the truth.
        let known =
            [beside.file_date.map(|at| (at, FILE_DATE)), beside.first_seen.map(|at| (at, FIRST_LOOK))];
        let (at, told_by) = known.into_iter().flatten().filter(|(at, _)| *at <= now).min()?;
        let ends = at.checked_add(LIFE).ok()?;
        Some(Self { exported: Some(at), ends, told_by: told_by.into(), sure: false })
    }

    /// As the journal kept it.
    pub fn recalled(exported: Option<Timestamp>, ends: Timestamp, told_by: String) -> Self {
        let sure = ![FILE_DATE, FIRST_LOOK].contains(&told_by.as_str());
        Self { exported, ends, told_by: told_by.into(), sure }
    }

    /// How it stands at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let left = now.duration_until(self.ends);
        let age = self.exported.map(|at| at.duration_until(now));
        if age.is_some_and(|age| age < SignedDuration::ZERO - CLOCK_TOLERANCE) {
            Standing::FromTheFuture
        } else if !left.is_positive() {
            Standing::Stale
        } else if left <= WARN_BEFORE {
            Standing::Ageing
        } else {
            Standing::Fresh
        }
    }

    /// How long it is good, and how that is known: `expires in 3 days`.
    pub fn countdown(&self, now: Timestamp) -> String {
        let words = countdown(self.ends, now);
        match self.sure {
            true => format!("{words} (by the {})", self.told_by),
            false => format!("{words} at the latest (by the {}; the file itself does not say)", self.told_by),
        }
    }

    /// Why no job may begin with it now that may take as long as `lasting`; `None` if one may.
    pub fn refusal(&self, lasting: Duration, now: Timestamp) -> Option<String> {
        if self.standing(now) == Standing::FromTheFuture {
            return None;
        }
        if self.ends <= now {
            return Some(match self.exported {
                Some(at) => format!(
                    "It was exported {} ago ({}), and an export is good for 14 days (R16, L46).",
                    span(at.duration_until(now)),
                    self.told_by
                ),
                None => format!(
                    "The export ended {} ago ({}).",
                    span(self.ends.duration_until(now)),
                    self.told_by
                ),
            });
        }
        let left = Duration::try_from(now.duration_until(self.ends)).unwrap_or_default();
        (lasting > left).then(|| {
            let lasting = SignedDuration::try_from(lasting).unwrap_or(SignedDuration::MAX);
            let left = now.duration_until(self.ends);
            format!(
                "The export ends in {}, and this run may take {}: it would outlive its file (R16, L46).",
                span(left),
                span(lasting)
            )
        })
    }
}

/// `expires in 3 days`, or `expired 2 days ago`.
pub fn countdown(ends: Timestamp, now: Timestamp) -> String {
    let left = now.duration_until(ends);
    match left.is_positive() {
        true => format!("expires in {}", span(left)),
        false => format!("expired {} ago", span(left.abs())),
    }
}

/// A span in its largest unit, rounded down.
fn span(span: SignedDuration) -> String {
    let (minutes, hours) = (span.as_mins(), span.as_hours());
    let many = |count: i64, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    match hours {
        48.. => many(hours / 24, "day"),
        2.. => many(hours, "hour"),
        _ if minutes > 0 => many(minutes, "minute"),
        _ => "less than a minute".to_owned(),
    }
}

/// Where a new export comes from, and how to go on without one.
pub fn next_action() -> String {
    format!(
        "Export it again: {} (R18). To use it nevertheless: --allow-stale REASON.",
        portal_path(Platform::Iphone)
    )
}

/// The verdict on a device that came after the end of the export.
pub(super) fn too_old_by_now() -> Verdict {
    let next = format!("{} Then start the station with the new file.", next_action());
    Verdict::failed(
        Class::Configuration,
        "The export became too old while the station ran (R16, L46); nothing was pushed.",
        &next,
    )
}

/// The earlier of a file's two dates: copying resets one of them, or both.
pub fn file_date(path: &Path) -> Option<Timestamp> {
    let meta = std::fs::metadata(path).ok()?;
    let dates = [meta.modified().ok(), meta.created().ok()];
    dates.into_iter().flatten().filter_map(|date| Timestamp::try_from(date).ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::profile::example::{ExampleOptions, scep_plist};
    use crate::wire::property_list::to_xml;

    fn now() -> Timestamp {
        "2026-03-20T12:00:00Z".parse().unwrap()
    }

    fn hours_ago(hours: i64) -> Timestamp {
        now() - SignedDuration::from_hours(hours)
    }

    fn stated(hours: i64) -> Age {
        let plain = to_xml(&scep_plist(&ExampleOptions::default()));
        let beside = Beside { exported_at: Some(hours_ago(hours)), ..Beside::default() };
        Age::of(&plain, beside, &TrustAnchors::none(), now()).unwrap()
    }

    #[test]
    fn ten_days_warn_and_fourteen_refuse() {
        let standing = |hours| stated(hours).standing(now());
        assert_eq!(standing(10 * 24 - 1), Standing::Fresh);
        assert_eq!(standing(10 * 24), Standing::Ageing);
        assert_eq!(standing(14 * 24 - 1), Standing::Ageing);
        assert_eq!(standing(14 * 24), Standing::Stale);
        assert_eq!(standing(-25), Standing::FromTheFuture);
        assert_eq!(standing(-23), Standing::Fresh);
        assert_eq!(
            stated(11 * 24).countdown(now()),
            "expires in 3 days (by the time of export by the operator's word)"
        );
        assert_eq!(countdown(hours_ago(50), now()), "expired 2 days ago");
        assert_eq!(countdown(hours_ago(-1), now()), "expires in 60 minutes");
    }

    #[test]
    fn a_run_that_would_outlive_its_file_is_refused() {
        let hour = Duration::from_secs(3600);
        let age = stated(14 * 24 - 2);
        assert_eq!(age.refusal(hour, now()), None);
        let said = age.refusal(3 * hour, now()).unwrap();
        assert!(said.starts_with("The export ends in 2 hours, and this run may take 3 hours"), "{said}");
        let said = stated(15 * 24).refusal(Duration::ZERO, now()).unwrap();
        assert!(said.starts_with("It was exported 15 days ago"), "{said}");
    }

    #[test]
    fn where_the_file_says_nothing_the_earliest_date_counts() {
        let plain = to_xml(&scep_plist(&ExampleOptions::default()));
        let of = |beside| Age::of(&plain, beside, &TrustAnchors::none(), now());
        assert_eq!(of(Beside::default()), None);
        let both =
            Beside { file_date: Some(hours_ago(1)), first_seen: Some(hours_ago(400)), exported_at: None };
        let age = of(both).unwrap();
        assert_eq!((age.standing(now()), age.sure), (Standing::Stale, false));
        let word = of(Beside { exported_at: Some(hours_ago(2)), ..both }).unwrap();
        assert_eq!((word.standing(now()), word.sure), (Standing::Fresh, true));
        assert_eq!(of(Beside { file_date: Some(hours_ago(-5)), ..Beside::default() }), None, "no sign");
    }
}
