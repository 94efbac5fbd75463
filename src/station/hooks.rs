//! Hooks: commands of the owner that run after a job. They can hurt nobody: they begin when
//! the job is over, have a deadline, and what they print goes into the journal.
//!
//! May import: `journal`, `station::board`, base. No shell is involved.

use super::board::BayState;
use crate::clock::Clock;
use crate::ids::{JobId, Udid};
use crate::journal::{Book, HookRun};
use crate::limits::{HOOK_OUTPUT_BYTES, HOOKS_AT_ONCE, HOOKS_WAITING};
use crate::wire::printable::{printable, system_words};
use crate::workflow::outcome::{Outcome, Verdict};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Where commands are looked for; the rest of the environment is not handed on, because
/// secrets may be in it.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long output is read on after a command ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// After jobs that end so; after every job if there is none.
    pub on: Vec<Outcome>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// How long it may take.
    pub within: Duration,
}

/// Runs hooks of one station.
pub(super) struct Hooks {
    hooks: Arc<[Hook]>,
    journal: Option<PathBuf>,
    clock: Clock,
    room: Arc<Semaphore>,
    devices: HashMap<Udid, Arc<Mutex<()>>>,
    running: JoinSet<()>,
}

impl Hooks {
    pub(super) fn new(hooks: &[Hook], journal: Option<PathBuf>, clock: Clock) -> Self {
        Self {
            hooks: hooks.into(),
            journal,
            clock,
            room: Arc::new(Semaphore::new(HOOKS_AT_ONCE)),
            devices: HashMap::new(),
            running: JoinSet::new(),
        }
    }

    /// A device's job ended. Runs what is due, one after the other for the same device.
    pub(super) fn ended(&mut self, bay: &BayState, verdict: &Verdict) {
        while self.running.try_join_next().is_some() {}
        let due = |hook: &&Hook| hook.on.is_empty() || hook.on.contains(&verdict.outcome);
        let due: Vec<Hook> = self.hooks.iter().filter(due).cloned().collect();
        let (Some(udid), Some(job), Some(journal)) = (&bay.udid, bay.job, &self.journal) else { return };
        if due.is_empty() {
            return;
        }
        if self.running.len() >= HOOKS_WAITING {
            tracing::warn!(%udid, "too many hooks wait; those of this job are left out");
            return;
        }
        let turn = Arc::clone(self.devices.entry(udid.clone()).or_default());
        let (room, clock, journal) = (Arc::clone(&self.room), self.clock.clone(), journal.clone());
        let told = told(bay, verdict, clock.now());
        self.running.spawn(async move {
            let _turn = turn.lock().await;
            let Ok(_room) = room.acquire().await else { return };
            for hook in due {
                let run = run(&hook, &told, job, &clock).await;
                let journal = journal.clone();
                let noted = tokio::task::spawn_blocking(move || {
                    Book::open(&journal).and_then(|mut book| book.note_hook(&run))
                });
                if let Ok(Err(error)) = noted.await {
                    tracing::warn!(%error, "a hook was run and not written down");
                }
            }
        });
    }

    /// Waits for those that run.
    pub(super) async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

/// What a hook reads.
fn told(bay: &BayState, verdict: &Verdict, now: jiff::Timestamp) -> Value {
    json!({
        "event": verdict.outcome.name(),
        "job": bay.job,
        "udid": bay.udid,
        "serial": bay.label.serial,
        "imei": bay.label.imei,
        "name": bay.label.name,
        "product_type": bay.label.product_type,
        "os_version": bay.label.os_version,
        "bay": bay.bay,
        "simulated": bay.simulated,
        "outcome": verdict.outcome,
        "class": verdict.class,
        "sentence": verdict.sentence,
        "next": verdict.next,
        "chain": verdict.chain,
        "attempts": bay.attempts,
        "pushes": bay.pushes,
        "ms": bay.ms(now),
    })
}

async fn run(hook: &Hook, told: &Value, job: JobId, clock: &Clock) -> HookRun {
    let (at, begun) = (clock.now(), Instant::now());
    let (result, code, output) = match start(hook) {
        Err(error) => ("not-started", None, system_words(&error)),
        Ok(mut child) => {
            let mut output = Vec::new();
            let ended = timeout(hook.within, attend(&mut child, told, &mut output)).await;
            let text = printable_lines(&output);
            match ended {
                Ok(Some(0)) => ("done", Some(0), text),
                Ok(code) => ("failed", code, text),
                Err(_) => {
                    kill_group(&child);
                    let _ = child.start_kill();
                    ("too-late", None, text)
                }
            }
        }
    };
    if result != "done" {
        tracing::warn!(hook = hook.command.first(), %job, result, output, "a hook did not work");
    }
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    HookRun { job, at, hook: hook.command.join(" "), result, code, ms, output }
}

fn start(hook: &Hook) -> std::io::Result<Child> {
    let (program, arguments) = hook.command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // A group of its own: Ctrl-C at the station's terminal is not meant for it, and its
        // deadline is for what it started too.
        .process_group(0)
        .spawn()
}

/// Kills the command with all that it started and that did not leave its group.
fn kill_group(child: &Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = group
        && let Err(error) = kill_process_group(group, Signal::KILL)
    {
        tracing::debug!(%error, "a hook's processes were not killed");
    }
}

/// Feeds it, reads what it prints, and waits for its end.
async fn attend(child: &mut Child, told: &Value, output: &mut Vec<u8>) -> Option<i32> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // One that does not read is free to.
            let _ = stdin.write_all(format!("{told}\n").as_bytes()).await;
        }
    };
    let kept = std::sync::Mutex::new(output);
    let mut talk = pin!(async { tokio::join!(feed, drain(stdout, &kept), drain(stderr, &kept)) });
    let status = tokio::select! {
        status = child.wait() => {
            // What it left behind may keep its output open for ever.
            let _ = timeout(LAST_WORDS, talk).await;
            status
        }
        _ = &mut talk => child.wait().await,
    };
    status.ok()?.code()
}

/// Reads to the end and keeps the last of it.
async fn drain(stream: Option<impl AsyncRead + Unpin>, kept: &std::sync::Mutex<&mut Vec<u8>>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0; 1024];
    while let Ok(n) = stream.read(&mut chunk).await {
        if n == 0 {
            return;
        }
        let mut kept = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.extend_from_slice(chunk.get(..n).unwrap_or_default());
        let surplus = kept.len().saturating_sub(HOOK_OUTPUT_BYTES);
        kept.drain(..surplus);
    }
}

fn printable_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}
