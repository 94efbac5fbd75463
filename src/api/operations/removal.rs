//! Removing a profile from a device, and who has to agree to it (R36).

use super::{Operations, not_listed, spent};
use crate::api::OperationError;
use crate::api::view::{DeviceView, Exit, InstalledOn, InstalledView};
use crate::device::DeviceLink;
use crate::journal::{HistoryFilter, JournalReader};
use crate::wire::mcinstall::InstalledProfile;
use crate::wire::printable::printable;
use crate::workflow::outcome::{Outcome, Verdict};
use crate::workflow::removal::{Care, care};
use std::time::Duration;
use tokio::time::Instant;

/// Who agrees to the removal of what manages a device.
pub enum Consent<'a> {
    /// It is given.
    Given,
    /// A person is asked: a question, and the answer that means yes.
    Ask(&'a (dyn Fn(&str, &str) -> bool + Send + Sync)),
    /// Nobody can be asked.
    Nobody,
}

impl Operations {
    /// Removes a profile and reads the list back. One that manages the device, or seems to, is
    /// removed with `consent` alone, and not at all if it is locked.
    ///
    /// # Errors
    /// As [`Operations::pair`]; the profile is not there, or must stay.
    pub async fn remove(
        &self,
        wanted: Option<&str>,
        identifier: &str,
        consent: Consent<'_>,
        person_within: Duration,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<InstalledOn, OperationError> {
        let link = self.desk.pick(wanted).await?;
        let begun = Instant::now();
        // Looked at first, and by a session of its own: a person takes longer to answer than
        // a device keeps one open.
        let looked = async {
            let mut earned = self.earn(&link, person_within, tell).await?;
            let listed = self.desk.managed(&mut earned).await?;
            Ok((earned.facts, listed))
        };
        let (facts, listed) = match looked.await {
            Ok(looked) => looked,
            Err(verdict) => return Ok(not_listed(&link, &verdict, begun)),
        };
        let Some(profile) = listed.iter().find(|profile| profile.identifier == identifier) else {
            return Err(no_such(&link, identifier, &listed));
        };
        match care(profile, &facts, self.enrolled_by(&link, identifier)) {
            Care::Free => {}
            Care::Locked { sentence, next } => {
                return Err(OperationError::new(Exit::Refused, sentence, next));
            }
            Care::Confirm => {
                let known_by = facts.serial.as_deref().unwrap_or(link.udid().as_str());
                agreed(profile, known_by, &consent)?;
            }
        }
        let removal = async {
            let mut earned = self.earn(&link, person_within, tell).await?;
            let removed = self.desk.remove(&mut earned, identifier).await?;
            let left = self.desk.installed(&mut earned).await?;
            Ok((earned.facts, removed, left))
        };
        match removal.await {
            Ok((_, None, left)) => Err(no_such(&link, identifier, &left)),
            Ok((facts, Some(_), left)) => {
                let sentence =
                    format!("{} is removed; the device no longer lists it.", printable(identifier));
                let verdict = Verdict::from(Outcome::Attached).saying(sentence);
                let device = DeviceView::of_link(&link, &verdict, Some(&facts), spent(begun));
                Ok(InstalledOn { device, profiles: left.iter().map(InstalledView::new).collect() })
            }
            Err(verdict) => Ok(not_listed(&link, &verdict, begun)),
        }
    }

    /// True if the station pushed this profile to this device. A journal that cannot be read
    /// knows nothing.
    fn enrolled_by(&self, link: &DeviceLink, identifier: &str) -> bool {
        let filter = HistoryFilter { udid: Some(link.udid().clone()), ..HistoryFilter::default() };
        let read = || JournalReader::open(&self.parts.journal)?.history(&filter);
        let rows = if self.parts.journal.exists() { read().unwrap_or_default() } else { Vec::new() };
        rows.iter().any(|job| job.profile_identifier == identifier)
    }
}

fn no_such(link: &DeviceLink, identifier: &str, listed: &[InstalledProfile]) -> OperationError {
    let shown = listed.iter().map(|p| printable(&p.identifier)).collect::<Vec<_>>().join(", ");
    let sentence = format!("The device {} has no profile {}.", link.udid(), printable(identifier));
    let next = if listed.is_empty() { "It has none at all.".into() } else { format!("It has: {shown}.") };
    OperationError::new(Exit::Usage, sentence, next)
}

/// Asks twice; the second question cannot be answered by somebody who did not look. `known_by`:
/// what stands on the device, such as its serial number.
fn agreed(profile: &InstalledProfile, known_by: &str, consent: &Consent<'_>) -> Result<(), OperationError> {
    let what = printable(profile.display_name.as_deref().unwrap_or(&profile.identifier));
    let sentence = format!(
        "\"{what}\" manages this device, or seems to: without it the device leaves its MDM and loses what that installed."
    );
    let last: String = known_by.chars().skip(known_by.chars().count().saturating_sub(4)).collect();
    let yes = match consent {
        Consent::Given => true,
        Consent::Ask(ask) => {
            ask(&format!("{sentence} Remove it? [yes]"), "yes")
                && ask(&format!("To be sure, the last four characters of {}:", printable(known_by)), &last)
        }
        Consent::Nobody => {
            let next = "Give --yes to remove it nevertheless.";
            return Err(OperationError::new(Exit::Refused, sentence, next));
        }
    };
    let stays =
        || OperationError::new(Exit::Refused, "The profile stays on the device.", "Nothing was changed.");
    if yes { Ok(()) } else { Err(stays()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_person_has_to_agree_twice() {
        let profile = InstalledProfile {
            identifier: "com.example.mdm".into(),
            uuid: String::new(),
            display_name: Some("Management".into()),
            organization: None,
            description: None,
            version: 1,
            removal_disallowed: false,
        };
        for (answers, agrees, asked) in
            [(vec!["yes", "WXYZ"], true, 2), (vec!["yes", "yes"], false, 2), (vec!["no", "WXYZ"], false, 1)]
        {
            let questions = Mutex::new(Vec::new());
            let ask = |question: &str, expected: &str| {
                let mut questions = questions.lock().unwrap();
                questions.push(question.to_owned());
                answers[questions.len() - 1] == expected
            };
            let result = agreed(&profile, "F7TLWXYZ", &Consent::Ask(&ask));
            let questions = questions.lock().unwrap();
            assert_eq!((result.is_ok(), questions.len()), (agrees, asked), "{answers:?} {questions:?}");
            assert!(questions[0].contains("\"Management\""), "{questions:?}");
        }
        assert!(agreed(&profile, "F7TLWXYZ", &Consent::Nobody).is_err());
        assert!(agreed(&profile, "F7TLWXYZ", &Consent::Given).is_ok());
    }
}
