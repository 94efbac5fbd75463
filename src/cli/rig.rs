//! `enlist rig`: listed devices and this program against each other.

use super::arguments::{AgeArgs, Global, HelperArgs};
use super::output::{Output, Tone};
use super::record::RecordFlag;
use super::screen::interrupted;
use super::sim::scenes;
use super::{compose, helpers};
use crate::api::rig::{Check, CheckView, Rig, RigFile, RigOptions, RigReport, RigScreen, Status};
use crate::api::view::Exit;
use crate::api::{OperationError, Policy, system_words};
use crate::clock::Clock;
use crate::config::{self, Environment};
use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum RigCommand {
    /// Run the checks that a rig file allows, and report
    Run(Box<RigArgs>),
}

/// What `enlist help rig` tells beside the options.
pub(super) const GUIDE: &str = "\
A lab with one spare phone:

  1. Plug the phone in and see its UDID: enlist devices
  2. Write rig.toml:

       [[device]]
       udid = \"00008140-001B59F64B2E760E\"
       name = \"Spare iPhone\"

  3. Run it, and do on the phone what you are asked: enlist rig run rig.toml
  4. Allow more, as you dare. Each of these is a line of the device:

       has_passcode = true                  somebody enters it after a restart
       enrolls_with = \"export.mobileconfig\" it is enrolled with this export
       may_unenroll = true                  and the enrollment is removed again
       serial = \"C39ABCDEFG\"                its serial number, and the consent to
       may_erase = true                     an erase; then it is enrolled in Setup Assistant
       supervised_by = \"organisation.p12\"   and supervised with this identity
       answers_itself = true                nobody has to be asked: a robot answers
       hands = [\"./hub\", \"--port\", \"3\"]     a command that moves it; it gets detach, attach,
                                            reboot, lock, unlock or forget-pairing, and the UDID

     Before all devices: person_within = 180, the seconds a person has for each part;
     accept_within = 480, those a profile waits; leases = \"DIR\", a folder that all users of
     this computer share, so that their runs keep apart too.

Devices that are not listed are left alone. With --mux usb all devices of the bus are claimed
while it runs, because one program has the whole mux; only listed ones are spoken to.

The same runs against the simulator, which moves its devices itself:

  enlist sim --socket /tmp/bench/mux --control /tmp/bench/control
  hands = [\"/usr/bin/enlist\", \"sim\", \"control\", \"/tmp/bench/control\"]

Exit codes: 0 nothing failed, 1 something failed, 2 usage or configuration, 3 a person did not
come, 4 a device is not attached, 5 another run has a device.";

#[derive(Debug, Args)]
pub(super) struct RigArgs {
    /// The rig file: which devices, and what they may be used for; `enlist help rig` shows one
    file: PathBuf,
    /// Play the devices of a scenario of `enlist sim` too, as far as people and real devices
    /// can; may be repeated
    #[arg(long, value_name = "FILE")]
    scenario: Vec<PathBuf>,
    /// Only these checks, and those they need
    #[arg(long, value_name = "CHECK,...", value_delimiter = ',')]
    only: Vec<Check>,
    /// Nobody is there: skip what needs a person. So it is without a terminal, too
    #[arg(long)]
    unattended: bool,
    /// Folder for junit.xml and report.html; otherwise a new one in the state folder
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    record: RecordFlag,
    #[command(flatten)]
    age: AgeArgs,
}

impl ValueEnum for Check {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let inside = *self == Self::Lease;
        Some(PossibleValue::new(self.name()).help(self.about()).hide(inside))
    }
}

pub(super) async fn run(
    command: &RigCommand,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let RigCommand::Run(args) = command;
    let file = read(&args.file)?;
    let scenes = args.scenario.iter().map(|path| scenes::read(path)).collect::<Result<_, _>>()?;
    let config = compose::configuration(global, environment)?;
    let supervisors = file.devices.iter().filter_map(|dut| dut.supervised_by.clone()).collect();
    let taken = args.record.of_each();
    let (operations, folders) = compose::rig(global, environment, supervisors, taken.recorder()).await?;
    let base = config.enroll.policy(Policy::default())?;
    let helpers = helpers::of_run(&HelperArgs { files: Vec::new() }, &config, &operations, output)?;
    let attended = !args.unattended && io::stdin().is_terminal() && io::stderr().is_terminal();
    let options = RigOptions {
        attended,
        only: args.only.clone(),
        scenes,
        leases: folders.leases,
        policy: Policy { helpers, ..base },
        wishes: config.prepare.clone().wishes(),
        answers: args.age.answers(&config.enroll),
    };
    if !attended && !args.unattended && !output.json {
        output.note("There is no terminal, so nobody is asked for anything, as with --unattended.");
    }
    if let Some(out) = &args.out {
        // Before the work, not after it.
        std::fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
    }
    let rig = Rig { operations, file, options, clock: Clock::System };
    let screen = Screen { output: *output, attended, last: Mutex::default() };
    let report = rig.run(&screen, interrupted()).await;
    let whole = taken.finish(output).await;
    let report = report?;
    let out = args.out.clone().unwrap_or_else(|| {
        folders.state.join("reports").join(report.begun.strftime("%Y%m%dT%H%M%S").to_string())
    });
    keep(&report, &out)?;
    summary(&report, &out, output);
    Ok(if whole { report.exit() } else { report.exit().worst(Exit::Failed) })
}

fn read(path: &Path) -> Result<RigFile, OperationError> {
    let text = config::read_text(path).map_err(|error| {
        let said = format!("The rig file {} cannot be read: {}.", path.display(), system_words(&error));
        OperationError::new(Exit::Usage, said, "Give the file; `enlist help rig` shows one.")
    })?;
    RigFile::parse(&text, path).map_err(|bad| (path, bad).into())
}

fn keep(report: &RigReport, out: &Path) -> Result<(), OperationError> {
    let write = || {
        std::fs::create_dir_all(out)?;
        std::fs::write(out.join("junit.xml"), report.junit())?;
        std::fs::write(out.join("report.html"), report.page())
    };
    write().map_err(|error| unwritable(out, &error))
}

fn unwritable(out: &Path, error: &io::Error) -> OperationError {
    let said = format!("The report cannot be written to {}: {}.", out.display(), system_words(error));
    OperationError::new(Exit::Usage, said, "Give another folder with --out.")
}

fn summary(report: &RigReport, out: &Path, output: &Output) {
    let sum = report.summary();
    if output.json {
        return output.object(&sum);
    }
    let ended = if report.interrupted { "; ended before it was done" } else { "" };
    output.line(format!(
        "{} passed, {} failed, {} without the person they need, {} skipped{ended}.",
        sum.passed, sum.failed, sum.needs_person, sum.skipped
    ));
    output.line(format!("Report: {}", out.join("report.html").display()));
}

/// Progress: a line a check.
struct Screen {
    output: Output,
    attended: bool,
    /// The device that was told of last.
    last: Mutex<String>,
}

/// Takes back what was drawn on the line.
const CLEAR: &str = "\r\x1b[K";

impl Screen {
    fn draws(&self) -> bool {
        self.output.terminal && !self.output.json
    }
}

impl RigScreen for Screen {
    fn begins(&self, device: &str, check: &str) {
        if self.output.json {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != device {
            self.output.line(self.output.toned(Tone::Strong, device));
            device.clone_into(&mut last);
        }
        if self.draws() {
            let shape = self.output.toned(Tone::Busy, Tone::Busy.shape());
            self.output.raw(&format!("  {shape} {check} ..."));
        }
    }

    fn ended(&self, check: &CheckView) {
        if self.output.json {
            return self.output.object(check);
        }
        if self.draws() {
            self.output.raw(CLEAR);
        }
        let (tone, shape) = match check.status {
            Status::Passed => (Tone::Good, Tone::Good.shape()),
            Status::Failed => (Tone::Bad, Tone::Bad.shape()),
            Status::NeedsPerson => (Tone::Person, Tone::Person.shape()),
            Status::Skipped => (Tone::Quiet, "○"),
        };
        let (shape, seconds) = (self.output.toned(tone, shape), Duration::from_millis(check.view.ms));
        let took = self.output.toned(Tone::Quiet, format!("{:.1} s", seconds.as_secs_f64()));
        let simulated = if check.view.simulated { " [simulated]" } else { "" };
        self.output.line(format!(
            "  {shape} {:<13} {}{simulated}  {took}",
            check.title(),
            check.view.sentence
        ));
        if let (Some(next), Status::Failed | Status::NeedsPerson) = (&check.view.next, check.status) {
            self.output.line(format!("    next: {next}"));
        }
        if check.status == Status::Failed && !check.view.chain.is_empty() {
            let said = format!("    device said: {}", super::output::chain(&check.view));
            self.output.line(self.output.toned(Tone::Quiet, said));
        }
    }

    fn asks(&self, device: &str, words: &str, within: Option<Duration>) {
        if self.attended {
            let clear = if self.draws() { CLEAR } else { "" };
            let left = within.map(|within| format!(" ({} s left)", within.as_secs())).unwrap_or_default();
            self.output.note(format!("{clear}▲ {device}: {words}{left}"));
        }
    }
}
