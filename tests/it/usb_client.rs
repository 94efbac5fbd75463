//! A program on libusb for tests of the virtual bus: this very test binary, started again with
//! a script in its environment. Unlike the test itself it sees the bus as programs do.

#![allow(clippy::disallowed_methods)] // a program of its own, with an environment
#![allow(clippy::print_stdout)] // and an output

use crate::support::binary::Running;
use crate::support::bus::Bus;
use crate::support::bus::iphone::{MUX_IN, MUX_OUT};
use rusb::{Context, DeviceHandle, Error, UsbContext};
use std::time::Duration;

/// Holds the script, one action a line.
const SCRIPT: &str = "ENLIST_USB_CLIENT";
/// Begins what it says of an action.
const SAYS: &str = "client: ";
/// Time for a transfer.
const PATIENCE: Duration = Duration::from_secs(4);

/// The program, running.
pub struct Client {
    running: Running,
}

impl Client {
    /// Starts it on actions such as `open 1-1`, `claim 1`, `power 2 off`.
    pub fn start(bus: &Bus, script: &[&str]) -> Self {
        let mut command = bus.command(std::env::current_exe().unwrap());
        command.args(["--exact", "usb_client::acts", "--nocapture", "--test-threads=1"]);
        command.env(SCRIPT, script.join("\n"));
        Self { running: Running::start(command) }
    }

    /// What it says of the next action: `ok`, a value, or libusb's error.
    pub fn says(&mut self) -> String {
        loop {
            let line = self.running.line().unwrap_or_else(|| panic!("the client ended"));
            if let Some((_, words)) = line.split_once(SAYS) {
                return words.to_owned();
            }
        }
    }

    /// Does everything and gives what it said.
    pub fn run(bus: &Bus, script: &[&str]) -> Vec<String> {
        let mut client = Self::start(bus, script);
        script.iter().map(|_| client.says()).collect()
    }
}

#[test]
fn acts() {
    let Ok(script) = std::env::var(SCRIPT) else { return };
    let mut actor = Actor { context: Context::new().unwrap(), handle: None };
    for line in script.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let said = actor.act(&words).unwrap_or_else(|error| format!("{error:?}"));
        println!("\n{SAYS}{said}");
    }
}

struct Actor {
    context: Context,
    handle: Option<DeviceHandle<Context>>,
}

impl Actor {
    fn act(&mut self, words: &[&str]) -> Result<String, Error> {
        match words {
            ["open", port] => {
                self.handle = Some(self.open(port)?);
                Ok("ok".to_owned())
            }
            ["close"] => {
                self.handle = None;
                Ok("ok".to_owned())
            }
            // Until it is killed.
            ["hold"] => {
                println!("\n{SAYS}holding");
                std::thread::sleep(Duration::MAX);
                Ok(String::new())
            }
            _ => {
                let handle = self.handle.as_ref().ok_or(Error::NoDevice)?;
                on_device(handle, words)
            }
        }
    }

    fn open(&self, port: &str) -> Result<DeviceHandle<Context>, Error> {
        let devices = self.context.devices()?;
        let found = devices.iter().find(|device| {
            let ports: Vec<_> = device.port_numbers().unwrap().iter().map(u8::to_string).collect();
            port == format!("{}-{}", device.bus_number(), ports.join("."))
                || ports.is_empty() && port == format!("usb{}", device.bus_number())
        });
        found.ok_or(Error::NotFound)?.open()
    }
}

fn on_device(handle: &DeviceHandle<Context>, words: &[&str]) -> Result<String, Error> {
    const PORT_POWER: u16 = 8;
    let ok = |()| "ok".to_owned();
    let mut bytes = [0; 64];
    match words {
        ["configure", value] => handle.set_active_configuration(value.parse().unwrap()).map(ok),
        ["configuration"] => Ok(handle.active_configuration()?.to_string()),
        ["claim", interface] => handle.claim_interface(interface.parse().unwrap()).map(ok),
        ["release", interface] => handle.release_interface(interface.parse().unwrap()).map(ok),
        ["reset"] => handle.reset().map(ok),
        ["serial"] => {
            let descriptor = handle.device().device_descriptor()?;
            handle.read_serial_number_string_ascii(&descriptor)
        }
        ["mode"] => {
            let count = handle.read_control(0xc0, 0x45, 0, 0, &mut bytes[..4], PATIENCE)?;
            Ok(format!("{:?}", &bytes[..count]))
        }
        ["set-mode", mode] => {
            let mode = mode.parse().unwrap();
            let count = handle.read_control(0xc0, 0x52, 0, mode, &mut bytes[..1], PATIENCE)?;
            Ok(format!("{:?}", &bytes[..count]))
        }
        ["port-status", port] => {
            handle.read_control(0xa3, 0, 0, port.parse().unwrap(), &mut bytes[..4], PATIENCE)?;
            Ok(format!("{:02x}{:02x}", bytes[1], bytes[0]))
        }
        ["power", port, state] => {
            let request = if *state == "on" { 3 } else { 1 };
            let port = port.parse().unwrap();
            handle.write_control(0x23, request, PORT_POWER, port, &[], PATIENCE)?;
            Ok("ok".to_owned())
        }
        ["version"] => {
            let version: Vec<u8> = [0, 20, 2, 0, 0_u32].iter().flat_map(|n| n.to_be_bytes()).collect();
            handle.write_bulk(MUX_OUT, &version, PATIENCE)?;
            Ok("ok".to_owned())
        }
        ["read"] => {
            let count = handle.read_bulk(MUX_IN, &mut [0; 16384], PATIENCE)?;
            Ok(count.to_string())
        }
        other => panic!("no action {other:?}"),
    }
}
