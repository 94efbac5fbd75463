//! Helper profiles: what devices get before the enrollment profile.

use super::Operations;
use crate::api::OperationError;
use crate::api::view::{Exit, HelperView, LintView, ProfileView};
use crate::clock::Clock;
use crate::station::helpers::{self, Helper, HelperError};
use crate::wire::printable::sentence;
use crate::wire::profile::made::WifiNetwork;
use crate::wire::profile::{Profile, TrustAnchors};
use crate::workflow::helpers::{HelperName, misfit};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Operations {
    /// The helpers of a run, in the order they are pushed.
    ///
    /// # Errors
    /// One cannot be read or made, the linter finds an error in it, or it cannot stand beside
    /// another.
    pub fn helpers(
        &self,
        files: &[PathBuf],
        network: Option<&WifiNetwork>,
    ) -> Result<Vec<Arc<Profile>>, OperationError> {
        let anchors = self.parts.signers.anchors()?;
        let loaded = helpers::load(files, network, &anchors, self.parts.clock.now())?;
        agree(&loaded)?;
        Ok(loaded.into_iter().map(|helper| helper.profile).collect())
    }

    /// Checks that helpers can stand beside the profile that a run pushes.
    ///
    /// # Errors
    /// One would replace it.
    pub fn helpers_fit(&self, helpers: &[Arc<Profile>], profile: &Profile) -> Result<(), OperationError> {
        let misfit = helpers.iter().find_map(|helper| misfit(helper, Some(profile), &[]));
        misfit.map_or(Ok(()), |reason| Err(no_helper(&reason)))
    }
}

/// The helpers as they would be pushed, to be shown; with a folder they are written into it,
/// each for its owner alone, because they hold passwords.
///
/// # Errors
/// As [`Operations::helpers`]; a file cannot be written.
pub fn show_helpers(
    files: &[PathBuf],
    network: Option<&WifiNetwork>,
    folder: Option<&Path>,
    anchors: &TrustAnchors,
    clock: &Clock,
) -> Result<Vec<HelperView>, OperationError> {
    let now = clock.now();
    let loaded = helpers::load(files, network, anchors, now)?;
    agree(&loaded)?;
    let view = |(n, helper): (usize, &Helper)| {
        let kind = HelperName::of(&helper.profile).kind;
        let mut file = helper.source.clone();
        if let Some(folder) = folder {
            file = folder.join(format!("{}-{}.mobileconfig", n + 1, kind.name()));
            helpers::write(&file, helper.profile.bytes())?;
        }
        let file = file.display().to_string();
        let mut profile = ProfileView::new(&file, &helper.profile, now);
        // It is not to enroll anybody; and its digest would let its password be guessed at.
        profile.refusals.clear();
        profile.sha256.clear();
        let findings = helper.findings.iter().map(|finding| LintView::new(&file, finding)).collect();
        Ok(HelperView { kind, findings, profile })
    };
    loaded.iter().enumerate().map(view).collect()
}

fn agree(helpers: &[Helper]) -> Result<(), OperationError> {
    for (n, helper) in helpers.iter().enumerate() {
        let before: Vec<_> = helpers[..n].iter().map(|other| other.profile.clone()).collect();
        if let Some(reason) = misfit(&helper.profile, None, &before) {
            return Err(no_helper(&format!("{}: {reason}", helper.source.display())));
        }
    }
    Ok(())
}

fn no_helper(reason: &str) -> OperationError {
    OperationError::new(Exit::Usage, sentence(reason), "Leave it out, or give another one.")
}

impl From<HelperError> for OperationError {
    fn from(error: HelperError) -> Self {
        let said = sentence(&error);
        match error {
            HelperError::File(error) => error.into(),
            HelperError::Lint { remedy, .. } => Self::new(Exit::Refused, said, remedy),
            HelperError::PrivateKey { .. } | HelperError::Certificate { .. } => {
                Self::new(Exit::Usage, said, "Give the certificate alone, in PEM or DER form.")
            }
            HelperError::Write { .. } => Self::new(
                Exit::Usage,
                said,
                "Check the folder: its owner, its rights, the space on its disk.",
            ),
            HelperError::Making(_) => Self::new(Exit::Failed, said, "Report this."),
        }
    }
}
