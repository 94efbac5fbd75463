//! A folder of blueprints and the files they name: read, followed, and the last good state
//! kept while one of them is wrong.
//!
//! May import: `station::library`, `station::age`, `workflow::blueprint`, base. Looked at each
//! second, as the folder of exports is (see [`super::library::shelf`]).

use super::age::{Age, Beside, file_date};
use super::library::{Signers, bytes, load_bytes};
use crate::clock::Clock;
use crate::limits::CONFIG_BYTES;
use crate::wire::printable::{printable, system_words};
use crate::wire::profile::{Profile, Purpose, TrustAnchors};
use crate::workflow::blueprint::{self, Blueprint};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Most blueprints of a folder: a site has a handful.
const MOST: usize = 256;

/// Why blueprints cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlueprintError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// Folder or file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is none.
    #[error("there is no blueprint (a .toml file) in {}", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// There are too many.
    #[error("{} has more than {MOST} blueprints", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// One is wrong.
    #[error("{}:{fault}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// Line, column, and what is wrong there.
        fault: String,
    },
    /// A profile that one names cannot be used.
    #[error("{}: {reason}", path.display())]
    Profile {
        /// The blueprint.
        path: PathBuf,
        /// What is wrong with which profile.
        reason: String,
    },
}

/// An enrollment profile of a blueprint, and until when it is good.
#[derive(Debug, Clone)]
pub struct Export {
    /// The profile.
    pub profile: Arc<Profile>,
    /// Its end, if anything tells it.
    pub ends: Option<Timestamp>,
}

/// Profiles of one blueprint.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The enrollment profile, if it is not the station's.
    pub export: Option<Export>,
    /// Helpers, in order.
    pub helpers: Vec<Arc<Profile>>,
}

/// All blueprints of a folder.
#[derive(Debug, Clone, Default)]
pub struct Blueprints {
    /// By name.
    pub all: Vec<Blueprint>,
    files: BTreeMap<String, Files>,
    seen: Vec<Stamp>,
}

/// Follows a folder of blueprints.
pub type Followed = watch::Receiver<Arc<Blueprints>>;

/// What shows that a file was changed: path, size, inode, dates.
type Stamp = (PathBuf, u64, u64, i64, i64);

impl Blueprints {
    /// Reads a folder and every file that its blueprints name.
    ///
    /// # Errors
    /// [`BlueprintError`]: one that is wrong makes all of them unusable.
    pub fn load(folder: &Path, signers: &Signers, now: Timestamp) -> Result<Self, BlueprintError> {
        let paths = listed(folder)?;
        if paths.is_empty() {
            return Err(BlueprintError::Empty { path: folder.into() });
        }
        let unreadable = |error: super::library::ProfileFileError| BlueprintError::Unreadable {
            path: folder.into(),
            reason: error.to_string(),
        };
        let anchors = signers.anchors().map_err(unreadable)?;
        let mut found = Self::default();
        for path in &paths {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let text = text_of(path)?;
            let wrong = |fault: crate::wire::toml_text::TomlFault| BlueprintError::Wrong {
                path: path.clone(),
                fault: fault.to_string(),
            };
            let blueprint = blueprint::parse(&name, &text, folder).map_err(wrong)?;
            let failed = |reason: String| BlueprintError::Profile { path: path.clone(), reason };
            let files = files(&blueprint, &anchors, now).map_err(failed)?;
            found.files.insert(name, files);
            found.all.push(blueprint);
        }
        found.seen = stamps(folder, &found.all);
        Ok(found)
    }

    /// The profiles of one of them.
    pub fn files(&self, name: &str) -> Files {
        self.files.get(name).cloned().unwrap_or_default()
    }
}

/// Follows a folder that was read, until nobody asks any more.
pub fn follow(folder: PathBuf, first: Blueprints, signers: Signers, clock: Clock) -> Followed {
    let (sender, followed) = watch::channel(Arc::new(first));
    tokio::spawn(run(folder, signers, clock, sender));
    followed
}

async fn run(folder: PathBuf, signers: Signers, clock: Clock, kept: watch::Sender<Arc<Blueprints>>) {
    let mut told = None;
    let mut tried = kept.borrow().seen.clone();
    loop {
        tokio::select! {
            () = kept.closed() => return,
            () = sleep(LOOK_EVERY) => {}
        }
        let (path, signers, now, known) =
            (folder.clone(), signers.clone(), clock.now(), kept.borrow().clone());
        let before = tried.clone();
        // Disks and shares may take their time.
        let looked = tokio::task::spawn_blocking(move || {
            let seen = stamps(&path, &known.all);
            let read = (seen != before).then(|| Blueprints::load(&path, &signers, now));
            (seen, read)
        });
        let Ok((seen, read)) = looked.await else { return };
        tried = seen;
        match read {
            None => {}
            Some(Ok(blueprints)) => {
                tracing::warn!(count = blueprints.all.len(), "blueprints were changed; new jobs follow them");
                tried.clone_from(&blueprints.seen);
                told = None;
                kept.send_replace(Arc::new(blueprints));
            }
            Some(Err(error)) => {
                if told.as_ref() != Some(&error) {
                    tracing::warn!(%error, "the blueprints as they were before are used");
                }
                told = Some(error);
            }
        }
    }
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, BlueprintError> {
    let failed =
        |error: io::Error| BlueprintError::Unreadable { path: folder.into(), reason: system_words(&error) };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|ending| ending == "toml") && path.is_file() {
            paths.push(path);
        }
        if paths.len() > MOST {
            return Err(BlueprintError::TooMany { path: folder.into() });
        }
    }
    paths.sort();
    Ok(paths)
}

fn text_of(path: &Path) -> Result<String, BlueprintError> {
    let failed =
        |error: io::Error| BlueprintError::Unreadable { path: path.into(), reason: system_words(&error) };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CONFIG_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > CONFIG_BYTES {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large")));
    }
    String::from_utf8(bytes).map_err(|error| BlueprintError::Wrong {
        path: path.into(),
        fault: format!("{}: it is not text in UTF-8", line_of(&error)),
    })
}

fn line_of(error: &std::string::FromUtf8Error) -> usize {
    let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    good.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn files(blueprint: &Blueprint, anchors: &TrustAnchors, now: Timestamp) -> Result<Files, String> {
    let load = |path: &Path, purpose: Purpose| {
        let read = bytes(path).and_then(|b| Ok((load_bytes(&b, path, purpose, anchors, now)?, b)));
        read.map_err(|error| printable(&error.to_string()))
    };
    let mut files = Files::default();
    for path in blueprint.helpers() {
        let (profile, _) = load(path, Purpose::Any)?;
        files.helpers.push(Arc::new(profile));
    }
    if let Some(path) = blueprint.profile() {
        let (profile, bytes) = load(path, Purpose::Enrollment)?;
        let beside = Beside { file_date: file_date(path), ..Beside::default() };
        let ends = Age::of(&bytes, beside, anchors, now).map(|age| age.ends);
        files.export = Some(Export { profile: Arc::new(profile), ends });
    }
    Ok(files)
}

/// Names of the blueprints of a folder, whatever is in them.
///
/// # Errors
/// The folder cannot be listed, or has too many.
pub fn names(folder: &Path) -> Result<Vec<String>, BlueprintError> {
    let name = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Ok(listed(folder)?.into_iter().filter_map(name).collect())
}

/// The blueprints of the folder now, and the files that those known name.
fn stamps(folder: &Path, known: &[Blueprint]) -> Vec<Stamp> {
    let named = known.iter().flat_map(|b| b.helpers().chain(b.profile())).cloned();
    let listed = listed(folder).unwrap_or_default();
    let stamp = |path: PathBuf| {
        let meta = std::fs::metadata(&path).ok();
        let number = |read: fn(&std::fs::Metadata) -> i64| meta.as_ref().map_or(0, read);
        let (size, inode) = meta.as_ref().map_or((0, 0), |m| (m.len(), m.ino()));
        (path, size, inode, number(|m| m.mtime() * 1_000_000_000 + m.mtime_nsec()), number(|m| m.ctime()))
    };
    listed.into_iter().chain(named).map(stamp).collect()
}
