//! Endings that share the outcome `failed`, and ways to `enrolled` that are not straight:
//! refusals by code, a slipping cable, a garbled answer.

use crate::outcomes::{IN_SETUP, READY, World, stands};
use crate::support::fleet::count;

#[test]
fn failed() {
    // What the device's own words are, whose turn it is, and the exit code.
    for (device, class, code, exit, said) in [
        ("persona = 'lockdown-mode'\npairing = 'silent'", "operator", 4021, 1, "Lockdown Mode"),
        ("persona = 'ui-install-forbidden'\npairing = 'silent'", "device", 4020, 1, "4020"),
        ("persona = 'enrollment-forbidden'", "device", 12088, 1, "12088"),
    ] {
        let world = World::of(device);
        let result = world.enroll(&[]).exits(exit).only();
        stands(&result, "failed", class, 1);
        assert!(result["sentence"].as_str().unwrap().contains(said), "{result}");
        assert!(result["chain"].to_string().contains(&code.to_string()), "{result}");
        world.device_got(1, false);
    }
}

#[test]
fn a_silent_install_in_setup_assistant_needs_nobody() {
    let world = World::of(IN_SETUP);
    let mut serving = world.serve(&[]);
    stands(&serving.until_ended(), "enrolled", "none", 1);
    assert_eq!(serving.outcomes(), ["attached", "pushing", "verifying", "enrolled"]);
    serving.end().exits(0);
    let device = world.device_got(1, true);
    assert_eq!(count(&device, "installs"), 1);
    assert!(device["pending"].is_null() && device["dialog"] == "closed", "{device}");
}

#[test]
fn the_error_pair_4036_over_1013_means_queued() {
    let world = World::of(&format!("persona = 'queued-as-error'\n{READY}"));
    let mut serving = world.serve(&[]);
    stands(&serving.until_outcome("waiting-for-person"), "waiting-for-person", "operator", 1);
    stands(&serving.until_ended(), "enrolled", "none", 1);
    serving.end().exits(0);
    world.device_got(1, true);
}

#[test]
fn a_device_without_escrow_bag_and_one_that_shows_little_enroll() {
    for persona in ["no-escrow-bag", "restricted-listing"] {
        let world = World::of(&format!("persona = '{persona}'\n{READY}"));
        stands(&world.enroll(&[]).exits(0).only(), "enrolled", "none", 1);
        world.device_got(1, true);
    }
}

#[test]
fn a_device_that_speaks_only_old_tls_enrolls() {
    let world = World::of(&format!("persona = 'old-tls'\n{READY}"));
    stands(&world.enroll(&[]).exits(0).only(), "enrolled", "none", 1);
    world.device_got(1, true);
}

#[test]
fn a_cable_that_slips_loses_nothing() {
    let world = World::of(&format!("persona = 'flaky-cable'\n{READY}"));
    let mut serving = world.serve(&["--once"]);
    serving.until_outcome("detached-midway");
    stands(&serving.until_ended(), "enrolled", "none", 1);
    serving.finish().exits(0);
    let device = world.device_got(1, true);
    assert_eq!((count(&device, "attachments"), count(&device, "installs")), (2, 1));
    // One job, one end.
    let jobs = world.run(&["history", "--json"]).exits(0);
    stands(&jobs.only(), "enrolled", "none", 1);
}

#[test]
fn a_cable_pulled_while_a_person_acts_is_no_second_push() {
    let world = World::of("persona = 'person-ignores'\npairing = 'silent'");
    let mut serving = world.serve(&[]);
    serving.until_outcome("waiting-for-person");
    world.sim.does("detach");
    serving.until_outcome("detached-midway");
    world.sim.does("attach");
    serving.until_outcome("attached");
    world.sim.until_left_alone();
    world.device_got(1, false);
    world.sim.does("detach");
    serving.until_outcome("detached-midway");
    // Accepted while it was away.
    world.sim.does("accept");
    world.sim.does("attach");
    stands(&serving.until_ended(), "enrolled", "none", 1);
    serving.end().exits(0);
    world.device_got(1, true);
}

#[test]
fn one_garbled_answer_is_tried_again() {
    let world = World::of(&format!("persona = 'garbage-frames'\n{READY}"));
    let mut serving = world.serve(&[]);
    serving.until_outcome("retrying");
    stands(&serving.until_ended(), "enrolled", "none", 1);
    serving.end().exits(0);
    world.device_got(1, true);
}
