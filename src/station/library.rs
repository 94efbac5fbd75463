//! Reading profile files; [`candidate`] judges one, [`folder`] chooses one of many, [`shelf`]
//! follows a folder, [`store`] keeps the station's own.

pub mod candidate;
pub mod folder;
mod notice;
pub mod shelf;
pub mod store;

use crate::limits::PROFILE_REFUSE_BYTES;
use crate::wire::printable::system_words;
use crate::wire::profile::{Profile, Purpose, Refusal, SignerPin, TrustAnchors};
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a profile file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {}", path.display(), system_words(.source))]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A list of trusted roots is no list of certificates.
    #[error("{} holds no PEM certificate", path.display())]
    Roots {
        /// Which file.
        path: PathBuf,
    },
    /// The file was read, and must not or cannot be pushed.
    #[error("{}: {refusal}", path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// It could be pushed, and a device would refuse it: the linter finds an error.
    #[error("{}: {message} ({code})", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// The rule.
        code: &'static str,
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// Reads a profile for `purpose`. Nothing beyond the size limit is read into memory.
///
/// # Errors
/// [`ProfileFileError`].
pub fn load(
    path: &Path,
    purpose: Purpose,
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<Profile, ProfileFileError> {
    load_bytes(&bytes(path)?, path, purpose, anchors, now)
}

/// The bytes of a profile file, whatever it is. Nothing beyond the size limit is read into
/// memory.
///
/// # Errors
/// [`ProfileFileError::Read`].
pub fn bytes(path: &Path) -> Result<Vec<u8>, ProfileFileError> {
    read(path, PROFILE_REFUSE_BYTES + 1)
}

/// As [`load`], for bytes that came with the program.
///
/// # Errors
/// [`ProfileFileError::Refused`].
pub fn load_bytes(
    bytes: &[u8],
    name: &Path,
    purpose: Purpose,
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<Profile, ProfileFileError> {
    Profile::load(bytes, purpose, anchors, now)
        .map_err(|refusal| ProfileFileError::Refused { path: name.into(), refusal })
}

/// Whose signature a profile may have: asked wherever a profile is loaded.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    /// PEM files with roots that signers may chain to, beside the system's. Read when a profile
    /// is, and not kept: they are megabytes.
    pub roots: Vec<PathBuf>,
    /// The one signer whose profiles are pushed, if the site accepts only one.
    pub pin: Option<SignerPin>,
}

impl Signers {
    /// What a profile is judged by.
    ///
    /// # Errors
    /// [`ProfileFileError::Read`], [`ProfileFileError::Roots`] for a file of `roots`.
    pub fn anchors(&self) -> Result<TrustAnchors, ProfileFileError> {
        Ok(anchors(&self.roots)?.pinned(self.pin.clone()))
    }
}

/// The system's trusted roots, and those of `extra` files.
///
/// # Errors
/// [`ProfileFileError::Read`], [`ProfileFileError::Roots`] for an extra file; a system
/// without a list of roots trusts nobody.
fn anchors(extra: &[PathBuf]) -> Result<TrustAnchors, ProfileFileError> {
    let mut anchors = TrustAnchors::none();
    let system = TrustAnchors::SYSTEM_BUNDLES.iter().map(Path::new).find(|p| p.exists());
    if let Some(bundle) = system
        && let Err(error) = read(bundle, ROOTS_BYTES).map(|pem| anchors.add_pem(&pem))
    {
        tracing::warn!(%error, "the system's trusted roots are not used");
    }
    for path in extra {
        let pem = read(path, ROOTS_BYTES)?;
        anchors.add_pem(&pem).map_err(|_| ProfileFileError::Roots { path: path.clone() })?;
    }
    Ok(anchors)
}

/// Longest list of roots read, in bytes; the systems' lists are below 1 MiB.
const ROOTS_BYTES: usize = 8 << 20;

fn read(path: &Path, limit: usize) -> Result<Vec<u8>, ProfileFileError> {
    let failed = |source| ProfileFileError::Read { path: path.into(), source };
    // Asked before it is opened: opening a pipe waits for whoever writes to it.
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if !kind.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
