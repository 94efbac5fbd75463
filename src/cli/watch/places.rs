//! The bench as it stands on the table: which places there are, by hub and port, and who is in
//! them.

use crate::api::Outcome;
use crate::api::client::Mirror;
use crate::api::view::BayView;
use crate::cli::output::Tone;
use crate::ids::Bay;
use std::collections::BTreeMap;

/// A place of the bench; what is there, or was last.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    /// Its bay.
    pub(super) bay: &'a str,
    /// The hub it hangs on; empty if that is not known.
    pub(super) hub: String,
    /// Who is there.
    pub(super) line: Option<&'a BayView>,
    /// Devices that left this bay before they were done.
    pub(super) gone: usize,
    port: String,
}

impl Place<'_> {
    /// The same place in the next drawing: a bay keeps its cursor when devices change.
    pub(super) fn id(&self) -> String {
        match self.line.filter(|line| line.attached) {
            // Several devices in one bay, as behind a hub that is not known.
            Some(line) => format!("{}|{}", self.bay, line.port.as_deref().unwrap_or_default()),
            None => format!("{}|{}", self.bay, self.port),
        }
    }

    /// What its state means.
    pub(super) fn tone(&self) -> Tone {
        self.line.map_or(Tone::Quiet, tone)
    }

    /// Its state in words.
    pub(super) fn word(&self) -> String {
        match self.line {
            None => "Empty".to_owned(),
            Some(line) if !line.attached && line.ended => {
                format!("Unplugged, {}", words(line.device.outcome).to_lowercase())
            }
            Some(line) => words(line.device.outcome),
        }
    }
}

/// What a line means for whoever looks: as the page has it.
pub(super) fn tone(line: &BayView) -> Tone {
    let away = !line.attached;
    match (line.device.outcome, Tone::of_bay(line)) {
        (_, Tone::Good) if away => Tone::Quiet,
        _ if away && line.is_open() => Tone::Person,
        (Outcome::Quarantined, _) => Tone::Bad,
        (_, tone) => tone,
    }
}

/// `waiting-for-person` in words.
pub(super) fn words(outcome: Outcome) -> String {
    let text = outcome.name().replace('-', " ").replace("mdm", "MDM").replace("dfu", "DFU");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// All places, hub by hub, port by port.
pub(super) fn places(mirror: &Mirror) -> Vec<Place<'_>> {
    let mut bays: BTreeMap<&str, (Option<&str>, Vec<&BayView>)> = BTreeMap::new();
    for port in mirror.ports() {
        let place = bays.entry(&port.bay.0).or_default();
        place.0 = place.0.or(Some(port.path.as_deref().unwrap_or(&port.port)));
    }
    for line in mirror.lines() {
        let place = bays.entry(&line.device.bay.0).or_default();
        place.0 = place.0.or(line.port.as_deref());
        place.1.push(line);
    }
    let mut places: Vec<Place<'_>> =
        bays.into_iter().flat_map(|(bay, (port, lines))| of_bay(bay, port, &lines)).collect();
    places.sort_by_cached_key(|place| {
        (natural(&place.hub), natural(&place.port), natural(place.bay), place.id())
    });
    places
}

fn of_bay<'a>(bay: &'a str, port: Option<&str>, lines: &[&'a BayView]) -> Vec<Place<'a>> {
    let attached: Vec<_> = lines.iter().copied().filter(|line| line.attached).collect();
    let open = lines.iter().copied().filter(|line| !line.attached && line.is_open());
    let gone = open.clone().count();
    let place = |line: Option<&'a BayView>, gone| {
        let port = line.and_then(|line| line.port.as_deref()).or(port).unwrap_or_default();
        Place { bay, hub: hub(port).to_owned(), line, gone, port: port.to_owned() }
    };
    match attached.is_empty() {
        false => attached.into_iter().map(|line| place(Some(line), gone)).collect(),
        true => {
            let shown = open.max_by_key(|line| line.device.job).or(lines.last().copied());
            vec![place(shown, gone.saturating_sub(1))]
        }
    }
}

/// `1-4.2` hangs on hub `1-4`, `0000:00:14.0/4.2` on `0000:00:14.0/4`; a port of the computer
/// itself on its bus.
fn hub(port: &str) -> &str {
    let chain = port.rfind('/').or_else(|| port.find('-')).map_or(0, |at| at + 1);
    match port[chain..].rfind('.') {
        Some(dot) => &port[..chain + dot],
        None => &port[..chain.saturating_sub(1)],
    }
}

/// Port 9 before port 10.
fn natural(text: &str) -> Vec<(u64, String)> {
    Bay(text.to_owned()).sort_key()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, mirror};
    use super::*;

    #[test]
    fn ports_hang_on_hubs() {
        for (port, on) in [
            ("1-4.2", "1-4"),
            ("1-4.2.10", "1-4.2"),
            ("1-4", "1"),
            ("0000:00:14.0/4.2", "0000:00:14.0/4"),
            ("0000:00:14.0/4", "0000:00:14.0"),
            ("", ""),
        ] {
            assert_eq!(hub(port), on, "{port}");
        }
    }

    #[test]
    fn places_stand_as_on_the_bench_and_every_device_has_one() {
        let mut ten = line("Bay 10", "a", Outcome::Pushing);
        ten.port = Some("1-4.10".into());
        let mut nine = line("Bay 9", "b", Outcome::Enrolled);
        nine.port = Some("1-4.9".into());
        let mut slipped = line("Bay 9", "c", Outcome::DetachedMidway);
        (slipped.attached, slipped.port) = (false, Some("1-4.9".into()));
        let mut away = line("Bay 1", "d", Outcome::DetachedMidway);
        (away.attached, away.port) = (false, Some("1-5.1".into()));
        let mirror = mirror(vec![ten, nine, slipped, away], &[("1-4.2", "Bay 2")]);
        let seen: Vec<_> = places(&mirror)
            .iter()
            .map(|p| (p.hub.clone(), p.bay.to_owned(), p.word(), p.tone(), p.gone))
            .collect();
        let is =
            |hub: &str, bay: &str, word: &str, tone, gone| (hub.into(), bay.into(), word.into(), tone, gone);
        assert_eq!(
            seen,
            [
                is("1-4", "Bay 2", "Empty", Tone::Quiet, 0),
                is("1-4", "Bay 9", "Enrolled", Tone::Good, 1),
                is("1-4", "Bay 10", "Pushing", Tone::Busy, 0),
                is("1-5", "Bay 1", "Detached midway", Tone::Person, 0),
            ]
        );
    }

    #[test]
    fn who_left_done_needs_nobody_and_who_left_undone_does() {
        let mut left = line("Bay 1", "a", Outcome::Enrolled);
        left.attached = false;
        assert_eq!(tone(&left), Tone::Quiet);
        left.device.outcome = Outcome::Failed;
        assert_eq!(tone(&left), Tone::Bad);
        assert_eq!(tone(&line("Bay 1", "a", Outcome::Quarantined)), Tone::Bad);
        assert_eq!(tone(&line("Bay 1", "a", Outcome::WaitingForPerson)), Tone::Person);
        assert_eq!(words(Outcome::OtherMdm), "Other MDM");
        assert_eq!(words(Outcome::WaitingForPerson), "Waiting for person");
    }
}
