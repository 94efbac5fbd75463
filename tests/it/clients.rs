//! The simulator against clients that nobody here wrote: libimobiledevice and
//! pymobiledevice3, unmodified (design.md 7.3). They keep it from drifting into agreeing
//! only with our own host code.

use crate::support::simulator::{Outcome, Simulator, wifi_profile};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};

const SUPERVISOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/identities/supervisor.pem");

/// A person who answers at once, so that a test need not wait.
const QUICK: [&str; 4] = ["--trust-after", "10ms", "--accept-after", "10ms"];

fn start(arguments: &[&str]) -> Simulator {
    Simulator::start(&[arguments, &QUICK].concat())
}

/// `idevicepair pair` until the dialog was answered: the tool itself does not wait.
#[track_caller]
fn idevicepair(simulator: &Simulator, udid: &str) -> Outcome {
    for _ in 0..50 {
        let outcome = simulator.libimobiledevice("idevicepair", &["-u", udid, "pair"]);
        if !outcome.said().contains("accept the trust dialog") {
            return outcome;
        }
    }
    panic!("the Trust dialog was never answered");
}

#[track_caller]
fn json(text: &str) -> Value {
    let start = text.find(['{', '[', '"']).unwrap_or_else(|| panic!("no JSON: {text}"));
    serde_json::from_str(&text[start..]).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn libimobiledevice_lists_and_reads_without_pairing() {
    let simulator = start(&["--devices", "2"]);
    let listed = simulator.libimobiledevice("idevice_id", &["-l"]).good();
    assert_eq!(listed.lines().collect::<Vec<_>>(), simulator.udids);
    let udid = &simulator.udids[0];
    let info = simulator.libimobiledevice("ideviceinfo", &["-s", "-u", udid]).good();
    assert!(info.contains(&format!("UniqueDeviceID: {udid}")), "{info}");
    assert!(info.contains("DeviceName: Simulated i"), "{info}");
    assert!(!info.contains("SerialNumber"), "that needs a session: {info}");
    let buid = simulator.libimobiledevice("idevicepair", &["-u", udid, "systembuid"]).good();
    assert_eq!(buid.trim().len(), 36);
    assert_eq!(simulator.state(udid)["counters"]["pair_requests"], 0);
}

#[test]
fn libimobiledevice_pairs_uses_and_unpairs() {
    let simulator = start(&["--devices", "2"]);
    let udid = &simulator.udids[1];
    let tool = |tool: &str, more: &[&str]| {
        simulator.libimobiledevice(tool, &[&["-u", udid.as_str()], more].concat())
    };
    let first = tool("idevicepair", &["pair"]);
    assert!(first.said().contains("accept the trust dialog"), "{first:?}");
    assert!(idevicepair(&simulator, udid).good().contains("SUCCESS: Paired"));
    assert!(tool("idevicepair", &["validate"]).good().contains("SUCCESS: Validated"));
    let host = tool("idevicepair", &["hostid"]).good();
    assert_eq!(simulator.state(udid)["trusted_hosts"][0], host.trim());
    assert_eq!(tool("idevicepair", &["list"]).code, Some(0));
    let info = tool("ideviceinfo", &[]).good();
    assert!(info.contains("SerialNumber: ") && info.contains("ActivationState: Activated"), "{info}");
    let setup = tool("ideviceinfo", &["-q", "com.apple.purplebuddy"]).good();
    assert!(setup.contains("SetupDone: true"), "{setup}");
    assert!(tool("idevicename", &[]).good().starts_with("Simulated i"));
    tool("idevicename", &["Front desk"]).good();
    assert_eq!(tool("idevicename", &[]).good().trim(), "Front desk");
    assert!(tool("idevicepair", &["unpair"]).good().contains("SUCCESS: Unpaired"));
    assert_eq!(simulator.state(udid)["trusted_hosts"].as_array().unwrap().len(), 0);
    assert_eq!(simulator.state(udid)["counters"]["private_keys_offered"], 0);
}

#[test]
fn libimobiledevice_follows_log_and_notifications() {
    let simulator = start(&["--devices", "1", "--persona", "in-setup"]);
    let udid = &simulator.udids[0];
    idevicepair(&simulator, udid).good();
    let observe = ["-u", udid, "observe", "com.apple.ManagedConfiguration.profileListChanged"];
    for (tool, arguments, expected) in [
        ("idevicesyslog", &["-u", udid.as_str()][..], "lockdownd"),
        ("idevicenotificationproxy", &observe[..], "profileListChanged"),
    ] {
        let mut child = simulator.follow(tool, arguments);
        let profile = wifi_profile(simulator.folder());
        // The tool may need a moment to observe: go on posting until it has said something.
        let done = AtomicBool::new(false);
        let said = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let file = format!("file={}", profile.display());
                    assert_eq!(simulator.control(&["install", udid, &file])["ok"], true);
                }
            });
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let said = lines.find(|line| line.as_ref().is_ok_and(|l| l.contains(expected)));
            done.store(true, Ordering::Relaxed);
            said
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(said.is_some(), "{tool} never said {expected}");
    }
}

#[test]
fn pymobiledevice3_lists_pairs_and_reads() {
    let simulator = start(&["--devices", "2"]);
    let listed = json(&simulator.pymobiledevice3(&["usbmux", "list"]).good());
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|d| d["Identifier"].clone()).collect();
    assert_eq!(listed, simulator.udids);
    let udid = &simulator.udids[0];
    simulator.pymobiledevice3(&["lockdown", "pair", "--udid", udid]).good();
    let info = json(&simulator.pymobiledevice3(&["lockdown", "info", "--udid", udid]).good());
    assert_eq!(info["UniqueDeviceID"], udid.as_str());
    assert_eq!(info["SerialNumber"], simulator.state(udid)["serial"]);
    simulator.pymobiledevice3(&["lockdown", "unpair", "--udid", udid]).good();
    assert_eq!(simulator.state(udid)["trusted_hosts"].as_array().unwrap().len(), 0);
}

#[test]
fn pymobiledevice3_installs_lists_and_removes_profiles() {
    for persona in ["ready", "in-setup"] {
        let simulator = start(&["--devices", "1", "--persona", persona]);
        let udid = &simulator.udids[0];
        let profile = wifi_profile(simulator.folder()).display().to_string();
        let mobile = |verb: &str, more: &[&str]| {
            simulator.pymobiledevice3(&[&["profile", verb, "--udid", udid.as_str()], more].concat())
        };
        assert_eq!(json(&mobile("list", &[]).good())["ProfileMetadata"], serde_json::json!({}));
        mobile("install", &[&profile]).good();
        let list = json(&mobile("list", &[]).good());
        let entry = &list["ProfileMetadata"]["example.bench.wifi"];
        assert_eq!(entry["PayloadUUID"], "1111AAAA-0000-4000-8000-000000000000", "{persona}");
        assert_eq!(simulator.state(udid)["counters"]["pushes_received"], 1);
        let cloud = mobile("cloud-configuration", &[]).good();
        assert_eq!(cloud.contains("IsSupervised"), persona == "ready", "{cloud}");
        mobile("remove", &["example.bench.wifi"]).good();
        assert_eq!(json(&mobile("list", &[]).good())["OrderedIdentifiers"], serde_json::json!([]));
    }
}

/// What the station makes is read by a parser and pushed by a client that are not ours.
#[test]
fn pymobiledevice3_installs_the_profiles_that_are_made() {
    let simulator = start(&["--devices", "1", "--persona", "in-setup"]);
    let udid = &simulator.udids[0];
    let (config, out) = (simulator.folder().join("enlist.toml"), simulator.folder().join("made"));
    std::fs::write(&config, "[wifi]\nssid = 'B\u{fc}ro & <Bench>'\nsecurity = 'none'\nhidden = true\n")
        .unwrap();
    let root = simulator.folder().join("root.pem");
    std::fs::write(&root, crate::support::profile::SIGNER.root_pem().unwrap()).unwrap();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_enlist"))
        .args(["profile", "helpers", "--config"])
        .arg(&config)
        .arg("--helper")
        .arg(&root)
        .arg("-o")
        .arg(&out)
        .output();
    assert!(made.unwrap().status.success());
    let script = "import plistlib, sys, json\n\
        roots, wifi = (plistlib.load(open(f, 'rb')) for f in sys.argv[1:])\n\
        assert roots['PayloadContent'][0]['PayloadContent'][:1] == b'\\x30'\n\
        print(json.dumps(wifi['PayloadContent'][0]))";
    let files =
        ["1-roots.mobileconfig", "2-wifi.mobileconfig"].map(|name| out.join(name).display().to_string());
    let read = std::process::Command::new("python3").args(["-c", script]).args(&files).output().unwrap();
    let payload = json(&String::from_utf8(read.stdout).unwrap());
    assert_eq!(
        (&payload["SSID_STR"], &payload["HIDDEN_NETWORK"]),
        (&"B\u{fc}ro & <Bench>".into(), &true.into())
    );
    assert_eq!((&payload["EncryptionType"], payload.get("Password")), (&"None".into(), None));
    for file in &files {
        simulator.pymobiledevice3(&["profile", "install", "--udid", udid, file]).good();
    }
    let list = json(&simulator.pymobiledevice3(&["profile", "list", "--udid", udid]).good());
    let listed: Vec<_> =
        list["OrderedIdentifiers"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(listed.len(), 2, "{list}");
    assert_eq!(listed[0], "enlist.helper.roots");
    assert_eq!(list["ProfileMetadata"][listed[1]]["PayloadDisplayName"], "Wi-Fi B\u{fc}ro & <Bench>");
}

#[test]
fn pymobiledevice3_looks_for_an_app() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.toml");
    let device = "[[device]]\ntrust_after = '10ms'\napps = ['com.microsoft.CompanyPortal']\n";
    std::fs::write(&scenario, device).unwrap();
    let simulator = Simulator::start(&["--scenario", scenario.to_str().unwrap()]);
    let udid = &simulator.udids[0];
    simulator.pymobiledevice3(&["lockdown", "pair", "--udid", udid]).good();
    let query = ["apps", "query", "--udid", udid.as_str(), "com.microsoft.CompanyPortal", "example.none"];
    let found = json(&simulator.pymobiledevice3(&query).good());
    assert_eq!(found.as_object().unwrap().keys().collect::<Vec<_>>(), ["com.microsoft.CompanyPortal"]);
}

#[test]
fn pymobiledevice3_pairs_supervised() {
    let simulator = start(&["--devices", "1", "--persona", "supervised-challenge"]);
    let udid = &simulator.udids[0];
    let plain = simulator.pymobiledevice3(&["lockdown", "pair", "--udid", udid]);
    assert!(simulator.state(udid)["counters"]["pairings"] == 0, "{plain:?}");
    simulator.pymobiledevice3(&["lockdown", "pair-supervised", "--udid", udid, SUPERVISOR]).good();
    let name = simulator.pymobiledevice3(&["lockdown", "device-name", "--udid", udid]).good();
    assert!(name.contains("Simulated i"), "{name}");
    // Escalation: the silent install needs no person (4.6).
    let profile = wifi_profile(simulator.folder()).display().to_string();
    let install = ["profile", "install", "--udid", udid, "--keybag", SUPERVISOR, &profile];
    simulator.pymobiledevice3(&install).good();
    assert_eq!(simulator.state(udid)["installed"][0]["identifier"], "example.bench.wifi");
}

#[test]
fn pymobiledevice3_supervises_a_fresh_device_and_erases_a_used_one() {
    let simulator = start(&["--persona", "in-setup", "--persona", "ready"]);
    let [fresh, used] = &simulator.udids[..] else { panic!("two devices") };
    let supervise = ["profile", "supervise", "--udid", fresh, "--keybag", SUPERVISOR, "Bench"];
    simulator.pymobiledevice3(&supervise).good();
    let cloud = ["profile", "cloud-configuration", "--udid", fresh];
    let cloud = json(&simulator.pymobiledevice3(&cloud).good());
    assert_eq!((&cloud["IsSupervised"], &cloud["ConfigurationSource"]), (&true.into(), &2.into()));
    let wifi = simulator.pymobiledevice3(&["profile", "set-wifi-power", "--udid", used, "on"]);
    assert!(wifi.said().contains("14005"), "{wifi:?}");
    simulator.pymobiledevice3(&["profile", "erase-device", "--udid", used]).good();
    let after = simulator.state(used);
    assert_eq!((&after["setup_done"], &after["attached"]), (&false.into(), &Value::Null));
}

#[test]
fn each_refusal_is_understood_by_libimobiledevice() {
    let refusals = [
        ("pairing-forbidden", "error code -38"),
        ("find-my-locked", "error code -37"),
        ("locked-forever", "passcode is set"),
        ("before-first-unlock", "passcode is set"),
        ("trust-denied", "denied the trust dialog"),
        ("restore-mode", "com.apple.mobile.restored"),
    ];
    let personas: Vec<_> = refusals.iter().flat_map(|(persona, _)| ["--persona", *persona]).collect();
    let simulator = start(&[&["--devices", "6"][..], &personas].concat());
    for ((persona, expected), udid) in refusals.iter().zip(&simulator.udids) {
        let outcome = idevicepair(&simulator, udid);
        assert!(outcome.said().contains(expected), "{persona}: {outcome:?}");
    }
}

#[test]
fn old_systems_speak_to_libimobiledevice_too() {
    let simulator = start(&["--devices", "2", "--persona", "old-tls", "--persona", "old-os"]);
    for (udid, version) in simulator.udids.iter().zip(["9.3.5", "15.8"]) {
        idevicepair(&simulator, udid).good();
        let said = simulator.libimobiledevice("ideviceinfo", &["-u", udid, "-k", "ProductVersion"]).good();
        assert_eq!(said.trim(), version);
    }
}

#[test]
fn an_unactivated_device_refuses_the_profile_service() {
    let simulator = start(&["--devices", "1", "--persona", "unactivated"]);
    let outcome = simulator.pymobiledevice3(&["profile", "list", "--udid", &simulator.udids[0]]);
    assert!(outcome.said().contains("ServiceProhibited"), "{outcome:?}");
}

#[test]
fn a_cable_comes_and_goes_over_tcp() {
    let simulator = Simulator::start_on_tcp(&["--devices", "2"]);
    let udid = &simulator.udids[0];
    let count = || simulator.libimobiledevice("idevice_id", &["-l"]).good().lines().count();
    assert_eq!(count(), 2);
    assert_eq!(simulator.control(&["detach", udid])["ok"], true);
    assert_eq!(count(), 1);
    assert_eq!(simulator.control(&["attach", udid])["ok"], true);
    let listed = json(&simulator.pymobiledevice3(&["usbmux", "list"]).good());
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[test]
fn a_terminated_simulator_leaves_no_sockets() {
    let simulator = start(&["--devices", "1"]);
    let (code, folder) = simulator.terminate();
    assert_eq!(code, Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
