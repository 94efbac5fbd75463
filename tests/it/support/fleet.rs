//! `enlist sim` in a process of its own, and its control channel.

use super::binary::{Bench, PATIENCE, Running, poll, text_of};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A running simulator; it dies with its owner.
pub(crate) struct Simulator {
    running: Running,
    control: PathBuf,
    /// UDIDs in the order the devices were made.
    pub(crate) udids: Vec<String>,
}

impl Simulator {
    /// On the bench's socket.
    pub(crate) fn start(bench: &Bench, args: &[&str]) -> Self {
        Self::at(bench, &text_of(&bench.socket()), args)
    }

    /// On another address.
    pub(crate) fn at(bench: &Bench, address: &str, args: &[&str]) -> Self {
        let control = bench.path("control");
        let control_text = text_of(&control);
        let mut all = vec!["sim", "--json", "--socket", address, "--control", &control_text];
        all.extend(args);
        let mut running = bench.start(&all);
        let Some(line) = running.line() else { panic!("{}", running.finish()) };
        let ready: Value = serde_json::from_str(&line).unwrap();
        let udids = ready["devices"].as_array().unwrap().iter();
        let udids = udids.map(|udid| udid.as_str().unwrap().to_owned()).collect();
        Self { running, control, udids }
    }

    /// The devices of a scenario file.
    pub(crate) fn of(bench: &Bench, scenario: &str) -> Self {
        let file = bench.write("scenario.toml", scenario);
        Self::start(bench, &["--scenario", &file])
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(mut self) {
        self.running.kill();
    }

    /// Gives a command and asserts that it was carried out.
    pub(crate) fn control(&self, command: &Value) -> Value {
        let answer = self.ask(command);
        assert_eq!(answer["ok"], true, "{command}: {answer}");
        answer
    }

    fn ask(&self, command: &Value) -> Value {
        let mut stream = UnixStream::connect(&self.control).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Does something to the first device.
    pub(crate) fn does(&self, verb: &str) {
        self.control(&json!({ "do": verb, "udid": self.udids[0] }));
    }

    /// What the simulator knows of a device.
    pub(crate) fn device(&self, udid: &str) -> Value {
        self.control(&json!({ "do": "state", "udid": udid }))["device"].take()
    }

    /// Of the first one.
    pub(crate) fn first(&self) -> Value {
        self.device(&self.udids[0])
    }

    /// Of all.
    pub(crate) fn devices(&self) -> Vec<Value> {
        self.control(&json!({ "do": "state" }))["devices"].as_array().unwrap().clone()
    }

    /// Waits until the station only looks at the first device now and then, as it does while
    /// it waits for a person: whatever it wanted to send is sent.
    pub(crate) fn until_left_alone(&self) -> Value {
        self.until("the station to wait", |device| device["silence"].as_u64() > Some(800))
    }

    /// Waits until the first device is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        poll(what, || Some(self.first()).filter(&is_so))
    }
}

/// A counter of a device.
#[track_caller]
pub(crate) fn count(device: &Value, counter: &str) -> u64 {
    device["counters"][counter].as_u64().unwrap_or_else(|| panic!("no counter {counter} in {device}"))
}

/// True if the device has the profile.
pub(crate) fn has_profile(device: &Value, identifier: &str, uuid: &str) -> bool {
    let same = |p: &Value| p["identifier"] == identifier && p["uuid"] == uuid;
    device["installed"].as_array().unwrap().iter().any(same)
}
