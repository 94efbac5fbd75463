//! The history: jobs, newest first.

use super::super::app::App;
use super::super::places::words;
use super::text::padded;
use super::{Look, marked, rule, scrolled, shape};
use crate::api::view::JobView;
use crate::cli::output::Tone;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App, look: &Look) {
    let wide = usize::from(area.width);
    let [above, list] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let all_simulated = app.is_simulated();
    let pane = &mut app.history;
    let title = match (app.typing, app.search.is_empty()) {
        (true, _) => format!("Search: {}▏", app.search),
        (false, true) => "Jobs, newest first".to_owned(),
        (false, false) => format!("Jobs with {}", app.search),
    };
    frame.render_widget(rule(&title, wide, look), above);
    let said = match (&pane.said, pane.known, pane.rows.len()) {
        (Some(said), _, _) => said,
        (None, false, _) => "Asking the station.",
        (None, true, 0) => "No job fits.",
        _ => "",
    };
    if !said.is_empty() {
        return frame.render_widget(Line::from(format!("  {said}")), list);
    }
    let high = usize::from(list.height);
    pane.top = scrolled(pane.top, pane.cursor, pane.rows.len(), high);
    let lines = pane.rows.iter().enumerate().skip(pane.top).take(high);
    let lines: Vec<_> =
        lines.map(|(n, job)| row(job, n == pane.cursor, !all_simulated, look, wide)).collect();
    frame.render_widget(Paragraph::new(lines), list);
}

/// What a job's standing means.
pub(super) fn tone(job: &JobView) -> Tone {
    Tone::of(&job.device, !job.open)
}

fn row(job: &JobView, chosen: bool, marks: bool, look: &Look, wide: usize) -> Line<'static> {
    let device = &job.device;
    let tone = tone(job);
    let (mark, style) = marked(chosen);
    let name = device.name.clone().or_else(|| device.serial.clone()).unwrap_or_else(|| device.known_as());
    let simulated = if device.simulated && marks { "[SIMULATED] " } else { "" };
    let fixed = 2 + 13 + 6 + 25 + 21;
    Line::from(vec![
        Span::raw(mark),
        Span::raw(format!("{} ", padded(&look.date(job.started), 12))),
        Span::raw(format!("{:>5} ", device.job.unwrap_or_default())),
        look.toned(tone, format!("{} {} ", shape(tone), padded(&words(device.outcome), 22))),
        Span::raw(format!("{} ", padded(&name, 20))),
        Span::raw(padded(&format!("{simulated}{}", device.sentence), wide.saturating_sub(fixed))),
    ])
    .style(style)
}
