//! `enlist mac`: Macs, which take profiles from no cable.

mod batch;
mod card;
mod kit;
mod steps;

pub(super) use steps::steps_of;

use super::arguments::{AgeArgs, Global};
use super::compose;
use super::output::Output;
use super::screen::{self, Show};
use crate::api::macs::{MacOperations, MacPolicy, MacRun, Prefer};
use crate::api::view::Exit;
use crate::api::{OperationError, OsVersion};
use crate::config::Environment;
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most Macs of one run: each is an ssh connection every few seconds.
const MACS: usize = 64;

#[derive(Debug, Subcommand)]
pub(super) enum MacCommand {
    /// Enroll this Mac, or Macs that answer to ssh: open the profile there, wait for an
    /// administrator, read the enrollment back
    Enroll(MacEnrollArgs),
    /// Write what is carried to Macs by hand: the right profile, its checksum, a card to print
    Kit(KitArgs),
}

/// An export of each kind may be given.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Which export is taken where macOS can use both
    #[arg(long, value_name = "acme|scep", default_value = "acme", value_enum)]
    prefer: PreferArg,
    #[command(flatten)]
    age: AgeArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PreferArg {
    Acme,
    Scep,
}

#[derive(Debug, Args)]
pub(super) struct MacEnrollArgs {
    /// The exported profile; a SCEP and an ACME export may both be given, and each Mac gets the
    /// right one [default: profile of the configuration]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A Mac with Remote Login that lets this computer's key in; repeat it for several
    #[arg(long, value_name = "USER@HOST")]
    ssh: Vec<String>,
    /// Configuration of ssh to use instead of your own
    #[arg(long, value_name = "FILE", requires = "ssh")]
    ssh_config: Option<PathBuf>,
    /// Look and plan, but copy nothing
    #[arg(long)]
    dry_run: bool,
    /// Seconds an administrator may take
    #[arg(long, value_name = "SECONDS", default_value_t = 480, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    accept_within: u64,
    /// Seconds a Mac that stopped answering is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    unreachable_within: u64,
    #[command(flatten)]
    exports: ExportArgs,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "enlist mac kit [OPTIONS] DIR [FILE...]\n       enlist mac kit [OPTIONS] --device STICK [FILE...]"
)]
pub(super) struct KitArgs {
    /// Folder to write to (not with --device), then the exported profiles: SCEP, ACME or both
    /// [default: profile of the configuration]
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// A mounted stick to write to, into its folder enlist-macs
    #[arg(long, value_name = "STICK")]
    device: Option<PathBuf>,
    /// macOS of the Macs, such as 15.2: only the file that fits goes into the kit
    #[arg(long, value_name = "VERSION", value_parser = super::arguments::os_version)]
    macos: Option<OsVersion>,
    /// List of the Macs, as CSV with serial number and name: adds a sheet to tick off
    #[arg(long, value_name = "CSV")]
    macs: Option<PathBuf>,
    /// Replace files that are there and different
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    exports: ExportArgs,
}

pub(super) async fn run(
    command: &MacCommand,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::macs(global, environment)?;
    match command {
        MacCommand::Enroll(args) => enroll(args, &operations, global, environment, output).await,
        MacCommand::Kit(args) => kit::run(args, &operations, global, environment, output),
    }
}

async fn enroll(
    args: &MacEnrollArgs,
    operations: &MacOperations,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    if args.ssh.is_empty() && std::env::consts::OS != "macos" {
        let next = "Name Macs with --ssh USER@HOST, or write files to carry there with `enlist mac kit`.";
        return Err(OperationError::new(Exit::Usage, "This computer is no Mac.", next));
    }
    if args.ssh.len() > MACS {
        let said = format!("{} Macs are too many for one run; {MACS} is the limit.", args.ssh.len());
        return Err(OperationError::new(Exit::Usage, said, "Run it several times, each with its own Macs."));
    }
    let runners = compose::runners(&args.ssh, args.ssh_config.as_deref())?;
    let exports = exports(&args.files, &args.exports, operations, global, environment, output)?;
    let policy = MacPolicy {
        accept_within: Duration::from_secs(args.accept_within),
        unreachable_within: Duration::from_secs(args.unreachable_within),
        dry_run: args.dry_run,
    };
    let show = if output.json { Show::Results } else { Show::for_people(output) };
    let run = operations.run(MacRun { runners, exports, policy }, screen::interrupted());
    screen::shown(operations.live(), run, true, show, output).await
}

/// Reads the exports given, or the configuration's, and says what the linter warns of.
fn exports(
    files: &[PathBuf],
    args: &ExportArgs,
    operations: &MacOperations,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<crate::api::macs::MacExports, OperationError> {
    let config = compose::configuration(global, environment)?;
    let files = match files {
        [] => config.profile.into_iter().collect(),
        given => given.to_vec(),
    };
    let prefer = match args.prefer {
        PreferArg::Acme => Prefer::Acme,
        PreferArg::Scep => Prefer::Scep,
    };
    let exports = operations.exports(&files, prefer, &args.age.answers(&config.enroll))?;
    for file in exports.all() {
        for warning in &file.warnings {
            output.note(format!("warning: {}: {} {}", shown(&file.path), warning.code, warning.message));
        }
        if let Some(objection) = &file.objection {
            output.note(format!("warning: {}: {objection} It is used nevertheless.", shown(&file.path)));
        }
    }
    Ok(exports)
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
