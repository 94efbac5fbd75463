//! Which ACME exports are for one device alone, by what the journal knows of devices: a file that
//! names one is for that one, and one that may be used once is for the first (2.3, 3.3).

use crate::ids::{JobId, Udid};
use crate::journal::{JournalError, JournalReader};
use crate::wire::profile::{IdentityKind, Profile};
use crate::workflow::choice::sha256;
use crate::workflow::policy::{Policy, Reuse};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The ACME exports that job `job` might push and that belong to a device, by their SHA-256.
/// A journal that cannot be read says so at the next event.
pub(super) async fn owned(
    journal: &Path,
    job: JobId,
    profile: &Arc<Profile>,
    policy: &Policy,
) -> BTreeMap<String, Udid> {
    let is_acme = |profile: &&Arc<Profile>| profile.identity() == Some(IdentityKind::Acme);
    let exports: Vec<_> = std::iter::once(profile).chain(&policy.siblings).filter(is_acme).cloned().collect();
    if exports.is_empty() {
        return BTreeMap::new();
    }
    let (journal, reuse) = (journal.to_owned(), policy.acme_reuse);
    let asked = tokio::task::spawn_blocking(move || {
        let reader = JournalReader::open(&journal)?;
        let owner = |profile: Arc<Profile>| {
            owner(&reader, job, &profile, reuse).map(|owner| owner.map(|udid| (sha256(&profile), udid)))
        };
        exports.into_iter().filter_map(|profile| owner(profile).transpose()).collect()
    });
    let asked: Result<_, JournalError> = asked.await.unwrap_or_else(|_| Ok(BTreeMap::new()));
    asked.unwrap_or_else(|error| {
        tracing::warn!(%error, "whether an ACME export is for another device is not known");
        BTreeMap::new()
    })
}

fn owner(
    reader: &JournalReader,
    job: JobId,
    profile: &Profile,
    reuse: Reuse,
) -> Result<Option<Udid>, JournalError> {
    match (reader.device_called(&profile.acme_names())?, reuse) {
        (Some(named), _) => Ok(Some(named)),
        (None, Reuse::Yes) => Ok(None),
        (None, Reuse::No) => reader.first_user(&sha256(profile), job),
    }
}
