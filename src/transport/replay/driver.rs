//! The task that owns the place in the recording. What the station does is looked up in it;
//! what the device did then, it does again, as long after the line before as it was then.

use super::line::{self, Line, Order, Told};
use super::mutation::{Instead, Mutator};
use super::tape::{Placed, Tape};
use super::{ReplayParts, rules};
use crate::ids::MuxId;
use crate::limits::DEVICE_FRAME_BYTES;
use crate::secret::Secret;
use crate::transport::recorder::LOCKDOWN;
use crate::transport::recorder::entry::{End, MuxMark, What};
use crate::transport::recorder::scrub::Scrubber;
use crate::transport::{Attachment, BackendEvent, BoxChannel, TransportError};
use crate::wire::fields::Fields;
use crate::wire::plist_frame;
use crate::wire::{lockdown, notification_proxy};
use plist::{Dictionary, Value};
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

/// The time of a device (3.5); a recording holds how far it was ahead.
const DEVICE_TIME: &str = "TimeIntervalSince1970";

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
    Connect(&'a str),
    Ask,
    Recover,
    Say(u32, &'a Dictionary),
}

impl Did<'_> {
    fn is_read(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Ask => true,
            Self::Recover => false,
            Self::Say(_, frame) => rules::is_read(frame),
        }
    }

    fn fields(&self) -> Vec<(String, String)> {
        match self {
            Self::Connect(service) => vec![("connects to".to_owned(), (*service).to_owned())],
            Self::Ask => vec![("looks for".to_owned(), "a pair record".to_owned())],
            Self::Recover => vec![("resets".to_owned(), "the device".to_owned())],
            Self::Say(_, frame) => rules::flat(frame),
        }
    }
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
    told: (mpsc::Sender<(u32, Told)>, mpsc::Receiver<(u32, Told)>),
    failed: watch::Sender<Option<Mismatch>>,
}

impl Driver {
    pub(super) fn new(tape: Arc<Tape>, parts: ReplayParts, failed: watch::Sender<Option<Mismatch>>) -> Self {
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
            told: mpsc::channel(TOLD),
            failed,
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
                Some((number, told)) = self.told.1.recv() => self.told(number, told),
                () = sleep_until(alarm), if due.is_some() => self.ring(),
            }
        }
    }

    fn is_over(&self) -> bool {
        self.failed.borrow().is_some()
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

    // ---- what the station does --------------------------------------------------------

    fn connect(&mut self, id: MuxId, port: u16, reply: oneshot::Sender<Result<BoxChannel, TransportError>>) {
        let is_here = self.present.as_ref().is_some_and(|present| present.id == id);
        match self.ports.get(&port).cloned() {
            _ if !is_here => _ = reply.send(Err(TransportError::Detached)),
            Some(service) => self.wish(Wish::Connect { service, port, reply }),
            None => {
                self.differ_at_cursor(
                    "the station connects to a port that was not opened",
                    &Did::Connect("?"),
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
        let line = Line::start(self.last_line, ours, self.told.0.clone());
        self.lines.insert(self.last_line, Open { line, at });
        self.go_on(self.last_line);
        theirs
    }

    /// The record that the station found then.
    fn record(&self, at: usize) -> Option<Secret<Vec<u8>>> {
        let had = matches!(self.tape.entries[at].entry.what, What::PairRecord(true));
        // It may have had a copy of its own, and used that.
        let said = self.tape.entries[at..].iter().filter(|placed| placed.is_of_host());
        let mut names = said.filter_map(|placed| rules::name(placed.frame.as_ref()?));
        let used = names.find(|name| matches!(*name, "Pair" | "StartSession"));
        (had || used == Some("StartSession")).then(|| self.parts.record.clone())
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
                self.differ_at_cursor("the station sent something that is no frame", &Did::Connect("?"));
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
            return self.differ(at, reason, &Did::Connect("TLS"));
        }
        self.pass(at);
        if !shaken {
            self.lines.remove(&number);
        } else if let Some(open) = self.lines.get_mut(&number) {
            open.at = at;
            self.go_on(number);
        }
    }

    // ---- where that stands in the recording -------------------------------------------

    /// The line of the recording that this is.
    fn find(&mut self, did: &Did<'_>) -> Option<usize> {
        self.find_in_order(did).or_else(|| self.find_anywhere(did))
    }

    /// It has no turn.
    fn never(&mut self, wish: &Wish) {
        let did = wish.did();
        let reason = match self.expected(&did) {
            Some(_) => "the station does something else than was recorded",
            None => "the station does something more than was recorded",
        };
        self.differ_at_cursor(reason, &did);
    }

    /// Strict order; what changes nothing may be passed, or pass, inside a phase.
    fn find_in_order(&self, did: &Did<'_>) -> Option<usize> {
        let mut phase = None;
        for (at, placed) in self.ahead() {
            if *phase.get_or_insert(placed.file) != placed.file {
                return None;
            }
            if self.is(did, placed) {
                return Some(at);
            }
            let reads = match &placed.entry.what {
                What::Host(_) => placed.frame.as_ref().is_some_and(rules::is_read),
                What::Recovered(_) => false,
                _ => true,
            };
            let may_pass = reads || did.is_read() && !self.is_on_line_of(did, placed);
            if !may_pass {
                return None;
            }
        }
        None
    }

    /// A station that hears what was never said asks what it will: the best answer there is.
    fn find_anywhere(&mut self, did: &Did<'_>) -> Option<usize> {
        self.mutator.as_ref()?;
        let like = |placed: &Placed| match (did, &placed.entry.what) {
            (Did::Say(number, frame), What::Host(_)) => {
                placed.frame.as_ref().and_then(rules::name) == rules::name(frame)
                    && self.is_same_service(*number, placed)
            }
            _ => self.is(did, placed),
        };
        let next = self.ahead().find(|(_, placed)| like(placed)).map(|(at, _)| at);
        let before = || (0..self.tape.entries.len()).rev().find(|at| like(&self.tape.entries[*at]));
        let found = next.or_else(before)?;
        let now = Instant::now();
        // What was passed over will not come any more.
        self.done[..found].iter_mut().for_each(|done| _ = done.get_or_insert(now));
        Some(found)
    }

    /// What the station was to do, for a person to compare: on the same connection if it can be.
    fn expected(&self, did: &Did<'_>) -> Option<usize> {
        let same = self.ahead().find(|(_, placed)| self.is_on_line_of(did, placed));
        same.or_else(|| self.ahead().next()).map(|(at, _)| at)
    }

    /// What the station has still to do, in order.
    fn ahead(&self) -> impl Iterator<Item = (usize, &Placed)> {
        let all = self.tape.entries.iter().enumerate().skip(self.cursor);
        all.filter(|(at, placed)| placed.is_of_host() && self.done[*at].is_none())
    }

    fn is(&self, did: &Did<'_>, placed: &Placed) -> bool {
        match (did, &placed.entry.what) {
            (Did::Connect(to), What::Open(service)) => service == to,
            (Did::Connect(to), What::Refused(refusal)) => refusal.to == *to,
            (Did::Ask, What::PairRecord(_)) | (Did::Recover, What::Recovered(_)) => true,
            (Did::Say(_, now), What::Host(_)) => {
                self.is_on_line_of(did, placed)
                    && placed.frame.as_ref().is_some_and(|then| rules::is_same(then, now))
            }
            _ => false,
        }
    }

    fn is_on_line_of(&self, did: &Did<'_>, placed: &Placed) -> bool {
        let Did::Say(number, _) = did else { return false };
        let c = |open: &Open| self.tape.entries[open.at].entry.c;
        self.lines.get(number).is_some_and(|open| c(open) == placed.entry.c)
    }

    fn is_same_service(&self, number: u32, placed: &Placed) -> bool {
        let Some(open) = self.lines.get(&number) else { return false };
        let c = placed.entry.c;
        let opened = |placed: &&Placed| placed.entry.c == c && matches!(placed.entry.what, What::Open(_));
        let service = self.tape.entries.iter().find(opened).map(|placed| &placed.entry.what);
        matches!(service, Some(What::Open(service)) if Some(service.as_str()) == self.tape.service_of(open.at))
    }

    fn pass(&mut self, at: usize) {
        self.done[at] = Some(Instant::now());
    }

    fn rest(&self) -> Option<Mismatch> {
        let (at, _) = self.ahead().next()?;
        let reason = "the station ended before it did this".to_owned();
        Some(self.mismatch(at, reason, &[]))
    }

    fn differ_at_cursor(&mut self, reason: &str, did: &Did<'_>) {
        let at = self.expected(did).unwrap_or(self.tape.entries.len().saturating_sub(1));
        self.differ(at, reason, did);
    }

    fn differ(&mut self, at: usize, reason: &str, did: &Did<'_>) {
        if self.mutator.is_none() && !self.is_over() {
            let mismatch = self.mismatch(at, reason.to_owned(), &did.fields());
            self.lines.clear();
            self.answers.clear();
            self.early.clear();
            self.failed.send_replace(Some(mismatch));
        }
    }

    fn mismatch(&self, at: usize, reason: String, now: &[(String, String)]) -> Mismatch {
        let placed = &self.tape.entries[at];
        let then = match (&placed.entry.what, &placed.frame) {
            (What::Host(_), Some(frame)) => rules::flat(frame),
            (What::Open(service), _) => Did::Connect(service).fields(),
            (What::Refused(refusal), _) => Did::Connect(&refusal.to).fields(),
            (What::PairRecord(_), _) => Did::Ask.fields(),
            (What::Recovered(_), _) => Did::Recover.fields(),
            (What::Tls(_), _) => Did::Connect("TLS").fields(),
            _ => Vec::new(),
        };
        let mut fields = BTreeMap::new();
        for (path, value) in then {
            fields.entry(path).or_insert((None, None)).0 = Some(value);
        }
        for (path, value) in now {
            fields.entry(path.clone()).or_insert((None, None)).1 = Some(value.clone());
        }
        let (path, line) = self.tape.place(at);
        let fields = fields.into_iter().map(|(path, (then, now))| (path, then, now)).collect();
        Mismatch { path, line, reason, fields }
    }

    // ---- what the device does ----------------------------------------------------------

    /// What comes next on a connection: an answer, a handshake, or a question.
    fn go_on(&mut self, number: u32) {
        let Some(open) = self.lines.get(&number) else { return };
        let (at, line) = (open.at, &open.line);
        let Some(next) = self.tape.next_of(at) else { return line.order(Order::Listen) };
        let (before, after) = (&self.tape.entries[at], &self.tape.entries[next]);
        let speaks_by_itself = self.tape.service_of(at) == Some(notification_proxy::SERVICE);
        match after.entry.what {
            What::Tls(true) => match self.parts.key.server(&self.parts.certificate) {
                Ok(context) => line.order(Order::Encrypt(Some(context))),
                Err(error) => {
                    tracing::debug!(%error, "no certificate for the replayed device");
                    line.order(Order::Encrypt(None));
                }
            },
            What::Tls(false) => line.order(Order::Encrypt(None)),
            What::Device(_) | What::Garbage(_) | What::Broken(_) | What::Ended(_)
                if matches!(before.entry.what, What::Host(_)) && !speaks_by_itself =>
            {
                if !matches!(after.entry.what, What::Ended(End::Unanswered)) {
                    let late = Duration::from_millis(after.entry.t.saturating_sub(before.entry.t));
                    self.answers.push((Instant::now() + late, number, next));
                }
            }
            _ => line.order(Order::Listen),
        }
    }

    /// Does what the line at `at` says, which is the device's and no answer.
    fn play(&mut self, at: usize) {
        let tape = Arc::clone(&self.tape);
        match &tape.entries[at].entry.what {
            What::Attached(_) => {
                self.pass(at);
                self.attach();
            }
            What::Detached(_) => {
                self.pass(at);
                self.detach();
            }
            What::Mux(MuxMark::Lost) => {
                self.pass(at);
                self.present = None;
                self.lines.clear();
                let reason = "it was lost when this was recorded".to_owned();
                self.tell(&BackendEvent::Lost { reason });
            }
            What::Mux(MuxMark::Ready) => {
                self.pass(at);
                self.tell(&BackendEvent::Ready);
            }
            _ => {
                let c = tape.entries[at].entry.c;
                let of = |(_, open): &(&u32, &Open)| tape.entries[open.at].entry.c == c;
                let number = self.lines.iter().find(of).map(|(number, _)| *number);
                self.say(number, at);
            }
        }
    }

    /// Says on a connection what the line at `at` holds.
    fn say(&mut self, number: Option<u32>, at: usize) {
        self.pass(at);
        let Some(number) = number.filter(|number| self.lines.contains_key(number)) else {
            // The station hung up; what it was not waiting for, it need not hear.
            return;
        };
        let tape = Arc::clone(&self.tape);
        let placed = &tape.entries[at];
        let bytes = match &placed.entry.what {
            What::Device(_) => {
                let Some(bytes) = self.answer(number, at, placed) else { return };
                bytes
            }
            What::Garbage(length) => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX).clamp(1, DEVICE_FRAME_BYTES);
                let mut frame = u32::try_from(length).unwrap_or_default().to_be_bytes().to_vec();
                frame.resize(4 + length, b'~');
                frame
            }
            What::Broken(length) => u32::try_from(*length).unwrap_or(u32::MAX).to_be_bytes().to_vec(),
            What::Ended(end) => return self.end(number, *end),
            _ => return,
        };
        self.said(number, at, bytes);
    }

    fn said(&mut self, number: u32, at: usize, bytes: Vec<u8>) {
        let Some(open) = self.lines.get_mut(&number) else { return };
        open.line.order(Order::Say(bytes));
        open.at = at;
        self.go_on(number);
    }

    fn end(&mut self, number: u32, end: End) {
        let Some(open) = self.lines.remove(&number) else { return };
        match end {
            End::Closed => open.line.order(Order::End),
            End::Cut => open.line.order(Order::Say(vec![0, 0, 1, 0, b'<'])),
            End::Tls => open.line.order(Order::Alert),
            // The line stays silent for as long as the station holds on to it.
            End::Unanswered => _ = self.lines.insert(number, open),
        }
    }

    /// The bytes of an answer; `None` if something else was done.
    fn answer(&mut self, number: u32, at: usize, placed: &Placed) -> Option<Vec<u8>> {
        let mut frame = placed.frame.clone()?;
        // Placeholders that the device has are not given to what the station says.
        self.scrubber.at(0.0).frame(&frame);
        self.parts.key.fill(&mut frame);
        self.set_time(&mut frame);
        self.set_supervisor(&mut frame);
        self.opens(number, &frame);
        let whole = || plist_frame::encode(&Value::Dictionary(frame.clone()));
        match self.mutator.as_mut().and_then(|mutator| mutator.instead(&frame)) {
            None => Some(whole()),
            Some(Instead::Bytes(bytes)) => Some(bytes),
            Some(Instead::Cut(bytes)) => {
                if let Some(open) = self.lines.remove(&number) {
                    open.line.order(Order::Say(bytes));
                }
                None
            }
            Some(Instead::Late(late, bytes)) => {
                if let Some(open) = self.lines.remove(&number) {
                    tokio::spawn(async move {
                        tokio::time::sleep(late).await;
                        open.line.order(Order::Say(bytes));
                    });
                }
                None
            }
            Some(Instead::Silence) => None,
            Some(Instead::Slip(away)) => {
                self.detach();
                self.back = Some(Instant::now() + away);
                None
            }
        }
        .inspect(|_| tracing::trace!(at, "a recorded answer"))
    }

    fn set_time(&self, frame: &mut Dictionary) {
        let is_asked = frame.text("Key") == Some(DEVICE_TIME);
        let slot = match frame.get_mut("Value") {
            Some(Value::Dictionary(values)) => values.get_mut(DEVICE_TIME),
            value if is_asked => value,
            _ => None,
        };
        let now = self.parts.clock.now();
        match slot {
            Some(Value::Real(ahead)) => *ahead += now.as_duration().as_secs_f64(),
            Some(Value::Integer(ahead)) => {
                *ahead = ahead.as_signed().unwrap_or_default().saturating_add(now.as_second()).into();
            }
            _ => {}
        }
    }

    /// A station that escalated was among the device's supervisors (4.6): now this one is.
    fn set_supervisor(&self, frame: &mut Dictionary) {
        let Some(certificate) =
            self.parts.supervisor.as_ref().filter(|_| self.tape.asked("Escalate").is_some())
        else {
            return;
        };
        let configuration = frame.get_mut("CloudConfiguration").and_then(Value::as_dictionary_mut);
        let listed = configuration.and_then(|c| c.get_mut("SupervisorHostCertificates"));
        if let Some(first) = listed.and_then(Value::as_array_mut).and_then(|listed| listed.first_mut()) {
            *first = Value::Data(certificate.clone());
        }
    }

    /// The port that an answer to StartService names leads to that service.
    fn opens(&mut self, number: u32, answer: &Dictionary) {
        let asked = self.lines.get(&number).and_then(|open| self.tape.entries[open.at].frame.as_ref());
        let service = asked.and_then(|asked| asked.text("Service"));
        let port = answer.uint("Port").and_then(|port| u16::try_from(port).ok());
        if let (Some(service), Some(port)) = (service, port) {
            self.ports.insert(port, service.to_owned());
        }
    }

    fn attach(&mut self) {
        if self.present.is_some() {
            return;
        }
        self.attachments += 1;
        let attachment = Attachment {
            id: MuxId(self.attachments),
            udid: self.tape.udid.clone(),
            location: None,
            port: None,
            speed: None,
            product_id: None,
            simulated: true,
        };
        self.present = Some(attachment.clone());
        self.tell(&BackendEvent::Attached(attachment));
    }

    fn detach(&mut self) {
        self.lines.clear();
        self.answers.clear();
        if let Some(gone) = self.present.take() {
            self.tell(&BackendEvent::Detached(gone.id));
        }
    }

    /// Tells all watchers; one that went away or sleeps is told no more.
    fn tell(&mut self, event: &BackendEvent) {
        self.watchers.retain(|watcher| watcher.try_send(event.clone()).is_ok());
    }
}
