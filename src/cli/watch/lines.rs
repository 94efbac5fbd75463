//! Without a terminal: a line for each change, or a JSON object for each event.

use crate::api::OperationError;
use crate::api::client::{Change, Follower, Mirror, Told};
use crate::api::sentence;
use crate::api::view::Exit;
use crate::api::view::station::SnapshotView;
use crate::cli::lines::Lines;
use crate::cli::output::Output;
use crate::cli::screen;
use crate::clock::Clock;
use serde::Serialize;

/// One event of `enlist watch --json`.
#[derive(Serialize)]
struct Line<'a, T> {
    /// `live`, `snapshot`, `bay`, `mux`, `journal`, `stopped` or `lost`.
    event: &'static str,
    #[serde(flatten)]
    data: &'a T,
}

/// What is wrong, if something is.
#[derive(Serialize)]
struct Trouble<'a> {
    trouble: Option<&'a str>,
}

#[derive(Serialize)]
struct Nothing {}

/// Until Ctrl-C, or until nobody reads any more.
pub(super) async fn run(mut follower: Follower, output: &Output) -> Result<Exit, OperationError> {
    let interrupted = screen::interrupted();
    tokio::pin!(interrupted);
    let mut lines = Plain { lines: Lines::new(*output), mirror: Mirror::default(), output: *output };
    loop {
        let told = tokio::select! {
            told = follower.next() => told,
            () = &mut interrupted => return Ok(Exit::Done),
        };
        let Some(told) = told else { return Ok(Exit::Failed) };
        let written = match output.json {
            true => object(&told, output),
            false => lines.tell(told),
        };
        if written.is_err() {
            return Ok(Exit::Done);
        }
    }
}

fn object(told: &Told, output: &Output) -> std::io::Result<()> {
    let trouble = |event, trouble: Option<&str>| print(event, &Trouble { trouble }, output);
    match told {
        Told::Live => print("live", &Nothing {}, output),
        Told::Everything(everything) => print("snapshot", &**everything, output),
        Told::Bay(bay) => print("bay", &**bay, output),
        Told::Mux(said) => trouble("mux", said.as_deref()),
        Told::Journal(said) => trouble("journal", said.as_deref()),
        Told::Stopped => print("stopped", &Nothing {}, output),
        Told::Lost(error) => trouble("lost", Some(&sentence(error))),
    }
}

fn print<T: Serialize>(event: &'static str, data: &T, output: &Output) -> std::io::Result<()> {
    output.line_if_read(serde_json::to_string(&Line { event, data })?)
}

/// Lines for people.
struct Plain {
    lines: Lines,
    mirror: Mirror,
    output: Output,
}

impl Plain {
    fn tell(&mut self, told: Told) -> std::io::Result<()> {
        let now = Clock::System.now();
        let said = match &told {
            Told::Lost(error) => Some(format!("✖ {} Trying again.", sentence(error))),
            Told::Stopped => Some("✖ The station was stopped.".to_owned()),
            Told::Journal(Some(trouble)) => Some(format!("✖ {trouble}")),
            Told::Journal(None) => Some("● the journal is written again".to_owned()),
            Told::Mux(trouble) => {
                self.lines.mux(trouble.as_ref());
                None
            }
            Told::Live => Some("● following the station".to_owned()),
            Told::Everything(everything) => Some(head(everything)),
            Told::Bay(_) => None,
        };
        if let Some(said) = said {
            self.output.line_if_read(said)?;
        }
        if let Told::Bay(bay) = &told {
            self.lines.bay(bay, |until| self.mirror.seconds_until(until, now))?;
        }
        if self.mirror.take(told, now) == Change::Everything {
            for bay in self.mirror.lines() {
                self.lines.bay(bay, |until| self.mirror.seconds_until(until, now))?;
            }
        }
        Ok(())
    }
}

fn head(everything: &SnapshotView) -> String {
    let station = &everything.station;
    let mark = if station.simulated { "SIMULATED: " } else { "" };
    let export = station.export.as_deref().unwrap_or("no export");
    let trouble = station.mux_trouble.as_ref().or(station.journal_trouble.as_ref());
    let trouble = trouble.map(|trouble| format!("; {trouble}")).unwrap_or_default();
    format!("● {mark}{} lines; {export}{trouble}", everything.bays.len())
}
