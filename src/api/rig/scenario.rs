//! A scenario of the simulator, as a rig sees it: what has to be true of a real device, and
//! what people do to it. What no real device can be told to do is named, and not played.

use crate::workflow::outcome::Outcome;
use std::time::Duration;

/// A scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Its file's name.
    pub name: String,
    /// Its devices.
    pub roles: Vec<Role>,
    /// What happens to them, in order.
    pub acts: Vec<Act>,
    /// How often a job may push.
    pub pushes: u32,
    /// Devices in Setup Assistant are left alone.
    pub hold: bool,
    /// How long policies are watched for.
    pub policies_within: Duration,
}

/// What a person answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No: Don't Trust, the download removed.
    No,
    /// Nothing.
    Never,
}

/// A device of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// What kind of device it is in the simulator.
    pub persona: String,
    /// Setup Assistant runs.
    pub in_setup: bool,
    /// It is supervised.
    pub supervised: bool,
    /// It is locked at first.
    pub locked: bool,
    /// Whether its person unlocks it then.
    pub unlocked: bool,
    /// What its person answers to Trust.
    pub trust: Answer,
    /// What its person does with the profile.
    pub accept: Answer,
    /// Settings that only a simulated device can have.
    pub simulated_only: Vec<String>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When, from the start of the job.
    pub at: Duration,
    /// What.
    pub what: Happening,
    /// To which device, counted from 0; to the station if it does not matter.
    pub role: usize,
    /// How long it lasts.
    pub lasts: Duration,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Cable out, and in again.
    Slip,
    /// The device restarts.
    Reboot,
    /// Its screen is locked.
    Lock,
    /// It is unlocked.
    Unlock,
    /// It forgets whom it trusts.
    ForgetPairing,
    /// The station is killed and started again.
    Restart,
    /// Only the simulator can.
    SimulatedOnly(String),
}

impl Role {
    /// How its job has to end. `silently`: the station is the device's supervisor.
    pub fn expected(&self, hold: bool, silently: bool) -> Outcome {
        match self {
            _ if self.locked && !self.unlocked => Outcome::WaitingForUnlock,
            _ if self.in_setup && hold => Outcome::InSetup,
            _ if self.in_setup => Outcome::Enrolled,
            Self { trust: Answer::No, .. } => Outcome::TrustDenied,
            Self { trust: Answer::Never, .. } => Outcome::WaitingForTrust,
            _ if silently => Outcome::Enrolled,
            Self { accept: Answer::Yes, .. } => Outcome::Enrolled,
            _ => Outcome::PersonDidNotAccept,
        }
    }

    /// What its person has to do otherwise than usual.
    pub(super) fn for_its_person(&self) -> Vec<&'static str> {
        let mut words = Vec::new();
        if self.locked && !self.unlocked {
            words.push("Leave the device locked until this scenario is over.");
        }
        match self.trust {
            _ if self.in_setup => {}
            Answer::Yes => {}
            Answer::No => words.push("When the device asks, tap Don't Trust."),
            Answer::Never => words.push("When the device asks whether to trust, do not answer."),
        }
        match self.accept {
            _ if self.in_setup => {}
            Answer::Yes => {}
            Answer::No => words.push("When the profile waits on the device: remove the download."),
            Answer::Never => words.push("When the profile waits on the device: do not install it."),
        }
        words
    }

    /// True if its person has to answer something.
    pub(super) fn needs_answers(&self) -> bool {
        let answers = [self.trust, self.accept];
        self.locked && self.unlocked || !self.in_setup && answers.iter().any(|a| *a != Answer::Never)
    }
}

impl Happening {
    /// True if hands are needed for it.
    pub(super) fn needs_hands(&self) -> bool {
        !matches!(self, Self::Restart | Self::SimulatedOnly(_))
    }
}
