//! Plain lines: one for each change that a person would care about.

use super::mac::steps_of;
use super::output::{Output, Tone, chain, who};
use crate::api::advice::{AFTER_ENROLLMENT, CARD, helper_card};
use crate::api::view::{BayView, DeviceView};
use crate::api::{Live, Outcome};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::io;

/// Devices whose last line is remembered; with more, some lines are said twice.
const MOST: usize = 10_000;

/// What the person at a waiting bay must do.
pub(super) fn card_of(device: &DeviceView) -> Vec<String> {
    let card = || helper_card(device.next.as_deref()).unwrap_or(&CARD).iter();
    steps_of(device).unwrap_or_else(|| card().map(|step| (*step).to_owned()).collect())
}

/// Prints changes.
pub(super) struct Lines {
    output: Output,
    last: HashMap<String, (Outcome, bool, String, bool)>,
    cards_shown: HashSet<Vec<String>>,
    after_shown: bool,
    /// Devices done when that was last said.
    said_done: usize,
}

impl Lines {
    pub(super) fn new(output: Output) -> Self {
        Self { output, last: HashMap::new(), cards_shown: HashSet::new(), after_shown: false, said_done: 0 }
    }

    /// Prints a bay's standing if it changed.
    ///
    /// # Errors
    /// The reader went away.
    pub(super) fn bay(&mut self, bay: &BayView, seconds_until: impl Fn(Timestamp) -> u64) -> io::Result<()> {
        let device = &bay.device;
        // A job tells of its device's coming and going itself.
        let gone = !bay.attached && (bay.unserved || device.outcome == Outcome::Quarantined);
        let now = (device.outcome, bay.ended, device.sentence.clone(), gone);
        if self.last.len() > MOST {
            self.last.clear();
        }
        if self.last.insert(bay.key(), now.clone()).as_ref() == Some(&now) {
            return Ok(());
        }
        let tone = Tone::of_bay(bay);
        let left = match bay.until {
            Some(until) if !bay.ended => format!(" ({} s left)", seconds_until(until)),
            _ => String::new(),
        };
        let away = if gone { " (unplugged)" } else { "" };
        self.output.line_if_read(format!(
            "{} {:<10} {}  {}  {}{left}{away}",
            self.output.toned(tone, tone.shape()),
            device.bay.to_string(),
            self.output.toned(tone, format!("{:<21}", device.outcome.name())),
            who(device),
            device.sentence,
        ))?;
        if bay.ended || bay.unserved && !gone {
            if let Some(next) = &device.next {
                self.output.line(format!("             next: {next}"));
            }
            if !device.chain.is_empty() {
                self.output.line(format!("             device said: {}", chain(device)));
            }
        }
        if device.outcome == Outcome::WaitingForPerson && !bay.ended {
            let card = card_of(device);
            if self.cards_shown.insert(card.clone()) {
                for (n, step) in card.iter().enumerate() {
                    self.output.line(format!("             {}. {step}", n + 1));
                }
            }
        }
        if device.outcome == Outcome::Enrolled && bay.ended && !self.after_shown {
            self.after_shown = true;
            self.output.line("             What comes next:");
            for (rule, words) in AFTER_ENROLLMENT {
                self.output.line(format!("             - {words} ({rule})"));
            }
        }
        Ok(())
    }

    /// Says so when all jobs are over, for a station that goes on watching.
    pub(super) fn rest(&mut self, live: &Live) {
        let mut bays = live.bays();
        bays.retain(|b| !b.unserved);
        if bays.is_empty() || bays.len() == self.said_done || bays.iter().any(BayView::is_open) {
            return;
        }
        self.said_done = bays.len();
        let good = bays.iter().filter(|b| b.device.outcome.is_success()).count();
        let words = format!("{good} done, {} not; watching for more, Ctrl-C ends", bays.len() - good);
        self.output.line(self.output.toned(Tone::Strong, words));
    }

    /// Prints what became of the mux.
    pub(super) fn mux(&self, trouble: Option<&String>) {
        match trouble {
            Some(reason) => self.output.line(format!("▲ mux lost: {reason}; trying again")),
            None => self.output.line("● mux ready"),
        }
    }
}
