//! The files of a recording, written by a thread of their own: a slow or full disk holds up no
//! job. What cannot be written is given up, once and with a word.

use crate::wire::printable::system_words;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Name of the file that says what a recording is of.
pub const META: &str = "meta.toml";

/// Lines that wait for the disk.
const WAITING: usize = 1024;

/// Most bytes of one recording, and of all in one run: an enrollment has some hundred frames of
/// a kilobyte.
pub(super) const MOST_BYTES: u64 = 16 << 20;
const MOST_BYTES_OF_ALL: u64 = 256 << 20;

/// Most files of one recording: each reconnect makes three.
pub(super) const MOST_FILES: u32 = 300;

/// Why a recording is not whole, as [`META`] says it: what the system said may name folders
/// and is for the log alone.
const TOO_LARGE: &str = "it grew too large";
const TOO_SLOW: &str = "the disk was too slow";
const NOT_TAKEN: &str = "the disk did not take it";
pub(super) const CUTS: [&str; 3] = [TOO_LARGE, TOO_SLOW, NOT_TAKEN];

/// Most folders beside each other.
const MOST_FOLDERS: u32 = 9999;

/// Bytes that all recordings of a run have written.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget(Arc<AtomicU64>);

/// An order for the writer.
enum Order {
    Line { file: String, line: String },
    Meta(String),
}

/// Why a recording is not whole; the first reason counts.
#[derive(Debug, Clone, Default)]
struct Trouble(Arc<Mutex<Option<&'static str>>>);

/// A recording's folder while it is written.
#[derive(Debug)]
pub(super) struct Folder {
    orders: Option<SyncSender<Order>>,
    writer: Receiver<()>,
    trouble: Trouble,
    budget: Budget,
    bytes: u64,
    files: u32,
    phase: &'static str,
    /// No more lines, for want of room.
    full: bool,
}

/// A folder whose last lines are being written.
#[derive(Debug)]
pub(super) struct Closing {
    writer: Receiver<()>,
    trouble: Trouble,
}

impl Folder {
    /// The folder `path` itself, which must be empty.
    pub(super) fn at(path: PathBuf, budget: Budget) -> Self {
        Self::begin(budget, move || {
            private_folder(&path)?;
            match fs::read_dir(&path)?.next() {
                Some(_) => Err(io::Error::other(format!("{} is not empty", path.display()))),
                None => Ok(path),
            }
        })
    }

    /// The next free one of the folders in `parent`.
    pub(super) fn inside(parent: PathBuf, budget: Budget) -> Self {
        Self::begin(budget, move || {
            private_folder(&parent)?;
            for n in 1..=MOST_FOLDERS {
                let path = parent.join(format!("device-{n:03}"));
                match fs::DirBuilder::new().mode(0o700).create(&path) {
                    Ok(()) => return Ok(path),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
            }
            Err(io::Error::other(format!("{} holds {MOST_FOLDERS} recordings", parent.display())))
        })
    }

    /// Everything that touches the disk is done by the writer.
    fn begin(budget: Budget, make: impl FnOnce() -> io::Result<PathBuf> + Send + 'static) -> Self {
        let (orders, queue) = sync_channel(WAITING);
        // Never written to: it is dropped when the writer ends.
        let (alive, writer) = sync_channel(1);
        let trouble = Trouble::default();
        let kept = trouble.clone();
        let write = move || {
            let _alive: SyncSender<()> = alive;
            if let Err(error) = make().and_then(|folder| write(&folder, &queue)) {
                kept.is(NOT_TAKEN, &system_words(&error));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("recorder".to_owned()).spawn(write) {
            trouble.is(NOT_TAKEN, &system_words(&error));
        }
        Self { orders: Some(orders), writer, trouble, budget, bytes: 0, files: 0, phase: "", full: false }
    }

    /// Writes a line into the file of a phase; a new phase is a new file.
    pub(super) fn line(&mut self, phase: &'static str, line: String) {
        if self.full {
            return;
        }
        if self.phase != phase {
            self.phase = phase;
            self.files += 1;
        }
        let length = line.len() as u64 + 1;
        self.bytes += length;
        let all = self.budget.0.fetch_add(length, Ordering::Relaxed);
        if self.bytes > MOST_BYTES || self.files > MOST_FILES || all > MOST_BYTES_OF_ALL {
            return self.fill();
        }
        let file = format!("{:02}-{phase}.jsonl", self.files);
        self.order(Order::Line { file, line });
    }

    /// No more lines are taken.
    pub(super) fn fill(&mut self) {
        self.full = true;
        self.trouble.is(TOO_LARGE, TOO_LARGE);
    }

    /// Writes [`META`].
    pub(super) fn meta(&mut self, text: String) {
        self.order(Order::Meta(text));
    }

    /// Why it is not whole.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        self.trouble.get()
    }

    /// Nothing more comes.
    pub(super) fn close(self) -> Closing {
        Closing { writer: self.writer, trouble: self.trouble }
    }

    fn order(&mut self, order: Order) {
        let Some(orders) = &self.orders else { return };
        match orders.try_send(order) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.trouble.is(TOO_SLOW, TOO_SLOW);
                self.orders = None;
            }
            // The writer said why.
            Err(TrySendError::Disconnected(_)) => self.orders = None,
        }
    }
}

impl Closing {
    /// True if everything is written, or given up.
    pub(super) fn is_over(&self) -> bool {
        self.writer.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits for that; why the recording is not whole.
    pub(super) fn wait(self, deadline: Instant) -> Option<&'static str> {
        let left = deadline.saturating_duration_since(Instant::now());
        if self.writer.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            self.trouble.is(NOT_TAKEN, "the disk did not take it in time");
        }
        self.trouble.get()
    }
}

impl Trouble {
    /// `reason` is for the log.
    fn is(&self, cut: &'static str, reason: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            tracing::warn!("a job is not recorded any further: {reason}; the job itself goes on");
            *kept = Some(cut);
        }
    }

    fn get(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(folder: &Path, orders: &Receiver<Order>) -> io::Result<()> {
    let mut open: Option<(String, File)> = None;
    for order in orders {
        match order {
            Order::Line { file, line } => {
                if open.as_ref().is_none_or(|(name, _)| *name != file) {
                    let made = private(&folder.join(&file))?;
                    open = Some((file, made));
                }
                if let Some((_, file)) = &mut open {
                    file.write_all(format!("{line}\n").as_bytes())?;
                }
            }
            Order::Meta(text) => replace(folder, &text)?,
        }
    }
    Ok(())
}

/// A full disk must not cost the words that were there.
fn replace(folder: &Path, text: &str) -> io::Result<()> {
    let draft = folder.join(format!("{META}.new"));
    let _ = fs::remove_file(&draft);
    let written = private(&draft).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => fs::rename(draft, folder.join(META)),
        Err(error) => {
            let _ = fs::remove_file(draft);
            Err(error)
        }
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
