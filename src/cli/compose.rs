//! Composition root of all subcommands but `sim`: configuration in, operations out.

mod way;

pub(super) use crate::transport::recorder::Recorder;
pub(super) use way::{Held, Way};

use super::arguments::Global;
use crate::api::macs::{MacOperations, MacParts};
use crate::api::view::{Check, Exit};
use crate::api::{AgeAnswers, Export, Hook, Library, OperationError, Operations, Orders, Parts};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, Environment, MuxWay};
use crate::device::trust::{RecordStore, StationIdentity, StationRecords, Supervisors, Trust};
use crate::journal;
use crate::station::age::{Age, Beside, file_date};
use crate::station::blueprints::{self, Blueprints};
use crate::station::library::{self, Signers, store};
use crate::station::{BayNames, backup, doctor, learn};
use crate::transport::recorder::{Place, Recording};
use crate::transport::shell::{Address, Local, OpenSsh, Runner};
use crate::transport::usbmuxd::UsbmuxdBackend;
use crate::transport::{Backend, PairRecords, usb};
use crate::wire::printable::sentence;
use crate::wire::profile::TrustAnchors;
use crate::workflow::blueprint::Blueprint;
use crate::workflow::preparation::Preparations;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// The configuration in use.
pub(super) fn configuration(global: &Global, environment: &Environment) -> Result<Config, OperationError> {
    match global.config.as_ref().or(environment.config.as_ref()) {
        Some(path) => Ok(Config::read(path)?.with_credentials(environment.credentials.as_deref())),
        None => Ok(Config::default()),
    }
}

/// The state folder: flag, environment, file, the user's own.
pub(super) fn state_dir(
    global: &Global,
    environment: &Environment,
    config: &Config,
) -> Result<PathBuf, OperationError> {
    let given = global.state_dir.as_ref().or(environment.state_dir.as_ref()).or(config.state_dir.as_ref());
    match given {
        Some(folder) => Ok(folder.clone()),
        None => Ok(environment.default_state_dir()?),
    }
}

/// The journal's file in a state folder.
pub(super) fn journal_in(state_dir: &Path) -> PathBuf {
    state_dir.join("journal.sqlite3")
}

/// Whose signature profiles may have.
pub(super) fn signers(config: &Config) -> Signers {
    Signers { roots: config.trusted_roots.clone(), pin: config.profile_signer.clone() }
}

/// The same, read.
pub(super) fn anchors(config: &Config) -> Result<TrustAnchors, OperationError> {
    Ok(signers(config).anchors()?)
}

/// The organisation's supervision identities.
pub(super) fn supervisors(config: &Config) -> Result<Supervisors, OperationError> {
    let supervisors =
        Supervisors::read(&config.supervision.identity, config.supervision.password()?.as_ref())?;
    let now = Clock::System.now();
    for identity in supervisors.all().iter().filter(|identity| !identity.is_valid(now)) {
        tracing::warn!("devices may refuse the supervision identity {}", identity.described(now));
    }
    Ok(supervisors)
}

/// What the station keeps of itself.
struct Keeping {
    state_dir: PathBuf,
    identity: Arc<StationIdentity>,
    store: RecordStore,
}

impl Keeping {
    fn open(state_dir: &Path) -> Result<Self, OperationError> {
        backup::finish(state_dir)?;
        let clock = Clock::System;
        let identity = Arc::new(StationIdentity::load_or_create(&state_dir.join("identity.plist"), &clock)?);
        let store = RecordStore::new(state_dir.join("pair-records"), clock);
        Ok(Self { state_dir: state_dir.into(), identity, store })
    }

    fn records(&self) -> Arc<dyn PairRecords> {
        Arc::new(StationRecords::new(self.identity.clone(), self.store.clone()))
    }

    fn operations(
        self,
        backend: Arc<dyn Backend>,
        config: &Config,
        global: &Global,
    ) -> Result<Operations, OperationError> {
        Ok(Operations::new(Parts {
            backend,
            bays: Arc::new(bay_names(config, &self.state_dir)?),
            learned_bays: learn::file_in(&self.state_dir),
            trust: Trust::new(self.identity, self.store).supervising(supervisors(config)?),
            journal: journal_in(&self.state_dir),
            signers: signers(config),
            clock: Clock::System,
            quick: global.quick.clone().unwrap_or_else(Handle::current),
        }))
    }
}

/// Names of bays: those of the configuration, and those that were learned.
pub(super) fn bay_names(config: &Config, state_dir: &Path) -> Result<BayNames, OperationError> {
    let learned = learn::read(&learn::file_in(state_dir))?;
    Ok(BayNames::new(config.bays.clone(), learned))
}

/// Operations through the way to the devices that flags, environment and configuration ask
/// for.
pub(super) async fn operations(
    global: &Global,
    environment: &Environment,
) -> Result<Operations, OperationError> {
    Ok(station(global, environment, None).await?.0)
}

/// As [`operations`], with the way that was chosen; what goes over it may be recorded.
pub(super) async fn station(
    global: &Global,
    environment: &Environment,
    recorder: Option<&Recorder>,
) -> Result<(Operations, Way), OperationError> {
    let config = configuration(global, environment)?;
    let keeping = Keeping::open(&state_dir(global, environment, &config)?)?;
    let way = way::choose(global, environment, &config, || keeping.records()).await?;
    Ok((keeping.operations(recorded(way.backend.clone(), recorder), &config, global)?, way))
}

/// A recorder of the one job of a run.
pub(super) fn record_into(folder: &Path) -> Recorder {
    Recorder::new(Place::Folder(folder.to_owned()), Clock::System)
}

/// A recorder of many jobs, each in a folder of its own.
pub(super) fn record_each_into(folder: &Path) -> Recorder {
    Recorder::new(Place::FolderOfEach(folder.to_owned()), Clock::System)
}

/// The same way, recorded if it shall be.
pub(super) fn recorded(backend: Arc<dyn Backend>, recorder: Option<&Recorder>) -> Arc<dyn Backend> {
    match recorder {
        Some(recorder) => Arc::new(Recording::new(backend, recorder.clone())),
        None => backend,
    }
}

/// Folders of a rig.
pub(super) struct RigFolders {
    /// What it keeps of itself: nothing of it mixes with a station's.
    pub(super) state: PathBuf,
    /// Where its leases are: one folder a user, whatever the state folder.
    pub(super) leases: PathBuf,
}

/// Operations for a rig, which holds these identities beside the configured ones.
pub(super) async fn rig(
    global: &Global,
    environment: &Environment,
    identities: Vec<PathBuf>,
    recorder: Option<&Recorder>,
) -> Result<(Operations, RigFolders), OperationError> {
    let mut config = configuration(global, environment)?;
    let known = config.supervision.identity.clone();
    config.supervision.identity.extend(identities.into_iter().filter(|file| !known.contains(file)));
    config.supervision.identity.dedup();
    let state_dir = state_dir(global, environment, &config)?;
    if journal::is_in_use(&journal_in(&state_dir)) {
        let said = "A station runs on this computer: it would work with the devices of the rig too.";
        return Err(OperationError::new(Exit::Usage, said, "Stop it, then run this again."));
    }
    let leases = environment.default_state_dir().unwrap_or_else(|_| state_dir.clone()).join("leases");
    let state = state_dir.join("rig");
    let keeping = Keeping::open(&state)?;
    let way = way::choose(global, environment, &config, || keeping.records()).await?;
    let operations = keeping.operations(recorded(way.backend, recorder), &config, global)?;
    Ok((operations, RigFolders { state, leases }))
}

/// Operations through any backend.
pub(super) fn operations_over(
    backend: Arc<dyn Backend>,
    state_dir: &Path,
    config: &Config,
    global: &Global,
) -> Result<Operations, OperationError> {
    Keeping::open(state_dir)?.operations(backend, config, global)
}

/// The exports the station keeps, and those it met.
pub(super) fn library(global: &Global, environment: &Environment) -> Result<Library, OperationError> {
    let config = configuration(global, environment)?;
    let state_dir = state_dir(global, environment, &config)?;
    Ok(Library {
        folder: store::folder_in(&state_dir),
        journal: journal_in(&state_dir),
        signers: signers(&config),
        unknown: config.enroll.unknown_age.unwrap_or_default(),
        clock: Clock::System,
    })
}

/// Blueprints and hooks, as the configuration has them; `blueprints` outranks its folder.
pub(super) fn orders(
    config: &Config,
    blueprints: Option<&PathBuf>,
    wanted: Option<String>,
) -> Result<Orders, OperationError> {
    let mut orders = Orders { blueprint: wanted, ..Orders::default() };
    for hook in &config.hooks {
        let (on, within) = (hook.outcomes()?, Duration::from_secs(hook.within));
        orders.hooks.push(Hook { on, command: hook.command.clone(), within });
    }
    if let Some(folder) = blueprints.or(config.blueprints.as_ref()) {
        let first = Blueprints::load(folder, &signers(config), Clock::System.now())?;
        if let Some(wanted) = orders.blueprint.as_ref().filter(|w| !first.all.iter().any(|b| b.name == **w)) {
            let names: Vec<_> = first.all.iter().map(|b| b.name.as_str()).collect();
            let said = format!("There is no blueprint '{wanted}' in {}.", folder.display());
            return Err(OperationError::new(Exit::Usage, said, format!("There are: {}.", names.join(", "))));
        }
        let identities = supervisors(config)?;
        let certificates: Vec<_> =
            identities.all().iter().map(|identity| identity.certificate().to_vec()).collect();
        let preparations = Preparations::new(config.prepare.clone().wishes(), &certificates);
        // What one of them cannot have is told before any device is touched.
        for prepare in first.all.iter().filter_map(Blueprint::prepare) {
            preparations.of(prepare)?;
        }
        orders.preparations = Some(Arc::new(preparations));
        let followed = blueprints::follow(folder.clone(), first, signers(config), Clock::System);
        orders.blueprints = Some(followed);
    } else if orders.blueprint.is_some() {
        let next = "Name it in the configuration: blueprints = \"DIR\".";
        return Err(OperationError::new(Exit::Usage, "There is no folder of blueprints.", next));
    }
    Ok(orders)
}

/// Names of the blueprints; `blueprints` outranks the configuration's folder. `None` without one.
pub(super) fn blueprint_names(
    config: &Config,
    blueprints: Option<&PathBuf>,
) -> Result<Option<Vec<String>>, OperationError> {
    let folder = blueprints.or(config.blueprints.as_ref());
    Ok(folder.map(|folder| blueprints::names(folder)).transpose()?)
}

/// When the export ends that a station would push, by this file or by the configuration.
pub(super) fn end_of_export(
    given: Option<&PathBuf>,
    config: &Config,
    answers: &AgeAnswers,
) -> Result<Option<Timestamp>, OperationError> {
    // Of a folder the station takes what is newest then.
    let Some(path) = given.or(config.profile.as_ref()).filter(|path| !path.is_dir()) else { return Ok(None) };
    let bytes = library::bytes(path)?;
    let beside = Beside { exported_at: answers.exported_at, file_date: file_date(path), first_seen: None };
    let age = Age::of(&bytes, beside, &anchors(config)?, Clock::System.now());
    Ok(age.map(|age| age.ends))
}

/// The profile that a station has which was given none: that of a blueprint.
pub(super) fn only_blueprints(orders: &mut Orders) -> Option<Export> {
    let blueprints = orders.blueprints.as_ref()?.borrow().clone();
    let wanted = orders.blueprint.as_deref();
    let mut meant = blueprints.all.iter().filter(|b| wanted.is_none_or(|wanted| b.name == wanted));
    let export = meant.find_map(|blueprint| blueprints.files(&blueprint.name).export)?;
    orders.only_blueprints = true;
    // Its age counts when a device gets it: each blueprint has its own.
    Some(Export { profile: export.profile, age: None, refusal: None, ends: None })
}

/// Operations on Macs.
pub(super) fn macs(global: &Global, environment: &Environment) -> Result<MacOperations, OperationError> {
    let config = configuration(global, environment)?;
    let journal = journal_in(&state_dir(global, environment, &config)?);
    Ok(MacOperations::new(MacParts { journal, signers: signers(&config), clock: Clock::System }))
}

/// Ways to Macs: over ssh, or to this one if no address is given.
pub(super) fn runners(
    addresses: &[String],
    ssh_config: Option<&Path>,
) -> Result<Vec<Arc<dyn Runner>>, OperationError> {
    let mut runners: Vec<Arc<dyn Runner>> = Vec::new();
    let mut seen = Vec::new();
    for address in addresses {
        let address: Address = address.parse()?;
        if !seen.contains(&address) {
            runners.push(Arc::new(OpenSsh::new(address.clone(), ssh_config.map(Path::to_owned))));
            seen.push(address);
        }
    }
    if runners.is_empty() {
        runners.push(Arc::new(Local));
    }
    Ok(runners)
}

/// Checks of this computer. Nothing is opened that a running station may hold.
pub(super) async fn doctor(global: &Global, environment: &Environment) -> Result<Vec<Check>, OperationError> {
    let config = configuration(global, environment)?;
    let backend = UsbmuxdBackend::new(config::mux_address(environment, &config)?);
    let state_dir = state_dir(global, environment, &config)?;
    let asked = global.mux.or(config.mux.way);
    let way = match asked {
        Some(way) => way,
        None if config::mux_address_is_given(environment, &config) => MuxWay::Usbmuxd,
        None => MuxWay::Auto,
    };
    let station = doctor::Station {
        mux: (way != MuxWay::Usb).then_some(&backend as &dyn Backend),
        may_use_bus: way == MuxWay::Auto,
        state_dir: &state_dir,
        journal: &journal_in(&state_dir),
        root: Path::new("/"),
    };
    let bus = doctor::Bus { devices: usb::look(), loads: usb::load().unwrap_or_default() };
    let mut checks = doctor::examine(station, bus, &Clock::System).await;
    let library = store::folder_in(&state_dir);
    if let Some(path) = config.profile.as_ref().or(library.is_dir().then_some(&library)) {
        let answers =
            AgeAnswers { unknown: config.enroll.unknown_age.unwrap_or_default(), ..AgeAnswers::default() };
        let now = Clock::System.now();
        checks.push(doctor::export(path, answers, &signers(&config), &journal_in(&state_dir), now));
    }
    if let Some(folder) = &config.blueprints {
        checks.push(doctor::blueprints(folder, &signers(&config), Clock::System.now()));
    }
    Ok(checks)
}

impl From<ConfigError> for OperationError {
    fn from(error: ConfigError) -> Self {
        let next = "Correct the setting; README lists all of them.";
        Self::new(Exit::Usage, sentence(&error), next)
    }
}
