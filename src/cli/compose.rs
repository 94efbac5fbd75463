//! Composition root of all subcommands but `sim`: configuration in, operations out.

use super::arguments::Global;
use crate::api::macs::{MacOperations, MacParts};
use crate::api::view::{Check, Exit};
use crate::api::{OperationError, Operations, Parts};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, Environment};
use crate::device::trust::{RecordStore, StationIdentity, Trust};
use crate::station::{doctor, library};
use crate::transport::shell::{Address, Local, OpenSsh, Runner};
use crate::transport::usbmuxd::UsbmuxdBackend;
use crate::transport::{Backend, usb};
use crate::wire::printable::sentence;
use crate::wire::profile::TrustAnchors;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The configuration in use.
pub(super) fn configuration(global: &Global, environment: &Environment) -> Result<Config, OperationError> {
    match global.config.as_ref().or(environment.config.as_ref()) {
        Some(path) => Ok(Config::read(path)?),
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

/// Roots that signers of profiles may chain to.
pub(super) fn anchors(config: &Config) -> Result<TrustAnchors, OperationError> {
    Ok(library::anchors(&config.trusted_roots)?)
}

/// Operations through the usbmuxd socket.
pub(super) fn operations(global: &Global, environment: &Environment) -> Result<Operations, OperationError> {
    let config = configuration(global, environment)?;
    let backend = UsbmuxdBackend::new(config::mux_address(environment, &config)?);
    operations_over(Arc::new(backend), &state_dir(global, environment, &config)?, &config)
}

/// Operations through any backend.
pub(super) fn operations_over(
    backend: Arc<dyn Backend>,
    state_dir: &Path,
    config: &Config,
) -> Result<Operations, OperationError> {
    let clock = Clock::System;
    let identity = StationIdentity::load_or_create(&state_dir.join("identity.plist"), &clock)?;
    let store = RecordStore::new(state_dir.join("pair-records"), clock.clone());
    Ok(Operations::new(Parts {
        backend,
        trust: Trust::new(Arc::new(identity), store),
        journal: journal_in(state_dir),
        trusted_roots: config.trusted_roots.clone(),
        clock,
    }))
}

/// Operations on Macs.
pub(super) fn macs(global: &Global, environment: &Environment) -> Result<MacOperations, OperationError> {
    let config = configuration(global, environment)?;
    let journal = journal_in(&state_dir(global, environment, &config)?);
    Ok(MacOperations::new(MacParts { journal, trusted_roots: config.trusted_roots, clock: Clock::System }))
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

/// Checks of this computer.
pub(super) async fn doctor(global: &Global, environment: &Environment) -> Result<Vec<Check>, OperationError> {
    let config = configuration(global, environment)?;
    let backend = UsbmuxdBackend::new(config::mux_address(environment, &config)?);
    let state_dir = state_dir(global, environment, &config)?;
    let station =
        doctor::Station { backend: &backend, state_dir: &state_dir, journal: &journal_in(&state_dir) };
    Ok(doctor::examine(station, usb::look(), &Clock::System).await)
}

impl From<ConfigError> for OperationError {
    fn from(error: ConfigError) -> Self {
        let next = "Correct the setting; README lists all of them.";
        Self::new(Exit::Usage, sentence(&error), next)
    }
}
