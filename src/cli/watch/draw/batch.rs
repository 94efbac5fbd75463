//! The batch: how far it is, above the bays; and its devices.

use super::super::app::App;
use super::text::{fit, padded, span, wrapped};
use super::{Look, marked, rows, rule, scrolled, shape};
use crate::api::view::{BatchEntryView, BatchProgress, BatchState, BatchView, EntryState};
use crate::cli::output::Tone;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Entries that are asked for: a screen of those that matter, and some to scroll.
pub(in crate::cli::watch) const ENTRIES: u32 = 500;

/// From this width on the strip has all figures.
const WIDE: usize = 100;

/// The open batch, above the bays.
pub(super) fn strip(app: &App, look: &Look, wide: usize) -> Vec<Line<'static>> {
    let Some(batch) = app.batch.as_ref().filter(|batch| batch.state != BatchState::Closed) else {
        return Vec::new();
    };
    let now = &batch.progress;
    let bar = bar(now, if wide >= WIDE { 24 } else { 10 }, look);
    let mut spans = vec![look.toned(Tone::Strong, format!(" {}  ", fit(&batch.name, wide / 5)))];
    spans.extend(bar);
    let figures = match wide >= WIDE {
        true => listed(now),
        false => format!("{} of {} done, {} failed", now.done, now.expected, now.failed),
    };
    spans.push(Span::raw(format!(" {:>3} %  {figures}", now.percent)));
    spans.push(Span::raw(rest(now).map(|rest| format!("  {rest}")).unwrap_or_default()));
    let mut lines = vec![Line::from(spans)];
    if batch.state == BatchState::Stopped {
        let said = [Some(batch.sentence.as_str()), batch.next.as_deref()];
        let said =
            format!(" {} {}", shape(Tone::Bad), said.into_iter().flatten().collect::<Vec<_>>().join(" "));
        lines.extend(
            wrapped(&said, wide).into_iter().take(2).map(|part| Line::styled(part, look.style(Tone::Bad))),
        );
    }
    lines
}

/// What became of the devices of the list.
fn listed(now: &BatchProgress) -> String {
    format!(
        "{} of {} done, {} failed, {} in work, {} missing",
        now.done, now.expected, now.failed, now.running, now.missing
    )
}

fn figures(now: &BatchProgress) -> String {
    let mut said = listed(now);
    for (many, what) in [(now.unexpected, "not on the list"), (now.unidentified, "did not tell who they are")]
    {
        if many > 0 {
            said.push_str(&format!(", {many} {what}"));
        }
    }
    said
}

fn rest(now: &BatchProgress) -> Option<String> {
    let open = now.done.saturating_add(now.failed) < now.expected;
    let known = match (now.eta_s, now.per_hour) {
        (Some(seconds), _) => Some(format!("about {} left", span(seconds))),
        (None, None) => Some("no rate yet".to_owned()),
        // Overdue, or stopped.
        (None, Some(_)) => None,
    };
    known.filter(|_| open)
}

/// Done, failed, in work and missing, each in a shape of its own.
fn bar(now: &BatchProgress, cells: usize, look: &Look) -> Vec<Span<'static>> {
    let cells_u64 = u64::try_from(cells).unwrap_or(0);
    let share = |part: u64| {
        let share = part.saturating_mul(cells_u64).checked_div(now.expected.into()).unwrap_or(0);
        usize::try_from(share.min(cells_u64)).unwrap_or(0)
    };
    let (mut spans, mut begin, mut sum) = (Vec::new(), 0, 0);
    let parts = [(now.done, "█", Tone::Good), (now.failed, "▓", Tone::Bad), (now.running, "▒", Tone::Busy)];
    for (part, sign, tone) in parts {
        sum += u64::from(part);
        // One of three hundred is seen too.
        let least = begin + usize::from(part > 0);
        let end = share(sum).max(least).min(cells);
        spans.push(look.toned(tone, sign.repeat(end.saturating_sub(begin))));
        begin = end;
    }
    spans.push(look.toned(Tone::Quiet, "░".repeat(cells.saturating_sub(begin))));
    spans
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App, look: &Look) {
    let wide = usize::from(area.width);
    let Some(batch) = &app.batch else {
        let said = "  No batch yet. Open one on the page, or with enlist batch open MANIFEST.";
        return frame.render_widget(Line::from(said), area);
    };
    let head = head(batch, app.entry_state, look, wide);
    let heights = [Constraint::Length(rows(&head)), Constraint::Fill(1)];
    let [above, list] = Layout::vertical(heights).areas(area);
    frame.render_widget(Paragraph::new(head), above);
    let pane = &mut app.entries;
    if let Some(said) = pane.said.clone().or_else(|| nobody(pane.known, pane.rows.len())) {
        return frame.render_widget(Line::from(format!("  {said}")), list);
    }
    let high = usize::from(list.height);
    pane.top = scrolled(pane.top, pane.cursor, pane.rows.len(), high);
    let lines = pane.rows.iter().enumerate().skip(pane.top).take(high);
    let lines: Vec<_> = lines.map(|(n, entry)| row(entry, n == pane.cursor, look, wide)).collect();
    frame.render_widget(Paragraph::new(lines), list);
}

fn nobody(known: bool, entries: usize) -> Option<String> {
    match (known, entries) {
        (false, _) => Some("Asking the station.".to_owned()),
        (true, 0) => Some("No device of the batch is like that.".to_owned()),
        _ => None,
    }
}

fn head(batch: &BatchView, state: Option<EntryState>, look: &Look, wide: usize) -> Vec<Line<'static>> {
    let now = &batch.progress;
    let title = format!("Batch {}: {} ({})", batch.id, batch.name, batch.state.name());
    let mut lines = vec![rule(&title, wide, look)];
    let said = format!("{} {}", batch.sentence, batch.next.as_deref().unwrap_or_default());
    let tone = if batch.state == BatchState::Stopped { Tone::Bad } else { Tone::Strong };
    lines.extend(
        wrapped(said.trim(), wide).into_iter().take(3).map(|part| Line::styled(part, look.style(tone))),
    );
    let mut spans = bar(now, wide.saturating_sub(8), look);
    spans.push(Span::raw(format!(" {:>3} %", now.percent)));
    lines.push(Line::from(spans));
    let rate = now.per_hour.map(|rate| format!("{rate:.0} an hour"));
    let said = [Some(figures(now)), rate, rest(now)].into_iter().flatten().collect::<Vec<_>>().join(", ");
    lines.extend(wrapped(&said, wide).into_iter().map(Line::from));
    let shown = match state {
        None => "all devices".to_owned(),
        Some(state) => format!("devices that are {}", word(state)),
    };
    lines.push(rule(&format!("{shown}; f shows others"), wide, look));
    lines
}

fn word(state: EntryState) -> &'static str {
    match state {
        EntryState::Running => "in work",
        state => state.name(),
    }
}

fn row(entry: &BatchEntryView, chosen: bool, look: &Look, wide: usize) -> Line<'static> {
    let tone = match entry.state {
        _ if entry.waiting => Tone::Person,
        EntryState::Missing => Tone::Quiet,
        EntryState::Running => Tone::Busy,
        EntryState::Done => Tone::Good,
        EntryState::Failed => Tone::Bad,
    };
    let device = entry.device.as_ref();
    let (mark, style) = marked(chosen);
    let known = entry.serial.as_deref().or(entry.imei.as_deref()).unwrap_or("?");
    let name = entry.name.clone().or_else(|| device?.name.clone()).unwrap_or_default();
    let unlisted = match entry.line {
        None if entry.unidentified => "not known which line: ",
        None => "not on the list: ",
        Some(_) => "",
    };
    let state = if entry.waiting { "waits" } else { word(entry.state) };
    let said = device.map(|device| device.sentence.as_str()).unwrap_or_default();
    let bay = device.map(|device| device.bay.0.as_str()).unwrap_or_default();
    let fixed = 2 + 17 + 20 + 10 + 12;
    Line::from(vec![
        Span::raw(mark),
        Span::raw(padded(known, 16)),
        Span::raw(" "),
        Span::raw(padded(&name, 19)),
        Span::raw(" "),
        look.toned(tone, format!("{} {}", shape(tone), padded(state, 8))),
        Span::raw(format!("{} ", padded(bay, 11))),
        Span::raw(padded(&format!("{unlisted}{said}"), wide.saturating_sub(fixed))),
    ])
    .style(style)
}
