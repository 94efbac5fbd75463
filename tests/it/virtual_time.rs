//! What takes minutes at a bench, in milliseconds here: the whole station against simulated
//! devices under one paused clock. Nothing sleeps; times are exact.

use crate::support::world::World;
use enlist::sim::span::Span;
use enlist::sim::{After, Command, Fault, FaultKind, Latency, Persona, Settings};
use enlist::wire::profile::made::{WifiNetwork, WifiSecurity};
use enlist::wire::profile::{Profile, Purpose, TrustAnchors};
use enlist::workflow::outcome::Class;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn accepting_after(after: After) -> Settings {
    Settings { accept_after: after, person_jitter: Span(Duration::ZERO), ..Persona::Ready.settings() }
}

#[tokio::test(start_paused = true)]
async fn a_profile_nobody_accepts_is_given_up_when_the_device_dropped_it() {
    let world = World::of(vec![accepting_after(After::Never)]);
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "person-did-not-accept");
    assert!(ran.took >= 480 * SECOND && ran.took < 500 * SECOND, "{:?}", ran.took);
    let counters = world.counters();
    assert_eq!((counters.pushes_received, counters.purged), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_profile_accepted_in_the_last_second_counts() {
    let world = World::of(vec![accepting_after(After::In(Duration::from_millis(479_900)))]);
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "enrolled");
    assert_eq!(world.counters().pushes_received, 1);
}

/// The wall clock is set, as by a time server that is reached late: a wait is as long as it was.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_neither_ends_nor_prolongs_a_wait() {
    for hours in [-1, 1] {
        for (after, outcome) in
            [(After::In(300 * SECOND), "enrolled"), (After::Never, "person-did-not-accept")]
        {
            let world = World::of(vec![accepting_after(after)]);
            let clock = world.clock.clone();
            let time_server = tokio::spawn(async move {
                sleep(20 * SECOND).await;
                clock.set_by(hours * 3_600_000);
            });
            let ran = world.run().await;
            time_server.await.unwrap();
            assert_eq!(ran.outcome(), outcome, "{hours} h");
            assert!(ran.took < 500 * SECOND, "{hours} h: {:?}", ran.took);
            assert_eq!(world.counters().pushes_received, 1, "{hours} h");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_station_restarted_in_a_silent_install_waits_for_it() {
    let install_takes = Span(70 * SECOND);
    let world = World::of(vec![Settings { install_takes, ..Persona::InSetup.settings() }]);
    world.run_until(sleep(40 * SECOND)).await;
    let ran = world.run().await;
    assert_eq!((ran.outcome(), ran.bay().pushes), ("enrolled", 1));
    assert_eq!(world.counters().installs, 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_profile_is_pushed_again_as_often_as_the_policy_says() {
    let mut world = World::of(vec![accepting_after(After::Never)]);
    world.policy.pushes = 3;
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "person-did-not-accept");
    assert_eq!(ran.bay().pushes, 3);
    let counters = world.counters();
    // Each push found the last one purged: never two waiting, never one replaced.
    assert_eq!((counters.pushes_received, counters.purged, counters.pushes_replacing), (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_down_is_tried_five_times_more() {
    let world = World::persona(Persona::ServerDown);
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "failed");
    assert_eq!(ran.bay().standing.class, Class::Server);
    assert!(ran.bay().standing.sentence.contains("12002"), "{}", ran.bay().standing.sentence);
    assert_eq!(ran.bay().pushes, 6);
    // Pauses of R13: 5 + 10 + 20 + 40 + 60 s.
    assert!(ran.took >= 135 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_network_that_recovers_needs_nobody() {
    let world = World::persona(Persona::NetworkRecovers);
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "enrolled");
    assert_eq!(ran.bay().pushes, 3);
    assert!(ran.took >= 15 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn nobody_taps_trust() {
    let ran = World::persona(Persona::TrustIgnored).run().await;
    assert_eq!(ran.outcome(), "waiting-for-trust");
    assert!(ran.took >= 180 * SECOND && ran.took < 190 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn nobody_unlocks() {
    let ran = World::persona(Persona::LockedForever).run().await;
    assert_eq!(ran.outcome(), "waiting-for-unlock");
    assert!(ran.took >= 180 * SECOND && ran.took < 190 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn an_unplugged_device_that_comes_back_goes_on_where_it_was() {
    let world = World::of(vec![accepting_after(After::In(60 * SECOND))]);
    let (fleet, udid) = (world.fleet.clone(), world.udid());
    let cable = tokio::spawn(async move {
        sleep(20 * SECOND).await;
        fleet.detach(&udid).unwrap();
        sleep(10 * SECOND).await;
        fleet.attach(&udid).unwrap();
    });
    let ran = world.run().await;
    cable.await.unwrap();
    assert_eq!(ran.outcome(), "enrolled");
    // The profile waited on the device all the while: it was not pushed again.
    assert_eq!(world.counters().pushes_received, 1);
    assert_eq!(ran.bay().attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn an_unplugged_device_that_stays_away_ends_its_job() {
    let world = World::of(vec![accepting_after(After::Never)]);
    let (fleet, udid) = (world.fleet.clone(), world.udid());
    let cable = tokio::spawn(async move {
        sleep(20 * SECOND).await;
        fleet.detach(&udid).unwrap();
    });
    let ran = world.run().await;
    cable.await.unwrap();
    assert_eq!(ran.outcome(), "detached-midway");
    assert!(ran.took >= 50 * SECOND && ran.took < 55 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_station_waits_for_the_person_and_does_not_push_again() {
    let world = World::of(vec![accepting_after(After::In(100 * SECOND))]);
    let first = world.run_until(sleep(30 * SECOND)).await;
    assert_eq!(first.outcome(), "waiting-for-person");
    sleep(10 * SECOND).await;
    let second = world.run().await;
    assert_eq!(second.outcome(), "enrolled");
    assert_eq!(second.bay().job, first.bay().job);
    assert_eq!(world.counters().pushes_received, 1);
}

#[tokio::test(start_paused = true)]
async fn a_station_that_comes_back_after_the_expiry_knows_it() {
    let world = World::of(vec![accepting_after(After::Never)]);
    let first = world.run_until(sleep(30 * SECOND)).await;
    assert_eq!(first.outcome(), "waiting-for-person");
    sleep(500 * SECOND).await;
    let second = world.run().await;
    assert_eq!(second.outcome(), "person-did-not-accept");
    assert_eq!(world.counters().pushes_received, 1);
}

#[tokio::test(start_paused = true)]
async fn a_station_that_slept_through_the_tap_finds_the_device_enrolled() {
    let world = World::of(vec![accepting_after(After::In(60 * SECOND))]);
    world.run_until(sleep(30 * SECOND)).await;
    sleep(100 * SECOND).await;
    let second = world.run().await;
    assert_eq!(second.outcome(), "enrolled");
    assert_eq!(world.counters().pushes_received, 1);
}

#[tokio::test(start_paused = true)]
async fn an_install_whose_answer_was_lost_is_looked_for_before_it_is_repeated() {
    let world = World::persona(Persona::EofInInstallInstalled);
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "enrolled");
    assert_eq!(world.counters().pushes_received, 1);

    let world = World::persona(Persona::EofInInstallNotInstalled);
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "enrolled");
    // The connection died before the device took the first push.
    assert_eq!((ran.bay().pushes, world.counters().installs), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn detach_cancels_within_a_quarter_second() {
    let world = World::of(vec![accepting_after(After::Never)]);
    let (fleet, udid) = (world.fleet.clone(), world.udid());
    let cable = tokio::spawn(async move {
        sleep(20 * SECOND).await;
        fleet.detach(&udid).unwrap();
        let begun = tokio::time::Instant::now();
        while fleet.inspect(&udid).unwrap().counters.open_connections > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        begun.elapsed()
    });
    world.run().await;
    let took = cable.await.unwrap();
    assert!(took < Duration::from_millis(250), "{took:?}");
}

/// Round trips of one enrollment, counted by virtual time: every answer, connection and
/// handshake of the device takes 5 ms.
///
/// The protocol's minimum for a new device in Setup Assistant is 15: connect, QueryType,
/// GetValue (key and open facts), Pair, StartSession, TLS, GetValue (session facts),
/// GetValue (Setup Assistant), StartService, connect, TLS, GetCloudConfiguration,
/// GetProfileList (is it there already?), InstallProfile, GetProfileList (the proof).
#[tokio::test(start_paused = true)]
async fn round_trips_stay_within_1_15_of_the_minimum() {
    const MINIMUM: u32 = 15;
    let trip = Duration::from_millis(5);
    let settings = Settings { install_takes: Span(Duration::ZERO), ..Persona::InSetup.settings() };
    let world = World::with_latency(vec![settings], Latency::fixed(trip));
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "enrolled");
    let trips = ran.took.as_secs_f64() / trip.as_secs_f64();
    assert!(trips <= f64::from(MINIMUM) * 1.15, "{trips} round trips, {MINIMUM} are the minimum");
    assert!(trips >= f64::from(MINIMUM) - 0.5, "{trips}: the simulator does not count every trip");
    let counters = world.counters();
    assert_eq!(counters.sessions, 1, "one lockdown session a job");
    assert_eq!(counters.private_keys_offered, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stale_record_is_repaired_once() {
    let world = World::persona(Persona::InSetup);
    assert_eq!(world.run().await.outcome(), "enrolled");
    // The device forgets us; the mux and our store keep the record.
    world.fleet.control(Command::ForgetPairing { udid: world.udid() }).unwrap();
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "already-enrolled");
    assert_eq!(world.counters().pairings, 2);
}

#[tokio::test(start_paused = true)]
async fn silence_at_any_message_ends_in_words_within_a_deadline() {
    for at in 1..=14 {
        let silent = Fault { times: 0, ..Fault::at(at, FaultKind::Silence) };
        let world = World::of(vec![Settings { faults: vec![silent], ..Persona::InSetup.settings() }]);
        let ran = timeout(3600 * SECOND, world.run()).await.expect("a deadline for every wait");
        let bay = ran.bay();
        assert!(bay.ended.is_some() && !bay.standing.sentence.is_empty(), "message {at}: {:?}", bay.standing);
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_is_tried_once_more_and_no_oftener() {
    let fault = Fault { times: 0, ..Fault::on("GetProfileList", FaultKind::Garbage) };
    let world = World::of(vec![Settings { faults: vec![fault], ..Persona::InSetup.settings() }]);
    let ran = world.run().await;
    assert_eq!((ran.outcome(), ran.bay().attempts), ("failed", 2));
    assert!(ran.took < 10 * SECOND, "{:?}", ran.took);
    assert_eq!(world.counters().pushes_received, 0);
}

/// The network of the bench, as a helper profile.
fn wifi() -> Arc<Profile> {
    let network = WifiNetwork {
        ssid: "Bench".into(),
        security: WifiSecurity::None,
        password: None,
        hidden: false,
        auto_join: true,
        random_address: true,
    };
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    let bytes = network.profile().unwrap();
    Arc::new(Profile::load(bytes.expose(), Purpose::Any, &TrustAnchors::none(), now).unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_profile_has_its_own_eight_minutes() {
    let mut world = World::of(vec![accepting_after(After::In(470 * SECOND))]);
    world.policy.helpers = vec![wifi()];
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "enrolled");
    assert!(ran.took >= 940 * SECOND && ran.took < 960 * SECOND, "{:?}", ran.took);
    let counters = world.counters();
    assert_eq!((counters.pushes_received, counters.pushes_replacing, counters.purged), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_helper_nobody_installs_is_pushed_again_as_often_as_the_policy_says() {
    let mut world = World::of(vec![accepting_after(After::Never)]);
    world.policy.helpers = vec![wifi()];
    world.policy.pushes = 2;
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "person-did-not-accept");
    assert!(ran.bay().standing.sentence.contains("Wi-Fi Bench"), "{}", ran.bay().standing.sentence);
    let counters = world.counters();
    assert_eq!((counters.pushes_received, counters.purged, counters.pushes_replacing), (2, 2, 0));
    assert_eq!(ran.bay().pushes, 0, "the enrollment profile was not pushed");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_station_waits_for_the_helper_and_then_goes_on() {
    let mut world = World::of(vec![accepting_after(After::In(100 * SECOND))]);
    world.policy.helpers = vec![wifi()];
    let first = world.run_until(sleep(30 * SECOND)).await;
    assert_eq!(first.outcome(), "waiting-for-person");
    sleep(100 * SECOND).await;
    let second = world.run().await;
    assert_eq!(second.outcome(), "enrolled");
    assert_eq!(second.bay().job, first.bay().job);
    assert_eq!(world.counters().pushes_received, 2);
}

#[tokio::test(start_paused = true)]
async fn a_helper_whose_answer_was_lost_is_looked_for_before_it_is_pushed_again() {
    let mut world = World::persona(Persona::EofInInstallInstalled);
    world.policy.helpers = vec![wifi()];
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "enrolled");
    assert_eq!(world.counters().pushes_after_accept, 0);
    let mut world = World::persona(Persona::EofInInstallNotInstalled);
    world.policy.helpers = vec![wifi()];
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "enrolled");
    assert!(ran.took >= 45 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_looks_into_the_devices_log() {
    let install_logs = vec!["Error Domain=NSURLErrorDomain Code=-1009 https://canary.example".to_owned()];
    let world = World::of(vec![Settings { install_logs, ..accepting_after(After::Never) }]);
    let ran = world.run().await;
    assert_eq!(ran.outcome(), "person-did-not-accept");
    let said = &ran.bay().standing.sentence;
    assert!(said.contains("failing connections") && !said.contains("canary"), "{said}");
    // A person who is quick is not worth it.
    let services = async |accepted: Duration| {
        let world = World::of(vec![accepting_after(After::In(accepted))]);
        world.run().await;
        world.counters().services
    };
    assert_eq!(services(30 * SECOND).await + 1, services(90 * SECOND).await);
}
