//! The loop of the board: the station's news, a person's keys, answers, and the screen.

use super::app::{Answer, App, Wish};
use super::draw::{ENTRIES, Look, draw};
use super::terminal::{Input, Screen};
use crate::api::client::{Client, Follower};
use crate::api::view::{EntryState, Exit};
use crate::api::{OperationError, system_words};
use crate::cli::screen;
use crate::clock::Clock;
use jiff::tz::TimeZone;
use std::mem::discriminant;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Countdowns, and what is asked now and then.
const TICK: Duration = Duration::from_millis(250);

/// Changes of so short a time are drawn together: ssh on a bad network carries it, and nobody
/// sees it.
const FRAME: Duration = Duration::from_millis(40);

/// Answers that wait to be shown: each kind is asked once at a time.
const ANSWERS: usize = 8;

/// Shows the board until a person, a signal or the terminal's end ends it.
pub(super) async fn run(
    client: Client,
    mut follower: Follower,
    colour: bool,
) -> Result<Exit, OperationError> {
    let interrupted = screen::interrupted();
    tokio::pin!(interrupted);
    let no_terminal = |error: std::io::Error| {
        let said = format!("The terminal cannot show the board: {}.", system_words(&error));
        OperationError::new(Exit::Usage, said, "Use another terminal, or enlist watch --lines.")
    };
    let mut look = Look { colour, now: Clock::System.now(), zone: TimeZone::system() };
    let (answered, mut answers) = mpsc::channel(ANSWERS);
    let mut asker = Asker { client: client.clone(), answered, asked: Vec::new() };
    let mut app = App::new(client.target().to_string());
    let (mut screen, mut inputs) = Screen::open().map_err(no_terminal)?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut drawn = Instant::now();
    let mut draw_at = Some(drawn);
    loop {
        tokio::select! {
            // A person's key is never behind a station that talks without end.
            biased;
            () = &mut interrupted => break,
            input = inputs.recv() => match input {
                Some(Input::Key(key)) => {
                    if !app.key(key) {
                        break;
                    }
                    asker.ask(app.wishes());
                    draw_at = Some(Instant::now());
                }
                Some(Input::Resized) => draw_at = Some(Instant::now()),
                // The terminal is gone.
                None => break,
            },
            () = sleep_until(draw_at.unwrap_or(drawn)), if draw_at.is_some() => {
                look.now = Clock::System.now();
                screen.terminal.draw(|frame| draw(frame, &mut app, &look)).map_err(no_terminal)?;
                (drawn, draw_at) = (Instant::now(), None);
            }
            _ = ticks.tick() => {
                asker.ask(app.wishes());
                soon(&mut draw_at, drawn);
            }
            Some(answer) = answers.recv() => {
                app.answered(answer);
                asker.ask(app.wishes());
                soon(&mut draw_at, drawn);
            }
            told = follower.next() => match told {
                Some(told) => {
                    app.told(told, Clock::System.now());
                    soon(&mut draw_at, drawn);
                }
                None => return Ok(Exit::Failed),
            },
        }
    }
    Ok(Exit::Done)
}

/// Draws a little after the drawing before, if nothing is to be drawn already.
fn soon(draw_at: &mut Option<Instant>, drawn: Instant) {
    draw_at.get_or_insert((drawn + FRAME).max(Instant::now()));
}

/// Asks the station what the board wants; a newer wish of a kind ends the older one.
struct Asker {
    client: Client,
    answered: mpsc::Sender<Answer>,
    asked: Vec<(Wish, JoinHandle<()>)>,
}

impl Asker {
    fn ask(&mut self, wishes: Vec<Wish>) {
        for wish in wishes {
            let same = |other: &Wish| discriminant(other) == discriminant(&wish);
            self.asked.retain(|(other, task)| {
                if same(other) {
                    task.abort();
                }
                !same(other)
            });
            let (client, answered, wanted) = (self.client.clone(), self.answered.clone(), wish.clone());
            let task = tokio::spawn(async move {
                let answer = answer(&client, wanted).await;
                let _ = answered.send(answer).await;
            });
            self.asked.push((wish, task));
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.asked.iter().for_each(|(_, task)| task.abort());
    }
}

/// Jobs of one page of the history.
const JOBS: u32 = 100;

async fn answer(client: &Client, wish: Wish) -> Answer {
    match wish {
        Wish::Batches => Answer::Batches(client.get("/api/v1/batches").await),
        Wish::Entries { batch, state } => {
            let state = state.map(|state: EntryState| format!("&state={}", state.name()));
            let state = state.unwrap_or_default();
            let path = format!("/api/v1/batches/{batch}/entries?limit={ENTRIES}{state}");
            Answer::Entries(client.get(&path).await)
        }
        Wish::History { text, before } => {
            let mut path = format!("/api/v1/jobs?limit={JOBS}");
            if !text.is_empty() {
                path.push_str(&format!("&q={}", encoded(&text)));
            }
            if let Some(before) = before {
                path.push_str(&format!("&before={before}"));
            }
            Answer::History(before.is_some(), client.get(&path).await)
        }
        Wish::Job(job) => Answer::Job(job, client.get(&format!("/api/v1/jobs/{job}")).await.map(Box::new)),
    }
}

/// Percent signs for all but letters and digits.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
