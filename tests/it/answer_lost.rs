//! The connection ends while a silent install runs, and its answer with it: the station looks
//! at the device before it pushes again. (First in line: one of these waits out the device's
//! 45 s, while the other tests run.)

use crate::outcomes::{World, stands};
use crate::support::binary::PATIENCE;
use crate::support::fleet::count;

#[test]
fn an_install_whose_answer_was_lost_is_found_and_not_pushed_again() {
    let world = World::of("persona = 'eof-in-install-installed'");
    let result = world.enroll(&[]).exits(0).only();
    stands(&result, "enrolled", "none", 1);
    assert_eq!(result["attempts"], 2, "{result}");
    let device = world.device_got(1, true);
    assert_eq!(count(&device, "faults"), 1);
}

/// The longest wait of all tests: the device may still be installing for 45 s.
#[test]
fn an_install_that_was_lost_with_its_answer_is_pushed_again_after_looking() {
    let world = World::of("persona = 'eof-in-install-not-installed'");
    let running = world.bench.start(&["enroll", &world.profile, "--json"]);
    let result = running.within(PATIENCE * 2).finish().exits(0).only();
    stands(&result, "enrolled", "none", 2);
    assert!(result["ms"].as_u64().unwrap() > 45_000, "it looked before it pushed again: {result}");
    let device = world.device_got(1, true);
    assert_eq!((count(&device, "faults"), count(&device, "installs")), (1, 1));
}
