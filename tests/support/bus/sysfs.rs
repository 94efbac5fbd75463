//! What sysfs and the device nodes show (virtual-usb.md "sysfs and nodes required").

use super::descriptors::{Descriptors, MANUFACTURER, PRODUCT, SERIAL};
use super::node::{Place, Watcher};
use std::io::{ErrorKind, Result};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Folder of the USB devices' links.
const BUS: &str = "sys/bus/usb";

/// The files, below a folder that is mounted in the system's places.
#[derive(Debug, Clone)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// An empty tree.
    pub fn new(root: &Path) -> Result<Self> {
        for folder in [
            "sys/bus/usb/devices",
            "sys/bus/usb/drivers/usbfs",
            "sys/devices",
            "sys/dev/char",
            "sys/dev/block",
            "dev/bus/usb",
        ] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    fn device(&self, place: &Place) -> PathBuf {
        self.root.join("sys/devices").join(&place.folder)
    }

    fn device_link(&self, place: &Place) -> PathBuf {
        self.root.join(format!("sys/dev/char/189:{}", place.minor()))
    }

    fn bus_link(&self, name: &str) -> PathBuf {
        self.root.join(BUS).join("devices").join(name)
    }

    fn node(&self, place: &Place) -> PathBuf {
        self.root.join("dev/bus/usb").join(format!("{:03}/{:03}", place.bus, place.address))
    }

    /// Shows a device, complete, before anybody can see it by its links.
    pub fn add(&self, place: &Place, descriptors: &Descriptors, configuration: Option<u8>) -> Result<()> {
        let folder = self.device(place);
        std::fs::create_dir_all(&folder)?;
        let id = descriptors.id;
        let text = |of: u8| descriptors.strings.get(&of).cloned();
        let attributes = [
            ("busnum", Some(place.bus.to_string())),
            ("devnum", Some(place.address.to_string())),
            ("speed", Some(descriptors.speed.megabits().to_owned())),
            ("dev", Some(format!("189:{}", place.minor()))),
            ("devpath", Some(place.path())),
            ("idVendor", Some(format!("{:04x}", id.0))),
            ("idProduct", Some(format!("{:04x}", id.1))),
            ("bcdDevice", Some("0504".to_owned())),
            ("bDeviceClass", Some(format!("{:02x}", descriptors.class.0))),
            ("bDeviceSubClass", Some(format!("{:02x}", descriptors.class.1))),
            ("bDeviceProtocol", Some(format!("{:02x}", descriptors.class.2))),
            ("bNumConfigurations", Some(descriptors.configurations.len().to_string())),
            ("version", Some(" 2.00".to_owned())),
            ("maxchild", Some(descriptors.ports.to_string())),
            ("authorized", Some("1".to_owned())),
            ("manufacturer", text(MANUFACTURER)),
            ("product", text(PRODUCT)),
            ("serial", text(SERIAL)),
            ("uevent", Some(uevent_text(place, descriptors).trim_end().to_owned())),
        ];
        for (name, value) in attributes {
            if let Some(value) = value {
                std::fs::write(folder.join(name), format!("{value}\n"))?;
            }
        }
        std::fs::write(folder.join("descriptors"), descriptors.all())?;
        link("/sys/bus/usb", &folder.join("subsystem"))?;
        self.configure(place, descriptors, configuration)?;
        let node = self.node(place);
        std::fs::create_dir_all(node.parent().unwrap())?;
        std::fs::write(&node, descriptors.all())?;
        let real = format!("/sys/devices/{}", place.folder);
        link(&real, &self.device_link(place))?;
        link(&real, &self.bus_link(&place.name))
    }

    /// Takes a device out of sight, links first.
    pub fn remove(&self, place: &Place) -> Result<()> {
        for name in self.interfaces(place)? {
            gone(std::fs::remove_file(self.bus_link(&name)))?;
        }
        gone(std::fs::remove_file(self.bus_link(&place.name)))?;
        gone(std::fs::remove_file(self.device_link(place)))?;
        gone(std::fs::remove_file(self.node(place)))?;
        gone(std::fs::remove_dir_all(self.device(place)))
    }

    /// Names of the interfaces shown.
    fn interfaces(&self, place: &Place) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.device(place))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with(&format!("{}:", place.name)) {
                found.push(name);
            }
        }
        Ok(found)
    }

    fn configure(&self, place: &Place, descriptors: &Descriptors, configuration: Option<u8>) -> Result<()> {
        for name in self.interfaces(place)? {
            gone(std::fs::remove_file(self.bus_link(&name)))?;
            gone(std::fs::remove_dir_all(self.device(place).join(name)))?;
        }
        let layout = configuration.and_then(|v| descriptors.configuration(v)).unwrap_or_default();
        for interface in &layout.interfaces {
            let name = interface_name(place, configuration.unwrap_or(0), interface.number);
            let folder = self.device(place).join(&name);
            std::fs::create_dir_all(&folder)?;
            let (class, subclass, protocol) = interface.class;
            for (file, value) in [
                ("bInterfaceNumber", interface.number),
                ("bAlternateSetting", 0),
                ("bNumEndpoints", u8::try_from(interface.endpoints.len()).unwrap_or(u8::MAX)),
                ("bInterfaceClass", class),
                ("bInterfaceSubClass", subclass),
                ("bInterfaceProtocol", protocol),
            ] {
                std::fs::write(folder.join(file), format!("{value:02x}\n"))?;
            }
            let kind = format!("DEVTYPE=usb_interface\nINTERFACE={class}/{subclass}/{protocol}\n");
            std::fs::write(folder.join("uevent"), kind)?;
            link("/sys/bus/usb", &folder.join("subsystem"))?;
            link(&format!("/sys/devices/{}/{name}", place.folder), &self.bus_link(&name))?;
        }
        // No configuration is an empty file, not "0".
        let text = configuration.map(|v| format!("{v}\n")).unwrap_or_default();
        let (file, fresh) = ("bConfigurationValue", ".bConfigurationValue");
        let folder = self.device(place);
        std::fs::write(folder.join(fresh), text)?;
        std::fs::rename(folder.join(fresh), folder.join(file))?;
        std::fs::write(folder.join("bNumInterfaces"), format!("{:2}\n", layout.interfaces.len()))
    }

    fn claim(&self, place: &Place, configuration: u8, interface: u8, claimed: bool) -> Result<()> {
        let folder = self.device(place).join(interface_name(place, configuration, interface));
        let driver = folder.join("driver");
        if claimed { link("/sys/bus/usb/drivers/usbfs", &driver) } else { gone(std::fs::remove_file(driver)) }
    }
}

/// Before a device is shown and after it was taken away there is nothing to change; that is
/// why failures mean nothing here.
impl Watcher for Sysfs {
    fn configured(&self, place: &Place, descriptors: &Descriptors, configuration: Option<u8>) {
        if self.device(place).exists() {
            let _ = self.configure(place, descriptors, configuration);
        }
    }

    fn claimed(&self, place: &Place, configuration: u8, interface: u8, claimed: bool) {
        let _ = self.claim(place, configuration, interface, claimed);
    }
}

fn interface_name(place: &Place, configuration: u8, interface: u8) -> String {
    format!("{}:{configuration}.{interface}", place.name)
}

fn link(target: &str, at: &Path) -> Result<()> {
    gone(std::fs::remove_file(at))?;
    symlink(target, at)
}

/// What is not there need not be removed.
fn gone(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Place {
    /// Minor number of the node.
    pub fn minor(&self) -> u32 {
        (u32::from(self.bus) - 1) * 128 + u32::from(self.address) - 1
    }

    /// Udev's note that it is done with the device.
    pub fn udev_note(&self) -> String {
        format!("/run/udev/data/c189:{}", self.minor())
    }

    /// Ports from the root hub on, `4.2`; `0` for a root hub.
    pub fn path(&self) -> String {
        self.name.split_once('-').map_or("0", |(_, ports)| ports).to_owned()
    }

    /// The node's name below `/dev`.
    pub fn node_name(&self) -> String {
        format!("bus/usb/{:03}/{:03}", self.bus, self.address)
    }
}

/// The lines of a device's `uevent` file.
pub fn uevent_text(place: &Place, descriptors: &Descriptors) -> String {
    let (class, subclass, protocol) = descriptors.class;
    format!(
        "MAJOR=189\nMINOR={}\nDEVNAME={}\nDEVTYPE=usb_device\nDRIVER=usb\nPRODUCT={:x}/{:x}/504\n\
         TYPE={class}/{subclass}/{protocol}\nBUSNUM={:03}\nDEVNUM={:03}\n",
        place.minor(),
        place.node_name(),
        descriptors.id.0,
        descriptors.id.1,
        place.bus,
        place.address
    )
}
