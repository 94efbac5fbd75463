//! The task that owns the place in the recording. What the station does is looked up in it;
//! what the device did then, it does again, as long after the line before as it was then.

mod device;
mod search;

use super::line::{self, Line, Told};
use super::mutation::Mutator;
use super::tape::{RecordUse, Tape};
use super::{Over, ReplayParts, rules};
use crate::ids::MuxId;
use crate::secret::Secret;
use crate::transport::recorder::LOCKDOWN;
use crate::transport::recorder::entry::What;
use crate::transport::recorder::scrub::Scrubber;
use crate::transport::{Attachment, BackendEvent, BoxChannel, TransportError};
use crate::wire::fields::Fields;
use crate::wire::lockdown;
use plist::Dictionary;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Bytes on their way between station and device: a usual answer fits.
const STREAM_BYTES: usize = 64 << 10;

/// Things that lines tell and nobody took yet.
const TOLD: usize = 64;

/// Most connections of one replay, changed answers included; a job has some dozens.
const MOST_LINES: u32 = 10_000;

/// How long what came before its turn waits for it: connections are tasks of their own, and
/// what was said on two of them may arrive in another order.
const TURN: Duration = Duration::from_secs(1);

/// A pair record that no station can read: what it found if it found one and did not try it.
const UNUSABLE_RECORD: &[u8] = b"no pair record";

/// What a station asks of the way to its devices.
pub(super) enum Ask {
    List(oneshot::Sender<Vec<Attachment>>),
    Watch(mpsc::Sender<BackendEvent>),
    Connect { id: MuxId, port: u16, reply: oneshot::Sender<Result<BoxChannel, TransportError>> },
    Record(oneshot::Sender<Option<Secret<Vec<u8>>>>),
    Keep(Secret<Vec<u8>>, oneshot::Sender<()>),
    Recover(oneshot::Sender<Option<bool>>),
    Rest(oneshot::Sender<Rest>),
}

/// Where and how the station went another way than was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// File of the line that was to come.
    pub path: PathBuf,
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong, in words.
    pub reason: String,
    /// Field by field: its path, what was recorded, what came; in order.
    pub fields: Vec<(String, Option<String>, Option<String>)>,
}

/// What there is to say of a replay that is over.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    /// What the station did not do that was recorded.
    pub left: Option<Mismatch>,
    /// How many answers were changed.
    pub changed: usize,
    /// How often a profile was pushed.
    pub pushes: u32,
}

/// What the station did.
#[derive(Clone, Copy)]
enum Did<'a> {
    /// What no line of a recording tells: a field, and what it is.
    Other(&'a str, &'a str),
    Connect(&'a str),
    Ask,
    Recover,
    Say(u32, &'a Dictionary),
}

impl Did<'_> {
    fn is_read(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Ask => true,
            Self::Recover | Self::Other(..) => false,
            Self::Say(_, frame) => rules::is_read(frame),
        }
    }

    fn fields(&self) -> Vec<(String, String)> {
        match self {
            Self::Other(field, value) => vec![((*field).to_owned(), (*value).to_owned())],
            Self::Connect(service) => vec![("connects to".to_owned(), (*service).to_owned())],
            Self::Ask => vec![("looks for".to_owned(), "a pair record".to_owned())],
            Self::Recover => vec![("resets".to_owned(), "the device".to_owned())],
            Self::Say(_, frame) => rules::flat(frame),
        }
    }
}

fn handshake(began: bool) -> Did<'static> {
    Did::Other("TLS handshake", if began { "succeeds" } else { "fails" })
}

/// What a station did that is still to be found in the recording.
enum Wish {
    Connect { service: String, port: u16, reply: oneshot::Sender<Result<BoxChannel, TransportError>> },
    Record(oneshot::Sender<Option<Secret<Vec<u8>>>>),
    Recover(oneshot::Sender<Option<bool>>),
    Say(u32, Dictionary),
}

impl Wish {
    fn did(&self) -> Did<'_> {
        match self {
            Self::Connect { service, .. } => Did::Connect(service),
            Self::Record(_) => Did::Ask,
            Self::Recover(_) => Did::Recover,
            Self::Say(number, frame) => Did::Say(*number, frame),
        }
    }
}

/// A connection that is open.
struct Open {
    line: Line,
    /// Its last line of the recording that was gone through.
    at: usize,
}

pub(super) struct Driver {
    tape: Arc<Tape>,
    parts: ReplayParts,
    /// When each line was gone through.
    done: Vec<Option<Instant>>,
    cursor: usize,
    begun: Instant,
    /// Answers that are due, and on which connection.
    answers: Vec<(Instant, u32, usize)>,
    /// What came before its turn, and until when it waits for that.
    early: Vec<(Instant, Wish)>,
    lines: BTreeMap<u32, Open>,
    last_line: u32,
    ports: HashMap<u16, String>,
    present: Option<Attachment>,
    attachments: u32,
    /// When a device that slipped comes back.
    back: Option<Instant>,
    watchers: Vec<mpsc::Sender<BackendEvent>>,
    scrubber: Scrubber,
    mutator: Option<Mutator>,
    pushes: u32,
    /// What lines tell, with their numbers; the way is given to each.
    told: mpsc::Receiver<(u32, Told)>,
    tell: mpsc::Sender<(u32, Told)>,
    over: watch::Sender<Option<Over>>,
}

impl Driver {
    pub(super) fn new(tape: Arc<Tape>, parts: ReplayParts, over: watch::Sender<Option<Over>>) -> Self {
        let (tell, told) = mpsc::channel(TOLD);
        Self {
            done: vec![None; tape.entries.len()],
            mutator: parts.mutate.map(Mutator::new),
            tape,
            parts,
            cursor: 0,
            begun: Instant::now(),
            answers: Vec::new(),
            early: Vec::new(),
            lines: BTreeMap::new(),
            last_line: 0,
            ports: HashMap::from([(lockdown::PORT, LOCKDOWN.to_owned())]),
            present: None,
            attachments: 0,
            back: None,
            watchers: Vec::new(),
            scrubber: Scrubber::default(),
            pushes: 0,
            told,
            tell,
            over,
        }
    }

    /// Replays until nobody asks any more.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            self.catch_up();
            let due = self.due();
            let alarm = due.unwrap_or_else(Instant::now);
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.asked(ask),
                    None => return,
                },
                Some((number, told)) = self.told.recv() => self.told(number, told),
                () = sleep_until(alarm), if due.is_some() => self.ring(),
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// Steps over what is done, and does at once what is due at once.
    fn catch_up(&mut self) {
        while self.done.get(self.cursor).is_some_and(Option::is_some) {
            self.cursor += 1;
        }
        if !self.is_over() && self.cursor_due().is_some_and(|due| due <= Instant::now()) {
            self.play(self.cursor);
            self.catch_up();
        }
        let is_played = self.tape.is_cut() && self.cursor == self.tape.entries.len();
        // A job whose answers are changed is to come to its end.
        if is_played && self.mutator.is_none() && !self.is_over() {
            self.over.send_replace(Some(Over::Played));
        }
    }

    /// When the line at the cursor is due, if it is the device's.
    fn cursor_due(&self) -> Option<Instant> {
        let placed = self.tape.entries.get(self.cursor)?;
        if placed.is_of_host() || self.answers.iter().any(|(_, _, at)| *at == self.cursor) {
            return None;
        }
        let (since, then) = match self.cursor.checked_sub(1) {
            Some(before) => (self.done[before].unwrap_or(self.begun), self.tape.entries[before].entry.t),
            None => (self.begun, placed.entry.t),
        };
        Some(since + Duration::from_millis(placed.entry.t.saturating_sub(then)))
    }

    /// When something is to be done next.
    fn due(&self) -> Option<Instant> {
        if self.is_over() {
            return None;
        }
        let answers = self.answers.iter().map(|(due, ..)| *due);
        let early = self.early.iter().map(|(until, _)| *until);
        answers.chain(early).chain(self.cursor_due()).chain(self.back).min()
    }

    fn ring(&mut self) {
        let now = Instant::now();
        if self.back.is_some_and(|back| back <= now) {
            self.back = None;
            self.attach();
        }
        if let Some(late) = self.early.iter().position(|(until, _)| *until <= now) {
            let (_, wish) = self.early.remove(late);
            return self.never(&wish);
        }
        let next = self.answers.iter().position(|(due, ..)| *due <= now);
        if let Some((_, number, at)) = next.map(|next| self.answers.swap_remove(next)) {
            self.say(Some(number), at);
        }
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::List(reply) => _ = reply.send(self.present.iter().cloned().collect()),
            Ask::Watch(watcher) => {
                let _ = watcher.try_send(BackendEvent::Ready);
                if let Some(present) = &self.present {
                    let _ = watcher.try_send(BackendEvent::Attached(present.clone()));
                }
                self.watchers.push(watcher);
            }
            Ask::Connect { id, port, reply } => self.connect(id, port, reply),
            Ask::Record(reply) => self.wish(Wish::Record(reply)),
            Ask::Keep(record, reply) => {
                self.parts.record = record;
                let _ = reply.send(());
            }
            Ask::Recover(reply) => self.wish(Wish::Recover(reply)),
            Ask::Rest(reply) => {
                let changed = self.mutator.as_ref().map_or(0, |mutator| mutator.changed);
                let _ = reply.send(Rest { left: self.rest(), changed, pushes: self.pushes });
            }
        }
    }

    fn connect(&mut self, id: MuxId, port: u16, reply: oneshot::Sender<Result<BoxChannel, TransportError>>) {
        let is_here = self.present.as_ref().is_some_and(|present| present.id == id);
        match self.ports.get(&port).cloned() {
            _ if !is_here => _ = reply.send(Err(TransportError::Detached)),
            Some(service) => self.wish(Wish::Connect { service, port, reply }),
            None => {
                self.differ_at_cursor(
                    "the station connects to a port that was not opened",
                    &Did::Other("connects to", "a port of its own"),
                );
                let _ = reply.send(Err(TransportError::Refused { port }));
            }
        }
    }

    /// Does what the recording has for this, now or when its turn comes.
    fn wish(&mut self, wish: Wish) {
        // Dropped, it is answered with the end of the connection.
        if self.is_over() {
            return;
        }
        match self.find(&wish.did()) {
            Some(at) => self.grant(wish, at),
            None if self.mutator.is_some() => self.deny(wish),
            None => self.early.push((Instant::now() + TURN, wish)),
        }
        while let Some((n, at)) = self.turn() {
            let (_, wish) = self.early.remove(n);
            self.grant(wish, at);
        }
    }

    /// What came early and may go on now.
    fn turn(&self) -> Option<(usize, usize)> {
        let mut early = self.early.iter().enumerate();
        early.find_map(|(n, (_, wish))| Some((n, self.find_in_order(&wish.did())?)))
    }

    fn grant(&mut self, wish: Wish, at: usize) {
        self.pass(at);
        let what = &self.tape.entries[at].entry.what;
        match wish {
            Wish::Connect { port, reply, .. } => match what {
                What::Refused(refusal) if refusal.gone => _ = reply.send(Err(TransportError::Detached)),
                What::Open(_) if self.last_line < MOST_LINES => _ = reply.send(Ok(self.open(at))),
                _ => _ = reply.send(Err(TransportError::Refused { port })),
            },
            Wish::Record(reply) => _ = reply.send(self.record(at)),
            Wish::Recover(reply) => _ = reply.send(Some(*what == What::Recovered(true))),
            Wish::Say(number, _) => {
                if let Some(open) = self.lines.get_mut(&number) {
                    open.at = at;
                }
                self.go_on(number);
            }
        }
    }

    fn deny(&mut self, wish: Wish) {
        match wish {
            Wish::Connect { port, reply, .. } => _ = reply.send(Err(TransportError::Refused { port })),
            Wish::Record(reply) => _ = reply.send(None),
            Wish::Recover(reply) => _ = reply.send(None),
            Wish::Say(number, _) => _ = self.lines.remove(&number),
        }
    }

    fn open(&mut self, at: usize) -> BoxChannel {
        let (theirs, ours) = line::pair(STREAM_BYTES);
        self.last_line += 1;
        let line = Line::start(self.last_line, ours, self.tell.clone());
        self.lines.insert(self.last_line, Open { line, at });
        self.go_on(self.last_line);
        theirs
    }

    /// The record that the station found then.
    fn record(&self, at: usize) -> Option<Secret<Vec<u8>>> {
        let had = matches!(self.tape.entries[at].entry.what, What::PairRecord(true));
        match self.tape.use_of_record(at) {
            // It may have had a copy of its own, and used that.
            RecordUse::Tried => Some(self.parts.record.clone()),
            RecordUse::Unknown => had.then(|| self.parts.record.clone()),
            RecordUse::NotTried => had.then(|| Secret::new(UNUSABLE_RECORD.to_vec())),
        }
    }

    fn told(&mut self, number: u32, told: Told) {
        if self.is_over() || !self.lines.contains_key(&number) {
            return;
        }
        match told {
            Told::Frame(frame) => self.heard(number, &frame),
            Told::Encrypted(shaken) => self.encrypted(number, shaken),
            Told::Gone => _ = self.lines.remove(&number),
            Told::Nonsense => {
                self.lines.remove(&number);
                let did = Did::Other("says", "something that is no frame");
                self.differ_at_cursor("the station does something else than was recorded", &did);
            }
        }
    }

    fn heard(&mut self, number: u32, frame: &Dictionary) {
        if let Some(certificate) = frame.dict("PairRecord").and_then(|r| r.bytes("DeviceCertificate")) {
            self.parts.certificate = certificate.to_vec();
        }
        self.pushes += u32::from(rules::is_push(frame));
        let now = self.parts.clock.now().as_duration().as_secs_f64();
        let scrubbed = self.scrubber.at(now).frame(frame);
        self.wish(Wish::Say(number, scrubbed));
    }

    fn encrypted(&mut self, number: u32, shaken: bool) {
        let Some(at) = self.lines.get(&number).and_then(|open| self.tape.next_of(open.at)) else { return };
        let What::Tls(then) = self.tape.entries[at].entry.what else { return };
        if then != shaken && self.mutator.is_none() {
            let reason = "the TLS handshake did not end as it was recorded";
            return self.differ(at, reason, &handshake(shaken));
        }
        self.pass(at);
        if !shaken {
            self.lines.remove(&number);
        } else if let Some(open) = self.lines.get_mut(&number) {
            open.at = at;
            self.go_on(number);
        }
    }
}
