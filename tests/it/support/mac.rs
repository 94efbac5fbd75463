//! A Mac that is none: a real OpenSSH server on loopback, and stand-ins for the tools of macOS
//! that print what protocols.md 7.3 says. The ssh between is the system's own on both sides.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use super::binary::{Bench, Running, poll, text_of};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

const SSHD: &str = "/usr/sbin/sshd";

/// What the stand-ins print, from `fixtures/macs`.
pub(crate) fn fixture(name: &str) -> String {
    fs::read_to_string(format!("{}/fixtures/macs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// True if these tests can run; says so loudly if not.
pub(crate) fn has_sshd() -> bool {
    let there = Path::new(SSHD).exists() && Path::new("/usr/bin/ssh").exists();
    if !there {
        static SAID: Once = Once::new();
        let reason = format!("tests of Macs: there is no {SSHD}; apt install openssh-server");
        SAID.call_once(|| left_out(&reason));
    }
    there
}

/// Says so past the test runner, which keeps to itself what good tests print.
pub(crate) fn left_out(what: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** LEFT OUT: {what} ***\n");
}

const TOOLS: [(&str, &str); 6] = [
    ("sw_vers", "[ \"$1\" = -productVersion ] && cat \"$MAC/version\""),
    ("scutil", "cat \"$MAC/name\""),
    ("ioreg", "cat \"$MAC/ioreg\""),
    (
        "profiles",
        "case \"$*\" in 'status -type enrollment') cat \"$MAC/status\";; list) cat \"$MAC/list\";; *) exit 64;; esac",
    ),
    ("sudo", "[ \"$*\" = '-n profiles list' ] && [ -f \"$MAC/list-root\" ] && cat \"$MAC/list-root\" && exit
echo 'sudo: a password is required' >&2; exit 1"),
    (
        "open",
        "stat -c '%a' \"$1\" \"${1%/*}\" > \"$MAC/modes\"; cp \"$1\" \"$MAC/opened\"; echo >> \"$MAC/opens\"
[ -f \"$MAC/open-fails\" ] && cat \"$MAC/open-fails\" >&2 && exit 1
[ -f \"$MAC/after\" ] || exit 0
(sleep \"$(cat \"$MAC/after\")\"; mv \"$MAC/next-list\" \"$MAC/list\"; mv \"$MAC/next-status\" \"$MAC/status\") </dev/null >/dev/null 2>&1 &",
    ),
];

/// A Mac on loopback.
pub(crate) struct FakeMac {
    /// The name ssh knows it by.
    pub(crate) name: String,
    folder: PathBuf,
    port: u16,
    sshd: Option<Child>,
}

impl FakeMac {
    /// Not enrolled, macOS 15.2, hardware number `n`; nobody sits at it.
    pub(crate) fn start(bench: &Bench, n: u16) -> Self {
        let folder = bench.path(&format!("mac-{n}"));
        fs::create_dir_all(folder.join("tmp")).unwrap();
        fs::create_dir_all(folder.join("bin")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut mac = Self { name: format!("mac-{n}"), folder, port, sshd: None };
        for (tool, script) in TOOLS {
            mac.tool(tool, script);
        }
        mac.set("version", "15.2\n");
        mac.set("name", "Front desk\n");
        mac.set("ioreg", &fixture("ioreg.txt").replace("F001", &format!("F{n:03}")));
        mac.set("status", &fixture("status-no.txt"));
        mac.set("list", &fixture("list-none-user.txt"));
        mac.keys(bench);
        mac.up();
        mac
    }

    /// Writes one of the files the stand-ins read, whole or not at all.
    pub(crate) fn set(&self, name: &str, text: &str) {
        let draft = self.folder.join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.folder.join(name)).unwrap();
    }

    /// Replaces a tool by a script.
    pub(crate) fn tool(&self, name: &str, script: &str) {
        let path = self.folder.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Lets a tool do this first, and then what it does anyway.
    pub(crate) fn dies_once(&self, name: &str, first: &str) {
        let own = TOOLS.iter().find(|(tool, _)| *tool == name);
        let usual =
            own.map_or_else(|| format!("exec /usr/bin/{name} \"$@\""), |(_, script)| (*script).to_owned());
        self.tool(name, &format!("{first}{usual}"));
    }

    /// Somebody installs the profile so long after it was opened.
    pub(crate) fn person_after(&self, seconds: &str, status: &str, list: &str) {
        self.set("next-status", &fixture(status));
        self.set("next-list", &fixture(list));
        self.set("after", seconds);
    }

    /// What the file was that was opened, if one was.
    pub(crate) fn opened(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join("opened")).ok()
    }

    /// Modes of the file that was opened and of its folder.
    pub(crate) fn modes(&self) -> String {
        fs::read_to_string(self.folder.join("modes")).unwrap()
    }

    /// How often something was opened.
    pub(crate) fn opens(&self) -> usize {
        fs::read_to_string(self.folder.join("opens")).map_or(0, |text| text.lines().count())
    }

    /// What lies in its temporary folder.
    pub(crate) fn left_behind(&self) -> Vec<PathBuf> {
        fs::read_dir(self.folder.join("tmp")).unwrap().map(|e| e.unwrap().path()).collect()
    }

    fn keys(&self, bench: &Bench) {
        let key = |path: &Path| {
            if !path.exists() {
                let made = Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(path)
                    .status()
                    .unwrap();
                assert!(made.success());
            }
            fs::read_to_string(path.with_extension("pub")).unwrap()
        };
        let client = key(&bench.path("client-key"));
        let host = key(&self.folder.join("host-key"));
        fs::write(self.folder.join("authorized"), client).unwrap();
        let port = self.port;
        let mut known = fs::read_to_string(bench.path("known")).unwrap_or_default();
        known += &format!("[127.0.0.1]:{port} {host}");
        fs::write(bench.path("known"), known).unwrap();
        self.alias(bench, &self.name, port, "known");
        let folder = text_of(&self.folder);
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host-key\nPidFile none\n\
             AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             SetEnv PATH={folder}/bin:/usr/bin:/bin MAC={folder} TMPDIR={folder}/tmp\n"
        );
        fs::write(self.folder.join("sshd_config"), config).unwrap();
    }

    /// One more name, for ssh, of something on loopback.
    pub(crate) fn alias(&self, bench: &Bench, name: &str, port: u16, known: &str) {
        let (key, known) = (text_of(&bench.path("client-key")), text_of(&bench.path(known)));
        let mut config = fs::read_to_string(bench.path("ssh_config")).unwrap_or_default();
        config += &format!(
            "Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {key}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {known}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
        );
        fs::write(bench.path("ssh_config"), config).unwrap();
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets no key in any more.
    pub(crate) fn lock_out(&self) {
        fs::write(self.folder.join("authorized"), "").unwrap();
    }

    /// Starts its server, and waits until it listens.
    pub(crate) fn up(&mut self) {
        // As root, sshd wants this folder; its package makes it when the computer starts.
        let _ = fs::create_dir_all("/run/sshd");
        let mut sshd = Command::new(SSHD);
        sshd.args(["-D", "-e", "-f"]).arg(self.folder.join("sshd_config"));
        sshd.stdin(Stdio::null()).stdout(Stdio::null());
        sshd.stderr(fs::File::create(self.folder.join("sshd.log")).unwrap());
        self.sshd = Some(sshd.spawn().unwrap());
        let port = self.port;
        poll("sshd", || TcpStream::connect(("127.0.0.1", port)).ok());
    }

    /// Ends its server: nobody connects any more.
    pub(crate) fn down(&mut self) {
        if let Some(mut sshd) = self.sshd.take() {
            let _ = sshd.kill();
            let _ = sshd.wait();
        }
    }
}

impl Drop for FakeMac {
    fn drop(&mut self) {
        self.down();
    }
}

/// `enlist --json mac enroll` for Macs by name, and more arguments.
pub(crate) fn enroll(bench: &Bench, names: &[&str], more: &[&str]) -> Running {
    let config = text_of(&bench.path("ssh_config"));
    let mut arguments = vec!["--json", "mac", "enroll", "--ssh-config", &config];
    for name in names {
        arguments.extend(["--ssh", name]);
    }
    arguments.extend(more);
    let mut command = bench.command(&arguments);
    command.process_group(0);
    Running::start(command).within(Duration::from_secs(90))
}
