//! `enlist export` as a shell sees it: lists of attached and journalled devices, splitting,
//! and the check of a list.

use crate::outcomes::{READY, World};
use crate::support::binary::{Bench, text_of};
use crate::support::fleet::Simulator;
use serde_json::{Value, json};
use std::fs::read_to_string;

/// The serial number the simulated device has.
fn serial(world: &World) -> String {
    let info = world.run(&["info", "--json"]).exits(0).only();
    info["serial"].as_str().unwrap().to_owned()
}

#[test]
fn a_station_s_devices_become_a_file_for_intune() {
    let world = World::of(READY);
    assert!(world.run(&["export", "intune-serials"]).fails_clearly(4).contains("no device to list"));
    world.enroll(&[]).exits(0);
    let serial = serial(&world);

    let none = world.run(&["export", "intune-serials"]).exits(4);
    assert!(none.stderr.contains("1 simulated left out") && none.stdout.is_empty(), "{none}");
    let listed =
        world.run(&["export", "intune-serials", "--include-simulated", "--details", "bench 3, slot 2"]);
    assert_eq!(listed.exits(0).stdout, [format!("{serial},bench 3; slot 2")]);

    let file = text_of(&world.bench.path("serials.csv"));
    let save = ["export", "intune-serials", "--include-simulated", "-o", &file];
    assert_eq!(world.run(&save).exits(0).stdout, [format!("{file}: 1 devices")]);
    assert_eq!(read_to_string(&file).unwrap(), format!("{serial},\n"));
    world.run(&["export", "check", "--for", "intune-serials", &file]).exits(0);
    assert!(world.run(&save).fails_clearly(2).contains("exists already"));

    let since = |date: &str| {
        world.run(&["export", "intune-serials", "--include-simulated", "--since", date, "--json"])
    };
    assert_eq!(since("2020-01-01").exits(0).only()["content"], format!("{serial},\n"));
    since("2200-01-01").exits(4);
}

#[test]
fn corporate_identifiers_have_one_type_a_file() {
    let bench = Bench::new();
    let one = "[[device]]\npersona = 'in-setup'\n";
    let sim = Simulator::of(&bench, &format!("{one}{one}[[device]]\npersona = 'trust-denied'\n"));
    let export = |args: &[&str]| {
        let all = ["export", "corporate-identifiers", "--attached", "--include-simulated"];
        bench.run(&[&all[..], args].concat())
    };
    bench.run(&["pair", "-u", &sim.udids[0]]).exits(0);
    bench.run(&["pair", "-u", &sim.udids[1]]).exits(0);
    let info: Vec<Value> = sim.udids[..2]
        .iter()
        .map(|udid| bench.run(&["info", "-u", udid, "--json"]).exits(0).only())
        .collect();
    let column = |key: &str| info.iter().map(|i| i[key].as_str().unwrap().to_owned()).collect::<Vec<_>>();

    let serials = export(&["--details", "x"]);
    let lines = serials.stdout.iter().map(|l| l.strip_suffix(",x").unwrap()).collect::<Vec<_>>();
    assert!(column("serial").iter().all(|s| lines.contains(&s.as_str())), "{serials}");
    let imeis = export(&["--type", "imei"]);
    let lines = imeis.stdout.iter().map(|l| l.strip_suffix(',').unwrap()).collect::<Vec<_>>();
    assert!(column("imei").iter().all(|s| lines.contains(&s.as_str())), "{imeis}");
    let short = export(&["--type", "imei", "--imei-digits", "14"]);
    assert!(short.stdout.iter().all(|l| l.len() == 15), "{short}");

    let long = "x".repeat(129);
    assert!(export(&["--details", &long]).fails_clearly(2).contains("129 characters"));
    export(&["--details", &long[..128]]);
    export(&["--since", "2026-01-01"]).exits(2);
}

/// A device that trusts nobody tells no serial number: it is named, and the exit code says so.
#[test]
fn a_device_that_tells_nothing_is_named() {
    let bench = Bench::new();
    let sim = Simulator::of(&bench, "[[device]]\npersona = 'restricted-listing'\n");
    let args = ["export", "intune-serials", "--attached", "--include-simulated"];
    let done = bench.run(&args).exits(4);
    assert!(done.stderr.contains(&sim.udids[0]) && done.stderr.contains("not paired"), "{done}");
    let told = bench.run(&[&args[..], &["--json"]].concat()).exits(4).only();
    assert_eq!(told["left_out"], json!(sim.udids[0]));
}

#[test]
fn a_list_is_checked_line_by_line() {
    let bench = Bench::new();
    let good: String = (0..5000).map(|n| format!("SERIAL{n:06},x\n")).collect();
    let file = bench.write("good.csv", &good);
    assert_eq!(bench.run(&["export", "check", &file]).exits(0).stdout, ["✔ errors: 0, warnings: 0"]);
    let file = bench.write("long.csv", format!("{good}SERIAL005000,x\n"));
    let found = bench.run(&["export", "check", &file, "--json"]).exits(1).only();
    assert_eq!((&found["line"], &found["severity"]), (&json!(5001), &json!("error")), "{found}");

    let bad = format!("Serial,Details\nSER.IAL.001,{}\n350000000000006,a\nSERIAL000001,b\n", "x".repeat(129));
    let file = bench.write("bad.csv", bad);
    let done = bench.run(&["export", "check", &file]).exits(1);
    done.is_for_people();
    for (line, word) in [(1, "header"), (2, "129 characters"), (2, "periods"), (3, "mixes")] {
        let at = format!("bad.csv:{line}: ");
        assert!(done.stdout.iter().any(|l| l.contains(&at) && l.contains(word)), "{line} {word}: {done}");
    }
    let file = bench.write("mark.csv", "\u{feff}SERIAL000001,b\n");
    assert!(bench.run(&["export", "check", &file]).exits(1).stdout[0].contains("byte order mark"));
    bench.run(&["export", "check", "/no/such/file"]).fails_clearly(2);
    bench.run(&["export", "check", "/"]).fails_clearly(2);
}
