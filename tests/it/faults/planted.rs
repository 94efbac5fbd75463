//! Bugs that are planted from outside, one of each class, to see that the checkers find them.
//! Nothing of them is in the product: a way that lies, an observer that loses or doubles, a
//! second hand in the journal, a rogue client.

use crate::support::lab::alone;
use crate::support::lab::invariants::{LONGEST, Rule};
use crate::support::lab::{Between, Lab, alive_tasks};
use async_trait::async_trait;
use enlist::device::DeviceLink;
use enlist::device::facts::Facts;
use enlist::device::trust::{Awaiting, TrustLimits, TrustObserver};
use enlist::ids::{Bay, MuxId, Udid};
use enlist::journal::Journal;
use enlist::secret::Secret;
use enlist::sim::{Command, FleetOptions, Persona};
use enlist::station::Selection;
use enlist::transport::{Attachment, Backend, BackendEvent, BoxChannel, TransportError};
use enlist::workflow::event::{Event, EventKind, StepId};
use enlist::workflow::outcome::{Class, Outcome};
use enlist::workflow::policy::SetupAssistant;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// A bug: its name, what must find it, how it gets in, and what it does after the run.
struct Bug {
    name: &'static str,
    found_by: Rule,
    before: fn(&mut Lab),
    after: fn(&Lab),
}

impl Bug {
    fn before(name: &'static str, found_by: Rule, before: fn(&mut Lab)) -> Self {
        Self { name, found_by, before, after: |_| {} }
    }

    fn after(name: &'static str, found_by: Rule, after: fn(&Lab)) -> Self {
        Self { name, found_by, before: |_| {}, after }
    }
}

fn bugs() -> Vec<Bug> {
    vec![
        Bug {
            name: "success that was not read back",
            found_by: Rule::TrueSuccess,
            before: |lab| lab.policy.setup_assistant = SetupAssistant::Hold,
            after: |lab| {
                write(
                    lab,
                    "UPDATE events SET data = json_set(data, '$.outcome', 'enrolled') WHERE kind = 'job-ended'",
                )
            },
        },
        Bug::before("the profile is pushed once more", Rule::NotTwice, |lab| rogue(lab, Rogue::Pushes)),
        Bug::before("a push that nobody wrote down", Rule::WrittenFirst, |lab| rogue(lab, Rogue::Pushes)),
        Bug::before("a push written down too late", Rule::WrittenFirst, |lab| {
            let held = Mutex::new(None);
            between(lab, move |event, pass_on| {
                if matches!(event.kind, EventKind::PushStarted { .. }) {
                    *held.lock().unwrap() = Some(event.clone());
                    return;
                }
                pass_on(event);
                held.lock().unwrap().take().iter().for_each(pass_on);
            });
        }),
        Bug::before("a profile is removed", Rule::Consent, |lab| rogue(lab, Rogue::Removes)),
        Bug::after("a push without a plan", Rule::Consent, |lab| {
            write(lab, "DELETE FROM events WHERE kind = 'planned'");
        }),
        Bug::after("two terminal events", Rule::OneEnd, |lab| {
            write(
                lab,
                "INSERT INTO events (job, at, kind, data) SELECT job, at, kind, data FROM events WHERE kind = 'job-ended'",
            );
        }),
        Bug::after("an event after the end", Rule::OneEnd, |lab| {
            write(
                lab,
                "INSERT INTO events (job, at, kind, data) SELECT job, at, kind, data FROM events WHERE kind = 'identified' LIMIT 1",
            );
        }),
        Bug::after("a job that never ends", Rule::OneEnd, |lab| {
            write(lab, "DELETE FROM events WHERE kind = 'job-ended'");
        }),
        Bug::before("an event is lost on its way to the board", Rule::Published, |lab| {
            between(lab, |event, pass_on| {
                if !matches!(event.kind, EventKind::StepStarted { step: StepId::Inspect }) {
                    pass_on(event);
                }
            });
        }),
        Bug::before("an event is published twice", Rule::Published, |lab| {
            between(lab, |event, pass_on| {
                pass_on(event);
                if matches!(event.kind, EventKind::JobEnded(_)) {
                    pass_on(event);
                }
            });
        }),
        Bug::before("the board shows another end", Rule::Board, |lab| {
            between(lab, |event, pass_on| match &event.kind {
                EventKind::JobEnded(_) => {
                    let kind = EventKind::JobEnded(Outcome::PersonDidNotAccept.into());
                    pass_on(&Event { kind, ..event.clone() });
                }
                _ => pass_on(event),
            });
        }),
        Bug::after("a job's row that its events do not say", Rule::Journal, |lab| {
            write(lab, "UPDATE jobs SET pushes = 7");
        }),
        Bug::after("an end without words", Rule::Words, |lab| {
            write(lab, "UPDATE events SET data = json_set(data, '$.sentence', ' ') WHERE kind = 'job-ended'");
        }),
        Bug::before("a channel is never closed", Rule::NoLeak, |lab| {
            lab.planted.way = Some(Arc::new(|inner| Arc::new(Bad { inner, how: How::Keeps })));
        }),
        Bug::before("a task never ends", Rule::NoLeak, |lab| {
            between(lab, |event, pass_on| {
                pass_on(event);
                if matches!(event.kind, EventKind::JobStarted(_)) {
                    tokio::spawn(std::future::pending::<()>());
                }
            });
        }),
        Bug::after("a file stays open", Rule::NoLeak, |_| {
            std::mem::forget(std::fs::File::open("/dev/null").unwrap());
        }),
        Bug::after("the journal's lock is not given up", Rule::NoLeak, |lab| {
            std::mem::forget(Journal::open(lab.journal_path(), lab.clock.clone(), Arc::new(|_| {})).unwrap());
        }),
        Bug::before("a wait without a deadline", Rule::Deadline, |lab| {
            lab.planted.way = Some(Arc::new(|inner| Arc::new(Bad { inner, how: How::Hangs })));
        }),
    ]
}

/// What a mux that was restarted and counts anew may do: the device says who it is.
#[tokio::test(start_paused = true)]
async fn a_way_that_leads_to_another_device_pushes_nothing_there() {
    let mut lab = Lab::new(FleetOptions {
        devices: 2,
        specs: vec![Persona::InSetup.into()],
        ..FleetOptions::default()
    });
    lab.planted.way = Some(Arc::new(|inner| Arc::new(Bad { inner, how: How::Twin })));
    let mut listed = lab.fleet.backend().list().await.unwrap();
    listed.truncate(1);
    let mut station = lab.start(Selection::Listed(listed), true).unwrap();
    (&mut station.task).await.unwrap();
    let bay = station.left().await.bays.remove(0);
    assert_eq!((bay.standing.outcome, bay.standing.class), (Outcome::Failed, Class::Transport), "{bay:?}");
    let twin = lab.fleet.inspect(&lab.fleet.udids()[1]).unwrap();
    assert!(bay.standing.sentence.contains(twin.udid.as_str()), "{bay:?}");
    assert_eq!((twin.counters.pair_requests, twin.counters.pushes_received), (0, 0));
}

/// The same in the midst of a conversation: the device that forgot the station is asked for its
/// trust on a connection of its own.
#[tokio::test(start_paused = true)]
async fn a_way_that_turns_to_another_device_pairs_nothing_there() {
    let specs = vec![Persona::InSetup.into()];
    let mut lab = Lab::new(FleetOptions { devices: 2, specs, ..FleetOptions::default() });
    let mut listed = lab.fleet.backend().list().await.unwrap();
    listed.truncate(1);
    let mut station = lab.start(Selection::Listed(listed.clone()), true).unwrap();
    (&mut station.task).await.unwrap();
    station.left().await;
    lab.fleet.control(Command::ForgetPairing { udid: lab.fleet.udids()[0].clone() }).unwrap();
    lab.planted.way =
        Some(Arc::new(|inner| Arc::new(Bad { inner, how: How::TwinAfter(AtomicUsize::new(1)) })));
    let mut station = lab.start(Selection::Listed(listed), true).unwrap();
    (&mut station.task).await.unwrap();
    let bay = station.left().await.bays.remove(0);
    let twin = lab.fleet.inspect(&lab.fleet.udids()[1]).unwrap();
    assert!(bay.standing.sentence.contains(twin.udid.as_str()), "{bay:?}");
    assert_eq!((twin.counters.pair_requests, twin.counters.pushes_received), (0, 0));
}

#[test]
fn a_planted_bug_of_each_class_is_found() {
    let said = alone::run("faults::planted::all_bugs", 8, &[]);
    assert!(said.contains("all found"), "{said}");
}

#[test]
#[ignore = "a_planted_bug_of_each_class_is_found starts it in a process of its own"]
fn all_bugs() {
    assert!(alone::is_alone());
    let clean = found(&Bug::before("none", Rule::Words, |_| {}));
    assert!(clean.is_empty(), "without a bug nothing is found: {clean:?}");
    let bugs = bugs();
    for bug in &bugs {
        let found = found(bug);
        println!("{:<45} {found:?}", bug.name);
        assert!(found.contains(&bug.found_by), "{}: {:?} did not find it", bug.name, bug.found_by);
    }
    println!("{} planted bugs, all found", bugs.len());
}

/// The rules that a run with this bug breaks.
fn found(bug: &Bug) -> Vec<Rule> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (files, tasks) = (alone::open_files(), alive_tasks());
        let specs = vec![Persona::InSetup.into()];
        let mut lab = Lab::new(FleetOptions { devices: 2, specs, ..FleetOptions::default() });
        (bug.before)(&mut lab);
        // The second device is there for a way that lies.
        let mut listed = lab.fleet.backend().list().await.unwrap();
        listed.truncate(1);
        let mut station = lab.start(Selection::Listed(listed), true).unwrap();
        let _ = (&mut station.task).await;
        let board = station.left().await;
        (bug.after)(&lab);
        let mut evidence = lab.conclude(board, tasks).await;
        evidence.left.files = alone::open_files().saturating_sub(files);
        let mut rules: Vec<_> = evidence.violations().into_iter().map(|v| v.rule).collect();
        rules.sort();
        rules.dedup();
        rules
    })
}

fn between(lab: &mut Lab, f: impl Fn(&Event, &dyn Fn(&Event)) + Send + Sync + 'static) {
    let between: Between = Arc::new(f);
    lab.planted.between = Some(between);
}

/// A second hand in the journal, past its guards.
fn write(lab: &Lab, sql: &str) {
    let journal = rusqlite::Connection::open(lab.journal_path()).unwrap();
    let guards =
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql NOT NULL";
    let mut guards = journal.prepare(guards).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok([row.get::<_, String>(0)?, row.get(1)?, row.get(2)?]);
    let guards: Vec<_> = guards.query_map([], row).unwrap().map(Result::unwrap).collect();
    for [kind, name, _] in &guards {
        journal.execute_batch(&format!("DROP {kind} {name}")).unwrap();
    }
    assert!(journal.execute(sql, []).unwrap() > 0, "{sql}");
    for [.., guard] in &guards {
        // What was written may be against it.
        let _ = journal.execute_batch(guard);
    }
}

/// What a rogue client does once the job has ended.
#[derive(Clone, Copy)]
enum Rogue {
    Pushes,
    Removes,
}

fn rogue(lab: &mut Lab, what: Rogue) {
    let (trust, backend, profile) = (lab.trust(), lab.fleet.backend(), lab.profile.clone());
    between(lab, move |event, pass_on| {
        pass_on(event);
        if !matches!(event.kind, EventKind::JobEnded(_)) {
            return;
        }
        let (trust, backend, profile) = (trust.clone(), backend.clone(), profile.clone());
        tokio::spawn(async move {
            let attachment = backend.list().await.unwrap().remove(0);
            let link = DeviceLink::new(backend, attachment, Bay("rogue".to_owned()));
            let limits = TrustLimits { person: Duration::from_secs(5), may_pair: false };
            let mut earned = trust.earn(&link, limits, &Nobody).await.unwrap().unwrap();
            let mut mcinstall = earned.session.mcinstall().await.unwrap();
            match what {
                Rogue::Pushes => drop(mcinstall.install(profile.bytes()).await),
                Rogue::Removes => {
                    let installed = mcinstall.profiles().await.unwrap();
                    mcinstall.remove(&installed[0]).await.unwrap();
                }
            }
        });
    });
}

struct Nobody;

#[async_trait]
impl TrustObserver for Nobody {
    async fn met(&self, _: &Facts) {}
    async fn awaiting(&self, _: Awaiting, _: Duration) {}
}

/// How a way is bad.
#[derive(Debug)]
enum How {
    /// Who asks for the first device is given the second.
    Twin,
    /// The same after so many connections.
    TwinAfter(AtomicUsize),
    /// A channel more than was asked for stays open.
    Keeps,
    /// The first connection takes longer than anything may.
    Hangs,
}

#[derive(Debug)]
struct Bad {
    inner: Arc<dyn Backend>,
    how: How,
}

#[async_trait]
impl Backend for Bad {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        self.inner.list().await
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        self.inner.watch()
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        let twin = MuxId(id.0 + 1);
        match &self.how {
            How::TwinAfter(left) if left.load(Ordering::SeqCst) == 0 => {
                return self.inner.connect(twin, port).await;
            }
            How::TwinAfter(left) => _ = left.fetch_sub(1, Ordering::SeqCst),
            How::Twin => return self.inner.connect(twin, port).await,
            How::Keeps if port == enlist::wire::lockdown::PORT => {
                std::mem::forget(self.inner.connect(id, port).await?);
            }
            How::Keeps => {}
            How::Hangs => tokio::time::sleep(LONGEST).await,
        }
        self.inner.connect(id, port).await
    }

    async fn read_buid(&self) -> Result<String, TransportError> {
        self.inner.read_buid().await
    }

    async fn read_pair_record(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, TransportError> {
        self.inner.read_pair_record(udid).await
    }

    async fn save_pair_record(
        &self,
        udid: &Udid,
        record: &Secret<Vec<u8>>,
        id: Option<MuxId>,
    ) -> Result<(), TransportError> {
        self.inner.save_pair_record(udid, record, id).await
    }

    async fn delete_pair_record(&self, udid: &Udid) -> Result<(), TransportError> {
        self.inner.delete_pair_record(udid).await
    }
}
