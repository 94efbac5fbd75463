//! Configuration: one TOML file, the environment, and flags, in rising order of weight.
//!
//! The only place that reads the environment. Unknown keys are refused with a suggestion.

mod credentials;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod keys;
mod password;
mod prepare;
mod supervision;
mod wifi;

pub use prepare::PrepareConfig;
pub use supervision::SupervisionConfig;
pub use wifi::WifiConfig;

use crate::ids::{BayName, PortName};
use crate::limits::{self, CONFIG_BYTES};
use crate::secret::Secret;
use crate::transport::usbmuxd::MuxAddress;
use crate::wire::printable::system_words;
use crate::wire::profile::SignerPin;
use crate::wire::toml_text;
use crate::workflow::device_name;
use crate::workflow::outcome::Outcome;
use crate::workflow::policy::{Policy, Prefer, Reuse, SetupAssistant, UnknownAge};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The station's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the station keeps its identity, pair-record versions and journal.
    pub state_dir: Option<PathBuf>,
    /// The profile `enlist serve` pushes.
    pub profile: Option<PathBuf>,
    /// PEM files with roots that signers of profiles may chain to, beside the system's.
    pub trusted_roots: Vec<PathBuf>,
    /// The one signer whose profiles are pushed.
    pub profile_signer: Option<SignerPin>,
    /// The way to the devices.
    pub mux: MuxConfig,
    /// How enrollments go.
    pub enroll: EnrollConfig,
    /// The network that devices join before they enroll.
    pub wifi: Option<WifiConfig>,
    /// The organisation's supervision identities.
    pub supervision: SupervisionConfig,
    /// What devices are prepared with.
    pub prepare: PrepareConfig,
    /// API and page.
    pub api: ApiConfig,
    /// Names of bays, by the port they are.
    pub bays: BTreeMap<PortName, BayName>,
    /// Folder of blueprints.
    pub blueprints: Option<PathBuf>,
    /// What becomes of batches.
    pub batch: BatchConfig,
    /// Commands to run after jobs.
    pub hooks: Vec<HookConfig>,
}

/// Section `[batch]`: for batches that are opened without saying it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// What becomes of devices that the manifest does not name.
    pub unexpected: Option<UnexpectedConfig>,
    /// Stop after so many equal faults in a row; 0: never.
    pub stop_after: Option<u32>,
}

/// What becomes of a device that a manifest does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnexpectedConfig {
    /// Its job ends at once.
    Refuse,
    /// Its job waits until somebody allows it.
    Ask,
    /// It is enrolled like the others.
    Allow,
}

impl UnexpectedConfig {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Ask => "ask",
            Self::Allow => "allow",
        }
    }
}

/// One `[[hooks]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookConfig {
    /// After jobs that end so, such as `enrolled`; or `ended`, after every job.
    pub on: HookOn,
    /// The command and its arguments; no shell is involved.
    pub command: Vec<String>,
    /// Seconds it may take.
    #[serde(default = "hook_within")]
    pub within: u64,
}

/// One name of an ending, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected an outcome such as 'enrolled', 'ended', or a list of them")]
pub enum HookOn {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

fn hook_within() -> u64 {
    30
}

impl HookConfig {
    /// The outcomes; none for every ending.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for a name that no job ends with, an empty command, a time that
    /// is none.
    pub fn outcomes(&self) -> Result<Vec<Outcome>, ConfigError> {
        let wrong = |reason: String| ConfigError::Value { what: "hooks".into(), reason };
        if self.command.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(wrong("a command is empty".into()));
        }
        if !(1..=3600).contains(&self.within) {
            return Err(wrong("within must be between 1 and 3600 seconds".into()));
        }
        let names = match &self.on {
            HookOn::One(name) => std::slice::from_ref(name),
            HookOn::Many(names) => names,
        };
        if names.iter().any(|name| name == "ended") {
            return Ok(Vec::new());
        }
        let outcome = |name: &String| {
            let known = Outcome::ALL.iter().find(|outcome| outcome.name() == name).copied();
            let nearest = || Outcome::ALL.iter().min_by_key(|o| toml_text::distance(o.name(), name));
            known.ok_or_else(|| {
                let meant = nearest().map_or("", |outcome| outcome.name());
                wrong(format!("no job ends as '{name}'; did you mean '{meant}'?"))
            })
        };
        match names.is_empty() {
            true => Err(wrong("on is empty; write on = \"ended\" for every job".into())),
            false => names.iter().map(outcome).collect(),
        }
    }
}

/// Section `[mux]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuxConfig {
    /// Which way to the devices; `--mux` outranks it.
    pub way: Option<MuxWay>,
    /// Address of the usbmuxd socket; `USBMUXD_SOCKET_ADDRESS` outranks it.
    pub socket: Option<String>,
    /// Socket on which `enlist serve` serves other tools as usbmuxd would.
    pub serve_socket: Option<PathBuf>,
}

/// A way to the devices (design section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MuxWay {
    /// usbmuxd if it answers, else the USB bus itself.
    #[default]
    Auto,
    /// The socket of usbmuxd.
    Usbmuxd,
    /// Our own mux, over libusb.
    Usb,
}

/// Section `[api]`: how `enlist serve` serves API and page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Address, or `off`; `--listen` and `ENLIST_LISTEN` outrank it.
    pub listen: Option<String>,
    /// File with the token; `ENLIST_API_TOKEN` outranks it.
    pub token_file: Option<PathBuf>,
    /// PEM file with the certificate chain.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with its key.
    pub tls_key: Option<PathBuf>,
    /// Further names of this computer, as browsers ask for it.
    pub hosts: Vec<String>,
    /// Screens may look only.
    pub kiosk: bool,
}

/// Section `[enroll]`. Times are whole seconds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnrollConfig {
    /// How long a person may take for Trust and for unlocking.
    pub person_within: Option<u64>,
    /// How long a queued profile waits for its person (the device drops it after 480).
    pub accept_within: Option<u64>,
    /// How often one job may push: again after a queued profile expired.
    pub pushes: Option<u32>,
    /// `push` or `hold` while Setup Assistant runs.
    pub setup_assistant: Option<SetupAssistant>,
    /// How long a job stays open without its device.
    pub replug_within: Option<u64>,
    /// How long to watch for the first policies after enrollment.
    pub policies_within: Option<u64>,
    /// The other export of the same enrollment: the SCEP one beside the ACME one, or back.
    pub sibling: Option<PathBuf>,
    /// Which of the two is pushed first, `scep` or `acme`.
    pub prefer: Option<Prefer>,
    /// What an export of unknown age comes to, `hold` or `file-date`.
    pub unknown_age: Option<UnknownAge>,
    /// Whether an ACME export may enroll a second device, `yes` or `no`.
    pub acme_reuse: Option<Reuse>,
    /// What is on a device before it enrolls: profiles, and certificates in PEM or DER form.
    pub helpers: Vec<PathBuf>,
    /// What a device is called before it enrolls.
    pub device_name: Option<String>,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {}", path.display(), system_words(.source))]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("the configuration {} is larger than {CONFIG_BYTES} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{}{}: {message}", path.display(), place.map(|(l, c)| format!(":{l}:{c}")).unwrap_or_default())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Line and column, from 1.
        place: Option<(usize, usize)>,
        /// What is wrong, with a suggestion where there is one.
        message: String,
    },
    /// A value that no station can work with.
    #[error("{what}: {reason}")]
    Value {
        /// Which setting.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no folder to keep anything in.
    #[error("there is no home folder for the station's state: set ENLIST_STATE_DIR or --state-dir")]
    NoHome,
}

/// Reads a text file that a person wrote: a configuration, a scenario. Bounded, and never
/// waiting for the other end of a pipe.
///
/// # Errors
/// What the system says; `FileTooLarge` beyond [`CONFIG_BYTES`].
pub fn read_text(path: &Path) -> io::Result<String> {
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut text = String::new();
    std::fs::File::open(path)?.take(CONFIG_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > CONFIG_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
    }
    Ok(text)
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], with line and column where there is one.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path).map_err(|source| match source.kind() {
            io::ErrorKind::FileTooLarge => ConfigError::TooLarge { path: path.into() },
            _ => ConfigError::Read { path: path.into(), source },
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml_text::parse(text).map_err(|fault| ConfigError::Content {
            path: path.into(),
            place: fault.place,
            message: fault.message,
        })?;
        config.enroll.policy(Policy::default())?;
        config.wifi.as_ref().map_or(Ok(()), WifiConfig::check)?;
        config.supervision.check()?;
        config.prepare.check(!config.supervision.identity.is_empty())?;
        config.hooks.iter().try_for_each(|hook| hook.outcomes().map(drop))?;
        Ok(config)
    }
}

impl EnrollConfig {
    /// Lays these settings over `base`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for times and counts no enrollment can work with.
    pub fn policy(&self, base: Policy) -> Result<Policy, ConfigError> {
        let seconds = |value: Option<u64>, base: Duration| value.map_or(base, Duration::from_secs);
        let policy = Policy {
            person_within: seconds(self.person_within, base.person_within),
            accept_within: seconds(self.accept_within, base.accept_within),
            pushes: self.pushes.unwrap_or(base.pushes),
            setup_assistant: self.setup_assistant.unwrap_or(base.setup_assistant),
            replug_within: seconds(self.replug_within, base.replug_within),
            policies_within: seconds(self.policies_within, base.policies_within),
            prefer: self.prefer.unwrap_or(base.prefer),
            acme_reuse: self.acme_reuse.unwrap_or(base.acme_reuse),
            device_name: self.device_name.clone().or(base.device_name),
            ..base
        };
        let wrong = |what: &str, reason: String| Err(ConfigError::Value { what: what.into(), reason });
        if policy.accept_within > limits::PENDING_PROFILE {
            let most = limits::PENDING_PROFILE.as_secs();
            return wrong(
                "accept_within",
                format!("the device drops a waiting profile after {most} seconds"),
            );
        }
        if !(1..=100).contains(&policy.pushes) {
            return wrong("pushes", "must be between 1 and 100".into());
        }
        if let Some(Err(reason)) = policy.device_name.as_deref().map(device_name::check) {
            return wrong("device_name", reason);
        }
        let day = Duration::from_secs(86_400);
        if policy.person_within > day || policy.policies_within > day {
            return wrong(
                "person_within and policies_within",
                "must be at most a day (86400 seconds)".into(),
            );
        }
        Ok(policy)
    }
}

fn wrong(what: &str, reason: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Value { what: what.into(), reason: reason.to_string() }
}

/// The environment this program looks at.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `USBMUXD_SOCKET_ADDRESS`: where the mux listens (protocols.md 2.1).
    pub mux_address: Option<String>,
    /// `ENLIST_STATE_DIR`: the state folder.
    pub state_dir: Option<PathBuf>,
    /// `ENLIST_CONFIG`: the configuration file.
    pub config: Option<PathBuf>,
    /// `ENLIST_LISTEN`: where API and page are served.
    pub listen: Option<String>,
    /// `ENLIST_API_TOKEN`: what whoever asks the API must show.
    pub api_token: Option<Secret<String>>,
    /// `ENLIST_LOG`: filter of the log, such as `debug` or `enlist::transport=trace`.
    pub log: Option<String>,
    /// `NOTIFY_SOCKET`: where the service manager wants to hear of the station (sd_notify).
    pub notify_socket: Option<std::ffi::OsString>,
    /// `WATCHDOG_USEC`: it kills a station that it did not hear of for so long.
    pub watchdog: Option<Duration>,
    /// `CREDENTIALS_DIRECTORY`: the secrets that the service manager handed over.
    pub credentials: Option<PathBuf>,
    /// `NO_COLOR` is set: no colour, even on a terminal.
    pub no_color: bool,
    /// `TERM` is `dumb` or missing: the terminal can move no cursor.
    pub dumb_terminal: bool,
    xdg_state: Option<PathBuf>,
    home: Option<PathBuf>,
}

/// `TERM` of a terminal that can move no cursor.
const DUMB: &str = "dumb";

impl Environment {
    /// Reads it.
    #[allow(clippy::disallowed_methods)] // the one place that may
    pub fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            mux_address: text("USBMUXD_SOCKET_ADDRESS"),
            state_dir: path("ENLIST_STATE_DIR"),
            config: path("ENLIST_CONFIG"),
            listen: text("ENLIST_LISTEN"),
            api_token: text("ENLIST_API_TOKEN").map(Secret::new),
            log: text("ENLIST_LOG"),
            notify_socket: std::env::var_os("NOTIFY_SOCKET").filter(|v| !v.is_empty()),
            watchdog: watchdog(text("WATCHDOG_USEC"), text("WATCHDOG_PID"), std::process::id()),
            credentials: path("CREDENTIALS_DIRECTORY"),
            no_color: text("NO_COLOR").is_some(),
            dumb_terminal: text("TERM").is_none_or(|term| term == DUMB),
            xdg_state: path("XDG_STATE_HOME"),
            home: path("HOME"),
        }
    }

    /// The state folder where nothing else is said: the user's state folder.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`].
    pub fn default_state_dir(&self) -> Result<PathBuf, ConfigError> {
        match (&self.xdg_state, &self.home) {
            (Some(state), _) if state.is_absolute() => Ok(state.join("enlist")),
            (_, Some(home)) => Ok(home.join(".local/state/enlist")),
            _ => Err(ConfigError::NoHome),
        }
    }
}

/// The watchdog's patience, unless it is meant for another process.
fn watchdog(usec: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid == own.to_string());
    let usec = usec?.parse().ok().filter(|usec| ours && *usec > 0)?;
    Some(Duration::from_micros(usec))
}

/// The mux address: environment before file before the system's default.
///
/// # Errors
/// [`ConfigError::Value`] naming where the bad address came from.
pub fn mux_address(environment: &Environment, config: &Config) -> Result<MuxAddress, ConfigError> {
    let (what, text) = match (&environment.mux_address, &config.mux.socket) {
        (Some(text), _) => ("USBMUXD_SOCKET_ADDRESS", text),
        (None, Some(text)) => ("[mux] socket", text),
        (None, None) => return Ok(MuxAddress::default()),
    };
    text.parse().map_err(|error: crate::transport::usbmuxd::BadMuxAddress| ConfigError::Value {
        what: what.into(),
        reason: error.to_string(),
    })
}

/// True if a person said where the mux listens, instead of leaving it to the default.
pub fn mux_address_is_given(environment: &Environment, config: &Config) -> bool {
    environment.mux_address.is_some() || config.mux.socket.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text, Path::new("enlist.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_place_and_suggestion() {
        let said = error("[enroll]\npushs = 2\n");
        assert_eq!(said, "enlist.toml:2:1: unknown key 'pushs'; did you mean 'pushes'?");
        assert!(error("[zebra]\n").starts_with("enlist.toml:1:2: unknown"), "{}", error("[zebra]\n"));
    }

    #[test]
    fn values_no_enrollment_can_work_with_are_refused() {
        assert!(error("[enroll]\naccept_within = 481").contains("480"));
        assert!(error("[enroll]\npushes = 0").contains("between 1 and 100"));
        assert!(error("[enroll]\npushes = 'x'").contains(":2:"));
    }

    #[test]
    fn a_name_no_device_can_have_is_refused() {
        assert!(error("[enroll]\ndevice_name = '{{OWNER}}'").starts_with("device_name: the only variables"));
    }

    #[test]
    fn bays_are_named_by_port_and_bad_ones_are_refused_with_place() {
        let text = "[bays]\n'1-4.2' = 'Bay 7'\n'0000:00:14.0/4.2' = 'Bay 7'\n";
        let bays = Config::parse(text, Path::new("x")).unwrap().bays;
        assert_eq!(bays.len(), 2);
        let said = error("[bays]\n'1-4' = 'a'\n'usb-1-4.2' = 'Bay 7'\n");
        assert_eq!(said, "enlist.toml:3:1: 'usb-1-4.2' is no USB port: did you mean '1-4.2'?");
        let said = error("[bays]\n'1-4' = 'a'\n'1-5' = ''\n");
        assert!(said.starts_with("enlist.toml:3:9: '' cannot name a bay"), "{said}");
        assert!(error("[bays]\n'1-4' = 'A name that is far too long'\n").contains("24 characters"));
        assert!(error("[bays]\n'1-4' = 7\n").starts_with("enlist.toml:2:9:"));
    }

    #[test]
    fn hooks_name_endings_and_commands() {
        let hooks = |text: &str| Config::parse(text, Path::new("x")).unwrap().hooks;
        let one = hooks("[[hooks]]\non = 'enrolled'\ncommand = ['/bin/true']\n");
        assert_eq!((one[0].outcomes().unwrap(), one[0].within), (vec![Outcome::Enrolled], 30));
        let every = hooks("[[hooks]]\non = ['ended']\ncommand = ['/bin/true']\nwithin = 5\n");
        assert_eq!(every[0].outcomes().unwrap(), []);
        let said = error("[[hooks]]\non = 'enroled'\ncommand = ['x']\n");
        assert!(said.contains("did you mean 'enrolled'?"), "{said}");
        assert!(error("[[hooks]]\non = 'ended'\ncommand = []\n").contains("empty"));
        assert!(error("[[hooks]]\non = 'ended'\ncomand = []\n").contains("did you mean 'command'?"));
        assert!(error("[batch]\nunexpected = 'maybe'\n").contains(":2:14"));
    }

    #[test]
    fn the_way_to_the_devices_is_one_of_three() {
        let way = |text: &str| Config::parse(text, Path::new("x")).unwrap().mux.way;
        assert_eq!(way("[mux]\nway = 'usb'"), Some(MuxWay::Usb));
        assert_eq!(way(""), None);
        assert!(error("[mux]\nway = 'libusb'").contains("auto"));
    }

    #[test]
    fn the_environment_outranks_the_file() {
        let config = Config::parse("[mux]\nsocket = '/file'", Path::new("x")).unwrap();
        let environment = Environment { mux_address: Some("UNIX:/env".into()), ..Environment::default() };
        assert_eq!(mux_address(&environment, &config).unwrap(), MuxAddress::Unix("/env".into()));
        assert_eq!(mux_address(&Environment::default(), &config).unwrap(), MuxAddress::Unix("/file".into()));
        let bad = Environment { mux_address: Some("nowhere".into()), ..Environment::default() };
        assert!(mux_address(&bad, &config).unwrap_err().to_string().starts_with("USBMUXD_SOCKET_ADDRESS"));
    }
}
