//! The shipped binary as a child process: a folder of its own, an environment of its own, a
//! deadline on every wait, and no child left when a test ends.

#![allow(clippy::disallowed_methods)] // real processes live in real time and a real environment

use super::profile::SIGNER;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything but the tests that say so takes, on a slow and busy computer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// What is tested: `ENLIST_TEST_BINARY`, or the one built with these tests.
pub(crate) fn shipped_binary() -> PathBuf {
    std::env::var_os("ENLIST_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_enlist").into(), PathBuf::from)
}

/// A place to work at: a temporary folder with state folder, sockets and files.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("enlist-it-").tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("mux")
    }

    /// Writes a file and gives its path as an argument.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        text_of(&path)
    }

    /// Makes the bench trust [`super::profile::SIGNER`], so that nothing is warned of.
    pub(crate) fn trust_signer(&self) {
        let root = self.write("root.pem", SIGNER.root_pem().unwrap());
        self.write("enlist.toml", format!("trusted_roots = ['{root}']\n"));
    }

    /// The binary with this bench's environment and nothing else from ours.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(shipped_binary());
        command.args(args).env_clear().current_dir(self.folder.path());
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.path("home"));
        command.env("ENLIST_STATE_DIR", self.state_dir());
        command.env("USBMUXD_SOCKET_ADDRESS", self.socket());
        // Many stations run side by side; tests of the page say where it is.
        command.env("ENLIST_LISTEN", "off");
        let config = self.path("enlist.toml");
        if config.exists() {
            command.env("ENLIST_CONFIG", config);
        }
        command
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Runs to the end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.start(args).finish()
    }

    /// Runs with one more variable in the environment.
    pub(crate) fn run_with(&self, name: &str, value: impl AsRef<OsStr>, args: &[&str]) -> Done {
        let mut command = self.command(args);
        command.env(name, value);
        Running::start(command).finish()
    }
}

pub(crate) fn text_of(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Polls until `look` finds something.
pub(crate) fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A child that dies with its owner.
pub(crate) struct Running {
    child: Child,
    words: String,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    deadline: Instant,
    printed: Vec<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let words = format!("{:?}", command.get_args().collect::<Vec<_>>());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let stderr = child.stderr.take().unwrap();
        let stderr = Some(std::thread::spawn(move || read_all(stderr)));
        Self { child, words, lines, stderr, deadline: Instant::now() + PATIENCE, printed: Vec::new() }
    }

    /// Gives it this long from now on.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.deadline = Instant::now() + patience;
        self
    }

    /// The next line of standard output; `None` when it was closed.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.printed.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => self.too_late(),
        }
    }

    fn too_late(&mut self) -> ! {
        let _ = self.child.kill();
        let stderr = self.stderr.take().map(|s| s.join().unwrap()).unwrap_or_default();
        let printed = self.printed.join("\n");
        panic!("{} took too long\nstdout:\n{printed}\nstderr:\n{stderr}", self.words)
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Done {
        while self.line().is_some() {}
        // Standard output is closed, so it is all but gone.
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > self.deadline => self.too_late(),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let stdout = std::mem::take(&mut self.printed);
        Done { words: self.words.clone(), code: status.code(), stdout, stderr }
    }

    /// SIGKILL, and gone when this returns.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGINT to all of its process group, as a terminal sends it; for commands that were given
    /// a group of their own.
    pub(crate) fn ctrl_c(&self) {
        let asked = Command::new("sh").args(["-c", &format!("kill -INT -{}", self.child.id())]).status();
        assert!(asked.unwrap().success());
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Any signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let asked = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(asked.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_all(mut stream: ChildStderr) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A child that ended.
#[derive(Debug)]
pub(crate) struct Done {
    words: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

impl Done {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Standard output as JSON lines.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse =
            |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}\n{self}"));
        self.stdout.iter().map(parse).collect()
    }

    /// The one JSON line.
    #[track_caller]
    pub(crate) fn only(&self) -> Value {
        let mut lines = self.json();
        assert_eq!(lines.len(), 1, "{self}");
        lines.remove(0)
    }

    pub(crate) fn all_output(&self) -> String {
        format!("{}\n{}", self.stdout.join("\n"), self.stderr)
    }

    /// Asserts that it failed as people can bear: one sentence and a next action on standard
    /// error, nothing on standard output, nothing that only programmers read.
    #[track_caller]
    pub(crate) fn fails_clearly(self, code: i32) -> String {
        let done = self.exits(code);
        assert!(done.stdout.is_empty(), "{done}");
        let mut lines = done.stderr.lines();
        let sentence = lines.next().and_then(|line| line.strip_prefix("error: ")).map(str::to_owned);
        let sentence = sentence.unwrap_or_else(|| panic!("no 'error: ' first\n{done}"));
        assert!(sentence.ends_with('.') && !sentence.contains(": :"), "no sentence\n{done}");
        let next = lines.next().unwrap_or_else(|| panic!("no next action\n{done}"));
        assert!(next.starts_with("       ") && next.trim().len() > 10, "no next action\n{done}");
        assert_eq!(lines.next(), None, "more than a sentence and a next action\n{done}");
        done.is_for_people();
        sentence
    }

    /// Asserts that nothing of Rust shows.
    #[track_caller]
    pub(crate) fn is_for_people(&self) {
        let all = self.all_output();
        for inside in
            ["panicked", "os error", "RUST_BACKTRACE", "Err(", "Some(", "Error {", "kind:", "src/", "\u{0}"]
        {
            assert!(!all.contains(inside), "shows '{inside}'\n{self}");
        }
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { words, code, stdout, stderr } = self;
        write!(f, "{words} gave {code:?}\nstdout:\n{}\nstderr:\n{stderr}", stdout.join("\n"))
    }
}
