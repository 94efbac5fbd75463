//! The open batch and the blueprints, as the station's jobs meet them: who is let in, what is
//! done with whom, and when too many equal faults stop it all.
//!
//! May import: `workflow`, `journal`, `station`, base. The batch is read from the journal
//! before each job, so whoever opens or closes one need not know this process.

mod faults;

use faults::stop_for;

use super::age;
use super::orders::Orders;
use super::recordings;
use crate::clock::Clock;
use crate::ids::{BatchId, Udid};
use crate::journal::{BatchRow, Book, Expected, JournalError};
use crate::transport::recorder::Recorder;
use crate::wire::printable::{printable, sentence};
use crate::wire::profile::Profile;
use crate::workflow::assign::{Assigner, Assignment, Candidate, Decision};
use crate::workflow::blueprint::{Picked, Subject, pick};
use crate::workflow::outcome::{Class, Outcome, Verdict};
use crate::workflow::policy::{Policy, SetupAssistant};
use async_trait::async_trait;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stops the open batch if its newest jobs failed alike; says why if it did.
///
/// # Errors
/// The journal cannot be read or written.
pub(super) fn stop_if_due(journal: &Path, now: Timestamp) -> Result<Option<String>, JournalError> {
    let Some(book) = Book::read(journal)? else { return Ok(None) };
    let Some(batch) = book.open_batch()?.filter(|batch| batch.stop_after > 0 && batch.stop.is_none()) else {
        return Ok(None);
    };
    let jobs = book.last_ended(batch.id, batch.stop_after)?;
    let Some(stop) = stop_for(&jobs, batch.stop_after, now) else { return Ok(None) };
    Book::open(journal)?.stop(batch.id, &stop)?;
    Ok(Some(stop.reason))
}

/// What a job asks about its device.
pub(super) struct JobAssigner {
    pub(super) udid: Udid,
    /// Where the batch is; `None` in a dry run, which has none.
    pub(super) journal: Option<PathBuf>,
    pub(super) orders: Orders,
    /// What the job was begun with.
    pub(super) profile: Arc<Profile>,
    pub(super) policy: Policy,
    /// Nobody waits: who is asked about is refused.
    pub(super) once: bool,
    pub(super) clock: Clock,
    /// Is told what a device is assigned.
    pub(super) recorder: Option<Recorder>,
}

/// A device's place in the open batch.
struct Place {
    batch: BatchRow,
    expected: Option<Expected>,
    allowed: bool,
}

#[async_trait]
impl Assigner for JobAssigner {
    async fn assign(&self, candidate: &Candidate<'_>) -> Decision {
        let place = match self.place(candidate).await {
            Ok(place) => place,
            // Held and not refused: the disk may have space again soon.
            Err(error) => return Decision::Hold(unreadable(&error)),
        };
        if let Some(place) = place.as_ref().filter(|_| !candidate.begun)
            && let Some(decision) = self.at_the_door(place, candidate)
        {
            return decision;
        }
        let decision = self.go(place, candidate);
        if let Decision::Go(assigned) = &decision {
            recordings::began(self.recorder.as_ref(), &self.udid, &assigned.profile, &assigned.policy);
        }
        decision
    }

    async fn unseen(&self) -> Option<Assignment> {
        let (journal, udid) = (self.journal.clone()?, self.udid.clone());
        let look = move || -> Result<Option<(BatchId, Option<u32>)>, JournalError> {
            let Some(book) = Book::read(&journal)? else { return Ok(None) };
            let Some(batch) = book.open_batch()? else { return Ok(None) };
            // An earlier job may have heard who it is.
            let (serial, imei) = book.known(&udid)?;
            let expected = book.expected(batch.id, serial.as_deref(), imei.as_deref().as_slice())?;
            Ok(Some((batch.id, expected.map(|expected| expected.line))))
        };
        let (batch, line) = tokio::task::spawn_blocking(look).await.ok()?.ok()??;
        let reason = match line {
            Some(line) => format!("line {line} of the manifest of batch {batch}"),
            None => "its job ended before it told its serial number".to_owned(),
        };
        Some(self.assignment(Some(batch), line, reason))
    }
}

impl JobAssigner {
    async fn place(&self, candidate: &Candidate<'_>) -> Result<Option<Place>, JournalError> {
        let Some(journal) = self.journal.clone() else { return Ok(None) };
        let facts = candidate.facts;
        let serial = facts.serial.as_deref().map(str::to_ascii_uppercase);
        let imeis: Vec<String> = facts.imei.iter().chain(&facts.imei2).cloned().collect();
        let udid = candidate.udid.to_string();
        let look = move || {
            let Some(book) = Book::read(&journal)? else { return Ok(None) };
            let Some(batch) = book.open_batch()? else { return Ok(None) };
            let imeis: Vec<&str> = imeis.iter().map(String::as_str).collect();
            let expected = book.expected(batch.id, serial.as_deref(), &imeis)?;
            let names: Vec<&str> =
                serial.iter().map(String::as_str).chain(imeis).chain([udid.as_str()]).collect();
            let allowed = book.is_allowed(batch.id, &names)?;
            Ok(Some(Place { batch, expected, allowed }))
        };
        tokio::task::spawn_blocking(look).await.unwrap_or(Err(JournalError::Closed))
    }

    /// Whether the batch lets the device in now; `None` if it does.
    fn at_the_door(&self, place: &Place, candidate: &Candidate<'_>) -> Option<Decision> {
        if let Some(stop) = &place.batch.stop {
            let verdict = Verdict::failed(Class::Configuration, stop.reason.clone(), &stop.next);
            return Some(self.hold(verdict, place));
        }
        if place.expected.is_some() || place.allowed || place.batch.unexpected == "allow" {
            return None;
        }
        let name = printable(&place.batch.name);
        let said = format!("The device is not in the manifest of batch {} \"{name}\".", place.batch.id);
        let facts = candidate.facts;
        let known = facts.serial.as_deref().or(facts.imei.as_deref()).unwrap_or(candidate.udid.as_str());
        let next = format!(
            "Put it aside, or let it in and plug it in again: enlist batch allow {}",
            printable(known)
        );
        let verdict = Verdict::failed(Class::Operator, said, &next);
        match place.batch.unexpected.as_str() {
            "ask" => {
                let next = format!("Put it aside, or let it in: enlist batch allow {}", printable(known));
                Some(self.hold(verdict.then(next), place))
            }
            _ => Some(self.refuse(verdict, Some(place))),
        }
    }

    fn hold(&self, verdict: Verdict, place: &Place) -> Decision {
        match self.once {
            true => self.refuse(verdict, Some(place)),
            false => Decision::Hold(verdict),
        }
    }

    /// Refused, and counted among those that came.
    fn refuse(&self, verdict: Verdict, place: Option<&Place>) -> Decision {
        let counted = place.map(|place| {
            let reason = verdict.sentence.trim_end_matches('.').to_owned();
            let line = place.expected.as_ref().map(|expected| expected.line);
            Box::new(self.assignment(Some(place.batch.id), line, reason))
        });
        Decision::Refuse(verdict, counted)
    }

    fn assignment(&self, batch: Option<BatchId>, line: Option<u32>, reason: String) -> Assignment {
        Assignment {
            profile: self.profile.clone(),
            policy: self.policy.clone(),
            blueprint: None,
            batch,
            line,
            tags: Vec::new(),
            reason,
        }
    }

    /// What is done with a device that may go on.
    fn go(&self, place: Option<Place>, candidate: &Candidate<'_>) -> Decision {
        let expected = place.as_ref().and_then(|place| place.expected.as_ref());
        let (batch, line) = (place.as_ref().map(|p| p.batch.id), expected.map(|e| e.line));
        let reason = match (batch, line) {
            (Some(batch), Some(line)) => format!("line {line} of the manifest of batch {batch}"),
            (Some(batch), None) => format!("let into batch {batch}, whose manifest does not name it"),
            (None, _) => String::new(),
        };
        let mut assignment = self.assignment(batch, line, reason);
        if let Some(name) = expected.and_then(|e| e.name.clone()) {
            assignment.policy.device_name = Some(name);
        }
        assignment.tags.extend(expected.and_then(|e| e.tag.clone()));
        let wanted = expected.and_then(|e| e.blueprint.clone()).or_else(|| self.orders.blueprint.clone());
        match self.by_blueprint(&mut assignment, expected, wanted.as_deref(), candidate) {
            Err(verdict) => self.refuse(verdict, place.as_ref()),
            Ok(()) if assignment.blueprint.is_none() && batch.is_none() => Decision::AsItIs,
            Ok(()) if assignment.policy.is_stale(self.clock.now()) && !candidate.begun => {
                match assignment.policy.stale_allowed {
                    Some(_) => Decision::Go(Box::new(assignment)),
                    None => self.refuse(age::too_old_by_now(), place.as_ref()),
                }
            }
            Ok(()) => Decision::Go(Box::new(assignment)),
        }
    }

    /// Lays the device's blueprint over what would be done without one.
    fn by_blueprint(
        &self,
        assignment: &mut Assignment,
        expected: Option<&Expected>,
        wanted: Option<&str>,
        candidate: &Candidate<'_>,
    ) -> Result<(), Verdict> {
        let Some(followed) = &self.orders.blueprints else {
            return match wanted {
                Some(wanted) => Err(no_such(wanted)),
                None => Ok(()),
            };
        };
        let blueprints = followed.borrow().clone();
        let subject = Subject {
            facts: candidate.facts,
            bay: candidate.bay,
            name: expected.and_then(|e| e.name.as_deref()),
            tag: expected.and_then(|e| e.tag.as_deref()),
            wanted,
        };
        let (blueprint, why) = match pick(&blueprints.all, &subject) {
            Picked::One(blueprint, why) => (blueprint, why),
            Picked::None if self.orders.only_blueprints => {
                let said = "No blueprint fits this device, and the station has no other profile.".to_owned();
                return Err(configuration(said, "Write a blueprint for it, or give the station a profile."));
            }
            Picked::None => return Ok(()),
            Picked::NotThere(wanted) => return Err(no_such(&wanted)),
            Picked::NotFor(blueprint, why) => {
                let said = format!("The blueprint '{}' is not for this device: {why}.", blueprint.name);
                return Err(configuration(said, "Correct the manifest or the blueprint."));
            }
            Picked::Ambiguous(one, other) => {
                let said = format!(
                    "The blueprints '{}' and '{}' fit this device equally well.",
                    one.name, other.name
                );
                return Err(configuration(said, "Give one of them a higher priority."));
            }
        };
        if let (Some(prepare), Some(able)) = (blueprint.prepare(), &self.orders.preparations) {
            let preparation = able.of(prepare).map_err(|bad| {
                let said = format!("The blueprint '{}' cannot prepare devices: {bad}.", blueprint.name);
                configuration(said, "Correct [prepare] and [supervision] of the configuration.")
            })?;
            assignment.policy.prepare = Some(preparation);
            // Only while Setup Assistant runs can a device be prepared, and then it is silent.
            assignment.policy.setup_assistant = SetupAssistant::Push;
        }
        let files = blueprints.files(&blueprint.name);
        if let Some(export) = files.export {
            assignment.profile = export.profile;
            assignment.policy.export_ends = export.ends;
            assignment.policy.siblings = Vec::new();
        }
        if blueprint.helpers().next().is_some() {
            assignment.policy.helpers = files.helpers;
        }
        if let Some(name) = blueprint.device_name(&subject) {
            assignment.policy.device_name = Some(name);
        }
        assignment.tags.extend(blueprint.tags().cloned());
        assignment.blueprint = Some(blueprint.name.clone());
        let more =
            if assignment.reason.is_empty() { String::new() } else { format!("; {}", assignment.reason) };
        assignment.reason = format!("{why}{more}");
        Ok(())
    }
}

fn configuration(said: String, next: &str) -> Verdict {
    Verdict::failed(Class::Configuration, said, next)
}

fn no_such(wanted: &str) -> Verdict {
    let said = format!("There is no blueprint '{}', which the manifest names.", printable(wanted));
    configuration(said, "Correct the manifest, or put the blueprint into the folder.")
}

fn unreadable(error: &JournalError) -> Verdict {
    Verdict::from(Outcome::Attached)
        .saying(format!("The batch cannot be looked at. {}", sentence(error)))
        .then("Check the disk's space and the rights of the state folder; it goes on by itself then.")
}
