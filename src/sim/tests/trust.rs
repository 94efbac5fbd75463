use super::*;
use crate::sim::persona::{PairingPolicy, RecordCheck, TrustAnswer};
use crate::sim::supervision::constructed_supervisor;
use crate::sim::{After, Command};
use crate::wire::fields::dictionary;
use openssl::cms::{CMSOptions, CmsContentInfo};

const EXTENDED: PairingOptions =
    PairingOptions { extended_errors: true, supervisor_certificate: None, challenge_response: None };

#[tokio::test(start_paused = true)]
async fn in_setup_assistant_trust_is_implicit() {
    let bench = Bench::persona(Persona::InSetup);
    assert!(bench.pair().await.unwrap().escrow_bag().is_some());
    assert_eq!(bench.counters().pairings, 1);
}

#[tokio::test(start_paused = true)]
async fn the_dialog_is_pending_until_the_person_trusts() {
    let bench = Bench::persona(Persona::Ready);
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::PairingDialogResponsePending);
    sleep(Duration::from_millis(900)).await;
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::PairingDialogResponsePending);
    sleep(Duration::from_millis(300)).await;
    assert!(bench.pair().await.is_ok());
    // "On the same attachment, or within about 9 s of it".
    bench.fleet.reattach(&bench.udid).unwrap();
    assert!(bench.pair().await.is_ok());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::PairingDialogResponsePending);
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_latched_until_replug() {
    let bench = Bench::persona(Persona::TrustDenied);
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::PairingDialogResponsePending);
    sleep(Duration::from_secs(2)).await;
    for _ in 0..3 {
        assert_eq!(bench.pair().await.unwrap_err(), ErrorName::UserDeniedPairing);
        sleep(Duration::from_secs(60)).await;
    }
    let before = bench.id().await;
    bench.fleet.reattach(&bench.udid).unwrap();
    assert!(bench.id().await > before);
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::PairingDialogResponsePending);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_passcode_counts_as_denied_after_two_minutes() {
    let bench = Bench::with(Settings { trust_answer: TrustAnswer::ForgetPasscode, ..Settings::default() });
    let _ = bench.pair().await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::PairingDialogResponsePending);
    sleep(Duration::from_secs(25)).await;
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::UserDeniedPairing);
}

#[tokio::test(start_paused = true)]
async fn a_locked_device_wants_its_passcode_then_shows_the_dialog() {
    let bench = Bench::with(Settings { locked: true, unlock_after: After::secs(5), ..Settings::default() });
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::PasswordProtected);
    // The dialog was prepared: it comes up with the unlock and is answered a second later.
    sleep(Duration::from_millis(6500)).await;
    assert!(bench.pair().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_checks_come_in_the_order_of_section_3_6() {
    let all = Settings {
        find_my_forbids_pairing: true,
        pairing: PairingPolicy::Forbidden,
        locked: true,
        unlock_after: After::Never,
        ..Settings::default()
    };
    let verdict = async |settings: &Settings| Bench::with(settings.clone()).pair().await.unwrap_err();
    let mut left = all.clone();
    assert_eq!(verdict(&left).await, ErrorName::FmipProtected);
    left.find_my_forbids_pairing = false;
    assert_eq!(verdict(&left).await, ErrorName::McProtected);
    left.pairing = PairingPolicy::Ask;
    assert_eq!(verdict(&left).await, ErrorName::PasswordProtected);
    left.locked = false;
    assert_eq!(verdict(&left).await, ErrorName::PairingDialogResponsePending);
}

#[tokio::test(start_paused = true)]
async fn without_extended_errors_all_collapse() {
    for persona in [Persona::FindMyLocked, Persona::PairingForbidden, Persona::TrustIgnored] {
        let bench = Bench::persona(persona);
        let mut lockdown = bench.lockdown().await;
        let record = lockdown.record().await.for_device();
        let answer = lockdown.pair(record, PairingOptions::default()).await;
        assert_eq!(answer.unwrap_err(), ErrorName::PasswordProtected, "{persona}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_must_be_for_this_device_and_name_an_upper_case_host() {
    let bench = Bench::persona(Persona::InSetup);
    let mut lockdown = bench.lockdown().await;
    let good = lockdown.record().await;
    let lower = PairRecord { host_id: HOST_ID.to_lowercase(), ..good.clone() };
    let foreign = record_for(host_key());
    let broken = PairRecord { root_certificate: b"none".to_vec(), ..good.clone() };
    for bad in [lower, foreign, broken] {
        let answer = lockdown.pair(bad.for_device(), EXTENDED).await;
        assert_eq!(answer.unwrap_err(), ErrorName::InvalidPairRecord);
    }
    let mut nameless = good.for_device();
    nameless.remove("HostID");
    assert_eq!(lockdown.pair(nameless, EXTENDED).await.unwrap_err(), ErrorName::InvalidResponse);
    assert!(lockdown.pair(good.for_device(), EXTENDED).await.is_ok());
    // Where the check stands among the others is unconfirmed: both can be had.
    let strict = Bench::with(Settings { record_check: RecordCheck::First, ..Settings::default() });
    let answer = strict.lockdown().await.pair(foreign_dictionary(), EXTENDED).await;
    assert_eq!(answer.unwrap_err(), ErrorName::InvalidPairRecord);
}

fn foreign_dictionary() -> Dictionary {
    record_for(host_key()).for_device()
}

#[tokio::test(start_paused = true)]
async fn an_offered_private_key_is_seen() {
    let bench = Bench::persona(Persona::InSetup);
    let mut lockdown = bench.lockdown().await;
    let mut record = lockdown.record().await.for_device();
    record.insert("RootPrivateKey".into(), Value::Data(vec![1]));
    assert!(lockdown.pair(record, EXTENDED).await.is_ok());
    assert_eq!(bench.counters().private_keys_offered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_pair_removes_the_hosts_record() {
    let bench = Bench::persona(Persona::InSetup);
    let record = bench.paired().await;
    assert!(bench.session(&record).await.is_ok());
    let foreign = bench.lockdown().await.pair(foreign_dictionary(), EXTENDED).await;
    assert!(foreign.is_err());
    assert_eq!(bench.session(&record).await.err(), Some(ErrorName::InvalidHostId));
}

#[tokio::test(start_paused = true)]
async fn a_reboot_in_setup_forgets_pairings_and_one_after_it_does_not() {
    for (persona, kept) in [(Persona::InSetup, false), (Persona::Ready, true)] {
        let bench = Bench::persona(persona);
        let record = bench.paired().await;
        let reboot = Command::Reboot { udid: bench.udid.clone(), takes: None };
        bench.fleet.control(reboot).unwrap();
        assert!(bench.backend.list().await.unwrap().is_empty());
        sleep(Duration::from_secs(29)).await;
        assert_eq!(bench.session(&record).await.is_ok(), kept, "{persona}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pairing_expires_thirty_days_after_its_last_use() {
    let bench = Bench::persona(Persona::InSetup);
    let record = bench.paired().await;
    for _ in 0..3 {
        sleep(Duration::from_secs(29 * 24 * 3600)).await;
        assert!(bench.session(&record).await.is_ok());
    }
    sleep(Duration::from_secs(31 * 24 * 3600)).await;
    assert_eq!(bench.session(&record).await.err(), Some(ErrorName::InvalidHostId));
}

#[tokio::test(start_paused = true)]
async fn unpair_forgets_the_host() {
    let bench = Bench::persona(Persona::InSetup);
    let record = bench.paired().await;
    let unpair = || Request::Unpair { host_id: HOST_ID.to_owned(), record: Secret::new(dictionary([])) };
    assert!(bench.lockdown().await.ask(unpair()).await.is_ok());
    assert_eq!(bench.lockdown().await.ask(unpair()).await.unwrap_err(), ErrorName::InvalidHostId);
    assert_eq!(bench.session(&record).await.err(), Some(ErrorName::InvalidHostId));
}

/// The constructed supervisor's CMS over `content`; with `flags` it can be made wrong.
pub(super) fn signed(content: &[u8], flags: CMSOptions) -> Vec<u8> {
    let pem = include_bytes!("../../../fixtures/identities/supervisor.pem");
    let certificate = X509::from_pem(pem).unwrap();
    let key = PKey::private_key_from_pem(pem).unwrap();
    let cms = CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(content), flags);
    cms.unwrap().to_der().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_pairs_by_the_challenge_on_the_same_connection() {
    let bench = Bench::persona(Persona::SupervisedChallenge);
    assert_eq!(bench.pair().await.unwrap_err(), ErrorName::McProtected);
    let supervisor = || PairingOptions { supervisor_certificate: constructed_supervisor(), ..EXTENDED };
    let response = |signed: Vec<u8>| PairingOptions { challenge_response: Some(signed.into()), ..EXTENDED };
    for (flags, good) in [(CMSOptions::BINARY, true), (CMSOptions::empty(), false)] {
        let mut lockdown = bench.lockdown().await;
        let record = lockdown.record().await.for_device();
        let request =
            Request::Pair { record: Secret::new(record.clone()), host_name: None, options: supervisor() };
        let reply = Reply::new(lockdown.0.call("pair", &request.to_plist("t"), DEADLINE).await.unwrap());
        assert_eq!(reply.error().unwrap().name, ErrorName::McChallengeRequired);
        let challenge = reply.pairing_challenge().unwrap();
        assert_eq!(challenge.expose().len(), 1024);
        assert!(challenge.expose().windows(3).any(|w| w == b"x\nx"));
        let answer = response(signed(challenge.expose(), flags));
        // Text mode turns lone LF into CR LF: what pymobiledevice3 issue 1805 was about (4.6).
        assert_eq!(lockdown.pair(record.clone(), answer.clone()).await.is_ok(), good);
        // Bound to the connection, and good once.
        assert_eq!(bench.lockdown().await.pair(record, answer).await.unwrap_err(), ErrorName::McProtected);
    }
    let stranger = PairingOptions { supervisor_certificate: Some(vec![0x30, 0]), ..EXTENDED };
    let mut lockdown = bench.lockdown().await;
    let record = lockdown.record().await.for_device();
    assert_eq!(lockdown.pair(record, stranger).await.unwrap_err(), ErrorName::McProtected);
}

#[tokio::test(start_paused = true)]
async fn no_escrow_bag_while_locked_or_by_persona() {
    let silent = Settings {
        pairing: PairingPolicy::Silent,
        locked: true,
        unlock_after: After::Never,
        ..Settings::default()
    };
    assert!(Bench::with(silent).pair().await.unwrap().escrow_bag().is_none());
    let none = Settings { escrow_bag: false, ..Persona::InSetup.settings() };
    assert!(Bench::with(none).pair().await.unwrap().escrow_bag().is_none());
}
