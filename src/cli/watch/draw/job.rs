//! One job: its verdict, what the device said, what happened when, and facts.

use super::super::app::App;
use super::super::places::words;
use super::history::tone;
use super::text::{span, wrapped};
use super::{Look, rule, shape};
use crate::api::StepResult;
use crate::api::view::job::{HookView, JobDetail, MomentView, RawLinkView};
use crate::cli::output::Tone;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App, look: &Look) {
    let wide = usize::from(area.width);
    let lines = match (app.detail.rows.first(), &app.detail.said) {
        (Some(detail), _) => text(detail, look, wide),
        (None, Some(said)) => vec![Line::from(format!("  {said}"))],
        (None, None) => vec![Line::from("  Asking the station.")],
    };
    let high = usize::from(area.height);
    app.detail.top = app.detail.top.min(lines.len().saturating_sub(high));
    let shown: Vec<_> = lines.into_iter().skip(app.detail.top).take(high).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

fn text(detail: &JobDetail, look: &Look, wide: usize) -> Vec<Line<'static>> {
    let (job, device) = (&detail.job, &detail.job.device);
    let own = device.name.clone().unwrap_or_else(|| device.known_as());
    let simulated = if device.simulated { " · SIMULATED" } else { "" };
    let title = format!("Job {} · {own} · {}{simulated}", device.job.unwrap_or_default(), device.bay);
    let mut lines = vec![rule(&title, wide, look)];
    let tone = tone(job);
    let verdict = format!("{} {}: {}", shape(tone), words(device.outcome), device.sentence);
    lines.extend(styled(&verdict, 0, wide, tone, look));
    if let Some(next) = &device.next {
        lines.extend(styled(next, 2, wide, Tone::Strong, look));
    }
    if !detail.raw_chain.is_empty() {
        lines.push(rule("What the device said, outermost first", wide, look));
        for (n, link) in detail.raw_chain.iter().enumerate() {
            lines.extend(said(n + 1, link, wide));
        }
    }
    lines.push(rule("What happened", wide, look));
    for moment in &detail.timeline {
        lines.extend(happened(moment, look, wide));
    }
    if !detail.hooks.is_empty() {
        lines.push(rule("Hooks", wide, look));
    }
    for HookView { command, result, output } in &detail.hooks {
        lines.extend(styled(&format!("{result}: {command}"), 2, wide, Tone::Quiet, look));
        lines.extend(output.lines().flat_map(|line| styled(line, 4, wide, Tone::Quiet, look)));
    }
    lines.push(rule("Facts", wide, look));
    lines.extend(facts(detail, look));
    lines
}

/// Wrapped lines, the later ones indented.
fn styled(text: &str, indent: usize, wide: usize, tone: Tone, look: &Look) -> Vec<Line<'static>> {
    let lines = wrapped(text, wide.saturating_sub(indent)).into_iter();
    lines.map(|line| Line::styled(format!("{}{line}", " ".repeat(indent)), look.style(tone))).collect()
}

fn said(n: usize, link: &RawLinkView, wide: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(format!("  {n}. {} {}", link.domain, link.code))];
    let meaning = link.meaning.as_deref();
    let localized = link.localized.as_deref().filter(|text| Some(*text) != link.english.as_deref());
    for text in [meaning, link.english.as_deref(), localized].into_iter().flatten() {
        let wrapped = wrapped(text, wide.saturating_sub(5)).into_iter();
        lines.extend(wrapped.map(|line| Line::from(format!("     {line}"))));
    }
    lines
}

fn happened(moment: &MomentView, look: &Look, wide: usize) -> Vec<Line<'static>> {
    let tone = match (moment.result, moment.outcome) {
        (Some(StepResult::Done), _) => Tone::Good,
        (Some(StepResult::Warning), _) => Tone::Person,
        (Some(StepResult::Failed), _) => Tone::Bad,
        (None, Some(outcome)) if outcome.is_success() => Tone::Good,
        (None, Some(crate::api::Outcome::Failed)) => Tone::Bad,
        _ => Tone::Quiet,
    };
    let errors: Vec<_> = moment.chain.iter().map(|link| format!("{} {}", link.domain, link.code)).collect();
    let errors = if errors.is_empty() { String::new() } else { format!(" ({})", errors.join(" → ")) };
    let mut parts = wrapped(&format!("{}{errors}", moment.sentence), wide.saturating_sub(13)).into_iter();
    let first = Line::from(vec![
        look.toned(Tone::Quiet, format!("  {} ", look.clock(moment.at))),
        look.toned(tone, format!("{} ", shape(tone))),
        Span::raw(parts.next().unwrap_or_default()),
    ]);
    let rest = parts.map(|part| Line::from(format!("{}{part}", " ".repeat(13))));
    std::iter::once(first).chain(rest).collect()
}

fn facts(detail: &JobDetail, look: &Look) -> Vec<Line<'static>> {
    let (job, device) = (&detail.job, &detail.job.device);
    let facts = [
        ("Bay", Some(device.bay.0.clone())),
        ("UDID", device.udid.as_ref().map(ToString::to_string)),
        ("Serial", device.serial.clone()),
        ("Model", device.product_type.clone()),
        ("System", device.os_version.clone()),
        ("IMEI", device.imei.clone()),
        ("ECID", device.ecid.clone()),
        ("Began", Some(format!("{} ({})", look.date(job.started), look.clock(job.started)))),
        ("Ended", job.ended.map(|at| format!("{} ({})", look.date(at), look.clock(at)))),
        ("Took", Some(span(device.ms / 1000))),
        ("Attempts", Some(device.attempts.to_string())),
        ("Pushes", Some(device.pushes.to_string())),
        ("Profile", Some(format!("{} ({})", job.profile_name, job.profile_identifier))),
        ("SHA-256", Some(job.profile_sha256.clone())),
        ("Old export allowed", job.stale_allowed.clone()),
    ];
    let known = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known
        .map(|(name, value)| {
            Line::from(vec![look.toned(Tone::Quiet, format!("  {name:<20}")), Span::raw(value)])
        })
        .collect()
}
