//! Arguments of `enlist batch` and `enlist report`.

use super::AgeArgs;
use crate::api::view::{EntryState, ReportFormat, Unexpected};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BatchCommand {
    /// Open a batch: the devices of a manifest, a CSV file with serial number or IMEI, and
    /// name, tag, blueprint
    Open(BatchOpenArgs),
    /// Tell how far a batch is
    Status {
        #[command(flatten)]
        batch: BatchArg,
        /// Every device, or those that are missing, running, done or failed
        #[arg(long, value_name = "STATE", num_args = 0..=1, default_missing_value = "all", value_parser = entry_state)]
        devices: Option<Entries>,
    },
    /// List batches, newest first
    List,
    /// Let a batch go on that was stopped
    Resume(BatchArg),
    /// Let a device in that the manifest does not name: serial number, IMEI or UDID
    Allow {
        /// The device
        device: String,
        #[command(flatten)]
        batch: BatchArg,
    },
    /// Close a batch and seal its report
    Close {
        #[command(flatten)]
        batch: BatchArg,
        /// Even while devices are in work: its report calls them running
        #[arg(long)]
        force: bool,
    },
    /// Write its report: the same as `enlist report`
    Report(ReportArgs),
}

/// Which batch.
#[derive(Debug, Args)]
pub(in crate::cli) struct BatchArg {
    /// Number of the batch; otherwise the newest
    #[arg(long = "batch", value_name = "N")]
    pub(in crate::cli) id: Option<i64>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BatchOpenArgs {
    /// The manifest
    pub(in crate::cli) manifest: PathBuf,
    /// What the batch is called; otherwise as the file
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) name: Option<String>,
    /// What becomes of devices that the manifest does not name [default: refuse]
    #[arg(long, value_name = "refuse|ask|allow", value_parser = unexpected)]
    pub(in crate::cli) unexpected: Option<Unexpected>,
    /// Stop after so many equal faults in a row; 0: never [default: 5]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) stop_after: Option<u32>,
    /// The export that will be pushed, where the configuration names none: a batch that would
    /// outlive it is refused
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) profile: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) age: AgeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = VERIFIED)]
pub(in crate::cli) struct ReportArgs {
    #[command(flatten)]
    pub(in crate::cli) batch: BatchArg,
    /// Form of the report [default: by the ending of the file, else csv]
    #[arg(long, value_name = "csv|json|html", value_parser = report_format)]
    pub(in crate::cli) format: Option<ReportFormat>,
    /// File to write; otherwise standard output
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Check a report that was written: was anything changed, left out or moved? At the station
    /// that had the batch also: is it the one that was sealed?
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "output", "id"])]
    pub(in crate::cli) verify: Option<PathBuf>,
}

/// What `--verify` proves. The names are those of its JSON.
const VERIFIED: &str = "\
--verify compares a report with the journal of the state folder:
  the batch is closed: 0 only for the report that was sealed (sealed: true)
  the batch is open: 0 only if the journal says the same now (sealed: null)
  the journal has no such batch: 1, for it is no report of this station (sealed: false)
  there is no journal: 0 if its entries fit together, which proves nothing of who made them
  (sealed: null)

Exit codes: 0 done, 1 changed or not proven, 2 usage, or the file is no report.";

/// Which entries of a batch are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Entries(pub(in crate::cli) Option<EntryState>);

fn entry_state(text: &str) -> Result<Entries, String> {
    let states = [EntryState::Missing, EntryState::Running, EntryState::Done, EntryState::Failed];
    match states.into_iter().find(|state| state.name() == text) {
        Some(state) => Ok(Entries(Some(state))),
        None if text == "all" => Ok(Entries(None)),
        None => Err("expected missing, running, done or failed".into()),
    }
}

fn unexpected(text: &str) -> Result<Unexpected, String> {
    Unexpected::named(text).ok_or_else(|| "expected refuse, ask or allow".into())
}

fn report_format(text: &str) -> Result<ReportFormat, String> {
    ReportFormat::named(text).ok_or_else(|| "expected csv, json or html".into())
}
