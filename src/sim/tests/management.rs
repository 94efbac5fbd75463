use super::*;
use crate::sim::persona::Preinstalled;
use crate::sim::supervision::constructed_supervisor;
use crate::wire::fields::{dictionary, string};
use crate::wire::mcinstall::{Request as Tunnel, Status};
use openssl::cms::CMSOptions;

async fn tunnel(settings: Settings) -> (Bench, Conversation) {
    let bench = Bench::with(settings);
    let record = bench.paired().await;
    let tunnel = bench.mcinstall(&record).await;
    (bench, tunnel)
}

fn named(name: &str) -> Dictionary {
    dictionary([("RequestType", string(name))])
}

#[tokio::test(start_paused = true)]
async fn unknown_and_malformed_requests_have_their_statuses() {
    let (_bench, mut tunnel) = tunnel(Persona::InSetup.settings()).await;
    let mut status = async |request| mcinstall::Reply::new(tunnel.raw(request).await.unwrap()).status();
    assert_eq!(status(named("NoSuchRequest")).await, Status::CommandFormatError);
    assert_eq!(status(Dictionary::new()).await, Status::CommandFormatError);
    assert_eq!(status(named("InstallProfileSilent")).await, Status::Other("PayloadEmpty".into()));
    assert_eq!(status(named("InstallProfile")).await, Status::Other("PayloadEmpty".into()));
    assert_eq!(status(named("ProceedWithKeybagMigration")).await, Status::CommandFormatError);
    assert_eq!(status(named("HelloHostIdentifier")).await, Status::Acknowledged);
    let mut odd = named("InstallProfile");
    odd.insert("Payload".into(), Value::from("text"));
    let reply = mcinstall::Reply::new(tunnel.raw(odd).await.unwrap());
    assert_eq!(codes(&reply), [14000]);
}

#[tokio::test(start_paused = true)]
async fn profiles_are_removed_by_name_or_list_and_absence_is_fine() {
    let spec = |identifier: &str, managed, locked| Preinstalled {
        identifier: identifier.into(),
        name: identifier.into(),
        uuid: None,
        organization: None,
        mdm: false,
        managed,
        locked,
    };
    let installed = vec![
        spec("a.free", false, false),
        spec("b.free", false, false),
        spec("c.managed", true, false),
        spec("d.locked", false, true),
    ];
    let (bench, mut tunnel) = tunnel(Settings { installed, ..Persona::InSetup.settings() }).await;
    let by_name = |id: &str| Tunnel::RemoveProfile(mcinstall::RemovalKey::Identifier(id.into()));
    let full = mcinstall::RemovalKey::Full { identifier: "b.free".into(), uuid: "U".into(), version: 1 };
    for request in [by_name("a.free"), Tunnel::RemoveProfile(full), by_name("not.there")] {
        assert_eq!(tunnel.tunnel(&request).await.status(), Status::Acknowledged);
    }
    assert_eq!(codes(&tunnel.tunnel(&by_name("c.managed")).await), [12013]);
    assert_eq!(codes(&tunnel.tunnel(&by_name("d.locked")).await), [4008]);
    let mut odd = named("RemoveProfile");
    odd.insert("ProfileIdentifier".into(), Value::from(5));
    assert_eq!(codes(&mcinstall::Reply::new(tunnel.raw(odd).await.unwrap())), [4000]);
    assert_eq!(bench.installed(), ["c.managed", "d.locked"]);
}

#[tokio::test(start_paused = true)]
async fn a_cloud_configuration_is_written_once_and_may_cost_the_pairing() {
    let (bench, mut tunnel) = tunnel(Persona::InSetup.settings()).await;
    assert!(tunnel.tunnel(&Tunnel::GetCloudConfiguration).await.cloud_configuration().is_none());
    let configuration = dictionary([
        ("AllowPairing", Some(Value::Boolean(false))),
        ("IsSupervised", Some(Value::Boolean(true))),
        ("OrganizationName", string("Bench")),
    ]);
    let set = || Tunnel::SetCloudConfiguration { configuration: Secret::new(configuration.clone()) };
    assert_eq!(tunnel.tunnel(&set()).await.status(), Status::Acknowledged);
    assert_eq!(codes(&tunnel.tunnel(&set()).await), [14002]);
    let read = tunnel.tunnel(&Tunnel::GetCloudConfiguration).await;
    assert_eq!(read.cloud_configuration().unwrap().int("ConfigurationSource"), Some(2));
    assert!(bench.fleet.inspect(&bench.udid).unwrap().trusted_hosts.is_empty());

    let (_bench, mut used) = self::tunnel(Settings::default()).await;
    assert_eq!(codes(&used.tunnel(&set()).await), [14002], "a used phone has one");
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_escalates_and_installs_silently() {
    let bench = Bench::with(Settings { supervised: true, ..Settings::default() });
    let record = bench.paired().await;
    let mut tunnel = bench.mcinstall(&record).await;
    let escalate = |certificate| Tunnel::Escalate { supervisor_certificate: certificate };
    let supervisor = constructed_supervisor().unwrap();
    assert_eq!(tunnel.tunnel(&escalate(vec![1])).await.status(), Status::CertificateRejected);
    for (flags, wanted) in [
        (CMSOptions::empty(), Status::SignedRequestRejected),
        (CMSOptions::CMS_NOCERTS | CMSOptions::BINARY, Status::SignedRequestRejected),
        (CMSOptions::BINARY, Status::Acknowledged),
    ] {
        let mut challenge = tunnel.tunnel(&escalate(supervisor.clone())).await.challenge().unwrap();
        // Text mode is wrong only where there is a line feed; draw until there is.
        while !challenge.expose().contains(&b'\n') {
            challenge = tunnel.tunnel(&escalate(supervisor.clone())).await.challenge().unwrap();
        }
        assert_eq!(challenge.expose().len(), 8);
        let signed_request = trust::signed(challenge.expose(), flags).into();
        assert_eq!(tunnel.tunnel(&Tunnel::EscalateResponse { signed_request }).await.status(), wanted);
    }
    assert_eq!(tunnel.tunnel(&Tunnel::ProceedWithKeybagMigration).await.status(), Status::Acknowledged);
    let silently = Tunnel::InstallProfileSilent { payload: plain_enrollment().into() };
    assert_eq!(tunnel.tunnel(&silently).await.status(), Status::Acknowledged);
    assert_eq!(bench.installed(), ["Microsoft.Profiles.MDM"]);
    let token = mcinstall::Reply::new(tunnel.raw(named("RequestUnlockToken")).await.unwrap());
    assert_eq!(codes(&token), [37002]);
    // "The state dies with the connection."
    let mut next = bench.mcinstall(&record).await;
    assert_eq!(next.tunnel(&silently).await.status(), Status::CommandFormatError);
}

#[tokio::test(start_paused = true)]
async fn an_erased_device_comes_back_empty_and_in_setup() {
    let (bench, mut tunnel) = tunnel(Persona::Ready.settings()).await;
    let erase = named("EraseDevice");
    assert_eq!(mcinstall::Reply::new(tunnel.raw(erase).await.unwrap()).status(), Status::Acknowledged);
    sleep(Duration::from_secs(30)).await;
    let after = bench.fleet.inspect(&bench.udid).unwrap();
    assert!(!after.setup_done && after.trusted_hosts.is_empty() && after.attached.is_some());
    assert!(bench.pair().await.is_ok(), "implicit trust again");
}
