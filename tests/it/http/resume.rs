//! After a hub's reset, the death of the mux, a suspended computer: what the screens show is
//! what the devices say.

use super::Site;
use crate::support::binary::{Bench, poll};
use crate::support::fleet::{Simulator, has_profile};
use crate::support::profile::{IDENTIFIER, UUID, f01};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// Persons who take their time. Nothing is being pushed when it happens: what comes of lost
/// answers is asked elsewhere, and takes 45 seconds (4.5).
const DEVICES: usize = 16;
const SCENARIO: &str = "seed = 11
[[device]]
persona = \"ready\"
trust_after = \"300ms\"
accept_after = \"6s\"
count = 16
";

/// What happens to all devices at once.
fn goes_on_after(happens: impl Fn(&Simulator, &Site)) {
    let bench = Bench::new();
    bench.trust_signer();
    let profile = bench.write("enroll.mobileconfig", f01());
    let simulator = Simulator::of(&bench, SCENARIO);
    let site = Site::start(&bench, &[&profile]);
    poll("all to wait for their persons", || {
        let bays = site.get("/api/v1/bays").json().as_array().unwrap().clone();
        let waits = |bay: &Value| bay["outcome"] == "waiting-for-person";
        (bays.len() == DEVICES && bays.iter().all(waits)).then_some(())
    });
    happens(&simulator, &site);
    let bays = poll("the end", || {
        let bays = site.get("/api/v1/bays").json().as_array().unwrap().clone();
        let over = |bay: &Value| bay["ended"] == true && bay["attached"] == true;
        (bays.len() == DEVICES && bays.iter().all(over)).then_some(bays)
    });
    for device in simulator.devices() {
        let bay = bays.iter().find(|bay| bay["udid"] == device["udid"]).unwrap();
        let said = ["enrolled", "already-enrolled"].contains(&bay["outcome"].as_str().unwrap());
        assert_eq!(said, has_profile(&device, IDENTIFIER, UUID), "{bay}\n{device}");
        assert!(said, "each went on to its end: {bay}");
        assert_eq!(device["attached"].is_u64(), bay["attached"] == true, "{bay}\n{device}");
    }
}

#[test]
fn a_hub_that_is_reset() {
    goes_on_after(|simulator, _| {
        simulator.control(&json!({ "do": "detach" }));
        std::thread::sleep(Duration::from_millis(300));
        simulator.control(&json!({ "do": "attach" }));
    });
}

#[test]
fn a_mux_that_is_restarted() {
    goes_on_after(|simulator, _| {
        simulator.control(&json!({ "do": "restart-mux" }));
    });
}

/// The station stands still, and its ports have no power meanwhile.
#[test]
fn a_computer_that_was_suspended() {
    goes_on_after(|simulator, site| {
        let signal = |name: &str| {
            let pid = site.running.pid().to_string();
            assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
        };
        signal("-STOP");
        simulator.control(&json!({ "do": "detach" }));
        std::thread::sleep(Duration::from_secs(3));
        simulator.control(&json!({ "do": "attach" }));
        signal("-CONT");
    });
}
