//! Earning a device's trust (protocols.md 3.6): use the record we have, else pair.

use super::{RecordStore, StationIdentity, SupervisionIdentity, Supervisors};
use crate::device::facts::{Facts, OsVersion};
use crate::device::services::lockdown::LockdownClient;
use crate::device::session::SessionTest;
use crate::device::{DeviceError, DeviceLink, DeviceSession};
use crate::limits::{PAIR_ANSWER, TRUST_POLL, UNLOCK_POLL};
use crate::proto::pairing::Pairing;
use crate::secret::Secret;
use crate::transport::TransportError;
use crate::transport::tls::TlsFloor;
use crate::wire::fields::Fields;
use crate::wire::lockdown::{ErrorName, LockdownError, PairingOptions, Request};
use crate::wire::pair_record::PairRecord;
use async_trait::async_trait;
use plist::Dictionary;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Fresh connections one pairing may use: the device may drop one while its person thinks
/// (3.1: 60 s idle), or report that the USB host vanished (3.6).
const PAIR_CONNECTIONS: u32 = 4;

/// Least time for one answer to Pair, however late it is for the person.
const LEAST_ANSWER: Duration = Duration::from_secs(2);

/// How long people may take.
#[derive(Debug, Clone, Copy)]
pub struct TrustLimits {
    /// For the Trust dialog, and for unlocking.
    pub person: Duration,
    /// False: use a stored record or fail with [`NotTrusted::NeedsPairing`]; never ask the
    /// device for trust.
    pub may_pair: bool,
}

/// What a person at the device is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaiting {
    /// Tap Trust.
    Trust,
    /// Unlock.
    Unlock,
}

/// Is told whom we met and when a person must act.
#[async_trait]
pub trait TrustObserver: Send + Sync {
    /// The facts a device tells everybody were read.
    async fn met(&self, facts: &Facts);

    /// A person must act until the deadline `within` from now; told once per change.
    async fn awaiting(&self, what: Awaiting, within: Duration);
}

/// Why there is no trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTrusted {
    /// "Don't Trust" was tapped.
    Denied,
    /// Find My forbids it.
    FindMyLocked,
    /// The organisation or the kind of connection forbids it.
    Forbidden(ErrorName),
    /// Only supervisors may pair, and the device takes none of our identities for one.
    NotSupervisor {
        /// Their names.
        tried: String,
    },
    /// There is no usable record and pairing was not allowed.
    NeedsPairing,
    /// The record made a moment ago does not start a session. Pairing again would not help.
    NewRecordUseless {
        /// Why.
        reason: String,
    },
    /// The device never answered the question.
    NoAnswer {
        /// What happened last.
        reason: String,
    },
    /// The device will not store our record.
    RecordRefused(ErrorName),
    /// Nobody acted in time.
    TimedOut(Awaiting),
    /// The device's own trouble.
    Trouble(LockdownError),
}

/// A device that trusts us.
#[derive(Debug)]
pub struct Earned {
    /// The session.
    pub session: DeviceSession,
    /// Facts readable without a session.
    pub facts: Facts,
    /// True if a new pair record was made.
    pub paired: bool,
    /// The supervision identity that needed no person, by name (3.7).
    pub supervised_by: Option<String>,
    /// What was wrong with the stored record, if it had to be replaced.
    pub repaired: Option<String>,
}

/// The station's side of trust.
#[derive(Debug, Clone)]
pub struct Trust {
    identity: Arc<StationIdentity>,
    store: RecordStore,
    supervisors: Arc<Supervisors>,
}

/// What testing the stored records came to.
enum Stored {
    Works(Box<DeviceSession>),
    Locked,
    /// No record, or none that works. The connection is kept if it was not used up.
    Useless {
        reason: Option<String>,
        lockdown: Option<LockdownClient>,
    },
}

impl Trust {
    /// Trust in the name of `identity`, keeping record versions in `store`.
    pub fn new(identity: Arc<StationIdentity>, store: RecordStore) -> Self {
        Self { identity, store, supervisors: Arc::default() }
    }

    /// The same, holding supervision identities.
    #[must_use]
    pub fn supervising(self, supervisors: Supervisors) -> Self {
        Self { supervisors: Arc::new(supervisors), ..self }
    }

    /// The supervision identities of this station.
    pub fn supervisors(&self) -> &Supervisors {
        &self.supervisors
    }

    /// Starts a session: with a stored record if one holds, else after pairing.
    ///
    /// # Errors
    /// Transport and device errors. Everything a person or an organisation decides is in
    /// [`NotTrusted`].
    pub async fn earn(
        &self,
        link: &DeviceLink,
        limits: TrustLimits,
        observer: &dyn TrustObserver,
    ) -> Result<Result<Earned, NotTrusted>, DeviceError> {
        let (mut lockdown, open, facts) = meet(link).await?;
        observer.met(&facts).await;
        let floor = tls_floor(&facts);
        let patience = Patience::new(limits.person);
        loop {
            match self.test_stored(link, lockdown, floor).await? {
                Stored::Works(session) => {
                    return Ok(Ok(Earned {
                        session: *session,
                        facts,
                        paired: false,
                        supervised_by: None,
                        repaired: None,
                    }));
                }
                Stored::Locked if patience.is_over() => {
                    return Ok(Err(NotTrusted::TimedOut(Awaiting::Unlock)));
                }
                Stored::Locked => {
                    patience.tell(observer, Awaiting::Unlock).await;
                    sleep(UNLOCK_POLL).await;
                    lockdown = link.lockdown().await?;
                }
                Stored::Useless { reason, .. } if !limits.may_pair => {
                    tracing::debug!(udid = %link.udid(), ?reason, "no usable pair record");
                    return Ok(Err(NotTrusted::NeedsPairing));
                }
                Stored::Useless { reason, lockdown } => {
                    let pairing = PairingRun { trust: self, link, open, floor, patience, observer };
                    let paired = pairing.run(lockdown).await?;
                    return Ok(paired.map(|(session, supervised_by)| Earned {
                        session,
                        facts,
                        paired: true,
                        supervised_by,
                        repaired: reason,
                    }));
                }
            }
        }
    }

    /// Tests the mux's record, and our own newest version if the mux has none.
    async fn test_stored(
        &self,
        link: &DeviceLink,
        lockdown: LockdownClient,
        floor: TlsFloor,
    ) -> Result<Stored, DeviceError> {
        let udid = link.udid();
        let stored = match link.backend().read_pair_record(udid).await? {
            Some(bytes) => Some(bytes),
            None => self.store.newest(udid)?,
        };
        let Some(bytes) = stored else {
            return Ok(Stored::Useless { reason: None, lockdown: Some(lockdown) });
        };
        self.store.keep(udid, &bytes)?;
        let record = match PairRecord::from_bytes(bytes.expose()) {
            Ok(record) => record,
            Err(error) => {
                return Ok(Stored::Useless { reason: Some(error.to_string()), lockdown: Some(lockdown) });
            }
        };
        let first = DeviceSession::start(link, lockdown, &record, floor).await?;
        // A record is not given up because of one failed handshake (3.9: "only after a
        // second try").
        let tested = match first {
            SessionTest::TlsRefused { .. } => {
                DeviceSession::start(link, link.lockdown().await?, &record, floor).await?
            }
            other => other,
        };
        Ok(match tested {
            SessionTest::Started(session) => Stored::Works(session),
            SessionTest::Locked => Stored::Locked,
            SessionTest::UnknownHost => Stored::Useless {
                reason: Some("the device no longer knows this station".into()),
                lockdown: None,
            },
            SessionTest::TlsRefused { reason } => Stored::Useless {
                reason: Some(format!("the stored pair record no longer works: {reason}")),
                lockdown: None,
            },
        })
    }

    /// Keeps and stores a new record. A mux that will not store it is no reason to lose the
    /// trust just earned: our own copy serves the next session.
    async fn save(&self, link: &DeviceLink, record: &PairRecord) -> Result<(), DeviceError> {
        let bytes = record.to_bytes();
        self.store.keep(link.udid(), &bytes)?;
        let saved = link.backend().save_pair_record(link.udid(), &bytes, Some(link.attachment().id)).await;
        if let Err(error) = saved {
            tracing::warn!(udid = %link.udid(), %error, "the mux did not store the pair record; our copy is used");
        }
        Ok(())
    }

    /// Gives trust back: tells the device, and forgets the record in the mux. A version
    /// stays in our store.
    ///
    /// # Errors
    /// Transport errors. A device that does not know us any more counts as done.
    pub async fn unpair(&self, link: &DeviceLink) -> Result<bool, DeviceError> {
        let Some(bytes) = link.backend().read_pair_record(link.udid()).await? else { return Ok(false) };
        self.store.keep(link.udid(), &bytes)?;
        if let Ok(record) = PairRecord::from_bytes(bytes.expose()) {
            let request =
                Request::Unpair { host_id: record.host_id.clone(), record: Secret::new(record.for_device()) };
            match link.lockdown().await?.unpair(&request).await {
                Ok(()) => {}
                Err(DeviceError::Lockdown { error, .. }) if error.name == ErrorName::InvalidHostId => {}
                Err(error) => return Err(error),
            }
        }
        link.backend().delete_pair_record(link.udid()).await?;
        self.store.retire(link.udid())?;
        Ok(true)
    }
}

fn tls_floor(facts: &Facts) -> TlsFloor {
    match facts.os() {
        Some(OsVersion { major, .. }) if major < 10 => TlsFloor::Tls10,
        _ => TlsFloor::Tls12,
    }
}

/// One deadline for a person, and what they were last told.
struct Patience {
    deadline: Instant,
    told: std::sync::Mutex<Option<Awaiting>>,
}

impl Patience {
    fn new(person: Duration) -> Self {
        Self { deadline: Instant::now() + person, told: std::sync::Mutex::new(None) }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Deadline of one answer: a device that holds it back while its dialog comes up must
    /// not outlast the person's time.
    fn answer_within(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).clamp(LEAST_ANSWER, PAIR_ANSWER)
    }

    async fn tell(&self, observer: &dyn TrustObserver, what: Awaiting) {
        let news = match self.told.lock() {
            Ok(mut told) => told.replace(what) != Some(what),
            Err(_) => true,
        };
        if news {
            observer.awaiting(what, self.deadline.saturating_duration_since(Instant::now())).await;
        }
    }
}

/// One pairing: the same record asked for until the device decides.
struct PairingRun<'a> {
    trust: &'a Trust,
    link: &'a DeviceLink,
    open: Dictionary,
    floor: TlsFloor,
    patience: Patience,
    observer: &'a dyn TrustObserver,
}

/// A new connection, what it tells without a session, and the facts in that. A mux may give a
/// connection to another device each time: whoever is there has to be the one that is meant.
async fn meet(link: &DeviceLink) -> Result<(LockdownClient, Dictionary, Facts), DeviceError> {
    let mut connection = link.lockdown().await?;
    let open = connection.values(None).await?;
    let mut facts = Facts::default();
    facts.take_default_domain(&open);
    facts.expect_device(link.udid())?;
    Ok((connection, open, facts))
}

impl PairingRun<'_> {
    async fn run(
        self,
        first: Option<LockdownClient>,
    ) -> Result<Result<(DeviceSession, Option<String>), NotTrusted>, DeviceError> {
        let buid = self.link.backend().read_buid().await.ok();
        let mut lockdown = first;
        let mut last_error = "the device started over each time".to_owned();
        for _ in 0..PAIR_CONNECTIONS {
            let (mut connection, open) = match lockdown.take() {
                Some(connection) => (connection, self.open.clone()),
                // "Read DevicePublicKey on the same connection" (3.6): a new one asks again.
                None => {
                    let (connection, open, _) = meet(self.link).await?;
                    (connection, open)
                }
            };
            let record = self.draft_record(&mut connection, &open, buid.as_deref()).await?;
            match self.ask_until_decided(&mut connection, &record).await {
                Ok(Decision::Trusted { escrow_bag, by }) => {
                    let record = PairRecord { escrow_bag, ..record };
                    self.trust.save(self.link, &record).await?;
                    let session = self.start_session(connection, &record).await?;
                    return Ok(session.map(|session| (session, by)));
                }
                Ok(Decision::No(reason)) => return Ok(Err(reason)),
                Ok(Decision::Again) => {}
                // The device dropped this connection while its person was thinking.
                Err(error @ (TransportError::Closed { .. } | TransportError::Timeout { .. })) => {
                    last_error = error.to_string();
                }
                Err(error) => return Err(error.into()),
            }
            if self.patience.is_over() {
                break;
            }
        }
        Ok(Err(NotTrusted::NoAnswer { reason: last_error }))
    }

    /// The record to offer; `open` is what this connection was told without a session.
    async fn draft_record(
        &self,
        connection: &mut LockdownClient,
        open: &Dictionary,
        buid: Option<&str>,
    ) -> Result<PairRecord, DeviceError> {
        let key = match open.bytes("DevicePublicKey") {
            Some(key) => key.to_vec(),
            None => {
                let value = connection.get(None, Some("DevicePublicKey")).await?;
                let reason = || DeviceError::DeviceKey { reason: "the device gave none".into() };
                value.and_then(|v| v.into_data()).ok_or_else(reason)?
            }
        };
        let wifi = open.text("WiFiAddress").map(str::to_owned);
        self.trust.identity.record_for(&key, buid, wifi)
    }

    async fn ask_until_decided(
        &self,
        connection: &mut LockdownClient,
        record: &PairRecord,
    ) -> Result<Decision, TransportError> {
        for identity in self.trust.supervisors.all() {
            if let Some(decision) = self.ask_as_supervisor(connection, record, identity).await? {
                return Ok(decision);
            }
        }
        let request = pair_request(record, PairingOptions::default());
        let mut troubles = 0;
        loop {
            let reply = connection.ask(&request, self.patience.answer_within()).await?;
            let (awaiting, pause) = match Pairing::of(&reply) {
                Pairing::Trusted { escrow_bag } => return Ok(Decision::Trusted { escrow_bag, by: None }),
                Pairing::DialogPending => (Some(Awaiting::Trust), TRUST_POLL),
                Pairing::Locked => (Some(Awaiting::Unlock), UNLOCK_POLL),
                Pairing::Denied => return Ok(Decision::No(NotTrusted::Denied)),
                Pairing::Forbidden(name) => return Ok(Decision::No(self.forbidden(name))),
                Pairing::ChallengeRequired(_) => {
                    return Ok(Decision::No(self.forbidden(ErrorName::McChallengeRequired)));
                }
                Pairing::FindMyLocked => return Ok(Decision::No(NotTrusted::FindMyLocked)),
                Pairing::HostVanished => return Ok(Decision::Again),
                Pairing::RecordRefused(name) => return Ok(Decision::No(NotTrusted::RecordRefused(name))),
                Pairing::Trouble(error) if troubles > 0 => {
                    return Ok(Decision::No(NotTrusted::Trouble(error)));
                }
                Pairing::Trouble(_) => (None, TRUST_POLL),
            };
            match awaiting {
                Some(what) if self.patience.is_over() => return Ok(Decision::No(NotTrusted::TimedOut(what))),
                Some(what) => self.patience.tell(self.observer, what).await,
                None => troubles += 1,
            }
            sleep(pause).await;
        }
    }

    /// Asks as a supervisor (3.7), both times on this connection, to which the challenge is
    /// bound. `None` if the device does not take this identity for its supervisor: whatever
    /// it says then, it says again to a host without one.
    async fn ask_as_supervisor(
        &self,
        connection: &mut LockdownClient,
        record: &PairRecord,
        identity: &SupervisionIdentity,
    ) -> Result<Option<Decision>, TransportError> {
        let certificate = Some(identity.certificate().to_vec());
        let options = PairingOptions { supervisor_certificate: certificate, ..PairingOptions::default() };
        let within = self.patience.answer_within();
        let mut reply = connection.ask(&pair_request(record, options), within).await?;
        let mut challenged = false;
        if let Pairing::ChallengeRequired(challenge) = Pairing::of(&reply) {
            let response = match identity.sign(&challenge) {
                Ok(response) => Some(response),
                Err(error) => {
                    tracing::warn!(%error, "the pairing challenge was not answered");
                    return Ok(None);
                }
            };
            let options = PairingOptions { challenge_response: response, ..PairingOptions::default() };
            reply = connection.ask(&pair_request(record, options), within).await?;
            challenged = true;
        }
        Ok(match Pairing::of(&reply) {
            Pairing::Trusted { escrow_bag } => {
                let by = challenged.then(|| identity.name().to_owned());
                Some(Decision::Trusted { escrow_bag, by })
            }
            Pairing::FindMyLocked => Some(Decision::No(NotTrusted::FindMyLocked)),
            Pairing::HostVanished => Some(Decision::Again),
            answer => {
                tracing::debug!(
                    identity = identity.name(),
                    ?answer,
                    "this supervision identity is not taken"
                );
                None
            }
        })
    }

    /// Why pairing is forbidden, to a station that holds identities or not.
    fn forbidden(&self, name: ErrorName) -> NotTrusted {
        let all = self.trust.supervisors.all();
        let by_management = matches!(name, ErrorName::McProtected | ErrorName::McChallengeRequired);
        if all.is_empty() || !by_management {
            return NotTrusted::Forbidden(name);
        }
        let now = self.trust.store.now();
        let tried: Vec<_> = all.iter().map(|identity| identity.described(now)).collect();
        NotTrusted::NotSupervisor { tried: tried.join("; ") }
    }

    async fn start_session(
        &self,
        connection: LockdownClient,
        record: &PairRecord,
    ) -> Result<Result<DeviceSession, NotTrusted>, DeviceError> {
        let useless = |reason: &str| Ok(Err(NotTrusted::NewRecordUseless { reason: reason.to_owned() }));
        let mut connection = connection;
        loop {
            match DeviceSession::start(self.link, connection, record, self.floor).await? {
                SessionTest::Started(session) => return Ok(Ok(*session)),
                SessionTest::UnknownHost => {
                    return useless("it does not know the station it just trusted");
                }
                SessionTest::TlsRefused { reason } => return useless(&reason),
                SessionTest::Locked if self.patience.is_over() => {
                    return Ok(Err(NotTrusted::TimedOut(Awaiting::Unlock)));
                }
                // It was locked after its person had tapped Trust (3.9, 3.12).
                SessionTest::Locked => {
                    self.patience.tell(self.observer, Awaiting::Unlock).await;
                    sleep(UNLOCK_POLL).await;
                    connection = self.link.lockdown().await?;
                }
            }
        }
    }
}

/// A Pair request for `record`; the real error is always asked for (3.6).
fn pair_request(record: &PairRecord, options: PairingOptions) -> Request {
    Request::Pair {
        record: Secret::new(record.for_device()),
        host_name: None,
        options: PairingOptions { extended_errors: true, ..options },
    }
}

enum Decision {
    Trusted {
        escrow_bag: Option<Secret<Vec<u8>>>,
        /// The identity that made a person needless.
        by: Option<String>,
    },
    No(NotTrusted),
    Again,
}
