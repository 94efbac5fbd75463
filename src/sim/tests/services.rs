use super::*;
use crate::sim::fault::{Fault, FaultKind};
use crate::sim::persona::{PublicValues, TlsVersions};
use crate::sim::services::LISTENER_LIFE;
use crate::wire::fields::{dictionary, string};
use crate::wire::notification_proxy::{Message, PROFILE_LIST_CHANGED, SERVICE as PROXY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const INSECURE_PROXY: &str = "com.apple.mobile.insecure_notification_proxy";

#[tokio::test(start_paused = true)]
async fn only_public_values_are_shown_without_a_session() {
    let bench = Bench::persona(Persona::InSetup);
    let mut plain = bench.lockdown().await;
    assert_eq!(plain.get(None, Some("UniqueDeviceID")).await, Ok(Value::from(bench.udid.as_str())));
    assert_eq!(plain.get(None, Some("SerialNumber")).await, Err(ErrorName::GetProhibited));
    assert_eq!(plain.get(None, Some("NoSuchKey")).await, Err(ErrorName::MissingValue));
    assert_eq!(plain.get(Some("com.apple.purplebuddy"), None).await, Err(ErrorName::GetProhibited));
    let itunes = plain.get(Some("com.apple.mobile.iTunes"), None).await.unwrap();
    assert_eq!(itunes.as_dictionary().unwrap().len(), 4);
    let record = bench.paired().await;
    let mut session = bench.session(&record).await.unwrap();
    assert!(session.get(None, Some("SerialNumber")).await.is_ok());
    let setup = session.get(Some("com.apple.purplebuddy"), None).await.unwrap();
    assert_eq!(flag(setup.as_dictionary().unwrap(), "SetupDone"), Some(false));

    let generous = Settings { public_values: PublicValues::Generous, ..Settings::default() };
    assert!(Bench::with(generous).lockdown().await.get(None, Some("SerialNumber")).await.is_ok());
    let flagged = Bench::persona(Persona::RestrictedListing);
    let mut plain = flagged.lockdown().await;
    assert!(plain.get(None, Some("DeviceName")).await.is_ok());
    assert_eq!(plain.get(None, Some("UniqueDeviceID")).await, Err(ErrorName::GetProhibited));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_one_per_connection_and_ends_into_plain_text() {
    let bench = Bench::persona(Persona::InSetup);
    let record = bench.paired().await;
    let mut session = bench.session(&record).await.unwrap();
    let again = Request::StartSession { host_id: HOST_ID.into(), system_buid: BUID.into() };
    assert_eq!(session.ask(again).await.unwrap_err(), ErrorName::SessionActive);
    let wrong = Request::StopSession { session_id: "no".into() };
    assert_eq!(session.ask(wrong).await.unwrap_err(), ErrorName::InvalidSessionId);
    let unknown = Request::StartSession { host_id: "NOBODY".into(), system_buid: BUID.into() };
    assert_eq!(bench.lockdown().await.ask(unknown).await.unwrap_err(), ErrorName::InvalidHostId);
}

#[tokio::test(start_paused = true)]
async fn a_host_with_another_certificate_gets_no_session() {
    let bench = Bench::persona(Persona::InSetup);
    let record = bench.paired().await;
    let mut plain = bench.lockdown().await;
    let request = Request::StartSession { host_id: HOST_ID.into(), system_buid: BUID.into() };
    plain.ask(request).await.unwrap();
    let other = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut forged = X509Builder::new().unwrap();
    forged.set_version(2).unwrap();
    forged.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    forged.set_not_after(&Asn1Time::days_from_now(9).unwrap()).unwrap();
    forged.set_pubkey(&other).unwrap();
    forged.sign(&other, MessageDigest::sha256()).unwrap();
    let stranger = PairRecord {
        host_certificate: forged.build().to_pem().unwrap(),
        host_private_key: Secret::new(other.private_key_to_pem_pkcs8().unwrap()),
        ..record
    };
    // With TLS 1.3 a client learns of the refusal with the first answer only.
    match plain.encrypt(&stranger).await {
        Err(_) => {}
        Ok(mut session) => {
            assert!(session.raw(dictionary([("Request", string("QueryType"))])).await.is_err())
        }
    }
    assert_eq!(bench.counters().handshakes, 0);
}

#[tokio::test(start_paused = true)]
async fn old_and_new_tls_both_work() {
    for tls in [TlsVersions::Modern, TlsVersions::Tls12, TlsVersions::Tls10] {
        let bench = Bench::with(Settings { tls, ..Persona::InSetup.settings() });
        let record = bench.paired().await;
        let mut session = bench.session(&record).await.unwrap();
        assert!(session.get(None, Some("SerialNumber")).await.is_ok(), "{tls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_port_is_good_once_and_not_for_long() {
    let bench = Bench::persona(Persona::InSetup);
    let record = bench.paired().await;
    let mut session = bench.session(&record).await.unwrap();
    let (port, tls) = session.start(mcinstall::SERVICE).await.unwrap();
    assert!(tls);
    assert!(bench.open(port).await.is_ok());
    assert!(matches!(bench.open(port).await, Err(TransportError::Refused { .. })));
    let (late, _) = session.start(mcinstall::SERVICE).await.unwrap();
    sleep(LISTENER_LIFE + Duration::from_secs(1)).await;
    assert!(matches!(bench.open(late).await, Err(TransportError::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn who_may_start_which_service() {
    let bench = Bench::persona(Persona::InSetup);
    let mut plain = bench.lockdown().await;
    assert_eq!(plain.start(mcinstall::SERVICE).await, Err(ErrorName::SessionInactive));
    let (_, tls) = plain.start(INSECURE_PROXY).await.unwrap();
    assert!(!tls);
    let record = bench.paired().await;
    let mut session = bench.session(&record).await.unwrap();
    assert_eq!(session.start("com.apple.no.such").await, Err(ErrorName::InvalidService));
    let nameless = session.raw(dictionary([("Request", string("StartService"))])).await.unwrap();
    assert_eq!(Reply::new(nameless).error().unwrap().name, ErrorName::MissingService);

    let fresh = Bench::persona(Persona::Unactivated);
    let record = fresh.paired().await;
    let refused = fresh.service(&record, mcinstall::SERVICE).await.err();
    assert_eq!(refused, Some(ErrorName::ServiceProhibited));
}

#[tokio::test(start_paused = true)]
async fn before_the_first_unlock_services_are_refused() {
    let bench = Bench::persona(Persona::Ready);
    let record = bench.paired().await;
    bench.fleet.device(&bench.udid).unwrap().with(|s| (s.locked, s.unlocked_since_boot) = (true, false));
    let mut session = bench.session(&record).await.unwrap();
    assert_eq!(session.start(mcinstall::SERVICE).await, Err(ErrorName::PasswordProtected));
    let with_bag =
        Request::StartService { service: mcinstall::SERVICE.into(), escrow_bag: Some(Secret::new(vec![1])) };
    assert_eq!(session.ask(with_bag).await.unwrap_err(), ErrorName::EscrowLocked);
    assert_eq!(bench.lockdown().await.start(INSECURE_PROXY).await, Err(ErrorName::PasswordProtected));
}

#[tokio::test(start_paused = true)]
async fn lockdown_ends_what_it_does_not_understand_or_waits_for_too_long() {
    let bench = Bench::persona(Persona::InSetup);
    let unknown = dictionary([("Request", string("ValidatePair"))]);
    assert!(bench.lockdown().await.raw(unknown).await.is_err());
    for garbage in [&b"\0\0\0\0"[..], &b"\0\x30\0\x01"[..], &b"\0\0\0\x03abc"[..]] {
        let mut stream = bench.open(lockdown::PORT).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0, "{garbage:?}");
    }
    let mut idle = bench.lockdown().await;
    sleep(Duration::from_secs(59)).await;
    assert!(idle.ask(Request::QueryType).await.is_ok());
    sleep(Duration::from_secs(61)).await;
    assert!(idle.raw(dictionary([("Request", string("QueryType"))])).await.is_err());
    assert_eq!(bench.counters().open_connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_restore_system_says_so() {
    let bench = Bench::persona(Persona::RestoreMode);
    let reply = bench.lockdown().await.ask(Request::QueryType).await.unwrap();
    assert_eq!(reply.kind(), Some("com.apple.mobile.restored"));
}

#[tokio::test(start_paused = true)]
async fn values_can_be_set_where_the_facts_say_so() {
    let bench = Bench::persona(Persona::InSetup);
    let set = |key: &str, value: &str| Request::SetValue {
        domain: None,
        key: key.into(),
        value: Value::from(value),
    };
    let mut plain = bench.lockdown().await;
    assert!(plain.ask(set("UntrustedHostBUID", BUID)).await.is_ok());
    assert_eq!(
        plain.ask(set("UntrustedHostBUID", &"x".repeat(51))).await.unwrap_err(),
        ErrorName::InvalidResponse
    );
    assert_eq!(plain.ask(set("DeviceName", "x")).await.unwrap_err(), ErrorName::SetProhibited);
    let record = bench.paired().await;
    let mut session = bench.session(&record).await.unwrap();
    assert!(session.ask(set("DeviceName", "Bench \u{7}")).await.is_ok());
    assert_eq!(session.ask(set("SerialNumber", "x")).await.unwrap_err(), ErrorName::SetProhibited);
    assert_eq!(bench.fleet.inspect(&bench.udid).unwrap().name, "Bench \u{7}");
}

#[tokio::test(start_paused = true)]
async fn several_values_come_at_once() {
    let bench = Bench::persona(Persona::InSetup);
    let keys = Value::Array(vec![Value::from("DeviceName"), Value::from("SerialNumber")]);
    let request = dictionary([
        ("Request", string("GetMultipleValues")),
        ("MultipleKeys", Some(Value::Dictionary(dictionary([("NULL", Some(keys))])))),
    ]);
    let reply = bench.lockdown().await.raw(request).await.unwrap();
    let value = reply.dict("Value").unwrap();
    let table = |name: &str| value.dict(name).unwrap().dict("NULL").unwrap();
    assert!(table("SuccessValueKey").text("DeviceName").is_some());
    assert_eq!(table("FailureValueKey").text("SerialNumber"), Some("GetProhibited"));
}

#[tokio::test(start_paused = true)]
async fn the_proxy_relays_what_was_observed() {
    let bench = Bench::persona(Persona::Ready);
    let record = bench.paired().await;
    let mut proxy = bench.service(&record, PROXY).await.unwrap();
    proxy
        .0
        .send("observe", &Message::Observe(PROFILE_LIST_CHANGED.into()).to_plist(), DEADLINE)
        .await
        .unwrap();
    sleep(Duration::from_millis(1)).await;
    bench.mcinstall(&record).await.push(&plain_enrollment()).await;
    let relayed = proxy.0.receive("event").await.unwrap();
    assert_eq!(Message::from_plist(&relayed), Message::Relay(PROFILE_LIST_CHANGED.into()));
    proxy.0.send("shutdown", &Message::Shutdown.to_plist(), DEADLINE).await.unwrap();
    let last = loop {
        let message = Message::from_plist(&proxy.0.receive("death").await.unwrap());
        if message == Message::ProxyDeath {
            break message;
        }
    };
    assert_eq!(last, Message::ProxyDeath);
}

#[tokio::test(start_paused = true)]
async fn faults_hit_the_message_they_name() {
    let kinds = [
        FaultKind::DropBefore,
        FaultKind::DropAfter,
        FaultKind::Garbage,
        FaultKind::Truncate,
        FaultKind::Error,
        FaultKind::Detach,
        FaultKind::DetachAfter,
        FaultKind::Reboot,
    ];
    for kind in kinds {
        let faults = vec![Fault::on("QueryType", kind)];
        let bench = Bench::with(Settings { faults, ..Persona::InSetup.settings() });
        assert!(bench.lockdown().await.get(None, Some("DeviceName")).await.is_ok(), "{kind:?}");
        let query = dictionary([("Request", string("QueryType"))]);
        let answer = bench.lockdown().await.raw(query).await;
        assert!(answer.map_or(true, |a| a.contains_key("Error")), "{kind:?}");
        sleep(Duration::from_secs(2)).await;
        assert!(bench.lockdown().await.ask(Request::QueryType).await.is_ok(), "{kind:?}");
        assert_eq!(bench.counters().faults, 1);
    }
}
