//! The live table: every bay on one line, redrawn in place.

use super::lines::card_of;
use super::output::{Output, Tone, chain};
use crate::api::advice::AFTER_ENROLLMENT;
use crate::api::view::BayView;
use crate::api::{Live, Outcome};
use terminal_size::{Height, Width, terminal_size};

/// Draws the table over its last drawing.
pub(super) struct Table {
    output: Output,
    once: bool,
    drawn: usize,
}

impl Table {
    pub(super) fn new(output: Output, once: bool) -> Self {
        Self { output, once, drawn: 0 }
    }

    /// Draws what fits: bays that need a hand first if not all fit.
    pub(super) fn draw(&mut self, live: &Live) {
        let (width, height) = size();
        let mut bays = live.bays();
        let mut text = vec![self.head(&bays, live)];
        let cards = self.cards(&bays);
        // What comes after matters less than a waiting device, and less than seeing all bays.
        let after = (cards.is_empty() && any_enrolled(&bays)).then(after_enrollment).unwrap_or_default();
        let after = if bays.len() + after.len() + 4 > height { Vec::new() } else { after };
        let room = height.saturating_sub(4 + cards.len() + after.len()).max(1);
        let hidden = bays.len().saturating_sub(room);
        if hidden > 0 {
            bays.sort_by_key(urgency);
            bays.truncate(room);
        }
        text.extend(bays.iter().map(|bay| self.row(bay, live, width)));
        if hidden > 0 {
            text.push(self.output.toned(Tone::Quiet, format!("  and {hidden} more")));
        }
        text.extend(cards);
        text.extend(after);
        if !self.once && bays.iter().any(|b| b.ended) && !bays.iter().any(BayView::is_open) {
            let rest = "All done. Plug in more devices, or end with Ctrl-C.";
            text.push(self.output.toned(Tone::Quiet, rest));
        }
        self.print(&text);
    }

    /// What people must do now, each card once: Macs differ by their system.
    fn cards(&self, bays: &[BayView]) -> Vec<String> {
        let waiting = bays.iter().filter(|b| b.device.outcome == Outcome::WaitingForPerson && !b.ended);
        let mut cards: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
        for bay in waiting {
            let card = card_of(&bay.device);
            let udid = bay.device.udid.as_ref().map(crate::ids::Udid::as_str);
            let name = bay.device.name.as_deref().or(udid).unwrap_or(&bay.device.bay.0);
            match cards.iter_mut().find(|(other, _)| *other == card) {
                Some((_, names)) => names.push(name),
                None => cards.push((card, vec![name])),
            }
        }
        let alone = cards.len() == 1;
        let lines = cards.into_iter().flat_map(|(card, names)| {
            let head = match alone {
                true => "On each device that waits for a person:".to_owned(),
                false => fit(&format!("On {}:", names.join(", ")), size().0),
            };
            let steps = card.into_iter().enumerate().map(|(n, step)| format!("  {}. {step}", n + 1));
            std::iter::once(self.output.toned(Tone::Strong, head)).chain(steps)
        });
        lines.collect()
    }

    /// The last drawing stays; every bay is in it.
    pub(super) fn finish(&mut self, live: &Live) {
        let (width, _) = size();
        let bays = live.bays();
        let mut text = vec![self.head(&bays, live)];
        for bay in &bays {
            text.push(self.row(bay, live, width));
            if let Some(next) = &bay.device.next {
                text.push(format!("     next: {next}"));
            }
            if !bay.device.chain.is_empty() && !bay.device.outcome.is_success() {
                text.push(format!("     device said: {}", chain(&bay.device)));
            }
        }
        if any_enrolled(&bays) {
            text.extend(after_enrollment());
        }
        self.print(&text);
    }

    fn print(&mut self, lines: &[String]) {
        let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        let mut text = format!("{up}\x1b[J");
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.len();
        self.output.raw(&text);
    }

    fn head(&self, bays: &[BayView], live: &Live) -> String {
        if let Some(trouble) = live.mux_trouble() {
            return self.output.toned(Tone::Bad, format!("✖ no way to the devices: {trouble}; trying again"));
        }
        if let Some(trouble) = live.journal_trouble() {
            return self.output.toned(Tone::Bad, format!("✖ {trouble}"));
        }
        let good = bays.iter().filter(|b| b.ended && b.device.outcome.is_success()).count();
        let hand = bays.iter().filter(|b| Tone::of_bay(b) == Tone::Person).count();
        let simulated = if bays.iter().any(|b| b.device.simulated) { "  SIMULATED DEVICES" } else { "" };
        let export = live.export_countdown().map(|words| format!("  {words}")).unwrap_or_default();
        let text = format!("{} devices, {good} done, {hand} need a hand{simulated}{export}", bays.len());
        self.output.toned(Tone::Strong, text)
    }

    fn row(&self, bay: &BayView, live: &Live, width: usize) -> String {
        let device = &bay.device;
        let tone = Tone::of_bay(bay);
        let name = device.name.clone().unwrap_or_else(|| device.known_as());
        let left = match bay.until {
            Some(until) if !bay.ended => {
                let seconds = live.seconds_until(until);
                format!("{}:{:02} left  ", seconds / 60, seconds % 60)
            }
            _ => String::new(),
        };
        let away = if bay.attached { "" } else { "unplugged  " };
        let fixed =
            format!("{:<9} {:<22} {:<21}", fit(&device.bay.0, 9), fit(&name, 22), device.outcome.name());
        let rest = format!("{away}{left}{}", device.sentence);
        let room = width.saturating_sub(fixed.chars().count() + 4);
        let state = self.output.toned(tone, format!("{} {fixed}", tone.shape()));
        format!("{state} {}", fit(&rest, room))
    }
}

fn any_enrolled(bays: &[BayView]) -> bool {
    bays.iter().any(|b| b.ended && b.device.outcome == Outcome::Enrolled)
}

/// What comes next for devices that are enrolled.
fn after_enrollment() -> Vec<String> {
    let lines = AFTER_ENROLLMENT.iter().map(|(rule, words)| format!("  - {words} ({rule})"));
    std::iter::once("What comes next for enrolled devices:".to_owned()).chain(lines).collect()
}

/// Lower is more urgent.
fn urgency(bay: &BayView) -> u8 {
    match Tone::of_bay(bay) {
        Tone::Bad => 0,
        Tone::Person => 1,
        Tone::Good => 3,
        _ => 2,
    }
}

fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Columns and rows; those of the oldest terminals if nothing is known.
fn size() -> (usize, usize) {
    match terminal_size() {
        Some((Width(width), Height(height))) => (width.into(), height.into()),
        None => (80, 24),
    }
}
