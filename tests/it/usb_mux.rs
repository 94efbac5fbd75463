//! Our own mux, and the bus beside usbmuxd, on the virtual bus.

use crate::support::bus::iphone::{IPhone, Mode};
use crate::support::bus::{Bus, on_bus};
use crate::support::usb_station::{self, Role, Station};
use std::time::{Duration, Instant};

const A: &str = "00008110-001A2B3C4D5E6F70";
const B: &str = "00008110-001A2B3C4D5E6F71";

/// What children run.
#[test]
fn station() {
    usb_station::run_if_asked();
}

fn station_on(bus: &Bus, role: Role) -> Station {
    Station::start(bus, "usb_mux::station", role)
}

/// A device plugged inside the bus' runtime, where devices live.
fn phone(bus: &Bus, udid: &str) -> IPhone {
    let _inside = bus.runtime().enter();
    IPhone::new(udid)
}

#[test]
fn a_device_comes_speaks_and_goes() {
    on_bus("usb_mux::a_device_comes_speaks_and_goes", |bus| {
        let mut station = station_on(bus, Role::Usb);
        station.event("ready");
        assert_eq!(station.ask("list"), "");
        let plugged = bus.plug("4.2", phone(bus, A));
        assert_eq!(station.event("attached"), format!("! attached #1 {A} at 1-4.2"));
        assert_eq!(plugged.configuration(), Some(4), "the highest with a mux");
        assert!(station.ask(&format!("echo {A} 300000")).starts_with("echoed"));
        assert!(station.ask(&format!("open {A} 1")).contains("refused a connection to port 1"));
        plugged.replug();
        station.event("detached #1");
        station.event("attached #2");
        assert!(station.ask(&format!("echo {A} 1000")).starts_with("echoed"));
        plugged.unplug();
        station.event("detached #2");
        assert_eq!(station.ask("list"), "");
    });
}

#[test]
fn streams_end_at_once_when_the_cable_is_pulled() {
    on_bus("usb_mux::streams_end_at_once_when_the_cable_is_pulled", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let plugged = bus.plug("1", phone(bus, A));
        station.event("attached");
        let idle = station.tell(&format!("open {A} 9"));
        let busy = station.tell(&format!("take {A} 99000000000"));
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        plugged.unplug();
        assert_eq!(station.answer(idle), "ended");
        let took = began.elapsed();
        assert!(station.answer(busy).contains("ended after"));
        println!("stream error {} ms after the unplug", took.as_millis());
        station.event("detached");
    });
}

#[test]
fn bulk_both_ways_and_a_slow_reader_beside_it() {
    on_bus("usb_mux::bulk_both_ways_and_a_slow_reader_beside_it", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let _plugged = bus.plug("1", phone(bus, A));
        station.event("attached");
        for order in ["take", "give", "echo"] {
            println!("{}", station.ask(&format!("{order} {A} 20000000")));
        }
        assert_eq!(station.ask(&format!("stall {A}")), "stalled");
        for order in ["take", "give", "echo"] {
            let done = station.ask(&format!("{order} {A} 5000000"));
            println!("beside a slow reader: {done}");
            assert!(done.contains("MB/s"), "{done}");
        }
    });
}

#[test]
fn the_configuration_in_use_is_kept_if_it_has_the_mux() {
    on_bus("usb_mux::the_configuration_in_use_is_kept_if_it_has_the_mux", |bus| {
        let mut station = station_on(bus, Role::Usb);
        for (configuration, kept) in [(1, 4), (3, 3), (4, 4)] {
            let plugged = bus.plug("1", phone(bus, A).configured(configuration));
            station.event("attached");
            assert_eq!(plugged.configuration(), Some(kept));
            plugged.unplug();
            station.event("detached");
        }
    });
}

#[test]
fn a_device_without_any_mux_is_asked_for_one() {
    on_bus("usb_mux::a_device_without_any_mux_is_asked_for_one", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let _switching = bus.plug("1", phone(bus, A).in_mode(Mode::NcmDirect));
        assert!(station.event("attached").contains("at 1-1"));
        let _stubborn = bus.plug("2", phone(bus, B).in_mode(Mode::NcmDirect).without_modes());
        assert!(station.event("unserved").contains("1-2 NoMux Mode"));
        assert_eq!(station.events("unserved 1-1"), 0, "a switch of modes is no news");
    });
}

#[test]
fn a_device_that_another_program_holds_or_that_is_forbidden() {
    on_bus("usb_mux::a_device_that_another_program_holds_or_that_is_forbidden", |bus| {
        let held = bus.plug("1", phone(bus, A));
        let usbmuxd = bus.usbmuxd(&["-p"]);
        while !held.is_claimed(1) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut station = station_on(bus, Role::Usb);
        assert!(station.event("unserved").contains("1-1 Normal OtherOwner(Some(\"usbmuxd\"))"));
        let forbidden = bus.plug("2", phone(bus, B));
        forbidden.allow(false);
        assert!(station.event("unserved 1-2").contains("NoPermission") || station.events("NoPermission") > 0);
        drop(usbmuxd);
        station.event("attached");
    });
}

#[test]
fn everything_is_given_back_at_the_end() {
    on_bus("usb_mux::everything_is_given_back_at_the_end", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let plugged = bus.plug("1", phone(bus, A));
        station.event("attached");
        let open = station.tell(&format!("open {A} 9"));
        let busy = station.tell(&format!("take {A} 99000000000"));
        std::thread::sleep(Duration::from_millis(200));
        let closed = station.ask("close");
        println!("{closed}");
        assert!(closed.contains("0 nodes open"), "{closed}");
        assert_eq!(station.answer(open), "ended");
        assert!(station.answer(busy).contains("ended after"));
        assert!(!plugged.is_claimed(1));
        let usbmuxd = bus.usbmuxd(&["-p"]);
        while !plugged.is_claimed(1) {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(usbmuxd);
    });
}

#[test]
fn the_rungs_of_the_ladder() {
    on_bus("usb_mux::the_rungs_of_the_ladder", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let _plugged = bus.plug("4.2", phone(bus, A));
        station.event("attached #1");
        assert_eq!(station.ask(&format!("reset {A}")), "done");
        station.event("detached #1");
        station.event("attached #2");
        assert!(station.ask(&format!("echo {A} 1000")).starts_with("echoed"));
        println!("{}", station.ask(&format!("power {A}")));
        station.event("detached #2");
        station.event("attached #3");
    });
}

#[test]
fn ports_beside_usbmuxd_and_what_it_does_not_serve() {
    on_bus("usb_mux::ports_beside_usbmuxd_and_what_it_does_not_serve", |bus| {
        let usbmuxd = bus.usbmuxd(&["-p"]);
        let mut station = station_on(bus, Role::Joined);
        station.event("ready");
        let plugged = bus.plug("4.2", phone(bus, A));
        assert!(station.event("attached").ends_with("at 1-4.2"));
        assert!(station.ask("list").contains("ports: [4, 2]"));
        assert!(station.ask(&format!("echo {A} 1000")).starts_with("echoed"));
        let _no_mux = bus.plug("2", phone(bus, B).in_mode(Mode::NcmDirect));
        assert!(station.event("unserved").contains("1-2 NoMux Mode"));
        usbmuxd.kill();
        station.event("lost");
        assert!(station.event("unserved 1-4.2").contains("MuxDead"));
        plugged.unplug();
        station.event("left 1-4.2");
    });
}
