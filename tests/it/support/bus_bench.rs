//! The shipped binary at work on the virtual bus.

#![allow(clippy::disallowed_methods)] // real processes have a real environment

use super::binary::{Done, Running, shipped_binary, text_of};
use super::bus::Bus;
use super::bus::fleet::PluggedFleet;
use super::profile::f01;
use enlist::sim::{DeviceSpec, FleetOptions, Persona};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// More than a program takes on a busy computer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A folder for the station, on a bus.
pub(crate) struct Bench<'a> {
    pub(crate) bus: &'a Bus,
    folder: tempfile::TempDir,
}

impl<'a> Bench<'a> {
    pub(crate) fn on(bus: &'a Bus) -> Self {
        Self { bus, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bus.command(shipped_binary());
        command.args(args).env("ENLIST_STATE_DIR", self.path("state")).env_remove("USBMUXD_SOCKET_ADDRESS");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        Running::start(self.command(args)).within(PATIENCE).finish()
    }

    pub(crate) fn profile(&self) -> String {
        let path = self.path("enroll.mobileconfig");
        std::fs::write(&path, f01()).unwrap();
        text_of(&path)
    }
}

/// Devices in Setup Assistant, which need no person; plugged in.
pub(crate) fn in_setup(bus: &Bus, devices: usize) -> PluggedFleet {
    bus.fleet(in_setup_options(devices))
}

/// The same, to be plugged in.
pub(crate) fn to_plug(bus: &Bus, devices: usize) -> PluggedFleet {
    bus.fleet(FleetOptions { attached: false, ..in_setup_options(devices) })
}

fn in_setup_options(devices: usize) -> FleetOptions {
    let specs =
        vec![DeviceSpec { persona: Persona::InSetup, settings: Persona::InSetup.settings() }; devices];
    FleetOptions { devices, specs, ..FleetOptions::default() }
}

pub(crate) fn of<'v>(lines: &'v [Value], bay: &str) -> &'v Value {
    lines.iter().find(|line| line["bay"] == bay).unwrap_or_else(|| panic!("no {bay} in {lines:#?}"))
}
