//! Macs on the wire, end to end: the shipped binary, the system's ssh, a real sshd.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use crate::support::binary::{Bench, Done, poll, text_of};
use crate::support::mac::{FakeMac, enroll, fixture, has_sshd, left_out};
use crate::support::profile::{changed, f01, f01_with_challenge, f02, plain_f01, signed};
use enlist::journal::JournalReader;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// A bench with one Mac and an export; `None`, loudly, without sshd.
fn one_mac() -> Option<(Bench, FakeMac, String)> {
    if !has_sshd() {
        return None;
    }
    let bench = Bench::new();
    bench.trust_signer();
    let file = bench.write("scep.mobileconfig", f01());
    let mac = FakeMac::start(&bench, 1);
    Some((bench, mac, file))
}

#[track_caller]
fn ends(done: &Done, outcome: &str) -> Value {
    let result = done.only();
    assert_eq!(result["outcome"], outcome, "{done}");
    done.is_for_people();
    result
}

fn said(result: &Value) -> String {
    format!("{} {}", result["sentence"].as_str().unwrap(), result["next"].as_str().unwrap_or_default())
}

/// Jobs in the journal, newest first; its books are in order.
fn history(bench: &Bench) -> Vec<Value> {
    let path = bench.state_dir().join("journal.sqlite3");
    let violations = JournalReader::open(&path).unwrap().check();
    assert!(violations.is_empty(), "{violations:?}");
    bench.run(&["--json", "history"]).exits(0).json()
}

#[test]
fn a_mac_is_enrolled_when_its_administrator_installed_the_profile() {
    let Some((bench, mac, file)) = one_mac() else { return };
    mac.person_after("1", "status-approved.txt", "list-enrolled.txt");
    let done = enroll(&bench, &["mac-1"], &[&file]).finish().exits(0);
    assert_eq!(done.stderr, "");
    let result = ends(&done, "enrolled");
    for (key, value) in [
        ("udid", "0A1B2C3D-0000-4000-8000-00000000F001"),
        ("serial", "FAKE0MAC01"),
        ("bay", "mac-1"),
        ("name", "Front desk"),
        ("product_type", "Mac14,2"),
        ("os_version", "15.2"),
        ("class", "none"),
    ] {
        assert_eq!(result[key], value, "{key}");
    }
    assert!(said(&result).contains("Microsoft.Profiles.MDM was read back"), "{result}");
    assert_eq!(mac.opened().unwrap(), f01_bytes(&file));
    assert_eq!(mac.modes(), "600\n700\n");
    assert!(mac.left_behind().is_empty());
    let jobs = history(&bench);
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0]["outcome"].as_str(), jobs[0]["open"].as_bool()), (Some("enrolled"), Some(false)));
    assert_eq!(jobs[0]["pushes"], 1);
}

fn f01_bytes(file: &str) -> Vec<u8> {
    fs::read(file).unwrap()
}

#[test]
fn people_see_where_the_profile_waits_on_that_macos() {
    let Some((bench, mac, file)) = one_mac() else { return };
    mac.set("version", "14.6.1\n");
    mac.person_after("1", "status-approved.txt", "list-enrolled.txt");
    let config = text_of(&bench.path("ssh_config"));
    let done = bench.run(&["mac", "enroll", "--ssh-config", &config, "--ssh", "mac-1", &file]).exits(0);
    let all = done.all_output();
    assert!(all.contains("1. Go to System Settings > Privacy & Security > Profiles"), "{all}");
    assert!(!all.contains("Trust") && !all.contains('\u{1b}'), "{all}");
    assert!(all.contains("1 done, 0 not."), "{all}");
}

#[test]
fn a_list_for_administrators_only_is_read_with_sudo_where_that_asks_for_nothing() {
    let Some((bench, mac, file)) = one_mac() else { return };
    mac.person_after("0", "status-approved.txt", "list-none-user.txt");
    let done = enroll(&bench, &["mac-1"], &[&file]).finish().exits(0);
    assert!(said(&ends(&done, "enrolled")).contains("to administrators only"));
    let root = FakeMac::start(&bench, 2);
    root.person_after("0", "status-two-lines.txt", "list-none-user.txt");
    root.set("list-root", &fixture("list-enrolled.txt"));
    let done = enroll(&bench, &["mac-2"], &[&file]).finish().exits(0);
    assert!(said(&ends(&done, "enrolled")).contains("was read back"));
}

#[test]
fn an_enrolled_mac_is_left_alone() {
    let Some((bench, mac, file)) = one_mac() else { return };
    for (status, list, outcome, code) in [
        ("status-approved.txt", "list-none-user.txt", "already-enrolled", 0),
        ("status-two-lines.txt", "list-enrolled.txt", "already-enrolled", 0),
        ("status-other.txt", "list-none-user.txt", "other-mdm", 3),
        ("status-two-lines.txt", "list-others.txt", "other-mdm", 3),
    ] {
        mac.set("status", &fixture(status));
        mac.set("list", &fixture(list));
        let done = enroll(&bench, &["mac-1"], &[&file]).finish().exits(code);
        let result = ends(&done, outcome);
        assert_eq!(result["pushes"], 0);
    }
    assert_eq!(mac.opens(), 0);
    assert_eq!(history(&bench).len(), 4);
}

#[test]
fn a_mac_enrolled_elsewhere_while_it_waited_is_no_success() {
    let Some((bench, mac, file)) = one_mac() else { return };
    mac.person_after("1", "status-other.txt", "list-others.txt");
    let done = enroll(&bench, &["mac-1"], &[&file]).finish().exits(3);
    assert!(said(&ends(&done, "other-mdm")).contains("While the profile waited"));
    assert!(mac.left_behind().is_empty());
}

#[test]
fn an_enrollment_that_the_list_does_not_show_is_no_success() {
    let Some((bench, mac, file)) = one_mac() else { return };
    mac.person_after("0", "status-approved.txt", "list-others.txt");
    let done = enroll(&bench, &["mac-1"], &[&file]).finish().exits(1);
    assert!(said(&ends(&done, "failed")).contains("does not list the profile"));
}

#[test]
fn the_right_export_for_each_macos() {
    let Some((bench, mac, scep)) = one_mac() else { return };
    let acme = bench.write("acme.mobileconfig", f02());
    mac.set("version", "13.0.1\n");
    let done = enroll(&bench, &["mac-1"], &[&acme]).finish().exits(5);
    assert!(said(&ends(&done, "too-old")).contains("needs macOS 13.1; the Mac has 13.0.1"), "{done}");
    assert_eq!(mac.opens(), 0);
    let quick = ["--accept-within", "0"];
    for (version, more, expected) in
        [("13.0.1", &[][..], &scep), ("13.1", &[], &acme), ("26.0", &["--prefer", "scep"], &scep)]
    {
        mac.set("version", &format!("{version}\n"));
        let arguments = [&[scep.as_str(), acme.as_str()][..], &quick, more].concat();
        enroll(&bench, &["mac-1"], &arguments).finish().exits(3);
        assert_eq!(mac.opened().unwrap(), fs::read(expected).unwrap(), "{version}");
    }
}

#[test]
fn nobody_installs_it() {
    let Some((bench, mac, file)) = one_mac() else { return };
    let done = enroll(&bench, &["mac-1"], &["--accept-within", "4", &file]).finish().exits(3);
    let result = ends(&done, "person-did-not-accept");
    assert!(said(&result).contains("R84"), "{result}");
    assert!(mac.left_behind().is_empty());
    assert_eq!(mac.opens(), 1);
}

#[test]
fn an_enrollment_that_nobody_approved_waits_for_that_and_pushes_nothing() {
    let Some((bench, mac, file)) = one_mac() else { return };
    mac.set("status", &fixture("status-not-approved.txt"));
    let done = enroll(&bench, &["mac-1"], &["--accept-within", "0", &file]).finish().exits(3);
    assert!(said(&ends(&done, "person-did-not-accept")).contains("nobody approved"));
    assert_eq!(mac.opens(), 0);
}

#[test]
fn what_ssh_says_is_told_in_words() {
    let Some((bench, mut mac, file)) = one_mac() else { return };
    mac.alias(&bench, "stranger", mac.port(), "known-to-nobody");
    for (name, text) in [
        ("stranger", "The host key of stranger is not known here. Run `ssh stranger` once"),
        ("no-such-host.invalid", "The name no-such-host.invalid is not known"),
    ] {
        let done = enroll(&bench, &[name], &[&file]).finish().exits(1);
        let result = ends(&done, "failed");
        assert!(said(&result).contains(text), "{result}");
        assert_eq!(result["class"], "configuration");
    }
    mac.lock_out();
    let result = ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(1), "failed");
    assert!(
        said(&result).contains("refused to let this station in") && said(&result).contains("ssh-copy-id")
    );
    mac.down();
    let result = ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(1), "failed");
    assert!(said(&result).contains("Connection refused") && said(&result).contains("Remote Login"));
    let jobs = history(&bench);
    assert_eq!(jobs.len(), 4, "Macs that never answered are written down too");
    assert!(jobs.iter().all(|job| job["open"] == false));
}

#[test]
fn a_connection_lost_in_the_middle_comes_back() {
    let Some((bench, mut mac, file)) = one_mac() else { return };
    let running = enroll(&bench, &["mac-1"], &[&file]);
    poll("the profile to be opened", || mac.opened());
    mac.down();
    std::thread::sleep(std::time::Duration::from_secs(5));
    mac.set("status", &fixture("status-approved.txt"));
    mac.set("list", &fixture("list-enrolled.txt"));
    mac.up();
    let done = running.finish().exits(0);
    ends(&done, "enrolled");
    assert!(mac.left_behind().is_empty());
    history(&bench);
}

/// The server's process for this connection dies under a command.
const SESSION_DIES: &str = "[ -f \"$MAC/died\" ] || {
touch \"$MAC/died\"; p=$PPID
while [ \"$(cat /proc/$p/comm)\" = sh ] || [ \"$(cat /proc/$p/comm)\" = bash ]; do p=$(cut -d ' ' -f 4 /proc/$p/stat); done
case \"$(cat /proc/$p/comm)\" in sshd*) kill -9 $p;; esac; sleep 20; }
";

#[test]
fn a_session_that_dies_under_a_command_is_begun_anew() {
    for tool in ["wc", "open", "profiles"] {
        let Some((bench, mac, file)) = one_mac() else { return };
        mac.person_after("0", "status-approved.txt", "list-enrolled.txt");
        mac.dies_once(tool, SESSION_DIES);
        let done = enroll(&bench, &["mac-1"], &[&file]).finish().exits(0);
        let result = ends(&done, "enrolled");
        assert_eq!(result["attempts"], 2, "{tool}: {result}");
        assert!(mac.left_behind().is_empty(), "{tool}");
        history(&bench);
    }
}

#[test]
fn a_connection_lost_for_good_says_what_may_be_left() {
    let Some((bench, mut mac, file)) = one_mac() else { return };
    let running = enroll(&bench, &["mac-1"], &["--unreachable-within", "2", &file]);
    poll("the profile to be opened", || mac.opened());
    mac.down();
    let result = ends(&running.finish().exits(1), "detached-midway");
    assert!(said(&result).contains("stopped answering") && said(&result).contains("may be left on the Mac"));
    assert_eq!(mac.left_behind().len(), 1);
    // The next run looks first, and sweeps what is left.
    mac.up();
    mac.person_after("0", "status-approved.txt", "list-enrolled.txt");
    ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(0), "enrolled");
    assert!(mac.left_behind().is_empty());
}

#[test]
fn what_a_hostile_mac_prints_hurts_nobody() {
    let Some((bench, mac, file)) = one_mac() else { return };
    mac.set("name", "\u{1b}[2J\u{202e}evil\n");
    mac.set("open-fails", "\u{1b}]0;owned\u{7} LSOpenURLsWithRole() failed\n");
    let result = ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(1), "failed");
    assert!(said(&result).contains("Log in at the Mac's screen"), "{result}");
    let text = result.to_string();
    assert!(!text.contains("\\u001b") && !text.contains('\u{202e}') && text.contains("u{1b}"), "{text}");
    assert!(mac.left_behind().is_empty());
    mac.tool("profiles", "yes | head -c 50000000");
    let result = ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(1), "failed");
    assert!(said(&result).contains("longer than 262144 bytes"), "{result}");
    mac.tool("sw_vers", "echo 15.2; head -c 1000000 /dev/urandom >&2");
    let result = ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(1), "failed");
    assert!(said(&result).contains("longer than"), "{result}");
    mac.tool("sw_vers", "exit 127");
    assert!(
        said(&ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(1), "failed")).contains("no Mac")
    );
    // A path that is not ours is never opened or removed.
    mac.tool("sw_vers", "echo 15.2");
    mac.tool("profiles", "echo 'MDM enrollment: No'");
    mac.tool("mktemp", "mkdir -p \"$MAC/precious\"; echo \"$MAC/precious\"");
    let result = ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(1), "failed");
    assert!(said(&result).contains("a copy of the profile"), "{result}");
    history(&bench);
}

#[test]
fn an_interrupted_run_cleans_up_and_is_resumed() {
    let Some((bench, mac, file)) = one_mac() else { return };
    let running = enroll(&bench, &["mac-1"], &[&file]);
    poll("the wait for the administrator", || {
        let jobs = bench.run(&["--json", "history"]).json();
        jobs.iter().any(|job| job["outcome"] == "waiting-for-person").then_some(())
    });
    assert_eq!(mac.left_behind().len(), 1);
    running.ctrl_c();
    running.finish().exits(1);
    assert!(mac.left_behind().is_empty());
    let open = history(&bench);
    assert_eq!((open.len(), open[0]["open"].as_bool()), (1, Some(true)));
    assert!(open[0]["next"].as_str().unwrap().contains("System Settings"), "{open:?}");
    mac.set("status", &fixture("status-approved.txt"));
    mac.set("list", &fixture("list-enrolled.txt"));
    ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(0), "enrolled");
    let jobs = history(&bench);
    assert_eq!((jobs.len(), jobs[0]["attempts"].as_u64(), mac.opens()), (1, Some(2), 1));
}

#[test]
fn a_killed_run_is_swept_by_the_next() {
    let Some((bench, mac, file)) = one_mac() else { return };
    let mut running = enroll(&bench, &["mac-1"], &[&file]);
    poll("the profile to be opened", || mac.opened());
    running.kill();
    assert_eq!(mac.left_behind().len(), 1);
    mac.set("status", &fixture("status-approved.txt"));
    mac.set("list", &fixture("list-enrolled.txt"));
    ends(&enroll(&bench, &["mac-1"], &[&file]).finish().exits(0), "enrolled");
    assert!(mac.left_behind().is_empty());
    assert_eq!(history(&bench).len(), 1);
}

#[test]
fn several_macs_side_by_side_each_come_to_their_own_end() {
    let Some((bench, first, file)) = one_mac() else { return };
    let (second, third) = (FakeMac::start(&bench, 2), FakeMac::start(&bench, 3));
    first.person_after("1", "status-approved.txt", "list-enrolled.txt");
    second.set("status", &fixture("status-other.txt"));
    third.set("ioreg", &fixture("ioreg.txt").replace("F001", "F002"));
    first.alias(&bench, "same", first.port(), "known");
    let done = enroll(&bench, &["mac-1", "mac-2", "mac-1", "same"], &[&file]).finish().exits(1);
    let mut ends: Vec<_> = done.json();
    ends.sort_by_key(|result| result["bay"].to_string());
    let all: Vec<_> =
        ends.iter().map(|r| (r["bay"].as_str().unwrap(), r["outcome"].as_str().unwrap())).collect();
    // Who of the two comes first is open: one address enrolls, the other is told so.
    assert_eq!(all.len(), 3, "{done}");
    assert!(all.contains(&("mac-2", "other-mdm")));
    let mut twice: Vec<_> = all.iter().filter(|(bay, _)| *bay != "mac-2").map(|(_, o)| *o).collect();
    twice.sort_unstable();
    assert_eq!(twice, ["enrolled", "failed"], "{done}");
    assert_eq!(first.opens(), 1);
    assert_eq!(history(&bench).len(), 3);
}

#[test]
fn a_dry_run_copies_and_writes_nothing() {
    let Some((bench, mac, file)) = one_mac() else { return };
    let done = enroll(&bench, &["mac-1"], &["--dry-run", &file]).finish().exits(0);
    assert!(said(&ends(&done, "planned")).contains("Would do: install, wait-for-person, verify"));
    assert_eq!(mac.opens(), 0);
    assert!(!bench.state_dir().join("journal.sqlite3").exists());
}

#[test]
fn the_challenge_leaves_the_file_only_for_the_mac() {
    let Some((bench, mac, _)) = one_mac() else { return };
    const CANARY: &str = "canary-51c0ffee-challenge";
    let file = bench.write("canary.mobileconfig", f01_with_challenge(CANARY));
    mac.person_after("0", "status-approved.txt", "list-enrolled.txt");
    let done = enroll(&bench, &["mac-1"], &["-vvv", &file]).finish().exits(0);
    let has = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
    assert!(has(&mac.opened().unwrap()) && !has(done.all_output().as_bytes()));
    for entry in fs::read_dir(bench.state_dir()).unwrap() {
        let path = entry.unwrap().path();
        assert!(!has(&fs::read(&path).unwrap()), "{}", path.display());
    }
    let kit = text_of(&bench.path("kit"));
    let done = bench.run(&["mac", "kit", &kit, &file]).exits(0);
    assert!(!has(done.all_output().as_bytes()) && !has(&fs::read(bench.path("kit/card.html")).unwrap()));
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_done() {
    let bench = Bench::new();
    bench.trust_signer();
    let (scep, acme) = (bench.write("scep.mobileconfig", f01()), bench.write("acme.mobileconfig", f02()));
    if cfg!(not(target_os = "macos")) {
        assert_eq!(bench.run(&["mac", "enroll", &scep]).fails_clearly(2), "This computer is no Mac.");
    }
    for address in ["a b", "-oProxyCommand=x", "a@b;c", "a'b"] {
        let address = format!("--ssh={address}");
        bench.run(&["mac", "enroll", &address, &scep]).fails_clearly(2);
    }
    bench.run(&["mac", "enroll", "--ssh=a"]).fails_clearly(2);
    bench.run(&["mac", "enroll", "--ssh=a", &scep, &scep]).fails_clearly(2);
    bench.run(&["mac", "enroll", "--ssh=a", "/no/such/file"]).fails_clearly(2);
    let phone = bench.write(
        "phone.mobileconfig",
        signed(&changed(|root| drop(root.insert("TargetDeviceType".into(), 1.into())))),
    );
    assert!(bench.run(&["mac", "enroll", "--ssh=a", &phone]).exits(5).stderr.contains("L37"));
    let many: Vec<String> = (0..65).map(|n| format!("--ssh=mac-{n}")).collect();
    let arguments: Vec<&str> =
        ["mac", "enroll", &acme].into_iter().chain(many.iter().map(String::as_str)).collect();
    bench.run(&arguments).fails_clearly(2);
}

#[test]
fn a_kit_has_the_right_file_its_checksum_and_pages_to_print() {
    let bench = Bench::new();
    bench.trust_signer();
    let (scep, acme) = (bench.write("scep.mobileconfig", f01()), bench.write("acme.mobileconfig", f02()));
    let list = bench.write("macs.csv", "serial,name\nFAKE0MAC01,\"Front, desk\"\n");
    let kit = |name: &str, more: &[&str]| {
        let folder = text_of(&bench.path(name));
        let arguments = [&["--json", "mac", "kit", &folder, &scep, &acme][..], more].concat();
        bench.run(&arguments)
    };
    let names = |done: &Done| -> Vec<String> {
        let name = |file: &Value| Path::new(file["file"].as_str().unwrap()).file_name().unwrap().to_owned();
        done.json().iter().map(|file| name(file).into_string().unwrap()).collect()
    };
    let done = kit("new", &["--macos", "15.2"]).exits(0);
    assert_eq!(names(&done), ["enrollment-acme.mobileconfig", "card.html", "SHA256SUMS"]);
    assert!(done.json().iter().all(|file| file["action"] == "written" && file["private"] == true));
    assert_eq!(fs::read(bench.path("new/enrollment-acme.mobileconfig")).unwrap(), fs::read(&acme).unwrap());
    let mode = |name: &str| fs::metadata(bench.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("new"), mode("new/enrollment-acme.mobileconfig")), (0o700, 0o600));
    let done = kit("old", &["--macos", "12.7", "--macs", &list]).exits(0);
    assert_eq!(names(&done), ["enrollment-scep.mobileconfig", "card.html", "macs.html", "SHA256SUMS"]);
    let sheet = fs::read_to_string(bench.path("old/macs.html")).unwrap();
    assert!(sheet.contains("FAKE0MAC01") && sheet.contains("Front, desk"));
    let card = fs::read_to_string(bench.path("old/card.html")).unwrap();
    assert!(
        card.contains("System Preferences &gt; Profiles") && !card.contains("Device Management"),
        "{card}"
    );
    assert!(card.contains(done.json()[0]["sha256"].as_str().unwrap()) && card.contains("is a secret"));
    assert!(card.contains("(by the time of the signature)"), "{card}");
    for outside in ["http:", "src=", "href=", "url(", "<script"] {
        assert!(!card.contains(outside), "{outside}");
    }
    let checked = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(bench.path("old"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert!(
        kit("old", &["--macos", "12.7", "--macs", &list])
            .exits(0)
            .json()
            .iter()
            .all(|f| f["action"] == "unchanged")
    );
    assert!(kit("old", &["--macos", "15.2"]).fails_clearly(2).contains("is there already and is different"));
    assert_eq!(names(&kit("old", &["--force"]).exits(0)).len(), 4);
    let folder = text_of(&bench.path("none"));
    bench.run(&["mac", "kit", &folder, &acme, "--macos", "13.0"]).fails_clearly(5);
    assert!(!bench.path("none").exists());
    bench.run(&["mac", "kit", &scep]).fails_clearly(2);
    bench.run(&["mac", "kit", "--macs", &scep, &folder, &acme]).exits(2);
}

#[test]
fn a_stick_must_be_one() {
    let bench = Bench::new();
    bench.trust_signer();
    let file = bench.write("scep.mobileconfig", f01());
    let folder = text_of(&bench.path(""));
    let said = bench.run(&["mac", "kit", "--device", &folder, &file]).fails_clearly(2);
    assert!(said.contains("is no mounted stick"), "{said}");
    // Linux mounts memory there: as good as a stick, where it is mounted.
    let stick = Path::new("/dev/shm");
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev()).ok();
    if device(stick).is_none() || device(stick) == device(Path::new("/dev")) {
        left_out("a kit on a stick: nothing is mounted at /dev/shm");
        return;
    }
    let kit = stick.join("enlist-macs");
    if kit.exists() {
        left_out(&format!("a kit on a stick: {} is there already", kit.display()));
        return;
    }
    let done = bench.run(&["mac", "kit", "--device", "/dev/shm", &file]);
    let there = kit.join("enrollment-scep.mobileconfig").exists();
    fs::remove_dir_all(&kit).unwrap();
    assert!(there && done.exits(0).all_output().contains("Unmount the stick"));
}

#[test]
fn a_kit_holds_no_export_that_is_too_old_or_of_unknown_age() {
    let bench = Bench::new();
    bench.trust_signer();
    let kit = text_of(&bench.path("kit"));
    let silent = bench.write("silent.mobileconfig", plain_f01());
    let said = bench.run(&["mac", "kit", &kit, &silent]).fails_clearly(3);
    assert!(said.contains("Nothing in it tells when it was exported"), "{said}");
    let days_ago = |days: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    let old = days_ago(20).to_string();
    bench.run(&["mac", "kit", &kit, &silent, "--exported-at", &old]).fails_clearly(5);
    fs::File::options().write(true).open(&silent).unwrap().set_modified(days_ago(15).into()).unwrap();
    let said = bench.run(&["mac", "kit", &kit, &silent]).fails_clearly(5);
    assert!(said.contains("exported 15 days ago (date of the file)"), "{said}");
    assert!(!bench.path("kit").exists());
    let done = bench.run(&["mac", "kit", &kit, &silent, "--allow-stale", "Ada answers"]).exits(0);
    assert!(done.stderr.contains("used nevertheless"), "{done}");
    let (other, fresh) = (text_of(&bench.path("other")), days_ago(3));
    bench.run(&["mac", "kit", &other, &silent, "--exported-at", &fresh.to_string()]).exits(0);
    let card = fs::read_to_string(bench.path("other/card.html")).unwrap();
    let until = (fresh + jiff::SignedDuration::from_hours(24 * 14)).strftime("%Y-%m-%d").to_string();
    assert!(card.contains(&until) && card.contains("operator"), "{card}");
}
