//! Where in the recording a thing is that the station did.

use super::{Did, Driver, Mismatch, Open, Wish, handshake};
use crate::transport::recorder::entry::What;
use crate::transport::replay::tape::Placed;
use crate::transport::replay::{Over, rules};
use std::collections::BTreeMap;
use tokio::time::Instant;

impl Driver {
    /// The line of the recording that this is.
    pub(super) fn find(&mut self, did: &Did<'_>) -> Option<usize> {
        self.find_in_order(did).or_else(|| self.find_anywhere(did))
    }

    /// It has no turn.
    pub(super) fn never(&mut self, wish: &Wish) {
        let did = wish.did();
        let reason = match self.expected(&did) {
            Some(_) => "the station does something else than was recorded",
            None => "the station does something more than was recorded",
        };
        self.differ_at_cursor(reason, &did);
    }

    /// Strict order; what changes nothing may be passed, or pass, inside a phase.
    pub(super) fn find_in_order(&self, did: &Did<'_>) -> Option<usize> {
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

    pub(super) fn pass(&mut self, at: usize) {
        self.done[at] = Some(Instant::now());
    }

    pub(super) fn rest(&self) -> Option<Mismatch> {
        let (at, _) = self.ahead().next()?;
        let reason = "the station ended before it did this".to_owned();
        Some(self.mismatch(at, reason, &[]))
    }

    pub(super) fn differ_at_cursor(&mut self, reason: &str, did: &Did<'_>) {
        let at = self.expected(did).unwrap_or(self.tape.entries.len().saturating_sub(1));
        self.differ(at, reason, did);
    }

    pub(super) fn differ(&mut self, at: usize, reason: &str, did: &Did<'_>) {
        if self.mutator.is_none() && !self.is_over() {
            let mismatch = self.mismatch(at, reason.to_owned(), &did.fields());
            self.lines.clear();
            self.answers.clear();
            self.early.clear();
            self.over.send_replace(Some(Over::Differs(mismatch)));
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
            (What::Tls(began), _) => handshake(*began).fields(),
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
}
