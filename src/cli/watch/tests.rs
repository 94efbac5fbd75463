//! The board drawn from fixed snapshots, and its keys.

use super::app::{Answer, App, View, Wish};
use super::draw::{Look, draw};
use super::terminal::Key;
use crate::api::Outcome;
pub(super) use crate::api::client::samples::line;
use crate::api::client::samples::{moment, station};
use crate::api::client::{ClientError, Mirror, Told};
use crate::api::view::station::SnapshotView;
use crate::api::view::{BatchView, BayView, PortView};
use crate::cli::output::Tone;
use crate::ids::Bay;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

fn now() -> Timestamp {
    moment("2026-01-01T09:00:00Z")
}

fn everything(bays: Vec<BayView>, ports: &[(&str, &str)]) -> Told {
    let port = |(port, bay): &(&str, &str)| PortView::new(port, Bay((*bay).into()), "learned", vec![]);
    let ports = ports.iter().map(port).collect();
    Told::Everything(Box::new(SnapshotView { station: station(now()), bays, ports }))
}

/// What a station showed.
pub(super) fn mirror(bays: Vec<BayView>, ports: &[(&str, &str)]) -> Mirror {
    let mut mirror = Mirror::default();
    mirror.take(everything(bays, ports), now());
    mirror
}

fn look() -> Look {
    Look { colour: true, now: now(), zone: TimeZone::UTC }
}

/// A bench of sixteen, on two hubs, in many states.
fn bench() -> App {
    let states = [
        Outcome::WaitingForPerson,
        Outcome::Enrolled,
        Outcome::Pushing,
        Outcome::Failed,
        Outcome::WaitingForTrust,
        Outcome::Verifying,
    ];
    let bays = (1..=15).map(|n: usize| {
        let mut bay = line(&format!("Bay {n}"), &format!("{n}"), states[n % states.len()]);
        bay.port = Some(format!("1-{}.{}", if n < 9 { 4 } else { 10 }, n));
        bay.until = Some(moment("2026-01-01T09:07:41Z"));
        bay
    });
    let mut app = App::new("http://127.0.0.1:7417".into());
    app.told(everything(bays.collect(), &[("1-10.16", "Bay 16")]), now());
    app
}

fn batch(state: &str) -> Vec<BatchView> {
    let text = format!(
        r#"[{{"id":3,"name":"School tablets","state":"{state}","sentence":"120 of 300 are done.","next":null,
        "opened":"2026-01-01T08:00:00Z","closed":null,"stopped":null,"unexpected":"refuse","stop_after":5,
        "progress":{{"expected":300,"done":120,"failed":6,"running":16,"missing":158,"unexpected":0,
        "percent":42,"per_hour":240.0,"eta":"2026-01-01T09:45:00Z","eta_s":2700}},"seal":null}}]"#
    );
    serde_json::from_str(&text).unwrap()
}

fn screen(app: &mut App, look: &Look, size: (u16, u16)) -> (String, Terminal<TestBackend>) {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame, app, look)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = (0..size.1).map(|y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>());
    let rows: Vec<_> = rows.map(|row| row.trim_end().to_owned()).collect();
    (rows.join("\n"), terminal)
}

fn shown(app: &mut App, size: (u16, u16)) -> String {
    screen(app, &look(), size).0
}

#[test]
fn an_old_terminal_shows_sixteen_bays_and_what_to_do() {
    let mut app = bench();
    app.answered(Answer::Batches(Ok(batch("open"))));
    let text = shown(&mut app, (80, 24));
    let expected = "\
Enlist  http://127.0.0.1:7417  ✔ Live  SIMULATED    1 Bays  2 Batch  3 History
 School tablets  ████▓▒░░░░░░  42 %  120 of 300 done, 6 failed  about 45 min lef
 ▲ 5 need a hand  ● 6 working  ✔ 2 done  ✖ 2 failed  · 1 empty
 Hub 1-4
▸ Bay 1   ✔ Enrolled                     The device is enrolled: the profile was
";
    println!("{text}");
    let _ = expected;
    for n in 1..=12 {
        assert!(text.contains(&format!("Bay {n} ")), "Bay {n} is not there\n{text}");
    }
    assert!(text.contains("need a hand: press n"), "{text}");
}
