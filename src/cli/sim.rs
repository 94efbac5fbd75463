//! `enlist sim`: simulated devices on a usbmuxd socket, for any client. A composition root.

pub(super) mod scenes;

use super::output::Output;
use crate::api::OperationError;
use crate::api::view::Exit;
use crate::clock::Clock;
use crate::sim::control::{Command, ControlServer};
use crate::sim::{After, DeviceSpec, Fleet, FleetOptions, Latency, Persona, SimError, scenario};
use crate::transport::usbmuxd::MuxAddress;
use crate::transport::usbmuxd::server::{MuxServer, MuxServerOptions};
use crate::wire::printable::sentence;
use crate::wire::printable::system_words;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// Longest answer to a control command: the state of the largest fleet.
const CONTROL_ANSWER_BYTES: u64 = 64 << 20;

/// A control command must be answered within this time.
const CONTROL_ANSWER: Duration = Duration::from_secs(10);

/// Simulate devices on a usbmuxd socket.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// How many devices [default: 8, or as many as --persona names]
    #[arg(long, value_name = "N", conflicts_with = "scenario")]
    pub devices: Option<usize>,
    /// Where to listen; by default in a new folder for temporary files
    #[arg(long, value_name = "UNIX:/path|/path|host:port|[v6]:port")]
    pub socket: Option<MuxAddress>,
    /// Unix socket for control commands
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Identities, delays and challenges follow it
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Delay of each answer of a device, such as 5ms or 5ms+2ms
    #[arg(long, value_name = "SPAN")]
    pub latency: Option<Latency>,
    /// What the devices are, in turn; NAME:COUNT for COUNT of them. Repeatable
    #[arg(long, value_name = "NAME[:COUNT]", conflicts_with = "scenario")]
    pub persona: Vec<String>,
    /// File that says what the devices are
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// When the person installs a queued profile, on all devices; or 'never'
    #[arg(long, value_name = "SPAN")]
    pub accept_after: Option<After>,
    /// When the person answers the Trust dialog, on all devices; or 'never'
    #[arg(long, value_name = "SPAN")]
    pub trust_after: Option<After>,
    /// Something else than running the simulator.
    #[command(subcommand)]
    pub action: Option<SimAction>,
}

/// What to do with a running simulator.
#[derive(Debug, Subcommand)]
pub enum SimAction {
    /// Send one command to a running simulator and print its answer
    Control {
        /// Its control socket
        socket: PathBuf,
        /// list, state, attach, detach, swap, reattach, reboot, unlock, lock, trust, deny, accept,
        /// cancel, finish-setup, forget-pairing, silence, install, restart-mux,
        /// shutdown
        verb: String,
        /// UDID, and further fields as KEY=VALUE (install: file=PATH; silence: on=true)
        fields: Vec<String>,
    },
}

/// What stops the simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimCliError {
    /// The fleet.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// An argument.
    #[error("{0}")]
    Argument(String),
    /// A file or socket.
    #[error("cannot {what}: {}", system_words(.source))]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> SimCliError {
    let what = what.into();
    move |source| SimCliError::Io { what, source }
}

/// Runs the subcommand.
///
/// # Errors
/// What cannot be simulated, or reached.
pub(super) async fn run(args: SimArgs, output: &Output) -> Result<Exit, OperationError> {
    let ended = match args.action {
        Some(SimAction::Control { socket, verb, fields }) => control(&socket, &verb, &fields).await,
        None => simulate(args, output.json).await,
    };
    ended.map_err(|error| {
        let exit = if matches!(error, SimCliError::Io { .. }) { Exit::Failed } else { Exit::Usage };
        let said = sentence(&error);
        OperationError::new(exit, said, "enlist sim --help shows what it takes.")
    })
}

async fn simulate(args: SimArgs, json: bool) -> Result<Exit, SimCliError> {
    let fleet = Fleet::new(options(&args)?)?;
    let folder = TemporaryFolder::unless(args.socket.is_some())?;
    let address = match (&args.socket, &folder) {
        (Some(address), _) => address.clone(),
        (None, folder) => MuxAddress::Unix(folder.path.join("usbmuxd")),
    };
    let server = MuxServer::start(fleet.backend(), &address, MuxServerOptions::default()).await;
    let server = server.map_err(failed(format!("listen at {address}")))?;
    let mut control = match &args.control {
        None => None,
        Some(path) => {
            let started = ControlServer::start(&fleet, path).await;
            Some(started.map_err(failed(format!("listen at {}", path.display())))?)
        }
    };
    // Before it says that it is ready: whoever reads that may end it at once.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("wait for signals"))?;
    announce(&fleet, &server, args.control.as_deref(), json).map_err(failed("print"))?;
    let asked = async {
        match &mut control {
            Some(control) => control.shutdown_asked().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = asked => {}
    }
    Ok(Exit::Done)
}

fn options(args: &SimArgs) -> Result<FleetOptions, SimCliError> {
    let mut options = match &args.scenario {
        Some(path) => {
            let text = crate::config::read_text(path).map_err(failed(format!("read {}", path.display())))?;
            scenario::read(&text, Clock::System)?
        }
        None => {
            let mut specs = Vec::new();
            for text in &args.persona {
                specs.extend(persona_argument(text)?);
            }
            let named = if specs.is_empty() { FleetOptions::default().devices } else { specs.len() };
            FleetOptions { devices: args.devices.unwrap_or(named), specs, ..FleetOptions::default() }
        }
    };
    if options.specs.is_empty() {
        options.specs = vec![DeviceSpec::from(Persona::Ready)];
    }
    for spec in &mut options.specs {
        spec.settings.accept_after = args.accept_after.unwrap_or(spec.settings.accept_after);
        spec.settings.trust_after = args.trust_after.unwrap_or(spec.settings.trust_after);
    }
    options.seed = args.seed.unwrap_or(options.seed);
    options.latency = args.latency.unwrap_or(options.latency);
    Ok(options)
}

/// `NAME` or `NAME:COUNT`.
fn persona_argument(text: &str) -> Result<Vec<DeviceSpec>, SimCliError> {
    let argument = |reason: String| SimCliError::Argument(reason);
    let (name, count) = match text.split_once(':') {
        None => (text, 1),
        Some((name, count)) => {
            let count = count.parse().ok().filter(|n| (1..=crate::sim::fleet::MOST_DEVICES).contains(n));
            (name, count.ok_or_else(|| argument(format!("'{text}': the count is no number of devices")))?)
        }
    };
    let persona: Persona =
        name.parse().map_err(|e: crate::sim::persona::UnknownPersona| argument(e.to_string()))?;
    Ok(vec![DeviceSpec::from(persona); count])
}

fn announce(fleet: &Fleet, server: &MuxServer, control: Option<&Path>, json: bool) -> io::Result<()> {
    let devices = fleet.inspect_all();
    let address = server.address();
    let mut out = io::stdout().lock();
    if json {
        let udids: Vec<_> = devices.iter().map(|d| &d.udid).collect();
        writeln!(
            out,
            "{}",
            json!({ "event": "ready", "devices": udids, "socket": address.in_full(), "control": control })
        )?;
        return out.flush();
    }
    writeln!(out, "Simulated: {} devices on {address}", devices.len())?;
    for device in &devices {
        writeln!(
            out,
            "  {}  {}, {} {}, {}",
            device.udid, device.name, device.product_type, device.os_version, device.persona
        )?;
    }
    writeln!(out, "libimobiledevice: USBMUXD_SOCKET_ADDRESS={address} idevice_id -l")?;
    if let MuxAddress::Unix(path) = address {
        writeln!(
            out,
            "pymobiledevice3:  USBMUXD_SOCKET_ADDRESS={} pymobiledevice3 usbmux list",
            path.display()
        )?;
    }
    if let Some(control) = control {
        writeln!(out, "control:          enlist sim control {} list", control.display())?;
    }
    writeln!(out, "Ctrl-C ends it.")?;
    out.flush()
}

/// A folder of our own for the default socket; gone when dropped.
struct TemporaryFolder {
    path: PathBuf,
    made: bool,
}

impl TemporaryFolder {
    fn unless(given: bool) -> Result<Self, SimCliError> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("enlist-sim-{}", std::process::id()));
        if !given {
            // Fails if it exists: a folder that somebody else prepared is not ours.
            let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
            made.map_err(failed(format!("make the folder {}", path.display())))?;
        }
        Ok(Self { path, made: !given })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if self.made {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Sends one command and prints the answer.
async fn control(socket: &Path, verb: &str, fields: &[String]) -> Result<Exit, SimCliError> {
    let command = command_line(verb, fields)?;
    let what = format!("reach the simulator at {}", socket.display());
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream.take(CONTROL_ANSWER_BYTES)).read_line(&mut answer).await?;
        Ok(answer)
    };
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let answer =
        timeout(CONTROL_ANSWER, exchange).await.map_err(late).and_then(|a| a).map_err(failed(what))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", answer.trim_end()).map_err(failed("print"))?;
    let good = serde_json::from_str::<Value>(&answer).is_ok_and(|v| v["ok"] == Value::Bool(true));
    Ok(if good { Exit::Done } else { Exit::Failed })
}

/// The JSON line for a verb, a UDID and `key=value` fields.
fn command_line(verb: &str, fields: &[String]) -> Result<Value, SimCliError> {
    let mut object = Map::from_iter([("do".to_owned(), Value::from(verb))]);
    for field in fields {
        let (key, value) = field.split_once('=').unwrap_or(("udid", field));
        let value = match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::from(text),
        };
        object.insert(key.to_owned(), value);
    }
    let command = Value::Object(object);
    // Checked here too, so that a typing error is told without a simulator.
    serde_json::from_value::<Command>(command.clone()).map_err(|e| SimCliError::Argument(e.to_string()))?;
    Ok(command)
}
