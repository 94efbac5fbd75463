//! The shipped binary on the virtual bus: over its own mux, beside Debian's usbmuxd, and as a
//! mux for other tools.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use crate::support::binary::{Running, poll, text_of};
use crate::support::bus::iphone::IPhone;
use crate::support::bus::on_bus;
use crate::support::bus::others::{dfu, mac, recovery};
use crate::support::bus_bench::{Bench, PATIENCE, in_setup, of};
use enlist::sim::FleetOptions;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// What is plugged in before a learner looks teaches it nothing.
const LEARNER_STARTS: Duration = Duration::from_secs(4);

#[test]
fn everything_on_the_bus_is_listed_with_its_bay() {
    on_bus("usb_way::everything_on_the_bus_is_listed_with_its_bay", |bus| {
        let bench = Bench::on(bus);
        let _fleet = in_setup(bus, 1);
        let _others = (
            bus.plug("2", recovery(0x001A_2B3C_4D5E_6F70, Some("353214100000001"))),
            bus.plug("3", mac("C02XXXXXXXXX")),
            bus.plug("4", dfu(0x8012, 0x0a, 7, true)),
        );
        let listed = bench.run(&["--mux", "usb", "devices", "--json"]).exits(3).json();
        assert_eq!(of(&listed, "usb-1-1.1")["outcome"], "attached");
        let recovery = of(&listed, "usb-1-2");
        assert_eq!(recovery["outcome"], "recovery-mode");
        assert_eq!((&recovery["udid"], &recovery["imei"]), (&Value::Null, &"353214100000001".into()));
        assert_eq!(recovery["ecid"], "001A2B3C4D5E6F70");
        assert_eq!(of(&listed, "usb-1-3")["serial"], "C02XXXXXXXXX");
        assert!(of(&listed, "usb-1-4")["sentence"].as_str().unwrap().contains("T2"));
        // Meant by its ECID, it needs a person, and says so as a result.
        let file = bench.profile();
        let asked = bench.run(&["--mux", "usb", "enroll", "-u", "1A2B3C4D5E6F70", &file, "--json"]).exits(3);
        assert_eq!(asked.json()[0]["outcome"], "recovery-mode");
        let ports = bench.run(&["--mux", "usb", "bays", "list", "--json"]).exits(0).json();
        assert_eq!(ports.len(), 4, "{ports:#?}");
    });
}

#[test]
fn a_device_is_enrolled_over_our_own_mux_in_its_named_bay() {
    on_bus("usb_way::a_device_is_enrolled_over_our_own_mux_in_its_named_bay", |bus| {
        let bench = Bench::on(bus);
        let fleet = in_setup(bus, 2);
        let file = bench.profile();
        let config = bench.path("enlist.toml");
        std::fs::write(&config, "[bays]\n'1-1.2' = 'Bay 7'\n[mux]\nway = 'usb'\n").unwrap();
        let config = text_of(&config);
        let ran = bench.run(&["--config", &config, "enroll", "--all", &file, "--json"]).exits(0).json();
        assert_eq!(of(&ran, "Bay 7")["outcome"], "enrolled");
        assert_eq!(of(&ran, "usb-1-1.1")["outcome"], "enrolled");
        // Given back: nothing is claimed, and usbmuxd may have them.
        for udid in fleet.fleet.udids() {
            assert!(!fleet.plugged(&udid).unwrap().is_claimed(1));
        }
    });
}

#[test]
fn commands_that_find_no_usable_device_say_why() {
    on_bus("usb_way::commands_that_find_no_usable_device_say_why", |bus| {
        let bench = Bench::on(bus);
        let file = bench.profile();
        let said = bench.run(&["--mux", "usb", "info"]).fails_clearly(4);
        assert!(said.contains("No device is attached"), "{said}");
        let fleet = in_setup(bus, 1);
        let _usbmuxd = bus.usbmuxd(&["-p"]);
        let plugged = fleet.plugged(&fleet.fleet.udids()[0]).unwrap();
        poll("usbmuxd to hold it", || plugged.is_claimed(1).then_some(()));
        let commands: [&[&str]; 4] = [&["enroll", "--all", &file], &["enroll", &file], &["info"], &["pair"]];
        for command in commands {
            let done = bench.run(&[&["--mux", "usb"], command].concat()).exits(1);
            let stdout = done.stdout.join("\n");
            assert!(stdout.contains("Another program (usbmuxd) holds the device."), "{done}");
            assert!(stdout.contains("next: Stop that program"), "{done}");
            assert!(done.stderr.contains("The device on the bus cannot be spoken to."), "{done}");
        }
        let doctor = bench.run(&["--mux", "usb", "doctor", "--json"]).json();
        let judged = doctor.iter().find(|check| check["check"] == "USB bus").unwrap();
        assert!(judged["found"].as_str().unwrap().contains("but usbmuxd (process"), "{judged}");
        let _recovery = bus.plug("2", recovery(0x1A2B, None));
        let both = bench.run(&["--mux", "usb", "info", "--json"]).exits(1);
        assert_eq!(of(&both.json(), "usb-1-1.1")["outcome"], "failed");
        assert_eq!(of(&both.json(), "usb-1-2")["outcome"], "recovery-mode");
        assert!(both.stderr.contains("None of the 2 devices on the bus"), "{both}");
    });
}

#[test]
fn auto_takes_usbmuxd_if_it_answers_and_else_the_bus() {
    on_bus("usb_way::auto_takes_usbmuxd_if_it_answers_and_else_the_bus", |bus| {
        let bench = Bench::on(bus);
        let _fleet = in_setup(bus, 1);
        let _recovery = bus.plug("2", recovery(0x1A2B, None));
        let done = bench.run(&["devices", "--json"]);
        assert_eq!(of(&done.json(), "usb-1-1.1")["outcome"], "attached");
        // The computer's own rules hold here too: they would start usbmuxd at the next plug.
        let rule = std::path::Path::new("/usr/lib/udev/rules.d/39-usbmuxd.rules").exists();
        assert_eq!(done.stderr.contains("sudo install -m 644 udev/39-usbmuxd.rules"), rule, "{done}");
        let usbmuxd = bus.usbmuxd(&["-p"]);
        poll("usbmuxd to list it", || {
            let listed = bus.command("idevice_id").arg("-l").output().unwrap().stdout;
            (!listed.is_empty()).then_some(())
        });
        let listed = bench.run(&["devices", "--json"]).json();
        // The mux tells bus and address, the bus tells the port and what the mux does not.
        assert_eq!(of(&listed, "usb-1-1.1")["outcome"], "attached");
        assert_eq!(of(&listed, "usb-1-2")["outcome"], "recovery-mode");
        let doctor = bench.run(&["doctor", "--json"]).json();
        let mux = doctor.iter().find(|check| check["check"] == "mux").unwrap();
        assert!(mux["found"].as_str().unwrap().contains("one device"), "{mux}");
        drop(usbmuxd);
        let refused = bench.run(&["serve", "--mux", "usbmuxd", "--mux-socket", "x", &bench.profile()]);
        let said = refused.fails_clearly(2);
        assert!(said.contains("own mux"), "{said}");
    });
}

#[test]
fn other_tools_use_the_devices_through_our_socket() {
    on_bus("usb_way::other_tools_use_the_devices_through_our_socket", |bus| {
        let bench = Bench::on(bus);
        let fleet = in_setup(bus, 1);
        let udid = fleet.fleet.udids()[0].to_string();
        let (socket, file) = (bench.path("mux"), bench.profile());
        let socket_text = text_of(&socket);
        let args = ["serve", "--mux", "usb", "--mux-socket", &socket_text, "--json", &file];
        let mut station = Running::start(bench.command(&args)).within(PATIENCE);
        loop {
            let line = station.line().unwrap();
            let change: Value = serde_json::from_str(&line).unwrap();
            if change["outcome"] == "enrolled" {
                break;
            }
        }
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
        let say = |program: &str, args: &[&str]| {
            let address = format!("UNIX:{socket_text}");
            let done =
                Command::new(program).args(args).env("USBMUXD_SOCKET_ADDRESS", address).output().unwrap();
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
        };
        assert_eq!(say("idevice_id", &["-l"]).trim(), udid);
        // With the station's own pair record, no second Trust.
        let validated = say("idevicepair", &["validate"]);
        assert!(validated.contains("SUCCESS"), "{validated}");
        let info = say("ideviceinfo", &["-s"]);
        assert!(info.contains(&format!("UniqueDeviceID: {udid}")), "{info}");
        station.terminate();
        station.finish();
        assert!(!socket.exists());
    });
}

#[test]
fn a_device_that_refuses_lockdown_is_no_case_for_a_reset() {
    on_bus("usb_way::a_device_that_refuses_lockdown_is_no_case_for_a_reset", |bus| {
        let bench = Bench::on(bus);
        let _inside = bus.runtime().enter();
        // The mux answers, and nothing listens at lockdown's port.
        let phone = bus.plug("1", IPhone::new("00008110-001A2B3C4D5E6F70"));
        let (address, file) = (phone.address(), bench.profile());
        let args = ["--mux", "usb", "enroll", "--all", "--person-within", "12", &file, "--json"];
        let result = bench.run(&args).exits(3).only();
        assert_eq!(result["outcome"], "waiting-for-unlock", "{result}");
        assert!(result["next"].as_str().unwrap().contains("allow the accessory"), "{result}");
        assert_eq!(phone.address(), address, "it was not reset");
        let history = bench.run(&["history", "--json"]).all_output();
        assert!(!history.contains("recovering"), "{history}");
    });
}

#[test]
fn bays_are_learned_by_plugging_any_device() {
    on_bus("usb_way::bays_are_learned_by_plugging_any_device", |bus| {
        let bench = Bench::on(bus);
        let args = ["--mux", "usb", "bays", "learn", "--json", "--names", "Left,Right"];
        let mut learning = Running::start(bench.command(&args)).within(PATIENCE);
        std::thread::sleep(LEARNER_STARTS);
        let mut learned = |port: &str| -> Value {
            let plugged = bus.plug(port, recovery(0x1A2B, None));
            let line = learning.line().unwrap();
            plugged.unplug();
            serde_json::from_str(&line).unwrap()
        };
        assert_eq!(learned("4.2")["bay"], "Left");
        assert_eq!(learned("4.1")["bay"], "Right");
        learning.finish().exits(0);
        let _there = bus.plug("4.2", mac("C02XXXXXXXXX"));
        let listed = bench.run(&["--mux", "usb", "devices", "--json"]).json();
        assert_eq!(of(&listed, "Left")["outcome"], "mac-attached");
        let ports = bench.run(&["--mux", "usb", "bays", "list", "--json"]).exits(0).json();
        assert_eq!(of(&ports, "Left")["named_by"], "learned");
        assert_eq!(of(&ports, "Right")["devices"], Value::Array(Vec::new()));
        // Ended by hand, what was learned counts, and the round before is kept.
        let args = ["--mux", "usb", "bays", "learn", "--json"];
        let mut learning = Running::start(bench.command(&args)).within(PATIENCE);
        std::thread::sleep(LEARNER_STARTS);
        let _new = bus.plug("4.3", recovery(0x1A2B, None));
        assert!(learning.line().unwrap().contains("Bay 1"));
        learning.terminate();
        learning.finish().exits(0);
        let kept = |name: &str| std::fs::read_to_string(bench.path("state").join(name)).unwrap();
        assert!(kept("bays.toml").contains("\"0000:00:14.0/4.3\" = \"Bay 1\""));
        assert!(kept("bays.toml.old").contains("Left"));
    });
}

#[test]
fn a_loose_contact_is_quarantined_by_the_name_of_its_bay() {
    on_bus("usb_way::a_loose_contact_is_quarantined_by_the_name_of_its_bay", |bus| {
        let bench = Bench::on(bus);
        let fleet = bus.fleet(FleetOptions { devices: 1, ..FleetOptions::default() });
        let udid = fleet.fleet.udids()[0].clone();
        let config = bench.path("enlist.toml");
        std::fs::write(&config, "[bays]\n'1-1.1' = 'Bay 7'\n").unwrap();
        let (config, file) = (text_of(&config), bench.profile());
        let args = ["--config", &config, "--mux", "usb", "serve", "--json", &file];
        let mut station = Running::start(bench.command(&args)).within(PATIENCE);
        let mut until = |is_so: &dyn Fn(&Value) -> bool| loop {
            let change: Value = serde_json::from_str(&station.line().unwrap()).unwrap();
            if is_so(&change) {
                return change;
            }
        };
        let _inside = bus.runtime().enter();
        let quarantined = |change: &Value| change["outcome"] == "quarantined";
        until(&|change| change["attached"] == true);
        for time in 1..=5 {
            fleet.fleet.detach(&udid).unwrap();
            let change = until(&|change| change["attached"] == false);
            if time == 5 && !quarantined(&change) {
                until(&quarantined);
            }
            fleet.fleet.attach(&udid).unwrap();
            let change = until(&|change| change["attached"] == true);
            if time == 5 {
                assert_eq!(change["sentence"], "The device keeps disappearing from Bay 7.");
                assert_eq!(change["port"], "1-1.1");
            }
        }
        station.terminate();
        station.finish();
    });
}
