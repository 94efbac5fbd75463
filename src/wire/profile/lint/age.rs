//! Dates, and how old an export is (1.3, 3.4; L34, L35, L46).

use super::super::signature::TrustAnchors;
use super::context::{LintContext, LintPolicy};
use super::findings::{Findings, Severity};
use super::rule::Rule;
use super::subject::Subject;
use super::{acme, scep};
use crate::wire::profile::refusal::EXPORT_AGAIN;
use crate::wire::property_list::{Dictionary, Value};
use jiff::{SignedDuration, Timestamp};
use openssl::base64;
use std::time::UNIX_EPOCH;

/// Longest challenge that is looked into, in bytes.
const MOST_OF_A_CHALLENGE: usize = 16 << 10;

/// A clock may be wrong, or in another time zone, by this much before it is told.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L34",
        severities: &[Severity::Error],
        title: "would be removed at once",
        explanation: "RemovalDate has passed, or DurationUntilRemoval is not above zero. A date is not judged without a clock.",
        device: "4006 or 4026",
        remedy: "Have the profile made with a later date, or none.",
        check: removal,
    },
    Rule {
        code: "L35",
        severities: &[Severity::Warning, Severity::Error],
        title: "past its expiration date",
        explanation: "PayloadExpirationDate has passed: the device shows an Update button. An error where the site policy treats such a profile as stale. Silent without a clock.",
        device: "installs it (unconfirmed), and offers to update",
        remedy: EXPORT_AGAIN,
        check: |subject, out| {
            let (Some(now), Some(root)) = (subject.context.now, subject.profile()) else { return };
            let Some(end) = date(root, "PayloadExpirationDate").filter(|end| *end <= now) else { return };
            let message = format!("The profile expired at {end}.");
            match subject.context.policy.expired_is_stale {
                true => out.error("PayloadExpirationDate", message),
                false => out.warn("PayloadExpirationDate", message),
            };
        },
    },
    Rule {
        code: "L46",
        severities: &[Severity::Error, Severity::Warning],
        title: "old export",
        explanation: "Intune accepts an export for two weeks (R16). Its age is told by the best sign there is: the time of a signature that holds, dates in a challenge or client identifier that is a JWT, PayloadExpirationDate, the operator's word. From 10 days on a warning, from 14 an error that a person may lower by a reason; while the age is unknown a person must state it (3.4). Files without MDM have no such age.",
        device: "22013 or 12002",
        remedy: EXPORT_AGAIN,
        check: old_export,
    },
];

fn removal(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let Some(root) = subject.profile() else { return };
    if let (Some(end), Some(now)) = (date(root, "RemovalDate"), subject.context.now)
        && end <= now
    {
        out.error("RemovalDate", format!("RemovalDate has passed ({end})."));
    }
    let duration = root.get("DurationUntilRemoval");
    let seconds = duration.and_then(|d| d.as_real().or_else(|| d.as_signed_integer().map(|i| i as f64)));
    if let Some(seconds) = seconds.filter(|seconds| *seconds <= 0.0 || seconds.is_nan()) {
        out.error("DurationUntilRemoval", "DurationUntilRemoval is not above zero.")
            .value(&seconds.to_string());
    }
}

/// A date of the property list. (Its own way to text panics before the year 0.)
fn date(at: &Dictionary, key: &str) -> Option<Timestamp> {
    let date = at.get(key).and_then(Value::as_date)?;
    let span = |duration| SignedDuration::try_from(duration).ok();
    match UNIX_EPOCH.duration_since(date.into()) {
        Ok(before) => Timestamp::UNIX_EPOCH.checked_sub(span(before)?).ok(),
        Err(after) => Timestamp::UNIX_EPOCH.checked_add(span(after.duration())?).ok(),
    }
}

/// What tells the age.
struct Sign {
    /// Where it stands, and its words.
    path: String,
    word: &'static str,
    /// Exported at.
    begins: Option<Timestamp>,
    /// Accepted until.
    ends: Option<Timestamp>,
}

/// Between which moments Intune takes an export, by the best sign in the file (3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportAge {
    /// What tells it, such as `time of the signature`.
    pub told_by: &'static str,
    /// Exported at; some signs tell the end alone.
    pub begins: Option<Timestamp>,
    /// Accepted until, as far as known.
    pub ends: Timestamp,
}

/// When a file was exported. `None` if nothing tells it, or it is of no age (see L46).
/// [`LintContext::exported_at`] counts where the file itself says nothing.
pub fn export_age(file: &[u8], anchors: &TrustAnchors, context: &LintContext) -> Option<ExportAge> {
    super::opened(file, anchors, context, of)
}

/// The same, of a file that was opened.
pub(super) fn of(subject: &Subject<'_>) -> Option<ExportAge> {
    if subject.tampered() || subject.direct_mdm().next().is_none() {
        return None;
    }
    let Sign { word, begins, ends, .. } = best_sign(subject)?;
    let life = days(subject.context.policy.refuse_days);
    let by_age = begins.and_then(|begins| begins.checked_add(life).ok());
    let ends = [by_age, ends].into_iter().flatten().min()?;
    Some(ExportAge { told_by: word, begins, ends })
}

fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(count))
}

/// How the age is to be judged.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Ageing(String),
    Stale(String),
    FromTheFuture,
}

fn old_export(subject: &Subject<'_>, out: &mut Findings<'_>) {
    // A changed file is not worth an age, nor is an account-driven one (L18).
    if subject.tampered() || subject.direct_mdm().next().is_none() {
        return;
    }
    let Some(sign) = best_sign(subject) else {
        let message = "Nothing tells when the profile was exported; Intune accepts an export for two weeks.";
        let remedy = "State when it was exported (enlist profile lint --exported-at), or export it again.";
        out.warn("", message).remedy(remedy).hold();
        return;
    };
    let Some(now) = subject.context.now else {
        let message = "Without a clock the age of the export cannot be told.";
        out.warn(sign.path, message).remedy("Set this computer's clock.").hold();
        return;
    };
    let policy = &subject.context.policy;
    match sign.judge(now, policy) {
        Age::Fresh => {}
        Age::Ageing(message) => drop(out.warn(sign.path, message)),
        Age::Stale(message) => match &policy.stale_allowed {
            Some(reason) => {
                let reason = crate::wire::printable::printable(reason);
                out.warn(sign.path, format!("{message} Allowed all the same: {reason}"));
            }
            None => drop(out.error(sign.path, message)),
        },
        Age::FromTheFuture => {
            let message = format!("The {} lies in the future: a clock is wrong.", sign.word);
            out.warn(sign.path, message).remedy("Check this computer's clock first.").hold();
        }
    }
}

impl Sign {
    fn judge(&self, now: Timestamp, policy: &LintPolicy) -> Age {
        if let Some(ends) = self.ends {
            let left = now.duration_until(ends);
            if !left.is_positive() {
                return Age::Stale(format!("The export ended at {ends} ({}).", self.word));
            }
            if left <= days(policy.refuse_days.saturating_sub(policy.warn_days)) {
                return Age::Ageing(format!("{} ({}).", left_words(left), self.word));
            }
        }
        let Some(begins) = self.begins else { return Age::Fresh };
        let age = begins.duration_until(now);
        let passed = age.as_hours() / 24;
        if age < SignedDuration::ZERO - CLOCK_TOLERANCE {
            Age::FromTheFuture
        } else if age >= days(policy.refuse_days) {
            Age::Stale(format!(
                "Exported {passed} days ago ({}); Intune accepts an export for {} days.",
                self.word, policy.refuse_days
            ))
        } else if age >= days(policy.warn_days) {
            let left = left_words(days(policy.refuse_days) - age);
            Age::Ageing(format!("Exported {passed} days ago ({}). {left}.", self.word))
        } else {
            Age::Fresh
        }
    }
}

fn left_words(left: SignedDuration) -> String {
    match left.as_hours() / 24 {
        0 => "Less than a day is left".to_owned(),
        1 => "One day is left".to_owned(),
        days => format!("{days} days are left"),
    }
}

/// The first sign of 3.4's order.
fn best_sign(subject: &Subject<'_>) -> Option<Sign> {
    let signed = subject.signed().and_then(|report| report.signing_time);
    let at = |path: &str, word, begins, ends| Sign { path: path.to_owned(), word, begins, ends };
    signed
        .map(|time| at("", "time of the signature", Some(time), None))
        .or_else(|| challenge_sign(subject))
        .or_else(|| {
            let end = date(subject.root?, "PayloadExpirationDate")?;
            Some(at("PayloadExpirationDate", "expiration date of the profile", None, Some(end)))
        })
        .or_else(|| {
            let stated = subject.context.exported_at?;
            Some(at("", "time of export by the operator's word", Some(stated), None))
        })
}

/// Dates in the challenge of an MDM identity, which may be a JWT or JSON in base64.
fn challenge_sign(subject: &Subject<'_>) -> Option<Sign> {
    subject.payloads.iter().filter(|payload| subject.is_mdm_identity(payload)).find_map(|identity| {
        let (path, challenge) = match identity.kind() {
            scep::SCEP => {
                let challenge = scep::settings(identity)?.get("Challenge")?.as_string()?;
                (identity.key("PayloadContent.Challenge"), challenge)
            }
            acme::ACME => (identity.key("ClientIdentifier"), identity.text("ClientIdentifier")?),
            _ => return None,
        };
        let (begins, ends) = dates_inside(challenge)?;
        Some(Sign { path, word: "dates inside the challenge", begins, ends })
    })
}

/// `iat` (else `nbf`) and `exp` of a JWT or of JSON in base64.
fn dates_inside(challenge: &str) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    let claims = claims_inside(challenge)?;
    let time = |key: &str| {
        let seconds = claims.get(key)?;
        let whole = seconds.as_i64().or_else(|| seconds.as_f64().map(|seconds| seconds as i64))?;
        Timestamp::from_second(whole).ok()
    };
    let (begins, ends) = (time("iat").or_else(|| time("nbf")), time("exp"));
    (begins.is_some() || ends.is_some()).then_some((begins, ends))
}

/// What a JWT says, or JSON in base64; a signature is not looked at.
pub(in crate::wire::profile) fn claims_inside(challenge: &str) -> Option<serde_json::Value> {
    if challenge.len() > MOST_OF_A_CHALLENGE {
        return None;
    }
    let parts: Vec<&str> = challenge.trim().split('.').collect();
    let body = match parts[..] {
        [whole] => whole,
        [_, claims, _] => claims,
        _ => return None,
    };
    serde_json::from_slice(&decode(body)?).ok()
}

/// Base64 in either alphabet, padded or not.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut text: String = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')) {
        return None;
    }
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    base64::decode_block(&text).ok()
}
