//! Our own mux, and the bus beside usbmuxd, on the virtual bus.

#![allow(clippy::disallowed_methods)] // real processes, real time
#![allow(clippy::print_stdout)] // figures, shown with --nocapture

use crate::support::bus::hub::{Hub, Switching};
use crate::support::bus::iphone::{IPhone, Mode};
use crate::support::bus::others::{self, Habit, Hostile, Lie};
use crate::support::bus::{Bus, Cure, on_bus};
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
        station.event("flows");
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
        assert_eq!(station.events("detached"), 0);
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
        wait_until("usbmuxd holds it", || held.is_claimed(1));
        let mut station = station_on(bus, Role::Usb);
        assert!(station.event("unserved").contains("1-1 Normal OtherOwner(Some(\"usbmuxd\"))"));
        drop(usbmuxd);
        station.event("attached");
        // The station tries again by itself when the rule is mended.
        let forbidden = bus.plug("2", phone(bus, B));
        forbidden.allow(false);
        assert!(station.event("unserved 1-2").contains("NoPermission"));
        forbidden.allow(true);
        assert!(station.event("attached").contains(B));
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
        station.event("flows");
        let closed = station.ask("close");
        println!("{closed}");
        wait_until("it is closed", || plugged.openers() == 0);
        assert_eq!(station.answer(open), "ended");
        assert!(station.answer(busy).contains("ended after"));
        assert!(!plugged.is_claimed(1));
        let usbmuxd = bus.usbmuxd(&["-p"]);
        wait_until("usbmuxd holds it", || plugged.is_claimed(1));
        drop(usbmuxd);
    });
}

#[test]
fn a_backend_that_is_dropped_gives_everything_back_too() {
    on_bus("usb_mux::a_backend_that_is_dropped_gives_everything_back_too", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let plugged = bus.plug("1", phone(bus, A));
        station.event("attached");
        let threads = use_of(station.id()).0;
        let busy = station.tell(&format!("take {A} 99000000000"));
        station.event("flows");
        assert_eq!(station.ask("drop"), "dropped");
        station.event("detached");
        assert!(station.answer(busy).contains("ended after"));
        wait_until("the device is closed", || plugged.openers() == 0);
        // The bus' two threads and libusb's own end with it.
        wait_until("its threads have ended", || use_of(station.id()).0 + 3 <= threads);
    });
}

#[test]
fn the_load_of_a_bus() {
    on_bus("usb_mux::the_load_of_a_bus", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let _phone = bus.plug("4.2", phone(bus, A));
        station.event("attached");
        let load = station.ask("load");
        println!("{load}");
        assert!(
            load.contains("controller: Some(\"0000:00:14.0\"), devices: 2, hubs: 1, endpoints: 8, depth: 2")
        );
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
        let usbmuxd = bus.usbmuxd(&["-p"]);
        station.event("left 1-4.2");
        station.event("attached");
        println!("{}", station.ask(&format!("power {A}")));
        station.event("detached");
        station.event("attached");
        drop(usbmuxd);
        station.event("lost");
        let mut thief = station_on(bus, Role::Usb);
        thief.event("attached");
        let usbmuxd = bus.usbmuxd(&["-p"]);
        assert!(station.event("OtherOwner").contains("1-4.2"));
        plugged.unplug();
        station.event("left 1-4.2");
        drop(usbmuxd);
    });
}

#[test]
fn devices_that_misbehave_hurt_nobody_else() {
    on_bus("usb_mux::devices_that_misbehave_hurt_nobody_else", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let _good = bus.plug("1", phone(bus, A));
        station.event("attached");
        let cases = [
            (Habit::Silent, "Silent"),
            (Habit::Deaf, "Silent"),
            (Habit::Stalls, "halted"),
            (Habit::Garbage, "Broken"),
            (Habit::OddVersion, "version 9"),
            (Habit::Oversized, "Broken"),
            (Habit::Undersized, "Broken"),
        ];
        let mut plugged = Vec::new();
        for (place, (habit, _)) in cases.iter().enumerate() {
            let udid = format!("00008110-00000000000000{place:02}");
            let hostile = {
                let _inside = bus.runtime().enter();
                Hostile::new(&udid, *habit)
            };
            plugged.push(bus.plug(&format!("4.{}", place + 1), hostile));
        }
        for (place, (habit, words)) in cases.iter().enumerate() {
            let said = station.any_event(&format!("unserved 1-4.{} ", place + 1));
            println!("{habit:?}: {said}");
            assert!(said.contains(words), "{habit:?}: {said}");
        }
        assert!(station.ask(&format!("echo {A} 3000000")).starts_with("echoed"));
        for (place, device) in plugged.into_iter().enumerate() {
            device.unplug();
            station.any_event(&format!("left 1-4.{}", place + 1));
        }
        assert!(station.ask(&format!("echo {A} 1000")).starts_with("echoed"));
    });
}

#[test]
fn endless_data_for_nobody_and_half_a_packet_are_borne() {
    on_bus("usb_mux::endless_data_for_nobody_and_half_a_packet_are_borne", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let _good = bus.plug("1", phone(bus, A));
        for (port, habit) in [("2", Habit::StrayData), ("3", Habit::Truncated)] {
            let hostile = {
                let _inside = bus.runtime().enter();
                Hostile::new(&format!("00008110-000000000000000{port}"), habit)
            };
            bus.plug(port, hostile);
        }
        for _ in 0..3 {
            station.event("attached");
        }
        std::thread::sleep(Duration::from_secs(1));
        assert!(station.ask(&format!("echo {A} 300000")).starts_with("echoed"));
        assert_eq!(station.events("detached"), 0);
    });
}

#[test]
fn descriptors_that_lie() {
    on_bus("usb_mux::descriptors_that_lie", |bus| {
        let station = station_on(bus, Role::Usb);
        let lies = [
            Lie::OneEndpoint,
            Lie::SameDirection,
            Lie::EmptyPackets,
            Lie::CutShort,
            Lie::ZeroLength,
            Lie::NoSerial,
            Lie::OddSerial,
        ];
        for (place, lie) in lies.into_iter().enumerate() {
            bus.plug(&format!("4.{}", place + 1), others::lying(A, lie));
        }
        for (place, lie) in lies.into_iter().enumerate() {
            let said = station.any_event(&format!("unserved 1-4.{} ", place + 1));
            println!("{lie:?}: {said}");
            assert!(said.contains("Broken"), "{lie:?}: {said}");
        }
    });
}

#[test]
fn other_modes_are_shown_with_their_identity_by_both() {
    on_bus("usb_mux::other_modes_are_shown_with_their_identity_by_both", |bus| {
        let usbmuxd = bus.usbmuxd(&["-p"]);
        let mut stations = [station_on(bus, Role::Usb), station_on(bus, Role::Joined)];
        bus.plug("4.1", others::recovery(0xa1b2c3, Some("35 000000 000000 0")));
        bus.plug("4.2", others::dfu(0x8030, 4, 0x77, true));
        bus.plug("4.3", others::kis());
        bus.plug("4.4", others::mac("C02XXXXXXXX"));
        bus.plug("4.5", others::charging_only(A));
        for station in &mut stations {
            let expected = [
                "unserved 1-4.1 Recovery Mode ecid=Some(a1b2c3)",
                "unserved 1-4.2 Dfu Mode ecid=Some(77)",
                "unserved 1-4.3 Debug Mode ecid=None",
                "unserved 1-4.4 Mac Mode ecid=None",
                "unserved 1-4.5 NoMux Mode ecid=None",
            ];
            expected.iter().for_each(|words| _ = station.any_event(words));
            assert_eq!(station.events("attached"), 0);
        }
        drop(usbmuxd);
    });
}

#[test]
fn a_hundred_devices_at_once_and_a_bus_that_is_shaken() {
    on_bus("usb_mux::a_hundred_devices_at_once_and_a_bus_that_is_shaken", |bus| {
        let name = |n: usize| format!("00008110-0000000000000{n:03}");
        let port = |n: usize| format!("{}.{}", n / 16 + 1, n % 16 + 1);
        let plugged: Vec<_> = (0..100).map(|n| bus.plug(&port(n), phone(bus, &name(n)))).collect();
        let began = Instant::now();
        let mut station = station_on(bus, Role::Usb);
        let listed = station.ask("list");
        println!("{} listed after {} ms", listed.matches('@').count(), began.elapsed().as_millis());
        (0..100).for_each(|n| _ = station.any_event(&format!("{} at 1-{}", name(n), port(n))));
        println!("all after {} ms", began.elapsed().as_millis());
        let orders: Vec<_> = (0..100).map(|n| station.tell(&format!("echo {} 200000", name(n)))).collect();
        orders.into_iter().for_each(|order| assert!(station.answer(order).starts_with("echoed")));
        println!("all echoed after {} ms", began.elapsed().as_millis());
        let before = use_of(station.id());
        for round in 0..3 {
            plugged.iter().take(30).for_each(|device| device.replug());
            station.wait_for_events("attached", 100 + 30 * (round + 1));
        }
        println!("{before:?} before, {:?} after replugging", use_of(station.id()));
        assert_eq!(station.ask("list").matches('@').count(), 100);
        // Threads that waited for devices end some seconds later.
        wait_until("no more threads and open files", || {
            let (threads, files) = use_of(station.id());
            threads <= before.0 && files <= before.1
        });
        let cpu = processor_ticks(station.id());
        std::thread::sleep(Duration::from_secs(3));
        let idle = processor_ticks(station.id()) - cpu;
        println!("{idle} ticks of 10 ms in 3 s with 100 idle devices");
        assert!(idle <= 3, "{idle} ticks");
        let closed = station.ask("close");
        println!("{closed}");
        wait_until("all are closed", || plugged.iter().all(|device| device.openers() == 0));
    });
}

#[test]
fn a_device_that_hangs_is_brought_back_by_the_rung_that_helps() {
    on_bus("usb_mux::a_device_that_hangs_is_brought_back_by_the_rung_that_helps", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let plugged = bus.plug("4.2", phone(bus, A));
        station.event("attached #1");
        plugged.hang(Cure::Reset);
        assert_eq!(station.ask(&format!("reset {A}")), "done");
        station.event("detached #1");
        station.event("attached #2");
        assert!(station.ask(&format!("echo {A} 1000")).starts_with("echoed"));
        plugged.hang(Cure::PowerLoss);
        println!("{}", station.ask(&format!("reset {A}")));
        station.event("detached #2");
        assert_eq!(station.ask("power-id 2"), "done", "detached, and still meant");
        station.event("attached #3");
        assert!(station.ask(&format!("echo {A} 1000")).starts_with("echoed"));
    });
}

#[test]
fn a_device_that_hangs_from_the_start_is_brought_back_by_its_port() {
    on_bus("usb_mux::a_device_that_hangs_from_the_start_is_brought_back_by_its_port", |bus| {
        let plugged = bus.plug("4.2", phone(bus, A));
        plugged.hang(Cure::Reset);
        let mut station = station_on(bus, Role::Usb);
        station.event("unserved 1-4.2 Normal Silent");
        assert_eq!(station.ask("reset-port 1-4.2"), "done");
        station.event("attached #1");
        plugged.hang(Cure::PowerLoss);
        let usbmuxd = bus.usbmuxd(&["-p"]);
        let mut beside = station_on(bus, Role::Joined);
        println!("{}", beside.ask("reset-port 1-4.2"));
        drop((station, usbmuxd));
        let said = beside.event("unserved 1-4.2");
        println!("{said}");
        assert_eq!(beside.ask("power-port 1-4.2"), "done");
        beside.event("left 1-4.2");
    });
}

#[test]
fn a_hub_that_cannot_switch_single_ports_says_so() {
    on_bus("usb_mux::a_hub_that_cannot_switch_single_ports_says_so", |bus| {
        let mut station = station_on(bus, Role::Usb);
        bus.plug_hub("4", Hub::new(4, Switching::Ganged));
        bus.plug("4.2", phone(bus, A));
        station.event("attached");
        let said = station.ask(&format!("power {A}"));
        assert!(said.contains("the hub at 1-4 cannot switch single ports"), "{said}");
        assert_eq!(station.events("detached"), 0);
    });
}

#[test]
fn the_whole_bus_falls_away_and_comes_back() {
    on_bus("usb_mux::the_whole_bus_falls_away_and_comes_back", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let name = |n: usize| format!("00008110-0000000000000{n:03}");
        let plugged: Vec<_> = (0..20)
            .map(|n| bus.plug(&format!("{}.{}", n / 10 + 1, n % 10 + 1), phone(bus, &name(n))))
            .collect();
        station.wait_for_events("attached", 20);
        let busy: Vec<_> = (0..20).map(|n| station.tell(&format!("take {} 99000000000", name(n)))).collect();
        station.wait_for_events("flows", 20);
        bus.replug_all();
        busy.into_iter().for_each(|order| assert!(station.answer(order).contains("ended after")));
        station.wait_for_events("attached", 40);
        assert_eq!(station.events("detached"), 20);
        assert_eq!(station.events("unserved"), 0);
        plugged.into_iter().for_each(|device| device.unplug_at_once());
        station.wait_for_events("detached", 40);
        assert_eq!(station.ask("list"), "");
    });
}

#[test]
fn cables_that_slip_at_any_moment_leave_nothing_behind() {
    on_bus("usb_mux::cables_that_slip_at_any_moment_leave_nothing_behind", |bus| {
        let mut station = station_on(bus, Role::Usb);
        let name = |n: usize| format!("00008110-0000000000000{n:03}");
        let mut plugged: Vec<_> =
            (0..6).map(|n| Some(bus.plug(&format!("4.{}", n + 1), phone(bus, &name(n))))).collect();
        station.wait_for_events("attached", 6);
        let before = use_of(station.id());
        let mut seed = 20_261_122_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..120 {
            let n = usize::try_from(random(6)).unwrap();
            match (plugged[n].take(), random(3)) {
                (Some(device), 0) => device.unplug(),
                (Some(device), 1) => device.unplug_at_once(),
                (Some(device), _) => {
                    device.replug();
                    plugged[n] = Some(device);
                }
                (None, _) => plugged[n] = Some(bus.plug(&format!("4.{}", n + 1), phone(bus, &name(n)))),
            }
            // Around the moments of the bring-up: settling, claiming, greeting.
            std::thread::sleep(Duration::from_millis(random(120)));
            if random(4) == 0 {
                station.tell(&format!("echo {} 100000", name(n)));
            }
        }
        let here: Vec<String> = (0..6).filter(|n| plugged[*n].is_some()).map(name).collect();
        wait_until("the list is right", || {
            let listed = station.ask("list");
            listed.matches('@').count() == here.len() && here.iter().all(|udid| listed.contains(udid))
        });
        // They go another way than the list, and may come after it.
        wait_until("the events say what the list says", || {
            station.events("attached") - station.events("detached") == here.len()
        });
        assert_eq!(station.events("unserved"), 0, "no cable that slips is a fault");
        let missing = (0..6).filter(|n| plugged[*n].is_none());
        missing.for_each(|n| _ = bus.plug(&format!("4.{}", n + 1), phone(bus, &name(n))));
        wait_until("all are there", || station.ask("list").matches('@').count() == 6);
        wait_until("nothing is left behind", || use_of(station.id()).1 <= before.1);
    });
}

/// Waits for something the bus or another program does in its own time.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Threads and open files of a process.
fn use_of(process: u32) -> (usize, usize) {
    let count = |part| std::fs::read_dir(format!("/proc/{process}/{part}")).unwrap().count();
    (count("task"), count("fd"))
}

/// Processor time a process has used.
fn processor_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
