//! A laboratory: simulated devices, a way to them that counts and can be broken, a station that
//! is started and stopped as often as one likes, and everything kept that a checker may want.

pub(crate) mod alone;
pub(crate) mod disk;
pub(crate) mod invariants;
pub(crate) mod way;

use super::world::example_profile;
use disk::SmallDisk;
use enlist::clock::Clock;
use enlist::device::trust::{RecordStore, StationIdentity, Trust};
use enlist::ids::{JobId, Udid};
use enlist::journal::{HistoryFilter, Journal, JournalReader};
use enlist::sim::{Fleet, FleetOptions, Inspection, Tap};
use enlist::station::{BayNames, BayState, Board, Orders, RunEnd, Selection, Station};
use enlist::transport::Backend;
use enlist::wire::profile::Profile;
use enlist::workflow::event::{Event, EventKind};
use enlist::workflow::policy::Policy;
use invariants::Evidence;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use way::Way;

/// Longer than a device is away after a fault.
const SETTLES: Duration = Duration::from_secs(600);

const BEGINNING: &str = "2026-11-21T08:00:00Z";

/// One message between the station and a device, with what the station had published by then.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) udid: Udid,
    pub(crate) service: &'static str,
    pub(crate) from_host: bool,
    /// The request's name, or the answer's.
    pub(crate) name: String,
    /// Pushes of this device in the journal at that moment.
    pub(crate) pushes_written: usize,
}

/// What is noted while a laboratory runs.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) published: Mutex<Vec<Event>>,
    pub(crate) heard: Mutex<Vec<Heard>>,
    /// Every message, for whoever acts at one.
    pub(crate) messages: broadcast::Sender<Heard>,
    /// Every event, for whoever acts at one.
    pub(crate) events: broadcast::Sender<Event>,
}

impl Notes {
    /// Forgets what was noted so far, so that a long day needs no more memory than a short one.
    pub(crate) fn forget(&self) {
        self.published.lock().unwrap().clear();
        self.heard.lock().unwrap().clear();
    }

    fn pushes_written(&self, udid: &Udid) -> usize {
        let published = self.published.lock().unwrap();
        let of_device = |e: &&Event| matches!(&e.kind, EventKind::JobStarted(new) if new.udid == *udid);
        let jobs: Vec<_> = published.iter().filter(of_device).map(|e| e.job).collect();
        let pushes = |e: &&Event| matches!(e.kind, EventKind::PushStarted { .. }) && jobs.contains(&e.job);
        published.iter().filter(pushes).count()
    }
}

/// What a test plants to see whether it is found. Nothing of it is in the product.
#[derive(Default, Clone)]
pub(crate) struct Planted {
    /// Stands between the journal and everybody who follows it.
    pub(crate) between: Option<Between>,
    /// Takes the place of the way to the devices.
    pub(crate) way: Option<Wrap>,
}

/// Passes on what the journal published, or something else.
pub(crate) type Between = Arc<dyn Fn(&Event, &dyn Fn(&Event)) + Send + Sync>;

/// Makes another way of the way.
pub(crate) type Wrap = Arc<dyn Fn(Arc<dyn Backend>) -> Arc<dyn Backend> + Send + Sync>;

pub(crate) struct Lab {
    pub(crate) fleet: Fleet,
    /// The station's; the devices have their own.
    pub(crate) clock: Clock,
    pub(crate) policy: Policy,
    pub(crate) way: Arc<Way>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) planted: Planted,
    pub(crate) disk: SmallDisk,
    pub(crate) begun: Instant,
    bays: Arc<BayNames>,
    folder: PathBuf,
    tasks: Vec<JoinHandle<()>>,
    stations: AtomicUsize,
}

/// A station that runs.
pub(crate) struct Incarnation {
    pub(crate) task: JoinHandle<RunEnd>,
    stop: Option<oneshot::Sender<()>>,
    journal: Journal,
    board: Arc<Board>,
}

/// How an incarnation left its board.
#[derive(Debug, Clone)]
pub(crate) struct LeftBoard {
    pub(crate) bays: Vec<BayState>,
}

impl Lab {
    /// Call inside a paused runtime. `options.clock` is replaced.
    pub(crate) fn new(options: FleetOptions) -> Self {
        let clock = || Clock::starting_at(BEGINNING.parse().unwrap());
        let fleet = Fleet::new(FleetOptions { clock: clock(), ..options }).unwrap();
        let notes = Arc::new(Notes {
            published: Mutex::default(),
            heard: Mutex::default(),
            messages: broadcast::channel(4096).0,
            events: broadcast::channel(4096).0,
        });
        let disk = SmallDisk::of_this_process();
        let folder = disk.fresh_folder();
        std::fs::write(folder.join("identity.plist"), identity()).unwrap();
        let tasks = fleet.udids().into_iter().map(|udid| listen(&fleet, udid, notes.clone())).collect();
        Self {
            way: Arc::new(Way::new(fleet.backend())),
            clock: clock(),
            policy: Policy::default(),
            profile: example_profile(),
            planted: Planted::default(),
            begun: Instant::now(),
            bays: Arc::default(),
            fleet,
            notes,
            disk,
            folder,
            tasks,
            stations: AtomicUsize::default(),
        }
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.folder.join("journal.sqlite3")
    }

    /// Starts a station on this laboratory's state.
    pub(crate) fn start(&self, selection: Selection, once: bool) -> Result<Incarnation, String> {
        self.stations.fetch_add(1, Ordering::Relaxed);
        let board = Arc::new(Board::default());
        let (observer, notes, between) = (board.clone(), self.notes.clone(), self.planted.between.clone());
        let pass_on = move |event: &Event| {
            observer.take(event);
            notes.published.lock().unwrap().push(event.clone());
            let _ = notes.events.send(event.clone());
        };
        let told = move |event: &Event| match &between {
            Some(between) => between(event, &pass_on),
            None => pass_on(event),
        };
        let journal = Journal::open(self.journal_path(), self.clock.clone(), Arc::new(told))
            .map_err(|error| error.to_string())?;
        let way: Arc<dyn Backend> = self.way.clone();
        let station = Arc::new(Station {
            backend: self.planted.way.as_ref().map_or(way.clone(), |wrap| wrap(way)),
            journal: Some(journal.clone()),
            board: board.clone(),
            bays: self.bays.clone(),
            trust: self.trust(),
            profile: self.profile.clone(),
            shelf: None,
            policy: self.policy.clone(),
            orders: Orders::default(),
            clock: self.clock.clone(),
        });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async move {
                if stopped.await.is_err() {
                    std::future::pending().await
                }
            };
            station.run(selection, once, stopped).await
        });
        Ok(Incarnation { task, stop: Some(stop), journal, board })
    }

    pub(crate) fn trust(&self) -> Trust {
        let identity = StationIdentity::load_or_create(&self.folder.join("identity.plist"), &self.clock);
        let store = RecordStore::new(self.folder.join("records"), self.clock.clone());
        Trust::new(Arc::new(identity.unwrap()), store)
    }

    /// Closes everything and gives the evidence; of `tasks_before` none was of this laboratory.
    pub(crate) async fn conclude(self, board: LeftBoard, tasks_before: usize) -> Evidence {
        let (took, journal, profile) = (self.begun.elapsed(), self.journal(), self.profile.clone());
        let stations = self.stations.load(Ordering::Relaxed);
        let closed = self.close().await;
        let mut evidence = Evidence::of(&profile, journal, board, &closed, took, stations);
        drop(closed);
        sleep(SETTLES).await;
        evidence.left.tasks = alive_tasks().saturating_sub(tasks_before);
        evidence
    }

    /// Everything of this laboratory that lives on is gone after this, if nothing leaks.
    async fn close(self) -> Closed {
        let lock_is_free = Journal::open(self.journal_path(), self.clock.clone(), Arc::new(|_| {}));
        let lock_is_free = match lock_is_free {
            Ok(journal) => journal.close().await.is_ok(),
            Err(_) => false,
        };
        // Whatever still wants to end, ends.
        sleep(SETTLES).await;
        let (devices, channels) = (self.fleet.inspect_all(), self.way.open_channels());
        self.tasks.iter().for_each(JoinHandle::abort);
        let _ = std::fs::remove_dir_all(&self.folder);
        let Self { fleet, way, notes, planted, .. } = self;
        drop((fleet, way, planted));
        Closed { lock_is_free, devices, channels, notes }
    }

    /// Every job of the journal with its events.
    fn journal(&self) -> (BTreeMap<JobId, Vec<Event>>, Vec<String>) {
        let reader = match JournalReader::open(&self.journal_path()) {
            Ok(reader) => reader,
            Err(error) => return (BTreeMap::new(), vec![error.to_string()]),
        };
        let rows = reader.history(&HistoryFilter { limit: u32::MAX, ..HistoryFilter::default() }).unwrap();
        let jobs = rows.iter().map(|row| (row.id, reader.job_events(row.id).unwrap())).collect();
        (jobs, reader.check())
    }
}

/// What is left of a laboratory.
struct Closed {
    lock_is_free: bool,
    devices: Vec<Inspection>,
    channels: usize,
    notes: Arc<Notes>,
}

impl Incarnation {
    /// Asks it to stop, as a service manager does, and waits.
    pub(crate) async fn stop(mut self) -> LeftBoard {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = (&mut self.task).await;
        self.left().await
    }

    /// Stops it where it stands: nothing of it is asked.
    pub(crate) async fn abort(mut self) -> LeftBoard {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.left().await
    }

    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// After its end.
    pub(crate) async fn left(self) -> LeftBoard {
        let _ = self.journal.close().await;
        LeftBoard { bays: self.board.bays() }
    }
}

/// Notes what a device hears and says.
fn listen(fleet: &Fleet, udid: Udid, notes: Arc<Notes>) -> JoinHandle<()> {
    let mut taps = fleet.tap(&udid).unwrap();
    tokio::spawn(async move {
        while let Ok(tap) = taps.recv().await {
            let heard = Heard {
                name: name_of(&tap),
                pushes_written: notes.pushes_written(&udid),
                udid: udid.clone(),
                service: tap.service,
                from_host: tap.from_host,
            };
            notes.heard.lock().unwrap().push(heard.clone());
            let _ = notes.messages.send(heard);
        }
    })
}

fn name_of(tap: &Tap) -> String {
    let text = |key: &str| tap.message.get(key).and_then(plist::Value::as_string);
    let named = text("Request").or(text("RequestType")).or(text("Command")).or(text("Status"));
    let name = named.unwrap_or("?");
    match text("Service") {
        Some(service) => format!("{name} {}", service.rsplit('.').next().unwrap_or(service)),
        None => name.to_owned(),
    }
}

/// Keys take long to make, and nothing here is about making them.
fn identity() -> &'static [u8] {
    static IDENTITY: OnceLock<Vec<u8>> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.plist");
        StationIdentity::load_or_create(&path, &Clock::System).unwrap();
        std::fs::read(path).unwrap()
    })
}

/// Tasks of this runtime that have not ended.
pub(crate) fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
