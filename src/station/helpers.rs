//! Helper profiles: what devices get before the enrollment profile, read and made (R42, R72).
//!
//! Files are profiles, or certificates in PEM or DER form, which become one profile together;
//! a network becomes another. What the linter calls an error is refused here: a device would
//! refuse it later, one by one.

use super::library::{self, ProfileFileError};
use crate::secret::Secret;
use crate::wire::printable::system_words;
use crate::wire::profile::lint::{Finding, Job, LintContext, Severity, lint};
use crate::wire::profile::made::{self, WifiNetwork};
use crate::wire::profile::{Profile, Purpose, TrustAnchors};
use crate::workflow::helpers::in_order;
use jiff::Timestamp;
use openssl::error::ErrorStack;
use openssl::x509::X509;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a helper cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The file cannot be read, or is no profile.
    #[error(transparent)]
    File(#[from] ProfileFileError),
    /// A key must stay where it is.
    #[error("{} holds a private key; a helper is a certificate or a profile", path.display())]
    PrivateKey {
        /// Which file.
        path: PathBuf,
    },
    /// PEM that is no certificate.
    #[error("{} holds no certificate that can be read", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
    },
    /// The linter finds an error.
    #[error("{}: {code} {message}", path.display())]
    Lint {
        /// Which file.
        path: PathBuf,
        /// Code of the rule.
        code: &'static str,
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A helper cannot be written to a folder.
    #[error("cannot write {}: {}", path.display(), system_words(.source))]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// OpenSSL fails.
    #[error("a helper profile cannot be made: {0}")]
    Making(#[from] ErrorStack),
}

/// A helper that may be pushed, and what the linter says of it.
#[derive(Debug, Clone)]
pub struct Helper {
    /// Where it comes from.
    pub source: PathBuf,
    /// The profile.
    pub profile: Arc<Profile>,
    /// Warnings and remarks; no errors.
    pub findings: Vec<Finding>,
}

/// Reads `files`, makes what has to be made, and gives the helpers in the order they are pushed.
///
/// # Errors
/// [`HelperError`].
pub fn load(
    files: &[PathBuf],
    network: Option<&WifiNetwork>,
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<Vec<Helper>, HelperError> {
    let (mut helpers, mut certificates) = (Vec::new(), Vec::new());
    for path in files {
        let bytes = library::bytes(path)?;
        match certificates_in(&bytes, path)? {
            Some(found) => certificates.extend(found),
            None => helpers.push(judged(&bytes, path, anchors, now)?),
        }
    }
    // What the station makes is its own: no signer has to be pinned for it.
    let own = TrustAnchors::none();
    if !certificates.is_empty() {
        let made = made::certificates(&certificates)?;
        helpers.push(judged(&made, Path::new("the certificates"), &own, now)?);
    }
    if let Some(network) = network {
        let made = network.profile()?;
        helpers.push(judged(made.expose(), Path::new("[wifi]"), &own, now)?);
    }
    let profiles: Vec<_> = helpers.iter().map(|helper| helper.profile.clone()).collect();
    let place = |helper: &Helper| in_order(&profiles).iter().position(|p| Arc::ptr_eq(p, &helper.profile));
    helpers.sort_by_cached_key(place);
    Ok(helpers)
}

/// Writes a helper for its owner alone (0600 in 0700); what is there already stays.
///
/// # Errors
/// [`HelperError::Write`].
pub fn write(path: &Path, bytes: &Secret<Vec<u8>>) -> Result<(), HelperError> {
    let attempt = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes.expose())
    };
    attempt().map_err(|source| HelperError::Write { path: path.into(), source })
}

/// The certificates of a file; `None` if it is something else.
fn certificates_in(bytes: &[u8], path: &Path) -> Result<Option<Vec<X509>>, HelperError> {
    let says = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    if says("PRIVATE KEY-----") {
        return Err(HelperError::PrivateKey { path: path.into() });
    }
    if says("-----BEGIN CERTIFICATE-----") || says("-----BEGIN TRUSTED CERTIFICATE-----") {
        return match X509::stack_from_pem(bytes) {
            Ok(found) if !found.is_empty() => Ok(Some(found)),
            _ => Err(HelperError::Certificate { path: path.into() }),
        };
    }
    Ok(X509::from_der(bytes).ok().map(|one| vec![one]))
}

fn judged(bytes: &[u8], path: &Path, anchors: &TrustAnchors, now: Timestamp) -> Result<Helper, HelperError> {
    let profile = library::load_bytes(bytes, path, Purpose::Any, anchors, now)?;
    // Whatever forbids an enrollment forbids a helper too, but that it enrolls nobody.
    if let Some(refusal) = profile.enrollment_refusals().iter().find(|r| r.code() != Some("L11")) {
        return Err(ProfileFileError::Refused { path: path.into(), refusal: refusal.clone() }.into());
    }
    let context = LintContext { purpose: Purpose::Any, job: Job::Ios, ..LintContext::new(Some(now)) };
    let findings = lint(bytes, anchors, &context).findings().to_vec();
    match findings.iter().find(|finding| finding.severity == Severity::Error) {
        Some(Finding { code, message, remedy, .. }) => {
            Err(HelperError::Lint { path: path.into(), code, message: message.clone(), remedy })
        }
        None => Ok(Helper { source: path.into(), profile: Arc::new(profile), findings }),
    }
}
