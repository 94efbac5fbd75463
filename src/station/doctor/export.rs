//! The export that the station pushes by itself: whether it can be pushed, and how long.

use super::{Check, Health};
use crate::station::age::{AgeAnswers, Objection, Standing, next_action};
use crate::station::library::Signers;
use crate::station::library::candidate::Memories;
use crate::station::library::folder::{Folder, FolderError, Look, name};
use crate::wire::printable::sentence;
use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const NAME: &str = "profile";

/// Looks at the configured file or folder, or at the station's library.
pub fn export(path: &Path, answers: AgeAnswers, signers: &Signers, journal: &Path, now: Timestamp) -> Check {
    let folder = match path.is_dir() {
        true => Folder::new(path.into(), None, answers, signers.clone()),
        false => Folder::of_file(path.into(), answers, signers.clone()),
    };
    let mut folder = folder.remembering(Memories::of(journal));
    folder.scan(Look::AtOnce, Instant::now(), now);
    let (chosen, _) = match folder.choose(Duration::ZERO, now) {
        Ok(chosen) => chosen,
        Err(error @ FolderError::NoneFits { needs_word: true, .. }) => {
            return Check::bad(NAME, sentence(&error), Objection::Unknown.next());
        }
        Err(error) => return Check::bad(NAME, sentence(&error), next_action()),
    };
    let shown = name(&chosen.path);
    let Some(age) = chosen.age else {
        return Check::good(NAME, format!("{shown} can be pushed; nothing tells its age"));
    };
    let found = format!("{shown} {}", age.countdown(now));
    match age.standing(now) {
        Standing::Fresh => Check::good(NAME, found),
        Standing::FromTheFuture => Check::warning(NAME, found, "set this computer's clock"),
        Standing::Ageing | Standing::Stale => {
            Check { check: NAME, health: Health::Warning, found, fix: Some(next_action()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::profile::example::{ExampleOptions, Signer, scep_plist};
    use crate::wire::property_list::to_xml;
    use jiff::SignedDuration;

    #[test]
    fn the_age_decides() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("enroll.mobileconfig");
        let now: Timestamp = "2026-03-20T12:00:00Z".parse().unwrap();
        let signer = Signer::new(now - SignedDuration::from_hours(24 * 30)).unwrap();
        let look = |path: &Path| {
            export(path, AgeAnswers::default(), &Signers::default(), &folder.path().join("journal"), now)
        };
        let health = |days: i64| {
            let plain = to_xml(&scep_plist(&ExampleOptions::default()));
            let signed = signer.sign(&plain, now - SignedDuration::from_hours(24 * days)).unwrap();
            std::fs::write(&file, signed).unwrap();
            let (one, all) = (look(&file), look(folder.path()));
            assert_eq!(one.health, all.health);
            one
        };
        assert_eq!(health(2).health, Health::Good);
        let ageing = health(11);
        assert_eq!(ageing.health, Health::Warning);
        assert!(ageing.found.contains("expires in 3 days"), "{}", ageing.found);
        assert_eq!(health(15).health, Health::Bad);
        assert_eq!(look(&folder.path().join("none")).health, Health::Bad);
    }
}
