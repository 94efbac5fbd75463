//! The virtual USB bus, judged by programs nobody here wrote: libusb, Debian's usbmuxd and
//! libimobiledevice's tools, unmodified.

use crate::support::binary::shipped_binary;
use crate::support::bus::on_bus;

#[test]
fn libusb_sees_the_hub_tree() {
    on_bus("usb::libusb_sees_the_hub_tree", |bus| {
        let done = bus.command(shipped_binary()).args(["doctor", "--json"]).output().unwrap();
        println!("{done:?}");
    });
}
