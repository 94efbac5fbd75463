//! The board, drawn: the frame around every view.

mod batch;
mod bays;
mod history;
mod job;
mod text;

use super::app::{App, Link, View};
use crate::cli::output::Tone;
pub(super) use batch::ENTRIES;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Clear, Paragraph};
use text::{fit, padded, wrapped};

/// The smallest board: the terminals of old, and what ssh gives.
const SMALLEST: (u16, u16) = (80, 24);

/// How things look, and when it is.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// Colours; else bold, dim and reversed only.
    pub(super) colour: bool,
    /// Wall time here.
    pub(super) now: Timestamp,
    /// Where that is.
    pub(super) zone: TimeZone,
}

impl Look {
    /// A tone: a colour that means something. Each has a word and a shape beside it.
    fn style(&self, tone: Tone) -> Style {
        let style = Style::new();
        let coloured = |colour| if self.colour { style.fg(colour) } else { style };
        match tone {
            Tone::Good => coloured(Color::Green),
            Tone::Person => coloured(Color::Yellow).add_modifier(Modifier::BOLD),
            Tone::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Busy => coloured(Color::Cyan),
            Tone::Quiet => style.add_modifier(Modifier::DIM),
            Tone::Strong => style.add_modifier(Modifier::BOLD),
        }
    }

    fn toned<'a>(&self, tone: Tone, text: impl Into<std::borrow::Cow<'a, str>>) -> Span<'a> {
        Span::styled(text, self.style(tone))
    }

    /// `09:30:07`, here.
    fn clock(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    /// `22 Nov 09:30`, here.
    fn date(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%d %b %H:%M").to_string()
    }
}

/// The shape of a tone; an empty bay has one here too.
fn shape(tone: Tone) -> &'static str {
    match tone {
        Tone::Quiet => "·",
        tone => tone.shape(),
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: &Look) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(frame, area);
    }
    let banners = banners(app, look, area.width.into());
    let heights = [
        Constraint::Length(1),
        Constraint::Length(rows(&banners)),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [head, above, body, keys] = Layout::vertical(heights).areas(area);
    draw_head(frame, head, app, look);
    frame.render_widget(Paragraph::new(banners), above);
    match app.view {
        View::Bays => bays::draw(frame, body, app, look),
        View::Batch => batch::draw(frame, body, app, look),
        View::History => history::draw(frame, body, app, look),
        View::Job => job::draw(frame, body, app, look),
    }
    frame.render_widget(Line::styled(fit(keys_of(app), area.width.into()), look.style(Tone::Quiet)), keys);
    if app.help {
        help(frame, area, look);
    }
}

/// Rows of a text, as a height.
fn rows(lines: &[Line<'_>]) -> u16 {
    u16::try_from(lines.len()).unwrap_or(u16::MAX)
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let (columns, rows) = SMALLEST;
    let said = format!(
        "The terminal has {} x {} characters; the board needs {columns} x {rows}. Make it larger; q ends.",
        area.width, area.height
    );
    let lines: Vec<Line<'_>> = wrapped(&said, area.width.into()).into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, app: &App, look: &Look) {
    let mut tabs: Vec<Span<'_>> = Vec::new();
    for (name, view) in [("1 Bays", View::Bays), ("2 Batch", View::Batch), ("3 History", View::History)] {
        let chosen = app.view == view || view == View::History && app.view == View::Job;
        let style = if chosen { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        tabs.push(Span::styled(format!(" {name} "), style));
    }
    let tabs = Line::from(tabs);
    let wide = u16::try_from(tabs.width()).unwrap_or(0);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(wide)]).areas(area);
    let (tone, word) = match &app.link {
        Link::Live => (Tone::Good, "Live"),
        Link::Lost(_) => (Tone::Bad, "Connection lost"),
        Link::Stopped => (Tone::Bad, "Stopped"),
    };
    let mark = if app.is_simulated() { "SIMULATED" } else { "" };
    let link = format!("{} {word}", shape(tone));
    let fixed = 8 + 2 + link.chars().count() + 2 + mark.len() + 1;
    let station = fit(&app.station, usize::from(left.width).saturating_sub(fixed));
    let line = Line::from(vec![
        look.toned(Tone::Strong, "Enlist  "),
        Span::raw(station),
        Span::raw("  "),
        look.toned(tone, link),
        Span::raw("  "),
        Span::styled(mark, look.style(Tone::Person).add_modifier(Modifier::REVERSED)),
    ]);
    frame.render_widget(line, left);
    frame.render_widget(tabs, right);
}

/// What everybody must know, at most two lines each.
fn banners(app: &App, look: &Look, width: usize) -> Vec<Line<'static>> {
    let mut said = Vec::new();
    match &app.link {
        Link::Live => {}
        Link::Lost(why) => said.push(format!("What is shown may be old. Trying again by itself. {why}")),
        Link::Stopped => {
            said.push(
                "The station was stopped. Start it again with enlist serve; open jobs go on.".to_owned(),
            );
        }
    }
    if let Some(station) = app.mirror.station() {
        if let Some(trouble) = &station.mux_trouble {
            said.push(format!("No way to the devices: {}.", trouble.trim_end_matches('.')));
        }
        if let Some(trouble) = &station.journal_trouble {
            let trouble = trouble.trim_end_matches('.');
            said.push(format!("The journal cannot be written, so nothing new is begun: {trouble}."));
        }
    }
    if app.mirror.is_left_out() {
        said.push("The station shows more bays than a board has room for; some are left out.".to_owned());
    }
    let style = look.style(Tone::Bad).add_modifier(Modifier::REVERSED);
    let lines = said.iter().flat_map(|said| {
        let mut lines = wrapped(&format!("✖ {said}"), width);
        lines.truncate(2);
        lines
    });
    lines.map(|line| Line::styled(padded(&line, width), style)).collect()
}

fn keys_of(app: &App) -> &'static str {
    match app.view {
        _ if app.typing => "Type to search: serial, UDID, name, IMEI, bay   Enter done   Esc all jobs",
        View::Bays => "↑↓ choose  Enter job  n next that needs a hand  f filter  ? help  q quit",
        View::Batch => "↑↓ choose  Enter job  f filter  Esc bays  ? help  q quit",
        View::History => "↑↓ choose  Enter job  / search  r again  Esc bays  ? help  q quit",
        View::Job => "↑↓ scroll  Esc back  ? help  q quit",
    }
}

const HELP: [(&str, &str); 13] = [
    ("1  2  3  Tab", "bays, batch, history"),
    ("↑ ↓  k j", "choose, or scroll"),
    ("PgUp PgDn", "ten at once; Home and End: first and last"),
    ("Enter →", "the job: timeline, errors, facts"),
    ("Esc ←", "back"),
    ("n", "next bay that needs a hand"),
    ("f", "show only those that need a hand, work, are done ...; a: all"),
    ("/", "search the history"),
    ("q  Ctrl-C", "end the board; the station goes on"),
    ("▲", "needs a hand: do what the sentence says"),
    ("●", "working: nothing to do"),
    ("✔", "done: read back from the device"),
    ("✖", "failed: the job says why    · empty"),
];

fn help(frame: &mut Frame<'_>, area: Rect, look: &Look) {
    let mut lines =
        vec![Line::from(look.toned(Tone::Strong, " Keys and signs; any key closes this")), Line::from("")];
    for (keys, meaning) in HELP {
        let keys = look.toned(Tone::Strong, format!(" {} ", padded(keys, 13)));
        lines.push(Line::from(vec![keys, Span::raw(meaning)]));
    }
    let (width, height) = (area.width.min(78), rows(&lines) + 2);
    let middle = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + area.height.saturating_sub(height) / 2,
        width,
        height: height.min(area.height),
    };
    frame.render_widget(Clear, middle);
    let block = ratatui::widgets::Block::bordered().title(" Help ");
    frame.render_widget(Paragraph::new(Text::from(lines)).block(block), middle);
}

/// First row that is shown, so that the cursor is.
fn scrolled(top: usize, cursor: usize, rows: usize, room: usize) -> usize {
    let top = top.min(rows.saturating_sub(room));
    top.clamp(cursor.saturating_sub(room.saturating_sub(1)), cursor)
}

/// A rule across with a title in it.
fn rule(title: &str, width: usize, look: &Look) -> Line<'static> {
    let title = fit(title, width.saturating_sub(6));
    let rest = "─".repeat(width.saturating_sub(4 + text::width(&title)));
    Line::from(vec![
        look.toned(Tone::Quiet, "── "),
        look.toned(Tone::Strong, title),
        look.toned(Tone::Quiet, format!(" {rest}")),
    ])
}

/// The cursor's mark, and the looks of its row.
fn marked(chosen: bool) -> (&'static str, Style) {
    match chosen {
        true => ("▸ ", Style::new().add_modifier(Modifier::REVERSED)),
        false => ("  ", Style::new()),
    }
}
