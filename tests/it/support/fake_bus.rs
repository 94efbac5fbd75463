//! A bus around simulated devices: ports, devices that no mux serves, rungs of the ladder.

use async_trait::async_trait;
use enlist::ids::{MuxId, PortPath};
use enlist::limits::STREAM_OPEN;
use enlist::sim::Fleet;
use enlist::transport::{
    Attachment, Backend, BackendEvent, BoxChannel, Rung, RungError, TransportError, Unserved, UnservedReason,
    UsbDevice, UsbMode,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::time::sleep;

/// What a rung does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The device goes, comes back, and works again.
    Heals,
    /// The device goes, comes back, and is as deaf as before.
    Restarts,
    /// Nothing.
    Nothing,
    /// It cannot be taken.
    Impossible,
}

/// The simulator's backend with a bus around it.
#[derive(Debug)]
pub(crate) struct FakeBus {
    fleet: Fleet,
    inner: Arc<dyn Backend>,
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<BackendEvent>,
}

#[derive(Debug)]
struct State {
    port: PortPath,
    deaf: bool,
    effects: [Effect; 2],
    taken: Vec<Rung>,
    unserved: Vec<Unserved>,
}

pub(crate) fn port(last: u8) -> PortPath {
    PortPath { controller: Some("0000:00:14.0".into()), bus: 1, ports: vec![4, last] }
}

/// A device at a port; `serial` is its USB serial string.
pub(crate) fn unserved(last: u8, mode: UsbMode, serial: &str, reason: UnservedReason) -> Unserved {
    let boots = matches!(mode, UsbMode::Recovery | UsbMode::Dfu);
    let device = UsbDevice {
        bus: 1,
        address: last,
        port: port(last),
        product_id: 0x12a8,
        mode,
        serial: Some(serial.to_owned()).filter(|_| !boots),
        boot: enlist::wire::boot_identity::BootIdentity::parse(serial).filter(|_| boots),
        configuration: None,
    };
    Unserved { device, reason }
}

impl FakeBus {
    pub(crate) fn around(fleet: &Fleet) -> Arc<Self> {
        let state = State {
            port: port(1),
            deaf: false,
            effects: [Effect::Impossible; 2],
            taken: Vec::new(),
            unserved: Vec::new(),
        };
        Arc::new(Self {
            fleet: fleet.clone(),
            inner: fleet.backend(),
            state: Arc::new(Mutex::new(state)),
            events: broadcast::channel(64).0,
        })
    }

    /// The device answers nothing until a rung heals it.
    pub(crate) fn deafen(&self, reset: Effect, power: Effect) {
        let mut state = self.state.lock().unwrap();
        (state.deaf, state.effects) = (true, [reset, power]);
    }

    /// What rungs do from now on.
    pub(crate) fn rungs(&self, reset: Effect, power: Effect) {
        self.state.lock().unwrap().effects = [reset, power];
    }

    /// Where devices hang from the next attach on.
    pub(crate) fn move_to(&self, port: PortPath) {
        self.state.lock().unwrap().port = port;
    }

    pub(crate) fn taken(&self) -> Vec<Rung> {
        self.state.lock().unwrap().taken.clone()
    }

    pub(crate) fn show(&self, unserved: &Unserved) {
        self.state.lock().unwrap().unserved.push(unserved.clone());
        let _ = self.events.send(BackendEvent::Unserved(unserved.clone()));
    }

    /// The mux dies.
    pub(crate) fn lose_mux(&self) {
        let _ = self.events.send(BackendEvent::Lost { reason: "this is a test".into() });
    }

    pub(crate) fn hide(&self, port: &PortPath) {
        self.state.lock().unwrap().unserved.retain(|u| u.device.port != *port);
        let _ = self.events.send(BackendEvent::UnservedLeft(port.clone()));
    }
}

#[async_trait]
impl Backend for FakeBus {
    fn describe(&self) -> String {
        "a bus of a test".into()
    }

    async fn list(&self) -> Result<Vec<Attachment>, TransportError> {
        Ok(self.inner.list().await?.into_iter().map(|a| at_port(&self.state, a)).collect())
    }

    fn watch(&self) -> mpsc::Receiver<BackendEvent> {
        let (to, receiver) = mpsc::channel(64);
        let (mut inner, mut own) = (self.inner.watch(), self.events.subscribe());
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            let present = state.lock().unwrap().unserved.clone();
            for unserved in present {
                let _ = to.send(BackendEvent::Unserved(unserved)).await;
            }
            loop {
                let event = tokio::select! {
                    Some(event) = inner.recv() => event,
                    Ok(event) = own.recv() => event,
                    () = to.closed() => return,
                };
                let event = match event {
                    BackendEvent::Attached(a) => BackendEvent::Attached(at_port(&state, a)),
                    other => other,
                };
                if to.send(event).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    async fn connect(&self, id: MuxId, port: u16) -> Result<BoxChannel, TransportError> {
        if self.state.lock().unwrap().deaf {
            // One that answers nothing; a refusal would be a locked one.
            return Err(TransportError::Timeout { what: format!("port {port}"), after: STREAM_OPEN });
        }
        self.inner.connect(id, port).await
    }

    fn beneath(&self) -> Option<&dyn Backend> {
        Some(&*self.inner)
    }

    async fn unserved(&self) -> Vec<Unserved> {
        self.state.lock().unwrap().unserved.clone()
    }

    async fn recover(&self, _: MuxId, rung: Rung) -> Result<(), RungError> {
        let effect = {
            let mut state = self.state.lock().unwrap();
            let effect = state.effects[usize::from(rung == Rung::PowerCyclePort)];
            if effect == Effect::Impossible {
                return Err(RungError::NotPossible("this is a test".into()));
            }
            state.taken.push(rung);
            state.deaf &= effect != Effect::Heals;
            effect
        };
        if effect != Effect::Nothing {
            // Switching power takes its time.
            sleep(Duration::from_secs(1)).await;
            let udid = &self.fleet.udids()[0];
            self.fleet.detach(udid).unwrap();
            sleep(Duration::from_secs(1)).await;
            self.fleet.attach(udid).unwrap();
        }
        Ok(())
    }

    async fn recover_port(&self, port: &PortPath, rung: Rung) -> Result<(), RungError> {
        let effect = {
            let mut state = self.state.lock().unwrap();
            let effect = state.effects[usize::from(rung == Rung::PowerCyclePort)];
            if effect == Effect::Impossible {
                return Err(RungError::NotPossible("this is a test".into()));
            }
            state.taken.push(rung);
            effect
        };
        sleep(Duration::from_secs(1)).await;
        let there = self.state.lock().unwrap().unserved.iter().find(|u| u.device.port == *port).cloned();
        let there = there.unwrap();
        match effect {
            Effect::Heals => {
                self.hide(port);
                self.move_to(port.clone());
                self.fleet.attach(&self.fleet.udids()[0]).unwrap();
            }
            Effect::Restarts => {
                self.hide(port);
                sleep(Duration::from_secs(5)).await;
                self.show(&there);
            }
            Effect::Nothing | Effect::Impossible => {}
        }
        Ok(())
    }
}

fn at_port(state: &Mutex<State>, attachment: Attachment) -> Attachment {
    Attachment { port: Some(state.lock().unwrap().port.clone()), ..attachment }
}
