//! The built-in mux against Debian's usbmuxd, on the same virtual bus, with the same client and
//! the same devices: read the ratios.

use crate::bus::iphone::IPhone;
use crate::bus::ports::{DISCARD, ECHO, SOURCE};
use crate::bus::{Bus, program_on_bus, usbmuxd};
use enlist::ids::{MuxId, Udid};
use enlist::secret::Secret;
use enlist::transport::usb::UsbBackend;
use enlist::transport::usbmuxd::{MuxAddress, UsbmuxdBackend};
use enlist::transport::{Backend, BackendEvent, BoxChannel, PairRecords};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The argument that leads here again, on the bus.
pub const TOPIC: &str = "usb-mux";

/// Says in the environment of a client which way it takes.
const WAY: &str = "ENLIST_BENCH_WAY";

/// How long data are moved for one figure.
const WINDOW: Duration = Duration::from_millis(1500);

/// Round trips of 64 bytes for one figure.
const TRIPS: usize = 400;

/// Plugs for one figure.
const PLUGS: usize = 11;

/// Devices listed at once.
const MANY: usize = 100;

/// All of it takes half a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs on a bus of its own, and prints the table.
pub fn run() {
    if let Some(inside) = program_on_bus(&["--bench", TOPIC], PATIENCE, table) {
        print!("{}", inside.output);
    }
}

/// A client of a mux, if this process is to be one.
pub fn run_if_client() -> bool {
    let Some(way) = std::env::var_os(WAY) else { return false };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(serve(way == "usb"));
    true
}

/// Figures by name.
type Figures = BTreeMap<String, f64>;

fn table(bus: &Bus) {
    if !std::path::Path::new("/usr/sbin/usbmuxd").exists() {
        println!("usbmuxd is not installed: no comparison (./tests/run installs it)");
        return;
    }
    let theirs = figures(bus, "usbmuxd");
    let ours = figures(bus, "usb");
    println!("\nThe built-in mux and Debian's usbmuxd on the same virtual bus, the same client");
    println!("{:<44} {:>12} {:>12} {:>8} {:>6}", "figure", "usbmuxd", "built-in", "ratio", "goal");
    let higher = [("in", 3.0), ("out", 1.0)];
    for (direction, goal) in higher {
        for devices in [1, 16] {
            let name = format!("{direction} {devices}");
            let words = format!("{devices} device(s), {direction}, MB/s");
            line(&words, theirs[&name], ours[&name], theirs[&name].recip() * ours[&name], goal);
        }
    }
    for devices in [1, 16] {
        let name = format!("echo {devices}");
        line(
            &format!("{devices} device(s), echo of 64 bytes, us"),
            theirs[&name],
            ours[&name],
            theirs[&name] / ours[&name],
            1.0,
        );
    }
    for (name, words) in [
        ("attach", "plug to Attached, ms"),
        ("idle", "idle with 16 devices, CPU %"),
        ("list", "100 devices, start to all listed, ms"),
    ] {
        line(words, theirs[name], ours[name], f64::NAN, f64::NAN);
    }
}

fn line(words: &str, theirs: f64, ours: f64, ratio: f64, goal: f64) {
    let or_dash = |value: f64| if value.is_nan() { "-".to_owned() } else { format!("{value:.2}") };
    println!("{words:<44} {theirs:>12.2} {ours:>12.2} {:>8} {:>6}", or_dash(ratio), or_dash(goal));
}

/// Everything about one way.
fn figures(bus: &Bus, way: &str) -> Figures {
    let mut found = Figures::new();
    let _inside = bus.runtime().enter();
    let phone = |n: usize| IPhone::new(&format!("0000811000000000000000{n:02X}"));
    let port = |n: usize| format!("{}.{}", n / 16 + 1, n % 16 + 1);
    for devices in [1, 16] {
        let usbmuxd = (way == "usbmuxd").then(|| bus.usbmuxd(&["-p"]));
        let plugged: Vec<_> = (0..devices).map(|n| bus.plug(&port(n), phone(n))).collect();
        let mut client = Client::start(bus, way);
        client.ask(&format!("list {devices}"));
        for figure in ["in", "out", "echo"] {
            found.insert(format!("{figure} {devices}"), client.ask(figure));
        }
        if devices > 1 {
            let process = usbmuxd.as_ref().map_or(client.child.id(), usbmuxd::Usbmuxd::id);
            found.insert("idle".to_owned(), idle(process));
        } else {
            found.insert("attach".to_owned(), attach(bus, &mut client, phone, &port(devices)));
        }
        drop((client, usbmuxd));
        plugged.into_iter().for_each(|device| device.unplug());
    }
    let plugged: Vec<_> = (0..MANY).map(|n| bus.plug(&port(n), phone(n))).collect();
    let begun = Instant::now();
    let usbmuxd = (way == "usbmuxd").then(|| bus.usbmuxd(&["-p"]));
    let mut client = Client::start(bus, way);
    client.ask(&format!("list {MANY}"));
    found.insert("list".to_owned(), begun.elapsed().as_secs_f64() * 1e3);
    drop((client, usbmuxd));
    plugged.into_iter().for_each(|device| device.unplug());
    found
}

/// Median time from plug to event.
fn attach(bus: &Bus, client: &mut Client, phone: impl Fn(usize) -> IPhone, port: &str) -> f64 {
    let mut spent: Vec<f64> = (0..PLUGS)
        .map(|n| {
            let plugged_at = now();
            let plugged = bus.plug(port, phone(n + 50));
            let told_at = client.ask("attached");
            plugged.unplug();
            client.ask("detached");
            // A bay that was just left is given time to settle; this is about a quiet one.
            std::thread::sleep(Duration::from_millis(100));
            (told_at - plugged_at) / 1e3
        })
        .collect();
    spent.sort_by(f64::total_cmp);
    spent[PLUGS / 2]
}

/// Share of a processor a process takes, in percent.
fn idle(process: u32) -> f64 {
    let used = || crate::usage(process).expect("its usage").cpu.as_secs_f64();
    std::thread::sleep(Duration::from_secs(1));
    let (before, window) = (used(), Duration::from_secs(3));
    std::thread::sleep(window);
    (used() - before) / window.as_secs_f64() * 100.0
}

/// Microseconds of the computer's clock, which two processes share.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e6
}

/// The client: this program again, where the bus can be seen.
struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Client {
    fn start(bus: &Bus, way: &str) -> Self {
        let mut command = bus.command(std::env::current_exe().expect("this program"));
        let mut child =
            command.env(WAY, way).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a client");
        let (input, output) =
            (child.stdin.take().expect("its input"), child.stdout.take().expect("its output"));
        Self { child, input, output: BufReader::new(output) }
    }

    fn ask(&mut self, what: &str) -> f64 {
        writeln!(self.input, "{what}").expect("a client that listens");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("an answer");
        answer.trim().parse().unwrap_or_else(|_| panic!("{what}: {answer}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Its input ends with its owner, and with that it gives everything back.
        let _ = writeln!(self.input, "end");
        let _ = self.child.wait();
    }
}

async fn serve(built_in: bool) {
    let usb = built_in.then(|| UsbBackend::start(Arc::new(NoRecords)).expect("a bus"));
    let backend: Arc<dyn Backend> = match &usb {
        Some(usb) => Arc::clone(usb) as Arc<dyn Backend>,
        None => Arc::new(UsbmuxdBackend::new(MuxAddress::default())),
    };
    let mut events = backend.watch();
    let next = || std::io::stdin().lines().next();
    while let Some(Ok(line)) = tokio::task::block_in_place(next) {
        let answer = match line.split_once(' ') {
            Some(("list", count)) => list(&*backend, count.parse().expect("a count"), &mut events).await,
            _ => match line.as_str() {
                "in" => moved(&backend, SOURCE).await,
                "out" => moved(&backend, DISCARD).await,
                "echo" => echo(&backend).await,
                "attached" => until(&mut events, |e| matches!(e, BackendEvent::Attached(_))).await,
                "detached" => until(&mut events, |e| matches!(e, BackendEvent::Detached(_))).await,
                _ => break,
            },
        };
        println!("{answer}");
    }
    if let Some(usb) = usb {
        usb.close().await;
    }
}

type Events = tokio::sync::mpsc::Receiver<BackendEvent>;

async fn until(events: &mut Events, wanted: impl Fn(&BackendEvent) -> bool) -> f64 {
    while let Some(event) = events.recv().await {
        if wanted(&event) {
            break;
        }
    }
    now()
}

async fn list(backend: &dyn Backend, count: usize, events: &mut Events) -> f64 {
    for _ in 0..count {
        until(events, |event| matches!(event, BackendEvent::Attached(_))).await;
    }
    backend.list().await.expect("a list").len() as f64
}

async fn ids(backend: &dyn Backend) -> Vec<MuxId> {
    backend.list().await.expect("a list").iter().map(|device| device.id).collect()
}

/// MB/s through one stream of every device at once.
async fn moved(backend: &Arc<dyn Backend>, port: u16) -> f64 {
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for id in ids(&**backend).await {
        let stream = backend.connect(id, port).await.expect("a stream");
        let count = Arc::clone(&count);
        tasks.spawn(async move {
            match port {
                SOURCE => take(stream, &count).await,
                _ => give(stream, &count).await,
            }
        });
    }
    // What is in buffers on the way is no throughput.
    tokio::time::sleep(WINDOW / 5).await;
    let (begun, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(WINDOW).await;
    let bytes = count.load(Ordering::Relaxed) - before;
    let rate = bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
    tasks.shutdown().await;
    rate
}

async fn take(mut stream: BoxChannel, count: &AtomicU64) {
    let mut bytes = vec![0; 64 << 10];
    if stream.write_all(&[1]).await.is_err() {
        return;
    }
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}

async fn give(mut stream: BoxChannel, count: &AtomicU64) {
    let bytes = vec![7; 64 << 10];
    while let Ok(written @ 1..) = stream.write(&bytes).await {
        count.fetch_add(written as u64, Ordering::Relaxed);
    }
}

/// Median microseconds of a round trip, with every device at it at once.
async fn echo(backend: &Arc<dyn Backend>) -> f64 {
    let mut tasks = tokio::task::JoinSet::new();
    for id in ids(&**backend).await {
        let mut stream = backend.connect(id, ECHO).await.expect("a stream");
        tasks.spawn(async move {
            let mut bytes = [7; 64];
            let mut spent = Vec::with_capacity(TRIPS);
            for _ in 0..TRIPS {
                let begun = Instant::now();
                stream.write_all(&bytes).await.expect("a write");
                stream.read_exact(&mut bytes).await.expect("a read");
                spent.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            spent
        });
    }
    let mut spent = tasks.join_all().await.concat();
    spent.sort_by(f64::total_cmp);
    spent[spent.len() / 2]
}

/// Nobody pairs here.
#[derive(Debug)]
struct NoRecords;

impl PairRecords for NoRecords {
    fn buid(&self) -> String {
        String::new()
    }

    fn read(&self, _: &Udid) -> Option<Secret<Vec<u8>>> {
        None
    }

    fn save(&self, _: &Udid, _: &Secret<Vec<u8>>) -> bool {
        false
    }

    fn delete(&self, _: &Udid) -> bool {
        false
    }
}
