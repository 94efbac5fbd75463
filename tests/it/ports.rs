//! What the station does with the bus, in virtual time: bays by port, devices that no mux
//! serves, cables that flap, and the recovery ladder.

use crate::support::fake_bus::{Effect, FakeBus, port, unserved};
use crate::support::world::{Ran, World};
use enlist::ids::{Bay, Udid};
use enlist::journal::{HistoryFilter, JournalReader};
use enlist::sim::span::Span;
use enlist::sim::{After, Fleet, Persona, Settings};
use enlist::station::{BayNames, Selection};
use enlist::transport::{Backend, Rung, UnservedReason, UsbMode};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A device whose profile waits for a person who never comes: its job stays open.
fn open_for_long() -> Settings {
    Settings { accept_after: After::Never, person_jitter: Span(Duration::ZERO), ..Persona::Ready.settings() }
}

/// A world whose ports 1-4.1 and 1-4.2 are Bay 7 and Bay 8.
fn world(settings: Settings) -> (World, Arc<FakeBus>) {
    let mut world = World::of(vec![settings]);
    let names = [("0000:00:14.0/4.1", "Bay 7"), ("1-4.2", "Bay 8")];
    let names = names.map(|(port, bay)| (port.parse().unwrap(), bay.parse().unwrap())).into();
    world.bays = Arc::new(BayNames::new(names, Default::default()));
    let bus = FakeBus::around(&world.fleet);
    (world, bus)
}

async fn once(world: &World, bus: &Arc<FakeBus>) -> Ran {
    let selection = Selection::Listed(bus.list().await.unwrap());
    world.run_over(bus.clone(), selection, true, std::future::pending()).await
}

async fn serve(world: &World, bus: &Arc<FakeBus>, stop: impl Future<Output = ()> + Send) -> Ran {
    world.run_over(bus.clone(), Selection::All, false, stop).await
}

async fn flap(fleet: &Fleet, udid: &Udid, times: u32) {
    for _ in 0..times {
        fleet.detach(udid).unwrap();
        sleep(SECOND).await;
        fleet.attach(udid).unwrap();
        sleep(SECOND).await;
    }
}

/// Outcomes of all jobs in the journal, oldest first; an open one is `open`.
fn jobs(world: &World) -> Vec<&'static str> {
    let rows =
        JournalReader::open(&world.journal_path()).unwrap().history(&HistoryFilter::default()).unwrap();
    rows.iter().rev().map(|row| row.outcome.map_or("open", |o| o.name())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_named_port_is_the_bay_everywhere() {
    let (world, bus) = world(Persona::InSetup.settings());
    let ran = once(&world, &bus).await;
    assert_eq!((ran.outcome(), &ran.bay().bay), ("enrolled", &Bay("Bay 7".into())));
    let rows =
        JournalReader::open(&world.journal_path()).unwrap().history(&HistoryFilter::default()).unwrap();
    assert_eq!(rows[0].bay, Bay("Bay 7".into()));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_keeps_disappearing_is_quarantined_and_let_in_when_it_is_calm() {
    let (world, bus) = world(open_for_long());
    let (fleet, udid) = (world.fleet.clone(), world.udid());
    let ran = serve(&world, &bus, async {
        sleep(20 * SECOND).await;
        flap(&fleet, &udid, 8).await;
        sleep(60 * SECOND).await;
    })
    .await;
    let quarantined =
        ran.seen.iter().filter(|b| b.standing.outcome.name() == "quarantined").collect::<Vec<_>>();
    assert_eq!(quarantined[0].standing.sentence, "The device keeps disappearing from Bay 7.");
    assert_eq!(quarantined[0].standing.next.as_deref(), Some("Try another cable in Bay 7."));
    // Coming and going is still shown.
    assert!(quarantined.iter().any(|b| b.attached) && quarantined.iter().any(|b| !b.attached));
    assert_eq!(ran.outcome(), "waiting-for-person");
    // Its job stayed the same one and remembers that the profile waits on the device.
    assert_eq!(jobs(&world), ["open"]);
    assert_eq!(world.counters().pushes_received, 1);
    assert_eq!(ran.bay().pushes, 1);
}

#[tokio::test(start_paused = true)]
async fn another_bay_ends_the_quarantine_at_once() {
    let (world, bus) = world(open_for_long());
    let (fleet, udid) = (world.fleet.clone(), world.udid());
    let ran = serve(&world, &bus, async {
        sleep(20 * SECOND).await;
        flap(&fleet, &udid, 5).await;
        fleet.detach(&udid).unwrap();
        sleep(2 * SECOND).await;
        bus.move_to(port(2));
        fleet.attach(&udid).unwrap();
        sleep(5 * SECOND).await;
    })
    .await;
    assert!(ran.outcomes().contains(&"quarantined"));
    assert_eq!((ran.outcome(), &ran.bay().bay), ("waiting-for-person", &Bay("Bay 8".into())));
    assert_eq!(world.counters().pushes_received, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_must_end_gives_a_quarantined_device_up() {
    let (world, bus) = world(open_for_long());
    let (fleet, udid) = (world.fleet.clone(), world.udid());
    let cable = tokio::spawn(async move {
        sleep(20 * SECOND).await;
        flap(&fleet, &udid, 200).await;
    });
    let ran = once(&world, &bus).await;
    cable.abort();
    assert_eq!(ran.outcome(), "quarantined");
    assert_eq!(jobs(&world), ["quarantined"]);
    assert!(ran.took < 130 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_mux_that_comes_and_goes_speaks_against_no_cable() {
    let (world, bus) = world(open_for_long());
    let fleet = world.fleet.clone();
    let ran = serve(&world, &bus, async {
        for _ in 0..8 {
            sleep(3 * SECOND).await;
            fleet.restart_mux();
        }
        sleep(20 * SECOND).await;
    })
    .await;
    assert!(!ran.outcomes().contains(&"quarantined"), "{:?}", ran.outcomes());
    assert_eq!(ran.outcome(), "waiting-for-person");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_answers_nothing_is_reset_and_then_goes_on() {
    let (world, bus) = world(Persona::InSetup.settings());
    bus.deafen(Effect::Heals, Effect::Impossible);
    let ran = once(&world, &bus).await;
    assert_eq!(ran.outcome(), "enrolled");
    assert_eq!(bus.taken(), [Rung::ResetDevice]);
    assert!(ran.seen.iter().any(|b| b.standing.sentence == "Resetting the device..."));
    assert_eq!(jobs(&world), ["enrolled"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_reset_does_not_heal_gets_its_power_switched_once() {
    for reset in [Effect::Nothing, Effect::Restarts, Effect::Impossible] {
        let (world, bus) = world(Persona::InSetup.settings());
        bus.deafen(reset, Effect::Heals);
        let ran = once(&world, &bus).await;
        assert_eq!(ran.outcome(), "enrolled", "{reset:?}");
        let taken = bus.taken();
        assert_eq!(taken.last(), Some(&Rung::PowerCyclePort));
        assert_eq!(taken.len(), if reset == Effect::Impossible { 1 } else { 2 });
        let power = "Switching the port's power off and on...";
        assert!(ran.seen.iter().any(|b| b.standing.sentence == power));
    }
}

#[tokio::test(start_paused = true)]
async fn a_ladder_that_is_used_up_asks_a_person() {
    let (world, bus) = world(Persona::InSetup.settings());
    bus.deafen(Effect::Restarts, Effect::Nothing);
    let ran = once(&world, &bus).await;
    assert_eq!(ran.outcome(), "failed");
    let next = ran.bay().standing.next.clone().unwrap();
    assert!(next.starts_with("Unplug the device, try another cable"), "{next}");
    assert_eq!(bus.taken(), [Rung::ResetDevice, Rung::PowerCyclePort]);
    assert!(!ran.outcomes().contains(&"quarantined"));
}

#[tokio::test(start_paused = true)]
async fn a_ladder_that_cannot_be_climbed_is_not_shown() {
    let (world, bus) = world(Persona::InSetup.settings());
    bus.deafen(Effect::Impossible, Effect::Impossible);
    let ran = once(&world, &bus).await;
    assert_eq!(ran.outcome(), "failed");
    assert!(!ran.outcomes().contains(&"retrying"));
}

/// Constructed after 8.1; the ECID is the tail of the UDID it comes back with.
fn recovery_string(udid: &Udid) -> String {
    format!("CPID:8110 BDID:18 ECID:{:016X} SRNM:[F2LXK0AAJC6C]", udid.ecid().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_device_in_recovery_has_a_line_until_it_comes_in_normal_mode() {
    let (world, bus) = world(Persona::InSetup.settings());
    let (fleet, udid) = (world.fleet.clone(), world.udid());
    fleet.detach(&udid).unwrap();
    bus.show(&unserved(2, UsbMode::Recovery, &recovery_string(&udid), UnservedReason::Mode));
    let ran = serve(&world, &bus, async {
        sleep(5 * SECOND).await;
        bus.hide(&port(2));
        sleep(5 * SECOND).await;
        // It boots, and somebody plugs it in next door.
        fleet.attach(&udid).unwrap();
        sleep(30 * SECOND).await;
    })
    .await;
    let first = &ran.seen[0];
    assert_eq!((first.standing.outcome.name(), &first.bay), ("recovery-mode", &Bay("Bay 8".into())));
    assert!(first.unserved && first.attached && first.udid.is_none() && first.job.is_none());
    assert_eq!(first.label.serial.as_deref(), Some("F2LXK0AAJC6C"));
    assert!(ran.seen.iter().any(|b| b.unserved && !b.attached), "it is shown as gone");
    assert_eq!((ran.outcome(), &ran.bay().udid), ("enrolled", &Some(udid)));
}

#[tokio::test(start_paused = true)]
async fn other_devices_on_the_bus_are_shown_and_do_not_count() {
    let (world, bus) = world(Persona::InSetup.settings());
    bus.show(&unserved(2, UsbMode::Mac, "C02XXXXXXXXX", UnservedReason::Mode));
    bus.show(&unserved(3, UsbMode::NoMux, "00008140001B59F64B2E760F", UnservedReason::Mode));
    bus.show(&unserved(4, UsbMode::Normal, "00008140001B59F64B2E760A", UnservedReason::NotListed));
    let ran = once(&world, &bus).await;
    let stand: Vec<_> = ran.bays.iter().map(|b| (b.bay.0.as_str(), b.standing.outcome.name())).collect();
    assert_eq!(
        stand,
        [
            ("Bay 7", "enrolled"),
            ("Bay 8", "mac-attached"),
            ("usb-1-4.3", "charging-only"),
            ("usb-1-4.4", "charging-only")
        ]
    );
    assert!(ran.bays.iter().filter(|b| b.ended.is_some()).count() == 1);
    let alone = Selection::Only(bus.list().await.unwrap().remove(0));
    let ran = world.run_over(bus.clone(), alone, true, std::future::pending()).await;
    assert_eq!(ran.outcome(), "already-enrolled");
}

#[tokio::test(start_paused = true)]
async fn a_dead_mux_adds_no_second_line_for_a_device() {
    let (world, bus) = world(open_for_long());
    let udid = world.udid();
    let serial = udid.as_str().replace('-', "");
    let ran = serve(&world, &bus, async {
        sleep(20 * SECOND).await;
        bus.show(&unserved(1, UsbMode::Normal, &serial, UnservedReason::MuxDead));
        sleep(SECOND).await;
    })
    .await;
    assert_eq!(ran.outcome(), "waiting-for-person");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_may_be_installing_is_never_reset_unseen() {
    let (world, bus) = world(Persona::EofInInstallInstalled.settings());
    let (fleet, udid, deaf) = (world.fleet.clone(), world.udid(), bus.clone());
    let ear = tokio::spawn(async move {
        while fleet.inspect(&udid).unwrap().counters.pushes_received == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        deaf.deafen(Effect::Heals, Effect::Heals);
    });
    let ran = once(&world, &bus).await;
    ear.await.unwrap();
    assert_eq!((ran.outcome(), bus.taken()), ("failed", vec![]));
}

#[tokio::test(start_paused = true)]
async fn an_unplug_that_a_dead_mux_cannot_tell_is_seen_on_the_bus() {
    let (world, bus) = world(open_for_long());
    let serial = world.udid().as_str().replace('-', "");
    let ran = serve(&world, &bus, async {
        sleep(20 * SECOND).await;
        bus.lose_mux();
        bus.show(&unserved(1, UsbMode::Normal, &serial, UnservedReason::MuxDead));
        sleep(SECOND).await;
        bus.hide(&port(1));
        sleep(SECOND).await;
    })
    .await;
    assert_eq!((ran.outcome(), ran.bay().attached), ("detached-midway", false));
}

/// A device that no mux serves for this reason, though it could be served.
fn unserved_from_the_start(reason: UnservedReason) -> (World, Arc<FakeBus>) {
    let (world, bus) = world(Persona::InSetup.settings());
    world.fleet.detach(&world.udid()).unwrap();
    let serial = world.udid().as_str().replace('-', "");
    bus.show(&unserved(2, UsbMode::Normal, &serial, reason));
    (world, bus)
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_silent_from_the_start_is_brought_back_by_the_ladder() {
    for (reset, taken) in [(Effect::Heals, 1), (Effect::Nothing, 2), (Effect::Restarts, 2)] {
        let (world, bus) = unserved_from_the_start(UnservedReason::Silent);
        bus.rungs(reset, Effect::Heals);
        let ran = serve(&world, &bus, sleep(90 * SECOND)).await;
        assert_eq!((ran.outcome(), ran.bay().bay.0.as_str()), ("enrolled", "Bay 8"), "{reset:?}");
        assert_eq!(bus.taken(), [Rung::ResetDevice, Rung::PowerCyclePort][..taken]);
        let said: Vec<_> = ran.seen.iter().map(|b| b.standing.sentence.as_str()).collect();
        let first = "The device is attached and does not answer; it may be locked against accessories.";
        assert_eq!((said[0], said[1]), (first, "Resetting the device..."));
    }
}

#[tokio::test(start_paused = true)]
async fn under_usbmuxd_only_the_power_is_switched_once_a_stay() {
    for effect in [Effect::Nothing, Effect::Restarts] {
        let (world, bus) = unserved_from_the_start(UnservedReason::NotListed);
        bus.rungs(Effect::Nothing, effect);
        let again = bus.clone();
        let ran = serve(&world, &bus, async {
            sleep(600 * SECOND).await;
            assert_eq!(again.taken(), [Rung::PowerCyclePort], "{effect:?}");
            // Unplugged by hand and plugged in again: another stay.
            let there = again.unserved().await.remove(0);
            again.hide(&port(2));
            sleep(SECOND).await;
            again.show(&there);
            sleep(25 * SECOND).await;
            assert_eq!(again.taken().len(), 1);
            sleep(60 * SECOND).await;
        })
        .await;
        assert_eq!(bus.taken(), [Rung::PowerCyclePort; 2]);
        let standing = &ran.bay().standing;
        assert_eq!(standing.outcome.name(), "charging-only");
        assert!(standing.sentence.ends_with("Resetting it did not help."), "{}", standing.sentence);
        assert!(standing.next.is_some() && ran.bay().attached);
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_rung_can_reach_and_what_is_explained_is_left_to_its_person() {
    for (reason, possible) in
        [(UnservedReason::Silent, Effect::Impossible), (UnservedReason::OtherOwner(None), Effect::Heals)]
    {
        let (world, bus) = unserved_from_the_start(reason);
        bus.rungs(possible, possible);
        let ran = serve(&world, &bus, sleep(120 * SECOND)).await;
        assert!(bus.taken().is_empty());
        assert_eq!(ran.seen.len(), 1, "{:?}", ran.outcomes());
    }
}
