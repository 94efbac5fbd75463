//! Running commands on a Mac, which takes profiles from no cable (protocols.md 7.2).
//!
//! A [`Runner`] runs one fixed script at a time with a deadline and a limit for what it prints:
//! [`OpenSsh`] through the system's `ssh`, [`Local`] on this computer. Scripts hold nothing
//! that a stranger chose but the name of a folder, whose letters are checked.

mod local;
mod openssh;
mod process;

pub use local::Local;
pub use openssh::{Address, BadAddress, OpenSsh};

use crate::secret::Secret;
use async_trait::async_trait;
use std::fmt::Debug;
use std::time::Duration;

/// A script to run.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What it is for, in words for errors: "the version of macOS".
    pub what: &'static str,
    /// The script, for `/bin/sh`. No single quotes, backslashes or exclamation marks, so that
    /// it can be quoted for any login shell.
    pub script: &'a str,
    /// What it reads; nothing if `None`.
    pub input: Option<&'a Secret<Vec<u8>>>,
    /// How long it may take, connecting included.
    pub within: Duration,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// What it printed, at most [`OUTPUT_BYTES`].
    pub out: String,
    /// What it complained of, at most as much.
    pub err: String,
}

/// Most bytes of one answer. `profiles list` of a Mac with a thousand profiles stays below half.
pub const OUTPUT_BYTES: usize = 256 << 10;

/// Why a script could not be run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    /// The program that should run it is missing here.
    #[error("cannot start {program}: {reason}")]
    NoProgram {
        /// Which.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// The name of the Mac leads nowhere.
    #[error("the name {host} is not known: {said}")]
    NoSuchHost {
        /// As given.
        host: String,
        /// What ssh said.
        said: String,
    },
    /// Nothing answers there, or it answers no.
    #[error("cannot connect to {host}: {said}")]
    Unreachable {
        /// As given.
        host: String,
        /// What ssh said.
        said: String,
    },
    /// The host's key was never seen, or is another one than before.
    #[error("the host key of {host} is {}", if *.changed { "not the one that is known" } else { "not known here" })]
    HostKey {
        /// As given.
        host: String,
        /// Another key is known: somebody may be in between.
        changed: bool,
    },
    /// The Mac does not let us in.
    #[error("{host} refused to let this station in: {said}")]
    Denied {
        /// As given.
        host: String,
        /// What ssh said.
        said: String,
    },
    /// The connection ended in the middle.
    #[error("the connection to {host} was lost while asking for {what}: {said}")]
    Lost {
        /// As given.
        host: String,
        /// What was asked.
        what: &'static str,
        /// What ssh said.
        said: String,
    },
    /// No end in time.
    #[error("no answer to {what} within {} s", after.as_secs_f32().ceil())]
    Timeout {
        /// What was asked.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// It prints without end.
    #[error("the answer to {what} is longer than {OUTPUT_BYTES} bytes")]
    TooLong {
        /// What was asked.
        what: &'static str,
    },
}

impl ShellError {
    /// True if the same may work a moment later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Lost { .. } | Self::Timeout { .. })
    }
}

/// A way to run scripts on one Mac.
#[async_trait]
pub trait Runner: Send + Sync + Debug {
    /// Where they run, for messages: `admin@mini-7.example`.
    fn place(&self) -> String;

    /// Runs a script to its end. Dropping the future ends it on this side.
    ///
    /// # Errors
    /// [`ShellError`]; a script that ran and failed is no error but a code.
    async fn run(&self, ask: &Ask<'_>) -> Result<Said, ShellError>;
}
