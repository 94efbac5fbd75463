//! Standard output and error: text or JSON lines, colour on terminals only. What cannot be written
//! to standard output is remembered, and told at the end.

use crate::api::view::{BayView, DeviceView, Exit};
use crate::api::{OperationError, Outcome, system_words};
use crate::config::Environment;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::sync::{Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// Why standard output could not be written, the first time: there is one in a process. That its
/// reader went away is no trouble.
static TROUBLE: Mutex<Option<String>> = Mutex::new(None);

/// Writes to standard output.
///
/// # Errors
/// The reader went away; or it cannot be written, which [`Output::ended`] will tell.
pub(super) fn print(write: impl FnOnce(&mut StdoutLock<'_>) -> io::Result<()>) -> io::Result<()> {
    let written = write(&mut io::stdout().lock());
    if let Err(error) = &written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let mut trouble = TROUBLE.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| system_words(error));
    }
    written
}

/// Where a command's results go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// One JSON object per line.
    pub json: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    colour: bool,
    colour_err: bool,
}

/// A colour that means something; each also has a word and a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Person,
    Bad,
    Busy,
    Quiet,
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Person => "33;1",
            Self::Bad => "31;1",
            Self::Busy => "36",
            Self::Quiet => "2",
            Self::Strong => "1",
        }
    }

    /// The tone of a device's standing.
    pub(super) fn of(device: &DeviceView, ended: bool) -> Self {
        match device.exit() {
            Exit::Done if ended => Self::Good,
            Exit::Done => Self::Busy,
            Exit::NeedsPerson => Self::Person,
            _ if !ended => Self::Busy,
            _ => Self::Bad,
        }
    }

    /// The tone of a bay. One that no mux serves stands as it stands; once it left, it needs
    /// nobody.
    pub(super) fn of_bay(bay: &BayView) -> Self {
        match bay.unserved {
            true if !bay.attached => Self::Quiet,
            true => Self::of(&bay.device, bay.device.outcome != Outcome::Retrying),
            false => Self::of(&bay.device, bay.ended),
        }
    }

    /// Its shape, for eyes that see no colour.
    pub(super) fn shape(self) -> &'static str {
        match self {
            Self::Good => "✔",
            Self::Person => "▲",
            Self::Bad => "✖",
            Self::Busy => "●",
            Self::Quiet | Self::Strong => " ",
        }
    }
}

impl Output {
    pub(super) fn new(json: bool, no_color: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            json,
            terminal,
            colour: terminal && !no_color && !json,
            colour_err: io::stderr().is_terminal() && !no_color,
        }
    }

    /// Once a command has printed everything. A terminal that cannot be written to went away, as
    /// a reader does.
    ///
    /// # Errors
    /// Something of it could not be written.
    pub(super) fn ended(&self) -> Result<(), OperationError> {
        let _ = print(|out| out.flush());
        let trouble = TROUBLE.lock().unwrap_or_else(PoisonError::into_inner).take();
        match trouble {
            Some(why) if !self.terminal => Err(OperationError::new(
                Exit::Failed,
                format!("Standard output could not be written, so results are missing there: {why}."),
                "Check where the output goes, and the space on its disk.",
            )),
            _ => Ok(()),
        }
    }

    /// Text in a tone, if standard output shows colour.
    pub(super) fn toned(&self, tone: Tone, text: impl Display) -> String {
        paint(self.colour, tone, text)
    }

    /// A line of text. A reader who went away ends nothing but the printing.
    pub(super) fn line(&self, text: impl Display) {
        let _ = self.line_if_read(text);
    }

    /// As [`Output::line`], for commands that do nothing but print: says that the reader
    /// went away.
    pub(super) fn line_if_read(&self, text: impl Display) -> io::Result<()> {
        print(|out| writeln!(out, "{text}"))
    }

    /// A whole text with line ends of its own, such as a file.
    pub(super) fn text(&self, name: &str, text: &str) {
        match self.json {
            true => self.object(&serde_json::json!({ "name": name, "text": text })),
            false => self.raw(text),
        }
    }

    /// Raw text, flushed at once: for the live table.
    pub(super) fn raw(&self, text: &str) {
        let _ = print(|out| {
            out.write_all(text.as_bytes())?;
            out.flush()
        });
    }

    /// A JSON object on one line.
    pub(super) fn object(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => tracing::error!(%error, "a result could not be written as JSON"),
        }
    }

    /// A note for the person at the terminal; never mixed into results.
    pub(super) fn note(&self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A teller of notes, for operations that wait for a person.
    pub(super) fn teller(self) -> impl Fn(&str) + Send + Sync {
        move |text| self.note(text)
    }

    /// What went wrong and what to do.
    pub(super) fn error(&self, sentence: &str, next: Option<&str>) {
        let head = paint(self.colour_err, Tone::Bad, "error:");
        self.note(format!("{head} {sentence}"));
        if let Some(next) = next {
            self.note(format!("       {next}"));
        }
    }

    /// One device's result, as JSON or in lines.
    pub(super) fn result(&self, device: &DeviceView) {
        match self.json {
            true => self.object(device),
            false => self.device(device),
        }
    }

    /// The lines of one device's result: its standing, and what to do.
    pub(super) fn device(&self, device: &DeviceView) {
        let tone = Tone::of(device, true);
        let who = who(device);
        self.line(format!(
            "{} {}  {}",
            self.toned(tone, tone.shape()),
            self.toned(Tone::Strong, who),
            device.sentence
        ));
        if let Some(next) = &device.next {
            self.line(format!("  next: {next}"));
        }
        if !device.chain.is_empty() {
            self.line(self.toned(Tone::Quiet, format!("  device said: {}", chain(device))));
        }
    }
}

/// A device in few words.
pub(super) fn who(device: &DeviceView) -> String {
    let mark = if device.simulated { " [simulated]" } else { "" };
    match &device.name {
        Some(name) => {
            format!("{name} ({}){mark}", device.serial.clone().unwrap_or_else(|| device.known_as()))
        }
        None => match device.product_type.as_ref().filter(|_| device.udid.is_none()) {
            Some(model) => format!("{} {model}{mark}", device.known_as()),
            None => format!("{}{mark}", device.known_as()),
        },
    }
}

/// A device's error chain on one line, outermost first.
pub(super) fn chain(device: &DeviceView) -> String {
    let link = |l: &crate::api::view::LinkView| match &l.meaning {
        Some(meaning) => format!("{} {} ({meaning})", l.domain, l.code),
        None => format!("{} {}", l.domain, l.code),
    };
    device.chain.iter().map(link).collect::<Vec<_>>().join(" → ")
}

fn paint(colour: bool, tone: Tone, text: impl Display) -> String {
    if colour { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_string() }
}

/// Starts the log on standard error. Our own layers only, unless asked: the idevice crate
/// prints whole property lists at its debug level (protocols.md 9.2).
pub(super) fn start_log(environment: &Environment, verbose: u8) {
    let wanted = match (&environment.log, verbose) {
        (Some(filter), 0) => filter.clone(),
        (_, 0) => "enlist=warn".into(),
        (_, 1) => "enlist=info".into(),
        (_, 2) => "enlist=debug".into(),
        (_, _) => "enlist=trace".into(),
    };
    let filter =
        EnvFilter::try_new(format!("{wanted},idevice=off")).unwrap_or_else(|_| EnvFilter::new("enlist=warn"));
    let colour = io::stderr().is_terminal() && !environment.no_color;
    // A second start, as tests may do in one process, changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .try_init();
}
