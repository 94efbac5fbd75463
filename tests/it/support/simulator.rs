//! The shipped binary as a simulator, and foreign tools run against it.

use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Generous: a loaded machine starts Python slowly. A tool that needs longer hangs.
const TOOL_DEADLINE: Duration = Duration::from_secs(90);

/// A running `enlist sim`; ended when dropped.
pub(crate) struct Simulator {
    child: Child,
    folder: tempfile::TempDir,
    /// What tools get as USBMUXD_SOCKET_ADDRESS.
    address: Address,
    pub(crate) udids: Vec<String>,
}

/// Both forms a unix socket's address has (protocols.md 2.1).
struct Address {
    libusbmuxd: String,
    pymobiledevice3: String,
}

/// How a tool ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Output of a tool that must have succeeded.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// All it said.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Simulator {
    /// Starts one on a unix socket with these further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("mux").display().to_string();
        Self::start_at(folder, &format!("UNIX:{socket}"), socket.clone(), arguments)
    }

    /// Starts one on TCP at a free port.
    pub(crate) fn start_on_tcp(arguments: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        Self::start_at(tempfile::tempdir().unwrap(), &address, address.clone(), arguments)
    }

    fn start_at(folder: tempfile::TempDir, socket: &str, python: String, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_enlist"))
            .args(["sim", "--json", "--socket", socket, "--control"])
            .arg(folder.path().join("control"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let udids = ready["devices"].as_array().unwrap().iter();
        let udids = udids.map(|u| u.as_str().unwrap().to_owned()).collect();
        let address = Address { libusbmuxd: socket.to_owned(), pymobiledevice3: python };
        Self { child, folder, address, udids }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A tool of libimobiledevice.
    #[track_caller]
    pub(crate) fn libimobiledevice(&self, tool: &str, arguments: &[&str]) -> Outcome {
        let hint = "apt-get install libimobiledevice-utils";
        run(self.libimobiledevice_command(tool, arguments), hint)
    }

    /// A tool that runs on and prints lines as they come: into a pipe it would collect 4 KiB
    /// first.
    #[track_caller]
    pub(crate) fn follow(&self, tool: &str, arguments: &[&str]) -> Child {
        // Asked for first: the wrapper would hide that the tool is missing.
        self.libimobiledevice(tool, &["--version"]);
        let mut command = self.libimobiledevice_command("stdbuf", &[&["-oL", tool], arguments].concat());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        child.unwrap_or_else(|e| panic!("stdbuf: {e}; by hand: apt-get install coreutils"))
    }

    fn libimobiledevice_command(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(tool);
        command.args(arguments).env("USBMUXD_SOCKET_ADDRESS", &self.address.libusbmuxd);
        command
    }

    /// pymobiledevice3, with a home of its own: it keeps pair records there.
    #[track_caller]
    pub(crate) fn pymobiledevice3(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("pymobiledevice3");
        command
            .args(arguments)
            .env("USBMUXD_SOCKET_ADDRESS", &self.address.pymobiledevice3)
            .env("NO_COLOR", "1")
            .env("HOME", self.folder.path());
        run(command, "python3 -m pip install pymobiledevice3")
    }

    /// One command on the control channel, by the shipped binary.
    #[track_caller]
    pub(crate) fn control(&self, words: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enlist"));
        command.args(["sim", "control"]).arg(self.folder.path().join("control")).args(words);
        let outcome = run(command, "cargo build");
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"))
    }

    /// Counters and profiles of a device.
    pub(crate) fn state(&self, udid: &str) -> Value {
        self.control(&["state", udid])["device"].clone()
    }

    /// Asks it to end as a service manager would, and waits.
    pub(crate) fn terminate(mut self) -> (Option<i32>, tempfile::TempDir) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (code, folder)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a tool to its end; a missing one fails the test and says what to install.
#[track_caller]
fn run(mut command: Command, hint: &str) -> Outcome {
    let tool = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{tool} is not installed. ./tests/run installs it; by hand: {hint}")
        }
        Err(error) => panic!("{tool}: {error}"),
    };
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let pause = Duration::from_millis(20);
    let mut left = TOOL_DEADLINE;
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if left < pause {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        // A child process is waited for; there is no clock of ours in it.
        #[allow(clippy::disallowed_methods)]
        thread::sleep(pause);
        left -= pause;
    };
    Outcome { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = from.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// A harmless profile in this folder.
pub(crate) fn wifi_profile(folder: &Path) -> PathBuf {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>example.bench.wifi</string>
<key>PayloadUUID</key><string>1111AAAA-0000-4000-8000-000000000000</string>
<key>PayloadDisplayName</key><string>Bench</string>
<key>PayloadContent</key><array><dict>
<key>PayloadType</key><string>com.apple.wifi.managed</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>example.bench.wifi.1</string>
<key>PayloadUUID</key><string>1111AAAA-0000-4000-8000-000000000001</string>
<key>SSID_STR</key><string>Bench</string>
</dict></array></dict></plist>"#;
    let path = folder.join("wifi.mobileconfig");
    std::fs::write(&path, text).unwrap();
    path
}
