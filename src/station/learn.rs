//! Learning which port is which bay: one device is plugged from port to port, and each new
//! port gets the next name. Any Apple device will do, served or not.

use super::bays::PortTable;
use crate::ids::{Bay, BayName, MuxId, PortName, PortPath};
use crate::limits::REPLUG_DEBOUNCE;
use crate::transport::{Attachment, BackendEvent, Unserved};
use crate::whole_file;
use crate::wire::printable::system_words;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// Largest file of learned names read, in bytes: 127 devices on each of many buses fit.
const FILE_BYTES: u64 = 1 << 20;

/// The file of learned names in a state folder.
pub fn file_in(state_dir: &Path) -> PathBuf {
    state_dir.join("bays.toml")
}

/// Why learned names cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}: {}", path.display(), system_words(.source))]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no table of bays.
    #[error("{} holds no table of bays: {reason}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bays: PortTable,
}

/// Reads what was learned; nothing if there is no file.
///
/// # Errors
/// [`LearnError`].
pub fn read(path: &Path) -> Result<PortTable, LearnError> {
    let failed = |source| LearnError::File { action: "read", path: path.into(), source };
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() && meta.len() <= FILE_BYTES => {}
        Ok(_) => return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no small file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PortTable::new()),
        Err(error) => return Err(failed(error)),
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let file: File = toml::from_str(&text).map_err(|error| LearnError::Content {
        path: path.into(),
        reason: error.message().lines().next().unwrap_or_default().to_owned(),
    })?;
    Ok(file.bays)
}

/// Keeps what was learned, whole or not at all; the file before stays beside it as `.old`.
///
/// # Errors
/// [`LearnError::File`].
pub fn write(path: &Path, learned: &PortTable) -> Result<(), LearnError> {
    let failed = |source| LearnError::File { action: "write", path: path.into(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    if path.exists() {
        fs::copy(path, path.with_extension("toml.old")).map_err(failed)?;
    }
    whole_file::replace(path, 0o600, |out| out.write_all(text_of(learned).as_bytes())).map_err(failed)
}

/// The same table as in the configuration, so that it can be copied there.
fn text_of(learned: &PortTable) -> String {
    let mut text = "# Written by `enlist bays learn`; the configuration outranks it.\n[bays]\n".to_owned();
    for (port, bay) in learned {
        let bay = bay.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!("\"{port}\" = \"{bay}\"\n"));
    }
    text
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learned {
    /// A new port got its name.
    Named {
        /// The port.
        port: PortName,
        /// Its bay from now on.
        bay: Bay,
    },
    /// The port has a name from this round already.
    Again {
        /// The port.
        port: PortName,
        /// Its bay.
        bay: Bay,
    },
    /// A device came whose port nobody can tell.
    NoPort,
}

/// Names to give, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// These.
    Listed(VecDeque<BayName>),
    /// A prefix and a number from 1 on.
    Numbered {
        /// What stands before the number, blank included.
        prefix: String,
        /// How many were given.
        given: usize,
    },
}

impl Iterator for Names {
    type Item = BayName;

    fn next(&mut self) -> Option<BayName> {
        match self {
            Self::Listed(names) => names.pop_front(),
            Self::Numbered { prefix, given } => {
                *given += 1;
                format!("{prefix}{given}").parse().ok()
            }
        }
    }
}

/// A round of learning. Time is an argument.
#[derive(Debug)]
pub struct Learner {
    names: Names,
    waiting: Option<BayName>,
    learned: PortTable,
    /// Devices now plugged in, and when the others left: one plug may show as several.
    stays: BTreeMap<PortPath, Stay>,
    ids: HashMap<MuxId, PortPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    Here,
    LeftAt(Instant),
}

impl Learner {
    /// A round that gives `names` in their order. What is plugged in already teaches nothing
    /// until it is plugged in again.
    pub fn new(mut names: Names, attached: &[Attachment], unserved: &[Unserved]) -> Self {
        let served = attached.iter().filter_map(|a| Some((a.id, a.port.clone()?)));
        let ids: HashMap<_, _> = served.collect();
        let ports = ids.values().cloned().chain(unserved.iter().map(|u| u.device.port.clone()));
        let stays = ports.map(|port| (port, Stay::Here)).collect();
        Self { waiting: names.next(), names, learned: PortTable::new(), stays, ids }
    }

    /// The name the next new port gets; `None` when all are given.
    pub fn next_name(&self) -> Option<&BayName> {
        self.waiting.as_ref()
    }

    /// What was learned so far.
    pub fn learned(&self) -> &PortTable {
        &self.learned
    }

    /// Takes an event of the backend.
    pub fn take(&mut self, event: &BackendEvent, now: Instant) -> Option<Learned> {
        match event {
            BackendEvent::Attached(attachment) => match &attachment.port {
                Some(port) => {
                    self.ids.insert(attachment.id, port.clone());
                    self.came(port, now)
                }
                None => Some(Learned::NoPort),
            },
            BackendEvent::Unserved(unserved) => self.came(&unserved.device.port, now),
            BackendEvent::Detached(id) => {
                if let Some(port) = self.ids.remove(id) {
                    self.stays.insert(port, Stay::LeftAt(now));
                }
                None
            }
            BackendEvent::UnservedLeft(port) => {
                self.stays.insert(port.clone(), Stay::LeftAt(now));
                None
            }
            BackendEvent::Lost { .. } | BackendEvent::Ready => None,
        }
    }

    fn came(&mut self, port: &PortPath, now: Instant) -> Option<Learned> {
        let same_stay = match self.stays.insert(port.clone(), Stay::Here) {
            Some(Stay::Here) => true,
            Some(Stay::LeftAt(then)) => now.saturating_duration_since(then) < REPLUG_DEBOUNCE,
            None => false,
        };
        if same_stay {
            return None;
        }
        let name = PortName::of(port);
        if let Some(bay) = self.learned.get(&name) {
            return Some(Learned::Again { port: name, bay: bay.bay() });
        }
        let bay = std::mem::replace(&mut self.waiting, self.names.next())?;
        self.learned.insert(name.clone(), bay.clone());
        Some(Learned::Named { port: name, bay: bay.bay() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{UnservedReason, UsbDevice, UsbMode};
    use std::time::Duration;

    fn port(last: u8) -> PortPath {
        PortPath { controller: None, bus: 1, ports: vec![last] }
    }

    fn attached(id: u32, last: u8) -> BackendEvent {
        BackendEvent::Attached(attachment(id, Some(port(last))))
    }

    fn attachment(id: u32, port: Option<PortPath>) -> Attachment {
        let udid = "00008110-001A2B3C4D5E6F70".parse().unwrap();
        Attachment {
            id: MuxId(id),
            udid,
            location: None,
            port,
            speed: None,
            product_id: None,
            simulated: true,
        }
    }

    fn unserved(last: u8) -> Unserved {
        let device = UsbDevice {
            bus: 1,
            address: 9,
            port: port(last),
            product_id: 0x1281,
            mode: UsbMode::Recovery,
            serial: None,
            boot: None,
            configuration: None,
        };
        Unserved { device, reason: UnservedReason::Mode }
    }

    fn names() -> Names {
        Names::Listed(["Bay 1", "Bay 2"].map(|name| name.parse().unwrap()).into())
    }

    fn words(learned: Option<Learned>) -> String {
        match learned {
            Some(Learned::Named { port, bay }) => format!("{port} is {bay}"),
            Some(Learned::Again { port, bay }) => format!("{port} was {bay}"),
            Some(Learned::NoPort) => "no port".into(),
            None => String::new(),
        }
    }

    #[test]
    fn each_new_port_gets_the_next_name_whatever_the_device() {
        let mut learner = Learner::new(names(), &[attachment(1, Some(port(9)))], &[]);
        let mut now = Instant::now();
        let mut take = |event: BackendEvent, seconds: u64| {
            now += Duration::from_secs(seconds);
            words(learner.take(&event, now))
        };
        // There before: said to nobody until it is plugged in again.
        assert_eq!(take(attached(1, 9), 0), "");
        assert_eq!(take(attached(2, 4), 1), "1-4 is Bay 1");
        assert_eq!(take(BackendEvent::Detached(MuxId(2)), 5), "");
        // It enumerates more than once (1.12), and the mux takes it over: one plug.
        assert_eq!(take(attached(3, 4), 1), "");
        assert_eq!(take(BackendEvent::Detached(MuxId(3)), 5), "");
        assert_eq!(take(attached(4, 4), 5), "1-4 was Bay 1");
        assert_eq!(take(BackendEvent::Unserved(unserved(5)), 5), "1-5 is Bay 2");
        assert_eq!(take(BackendEvent::UnservedLeft(port(5)), 5), "");
        assert_eq!(take(attached(5, 5), 1), "");
        assert_eq!(take(BackendEvent::Attached(attachment(6, None)), 5), "no port");
        // All names are given.
        assert_eq!(take(attached(7, 6), 5), "");
        assert_eq!(learner.next_name(), None);
        assert_eq!(learner.learned().len(), 2);
        let mut numbered = Names::Numbered { prefix: "Left ".into(), given: 0 };
        assert_eq!([numbered.next(), numbered.next()].map(|n| n.unwrap().bay().0), ["Left 1", "Left 2"]);
    }

    #[test]
    fn what_was_learned_is_kept_whole_and_the_file_before_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder.path().join("state"));
        assert_eq!(read(&path).unwrap(), PortTable::new());
        let table = |bay: &str| PortTable::from([("0000:00:14.0/4".parse().unwrap(), bay.parse().unwrap())]);
        write(&path, &table("Bay \"1\" \\")).unwrap();
        assert_eq!(read(&path).unwrap(), table("Bay \"1\" \\"));
        write(&path, &table("Other")).unwrap();
        assert_eq!(read(&path).unwrap(), table("Other"));
        assert_eq!(read(&path.with_extension("toml.old")).unwrap(), table("Bay \"1\" \\"));
        fs::write(&path, "[bays]\nnowhere = 'x'\n").unwrap();
        let said = read(&path).unwrap_err().to_string();
        assert!(said.contains("'nowhere' is no USB port"), "{said}");
    }
}
