//! What can be typed.

mod batch;

pub(super) use batch::{BatchCommand, BatchOpenArgs, Entries, ReportArgs};

use super::advise::AdviseArgs;
use super::backup::{BackupArgs, RestoreArgs};
use super::capture::CaptureArgs;
use super::completions::CompletionsArgs;
use super::compose::Held;
use super::erase::EraseArgs;
use super::export::ExportCommand;
use super::help::HelpArgs;
use super::mac::MacCommand;
use super::man::ManArgs;
use super::prepare::PrepareArgs;
use super::record::{RecordArgs, RecordFlag};
use super::replay::ReplayArgs;
use super::rig::{self, RigCommand};
use super::service::ServiceCommand;
use super::sim::SimArgs;
use super::watch::WatchArgs;
use crate::api::view::RuleView;
use crate::api::{
    AgeAnswers, Job, OsVersion, Outcome, Prefer, SetupAssistant, check_device_name, lint_rules,
};
use crate::config::{EnrollConfig, MuxWay};
use crate::ids::BayName;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Handle;

/// Enrolls iPhones and iPads over USB: pairs, pushes the direct-enrollment profile,
/// proves the enrollment by reading it back, and writes it down.
#[derive(Debug, Parser)]
#[command(name = "enlist", version, arg_required_else_help = true, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 needs a person, \
4 no device, 5 refused by policy. Of several devices the worst counts.\n\n\
Topics of `enlist help`: first-hour, batch-day, troubleshooting, outcomes, configuration, \
as-a-service, state, security.";

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Configuration file [env: ENLIST_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Folder of the station's identity, pair records and journal [env: ENLIST_STATE_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Way to the devices: usbmuxd, the USB bus itself, or what is there [default: auto]
    #[arg(long, global = true, value_name = "auto|usbmuxd|usb", value_parser = mux_way)]
    pub(super) mux: Option<MuxWay>,
    /// Log more to standard error; twice for even more [env: ENLIST_LOG]
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// What this process holds of the bus.
    #[arg(skip)]
    pub(super) held: Held,
    /// Where tasks run that people wait for; `None` for where the rest runs.
    #[arg(skip)]
    pub(super) quick: Option<Handle>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the station: enroll whatever is plugged in
    Serve(ServeArgs),
    /// Watch a running station from this terminal
    Watch(WatchArgs),
    /// Enroll attached devices once
    Enroll(EnrollArgs),
    /// Prepare erased devices for Setup Assistant: supervision, panes, enrollment
    Prepare(Box<PrepareArgs>),
    /// Erase one device
    Erase(EraseArgs),
    /// List attached devices
    Devices(DevicesArgs),
    /// Show everything a device tells
    Info(DeviceArg),
    /// Earn a device's trust
    Pair(PatientDeviceArg),
    /// End the pairing with a device
    Unpair(DeviceArg),
    /// List the configuration profiles on a device
    Installed(PatientDeviceArg),
    /// Remove a configuration profile from a device
    Remove(RemoveArgs),
    /// Follow a device's own log
    Log(LogArgs),
    /// Show the mux packets in a capture of a USB bus
    Capture(CaptureArgs),
    /// Look at profile files
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Enroll Macs: over ssh, or with files carried to them
    #[command(subcommand)]
    Mac(MacCommand),
    /// Name the bays: which USB port is called what
    #[command(subcommand)]
    Bays(BaysCommand),
    /// Tell which enrollment method fits, and why
    Advise(Box<AdviseArgs>),
    /// Write lists of devices for Intune, and check them
    #[command(subcommand)]
    Export(ExportCommand),
    /// Open, follow and close batches of devices
    #[command(subcommand)]
    Batch(BatchCommand),
    /// Write the report of a batch, or check one that was written
    Report(ReportArgs),
    /// Back up journal, identity, pair records, learned bays and library into one file
    Backup(BackupArgs),
    /// Restore a backup
    Restore(RestoreArgs),
    /// Show what was done
    History(HistoryArgs),
    /// Record what a device says, without secrets and names; or check a recording
    Record(RecordArgs),
    /// Play recordings back as devices, and compare what the station does
    Replay(ReplayArgs),
    /// Check this computer and say how to fix what is wrong
    Doctor,
    /// Check the configuration file
    #[command(args_conflicts_with_subcommands = true)]
    Config(ConfigArgs),
    /// Check this program with devices that a rig file lists
    #[command(subcommand, after_long_help = rig::GUIDE)]
    Rig(RigCommand),
    /// Print or write the files that make the station a service: systemd, launchd, container
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Print what a shell needs to complete commands
    Completions(CompletionsArgs),
    /// Print the man page, or write the pages of all commands
    Man(ManArgs),
    /// Explain a command, an outcome or a topic
    Help(HelpArgs),
    /// Simulate devices on a usbmuxd socket
    #[command(args_conflicts_with_subcommands = true)]
    Sim(Box<SimArgs>),
}

#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    /// Go on and tell of every device that comes or goes, until Ctrl-C
    #[arg(short, long)]
    pub(super) follow: bool,
}

/// Which device.
#[derive(Debug, Args)]
pub(super) struct DeviceArg {
    /// UDID of the device; may be left out if only one is attached
    #[arg(short, long, value_name = "UDID")]
    pub(super) udid: Option<String>,
}

/// Which device, and how long its person may take.
#[derive(Debug, Args)]
pub(super) struct PatientDeviceArg {
    #[command(flatten)]
    pub(super) device: DeviceArg,
    /// Seconds a person may take to tap Trust or to unlock
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(super) person_within: u64,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    pub(super) device: PatientDeviceArg,
    /// Identifier of the profile, as `enlist installed` shows it
    pub(super) identifier: String,
    /// Remove it even if it manages the device, or seems to by its name; otherwise a terminal asks
    /// twice, and a script is refused. A device does not say which profile manages it
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    #[command(flatten)]
    pub(super) device: PatientDeviceArg,
    /// Every process, not only those that take part in enrollments
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    /// Show what is in profile files, who signed them, and whether they can be pushed
    Show {
        /// Profile files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// When the files were exported, where they do not say themselves
        #[arg(long, value_name = "DATE", value_parser = moment)]
        exported_at: Option<Timestamp>,
    },
    /// Check profile files against every rule, and say what to do
    Lint(LintArgs),
    /// Show what devices get before the enrollment profile: certificates, Wi-Fi, others
    Helpers(ShowHelpersArgs),
    /// Add an export to the station's own library
    Add(AddArgs),
    /// List the station's library, or the exports of a folder
    List {
        /// Folder; otherwise the station's library
        folder: Option<PathBuf>,
        /// Every profile this station ever met in a file: names, since when, whether it is gone
        #[arg(long, conflicts_with = "folder")]
        met: bool,
    },
    /// Remove an export from the station's library
    Remove {
        /// Its file or the begin of its SHA-256, as `enlist profile list` shows them
        #[arg(value_name = "NAME|SHA")]
        profile: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The exported direct-enrollment profile (.mobileconfig)
    pub(super) file: PathBuf,
    /// When it was exported, where it does not say so itself
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub(super) exported_at: Option<Timestamp>,
}

#[derive(Debug, Args)]
#[command(after_help = LINT_EXIT_CODES)]
pub(super) struct LintArgs {
    /// Profile files
    #[arg(required_unless_present = "explain", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// What the files are for
    #[arg(long, value_name = "ios|macos", value_parser = job)]
    pub(super) job: Option<Job>,
    /// Class of the device
    #[arg(long, value_name = "iPhone|iPad", value_parser = ["iPhone", "iPad"])]
    pub(super) device_class: Option<String>,
    /// System of the device, such as 17.2
    #[arg(long, value_name = "VERSION", value_parser = os_version)]
    pub(super) os: Option<OsVersion>,
    /// When the files were exported, such as 2026-03-01 or 2026-03-01T09:30:00Z
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub(super) exported_at: Option<Timestamp>,
    /// The files are helpers beside an enrollment, such as Wi-Fi, and need no MDM payload
    #[arg(long)]
    pub(super) helper: bool,
    /// Form of the result; --json is --format json
    #[arg(long, value_name = "text|json|sarif", default_value = "text", value_enum)]
    pub(super) format: LintFormat,
    /// Explain one rule and end
    #[arg(long, value_name = "CODE", conflicts_with = "files", value_parser = rule_code)]
    pub(super) explain: Option<RuleView>,
}

const LINT_EXIT_CODES: &str =
    "Exit codes: 0 clean or warnings only, 1 with errors, 2 usage or unreadable file.";

/// How the linter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LintFormat {
    Text,
    Json,
    Sarif,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    pub(super) command: Option<ConfigCommand>,
    /// File to check; otherwise the one in use
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the JSON Schema of the file, for editors
    Schema,
}

/// How an enrollment goes; each outranks the configuration.
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    /// Seconds a person may take to tap Trust or to unlock [default: 180]
    #[arg(long, value_name = "SECONDS")]
    pub(super) person_within: Option<u64>,
    /// Seconds a queued profile may wait for its person; the device drops it after 480
    #[arg(long, value_name = "SECONDS")]
    pub(super) accept_within: Option<u64>,
    /// How often one job may push, again after a queued profile expired [default: 1; serve: 3]
    #[arg(long, value_name = "N")]
    pub(super) pushes: Option<u32>,
    /// While Setup Assistant runs: push silently, or hold until a person finished it
    #[arg(long, value_name = "push|hold", value_parser = setup_assistant)]
    pub(super) setup_assistant: Option<SetupAssistant>,
    /// Seconds a job stays open without its device [default: 30; serve without --once: 43200]
    #[arg(long, value_name = "SECONDS")]
    pub(super) replug_within: Option<u64>,
    /// Seconds to watch for the first policies after enrollment [default: 0, do not watch]
    #[arg(long, value_name = "SECONDS")]
    pub(super) policies_within: Option<u64>,
    /// The other export of the same enrollment, SCEP beside ACME or back; pushed where the first
    /// does not fit, and after ACME failed
    #[arg(long, value_name = "FILE")]
    pub(super) sibling: Option<PathBuf>,
    /// Which of the two is pushed first [default: scep]
    #[arg(long, value_name = "scep|acme", value_parser = prefer)]
    pub(super) prefer: Option<Prefer>,
    #[command(flatten)]
    pub(super) helpers: HelperArgs,
    /// What a device is called before it enrolls; {{SERIAL}} and {{DEVICETYPE}} stand for its own
    #[arg(long, value_name = "NAME", value_parser = device_name)]
    pub(super) name: Option<String>,
}

/// What is on a device first.
#[derive(Debug, Args)]
pub(super) struct HelperArgs {
    /// Profile, or certificates (PEM, DER), that are on a device before it enrolls; may be repeated,
    /// and takes the place of those in the configuration
    #[arg(long = "helper", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ShowHelpersArgs {
    #[command(flatten)]
    pub(super) helpers: HelperArgs,
    /// Write them into this folder too; they hold passwords
    #[arg(short, long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// What the operator says of an export's age.
#[derive(Debug, Args)]
pub(super) struct AgeArgs {
    /// Use an export that is older than two weeks; the reason is written down
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub(super) allow_stale: Option<String>,
    /// When the file was exported, where the file itself does not say: such as 2026-03-01
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub(super) exported_at: Option<Timestamp>,
}

impl AgeArgs {
    pub(super) fn answers(&self, config: &EnrollConfig) -> AgeAnswers {
        AgeAnswers {
            allow_stale: self.allow_stale.clone(),
            exported_at: self.exported_at,
            unknown: config.unknown_age.unwrap_or_default(),
        }
    }
}

/// Longest reason that is written down, in characters.
const REASON: usize = 200;

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why, and who answers for it".into()),
        text if text.chars().count() > REASON => Err(format!("at most {REASON} characters")),
        text => Ok(text.to_owned()),
    }
}

#[derive(Debug, Args)]
pub(super) struct EnrollArgs {
    /// The exported direct-enrollment profile (.mobileconfig); may be left out where the
    /// blueprint or the configuration names one
    #[arg(required_unless_present = "blueprint")]
    pub(super) file: Option<PathBuf>,
    /// The blueprint that says what is done; its folder is in the configuration
    #[arg(long, value_name = "NAME")]
    pub(super) blueprint: Option<String>,
    #[command(flatten)]
    pub(super) device: DeviceArg,
    /// Every device attached now
    #[arg(long, conflicts_with = "udid")]
    pub(super) all: bool,
    /// Look and plan, but change nothing and ask the device for nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) record: RecordFlag,
    #[command(flatten)]
    pub(super) age: AgeArgs,
    #[command(flatten)]
    pub(super) policy: PolicyArgs,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The exported direct-enrollment profile (.mobileconfig), or a folder of them: it is
    /// followed, and the newest is pushed
    #[arg(value_name = "FILE|DIR")]
    pub(super) file: Option<PathBuf>,
    /// Which profile of the folder: file name, identifier or begin of its SHA-256
    #[arg(long, value_name = "NAME|SHA")]
    pub(super) profile: Option<String>,
    /// End when every job is over
    #[arg(long)]
    pub(super) once: bool,
    /// Open a batch with this manifest first, as `enlist batch open` does
    #[arg(long, value_name = "MANIFEST")]
    pub(super) batch: Option<PathBuf>,
    /// Folder of blueprints; outranks the configuration
    #[arg(long, value_name = "DIR")]
    pub(super) blueprints: Option<PathBuf>,
    /// Enroll N simulated devices instead of real ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) simulate: Option<u16>,
    /// Enroll the simulated devices of a scenario file
    #[arg(long, value_name = "FILE", conflicts_with = "simulate")]
    pub(super) scenario: Option<PathBuf>,
    /// Share the devices with other tools on a socket, as usbmuxd does; needs --mux usb
    #[arg(long, value_name = "PATH", conflicts_with_all = ["simulate", "scenario"])]
    pub(super) mux_socket: Option<PathBuf>,
    /// Seed of the simulated devices
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Where to serve page and API, such as 127.0.0.1:8080, or off [default: 127.0.0.1:7417]
    /// [env: ENLIST_LISTEN]
    #[arg(long, value_name = "ADDR|off")]
    pub(super) listen: Option<String>,
    /// Page and API may only be looked at
    #[arg(long)]
    pub(super) kiosk: bool,
    #[command(flatten)]
    pub(super) record: RecordFlag,
    #[command(flatten)]
    pub(super) age: AgeArgs,
    #[command(flatten)]
    pub(super) policy: PolicyArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum BaysCommand {
    /// List the ports that are known, their names, and what is on them now
    List,
    /// Plug one device into each port after the other; each new port gets the next name
    Learn(LearnArgs),
}

#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    /// Names in the order of plugging, such as "Left 1,Left 2"
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', conflicts_with = "prefix")]
    pub(super) names: Vec<BayName>,
    /// What stands before the number, blank included
    #[arg(long, value_name = "TEXT", default_value = "Bay ", value_parser = prefix)]
    pub(super) prefix: String,
    /// End after so many ports; otherwise Ctrl-C ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) count: Option<u16>,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    pub(super) device: DeviceArg,
    /// Only jobs that ended like this, such as enrolled or trust-denied
    #[arg(long, value_name = "NAME", value_parser = outcome)]
    pub(super) outcome: Option<Outcome>,
    /// Only jobs that are still open
    #[arg(long, conflicts_with = "outcome")]
    pub(super) open: bool,
    /// At most so many, newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) limit: u32,
    /// Leave simulated devices out
    #[arg(long)]
    pub(super) real: bool,
    /// Write a table for spreadsheets
    #[arg(long)]
    pub(super) csv: bool,
}

fn setup_assistant(text: &str) -> Result<SetupAssistant, String> {
    match text {
        "push" => Ok(SetupAssistant::Push),
        "hold" => Ok(SetupAssistant::Hold),
        _ => Err("expected push or hold".into()),
    }
}

fn device_name(text: &str) -> Result<String, String> {
    check_device_name(text).map(|()| text.to_owned())
}

fn prefer(text: &str) -> Result<Prefer, String> {
    match text {
        "scep" => Ok(Prefer::Scep),
        "acme" => Ok(Prefer::Acme),
        _ => Err("expected scep or acme".into()),
    }
}

/// A prefix that leaves room for its number.
fn prefix(text: &str) -> Result<String, String> {
    let name: Result<BayName, _> = format!("{text}1000").parse();
    name.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn mux_way(text: &str) -> Result<MuxWay, String> {
    match text {
        "auto" => Ok(MuxWay::Auto),
        "usbmuxd" => Ok(MuxWay::Usbmuxd),
        "usb" => Ok(MuxWay::Usb),
        _ => Err("expected auto, usbmuxd or usb".into()),
    }
}

fn job(text: &str) -> Result<Job, String> {
    match text {
        "ios" => Ok(Job::Ios),
        "macos" => Ok(Job::Macos),
        _ => Err("expected ios or macos".into()),
    }
}

pub(super) fn os_version(text: &str) -> Result<OsVersion, String> {
    OsVersion::parse(text).ok_or_else(|| "expected a version such as 17.2".into())
}

/// A day begins at midnight UTC: an export then seems older by hours, never younger.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let day = || Some(text.parse::<jiff::civil::Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let moment = text.parse().ok().or_else(day);
    moment.ok_or_else(|| "expected a date such as 2026-03-01 or 2026-03-01T09:30:00Z".into())
}

fn rule_code(text: &str) -> Result<RuleView, String> {
    let found = lint_rules().into_iter().find(|rule| rule.code.eq_ignore_ascii_case(text.trim()));
    found.ok_or_else(|| "no such rule; there are L01 to L55 and U01 to U03".into())
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let found = Outcome::ALL.iter().find(|o| o.name() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = Outcome::ALL.iter().map(|o| o.name()).collect();
        format!("no such outcome; there are {}", names.join(", "))
    })
}

impl PatientDeviceArg {
    /// The device meant, as typed.
    pub(super) fn udid(&self) -> Option<&str> {
        self.device.udid.as_deref()
    }

    /// How long its person may take.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.person_within)
    }
}
