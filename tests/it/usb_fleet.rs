//! Many devices and many plugs: the shipped binary on the virtual bus, beside Debian's usbmuxd
//! and over its own mux.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::print_stdout)] // figures, shown when asked for

use crate::support::binary::Running;
use crate::support::bus::others::{dfu, kis, mac, recovery};
use crate::support::bus::{on_bus, on_bus_within};
use crate::support::bus_bench::{Bench, PATIENCE, in_setup, of, to_plug};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const DEVICES: usize = 32;

/// Ports of the two hubs a fleet of 32 hangs on.
fn bays() -> BTreeSet<String> {
    (1..=2).flat_map(|hub| (1..=16).map(move |port| format!("usb-1-{hub}.{port}"))).collect()
}

/// The lines of a program that reports changes.
struct Changes(Running);

impl Changes {
    fn next(&mut self) -> Value {
        serde_json::from_str(&self.0.line().unwrap()).unwrap()
    }

    /// The bays of the next changes that are so, one for each of the devices.
    fn bays_that(&mut self, is_so: impl Fn(&Value) -> bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        while found.len() < DEVICES {
            let change = self.next();
            if is_so(&change) {
                found.insert(text(&change["bay"]));
            }
        }
        found
    }

    fn end(self) {
        self.0.terminate();
        self.0.finish().exits(0);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A station enrolls all that comes; then all go.
fn come_and_go(bench: &Bench<'_>, way: &str) {
    let file = bench.profile();
    let args = ["--mux", way, "serve", "--json", &file];
    let mut station = Changes(Running::start(bench.command(&args)).within(PATIENCE));
    let fleet = to_plug(bench.bus, DEVICES);
    let _inside = bench.bus.runtime().enter();
    for udid in fleet.fleet.udids() {
        fleet.fleet.attach(&udid).unwrap();
        // usbmuxd's preflight loses devices that come at the same moment: it connects to its own
        // socket, whose queue holds five.
        std::thread::sleep(Duration::from_millis(if way == "usbmuxd" { 60 } else { 0 }));
    }
    assert_eq!(station.bays_that(|bay| bay["ended"] == true && bay["outcome"] == "enrolled"), bays());
    for udid in fleet.fleet.udids() {
        let device = fleet.fleet.inspect(&udid).unwrap();
        assert_eq!((device.installed.len(), device.counters.installs), (1, 1), "{udid}");
        fleet.fleet.detach(&udid).unwrap();
    }
    assert_eq!(station.bays_that(|bay| bay["attached"] == false), bays());
    station.end();
}

#[test]
fn thirty_two_devices_come_are_enrolled_and_go_beside_usbmuxd() {
    on_bus("usb_fleet::thirty_two_devices_come_are_enrolled_and_go_beside_usbmuxd", |bus| {
        // With its preflight, which pairs by itself (2.7).
        let usbmuxd = bus.usbmuxd(&[]);
        come_and_go(&Bench::on(bus), "usbmuxd");
        drop(usbmuxd);
    });
}

#[test]
fn thirty_two_devices_come_are_enrolled_and_go_without_usbmuxd() {
    on_bus("usb_fleet::thirty_two_devices_come_are_enrolled_and_go_without_usbmuxd", |bus| {
        come_and_go(&Bench::on(bus), "usb");
    });
}

/// Plugs and unplugs a device this often.
fn cycles() -> usize {
    std::env::var("ENLIST_PLUG_CYCLES").map_or(150, |cycles| cycles.parse().unwrap())
}

/// More than they take on a busy computer.
fn cycles_take() -> Duration {
    Duration::from_secs(300 + 2 * cycles() as u64)
}

/// Each plug is told once, each unplug is told once, in turn.
fn plug_and_unplug(bench: &Bench<'_>, way: &str) {
    let fleet = in_setup(bench.bus, 1);
    let udid = fleet.fleet.udids()[0].clone();
    let cycles = cycles();
    let watching = Running::start(bench.command(&["--mux", way, "devices", "--follow", "--json"]));
    let mut watching = Changes(watching.within(Duration::from_secs(120 + 2 * cycles as u64)));
    let _inside = bench.bus.runtime().enter();
    let begun = Instant::now();
    for cycle in 0..=cycles {
        loop {
            let change = watching.next();
            match text(&change["change"]).as_str() {
                "attached" => break assert_eq!(change["udid"], udid.as_str(), "{change}"),
                "mux-ready" => {}
                _ => panic!("in cycle {cycle}: {change}"),
            }
        }
        fleet.fleet.detach(&udid).unwrap();
        let change = watching.next();
        assert_eq!(
            (&change["change"], &change["udid"]),
            (&"detached".into(), &udid.as_str().into()),
            "{change}"
        );
        if cycle < cycles {
            fleet.fleet.attach(&udid).unwrap();
        }
    }
    println!("{cycles} cycles with --mux {way} in {:.1} s", begun.elapsed().as_secs_f64());
    watching.0.terminate();
    let rest = watching.0.finish().exits(0);
    assert_eq!(rest.stdout.len(), 2 * (cycles + 1) + 1, "nothing was told twice: {rest}");
}

#[test]
fn plugs_and_unplugs_are_told_once_each_beside_usbmuxd() {
    let name = "usb_fleet::plugs_and_unplugs_are_told_once_each_beside_usbmuxd";
    on_bus_within(name, cycles_take(), |bus| {
        let usbmuxd = bus.usbmuxd(&["-p"]);
        plug_and_unplug(&Bench::on(bus), "usbmuxd");
        drop(usbmuxd);
    });
}

#[test]
fn plugs_and_unplugs_are_told_once_each_over_our_own_mux() {
    let name = "usb_fleet::plugs_and_unplugs_are_told_once_each_over_our_own_mux";
    on_bus_within(name, cycles_take(), |bus| plug_and_unplug(&Bench::on(bus), "usb"));
}

#[test]
fn other_modes_are_reported_with_their_sentence_both_ways() {
    on_bus("usb_fleet::other_modes_are_reported_with_their_sentence_both_ways", |bus| {
        let bench = Bench::on(bus);
        let _there = (
            bus.plug("1", recovery(0x001A_2B3C_4D5E_6F70, None)),
            bus.plug("2", dfu(0x8110, 0x18, 7, true)),
            bus.plug("3", dfu(0x8103, 0x26, 8, false)),
            bus.plug("4", kis()),
            bus.plug("5", mac("C02XXXXXXXXX")),
        );
        let expected = [
            ("usb-1-1", "recovery-mode", "recovery mode"),
            ("usb-1-2", "dfu-mode", "DFU"),
            ("usb-1-3", "dfu-mode", "Mac"),
            ("usb-1-4", "dfu-mode", "newer chip"),
            ("usb-1-5", "mac-attached", "the Mac C02XXXXXXXXX"),
        ];
        let usbmuxd = bus.usbmuxd(&[]);
        let beside = bench.run(&["--mux", "usbmuxd", "devices", "--json"]).exits(3).json();
        drop(usbmuxd);
        let alone = bench.run(&["--mux", "usb", "devices", "--json"]).exits(3).json();
        for listed in [&beside, &alone] {
            for (bay, outcome, words) in expected {
                let device = of(listed, bay);
                println!(
                    "{} {}: {} {}",
                    device["bay"], device["outcome"], device["sentence"], device["next"]
                );
                assert_eq!(device["outcome"], outcome, "{device}");
                assert!(text(&device["sentence"]).contains(words), "{device}");
                assert_ne!(device["next"], Value::Null, "{device}");
            }
        }
    });
}
