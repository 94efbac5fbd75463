//! Scripts on a Mac over the network, by the system's `ssh`.
//!
//! Keys, known hosts, ports and jumps are those of the user's own ssh configuration. Nobody is
//! ever asked for a password (`BatchMode`), and no host key is accepted by us.

use super::process::{self, Trouble};
use super::{Ask, Runner, Said, ShellError};
use crate::wire::mac_profiles::first_words;
use async_trait::async_trait;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::process::Command;

/// The program, from PATH.
const PROGRAM: &str = "ssh";

/// The code with which ssh itself ends when it failed. Our scripts never end so.
const OWN_FAILURE: i32 = 255;

/// What outranks the user's configuration: never ask, give up in time, forward nothing.
const OPTIONS: &[&str] = &[
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RequestTTY=no",
];

/// Where a Mac answers: `user@host`, or a `host` whose user ssh knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(String);

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not the address of a Mac: expected USER@HOST or HOST", first_words(.text))]
pub struct BadAddress {
    text: String,
}

impl Address {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    /// Takes letters, digits and what names and addresses need beside them; nothing that could
    /// be an option or mean something to a shell. A port belongs into ssh's configuration.
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (user, host) = match text.split_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, text),
        };
        let fits = |part: &str, extra: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
            (1..=253).contains(&part.len()) && !part.starts_with('-') && part.chars().all(letter)
        };
        let good = user.is_none_or(|user| fits(user, "._-")) && fits(host, "._-:");
        if good { Ok(Self(text.to_owned())) } else { Err(BadAddress { text: text.to_owned() }) }
    }
}

/// A Mac on the wire.
#[derive(Debug, Clone)]
pub struct OpenSsh {
    address: Address,
    config: Option<PathBuf>,
}

impl OpenSsh {
    /// Over this address; `config` is read instead of the user's ssh configuration.
    pub fn new(address: Address, config: Option<PathBuf>) -> Self {
        Self { address, config }
    }

    fn arguments(&self, script: &str) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        if let Some(config) = &self.config {
            arguments.extend(["-F".into(), config.into()]);
        }
        for option in OPTIONS {
            arguments.extend(["-o".into(), option.into()]);
        }
        // No terminal, no agent, no display for the Mac to use.
        arguments.extend(["-T", "-a", "-x", "--"].map(Into::into));
        arguments.push(self.address.as_str().into());
        arguments.push(format!("/bin/sh -c '{script}'").into());
        arguments
    }

    fn host(&self) -> String {
        self.address.as_str().to_owned()
    }

    /// What ssh means by what it printed.
    fn meaning(&self, err: &str, what: &'static str) -> ShellError {
        let host = self.host();
        let with = |words: &[&str]| err.lines().rev().find(|line| words.iter().any(|w| line.contains(w)));
        if err.contains("HOST IDENTIFICATION HAS CHANGED") {
            return ShellError::HostKey { host, changed: true };
        }
        if with(&["Host key verification failed", "host key is known for"]).is_some() {
            return ShellError::HostKey { host, changed: false };
        }
        if let Some(line) = with(&["Permission denied", "Too many authentication failures"]) {
            return ShellError::Denied { host, said: first_words(line) };
        }
        if let Some(line) = with(&["Could not resolve hostname"]) {
            return ShellError::NoSuchHost { host, said: first_words(line) };
        }
        let unreachable =
            ["Connection refused", "timed out", "No route to host", "unreachable", "Host is down"];
        if let Some(line) = with(&unreachable) {
            return ShellError::Unreachable { host, said: first_words(line) };
        }
        let last = err.lines().rev().find(|line| !line.trim().is_empty());
        let said = last.map_or_else(|| "ssh did not say why".to_owned(), first_words);
        ShellError::Lost { host, what, said }
    }
}

#[async_trait]
impl Runner for OpenSsh {
    fn place(&self) -> String {
        self.host()
    }

    async fn run(&self, ask: &Ask<'_>) -> Result<Said, ShellError> {
        let mut command = Command::new(PROGRAM);
        // Its complaints are read below, so they must not be translated.
        command.args(self.arguments(ask.script)).env("LC_ALL", "C");
        let said = process::run(command, ask).await.map_err(|trouble| match trouble {
            Trouble::NoStart(reason) => ShellError::NoProgram { program: PROGRAM.to_owned(), reason },
            Trouble::Timeout => ShellError::Timeout { what: ask.what, after: ask.within },
            Trouble::TooLong => ShellError::TooLong { what: ask.what },
        })?;
        match said.code {
            // A signal can only have ended ssh, not the script.
            OWN_FAILURE | ..0 => Err(self.meaning(&said.err, ask.what)),
            _ => Ok(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh() -> OpenSsh {
        OpenSsh::new("admin@mini-7.example".parse().unwrap(), None)
    }

    #[test]
    fn addresses_cannot_be_options_or_shell_words() {
        for good in ["admin@mini-7.example", "mini", "a.b_c@192.0.2.7", "root@fe80::1"] {
            assert_eq!(good.parse::<Address>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "-oProxyCommand=x",
            "a@-b",
            "-a@b",
            "a b",
            "a@b;c",
            "a@b@c",
            "$(x)",
            "a'b",
            "a@b\n",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_stands_between_the_options_and_the_address_but_the_end_of_options() {
        let arguments = ssh().arguments("sw_vers -productVersion");
        let last: Vec<_> = arguments.iter().rev().take(3).map(|a| a.to_str().unwrap()).collect();
        assert_eq!(last, ["/bin/sh -c 'sw_vers -productVersion'", "admin@mini-7.example", "--"]);
        assert!(arguments.contains(&"BatchMode=yes".into()));
        assert!(!arguments.iter().any(|a| a.to_string_lossy().contains("StrictHostKeyChecking")));
    }

    #[test]
    fn what_ssh_prints_is_told_apart() {
        let meaning = |err: &str| ssh().meaning(err, "a test").to_string();
        let cases = [
            (
                "No ED25519 host key is known for mini-7 and you have requested strict checking.\nHost key verification failed.\n",
                "the host key of admin@mini-7.example is not known here",
            ),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                "the host key of admin@mini-7.example is not the one that is known",
            ),
            (
                "Welcome\nadmin@mini-7: Permission denied (publickey,password).\n",
                "admin@mini-7.example refused to let this station in: admin@mini-7: Permission denied (publickey,password).",
            ),
            (
                "ssh: Could not resolve hostname mini-7: Name or service not known",
                "the name admin@mini-7.example is not known: ssh: Could not resolve hostname mini-7: Name or service not known",
            ),
            (
                "ssh: connect to host mini-7 port 22: Connection refused\r\n",
                "cannot connect to admin@mini-7.example: ssh: connect to host mini-7 port 22: Connection refused",
            ),
            (
                "Connection closed by 192.0.2.7 port 22",
                "the connection to admin@mini-7.example was lost while asking for a test: Connection closed by 192.0.2.7 port 22",
            ),
            (
                "",
                "the connection to admin@mini-7.example was lost while asking for a test: ssh did not say why",
            ),
        ];
        for (said, words) in cases {
            assert_eq!(meaning(said), words);
        }
    }
}
