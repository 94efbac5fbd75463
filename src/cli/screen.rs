//! Shows a run in progress: a live table on a terminal, plain lines when piped, or JSON.

use super::lines::Lines;
use super::output::Output;
use super::table::Table;
use crate::api::view::{BayView, Exit};
use crate::api::{Live, OperationError, Operations, RunEnd, RunOptions, Update};
use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// A table that is redrawn.
    Table,
    /// A line per change.
    Lines,
    /// JSON: every change.
    Changes,
    /// JSON: one result a device.
    Results,
}

impl Show {
    /// What a person gets: depends on whether anybody looks.
    pub(super) fn for_people(output: &Output) -> Self {
        if output.terminal { Self::Table } else { Self::Lines }
    }
}

/// Redraws of the table, for its countdowns.
const TICK: Duration = Duration::from_millis(250);

/// Runs enrollments and shows them; gives the exit code of the whole.
pub(super) async fn run(
    operations: &Operations,
    options: RunOptions,
    show: Show,
    output: &Output,
) -> Result<Exit, OperationError> {
    let once = options.once;
    let live = operations.live().of_export(options.policy.export_ends, options.shelf.clone());
    shown(live, operations.run(options, interrupted()), once, show, output).await
}

/// Shows any run over a board to its end; gives the exit code of the whole.
pub(super) async fn shown(
    live: Live,
    run: impl Future<Output = Result<RunEnd, OperationError>>,
    once: bool,
    show: Show,
    output: &Output,
) -> Result<Exit, OperationError> {
    let mut follower = live.follow();
    let mut screen = Screen::new(show, once, output);
    tokio::pin!(run);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = loop {
        tokio::select! {
            biased;
            Some(update) = follower.next() => {
                screen.update(&update, &live);
                // A burst is drawn once.
                while let Some(update) = follower.try_next() {
                    screen.update(&update, &live);
                }
                screen.draw(&live);
            }
            _ = ticks.tick(), if show == Show::Table => screen.draw(&live),
            end = &mut run => break end,
        }
    };
    while let Some(update) = follower.try_next() {
        screen.update(&update, &live);
    }
    screen.finish(&live);
    let end = end?;
    let bays = live.bays();
    summary(&bays, end, show, live.mux_trouble(), output);
    Ok(exit_of(&bays, end, once))
}

/// Resolves on Ctrl-C, SIGTERM, or when the terminal goes; a second Ctrl-C ends the program at
/// once. Signals count from this call on, not only once it is waited for.
pub(super) fn interrupted() -> impl Future<Output = ()> + Send {
    let [mut interrupt, mut terminate, mut hangup] =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(|kind| signal(kind).ok());
    async move {
        tokio::select! {
            () = heard(&mut interrupt) => {}
            () = heard(&mut terminate) => {}
            () = heard(&mut hangup) => {}
        }
        tokio::spawn(async move {
            heard(&mut interrupt).await;
            std::process::exit(130);
        });
    }
}

/// Waits for a signal; for ever, if it cannot be waited for.
async fn heard(signal: &mut Option<Signal>) {
    let heard = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending().await
    }
}

fn exit_of(bays: &[BayView], end: RunEnd, once: bool) -> Exit {
    let worst = bays.iter().filter(|b| b.ended).fold(Exit::Done, |worst, b| worst.worst(b.device.exit()));
    match end {
        RunEnd::Done => worst,
        RunEnd::NoDevice => Exit::NoDevice,
        // A station is ended like this; a run that should have finished was not.
        RunEnd::Interrupted if once => worst.worst(Exit::Failed),
        RunEnd::Interrupted => Exit::Done,
    }
}

fn summary(bays: &[BayView], end: RunEnd, show: Show, trouble: Option<String>, output: &Output) {
    if end == RunEnd::NoDevice {
        let sentence = match trouble {
            Some(reason) => format!("No device came, and there is no way to the devices: {reason}."),
            None if bays.iter().any(|b| b.unserved) => "No device came that can be enrolled.".to_owned(),
            None => "No device came.".to_owned(),
        };
        return output.error(&sentence, Some("Plug a device in and unlock it; see `enlist doctor`."));
    }
    if matches!(show, Show::Changes | Show::Results) {
        return;
    }
    let ended = bays.iter().filter(|b| b.ended);
    let good = ended.clone().filter(|b| b.device.outcome.is_success()).count();
    let bad = ended.count() - good;
    let open = bays.iter().filter(|b| b.is_open()).count();
    let simulated = if bays.iter().any(|b| b.device.simulated) { " (simulated devices)" } else { "" };
    match end {
        RunEnd::Interrupted if open > 0 => {
            output.line(format!(
                "Stopped: {good} done, {bad} not, {open} open; open jobs go on at the next start{simulated}."
            ));
        }
        _ => output.line(format!("{good} done, {bad} not{simulated}.")),
    }
}

struct Screen {
    show: Show,
    table: Table,
    lines: Lines,
    output: Output,
    told: HashSet<i64>,
    once: bool,
}

impl Screen {
    fn new(show: Show, once: bool, output: &Output) -> Self {
        let (table, lines) = (Table::new(*output, once), Lines::new(*output));
        Self { show, table, lines, output: *output, told: HashSet::new(), once }
    }

    fn update(&mut self, update: &Update, live: &Live) {
        match (self.show, update) {
            (Show::Table, _) => {}
            (Show::Lines, Update::Resync) => live.bays().iter().for_each(|bay| self.line(bay, live)),
            (Show::Lines, Update::Bay(bay)) => self.line(bay, live),
            (Show::Lines, Update::MuxLost(reason)) => self.lines.mux(Some(reason)),
            (Show::Lines, Update::MuxReady) => self.lines.mux(None),
            (Show::Changes, Update::Bay(bay)) => self.output.object(bay),
            (Show::Changes, Update::Resync) => live.bays().iter().for_each(|bay| self.output.object(bay)),
            (Show::Results, Update::Bay(bay)) => self.result(bay),
            (Show::Results, Update::Resync) => live.bays().iter().for_each(|bay| self.result(bay)),
            (_, Update::MuxLost(reason)) => self.output.note(format!("mux lost: {reason}")),
            (_, Update::MuxReady) => {}
            (_, Update::JournalLost(reason)) => self.output.note(format!("journal: {reason}")),
            (_, Update::JournalReady) => self.output.note("journal: it is written again; work goes on"),
        }
    }

    /// A run goes on without its reader.
    fn line(&mut self, bay: &BayView, live: &Live) {
        let _ = self.lines.bay(bay, |until| live.seconds_until(until));
    }

    /// Each ended job once.
    fn result(&mut self, bay: &BayView) {
        if bay.ended && self.told.insert(bay.device.job.unwrap_or_default()) {
            self.output.object(&bay.device);
        }
    }

    fn draw(&mut self, live: &Live) {
        match self.show {
            Show::Table => self.table.draw(live),
            Show::Lines if !self.once => self.lines.rest(live),
            _ => {}
        }
    }

    fn finish(&mut self, live: &Live) {
        match self.show {
            Show::Table => self.table.finish(live),
            // Devices that never came to an end have a result too.
            Show::Results => {
                for bay in live.bays() {
                    let job = bay.device.job.unwrap_or_default();
                    if !self.told.contains(&job) || job == 0 && !bay.ended {
                        self.output.object(&bay.device);
                    }
                }
            }
            Show::Lines | Show::Changes => {}
        }
    }
}
