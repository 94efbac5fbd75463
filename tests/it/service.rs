//! The station as a service: what its manager hears through the shipped binary, and that the
//! files which make it a service say what they should. No systemd runs here; the test is the
//! manager.

#![allow(clippy::disallowed_methods)] // a manager lives in real time

use crate::support::binary::{Bench, PATIENCE, Running};
use crate::support::lab::alone::skipped;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The manager's side of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        Self(UnixDatagram::bind(path).unwrap())
    }

    /// The next message, if one comes in time.
    fn hears(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// Listens until a message fits; gives all that were heard.
    fn until(&self, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let (deadline, mut heard) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "heard only {heard:?}");
            heard.extend(self.hears(left));
            if heard.last().is_some_and(|message| fits(message)) {
                return heard;
            }
        }
    }
}

/// A station with simulated devices, watched every 0.9 seconds.
fn serve(bench: &Bench, socket: &str, more: &[(&str, &str)]) -> Running {
    let mut command = bench.command(&["serve", "--simulate", "4"]);
    command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "900000");
    command.envs(more.iter().copied());
    Running::start(command)
}

#[test]
fn a_manager_hears_that_the_station_is_ready_alive_and_how_its_bays_stand() {
    let bench = Bench::new();
    let manager = Manager::at(&bench.path("notify"));
    let station = serve(&bench, bench.path("notify").to_str().unwrap(), &[]);
    let heard = manager.until(|message| message.starts_with("STATUS=4 bays, 0 working"));
    assert!(heard[0].starts_with("READY=1\nSTATUS="), "{heard:?}");
    assert!(heard.iter().any(|message| message == "WATCHDOG=1"), "{heard:?}");
    assert_eq!(heard.iter().filter(|message| message.contains("READY=1")).count(), 1);
    let asked = Instant::now();
    manager.until(|message| message == "WATCHDOG=1");
    assert!(asked.elapsed() < Duration::from_millis(900), "an idle station is alive too");
    station.terminate();
    manager.until(|message| message.starts_with("STOPPING=1\nSTATUS="));
    station.finish().exits(0);
}

#[test]
fn a_station_that_hangs_is_silent_and_one_that_was_killed_is_ready_again() {
    let bench = Bench::new();
    // Its number makes the name one of this test alone.
    let name = format!("enlist-test-{}", std::process::id());
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name);
    let manager = Manager(UnixDatagram::bind_addr(&address.unwrap()).unwrap());
    let socket = format!("@{name}");
    let mut station = serve(&bench, &socket, &[]);
    manager.until(|message| message.starts_with("STATUS=4 bays, 0 working"));
    manager.until(|message| message == "WATCHDOG=1");
    let stopped = Command::new("kill").args(["-STOP", &station.pid().to_string()]).status().unwrap();
    assert!(stopped.success());
    // What was under way may still come.
    while manager.hears(Duration::from_millis(200)).is_some() {}
    assert_eq!(manager.hears(Duration::from_millis(1200)), None, "its watchdog would have ended it by now");
    // As systemd does then.
    station.kill();
    let again = serve(&bench, &socket, &[]);
    manager.until(|message| message.starts_with("READY=1"));
    manager.until(|message| message == "WATCHDOG=1");
    again.terminate();
    again.finish().exits(0);
}

#[test]
fn a_watchdog_of_another_process_is_left_alone_and_a_dead_socket_stops_nothing() {
    let bench = Bench::new();
    let manager = Manager::at(&bench.path("notify"));
    let station = serve(&bench, bench.path("notify").to_str().unwrap(), &[("WATCHDOG_PID", "1")]);
    let heard = manager.until(|message| message.starts_with("STATUS=4 bays, 0 working"));
    assert!(!heard.iter().any(|message| message == "WATCHDOG=1"), "{heard:?}");
    station.terminate();
    station.finish().exits(0);
    drop(manager);
    for socket in [bench.path("notify"), "/nowhere/notify".into(), "vsock:2:7".into()] {
        let done = bench.run_with("NOTIFY_SOCKET", &socket, &["serve", "--simulate", "1", "--once"]).exits(0);
        done.is_for_people();
    }
}

fn paper(name: &str) -> String {
    let printed = Bench::new().run(&["--json", "service", "print", name]).exits(0).only();
    printed["text"].as_str().unwrap().to_owned()
}

/// Values of a directive in a unit, in order.
fn directive<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_is_hardened_and_still_reaches_devices() {
    let unit = paper("systemd");
    let says = |name: &str| directive(&unit, name);
    assert_eq!(says("Type"), ["notify"]);
    assert_eq!((says("User"), says("Group")), (vec!["enlist"], vec!["enlist"]));
    // What would hide USB devices, the socket of usbmuxd, or news of the bus.
    for wrong in ["PrivateDevices", "PrivateNetwork", "RootDirectory", "DynamicUser"] {
        assert!(says(wrong).is_empty(), "{wrong}");
    }
    assert_eq!(says("DeviceAllow"), ["char-usb_device rw"]);
    for family in ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"] {
        assert!(says("RestrictAddressFamilies")[0].split(' ').any(|word| word == family), "{family}");
    }
    // The command is one that this program takes.
    let words: Vec<_> = says("ExecStart")[0].split(' ').skip(1).collect();
    let help = Bench::new().run(&[&words[..], &["--help"]].concat()).exits(0);
    assert!(help.stdout.concat().contains("serve"));
    let bench = Bench::new();
    let path = bench.write("enlist.service", &unit);
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skipped("systemd-analyze is not here (apt: systemd)");
    }
    let rated = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20", &path])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&rated.stdout).into_owned();
    let exposure = said.lines().find(|line| line.contains("Overall exposure level"));
    println!("{}", exposure.unwrap_or(&said));
    assert!(rated.status.success() && exposure.is_some(), "{said}");
}

#[test]
fn the_other_files_are_what_their_readers_take() {
    let plist: plist::Value = plist::from_bytes(paper("launchd").as_bytes()).unwrap();
    let plist = plist.as_dictionary().unwrap();
    let words: Vec<_> = plist["ProgramArguments"].as_array().unwrap().iter().skip(1).collect();
    let words: Vec<_> = words.iter().map(|word| word.as_string().unwrap()).chain(["--help"]).collect();
    Bench::new().run(&words).exits(0);
    assert!(paper("sysusers").lines().any(|line| line.starts_with("u enlist - ")));
    assert!(paper("tmpfiles").lines().any(|line| line == "d /var/lib/enlist 0700 enlist enlist -"));
    for rules in ["udev", "udev-alone"] {
        assert!(paper(rules).contains("GROUP=\"enlist\""), "{rules}");
    }
}

/// No container engine runs here, so this reads the recipe as a linter does.
#[test]
fn the_recipe_of_the_container_asks_for_the_socket_of_usbmuxd_and_nothing_else() {
    let recipe = paper("container");
    let (notes, lines): (Vec<_>, Vec<_>) = recipe.lines().partition(|line| line.starts_with('#'));
    let lines = lines.join("\n").replace("\\\n", " ");
    let steps: Vec<(&str, &str)> = lines.lines().filter_map(|line| line.split_once(' ')).collect();
    let of = |name: &str| {
        let fit = steps.iter().filter(|(step, _)| *step == name).map(|(_, rest)| *rest);
        fit.collect::<Vec<_>>()
    };
    let known =
        ["FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"];
    for (step, rest) in &steps {
        assert!(known.contains(step), "{step} {rest}");
    }
    // Pinned, from a named registry; the last stage has no compiler.
    for image in of("FROM") {
        assert!(image.starts_with("docker.io/library/") && image.contains(':'), "{image}");
    }
    assert!(of("FROM").last().unwrap().contains("slim"));
    assert_eq!(of("USER"), ["7417:7417"]);
    let words = |name: &str| serde_json::from_str::<Vec<String>>(of(name)[0]).unwrap();
    let (entry, command) = (words("ENTRYPOINT"), words("CMD"));
    let mut taken: Vec<_> = entry[1..].iter().chain(&command).map(String::as_str).collect();
    assert!(taken.windows(2).any(|two| two == ["--mux", "usbmuxd"]), "{taken:?}");
    taken.push("--help");
    Bench::new().run(&taken).exits(0);
    let how = notes.join("\n");
    assert!(how.contains("-v /var/run/usbmuxd:/var/run/usbmuxd"));
    for much in ["--privileged", "--device", "/dev", "--network=host", "--cap-add"] {
        assert!(!recipe.contains(much), "{much}");
    }
    let rust = include_str!("../../Cargo.toml").split("rust-version = \"").nth(1).unwrap();
    assert!(
        recipe.contains(&format!("rust:{}-", rust.split('"').next().unwrap())),
        "the oldest Rust that builds it"
    );
}

#[test]
fn there_is_a_man_page_for_every_command_and_completions_that_shells_take() {
    let bench = Bench::new();
    let folder = bench.path("out");
    let written = bench.run(&["service", "files", folder.to_str().unwrap()]).exits(0);
    for file in &written.stdout {
        assert!(Path::new(file).is_file(), "{file}");
    }
    let page = |name: &str| std::fs::read_to_string(folder.join(format!("man/{name}.1"))).unwrap();
    for name in ["enlist", "enlist-serve", "enlist-batch-open", "enlist-config", "enlist-service-files"] {
        assert!(page(name).contains(".SH NAME") && page(name).contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(page("enlist").contains("Exit codes: 0 done"));
    let first = bench.run(&["man"]).exits(0);
    assert_eq!(first.stdout.join("\n") + "\n", page("enlist"));
    let script = bench.write("enlist.bash", bench.run(&["completions", "bash"]).exits(0).stdout.join("\n"));
    let asked = "source \"$1\"; COMP_WORDS=(enlist ser); COMP_CWORD=1; _enlist enlist ser enlist; echo ${COMPREPLY[@]}";
    let answer = Command::new("bash").args(["-c", asked, "-", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "serve service");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(bench.run(&["completions", shell]).exits(0).stdout.len() > 20, "{shell}");
    }
}

/// What `tests/package/run` makes is made of files that there are, and README names what it puts
/// where. cargo-deb itself is tried there.
#[test]
fn the_package_is_made_of_files_that_there_are() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = std::fs::read_to_string(top.join("Cargo.toml")).unwrap().parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let bench = Bench::new();
    let made = bench.path("package");
    bench.run(&["service", "files", made.to_str().unwrap()]).exits(0);
    let contents = std::fs::read_to_string(top.join("tests/package/contents")).unwrap();
    let readme = std::fs::read_to_string(top.join("README.md")).unwrap();
    for asset in deb["assets"].as_array().unwrap() {
        let text = |at: usize| asset[at].as_str().unwrap();
        let (from, to, mode) = (text(0), text(1), text(2));
        let name = Path::new(from).file_name().unwrap().to_str().unwrap();
        let there = match from.strip_prefix("target/") {
            Some("release/enlist") => true,
            Some(below) => {
                let file = made.join(below.strip_prefix("package/").unwrap());
                if name == "*.1" { file.parent().unwrap().is_dir() } else { file.is_file() }
            }
            None => top.join(from).is_file(),
        };
        assert!(there, "{from}");
        let target = if to.ends_with('/') { format!("{to}{name}") } else { to.to_owned() };
        let rights = if mode == "755" { "-rwxr-xr-x" } else { "-rw-r--r--" };
        let line = format!("{rights} 0/0 ./{target}\n");
        assert!(name == "*.1" || contents.contains(&line), "{line}");
        let told = ["etc/", "bin/", "lib/", "man/"].iter().any(|part| to.contains(part));
        let folder = format!("/{}", target.replace("*.1", ""));
        assert!(!told || readme.contains(&folder), "README does not name {folder}");
    }
    for folder in ["/etc/enlist/credentials", "/var/lib/enlist"] {
        assert!(
            readme.contains(folder) && paper("tmpfiles").contains(&format!("d {folder} 0700 ")),
            "{folder}"
        );
    }
}
