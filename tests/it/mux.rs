//! The way to the devices: addresses of a mux, what it lists, and how it changes under a
//! running station.

use crate::outcomes::{IN_SETUP, READY, World, stands};
use crate::support::binary::{Bench, text_of};
use crate::support::fleet::{Simulator, count};
use crate::support::mux_proxy;
use crate::support::profile::f01;
use crate::support::station::Serving;
use enlist::ids::MuxId;
use enlist::wire::usbmuxd::{AttachedDevice, ConnectionType};
use serde_json::{Value, json};
use std::net::TcpListener;

fn lists_both(bench: &Bench, address: &str, sim: &Simulator) {
    let listed = bench.run_with("USBMUXD_SOCKET_ADDRESS", address, &["devices", "--json"]).exits(0).json();
    let mut udids: Vec<_> = listed.iter().map(|device| device["udid"].as_str().unwrap()).collect();
    udids.sort_unstable();
    let mut expected: Vec<_> = sim.udids.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(udids, expected, "{address}");
}

const TWO: [&str; 2] = ["--persona", "in-setup:2"];

#[test]
fn both_forms_of_a_unix_address() {
    let bench = Bench::new();
    let sim = Simulator::start(&bench, &TWO);
    let path = text_of(&bench.socket());
    lists_both(&bench, &path, &sim);
    lists_both(&bench, &format!("UNIX:{path}"), &sim);
    // The address in the configuration, where the environment says nothing.
    bench.write("enlist.toml", format!("[mux]\nsocket = '{path}'\n"));
    lists_both(&bench, "", &sim);
}

/// A port that was free a moment ago.
fn free_port(host: &str) -> u16 {
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn a_tcp_address_of_version_4() {
    let bench = Bench::new();
    let port = free_port("127.0.0.1");
    let sim = Simulator::at(&bench, &format!("127.0.0.1:{port}"), &TWO);
    lists_both(&bench, &format!("127.0.0.1:{port}"), &sim);
    lists_both(&bench, &format!("localhost:{port}"), &sim);
}

#[test]
fn a_tcp_address_of_version_6() {
    if TcpListener::bind(("::1", 0)).is_err() {
        println!("skipped: this computer has no IPv6 loopback");
        return;
    }
    let bench = Bench::new();
    let address = format!("[::1]:{}", free_port("::1"));
    let sim = Simulator::at(&bench, &address, &TWO);
    lists_both(&bench, &address, &sim);
}

/// A whole enrollment over TCP, with a stranger's port beside it.
#[test]
fn an_enrollment_over_tcp() {
    let bench = Bench::new();
    let address = format!("127.0.0.1:{}", free_port("127.0.0.1"));
    let sim = Simulator::at(&bench, &address, &["--persona", "in-setup:1"]);
    let profile = bench.write("enroll.mobileconfig", f01());
    let done = bench.run_with("USBMUXD_SOCKET_ADDRESS", &address, &["enroll", &profile, "--json"]);
    stands(&done.exits(0).only(), "enrolled", "none", 1);
    assert_eq!(count(&sim.first(), "installs"), 1);
}

fn device(id: u32, serial: &str, connection: ConnectionType) -> AttachedDevice {
    AttachedDevice {
        id: MuxId(id),
        serial: serial.to_owned(),
        connection,
        location: (connection == ConnectionType::Usb).then_some(0x0009_0063),
        product_id: None,
        speed: None,
        simulated: true,
    }
}

/// The same phone by cable and over the network is one device, and the cable is used.
#[test]
fn a_phone_on_cable_and_network_is_one() {
    let World { bench, sim, profile } = World::of(IN_SETUP);
    let front = bench.path("front");
    let twin = device(900, &sim.udids[0], ConnectionType::Network);
    let stranger = device(901, "00008110-00AAAAAAAAAAAAAA", ConnectionType::Network);
    mux_proxy::start(&front, &bench.socket(), vec![twin, stranger]);
    let run = |args: &[&str]| bench.run_with("USBMUXD_SOCKET_ADDRESS", &front, args).exits(0);
    let listed = run(&["devices", "--json"]).only();
    assert_eq!(listed["udid"], sim.udids[0].as_str());
    let results = run(&["serve", "--once", "--json", &profile]).json();
    assert!(results.iter().all(|change| change["udid"] == sim.udids[0].as_str()), "{results:?}");
    stands(results.last().unwrap(), "enrolled", "none", 1);
    assert_eq!(count(&sim.first(), "pushes_received"), 1);
}

/// A device the mux still lists and that is gone: told as such, the others are served.
#[test]
fn a_stale_id_hurts_only_itself() {
    let World { bench, sim, profile } = World::of(IN_SETUP);
    let front = bench.path("front");
    let ghost = "00008110-00AAAAAAAAAAAAAA";
    mux_proxy::start(&front, &bench.socket(), vec![device(901, ghost, ConnectionType::Usb)]);
    let run = |args: &[&str]| bench.run_with("USBMUXD_SOCKET_ADDRESS", &front, args).exits(1);
    let of = |records: &[Value], udid: &str| records.iter().find(|r| r["udid"] == udid).unwrap().clone();

    let listed = run(&["devices", "--json"]).json();
    assert_eq!((listed.len(), &of(&listed, &sim.udids[0])["outcome"]), (2, &json!("attached")));
    stands(&of(&listed, ghost), "failed", "transport", 0);

    bench.write("enlist.toml", format!("[mux]\nsocket = '{}'\n", front.display()));
    let mut command = bench.command(&["serve", "--json", &profile]);
    command.env_remove("USBMUXD_SOCKET_ADDRESS");
    let mut serving = Serving::of(command);
    let ended = serving.until_ended();
    assert_eq!(ended["udid"], sim.udids[0].as_str(), "the ghost is still being tried: {ended}");
    stands(&ended, "enrolled", "none", 1);
}

#[test]
fn devices_come_and_go_under_a_station() {
    let World { bench, sim, profile } = World::of(IN_SETUP);
    sim.does("detach");
    let mut serving = Serving::start(&bench, &[&profile]);
    sim.does("attach");
    stands(&serving.until_ended(), "enrolled", "none", 1);
    sim.does("detach");
    let away = serving.until("the cable out", |change| change["attached"] == false);
    stands(&away, "enrolled", "none", 1);
    // Plugged in again it is looked at again, and needs nothing.
    sim.does("attach");
    stands(
        &serving.until("another end", |c| c["ended"] == true && c["pushes"] == 0),
        "already-enrolled",
        "none",
        0,
    );
    serving.end().exits(0);
    let device = sim.first();
    assert_eq!((count(&device, "pushes_received"), count(&device, "attachments")), (1, 3));
    assert_eq!(bench.run(&["history", "--json"]).exits(0).json().len(), 2);
}

/// Each reattachment voids the id before: a job goes on under the newest.
#[test]
fn a_cable_that_chatters_leaves_no_stale_id_behind() {
    let World { bench, sim, profile } = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let mut serving = Serving::start(&bench, &[&profile, "--once"]);
    serving.until_outcome("waiting-for-person");
    for _ in 0..10 {
        sim.does("reattach");
    }
    serving.until("the job again", |change| change["attempts"].as_u64() > Some(1));
    sim.until_left_alone();
    sim.does("accept");
    stands(&serving.until_ended(), "enrolled", "none", 1);
    serving.finish().exits(0);
    let device = sim.first();
    assert_eq!((count(&device, "attachments"), count(&device, "pushes_received")), (11, 1));
}

/// The daemon restarts: all ids are void, no cable moved.
#[test]
fn a_restarted_mux_numbers_anew_and_nothing_is_pushed_twice() {
    let bench = Bench::new();
    let ignored = "[[device]]\npersona = 'person-ignores'\npairing = 'silent'\ncount = 4\n";
    let sim = Simulator::of(&bench, &format!("{ignored}[[device]]\n{READY}\ncount = 4\n"));
    let profile = bench.write("enroll.mobileconfig", f01());
    let mut serving = Serving::start(&bench, &[&profile, "--once"]);
    for n in 0..4 {
        let of_it = |c: &Value| c["udid"] == sim.udids[n].as_str() && c["outcome"] == "waiting-for-person";
        if !serving.seen.iter().any(of_it) {
            serving.until("all that nobody accepts", of_it);
        }
    }
    sim.control(&json!({ "do": "restart-mux" }));
    serving.until("the mux again", |c| c["attempts"].as_u64() > Some(1));
    for udid in &sim.udids[..4] {
        sim.control(&json!({ "do": "accept", "udid": udid }));
    }
    serving.finish().exits(0);
    for device in sim.devices() {
        assert_eq!((count(&device, "pushes_received"), count(&device, "installs")), (1, 1), "{device}");
    }
}
