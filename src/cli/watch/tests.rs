//! The board drawn from fixed snapshots, and its keys.

use super::app::{Answer, App, View, Wish};
use super::draw::{Look, draw};
use super::terminal::Key;
use crate::api::Outcome;
pub(super) use crate::api::client::samples::line;
use crate::api::client::samples::{moment, station};
use crate::api::client::{ClientError, Mirror, Told};
use crate::api::view::job::JobDetail;
use crate::api::view::station::SnapshotView;
use crate::api::view::{BatchView, BayView, EntryState, PortView};
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
Enlist  http://127.0.0.1:7417  ✔ Live  SIMULATED     1 Bays  2 Batch  3 History
 School tablets  ████▓▒░░░░  42 %  120 of 300 done, 6 failed  about 45 min left
 ▲ 4 need a hand  ● 5 working  ✔ 3 done  ✖ 3 failed  · 1 empty  export expires…
▸ Bay 1   ✔ Enrolled                     The device is enrolled: the profile wa…
  Bay 2   ● Pushing                 7:41 The profile is being pushed to the dev…
  Bay 3   ✖ Failed                       The enrollment failed.
  Bay 4   ▲ Waiting for trust       7:41 The device asks whether to trust this …";
    assert!(text.starts_with(expected), "{text}");
    for n in 1..=16 {
        assert!(text.contains(&format!("Bay {n} ")), "Bay {n} is not there\n{text}");
    }
    assert!(text.contains("Bay 16  · Empty"), "{text}");
    // The bay with the cursor in full.
    for _ in 0..5 {
        assert!(app.key(Key::Down));
    }
    let text = shown(&mut app, (80, 24));
    let pane = "\
── Bay 6 · Tablet 6 · C06 · iPad13,1 · 18.1 · SIMULATED · Job 7 ────────────────
▲ Waiting for person: The profile waits on the device for a person to install
it. 7:41 left.
On the device: Settings > Profile Downloaded > Install, enter the passcode,";
    assert!(text.contains(pane), "{text}");
    assert!(text.ends_with("? help  q quit"), "{text}");
}

#[test]
fn a_large_terminal_has_hubs_names_and_the_six_steps() {
    let mut app = bench();
    app.answered(Answer::Batches(Ok(batch("open"))));
    app.key(Key::Char('n'));
    let text = shown(&mut app, (120, 40));
    for part in [
        " Hub 1-4\n",
        " Hub 1-10\n",
        "120 of 300 done, 6 failed, 16 in work, 158 missing  about 45 min left",
        "▸ Bay 4   ▲ Waiting for trust       7:41 Tablet 4                  The device asks whether",
        "export expires in 9 days",
        "Tap Trust on the device and enter its passcode.",
    ] {
        assert!(text.contains(part), "{part:?} is missing\n{text}");
    }
    app.key(Key::Char('n'));
    let text = shown(&mut app, (120, 40));
    assert!(text.contains("▸ Bay 6 ") && text.contains("\n1. Unlock the device\n"), "{text}");
    assert!(text.contains("\n6. "), "{text}");
}

#[test]
fn a_window_that_is_too_small_says_so_whatever_is_open() {
    let mut app = bench();
    for size in [(79, 24), (80, 23), (20, 4), (1, 1)] {
        let text = shown(&mut app, size);
        assert!(!text.contains("Bay"), "{text}");
    }
    let text = shown(&mut app, (60, 20)).replace('\n', " ");
    assert!(text.starts_with("The terminal has 60 x 20 characters; the board needs 80 x 24."), "{text}");
    app.help = true;
    shown(&mut app, (3, 3));
}

#[test]
fn every_state_has_a_word_a_shape_and_a_colour_and_without_colours_two_of_them() {
    let mut app = bench();
    let colours = |app: &mut App, look: &Look| {
        let (text, terminal) = screen(app, look, (80, 24));
        let buffer = terminal.backend().buffer();
        let row = |bay: &str| text.lines().position(|line| line.contains(bay)).unwrap();
        let cells =
            [("Bay 1 ", '✔'), ("Bay 2 ", '●'), ("Bay 3 ", '✖'), ("Bay 4 ", '▲')].map(|(bay, shape)| {
                let y = u16::try_from(row(bay)).unwrap();
                let x = (0..80).find(|x| buffer[(*x, y)].symbol().starts_with(shape)).unwrap();
                let cell = &buffer[(x, y)];
                (cell.fg, cell.modifier.contains(Modifier::BOLD))
            });
        (cells, buffer.content().iter().any(|cell| cell.fg != Color::Reset))
    };
    let (cells, _) = colours(&mut app, &look());
    let expected = [(Color::Green, false), (Color::Cyan, false), (Color::Red, true), (Color::Yellow, true)];
    assert_eq!(cells, expected);
    let (cells, coloured) = colours(&mut app, &Look { colour: false, ..look() });
    assert!(!coloured && cells[3].1, "{cells:?}");
}

#[test]
fn a_bench_larger_than_the_screen_is_scrolled_and_says_who_else_needs_a_hand() {
    let mut app = App::new("bench".into());
    let mut bays: Vec<_> =
        (1..=60).map(|n| line(&format!("Bay {n}"), &n.to_string(), Outcome::Pushing)).collect();
    bays[40] = line("Bay 41", "41", Outcome::WaitingForTrust);
    app.told(everything(bays, &[]), now());
    let text = shown(&mut app, (80, 24));
    assert!(text.contains("↓ 44 more  of these ▲ 1 need a hand: press n"), "{text}");
    app.key(Key::Char('n'));
    assert!(shown(&mut app, (80, 24)).contains("▸ Bay 41"), "the cursor is in sight");
    app.key(Key::Last);
    let text = shown(&mut app, (80, 24));
    assert!(text.contains("▸ Bay 60") && text.contains("↑ 44 more  ↓ 0 more"), "{text}");
    app.key(Key::First);
    assert!(shown(&mut app, (80, 24)).contains("▸ Bay 1 "));
    // The filter goes through the tones, and back to all.
    app.key(Key::Char('f'));
    assert_eq!(app.filter, Some(Tone::Person));
    let text = shown(&mut app, (80, 24));
    assert!(text.contains("▸ Bay 41") && !text.contains("Bay 42"), "{text}");
    for _ in 0..4 {
        app.key(Key::Char('f'));
    }
    assert!(shown(&mut app, (80, 24)).contains("No bay is like that now."));
    app.key(Key::Char('f'));
    assert_eq!(app.filter, None);
}

#[test]
fn banners_say_what_everybody_must_know() {
    let mut app = bench();
    app.told(Told::Mux(Some("usbmuxd is gone".into())), now());
    app.told(Told::Journal(Some("the disk is full".into())), now());
    app.told(Told::Lost(ClientError::Silent { station: "http://bench:1".into() }), now());
    let text = shown(&mut app, (80, 24));
    for part in [
        "✖ Connection lost",
        "✖ What is shown may be old. Trying again by itself. http://bench:1 does not",
        "✖ No way to the devices: usbmuxd is gone.",
        "✖ The journal cannot be written, so nothing new is begun: the disk is full.",
        "Bay 1 ",
    ] {
        assert!(text.contains(part), "{part:?} is missing\n{text}");
    }
    app.told(Told::Stopped, now());
    app.told(Told::Lost(ClientError::Silent { station: "http://bench:1".into() }), now());
    assert!(shown(&mut app, (80, 24)).contains("✖ The station was stopped. Start it again"));
    app.told(Told::Live, now());
    app.told(Told::Mux(None), now());
    app.told(Told::Journal(None), now());
    let text = shown(&mut app, (80, 24));
    assert!(text.contains("✔ Live") && !text.contains("stopped"), "{text}");
    app.answered(Answer::Batches(Ok(batch("stopped"))));
    assert!(shown(&mut app, (80, 24)).contains("✖ 120 of 300 are done."), "a stopped batch says why");
}

fn detail() -> JobDetail {
    let device = serde_json::to_value(line("Bay 3", "3", Outcome::Failed).device).unwrap();
    let text = r#"{"open":false,"started":"2026-01-01T08:59:00Z","ended":"2026-01-01T08:59:09Z",
        "profile_identifier":"com.contoso","profile_uuid":"u","profile_name":"Contoso","profile_sha256":"abc",
        "timeline":[
          {"seq":1,"at":"2026-01-01T08:59:00Z","event":"job-started","sentence":"The job began in Bay 3.","outcome":null,
           "step":null,"result":null,"until":null,"chain":[]},
          {"seq":2,"at":"2026-01-01T08:59:09Z","event":"job-ended","sentence":"The enrollment failed.","outcome":"failed",
           "step":null,"result":null,"until":null,"chain":[{"domain":"MCInstallationErrorDomain","code":4001,"meaning":null}]}],
        "raw_chain":[{"domain":"MCInstallationErrorDomain","code":4001,"localized":"Profile Failed","english":"Profile Failed",
          "meaning":"The profile could not be installed"}]}"#;
    let mut detail: serde_json::Value = serde_json::from_str(text).unwrap();
    detail.as_object_mut().unwrap().extend(device.as_object().unwrap().clone());
    serde_json::from_value(detail).unwrap()
}

#[test]
fn a_job_has_its_verdict_its_errors_its_timeline_and_facts() {
    let mut app = bench();
    assert!(app.key(Key::Enter));
    assert_eq!((app.view, app.job), (View::Job, 7));
    assert!(app.wishes().contains(&Wish::Job(7)));
    assert!(shown(&mut app, (80, 24)).contains("Asking the station."));
    app.answered(Answer::Job(6, Ok(Box::new(detail()))));
    assert!(app.detail.rows.is_empty(), "an answer about another job");
    app.answered(Answer::Job(7, Ok(Box::new(detail()))));
    let text = shown(&mut app, (80, 24));
    for part in [
        "── Job 7 · Tablet 3 · Bay 3 · SIMULATED ──",
        "✖ Failed: The enrollment failed.",
        "  1. MCInstallationErrorDomain 4001\n     The profile could not be installed\n     Profile Failed\n",
        "  08:59:00 · The job began in Bay 3.",
        "  08:59:09 ✖ The enrollment failed. (MCInstallationErrorDomain 4001)",
        "  Serial              C03",
    ] {
        assert!(text.contains(part), "{part:?} is missing\n{text}");
    }
    app.key(Key::Last);
    let text = shown(&mut app, (80, 24));
    assert!(text.contains("SHA-256             abc"), "{text}");
    app.key(Key::Back);
    assert_eq!(app.view, View::Bays);
}

#[test]
fn the_history_is_searched_and_goes_on_at_its_end() {
    let mut app = bench();
    app.key(Key::Char('3'));
    let all = Wish::History { text: String::new(), before: None };
    assert!(app.wishes().contains(&all));
    let jobs = |count: i64| {
        (0..count).map(|n| {
            let mut job = detail().job;
            job.device.job = Some(100 - n);
            job
        })
    };
    app.answered(Answer::History(false, Ok(jobs(3).collect())));
    let text = shown(&mut app, (80, 24));
    assert!(text.contains("▸ 01 Jan 08:59   100 ✖ Failed"), "{text}");
    app.key(Key::Down);
    assert!(app.wishes().is_empty());
    app.key(Key::Down);
    assert_eq!(app.wishes(), [Wish::History { text: String::new(), before: Some(98) }]);
    app.answered(Answer::History(true, Ok(jobs(2000).collect())));
    assert_eq!(app.history.rows.len(), 1000, "no more than a person reads");
    for key in [Key::Char('/'), Key::Char('q'), Key::Char('1'), Key::Enter] {
        assert!(app.key(key), "a letter of a search is no command");
    }
    assert_eq!((app.search.as_str(), app.typing, app.view), ("q1", false, View::History));
    assert!(!app.key(Key::Char('q')));
    app.answered(Answer::History(false, Err(ClientError::Silent { station: "bench".into() })));
    assert!(shown(&mut app, (80, 24)).contains("Bench does not answer."));
}

#[test]
fn the_batch_lists_its_devices_by_state() {
    let mut app = bench();
    app.key(Key::Char('2'));
    assert!(shown(&mut app, (80, 24)).contains("No batch yet."));
    app.answered(Answer::Batches(Ok(batch("open"))));
    assert!(app.wishes().contains(&Wish::Entries { batch: 3, state: None }));
    let entry = r#"{"line":1,"serial":"C01","imei":null,"name":"Tablet 1","tag":null,"blueprint":null,
        "state":"missing","jobs":0,"device":null,"started":null,"ended":null}"#;
    app.answered(Answer::Entries(Ok(vec![serde_json::from_str(entry).unwrap()])));
    let text = shown(&mut app, (80, 24));
    for part in ["Batch 3: School tablets (open)", "240 an hour", "▸ C01              Tablet 1", "· missing"]
    {
        assert!(text.contains(part), "{part:?} is missing\n{text}");
    }
    app.key(Key::Char('f'));
    assert_eq!(app.wishes(), [Wish::Entries { batch: 3, state: Some(EntryState::Missing) }]);
    app.key(Key::Enter);
    assert_eq!(app.view, View::Batch, "a device that never came has no job");
    app.key(Key::Char('?'));
    let text = shown(&mut app, (80, 24));
    assert!(text.contains("any key closes this") && text.contains("next bay that needs a hand"), "{text}");
    assert!(app.key(Key::Char('x')) && !app.help);
    assert!(!app.key(Key::Quit));
}
