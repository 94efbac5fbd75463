//! A real terminal: tmux, on a server of its own, with what it shows as text.

#![allow(clippy::disallowed_methods)] // real terminals live in real time
#![allow(clippy::print_stdout)] // screens are for people

use super::binary::{Bench, PATIENCE, shipped_binary, text_of};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// One terminal with a shell that runs a command of the program and then says how it ended.
pub(crate) struct Tty {
    socket: PathBuf,
}

/// Whether there is tmux; `tests/run` installs it.
pub(crate) fn is_there() -> bool {
    let is_there = Command::new("tmux").arg("-V").output().is_ok_and(|done| done.status.success());
    if !is_there {
        let line = "SKIPPED: there is no tmux";
        println!("{line}");
        if let Some(path) = std::env::var_os("ENLIST_SKIPPED") {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.and_then(|mut file| writeln!(file, "{line}")).unwrap();
        }
    }
    is_there
}

impl Tty {
    /// Runs `enlist ARGS` in a terminal of that size.
    pub(crate) fn start(
        bench: &Bench,
        size: (u16, u16),
        environment: &[(&str, &str)],
        args: &[&str],
    ) -> Self {
        let count = std::fs::read_dir(bench.path("")).unwrap().count();
        let tty = Self { socket: bench.path(&format!("tty{count}")) };
        let quoted: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
        let (binary, state) = (text_of(&shipped_binary()), text_of(&bench.state_dir()));
        let command = format!(
            "echo before; '{binary}' {}; echo \"ended with $?\"; stty -a; sleep 1000",
            quoted.join(" ")
        );
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let state = format!("ENLIST_STATE_DIR={state}");
        let environment: Vec<_> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut words = vec!["new-session", "-d", "-x", &columns, "-y", &rows, "-e", &state];
        for variable in &environment {
            words.extend(["-e", variable]);
        }
        words.push(&command);
        tty.tmux(&words);
        tty
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        // The client's own environment is the session's.
        for name in ["NO_COLOR", "ENLIST_API_TOKEN", "ENLIST_CONFIG", "ENLIST_LISTEN"] {
            command.env_remove(name);
        }
        let done = command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).args(args).output().unwrap();
        assert!(done.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// What it shows.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same with colours.
    pub(crate) fn coloured(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Presses keys, as tmux names them.
    pub(crate) fn press(&self, keys: &[&str]) {
        let mut words = vec!["send-keys"];
        words.extend(keys);
        self.tmux(&words);
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        self.until_within(PATIENCE, what, fits)
    }

    #[track_caller]
    pub(crate) fn until_within(&self, patience: Duration, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + patience;
        loop {
            let screen = self.screen();
            if fits(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "waited too long for {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the program's end; the terminal must be as it was.
    #[track_caller]
    pub(crate) fn ended(&self, code: i32) -> String {
        let screen =
            self.until("the end", |screen| screen.contains("ended with") && screen.contains("icanon"));
        assert!(screen.contains(&format!("ended with {code}")), "{screen}");
        assert!(screen.contains("before"), "the screen from before is back:\n{screen}");
        for mode in ["icanon", "echo"] {
            assert!(
                screen.contains(&format!(" {mode} ")) && !screen.contains(&format!("-{mode} ")),
                "{mode}\n{screen}"
            );
        }
        screen
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

/// Keeps a screen for people, below `target/watch`, and prints it.
pub(crate) fn keep(name: &str, screen: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/watch");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.txt")), screen).unwrap();
    println!("--- {name}\n{screen}");
}
