//! `enlist history`: what was done.

use super::arguments::{Global, HistoryArgs};
use super::compose;
use super::output::{Output, Tone, who};
use crate::api::view::{Exit, JobView};
use crate::api::{HistoryQuery, OperationError};
use crate::clock::Clock;
use crate::config::Environment;

pub(super) fn run(
    args: &HistoryArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let journal = compose::journal_in(&compose::state_dir(global, environment, &config)?);
    let query = HistoryQuery {
        udid: args.device.udid.clone(),
        outcome: args.outcome,
        open_only: args.open,
        limit: args.limit,
        include_simulated: !args.real,
    };
    let jobs = crate::api::history(&journal, &query, &Clock::System)?;
    if args.csv {
        output.raw(&crate::api::history_csv(&jobs));
        return Ok(Exit::Done);
    }
    for job in &jobs {
        if output.json {
            output.object(job);
        } else {
            print(job, output);
        }
    }
    if jobs.is_empty() && !output.json {
        output.note(format!("No such jobs in {}.", journal.display()));
    }
    Ok(Exit::Done)
}

fn print(job: &JobView, output: &Output) {
    let device = &job.device;
    let tone = if job.open { Tone::Busy } else { Tone::of(device, true) };
    let open = if job.open { " (open)" } else { "" };
    output.line(format!(
        "{} {}  #{:<4} {}{open}  {}  {:.1} s",
        output.toned(tone, tone.shape()),
        job.started.strftime("%Y-%m-%d %H:%M:%SZ"),
        device.job.unwrap_or_default(),
        output.toned(tone, device.outcome.name()),
        who(device),
        seconds(device.ms),
    ));
    if let Some(file) = &job.profile_file {
        output.line(output.toned(Tone::Quiet, format!("    with {file}")));
    }
    if let Some(reason) = &job.stale_allowed {
        output.line(output.toned(Tone::Quiet, format!("    the export was too old; allowed: {reason}")));
    }
    if !device.outcome.is_success() {
        output.line(output.toned(Tone::Quiet, format!("    {}", device.sentence)));
    }
}

#[allow(clippy::cast_precision_loss)] // a duration for people
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
