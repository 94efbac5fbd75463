//! `enlist serve --json` in a process of its own, and what its board said.

use super::binary::{Bench, Done, Running};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// A running station; it dies with its owner.
pub(crate) struct Serving {
    running: Running,
    /// Every change so far.
    pub(crate) seen: Vec<Value>,
}

impl Serving {
    pub(crate) fn start(bench: &Bench, args: &[&str]) -> Self {
        let mut all = vec!["serve", "--json"];
        all.extend(args);
        Self::of(bench.command(&all))
    }

    /// A command that serves.
    pub(crate) fn of(command: Command) -> Self {
        Self { running: Running::start(command), seen: Vec::new() }
    }

    /// Waits for a change that is so.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let Some(line) = self.running.line() else { panic!("ended before {what}: {:#?}", self.seen) };
            let change: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(change.clone());
            if is_so(&change) {
                return change;
            }
        }
    }

    /// Waits for an outcome of any device.
    #[track_caller]
    pub(crate) fn until_outcome(&mut self, outcome: &str) -> Value {
        self.until(outcome, |change| change["outcome"] == outcome)
    }

    /// Waits for a job's end.
    #[track_caller]
    /// Gives it longer than usual.
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { running: self.running.within(patience), ..self }
    }

    pub(crate) fn until_ended(&mut self) -> Value {
        self.until("a job's end", |change| change["ended"] == true)
    }

    /// The outcomes the board showed, each once in a row.
    pub(crate) fn outcomes(&self) -> Vec<&str> {
        let mut outcomes: Vec<_> = self.seen.iter().map(|c| c["outcome"].as_str().unwrap()).collect();
        outcomes.dedup();
        outcomes
    }

    /// Waits for its own end.
    pub(crate) fn finish(self) -> Done {
        self.running.finish()
    }

    /// Ends it as a service manager does.
    pub(crate) fn end(self) -> Done {
        self.running.terminate();
        self.running.finish()
    }

    pub(crate) fn kill(&mut self) {
        self.running.kill();
    }

    /// Crashes it, as a fault in a C library would; `limits` are what the system said of it before.
    pub(crate) fn crash(self) -> (String, Done) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.running.pid())).unwrap();
        self.running.signal("ABRT");
        (limits, self.running.finish())
    }
}
