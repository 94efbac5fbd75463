//! `enlist replay`: recordings as devices, in their own time.

use super::arguments::Global;
use super::compose;
use super::lines::Lines;
use super::output::{Output, Tone};
use super::screen;
use crate::api::view::{Exit, MismatchView, ReplayView};
use crate::api::{Live, OperationError, ReplayKit, ReplayRun, Update, read_recording, recordings_in};
use crate::config::Environment;
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{self, timeout};

/// Longest time a replay without waits may take before it counts as one that hangs.
const HANGS: Duration = Duration::from_secs(120);

/// How often a clock that runs faster or slower is set.
const BEAT: Duration = Duration::from_millis(5);

/// Fastest and slowest clock; beyond that `max` is meant, or nothing sensible.
const FACTORS: std::ops::RangeInclusive<f64> = 0.01..=10_000.0;

/// Widest column of a comparison.
const COLUMN: usize = 44;

/// Plays recordings back: the shipped workflow talks to what a device said then. What the
/// station says now is compared with what it said then, field by field; the job has to end as
/// it did, or to get as far as a recording goes that is cut. Exit code 0 only if all do. Only jobs
/// of enroll and erase can be replayed. No device is touched and no history is written.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Folders of recordings, or folders that hold some
    #[arg(required = true, value_name = "DIR")]
    recordings: Vec<PathBuf>,
    /// How fast time passes: 1 as it did, 10 ten times as fast, max without any waiting
    #[arg(long, value_name = "FACTOR", default_value = "max", value_parser = speed)]
    speed: Speed,
    /// Change the device's answers at random, the same way for the same SEED; the job then has to
    /// end in words, whatever they are, and is not compared
    #[arg(long, value_name = "SEED")]
    mutate: Option<u64>,
}

/// How fast time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Speed {
    /// Whenever everybody waits, it jumps to where somebody stops waiting.
    Max,
    /// So much faster than it did.
    Factor(f64),
}

fn speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(0.0) => Ok(Speed::Max),
        Ok(factor) if FACTORS.contains(&factor) => Ok(Speed::Factor(factor)),
        _ => Err("a number such as 1 or 10 is wanted, or max".to_owned()),
    }
}

pub(super) async fn run(
    args: &ReplayArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let kit = Arc::new(ReplayKit::make(&compose::state_dir(global, environment, &config)?)?);
    let mut folders = Vec::new();
    for given in &args.recordings {
        folders.extend(recordings_in(given)?);
    }
    let (mut worst, many, mut good) = (Exit::Done, folders.len(), 0);
    for folder in folders {
        if !output.json {
            let words = format!("REPLAY of {}: no device is there", folder.display());
            output.line(output.toned(Tone::Person, words));
        }
        let exit = match replayed(&folder, kit.clone(), args, output).await {
            Ok(view) => show(&view, output),
            Err(error) => {
                output.error(&error.sentence, error.next.as_deref());
                error.exit
            }
        };
        good += usize::from(exit == Exit::Done);
        worst = worst.worst(exit);
    }
    if many > 1 && !output.json {
        output.line(format!("{many} recordings: {good} replayed well, {} not", many - good));
    }
    Ok(worst)
}

/// Replays one recording in a runtime of its own, whose clock is not that of this computer.
async fn replayed(
    folder: &Path,
    kit: Arc<ReplayKit>,
    args: &ReplayArgs,
    output: &Output,
) -> Result<ReplayView, OperationError> {
    let tape = read_recording(folder)?;
    let (speed, mutate) = (args.speed, args.mutate);
    let (done, told) = oneshot::channel();
    let (folder, output, outside) = (folder.to_owned(), *output, Handle::current());
    let body = move || {
        let runtime = match Builder::new_current_thread().enable_all().start_paused(true).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = done.send(Err(no_runtime(&error)));
                return;
            }
        };
        let replay = async {
            let run = ReplayRun::new(tape, &folder, &kit, mutate)?;
            tokio::select! {
                watched = watch(&run, &output) => watched?,
                () = keep_time(speed, outside) => {}
            }
            Ok(run.outcome().await)
        };
        let ended = runtime.block_on(replay);
        // Whoever hears of the end may be the last to hold the kit, and then its folder goes.
        drop((runtime, kit));
        let _ = done.send(ended);
    };
    let started = std::thread::Builder::new().name("replay".to_owned()).spawn(body);
    started.map_err(|error| no_runtime(&error))?;
    let ended = match speed {
        Speed::Max => timeout(HANGS, told).await.map_err(|_| hangs())?,
        Speed::Factor(_) => told.await,
    };
    ended.unwrap_or_else(|_| Err(broke()))
}

/// Runs a replay and prints what becomes of its device.
async fn watch(run: &ReplayRun, output: &Output) -> Result<(), OperationError> {
    let live = run.live();
    let (mut follower, mut lines) = (live.follow(), Lines::new(*output));
    let mut ran = std::pin::pin!(run.run(screen::interrupted()));
    let ended = loop {
        tokio::select! {
            biased;
            Some(update) = follower.next() => tell(&update, &mut lines, &live, output),
            ended = &mut ran => break ended,
        }
    };
    while let Some(update) = follower.try_next() {
        tell(&update, &mut lines, &live, output);
    }
    if output.json {
        live.bays().iter().for_each(|bay| output.object(&bay.device));
    }
    ended.map(drop)
}

fn tell(update: &Update, lines: &mut Lines, live: &Live, output: &Output) {
    match update {
        _ if output.json => {}
        Update::Bay(bay) => {
            // Who reads went away: the verdict by exit code stays.
            let _ = lines.bay(bay, |until| live.seconds_until(until));
        }
        Update::MuxLost(reason) => lines.mux(Some(reason)),
        Update::MuxReady => lines.mux(None),
        Update::Resync | Update::JournalLost(_) | Update::JournalReady => {}
    }
}

/// Moves the clock of this runtime on by real time. Without this it jumps, and so it does not
/// while a blocking task runs.
async fn keep_time(speed: Speed, outside: Handle) {
    let Speed::Factor(factor) = speed else { return std::future::pending().await };
    loop {
        let outside = outside.clone();
        let beat = tokio::task::spawn_blocking(move || outside.block_on(async { time::sleep(BEAT).await }));
        if beat.await.is_err() {
            return;
        }
        time::advance(BEAT.mul_f64(factor)).await;
    }
}

fn no_runtime(error: &std::io::Error) -> OperationError {
    let said = format!("The program cannot start its tasks: {}.", crate::api::system_words(error));
    OperationError::new(Exit::Failed, said, "Try it again.")
}

fn hangs() -> OperationError {
    let said = format!("The replay does not end: nothing came of it within {} s.", HANGS.as_secs());
    OperationError::new(Exit::Failed, said, "Report this with the recording.")
}

fn broke() -> OperationError {
    OperationError::new(Exit::Failed, "The replay broke off.", "Report this with the recording.")
}

fn show(view: &ReplayView, output: &Output) -> Exit {
    let exit = if view.ok { Exit::Done } else { Exit::Failed };
    if output.json {
        output.object(view);
        return exit;
    }
    let tone = if view.ok { Tone::Good } else { Tone::Bad };
    if let Some(seed) = view.seed {
        output.line(format!("  seed {seed}: {} answers changed", view.changed));
    }
    if let Some(difference) = &view.difference {
        compare(difference, output);
    }
    output.line(format!(
        "{} {}  {}",
        output.toned(tone, tone.shape()),
        output.toned(Tone::Strong, &view.recording),
        view.sentence
    ));
    exit
}

/// Then and now, side by side.
fn compare(difference: &MismatchView, output: &Output) {
    output.line(format!("  {}:{}: {}", difference.file, difference.line, difference.reason));
    let field = difference.fields.iter().map(|f| f.field.chars().count()).max().unwrap_or(0).clamp(5, COLUMN);
    let row = |mark: &str, name: &str, then: &str, now: &str| {
        format!("  {mark} {:<field$}  {:<COLUMN$}  {}", cut(name), cut(then), cut(now))
    };
    output.line(output.toned(Tone::Quiet, row(" ", "field", "recorded", "now")));
    for shown in &difference.fields {
        let (then, now) = (shown.recorded.as_deref(), shown.now.as_deref());
        let line = row(
            if then == now { " " } else { "!" },
            &shown.field,
            then.unwrap_or("(not there)"),
            now.unwrap_or("(not there)"),
        );
        let tone = if then == now { Tone::Quiet } else { Tone::Bad };
        output.line(output.toned(tone, line));
    }
}

fn cut(text: &str) -> String {
    match text.chars().count() > COLUMN {
        true => text.chars().take(COLUMN - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}
