//! The bench: a row a bay, hub by hub; below it the bay with the cursor, in full.

use super::super::app::{App, TONES};
use super::super::places::{Place, words};
use super::text::{countdown, fit, padded, width, wrapped};
use super::{Look, batch, marked, rows, rule, scrolled, shape};
use crate::api::Outcome;
use crate::api::view::BayView;
use crate::cli::lines::card_of;
use crate::cli::output::{Tone, chain};
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// From this width on a row has the device's name.
const WIDE: usize = 110;

/// From this height on the chosen bay has room for its six steps.
const HIGH: u16 = 34;

/// Rows of the chosen bay: with its six steps, and where the list needs the room.
const PANE: u16 = 11;
const LEAST_PANE: u16 = 4;

/// Rows for the names of a few hubs.
const HUBS: u16 = 3;

/// Cells of a state's word: the longest of those that last.
const WORD: usize = 22;

/// Cells of a countdown.
const CLOCK: usize = 6;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App, look: &Look) {
    let wide = usize::from(area.width);
    let strip = batch::strip(app, look, wide);
    // The list has its rows first; what it leaves is for the bay with the cursor.
    let listed = app.shown().len().try_into().unwrap_or(u16::MAX).saturating_add(HUBS);
    let left = area.height.saturating_sub(rows(&strip) + 1).saturating_sub(listed);
    let pane = if frame.area().height >= HIGH { PANE } else { left.clamp(LEAST_PANE, PANE) };
    let heights = [
        Constraint::Length(rows(&strip)),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(pane),
    ];
    let [above, tally, list, below] = Layout::vertical(heights).areas(area);
    frame.render_widget(Paragraph::new(strip), above);
    let all = super::super::places::places(&app.mirror);
    frame.render_widget(tally_of(&all, app, look, wide), tally);
    let shown = app.shown();
    if shown.is_empty() {
        let said = match (app.filter, app.mirror.station()) {
            (_, None) => "Waiting for the station.",
            (Some(_), _) => "No bay is like that now. Esc shows all.",
            (None, _) => "No device yet. Plug one in.",
        };
        frame.render_widget(Line::from(format!("  {said}")), list);
        return;
    }
    let at = app.at(&shown);
    let (lines, top) = list_of(&shown, at, app, look, (wide, list.height.into()));
    frame.render_widget(Paragraph::new(lines), list);
    let lines = pane_of(&shown[at], app, look, (wide, pane.into()));
    frame.render_widget(Paragraph::new(lines), below);
    // A cursor that points to nobody points to the first.
    let id = shown[at].id();
    (app.cursor, app.top) = (Some(id), top);
}

/// How many are in which state.
fn tally_of(all: &[Place<'_>], app: &App, look: &Look, wide: usize) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for (tone, words) in TONES {
        let count = all.iter().filter(|place| place.tone() == tone).count();
        let style = look.style(if count == 0 { Tone::Quiet } else { tone });
        let chosen = app.filter == Some(tone);
        let style = if chosen { style.add_modifier(Modifier::REVERSED) } else { style };
        spans.push(Span::styled(format!("{} {count} {words}", shape(tone)), style));
        spans.push(Span::raw("  "));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let export = app.mirror.station().and_then(|station| station.export.clone()).unwrap_or_default();
    let room = wide.saturating_sub(used + 1);
    if !export.is_empty() && room >= 12 {
        let export = fit(&export, room);
        spans.push(Span::raw(" ".repeat(room - width(&export))));
        spans.push(look.toned(Tone::Quiet, export));
    }
    Line::from(spans)
}

/// A row of the list.
enum Row {
    Hub(String),
    Place(usize),
}

/// What fits of the list, and its first row.
fn list_of(
    shown: &[Place<'_>],
    at: usize,
    app: &App,
    look: &Look,
    (wide, high): (usize, usize),
) -> (Vec<Line<'static>>, usize) {
    let hubs = 1 + shown.windows(2).filter(|two| two[0].hub != two[1].hub).count();
    // All bays at a glance are worth more than their hubs' names.
    let only_without = shown.len() <= high && shown.len() + hubs > high;
    let with_hubs = hubs > 1 && !only_without;
    let mut list = Vec::new();
    let mut hub = None;
    for (n, place) in shown.iter().enumerate() {
        if with_hubs && hub.replace(&place.hub) != Some(&place.hub) {
            list.push(Row::Hub(if place.hub.is_empty() {
                "Other".into()
            } else {
                format!("Hub {}", place.hub)
            }));
        }
        list.push(Row::Place(n));
    }
    let cursor = list.iter().position(|row| matches!(row, Row::Place(n) if *n == at)).unwrap_or(0);
    let is_cut = list.len() > high;
    let room = if is_cut { high.saturating_sub(1) } else { high };
    // The first bay is seen with its hub.
    let top = if cursor <= 1 { 0 } else { scrolled(app.top, cursor, list.len(), room) };
    let bay = shown.iter().map(|place| width(place.bay)).max().unwrap_or(0);
    let columns = Columns::new(wide, bay);
    let visible = list.iter().skip(top).take(room);
    let mut lines: Vec<_> = visible
        .map(|row| match row {
            Row::Hub(name) => Line::from(look.toned(Tone::Quiet, format!(" {name}"))),
            Row::Place(n) => row_of(&shown[*n], *n == at, app, look, &columns),
        })
        .collect();
    if is_cut {
        let hidden = |rows: &[Row]| {
            let places = rows.iter().filter_map(|row| match row {
                Row::Place(n) => Some(&shown[*n]),
                Row::Hub(_) => None,
            });
            let hands = places.clone().filter(|place| place.tone() == Tone::Person).count();
            (places.count(), hands)
        };
        let (above, hands_above) = hidden(&list[..top.min(list.len())]);
        let (below, hands_below) = hidden(&list[(top + room).min(list.len())..]);
        let mut said = format!("   ↑ {above} more  ↓ {below} more");
        let hands = hands_above + hands_below;
        if hands > 0 {
            said.push_str(&format!("  of these {} {hands} need a hand: press n", shape(Tone::Person)));
        }
        lines.push(Line::from(look.toned(if hands > 0 { Tone::Person } else { Tone::Quiet }, said)));
    }
    (lines, top)
}

/// Cells of the parts of a row.
struct Columns {
    bay: usize,
    name: usize,
    sentence: usize,
}

impl Columns {
    fn new(wide: usize, bay: usize) -> Self {
        let bay = bay.clamp(6, if wide >= WIDE { 24 } else { 14 });
        let name = if wide >= WIDE { 24 } else { 0 };
        let fixed = 2 + bay + 2 + 2 + WORD + CLOCK + 1 + if name > 0 { name + 2 } else { 0 };
        Self { bay, name, sentence: wide.saturating_sub(fixed) }
    }
}

fn row_of(place: &Place<'_>, chosen: bool, app: &App, look: &Look, columns: &Columns) -> Line<'static> {
    let tone = place.tone();
    let (mark, row) = marked(chosen);
    let clock = place.line.and_then(|line| left(line, app, look)).unwrap_or_default();
    let mut spans = vec![
        Span::raw(mark),
        look.toned(Tone::Strong, padded(place.bay, columns.bay)),
        Span::raw("  "),
        look.toned(tone, format!("{} {}", shape(tone), padded(&place.word(), WORD))),
        look.toned(tone, format!("{clock:>CLOCK$} ")),
    ];
    if columns.name > 0 {
        spans.push(Span::raw(padded(&place.line.map(name).unwrap_or_default(), columns.name)));
        spans.push(Span::raw("  "));
    }
    let unmarked = place.line.is_some_and(|line| line.device.simulated) && !app.is_simulated();
    let mark = if unmarked { "[SIMULATED] " } else { "" };
    let sentence = match place.line {
        _ if place.gone > 0 => format!("{} more unplugged before done: plug in again", place.gone),
        Some(line) => line.device.sentence.clone(),
        None => "Nothing is plugged in here.".to_owned(),
    };
    spans.push(Span::raw(padded(&format!("{mark}{sentence}"), columns.sentence)));
    Line::from(spans).style(row)
}

/// What is left of the time of what is waited for.
fn left(line: &BayView, app: &App, look: &Look) -> Option<String> {
    let until: Timestamp = line.until.filter(|_| !line.ended)?;
    Some(countdown(app.mirror.seconds_until(until, look.now)))
}

fn name(line: &BayView) -> String {
    let device = &line.device;
    device.name.clone().or_else(|| device.serial.clone()).unwrap_or_else(|| device.known_as())
}

/// The bay with the cursor, in full.
fn pane_of(place: &Place<'_>, app: &App, look: &Look, (wide, high): (usize, usize)) -> Vec<Line<'static>> {
    let Some(line) = place.line else {
        let empty = Line::from(format!("{} Nothing is plugged in here.", shape(Tone::Quiet)));
        return vec![rule(place.bay, wide, look), empty];
    };
    let device = &line.device;
    let job = device.job.map(|job| format!("Job {job}"));
    let simulated = device.simulated.then(|| "SIMULATED".to_owned());
    let own = name(line);
    let serial = device.serial.clone().filter(|serial| *serial != own);
    let about = [Some(place.bay.to_owned()), Some(own), serial, device.product_type.clone()];
    let about = about.into_iter().chain([device.os_version.clone(), simulated, job]).flatten();
    let mut lines = vec![rule(&about.collect::<Vec<_>>().join(" · "), wide, look)];
    let tone = place.tone();
    let clock = left(line, app, look).map(|left| format!(" {left} left.")).unwrap_or_default();
    let mut say = |tone: Tone, said: &str| {
        lines.extend(wrapped(said, wide).into_iter().map(|part| Line::styled(part, look.style(tone))));
    };
    say(tone, &format!("{} {}: {}{clock}", shape(tone), words(device.outcome), device.sentence));
    if place.gone > 0 {
        say(
            Tone::Person,
            "A device was unplugged here before it was done. Plug it in again; its job goes on.",
        );
    }
    if !device.chain.is_empty() {
        say(Tone::Strong, &format!("The device said: {}", chain(device)));
    }
    let waits = device.outcome == Outcome::WaitingForPerson && !line.ended;
    let card = if waits { card_of(device) } else { Vec::new() };
    match &device.next {
        // Too little room for the steps: one sentence has them all.
        Some(next) if card.is_empty() || high < card.len() + 3 => say(Tone::Strong, next),
        _ => {
            for (n, step) in card.iter().enumerate() {
                say(Tone::Strong, &format!("{}. {step}", n + 1));
            }
        }
    }
    let is_cut = lines.len() > high;
    lines.truncate(high);
    if let Some(last) = lines.last_mut().filter(|_| is_cut) {
        *last = Line::styled(fit(&format!("{last} … (Enter)"), wide), last.style);
    }
    lines
}
