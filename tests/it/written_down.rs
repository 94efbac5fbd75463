//! What is being written down while a cable is pulled: the journal may have it already, so
//! the job must remember it.

use crate::support::world::example_profile;
use async_trait::async_trait;
use enlist::clock::Clock;
use enlist::device::trust::{RecordStore, StationIdentity, Trust};
use enlist::device::{DeviceLink, Presence};
use enlist::ids::{Bay, JobId, Udid};
use enlist::sim::{Command, Fleet, FleetOptions, Persona};
use enlist::workflow::engine::{self, EventSink, Job};
use enlist::workflow::event::EventKind;
use enlist::workflow::memory::Memory;
use enlist::workflow::policy::Policy;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Writes pushes down slowly, and the cable is out before the first one's write returns.
struct SlowSink {
    fleet: Fleet,
    links: watch::Sender<Presence>,
    pushes: Mutex<Vec<u32>>,
}

#[async_trait]
impl EventSink for SlowSink {
    async fn emit(&self, _: JobId, kind: EventKind) -> Result<(), String> {
        let EventKind::PushStarted { number } = kind else { return Ok(()) };
        let first = {
            let mut pushes = self.pushes.lock().unwrap();
            pushes.push(number);
            // As the journal does.
            if pushes.len() != number as usize {
                return Err(format!("push {number} does not follow {:?}", &pushes[..pushes.len() - 1]));
            }
            number == 1
        };
        if first {
            self.fleet.control(Command::Detach { udid: None }).unwrap();
            self.links.send_replace(Presence::Unplugged);
        }
        sleep(Duration::from_millis(20)).await;
        Ok(())
    }

    async fn post(&self, _: JobId, kind: EventKind) -> Result<(), String> {
        if matches!(kind, EventKind::Detached) {
            self.fleet.control(Command::Attach { udid: None }).unwrap();
            self.links.send_replace(Presence::Here(link(&self.fleet).await));
        }
        Ok(())
    }
}

async fn link(fleet: &Fleet) -> DeviceLink {
    let backend = fleet.backend();
    let attachment = backend.list().await.unwrap().remove(0);
    let bay = Bay::from_location(attachment.location);
    DeviceLink::new(backend, attachment, bay)
}

#[tokio::test(start_paused = true)]
async fn a_push_written_down_while_the_cable_is_pulled_is_remembered() {
    let clock = Clock::starting_at("2026-11-21T08:00:00Z".parse().unwrap());
    let specs = vec![Persona::Ready.into()];
    let fleet =
        Fleet::new(FleetOptions { devices: 1, specs, clock: clock.clone(), ..FleetOptions::default() });
    let fleet = fleet.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let identity = StationIdentity::load_or_create(&folder.path().join("identity"), &clock).unwrap();
    let store = RecordStore::new(folder.path().join("records"), clock.clone());
    let (links, follow) = watch::channel(Presence::Here(link(&fleet).await));
    let sink = Arc::new(SlowSink { fleet: fleet.clone(), links, pushes: Mutex::default() });
    let verdict = engine::run(Job {
        id: JobId(1),
        assigner: None,
        profile: example_profile(),
        policy: Policy::default(),
        trust: Trust::new(Arc::new(identity), store),
        clock,
        links: follow,
        sink: sink.clone(),
        memory: Memory::default(),
    })
    .await;
    assert_eq!(verdict.outcome.name(), "enrolled", "{verdict:?}");
    assert_eq!(*sink.pushes.lock().unwrap(), [1, 2]);
    let udid: Udid = fleet.udids().remove(0);
    assert_eq!(fleet.inspect(&udid).unwrap().counters.pushes_received, 1, "the first never left");
}
