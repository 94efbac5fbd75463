//! A station's USB side in a process of its own, because only programs started by the bus see
//! it: this very test program runs again, holds a backend, and does what it is told by lines.

#![allow(clippy::disallowed_methods)] // real processes, real time, a real environment
#![allow(clippy::print_stdout)] // shown when a test fails

use super::bus::Bus;
use super::bus::ports::{DISCARD, ECHO, SOURCE, pattern};
use enlist::ids::{MuxId, Udid};
use enlist::secret::Secret;
use enlist::transport::usb::{Joined, UsbBackend};
use enlist::transport::usbmuxd::{MuxAddress, UsbmuxdBackend};
use enlist::transport::{Backend, BackendEvent, BoxChannel, PairRecords, Rung};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Says in the environment which backend a child holds.
const ROLE: &str = "ENLIST_USB_STATION";

/// Begins each line of a child, to tell it from those of the test harness.
const MARK: &str = "\u{bb} ";

/// Longer than anything a station may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which backend.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// The built-in mux.
    Usb,
    /// The system's usbmuxd, with the bus beside it.
    Joined,
}

/// The station, told what to do.
pub struct Station {
    child: Child,
    input: ChildStdin,
    said: Arc<(Mutex<Vec<String>>, Condvar)>,
    asked: usize,
    heard: usize,
}

impl Station {
    /// Starts it; `test` is the test that calls [`run_if_asked`].
    pub fn start(bus: &Bus, test: &str, role: Role) -> Self {
        let mut command: Command = bus.command(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, format!("{role:?}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let said = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(line) = line.split(MARK).nth(1) {
                    println!("station: {line}");
                    heard.0.lock().unwrap().push(line.to_owned());
                    heard.1.notify_all();
                }
            }
        });
        let input = child.stdin.take().unwrap();
        Self { child, input, said, asked: 0, heard: 0 }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait(&self, from: usize, wanted: impl Fn(&str) -> bool) -> Option<(usize, String)> {
        let until = Instant::now() + PATIENCE;
        let mut said = self.said.0.lock().unwrap();
        loop {
            if let Some(place) = said[from..].iter().position(|line| wanted(line)) {
                return Some((from + place, said[from + place].clone()));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            said = self.said.1.wait_timeout(said, left).unwrap().0;
        }
    }

    /// Waits for an event, after those already waited for.
    #[track_caller]
    pub fn event(&mut self, words: &str) -> String {
        let Some((place, line)) = self.wait(self.heard, |line| line.starts_with('!') && line.contains(words))
        else {
            panic!("no event like '{words}'; so far: {:#?}", self.said.0.lock().unwrap());
        };
        self.heard = place + 1;
        line
    }

    /// An event, whether or not it was waited for before.
    #[track_caller]
    pub fn any_event(&self, words: &str) -> String {
        let Some((_, line)) = self.wait(0, |line| line.starts_with('!') && line.contains(words)) else {
            panic!("no event like '{words}'; so far: {:#?}", self.said.0.lock().unwrap());
        };
        line
    }

    /// Waits until so many events hold these words.
    #[track_caller]
    pub fn wait_for_events(&self, words: &str, count: usize) {
        let until = Instant::now() + PATIENCE;
        while self.events(words) < count {
            assert!(Instant::now() < until, "{} of {count} events '{words}'", self.events(words));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Events said so far that hold these words.
    pub fn events(&self, words: &str) -> usize {
        let said = self.said.0.lock().unwrap();
        said.iter().filter(|line| line.starts_with('!') && line.contains(words)).count()
    }

    /// Tells it something; [`Station::answer`] waits for the answer.
    pub fn tell(&mut self, order: &str) -> usize {
        self.asked += 1;
        writeln!(self.input, "{order}").unwrap();
        self.asked
    }

    #[track_caller]
    pub fn answer(&self, order: usize) -> String {
        let begin = format!("={order} ");
        let Some((_, line)) = self.wait(0, |line| line.starts_with(&begin)) else {
            panic!("no answer to order {order}; so far: {:#?}", self.said.0.lock().unwrap());
        };
        line[begin.len()..].to_owned()
    }

    #[track_caller]
    pub fn ask(&mut self, order: &str) -> String {
        let order = self.tell(order);
        self.answer(order)
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: does what it is told until its input ends. Elsewhere nothing.
pub fn run_if_asked() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(serve(role.to_str().unwrap() == "Usb"));
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{MARK}{line}").unwrap();
}

async fn serve(built_in: bool) {
    let usb = built_in.then(|| UsbBackend::start(Arc::new(Records::default())).unwrap());
    let backend: Arc<dyn Backend> = match &usb {
        Some(usb) => Arc::clone(usb) as Arc<dyn Backend>,
        None => Joined::start(Arc::new(UsbmuxdBackend::new(MuxAddress::default()))),
    };
    let mut events = backend.watch();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            say(&format!("! {}", words(&event)));
        }
    });
    let hand = Arc::new(Hand { held: Mutex::new(Some((backend, usb))), kept: Mutex::default() });
    let (lines, mut to_do) = tokio::sync::mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = lines.blocking_send(line);
        }
    });
    let mut number = 0;
    while let Some(line) = to_do.recv().await {
        number += 1;
        let hand = Arc::clone(&hand);
        tokio::spawn(async move {
            let done = hand.order(&line).await.unwrap_or_else(|error| format!("error: {error}"));
            say(&format!("={number} {done}"));
        });
    }
}

fn words(event: &BackendEvent) -> String {
    match event {
        BackendEvent::Attached(a) => {
            let port = a.port.as_ref().map_or("?".to_owned(), |port| port.to_string());
            format!("attached {} {} at {port}", a.id, a.udid)
        }
        BackendEvent::Detached(id) => format!("detached {id}"),
        BackendEvent::Unserved(u) => {
            let device = &u.device;
            let ecid = device.boot.as_ref().and_then(|boot| boot.ecid);
            format!("unserved {} {:?} {:?} ecid={ecid:x?}", device.port, device.mode, u.reason)
        }
        BackendEvent::UnservedLeft(port) => format!("left {port}"),
        BackendEvent::Lost { .. } => "lost".to_owned(),
        BackendEvent::Ready => "ready".to_owned(),
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;
type Done = Result<String, Failed>;

/// The backend, and the built-in mux again if it is one.
type Held = (Arc<dyn Backend>, Option<Arc<UsbBackend>>);

struct Hand {
    held: Mutex<Option<Held>>,
    kept: Mutex<Vec<BoxChannel>>,
}

impl Hand {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.held.lock().unwrap().as_ref().unwrap().0)
    }

    async fn order(&self, line: &str) -> Done {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| words[place].parse::<u64>();
        match words[0] {
            "list" => {
                let listed = self.backend().list().await?;
                let mut names: Vec<String> =
                    listed.iter().map(|a| format!("{}@{:?}", a.udid, a.port)).collect();
                names.sort();
                Ok(names.join(" "))
            }
            "take" => self.take(words[1], number(2)?).await,
            "give" => self.give(words[1], number(2)?).await,
            "echo" => self.echo(words[1], number(2)?).await,
            "open" => {
                let mut stream = self.open(words[1], words[2].parse()?).await?;
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).await? > 0 {}
                Ok("ended".to_owned())
            }
            "stall" => {
                let stream = self.source(words[1]).await?;
                self.kept.lock().unwrap().push(stream);
                Ok("stalled".to_owned())
            }
            // By number, because a device that hangs may be listed no more.
            "power-id" => {
                let id = MuxId(words[1].parse()?);
                self.backend().recover(id, Rung::PowerCyclePort).await?;
                Ok("done".to_owned())
            }
            "reset" => self.recover(words[1], Rung::ResetDevice).await,
            "power" => self.recover(words[1], Rung::PowerCyclePort).await,
            // By port: no mux serves it, so it has no number.
            "reset-port" => self.recover_port(words[1], Rung::ResetDevice).await,
            "power-port" => self.recover_port(words[1], Rung::PowerCyclePort).await,
            "close" => {
                let usb = self.held.lock().unwrap().as_ref().and_then(|held| held.1.clone());
                let began = Instant::now();
                usb.ok_or("not the built-in mux")?.close().await;
                Ok(format!("closed in {} ms", began.elapsed().as_millis()))
            }
            "drop" => {
                drop(self.held.lock().unwrap().take());
                Ok("dropped".to_owned())
            }
            "load" => Ok(format!("{:?}", enlist::transport::usb::load()?)),
            other => Err(format!("unknown order {other}").into()),
        }
    }

    async fn id(&self, udid: &str) -> Result<MuxId, Failed> {
        let listed = self.backend().list().await?;
        let found = listed.iter().find(|a| a.udid.is_meant_by(udid)).ok_or("not listed")?;
        Ok(found.id)
    }

    async fn open(&self, udid: &str, port: u16) -> Result<BoxChannel, Failed> {
        Ok(self.backend().connect(self.id(udid).await?, port).await?)
    }

    async fn recover(&self, udid: &str, rung: Rung) -> Done {
        self.backend().recover(self.id(udid).await?, rung).await?;
        Ok("done".to_owned())
    }

    async fn recover_port(&self, port: &str, rung: Rung) -> Done {
        let unserved = self.backend().unserved().await;
        let there =
            unserved.iter().find(|u| u.device.port.to_string() == port).ok_or("served, or not there")?;
        self.backend().recover_port(&there.device.port, rung).await?;
        Ok("done".to_owned())
    }

    /// A stream of endless data: it waits to be asked.
    async fn source(&self, udid: &str) -> Result<BoxChannel, Failed> {
        let mut stream = self.open(udid, SOURCE).await?;
        stream.write_all(&[1]).await?;
        Ok(stream)
    }

    /// Says when data flow.
    async fn take(&self, udid: &str, count: u64) -> Done {
        let mut stream = self.source(udid).await?;
        let mut bytes = vec![0; 64 << 10];
        let (began, mut at) = (Instant::now(), 0);
        while at < count {
            let read = stream.read(&mut bytes).await?;
            if read == 0 {
                return Err(format!("ended after {at}").into());
            }
            if at == 0 {
                say(&format!("! flows from {udid}"));
            }
            if bytes[..read].iter().zip(at..).any(|(byte, at)| *byte != pattern(at)) {
                return Err(format!("wrong bytes after {at}").into());
            }
            at += read as u64;
        }
        Ok(rate("took", at, began))
    }

    async fn give(&self, udid: &str, count: u64) -> Done {
        let mut stream = self.open(udid, DISCARD).await?;
        let bytes = vec![7; 64 << 10];
        let (began, mut at) = (Instant::now(), 0);
        while at < count {
            stream.write_all(&bytes).await?;
            at += bytes.len() as u64;
        }
        Ok(rate("gave", at, began))
    }

    async fn echo(&self, udid: &str, count: u64) -> Done {
        let (mut reader, mut writer) = tokio::io::split(self.open(udid, ECHO).await?);
        let began = Instant::now();
        let sent: Vec<u8> = (0..count).map(pattern).collect();
        let expected = sent.clone();
        let write = async { writer.write_all(&sent).await };
        let mut back = vec![0; expected.len()];
        let read = reader.read_exact(&mut back);
        tokio::try_join!(write, read)?;
        match back == expected {
            true => Ok(rate("echoed", count, began)),
            false => Err("the echo differs".into()),
        }
    }
}

fn rate(what: &str, bytes: u64, began: Instant) -> String {
    let seconds = began.elapsed().as_secs_f64();
    format!("{what} {bytes} in {:.3} s, {:.1} MB/s", seconds, bytes as f64 / seconds / 1e6)
}

/// Pair records in memory.
#[derive(Debug, Default)]
struct Records(Mutex<HashMap<Udid, Secret<Vec<u8>>>>);

impl PairRecords for Records {
    fn buid(&self) -> String {
        "00000000-0000-4000-8000-000000000000".to_owned()
    }

    fn read(&self, udid: &Udid) -> Option<Secret<Vec<u8>>> {
        self.0.lock().unwrap().get(udid).cloned()
    }

    fn save(&self, udid: &Udid, record: &Secret<Vec<u8>>) -> bool {
        self.0.lock().unwrap().insert(udid.clone(), record.clone());
        true
    }

    fn delete(&self, udid: &Udid) -> bool {
        self.0.lock().unwrap().remove(udid).is_some()
    }
}
