//! The simulator's devices on the bus: what attaches in a [`Fleet`] is plugged in here.

use super::iphone::IPhone;
use super::ports::FleetPorts;
use super::topology::Topology;
use super::{Plugged, plug};
use enlist::ids::Udid;
use enlist::sim::Fleet;
use enlist::transport::{Attachment, Backend, BackendEvent};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;

/// Devices on a hub, hubs on a bus: as many as addresses allow.
const PORTS: usize = 16;
const HUBS: usize = 7;

/// A fleet that hangs on the bus.
pub struct PluggedFleet {
    /// The devices; attach and detach them here.
    pub fleet: Fleet,
    topology: Arc<Topology>,
    ports: Arc<Mutex<HashMap<Udid, String>>>,
}

impl PluggedFleet {
    /// Plugs a fleet in and follows it.
    pub(super) fn new(topology: &Arc<Topology>, runtime: &Handle, fleet: Fleet) -> Self {
        let backend = fleet.backend();
        let events = {
            let _inside = runtime.enter();
            backend.watch()
        };
        let followed = Self { fleet, topology: Arc::clone(topology), ports: Arc::default() };
        let follower = Follower {
            topology: Arc::clone(topology),
            backend,
            runtime: runtime.clone(),
            ports: Arc::clone(&followed.ports),
        };
        std::thread::spawn(move || follower.follow(events));
        followed
    }

    /// The device in its port; `None` before it was ever plugged in.
    pub fn plugged(&self, udid: &Udid) -> Option<Plugged> {
        let name = self.ports.lock().unwrap_or_else(PoisonError::into_inner).get(udid).cloned()?;
        Some(Plugged { topology: Arc::clone(&self.topology), name })
    }
}

struct Follower {
    topology: Arc<Topology>,
    backend: Arc<dyn Backend>,
    runtime: Handle,
    ports: Arc<Mutex<HashMap<Udid, String>>>,
}

impl Follower {
    fn follow(&self, mut events: Receiver<BackendEvent>) {
        let mut present = HashMap::new();
        while let Some(event) = events.blocking_recv() {
            match event {
                BackendEvent::Attached(attachment) => {
                    present.insert(attachment.id, self.attach(&attachment));
                }
                BackendEvent::Detached(id) => {
                    let port = present.remove(&id);
                    port.into_iter().for_each(|port| self.topology.unplug(&port).unwrap());
                }
                BackendEvent::Lost { .. } => {
                    present.drain().for_each(|(_, port)| self.topology.unplug(&port).unwrap());
                }
                BackendEvent::Ready | BackendEvent::Unserved(_) | BackendEvent::UnservedLeft(_) => {}
            }
        }
    }

    fn attach(&self, attachment: &Attachment) -> String {
        let _inside = self.runtime.enter();
        let name = self.port_of(&attachment.udid);
        let ports = FleetPorts { backend: Arc::clone(&self.backend), id: attachment.id };
        let phone = IPhone::new(attachment.udid.as_str())
            .with_ports(Arc::new(ports))
            .with_product_id(attachment.product_id.unwrap_or(0x12a8));
        plug(&self.topology, &name, Box::new(phone));
        name
    }

    /// A device keeps its port when it comes back.
    fn port_of(&self, udid: &Udid) -> String {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ports.len();
        let fresh = || {
            let (hub, port) = (known / PORTS, known % PORTS + 1);
            format!("{}-{}.{port}", hub / HUBS + 1, hub % HUBS + 1)
        };
        ports.entry(udid.clone()).or_insert_with(fresh).clone()
    }
}
