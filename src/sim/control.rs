//! Hands for the simulated world: commands in-process ([`Fleet::control`]) or as JSON lines
//! on a unix socket ([`ControlServer`]).
//!
//! `{"do":"detach","udid":"00008110-001A2B3C4D5E6F70"}` is answered with one line:
//! `{"ok":true}`, or `{"ok":false,"error":"..."}`.

use super::fleet::{Fleet, SimError};
use super::installer;
use super::persona::{AcceptAnswer, TrustAnswer};
use super::span::Span;
use crate::ids::Udid;
use crate::limits::PROFILE_REFUSE_BYTES;
use crate::transport::usbmuxd::MuxAddress;
use crate::transport::usbmuxd::server::listener::{BoundListener, SocketStream};
use crate::wire::printable::system_words;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Longest command line.
const LINE_BYTES: usize = 64 << 10;

/// Connections at once.
const MOST_CONNECTIONS: usize = 32;

/// A command. Where `udid` is optional, none means all devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// All devices in short.
    List,
    /// Counters, installed profiles and condition of a device.
    State {
        /// The device; all if not given.
        udid: Option<Udid>,
    },
    /// Cable in.
    Attach {
        /// The device; all if not given.
        udid: Option<Udid>,
    },
    /// Cable out.
    Detach {
        /// The device; all if not given.
        udid: Option<Udid>,
    },
    /// Cable out; the next device that was never in goes into the same socket.
    Swap {
        /// The device.
        udid: Udid,
    },
    /// Cable out and in again.
    Reattach {
        /// The device; all if not given.
        udid: Option<Udid>,
    },
    /// Reboot; back on the bus after `takes`.
    Reboot {
        /// The device.
        udid: Udid,
        /// The persona's time if not given.
        takes: Option<Span>,
    },
    /// Unlock the screen.
    Unlock {
        /// The device.
        udid: Udid,
    },
    /// Lock the screen.
    Lock {
        /// The device.
        udid: Udid,
    },
    /// Tap Trust, passcode included.
    Trust {
        /// The device.
        udid: Udid,
    },
    /// Tap Don't Trust.
    Deny {
        /// The device.
        udid: Udid,
    },
    /// Install the queued profile.
    Accept {
        /// The device.
        udid: Udid,
    },
    /// Remove the queued profile.
    Cancel {
        /// The device.
        udid: Udid,
    },
    /// Finish Setup Assistant.
    FinishSetup {
        /// The device.
        udid: Udid,
    },
    /// Erase the device, as its person can; it comes back in Setup Assistant.
    Erase {
        /// The device.
        udid: Udid,
    },
    /// Make the device trust nobody.
    ForgetPairing {
        /// The device.
        udid: Udid,
    },
    /// Stop answering, or start again.
    Silence {
        /// The device.
        udid: Udid,
        /// True: answer nothing from now on.
        on: bool,
    },
    /// Install a profile file without asking anybody.
    Install {
        /// The device.
        udid: Udid,
        /// File on this computer.
        file: PathBuf,
    },
    /// Let the mux look restarted: listeners are cut off, attachments numbered anew.
    RestartMux,
    /// End the simulator.
    Shutdown,
}

/// What a command led to: facts, or why not.
pub type ControlReply = Result<Value, ControlError>;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No such device.
    #[error(transparent)]
    Fleet(#[from] SimError),
    /// Nothing there to act on.
    #[error("{0}")]
    Nothing(&'static str),
    /// The profile cannot be read.
    #[error("cannot read {}: {}", path.display(), system_words(.source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The device would not take the profile.
    #[error("the device cannot parse that profile: {0}")]
    Profile(String),
    /// The line is no command.
    #[error("not a command: {0}")]
    Line(String),
}

impl Fleet {
    /// Carries out a command. `shutdown` does nothing here: whoever holds the fleet ends it.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn control(&self, command: Command) -> ControlReply {
        let done = Ok(json!({}));
        match command {
            Command::List => Ok(json!({ "devices": self.short_list() })),
            Command::State { udid: Some(udid) } => Ok(json!({ "device": self.inspect(&udid)? })),
            Command::State { udid: None } => Ok(json!({ "devices": self.inspect_all() })),
            Command::Attach { udid } => self.for_each(udid, Self::attach),
            Command::Detach { udid } => self.for_each(udid, Self::detach),
            Command::Swap { udid } => Ok(json!({ "next": self.swap(&udid)? })),
            Command::Reattach { udid } => self.for_each(udid, Self::reattach),
            Command::Reboot { udid, takes } => {
                self.device(&udid)?.with(|s| s.reboot(takes.unwrap_or(s.settings.reboot_takes).0));
                done
            }
            Command::Unlock { udid } => {
                self.device(&udid)?.with(|s| s.unlock());
                done
            }
            Command::Lock { udid } => {
                self.device(&udid)?.with(|s| s.lock());
                done
            }
            Command::Trust { udid } => self.answer_trust(&udid, TrustAnswer::Trust),
            Command::Deny { udid } => self.answer_trust(&udid, TrustAnswer::Deny),
            Command::Accept { udid } => self.deal(&udid, AcceptAnswer::Install),
            Command::Cancel { udid } => self.deal(&udid, AcceptAnswer::Cancel),
            Command::FinishSetup { udid } => {
                self.device(&udid)?.with(|s| s.finish_setup());
                done
            }
            Command::Erase { udid } => {
                self.device(&udid)?.with(|s| s.erase());
                done
            }
            Command::ForgetPairing { udid } => {
                self.device(&udid)?.with(|s| s.trust.pairings.clear());
                done
            }
            Command::Silence { udid, on } => {
                self.device(&udid)?.with(|s| s.silent = on);
                done
            }
            Command::Install { udid, file } => {
                let profile = installer::parse(&read_profile(&file)?);
                let profile = profile.map_err(|causes| ControlError::Profile(format!("{causes:?}")))?;
                self.device(&udid)?.with(|s| s.install(profile));
                done
            }
            Command::RestartMux => {
                self.restart_mux();
                done
            }
            Command::Shutdown => done,
        }
    }

    fn short_list(&self) -> Vec<Value> {
        let short = |d: &super::Inspection| {
            json!({ "udid": d.udid, "name": d.name, "persona": d.persona, "attached": d.attached,
                    "product": d.product_type, "os": d.os_version })
        };
        self.inspect_all().iter().map(short).collect()
    }

    fn for_each(
        &self,
        udid: Option<Udid>,
        act: impl Fn(&Self, &Udid) -> Result<(), SimError>,
    ) -> ControlReply {
        let udids = udid.map_or_else(|| self.udids(), |udid| vec![udid]);
        for udid in &udids {
            act(self, udid)?;
        }
        Ok(json!({ "devices": udids.len() }))
    }

    fn answer_trust(&self, udid: &Udid, answer: TrustAnswer) -> ControlReply {
        if self.device(udid)?.with(|s| s.answer_dialog(answer)) {
            return Ok(json!({}));
        }
        Err(ControlError::Nothing("no Trust dialog is on the screen"))
    }

    fn deal(&self, udid: &Udid, answer: AcceptAnswer) -> ControlReply {
        if self.device(udid)?.with(|s| s.deal(answer)) {
            return Ok(json!({}));
        }
        Err(ControlError::Nothing("no profile waits for the person"))
    }
}

fn read_profile(path: &Path) -> Result<Vec<u8>, ControlError> {
    let failed = |source| ControlError::File { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > PROFILE_REFUSE_BYTES as u64 {
        return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    std::fs::read(path).map_err(failed)
}

/// The control channel on a unix socket of mode 0600. Dropping it ends it.
#[derive(Debug)]
pub struct ControlServer {
    accepting: AbortHandle,
    shutdown: watch::Receiver<bool>,
    socket: Arc<BoundListener>,
}

impl ControlServer {
    /// Listens at `path`.
    ///
    /// # Errors
    /// The system's, and `AddrInUse` if somebody answers there.
    pub async fn start(fleet: &Fleet, path: &Path) -> io::Result<Self> {
        let address = MuxAddress::Unix(path.to_owned());
        let socket = Arc::new(BoundListener::bind(&address, 0o600).await?);
        let (asked, shutdown) = watch::channel(false);
        let accepting = tokio::spawn(accept(Arc::clone(&socket), fleet.clone(), asked)).abort_handle();
        Ok(Self { accepting, shutdown, socket })
    }

    /// Waits until somebody sent `shutdown`.
    pub async fn shutdown_asked(&mut self) {
        if self.shutdown.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.accepting.abort();
        self.socket.remove_file();
    }
}

async fn accept(socket: Arc<BoundListener>, fleet: Fleet, asked: watch::Sender<bool>) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let asked = Arc::new(asked);
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match socket.accept().await {
            Ok(stream) => {
                let (fleet, asked) = (fleet.clone(), Arc::clone(&asked));
                tokio::spawn(async move {
                    converse(stream, &fleet, &asked).await;
                    drop(permit);
                });
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse(mut stream: SocketStream, fleet: &Fleet, asked: &watch::Sender<bool>) {
    let mut buffer: Vec<u8> = Vec::new();
    let mut chunk = [0; 4 << 10];
    loop {
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let (reply, ends) = answer_line(fleet, &line);
            if ends {
                // Answered before the end begins.
                let _ = stream.write_all(format!("{reply}\n").as_bytes()).await;
                asked.send_replace(true);
                return;
            }
            if stream.write_all(format!("{reply}\n").as_bytes()).await.is_err() {
                return;
            }
        }
        if buffer.len() > LINE_BYTES {
            let reply = json!({ "ok": false, "error": "the line is too long" });
            let _ = stream.write_all(format!("{reply}\n").as_bytes()).await;
            return;
        }
        match stream.read(&mut chunk).await {
            Ok(n) if n > 0 => buffer.extend_from_slice(&chunk[..n]),
            _ => return,
        }
    }
}

/// The reply to a line, and whether it asked for the end.
fn answer_line(fleet: &Fleet, line: &[u8]) -> (Value, bool) {
    let command = serde_json::from_slice::<Command>(line).map_err(|e| ControlError::Line(e.to_string()));
    let ends = matches!(command, Ok(Command::Shutdown));
    let reply = match command.and_then(|command| fleet.control(command)) {
        Ok(Value::Object(mut facts)) => {
            facts.insert("ok".to_owned(), Value::Bool(true));
            Value::Object(facts)
        }
        Ok(other) => json!({ "ok": true, "value": other }),
        Err(error) => json!({ "ok": false, "error": error.to_string() }),
    };
    (reply, ends)
}
