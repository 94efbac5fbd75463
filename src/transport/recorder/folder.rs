//! The files of a recording, written by a thread of their own: a slow or full disk holds up no
//! job. What cannot be written is given up, once and with a word.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Lines that wait for the disk.
const WAITING: usize = 1024;

/// Most bytes of one recording: an enrollment has some hundred frames of a kilobyte.
const MOST_BYTES: u64 = 16 << 20;

/// Most files of one recording: each reconnect makes three.
const MOST_FILES: u32 = 300;

/// An order for the writer.
enum Order {
    Line { file: String, line: String },
    Meta(String),
}

/// A recording's folder while it is written.
#[derive(Debug)]
pub(super) struct Folder {
    orders: Option<SyncSender<Order>>,
    writer: Option<JoinHandle<()>>,
    trouble: Arc<Mutex<Option<String>>>,
    bytes: u64,
    files: u32,
    phase: &'static str,
}

impl Folder {
    /// Makes the folder; the first file is made with the first line.
    ///
    /// # Errors
    /// It is not empty, or cannot be written.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if fs::read_dir(path)?.next().is_some() {
            return Err(io::Error::other("there is something in it already"));
        }
        let (sender, receiver) = sync_channel(WAITING);
        let trouble = Arc::new(Mutex::new(None));
        let (kept, folder) = (Arc::clone(&trouble), path.to_owned());
        let writer = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            if let Err(error) = write(&folder, &receiver) {
                let reason = crate::wire::printable::system_words(&error);
                give_up(&kept, &folder, &reason);
            }
        })?;
        let orders = Some(sender);
        Ok(Self { orders, writer: Some(writer), trouble, bytes: 0, files: 0, phase: "" })
    }

    /// Writes a line into the file of a phase; a new phase is a new file.
    pub(super) fn line(&mut self, phase: &'static str, line: String) {
        if self.phase != phase {
            self.phase = phase;
            self.files += 1;
        }
        self.bytes += line.len() as u64 + 1;
        if self.bytes > MOST_BYTES || self.files > MOST_FILES {
            return self.stop("it grew too large");
        }
        let file = format!("{:02}-{phase}.jsonl", self.files);
        self.order(Order::Line { file, line });
    }

    /// Writes `meta.toml`.
    pub(super) fn meta(&mut self, text: String) {
        self.order(Order::Meta(text));
    }

    /// Why it is not whole.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until everything is written.
    pub(super) fn close(&mut self) {
        self.orders = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }

    fn order(&mut self, order: Order) {
        let Some(orders) = &self.orders else { return };
        match orders.try_send(order) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.stop("the disk is too slow"),
            // The writer said why.
            Err(TrySendError::Disconnected(_)) => self.orders = None,
        }
    }

    fn stop(&mut self, reason: &str) {
        if self.orders.take().is_some() {
            give_up(&self.trouble, Path::new("the recording"), reason);
        }
    }
}

fn give_up(trouble: &Mutex<Option<String>>, folder: &Path, reason: &str) {
    let mut kept = trouble.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.is_none() {
        tracing::warn!("{} is not recorded any further: {reason}; the job goes on", folder.display());
        *kept = Some(reason.to_owned());
    }
}

fn write(folder: &Path, orders: &Receiver<Order>) -> io::Result<()> {
    let mut open: Option<(String, File)> = None;
    for order in orders {
        match order {
            Order::Line { file, line } => {
                if open.as_ref().is_none_or(|(name, _)| *name != file) {
                    let made = private(&folder.join(&file), false)?;
                    open = Some((file, made));
                }
                if let Some((_, file)) = &mut open {
                    file.write_all(format!("{line}\n").as_bytes())?;
                }
            }
            Order::Meta(text) => private(&folder.join(META), true)?.write_all(text.as_bytes())?,
        }
    }
    Ok(())
}

/// Name of the file that says what a recording is of.
const META: &str = "meta.toml";

fn private(path: &PathBuf, anew: bool) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(anew).append(!anew).mode(0o600).open(path)
}
