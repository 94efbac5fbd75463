use super::*;
use crate::sim::Command;
use crate::wire::mcinstall::Status;
use openssl::cms::{CMSOptions, CmsContentInfo};

const MDM: &str = "Microsoft.Profiles.MDM";

/// A paired bench of this persona and a tunnel to it.
async fn tunnel(settings: Settings) -> (Bench, Conversation) {
    let bench = Bench::with(settings);
    let record = bench.paired().await;
    let tunnel = bench.mcinstall(&record).await;
    (bench, tunnel)
}

#[tokio::test(start_paused = true)]
async fn in_setup_a_push_installs() {
    let (bench, mut tunnel) = tunnel(Persona::InSetup.settings()).await;
    assert_eq!(tunnel.push(&plain_enrollment()).await.status(), Status::Acknowledged);
    assert_eq!(tunnel.listed().await, [MDM]);
    tunnel.push(&plain_enrollment()).await;
    assert_eq!(bench.counters().pushes_after_accept, 1);
}

#[tokio::test(start_paused = true)]
async fn after_setup_a_push_waits_for_the_person() {
    let (bench, mut tunnel) = tunnel(Settings::default()).await;
    assert_eq!(tunnel.push(&plain_enrollment()).await.status(), Status::Acknowledged);
    assert!(tunnel.listed().await.is_empty());
    assert!(bench.fleet.inspect(&bench.udid).unwrap().pending.is_some());
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(tunnel.listed().await, [MDM]);
}

#[tokio::test(start_paused = true)]
async fn a_queued_profile_is_purged_after_480_seconds() {
    let (bench, mut tunnel) = tunnel(Persona::PersonIgnores.settings()).await;
    tunnel.push(&plain_enrollment()).await;
    sleep(Duration::from_millis(479_900)).await;
    assert!(bench.fleet.inspect(&bench.udid).unwrap().pending.is_some());
    sleep(Duration::from_millis(200)).await;
    assert!(bench.fleet.inspect(&bench.udid).unwrap().pending.is_none());
    assert_eq!(bench.counters().purged, 1);
    assert!(bench.fleet.control(Command::Accept { udid: bench.udid.clone() }).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_new_push_replaces_the_queued_one_and_its_clock() {
    let (bench, mut tunnel) = tunnel(Persona::PersonIgnores.settings()).await;
    tunnel.push(&plain_enrollment()).await;
    sleep(Duration::from_secs(300)).await;
    tunnel.push(&enrollment("example.second", |_| {})).await;
    sleep(Duration::from_secs(300)).await;
    let pending = bench.fleet.inspect(&bench.udid).unwrap().pending;
    assert_eq!(pending.unwrap().identifier, "example.second");
    assert_eq!(bench.counters().pushes_replacing, 1);
    sleep(Duration::from_secs(181)).await;
    assert_eq!(bench.counters().purged, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_that_the_person_cancelled() {
    let (bench, mut tunnel) = tunnel(Persona::PersonCancels.settings()).await;
    let mut posts = bench.fleet.device(&bench.udid).unwrap().notifications();
    tunnel.push(&plain_enrollment()).await;
    sleep(Duration::from_secs(600)).await;
    assert!(tunnel.listed().await.is_empty());
    assert_eq!((bench.counters().cancelled, bench.counters().purged), (1, 0));
    assert!(posts.try_recv().is_ok(), "queueing is told");
    assert!(posts.try_recv().is_err(), "cancelling is not");
}

#[tokio::test(start_paused = true)]
async fn a_refused_push_says_why() {
    for (persona, expected) in [
        (Persona::LockdownMode, vec![4021]),
        (Persona::UiInstallForbidden, vec![4020]),
        (Persona::QueuedAsError, vec![4036, 1013]),
        (Persona::EnrollmentForbidden, vec![4001, 4001, 12088]),
        (Persona::ServerDown, vec![4001, 4001, 12002]),
        (Persona::OtherMdm, vec![4001, 4001, 12001]),
    ] {
        let (_bench, mut tunnel) = tunnel(persona.settings()).await;
        assert_eq!(codes(&tunnel.push(&plain_enrollment()).await), expected, "{persona}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_network_recovers_after_two_failures() {
    let (bench, mut tunnel) = tunnel(Persona::NetworkRecovers.settings()).await;
    for expected in [vec![4001, 4001, 22005], vec![4001, 4001, 22005], vec![]] {
        assert_eq!(codes(&tunnel.push(&plain_enrollment()).await), expected);
    }
    assert_eq!(bench.installed(), [MDM]);
}

#[tokio::test(start_paused = true)]
async fn another_language_keeps_the_english_text() {
    let settings = Settings { language: "de".into(), ..Persona::ServerDown.settings() };
    let (_bench, mut tunnel) = tunnel(settings).await;
    let chain = tunnel.push(&plain_enrollment()).await.error_chain();
    let last = chain.links().last().unwrap().clone();
    assert!(last.localized != last.english && last.english.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_the_device_cannot_parse_is_4000() {
    let (bench, mut tunnel) = tunnel(Persona::InSetup.settings()).await;
    let good = signed(&plain_enrollment());
    let mut tampered = good.clone();
    let at = tampered.windows(4).position(|w| w == b"8191").unwrap();
    tampered[at] = b'7';
    let cut = &good[..good.len() * 6 / 10];
    let doubled = enrollment(MDM, |mdm| {
        let identity = mdm.get("IdentityCertificateUUID").unwrap().clone();
        mdm.insert("PayloadUUID".into(), identity);
    });
    for (bytes, under) in
        [(&b""[..], 1005), (b"hello", 1000), (cut, 1000), (&tampered, 1004), (&doubled, 1007)]
    {
        assert_eq!(codes(&tunnel.push(bytes).await)[..2], [4000, under]);
    }
    assert_eq!(tunnel.push(&good).await.status(), Status::Acknowledged);
    // Another signer, here none, may not replace it.
    assert_eq!(codes(&tunnel.push(&plain_enrollment()).await), [4001, 4001, 4008]);
    assert_eq!(bench.installed(), [MDM]);
}

fn signed(content: &[u8]) -> Vec<u8> {
    let certificate = certificate(host_key());
    let cms =
        CmsContentInfo::sign(Some(&certificate), Some(host_key()), None, Some(content), CMSOptions::BINARY);
    cms.unwrap().to_der().unwrap()
}

#[tokio::test(start_paused = true)]
async fn rules_of_the_mdm_payload() {
    let text = |t: &str| Value::String(t.to_owned());
    let cases: [(&str, Option<Value>, i64); 6] = [
        ("ServerURL", Some(text("http://x")), 12034),
        ("Topic", None, 12098),
        ("AccessRights", Some(Value::from(0)), 12000),
        ("AccessRights", Some(Value::from(2)), 12000),
        ("IdentityCertificateUUID", Some(text("nobody")), 12005),
        ("EnrollmentMode", Some(text("BYOD")), 4022),
    ];
    for (key, value, code) in cases {
        let (_bench, mut tunnel) = tunnel(Persona::InSetup.settings()).await;
        let profile = enrollment(MDM, |mdm| {
            mdm.remove(key);
            mdm.extend(value.map(|v| (key.to_owned(), v)));
        });
        assert_eq!(codes(&tunnel.push(&profile).await), [4001, 4001, code], "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replacement_may_not_move_to_another_server() {
    let (bench, mut tunnel) = tunnel(Persona::InSetup.settings()).await;
    tunnel.push(&enrollment(MDM, |mdm| drop(mdm.insert("AccessRights".into(), Value::from(3))))).await;
    let elsewhere = enrollment(MDM, |mdm| drop(mdm.insert("ServerURL".into(), Value::from("https://else/"))));
    assert_eq!(codes(&tunnel.push(&elsewhere).await), [4001, 4001, 12012]);
    assert_eq!(codes(&tunnel.push(&plain_enrollment()).await), [4001, 4001, 12012], "rights may not grow");
    assert_eq!(bench.counters().installs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_does_not_cancel_a_silent_install() {
    let slow = Settings {
        install_takes: crate::sim::span::Span(Duration::from_secs(30)),
        ..Persona::InSetup.settings()
    };
    let (bench, mut tunnel) = tunnel(slow).await;
    let push = async { tunnel.push(&plain_enrollment()).await };
    assert!(tokio::time::timeout(Duration::from_secs(5), push).await.is_err());
    bench.fleet.detach(&bench.udid).unwrap();
    sleep(Duration::from_secs(40)).await;
    assert_eq!(bench.installed(), [MDM]);
}

#[tokio::test(start_paused = true)]
async fn eof_during_the_install_with_and_without_it_having_happened() {
    for (persona, happened) in
        [(Persona::EofInInstallInstalled, true), (Persona::EofInInstallNotInstalled, false)]
    {
        let (bench, mut tunnel) = tunnel(persona.settings()).await;
        let request = mcinstall::Request::InstallProfile { payload: plain_enrollment().into() };
        let Value::Dictionary(request) = request.to_plist() else { panic!("a dictionary") };
        assert!(tunnel.raw(request).await.is_err());
        assert_eq!(!bench.installed().is_empty(), happened, "{persona}");
    }
}

#[tokio::test(start_paused = true)]
async fn policies_follow_an_enrollment() {
    let (bench, mut tunnel) = tunnel(Persona::PoliciesFollow.settings()).await;
    tunnel.push(&plain_enrollment()).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(tunnel.listed().await, [MDM]);
    sleep(Duration::from_secs(5)).await;
    let listed = tunnel.listed().await;
    assert_eq!(listed.len(), 4);
    assert!(listed[1..].iter().all(|id| id.starts_with("www.windowsintune.com.")));
    assert_eq!(bench.installed(), listed);
}

#[tokio::test(start_paused = true)]
async fn a_person_works_only_on_an_unlocked_device() {
    let (bench, mut tunnel) = tunnel(Settings::default()).await;
    bench.fleet.control(Command::Lock { udid: bench.udid.clone() }).unwrap();
    tunnel.push(&plain_enrollment()).await;
    sleep(Duration::from_millis(1800)).await;
    assert!(tunnel.listed().await.is_empty());
    // Unlocked after 2 s, accepted a second later.
    sleep(Duration::from_millis(1600)).await;
    assert_eq!(tunnel.listed().await, [MDM]);
}
