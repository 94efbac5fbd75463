//! The virtual USB bus, judged by programs nobody here wrote: libusb, Debian's usbmuxd and
//! libimobiledevice's tools, unmodified.

use crate::support::binary::shipped_binary;
use crate::support::bus::{Bus, on_bus};
use enlist::sim::FleetOptions;

fn fleet_of(devices: usize) -> FleetOptions {
    FleetOptions { devices, ..FleetOptions::default() }
}

fn said(bus: &Bus, program: &str, arguments: &[&str]) -> String {
    let done = bus.command(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

#[test]
fn libusb_sees_the_hub_tree() {
    on_bus("usb::libusb_sees_the_hub_tree", |bus| {
        let done = bus.command(shipped_binary()).args(["doctor", "--json"]).output().unwrap();
        println!("{done:?}");
    });
}

#[test]
fn usbmuxd_lists_a_device() {
    on_bus("usb::usbmuxd_lists_a_device", |bus| {
        let fleet = bus.fleet(fleet_of(1));
        let usbmuxd = bus.usbmuxd(&["-v"]);
        for _ in 0..30 {
            let listed = said(bus, "idevice_id", &["-l"]);
            println!("{listed}");
            if listed.contains(fleet.fleet.udids()[0].as_str()) {
                println!("{}", said(bus, "ideviceinfo", &["-s"]));
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        println!("{}", usbmuxd.log());
    });
}
