//! Bays: what ports are called, and learning it.

use super::Operations;
use crate::api::OperationError;
use crate::api::view::{DeviceView, Exit, PortView};
use crate::ids::{BayName, PortPath};
use crate::station::learn::{self, Learned, Learner, Names};
use crate::transport::BackendEvent;
use std::collections::BTreeMap;
use std::future::Future;
use tokio::time::Instant;

/// How bays are learned.
#[derive(Debug, Clone)]
pub struct LearnOptions {
    /// Names in the order of plugging; if empty, `prefix` and a number.
    pub names: Vec<BayName>,
    /// What stands before the number.
    pub prefix: String,
    /// End after so many ports.
    pub count: Option<usize>,
}

/// What a person who plugs is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearnStep {
    /// The next new port becomes this bay.
    Next(String),
    /// A port got its name.
    Named(PortView),
    /// A port was plugged that has its name from this round.
    Again(PortView),
    /// A device came, and nothing here can tell which port that is.
    NoPort,
    /// There is no way to the devices, for this reason.
    Lost(String),
}

impl Operations {
    /// Every port that has a name or a device, in the order of bays. Names are listed even
    /// if the devices cannot be asked for.
    pub async fn bays(&self) -> Vec<PortView> {
        let attached = self.desk.attached().await.unwrap_or_default();
        let served = attached.into_iter().filter_map(|a| Some((a.port.clone()?, a.udid.to_string())));
        let unserved = self.desk.unserved().await.into_iter().filter_map(|state| {
            let port = state.port.clone()?;
            Some((port, DeviceView::of_bay(&state, self.parts.clock.now()).known_as()))
        });
        let mut here: BTreeMap<PortPath, Vec<String>> = BTreeMap::new();
        for (port, device) in served.chain(unserved) {
            here.entry(port).or_default().push(device);
        }
        let names = &self.parts.bays;
        let empty = names.all().into_iter().filter(|(name, ..)| !here.keys().any(|port| name.names(port)));
        let empty =
            empty.map(|(name, bay, by)| PortView::new(name.as_str(), bay.bay(), by.name(), Vec::new()));
        let mut views: Vec<_> = empty.collect();
        views.extend(here.into_iter().map(|(port, devices)| {
            let (bay, by) = names.of_port(&port);
            PortView::of_port(&port, bay, by.name(), devices)
        }));
        views.sort_by_cached_key(|view| (view.bay.sort_key(), view.port.clone()));
        views
    }

    /// Learns which port is which bay while a person plugs a device from port to port; ends
    /// with the names, with the count, or with `done`. What was learned replaces what was
    /// learned before.
    ///
    /// # Errors
    /// Nothing was learned, or it cannot be kept.
    pub async fn learn_bays(
        &self,
        options: LearnOptions,
        tell: &(dyn Fn(LearnStep) + Send + Sync),
        done: impl Future<Output = ()> + Send,
    ) -> Result<Vec<PortView>, OperationError> {
        let names = match options.names.is_empty() {
            true => Names::Numbered { prefix: options.prefix, given: 0 },
            false => Names::Listed(options.names.into()),
        };
        let backend = &self.parts.backend;
        let attached = backend.list().await.unwrap_or_default();
        let mut learner = Learner::new(names, &attached, &backend.unserved().await);
        let mut events = backend.watch();
        let count = options.count.unwrap_or(usize::MAX);
        tokio::pin!(done);
        let next = |learner: &Learner| {
            let name = learner.next_name().filter(|_| learner.learned().len() < count)?;
            tell(LearnStep::Next(name.as_str().to_owned()));
            Some(())
        };
        let mut more = next(&learner);
        while more.is_some() {
            let event = tokio::select! {
                event = events.recv() => event,
                () = &mut done => None,
            };
            let Some(event) = event else { break };
            if let BackendEvent::Lost { reason } = &event {
                tell(LearnStep::Lost(reason.clone()));
            }
            let view = |port: &str, bay| PortView::new(port, bay, "learned", Vec::new());
            match learner.take(&event, Instant::now()) {
                Some(Learned::Named { port, bay }) => {
                    tell(LearnStep::Named(view(port.as_str(), bay)));
                    more = next(&learner);
                }
                Some(Learned::Again { port, bay }) => tell(LearnStep::Again(view(port.as_str(), bay))),
                Some(Learned::NoPort) => tell(LearnStep::NoPort),
                None => {}
            }
        }
        if learner.learned().is_empty() {
            return Err(OperationError::new(
                Exit::NoDevice,
                "No port was learned.",
                "Plug a device into each port, one after the other; what was learned before still holds.",
            ));
        }
        learn::write(&self.parts.learned_bays, learner.learned())?;
        let learned = learner.learned().iter();
        let mut views: Vec<_> = learned
            .map(|(port, bay)| PortView::new(port.as_str(), bay.bay(), "learned", Vec::new()))
            .collect();
        views.sort_by_cached_key(|view| view.bay.sort_key());
        Ok(views)
    }
}
