//! The virtual USB bus, judged by programs nobody here wrote: libusb, Debian's usbmuxd and
//! libimobiledevice's tools, unmodified.

#![allow(clippy::disallowed_methods)] // real programs, in real time

use crate::support::binary::poll;
use crate::support::bus::hub::{Hub, Switching};
use crate::support::bus::iphone::{IPhone, Mode};
use crate::support::bus::others::{self, Habit, Hostile, Lie};
use crate::support::bus::ports::{ECHO, SOURCE, pattern};
use crate::support::bus::{Bus, Cure, on_bus, on_bus_by_preload};
use crate::usb_client::Client;
use enlist::sim::{DeviceSpec, FleetOptions, Persona};
use enlist::transport::Backend;
use rusb::UsbContext;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const UDID: &str = "00008110-001A2B3C4D5E6F70";
/// The same in the USB serial string.
const SERIAL: &str = "00008110001A2B3C4D5E6F70";

fn fleet_of(devices: usize) -> FleetOptions {
    FleetOptions { devices, ..FleetOptions::default() }
}

fn said(bus: &Bus, program: &str, arguments: &[&str]) -> String {
    let done = bus.command(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

/// Waits until `idevice_id` lists so many devices.
fn until_listed(bus: &Bus, count: usize) -> Vec<String> {
    poll(&format!("{count} devices in usbmuxd's list"), || {
        let listed = said(bus, "idevice_id", &["-l"]);
        let answered = !listed.contains("ERROR");
        (answered && listed.lines().count() == count).then(|| listed.lines().map(str::to_owned).collect())
    })
}

/// What libusb shows of the bus: ports and product ids.
fn seen() -> Vec<(String, u16)> {
    let context = rusb::Context::new().unwrap();
    let mut all: Vec<_> = context
        .devices()
        .unwrap()
        .iter()
        .map(|device| {
            let ports: Vec<_> = device.port_numbers().unwrap().iter().map(u8::to_string).collect();
            let name = format!("{}-{}", device.bus_number(), ports.join("."));
            (name, device.device_descriptor().unwrap().product_id())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn libusb_sees_the_hub_tree_and_every_mode() {
    on_bus("usb::libusb_sees_the_hub_tree_and_every_mode", |bus| {
        let _inside = bus.runtime().enter();
        bus.plug("4.2", IPhone::new(UDID));
        bus.plug("1", others::recovery(0x0000_0A1B_2C3D_4E5F, Some("35 000000 000000 0")));
        bus.plug("2", others::dfu(0x8110, 0x18, 1, true));
        bus.plug("3", others::kis());
        bus.plug("5", others::mac("C02SIM000001"));
        bus.plug("6", IPhone::new(UDID).in_mode(Mode::NcmDirect));
        bus.plug("2-1.1.1", others::charging_only(UDID));
        let hub = 0x0610;
        let expected = [
            ("1-", 0x0002),
            ("1-1", 0x1281),
            ("1-2", 0x1227),
            ("1-3", 0x1881),
            ("1-4", hub),
            ("1-4.2", 0x12a8),
            ("1-5", 0x1905),
            ("1-6", 0x12a8),
            ("2-", 0x0002),
            ("2-1", hub),
            ("2-1.1", hub),
            ("2-1.1.1", 0x12a8),
        ];
        assert_eq!(seen(), expected.map(|(name, id)| (name.to_owned(), id)));
        let serial = |port: &str| Client::run(bus, &[&format!("open {port}"), "serial"]).pop().unwrap();
        assert_eq!(serial("1-4.2"), SERIAL);
        assert_eq!(serial("1-5"), "C02SIM000001");
        assert!(serial("1-1").contains("ECID:00000A1B2C3D4E5F IBFL:BC SIKA:00 SRNM:[F17SIM0001] IMEI:[35 "));
        assert_eq!(serial("1-3"), "InvalidParam", "it has none");
    });
}

#[test]
fn tools_list_and_read_a_device_through_usbmuxd() {
    on_bus("usb::tools_list_and_read_a_device_through_usbmuxd", lists_and_reads);
}

#[test]
fn the_second_way_onto_the_bus_works_too() {
    on_bus_by_preload("usb::the_second_way_onto_the_bus_works_too", lists_and_reads);
}

fn lists_and_reads(bus: &Bus) {
    let plugged = bus.fleet(fleet_of(1));
    let udid = plugged.fleet.udids()[0].to_string();
    let _usbmuxd = bus.usbmuxd(&[]);
    assert_eq!(until_listed(bus, 1), std::slice::from_ref(&udid));
    let info = said(bus, "ideviceinfo", &["-s", "-u", &udid]);
    assert!(info.contains(&format!("UniqueDeviceID: {udid}")), "{info}");
    let port = plugged.plugged(&plugged.fleet.udids()[0]).unwrap();
    assert_eq!((port.name(), port.configuration(), port.is_claimed(1)), ("1-1.1", Some(4), true));
}

#[test]
fn tools_pair_and_open_a_session_through_usbmuxd() {
    on_bus("usb::tools_pair_and_open_a_session_through_usbmuxd", |bus| {
        let specs = vec![DeviceSpec::from(Persona::InSetup)];
        let plugged = bus.fleet(FleetOptions { specs, ..fleet_of(1) });
        let _usbmuxd = bus.usbmuxd(&[]);
        until_listed(bus, 1);
        let paired = said(bus, "idevicepair", &["pair"]);
        assert!(paired.contains("SUCCESS"), "{paired}");
        let info = said(bus, "ideviceinfo", &["-k", "SerialNumber"]);
        assert_eq!(info.trim(), plugged.fleet.inspect_all()[0].serial, "needs a session");
    });
}

#[test]
fn a_replug_and_a_new_usbmuxd_find_the_device_again() {
    on_bus("usb::a_replug_and_a_new_usbmuxd_find_the_device_again", |bus| {
        let plugged = bus.fleet(fleet_of(1));
        let udid = plugged.fleet.udids()[0].clone();
        let usbmuxd = bus.usbmuxd(&[]);
        until_listed(bus, 1);
        let before = plugged.plugged(&udid).unwrap().address();
        plugged.fleet.detach(&udid).unwrap();
        until_listed(bus, 0);
        plugged.fleet.attach(&udid).unwrap();
        until_listed(bus, 1);
        assert_ne!(plugged.plugged(&udid).unwrap().address(), before, "a replug gives a new address");
        drop(usbmuxd);
        let usbmuxd = bus.usbmuxd(&[]);
        until_listed(bus, 1);
        usbmuxd.kill();
        poll("the dead one's claim to go", || (!plugged.plugged(&udid)?.is_claimed(1)).then_some(()));
        let _usbmuxd = bus.usbmuxd(&[]);
        until_listed(bus, 1);
    });
}

#[test]
fn an_unconfigured_device_is_configured_and_held_by_one_program_only() {
    on_bus("usb::an_unconfigured_device_is_configured_and_held_by_one_program_only", |bus| {
        let _inside = bus.runtime().enter();
        let plugged = bus.plug("1", IPhone::new(UDID));
        let sysfs = |name: &str| std::fs::read_to_string(format!("/sys/bus/usb/devices/{name}"));
        assert_eq!(sysfs("1-1/bConfigurationValue").unwrap(), "");
        let script =
            ["open 1-1", "configuration", "claim 1", "configure 4", "claim 1", "configuration", "hold"];
        let mut holder = Client::start(bus, &script);
        let answers: Vec<String> = script.iter().map(|_| holder.says()).collect();
        assert_eq!(answers, ["ok", "0", "NotFound", "ok", "ok", "4", "holding"]);
        assert_eq!(sysfs("1-1/bConfigurationValue").unwrap(), "4\n");
        assert_eq!(sysfs("1-1:4.1/bInterfaceSubClass").unwrap(), "fe\n");
        assert!(std::fs::read_link("/sys/bus/usb/devices/1-1:4.1/driver").unwrap().ends_with("usbfs"));
        let second = Client::run(bus, &["open 1-1", "claim 1", "claim 0", "configure 3"]);
        assert_eq!(second, ["ok", "Busy", "ok", "Busy"]);
        poll("only the holder", || (plugged.openers() == 1).then_some(()));
        drop(holder);
        poll("a killed program's claim to go", || (plugged.openers() == 0).then_some(()));
        assert_eq!(Client::run(bus, &["open 1-1", "claim 1"]), ["ok", "ok"]);
        plugged.allow(false);
        assert_eq!(Client::run(bus, &["open 1-1"]), ["Access"]);
    });
}

#[test]
fn who_has_a_device_open_can_be_found_out() {
    on_bus("usb::who_has_a_device_open_can_be_found_out", |bus| {
        let _inside = bus.runtime().enter();
        let plugged = bus.plug("1", IPhone::new(UDID).configured(4));
        let usbmuxd = bus.usbmuxd(&["-p"]);
        poll("usbmuxd to claim", || plugged.is_claimed(1).then_some(()));
        // A second opener comes and goes, and hides nothing.
        assert_eq!(Client::run(bus, &["open 1-1"]), ["ok"]);
        let node = format!("/dev/bus/usb/001/{:03}", plugged.address().unwrap());
        let files = std::fs::read_dir(format!("/proc/{}/fd", usbmuxd.id())).unwrap();
        let mut links = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        assert!(links.any(|link| link.as_os_str() == node.as_str()), "{node} is not among its files");
    });
}

#[test]
fn mode_requests_and_resets() {
    on_bus("usb::mode_requests_and_resets", |bus| {
        let _inside = bus.runtime().enter();
        let plugged = bus.plug("1", IPhone::new(UDID).in_mode(Mode::NcmDirect).configured(1));
        bus.plug("2", IPhone::new(UDID).without_modes());
        let before = plugged.address();
        let script = ["open 1-1", "mode", "claim 2", "set-mode 1"];
        assert_eq!(Client::run(bus, &script), ["ok", "[5, 3, 3, 0]", "NotFound", "[0]"]);
        poll("the phone in its other mode", || (plugged.address()? > before?).then_some(()));
        let script = ["open 1-1", "mode", "configure 4", "claim 1", "reset", "version", "read", "read"];
        let answers = Client::run(bus, &script);
        assert_eq!(answers, ["ok", "[3, 3, 3, 0]", "ok", "ok", "ok", "ok", "20", "Timeout"]);
        assert_eq!(Client::run(bus, &["open 1-2", "mode"]), ["ok", "Pipe"]);
    });
}

#[test]
fn hubs_switch_power_as_they_can() {
    on_bus("usb::hubs_switch_power_as_they_can", |bus| {
        bus.plug_hub("1", Hub::new(4, Switching::PerPort));
        bus.plug_hub("2", Hub::new(4, Switching::Nothing));
        let plugged = bus.plug("1.3", others::kis());
        let fixed = bus.plug("2.1", others::kis());
        let (before, stays) = (plugged.address(), fixed.address());
        let script = ["open 1-1", "port-status 3", "port-status 4", "power 3 off"];
        assert_eq!(Client::run(bus, &script), ["ok", "0503", "0100", "ok"]);
        poll("the device to lose power", || plugged.address().is_none().then_some(()));
        let script = ["open 1-1", "port-status 3", "power 3 on"];
        assert_eq!(Client::run(bus, &script), ["ok", "0000", "ok"]);
        poll("the device to come back", || plugged.address().filter(|now| Some(*now) != before));
        assert_eq!(Client::run(bus, &["open 1-2", "power 1 off", "power 1 on"]), ["ok", "ok", "ok"]);
        assert_eq!(fixed.address(), stays, "that hub switches nothing");
    });
}

#[test]
fn a_hundred_devices_are_listed() {
    on_bus("usb::a_hundred_devices_are_listed", |bus| {
        let plugged = bus.fleet(fleet_of(100));
        let _usbmuxd = bus.usbmuxd(&["-p"]);
        let mut expected: Vec<String> = plugged.fleet.udids().iter().map(ToString::to_string).collect();
        let mut listed = until_listed(bus, 100);
        expected.sort();
        listed.sort();
        assert_eq!(listed, expected);
    });
}

#[test]
fn an_idle_usbmuxd_needs_no_processor() {
    on_bus("usb::an_idle_usbmuxd_needs_no_processor", |bus| {
        let _plugged = bus.fleet(fleet_of(4));
        let usbmuxd = bus.usbmuxd(&["-p"]);
        until_listed(bus, 4);
        let before = processor_time(usbmuxd.id());
        std::thread::sleep(Duration::from_secs(2));
        let spent = processor_time(usbmuxd.id()) - before;
        // In hundredths of a second; a busy loop would be near 200.
        assert!(spent < 10, "{spent} ticks in two seconds");
    });
}

/// User and system time of a process, in clock ticks.
fn processor_time(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = text.rsplit(')').next().unwrap().split(' ').skip(12);
    fields.take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn data_arrive_whole_through_usbmuxd_until_the_plug_is_pulled() {
    on_bus("usb::data_arrive_whole_through_usbmuxd_until_the_plug_is_pulled", |bus| {
        let _inside = bus.runtime().enter();
        let plugged = bus.plug("1.1", IPhone::new(UDID));
        let usbmuxd = bus.usbmuxd(&["-p"]);
        until_listed(bus, 1);
        let backend = usbmuxd.backend();
        bus.runtime().block_on(async {
            let id = backend.list().await.unwrap()[0].id;
            let mut echo = backend.connect(id, ECHO).await.unwrap();
            // Around the sizes of packets and transfers (1.5).
            for size in [1, 476, 477, 512, 16_347, 16_348, 16_349, 49_116, 49_117, 131_072, 200_000] {
                let sent: Vec<u8> = (0..size).map(pattern).collect();
                let mut back = vec![0; sent.len()];
                echo.write_all(&sent).await.unwrap();
                echo.read_exact(&mut back).await.unwrap();
                assert!(back == sent, "{size} bytes came back wrong");
            }
            assert!(backend.connect(id, 4711).await.is_err(), "nobody listens there");
            let mut source = backend.connect(id, SOURCE).await.unwrap();
            source.write_all(b"go").await.unwrap();
            let mut bytes = vec![0; 1 << 20];
            source.read_exact(&mut bytes).await.unwrap();
            assert!(bytes.iter().zip(0..).all(|(byte, at)| *byte == pattern(at)));
            plugged.unplug();
            let rest = tokio::time::timeout(Duration::from_secs(60), source.read_to_end(&mut bytes)).await;
            rest.expect("the stream to end").ok();
        });
        until_listed(bus, 0);
    });
}

#[test]
fn usbmuxd_survives_devices_that_lie() {
    on_bus("usb::usbmuxd_survives_devices_that_lie", |bus| {
        let _inside = bus.runtime().enter();
        let habits = [
            Habit::Silent,
            Habit::Deaf,
            Habit::Stalls,
            Habit::Garbage,
            Habit::OddVersion,
            Habit::Oversized,
            Habit::Undersized,
            Habit::Truncated,
        ];
        let lies = [
            Lie::OneEndpoint,
            Lie::SameDirection,
            Lie::EmptyPackets,
            Lie::CutShort,
            Lie::ZeroLength,
            Lie::NoSerial,
            Lie::OddSerial,
        ];
        let begun = Instant::now();
        for (habit, port) in habits.into_iter().zip(1..) {
            bus.plug(&format!("1.{port}"), Hostile::new(UDID, habit));
        }
        for (lie, port) in lies.into_iter().zip(1..) {
            bus.plug(&format!("2.{port}"), others::lying(UDID, lie));
        }
        let good = bus.plug("3", IPhone::new("00008120-0000000000000001"));
        let _usbmuxd = bus.usbmuxd(&["-p"]);
        poll("the good one to be listed", || {
            said(bus, "idevice_id", &["-l"]).contains("00008120-0000000000000001").then_some(())
        });
        assert!(good.is_claimed(1), "after {:?}", begun.elapsed());
    });
}

#[test]
fn a_device_that_hangs_comes_back_by_its_cure_only() {
    on_bus("usb::a_device_that_hangs_comes_back_by_its_cure_only", |bus| {
        let _inside = bus.runtime().enter();
        let plugged = bus.plug("1.2", IPhone::new(UDID));
        let mode = || Client::run(bus, &["open 1-1.2", "mode"]).pop().unwrap();
        assert_eq!(mode(), "[3, 3, 3, 0]");
        plugged.hang(Cure::Reset);
        let before = plugged.address();
        assert_eq!(Client::run(bus, &["open 1-1.2", "mode", "reset"])[1], "Timeout");
        poll("the device to come back", || plugged.address().filter(|now| Some(*now) != before));
        assert_eq!(mode(), "[3, 3, 3, 0]");
        plugged.hang(Cure::PowerLoss);
        assert_eq!(Client::run(bus, &["open 1-1.2", "reset", "mode"])[1..], ["ok", "Timeout"]);
        let before = plugged.address();
        assert_eq!(Client::run(bus, &["open 1-1", "power 2 off", "power 2 on"]), ["ok", "ok", "ok"]);
        poll("the device to come back", || plugged.address().filter(|now| Some(*now) != before));
        assert_eq!(mode(), "[3, 3, 3, 0]");
    });
}

/// Debian's libusb hears of devices from udev, which the tests with usbmuxd show.
#[test]
fn a_libusb_without_udev_hears_of_devices_from_the_kernel() {
    struct Tell(std::sync::mpsc::Sender<(bool, u16)>);
    impl rusb::Hotplug<rusb::Context> for Tell {
        fn device_arrived(&mut self, device: rusb::Device<rusb::Context>) {
            self.0.send((true, device.device_descriptor().unwrap().product_id())).unwrap();
        }
        fn device_left(&mut self, device: rusb::Device<rusb::Context>) {
            self.0.send((false, device.device_descriptor().unwrap().product_id())).unwrap();
        }
    }
    on_bus("usb::a_libusb_without_udev_hears_of_devices_from_the_kernel", |bus| {
        let context = rusb::Context::new().unwrap();
        let (sender, heard) = std::sync::mpsc::channel();
        let registered =
            rusb::HotplugBuilder::new().vendor_id(0x05ac).register(&context, Box::new(Tell(sender)));
        let _registered: rusb::Registration<_> = registered.unwrap();
        let next = || {
            poll("an event", || {
                context.handle_events(Some(Duration::from_millis(10))).unwrap();
                heard.try_recv().ok()
            })
        };
        let plugged = bus.plug("7", others::kis());
        assert_eq!(next(), (true, 0x1881));
        plugged.unplug();
        assert_eq!(next(), (false, 0x1881));
    });
}
