//! The edge where every error of a Mac gets a class, a next action, and whether it may pass.

use super::super::outcome::{Class, Verdict};
use super::words;
use crate::device::mac::{MacError, ShellError};

/// True if the same may work a moment later: a connection that broke, or a tool that
/// complains while the Mac is busy enrolling.
pub fn may_pass(error: &MacError) -> bool {
    match error {
        MacError::Shell(error) => error.may_pass(),
        MacError::Answer { .. } => true,
        MacError::NoMac { .. } | MacError::Failed { .. } => false,
    }
}

/// How a job ends that cannot get over this error.
pub fn verdict(error: &MacError) -> Verdict {
    let said = words::of(error);
    let (class, next) = match error {
        MacError::Shell(error) => return of_shell(error, said),
        MacError::Answer { .. } => (
            Class::Bug,
            "Run the command on the Mac by hand, and report what it prints with the version of macOS.",
        ),
        MacError::NoMac { .. } => (Class::Configuration, "Give the address of a Mac."),
        MacError::Failed { what: "opening the profile", .. } => (
            Class::Operator,
            "Log in at the Mac's screen as the user that ssh uses, then run enlist again; or carry the profile there with `enlist mac kit`.",
        ),
        MacError::Failed { .. } => (
            Class::Device,
            "Check the space and the rights in the Mac's temporary folder, then run enlist again.",
        ),
    };
    Verdict::failed(class, said, next)
}

fn of_shell(error: &ShellError, said: String) -> Verdict {
    let (class, next) = match error {
        ShellError::NoProgram { .. } => (
            Class::Configuration,
            "Install OpenSSH's client; on Debian: apt install openssh-client.".to_owned(),
        ),
        ShellError::NoSuchHost { .. } => {
            (Class::Configuration, "Check the name, or give the address in numbers.".to_owned())
        }
        ShellError::Unreachable { .. } => (
            Class::Transport,
            "Wake the Mac, and turn on Remote Login under System Settings > General > Sharing.".to_owned(),
        ),
        ShellError::HostKey { host, changed: false } => (
            Class::Configuration,
            format!("Run `ssh {host}` once, compare the fingerprint with the Mac's, and accept it."),
        ),
        ShellError::HostKey { host, changed: true } => (
            Class::Configuration,
            format!(
                "Somebody may be in between, or the Mac was installed anew: compare fingerprints, then `ssh-keygen -R` its name and run `ssh {host}` once."
            ),
        ),
        ShellError::Denied { host, .. } => (
            Class::Configuration,
            format!(
                "Let a key in with `ssh-copy-id {host}`, and check under Remote Login that the user may come in; enlist never asks for passwords."
            ),
        ),
        ShellError::Lost { .. } => (
            Class::Transport,
            "Check the network to the Mac, then run enlist again; it is looked at first.".to_owned(),
        ),
        ShellError::Timeout { .. } => {
            (Class::Transport, "Check whether the Mac is busy or asleep, then run enlist again.".to_owned())
        }
        ShellError::TooLong { .. } => (
            Class::Device,
            "This is no answer of a Mac: check the address, and what its login shell prints.".to_owned(),
        ),
    };
    Verdict::failed(class, said, &next)
}
