//! `enlist erase`: one device, named twice.

use super::arguments::Global;
use super::compose;
use super::output::Output;
use super::record::RecordFlag;
use super::screen::{self, Show};
use crate::api::view::Exit;
use crate::api::{OperationError, Policy};
use crate::config::Environment;
use crate::limits::ERASE_TAKES;
use clap::Args;
use std::time::Duration;

/// Erases everything on one device, but its cellular plan, and waits until it is back in Setup
/// Assistant. It is told so once, whatever happens; what became of it is read from the device.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// UDID of the device
    #[arg(short, long, value_name = "UDID")]
    udid: String,
    /// The consent: the device's serial number, or its last four characters at least
    #[arg(long, value_name = "SERIAL", required_unless_present = "dry_run")]
    yes_erase: Option<String>,
    /// Erase it although Find My locks it to its owner's Apple Account then
    #[arg(long)]
    despite_find_my: bool,
    /// Look, but erase nothing and ask the device for nothing
    #[arg(long)]
    dry_run: bool,
    /// Seconds a person may take to tap Trust or to unlock
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    person_within: u64,
    /// Seconds within which the erased device has to be back
    #[arg(long, value_name = "SECONDS", default_value_t = ERASE_TAKES.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    back_within: u64,
    #[command(flatten)]
    record: RecordFlag,
}

pub(super) async fn run(
    args: &EraseArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let policy = Policy {
        dry_run: args.dry_run,
        person_within: Duration::from_secs(args.person_within),
        replug_within: Duration::from_secs(args.back_within),
        ..Policy::default()
    };
    let taken = args.record.of_one()?;
    let (operations, _) = compose::station(global, environment, taken.recorder()).await?;
    let options = operations.to_erase(&args.udid, args.yes_erase.as_deref(), args.despite_find_my, policy)?;
    let show = if output.json { Show::Results } else { Show::for_people(output) };
    let ended = screen::run(&operations, options, show, output).await;
    taken.finish(output).await;
    ended
}
