//! Hands: what no program can do to a device. A person is asked, with a deadline; or a command
//! of the rig file does it, such as a switch of the hub's ports, or `enlist sim control SOCKET`.
//! The command gets the verb and the UDID as its last two arguments, and of our environment
//! nothing, as hooks do.

use super::file::Dut;
use super::result::Found;
use super::{RigScreen, Stop};
use crate::station::hooks;
use crate::wire::printable::{printable, system_words};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// A command of hands is done within this time: hubs and robots take seconds.
const HANDS_TAKE: Duration = Duration::from_secs(60);

/// What such a command says, as far as it is read, in bytes: its first words.
const HANDS_SAY: u64 = 2048;

/// A part of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Unplug,
    Plug,
    Restart,
    Lock,
    Unlock,
    ForgetPairing,
}

impl Part {
    /// What the command is told: the verbs of `enlist sim control`.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Unplug => "detach",
            Self::Plug => "attach",
            Self::Restart => "reboot",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::ForgetPairing => "forget-pairing",
        }
    }

    /// What the person is told.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Unplug => "Unplug the device now.",
            Self::Plug => "Plug the device in again, into the same port.",
            Self::Restart => "Restart the device, and leave it plugged in.",
            Self::Lock => "Lock the device with its side button.",
            Self::Unlock => "Unlock the device and enter its passcode.",
            Self::ForgetPairing => {
                "On the device: Settings > General > Transfer or Reset > Reset > Reset Location & Privacy."
            }
        }
    }
}

/// Whose hands a device has.
pub(super) struct Hands<'a> {
    pub(super) dut: &'a Dut,
    pub(super) screen: &'a dyn RigScreen,
    /// A person is at the terminal.
    pub(super) attended: bool,
    pub(super) within: Duration,
    pub(super) stop: Stop,
}

impl Hands<'_> {
    /// True if somebody or something can move the device.
    pub(super) fn are_there(&self) -> bool {
        self.attended || !self.dut.hands.is_empty()
    }

    /// Has a part done, or begun: a person is told, a command has ended.
    ///
    /// # Errors
    /// The command does not work, or nobody is there.
    pub(super) async fn ask(&self, part: Part) -> Result<(), Found> {
        let Some((program, arguments)) = self.dut.hands.split_first() else {
            if !self.attended {
                return Err(Found::skipped(format!("Nobody is there to do it: {}", part.words())));
            }
            self.screen.asks(&self.dut.label(), part.words(), Some(self.within));
            return Ok(());
        };
        let mut command = Command::new(program);
        command.args(arguments).arg(part.verb()).arg(self.dut.udid.as_str());
        command.env_clear().env("PATH", hooks::PATH);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let said = format!("The hands of the rig file ({} {})", printable(program), part.verb());
        let next = "Run the command by hand; it gets the verb and the UDID, and ends with 0.";
        let mut child = command.spawn().map_err(|error| {
            Found::failed(format!("{said} cannot be run: {}.", system_words(&error)), next)
        })?;
        let mut words = Vec::new();
        let stderr = child.stderr.take();
        let ended = timeout(HANDS_TAKE, async {
            if let Some(stderr) = stderr {
                // What it says is for people only.
                let _ = stderr.take(HANDS_SAY).read_to_end(&mut words).await;
            }
            child.wait().await
        });
        let ended = tokio::select! {
            ended = ended => ended,
            () = self.stop.asked() => return Err(super::interrupted()),
        };
        let words = String::from_utf8_lossy(&words).lines().next().map(printable).unwrap_or_default();
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(_) => Err(Found::failed(format!("{said} did not work. {words}").trim_end(), next)),
            Err(_) => {
                let late = HANDS_TAKE.as_secs();
                Err(Found::failed(format!("{said} did not end within {late} seconds."), next))
            }
        }
    }
}
