//! A whole station against simulated devices in one process, under virtual time.

use enlist::clock::Clock;
use enlist::device::trust::{RecordStore, StationIdentity, Trust};
use enlist::ids::Udid;
use enlist::journal::{Journal, JournalReader};
use enlist::sim::{Counters, DeviceSpec, Fleet, FleetOptions, Latency, Persona, Settings};
use enlist::station::library::shelf::Shelf;
use enlist::station::{BayNames, BayState, Board, News, Orders, Selection, Station};
use enlist::transport::Backend;
use enlist::wire::profile::{Profile, Purpose, TrustAnchors};
use enlist::workflow::policy::Policy;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// When every virtual world begins.
const BEGINNING: &str = "2026-11-21T08:00:00Z";

/// Simulated devices, and a folder for the station's state.
pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) clock: Clock,
    pub(crate) policy: Policy,
    /// Where jobs get their profile instead of the example.
    pub(crate) shelf: Option<Shelf>,
    pub(crate) bays: Arc<BayNames>,
    pub(crate) orders: Orders,
    folder: tempfile::TempDir,
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) bays: Vec<BayState>,
    pub(crate) took: Duration,
    /// Every change of the board.
    pub(crate) seen: Vec<BayState>,
}

/// Collects every change until the board is gone.
fn follow(board: &Board) -> JoinHandle<Vec<BayState>> {
    let mut news = board.follow();
    tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Ok(change) = news.recv().await {
            if let News::Bay(bay) = change {
                seen.push(*bay);
            }
        }
        seen
    })
}

impl World {
    /// One device of each settings. Call inside a paused runtime.
    pub(crate) fn of(settings: Vec<Settings>) -> Self {
        Self::with_latency(settings, Latency::default())
    }

    pub(crate) fn with_latency(settings: Vec<Settings>, latency: Latency) -> Self {
        let clock = Clock::starting_at(BEGINNING.parse().unwrap());
        let specs: Vec<_> =
            settings.into_iter().map(|settings| DeviceSpec { persona: Persona::Ready, settings }).collect();
        let options = FleetOptions {
            devices: specs.len(),
            specs,
            latency,
            clock: clock.clone(),
            ..FleetOptions::default()
        };
        let fleet = Fleet::new(options).unwrap();
        Self {
            fleet,
            clock,
            policy: Policy::default(),
            shelf: None,
            bays: Arc::default(),
            orders: Orders::default(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// One device of one persona.
    pub(crate) fn persona(persona: Persona) -> Self {
        Self::of(vec![persona.settings()])
    }

    pub(crate) fn journal_path(&self) -> std::path::PathBuf {
        self.folder.path().join("journal.sqlite3")
    }

    /// Runs the station until every job is over.
    pub(crate) async fn run(&self) -> Ran {
        self.run_until(std::future::pending()).await
    }

    /// Runs the station until every job is over or `stop` resolves.
    pub(crate) async fn run_until(&self, stop: impl Future<Output = ()> + Send) -> Ran {
        let backend = self.fleet.backend();
        let selection = Selection::Listed(backend.list().await.unwrap());
        self.run_over(backend, selection, true, stop).await
    }

    /// Runs the station over another backend.
    pub(crate) async fn run_over(
        &self,
        backend: Arc<dyn Backend>,
        selection: Selection,
        once: bool,
        stop: impl Future<Output = ()> + Send,
    ) -> Ran {
        let board = Arc::new(Board::default());
        let observer = board.clone();
        let journal =
            Journal::open(self.journal_path(), self.clock.clone(), Arc::new(move |e| observer.take(e)))
                .unwrap();
        let station = Arc::new(Station {
            backend,
            journal: Some(journal.clone()),
            board: board.clone(),
            bays: self.bays.clone(),
            trust: self.trust(),
            profile: example_profile(),
            shelf: self.shelf.clone(),
            policy: self.policy.clone(),
            orders: self.orders.clone(),
            clock: self.clock.clone(),
        });
        let seen = follow(&board);
        let begun = Instant::now();
        station.run(selection, once, stop).await;
        let took = begun.elapsed();
        journal.close().await.unwrap();
        let violations = JournalReader::open(&self.journal_path()).unwrap().check();
        assert_eq!(violations, Vec::<String>::new(), "the journal is consistent");
        let bays = board.bays();
        drop((station, board));
        Ran { bays, took, seen: seen.await.unwrap() }
    }

    pub(crate) fn udid(&self) -> Udid {
        self.fleet.udids()[0].clone()
    }

    /// What the first device counted.
    pub(crate) fn counters(&self) -> Counters {
        self.fleet.inspect(&self.udid()).unwrap().counters
    }

    fn trust(&self) -> Trust {
        let identity = StationIdentity::load_or_create(&self.folder.path().join("identity"), &self.clock);
        let store = RecordStore::new(self.folder.path().join("records"), self.clock.clone());
        Trust::new(Arc::new(identity.unwrap()), store)
    }
}

impl Ran {
    /// The only bay.
    pub(crate) fn bay(&self) -> &BayState {
        assert_eq!(self.bays.len(), 1);
        &self.bays[0]
    }

    /// Outcomes the board showed, each once in a row.
    pub(crate) fn outcomes(&self) -> Vec<&'static str> {
        let mut outcomes: Vec<_> = self.seen.iter().map(|b| b.standing.outcome.name()).collect();
        outcomes.dedup();
        outcomes
    }

    pub(crate) fn outcome(&self) -> &'static str {
        self.bay().standing.outcome.name()
    }
}

/// The example profile that comes with the program (fixtures/profiles, constructed).
pub(crate) fn example_profile() -> Arc<Profile> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles/example-scep.mobileconfig");
    let bytes = std::fs::read(path).unwrap();
    let now = BEGINNING.parse().unwrap();
    Arc::new(Profile::load(&bytes, Purpose::Enrollment, &TrustAnchors::none(), now).unwrap())
}
