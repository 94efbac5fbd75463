//! The device's rules, asked for by a small host written only for these tests.

mod management;
mod mux;
mod profiles;
mod services;
mod trust;

use super::{DeviceSpec, Fleet, FleetOptions, Persona, Settings};
use crate::clock::Clock;
use crate::ids::{MuxId, Udid};
use crate::limits::DEVICE_FRAME_BYTES;
use crate::secret::Secret;
use crate::transport::tls::{TlsFloor, TlsIdentity};
use crate::transport::{Backend, BoxChannel, PlistChannel, TransportError};
use crate::wire::fields::Fields;
use crate::wire::lockdown::{self, ErrorName, PairingOptions, Reply, Request};
use crate::wire::mcinstall;
use crate::wire::pair_record::PairRecord;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use plist::{Dictionary, Value};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::sleep;

const DEADLINE: Duration = Duration::from_secs(400);
const HOST_ID: &str = "11111111-AAAA-4000-8000-000000000000";
const BUID: &str = "22222222-AAAA-4000-8000-000000000000";

/// A fleet of one device and a host at its mux.
struct Bench {
    fleet: Fleet,
    backend: Arc<dyn Backend>,
    udid: Udid,
}

impl Bench {
    fn with(settings: Settings) -> Self {
        let clock = Clock::starting_at("2026-03-01T09:00:00Z".parse().unwrap());
        let specs = vec![DeviceSpec { persona: Persona::Ready, settings }];
        let options = FleetOptions { devices: 1, specs, clock, ..FleetOptions::default() };
        let fleet = Fleet::new(options).unwrap();
        let (backend, udid) = (fleet.backend(), fleet.udids().remove(0));
        Self { fleet, backend, udid }
    }

    fn persona(persona: Persona) -> Self {
        Self::with(persona.settings())
    }

    async fn id(&self) -> MuxId {
        self.backend.list().await.unwrap()[0].id
    }

    async fn open(&self, port: u16) -> Result<BoxChannel, TransportError> {
        self.backend.connect(self.id().await, port).await
    }

    async fn lockdown(&self) -> Conversation {
        Conversation::new(self.open(lockdown::PORT).await.unwrap())
    }

    /// One Pair on a connection of its own.
    async fn pair(&self) -> Result<Reply, ErrorName> {
        let mut lockdown = self.lockdown().await;
        let record = lockdown.record().await;
        lockdown
            .pair(record.for_device(), PairingOptions { extended_errors: true, ..Default::default() })
            .await
    }

    /// Pairs however long the person takes, and gives the record.
    async fn paired(&self) -> PairRecord {
        let record = self.lockdown().await.record().await;
        for _ in 0..100 {
            if self.pair().await.is_ok() {
                return record;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("never paired");
    }

    async fn session(&self, record: &PairRecord) -> Result<Conversation, ErrorName> {
        let mut plain = self.lockdown().await;
        let request = Request::StartSession {
            host_id: record.host_id.clone(),
            system_buid: record.system_buid.clone(),
        };
        plain.ask(request).await?;
        Ok(plain.encrypt(record).await.unwrap())
    }

    async fn service(&self, record: &PairRecord, name: &str) -> Result<Conversation, ErrorName> {
        let mut session = self.session(record).await?;
        let (port, tls) = session.start(name).await?;
        let plain = Conversation::new(self.open(port).await.unwrap());
        Ok(if tls { plain.encrypt(record).await.unwrap() } else { plain })
    }

    async fn mcinstall(&self, record: &PairRecord) -> Conversation {
        self.service(record, mcinstall::SERVICE).await.unwrap()
    }

    fn counters(&self) -> super::Counters {
        self.fleet.inspect(&self.udid).unwrap().counters
    }

    fn installed(&self) -> Vec<String> {
        let inspection = self.fleet.inspect(&self.udid).unwrap();
        inspection.installed.into_iter().map(|p| p.identifier).collect()
    }
}

/// One connection.
struct Conversation(PlistChannel);

impl Conversation {
    fn new(channel: BoxChannel) -> Self {
        Self(PlistChannel::new(channel, DEVICE_FRAME_BYTES))
    }

    async fn raw(&mut self, request: Dictionary) -> Result<Dictionary, TransportError> {
        self.0.call("test", &Value::Dictionary(request), DEADLINE).await
    }

    async fn ask(&mut self, request: Request) -> Result<Reply, ErrorName> {
        let reply = Reply::new(self.0.call("test", &request.to_plist("test"), DEADLINE).await.unwrap());
        match reply.error() {
            Some(error) => Err(error.name),
            None => Ok(reply),
        }
    }

    async fn get(&mut self, domain: Option<&str>, key: Option<&str>) -> Result<Value, ErrorName> {
        let text = |t: Option<&str>| t.map(str::to_owned);
        let reply = self.ask(Request::GetValue { domain: text(domain), key: text(key) }).await?;
        Ok(reply.value().unwrap().clone())
    }

    async fn start(&mut self, name: &str) -> Result<(u16, bool), ErrorName> {
        let request = Request::StartService { service: name.to_owned(), escrow_bag: None };
        Ok(self.ask(request).await?.service().unwrap())
    }

    async fn pair(&mut self, record: Dictionary, options: PairingOptions) -> Result<Reply, ErrorName> {
        self.ask(Request::Pair { record: Secret::new(record), host_name: None, options }).await
    }

    /// A good pair record for this device.
    async fn record(&mut self) -> PairRecord {
        let Value::Data(pem) = self.get(None, Some("DevicePublicKey")).await.unwrap() else { panic!("data") };
        let device_key = PKey::from_rsa(Rsa::public_key_from_pem_pkcs1(&pem).unwrap()).unwrap();
        record_for(&device_key)
    }

    async fn encrypt(self, record: &PairRecord) -> Result<Self, TransportError> {
        let identity = TlsIdentity::new(record, TlsFloor::Tls10)?;
        Ok(Self::new(identity.connect(self.0.into_stream()).await?))
    }

    async fn tunnel(&mut self, request: &mcinstall::Request) -> mcinstall::Reply {
        mcinstall::Reply::new(self.0.call("test", &request.to_plist(), DEADLINE).await.unwrap())
    }

    async fn push(&mut self, profile: &[u8]) -> mcinstall::Reply {
        self.tunnel(&mcinstall::Request::InstallProfile { payload: profile.to_vec().into() }).await
    }

    async fn listed(&mut self) -> Vec<String> {
        let list = self.tunnel(&mcinstall::Request::GetProfileList).await;
        list.profiles().into_iter().map(|p| p.identifier).collect()
    }
}

fn host_key() -> &'static PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap())
}

fn certificate(key: &PKeyRef<impl HasPublic>) -> X509 {
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    let empty = X509NameBuilder::new().unwrap().build();
    builder.set_subject_name(&empty).unwrap();
    builder.set_issuer_name(&empty).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(3650).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.sign(host_key(), MessageDigest::sha256()).unwrap();
    builder.build()
}

fn record_for(device_key: &PKeyRef<impl HasPublic>) -> PairRecord {
    let pem = |c: X509| c.to_pem().unwrap();
    PairRecord {
        device_certificate: pem(certificate(device_key)),
        host_certificate: pem(certificate(host_key())),
        host_private_key: Secret::new(host_key().private_key_to_pem_pkcs8().unwrap()),
        root_certificate: pem(certificate(host_key())),
        root_private_key: None,
        host_id: HOST_ID.to_owned(),
        system_buid: BUID.to_owned(),
        escrow_bag: None,
        wifi_mac_address: None,
        others: Secret::new(Dictionary::new()),
    }
}

/// F01's base, unsigned: identifier and last digit of the UUIDs can be chosen.
fn enrollment(identifier: &str, change: impl FnOnce(&mut Dictionary)) -> Vec<u8> {
    let text = |t: &str| Value::String(t.to_owned());
    let uuid = |n: u8| text(&format!("1111AAAA-0000-4000-8000-00000000000{n}"));
    let payload = |kind: &str, n: u8| {
        Dictionary::from_iter([
            ("PayloadType", text(kind)),
            ("PayloadVersion", Value::from(1)),
            ("PayloadIdentifier", text(&format!("{identifier}.{n}"))),
            ("PayloadUUID", uuid(n)),
        ])
    };
    let mut mdm = payload("com.apple.mdm", 2);
    mdm.insert("IdentityCertificateUUID".into(), uuid(1));
    mdm.insert("Topic".into(), text("com.apple.mgmt.External.2222"));
    mdm.insert("ServerURL".into(), text("https://mdm.bench.example/"));
    mdm.insert("AccessRights".into(), Value::from(8191));
    change(&mut mdm);
    let scep = Value::Dictionary(payload("com.apple.security.scep", 1));
    let root = Dictionary::from_iter([
        ("PayloadType", text("Configuration")),
        ("PayloadVersion", Value::from(1)),
        ("PayloadIdentifier", text(identifier)),
        ("PayloadUUID", uuid(0)),
        ("PayloadContent", Value::Array(vec![scep, Value::Dictionary(mdm)])),
    ]);
    crate::wire::property_list::to_xml(&Value::Dictionary(root))
}

fn plain_enrollment() -> Vec<u8> {
    enrollment("Microsoft.Profiles.MDM", |_| {})
}

fn codes(reply: &mcinstall::Reply) -> Vec<i64> {
    reply.error_chain().links().iter().map(|link| link.code).collect()
}

fn flag(fields: &Dictionary, key: &str) -> Option<bool> {
    fields.flag(key)
}
