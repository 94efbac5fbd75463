//! Single things with single devices: look, pair, unpair, list, remove.

use super::{BayNames, BayState, unserved};
use crate::device::facts::Facts;
use crate::device::services::ready_made::DeviceLog;
use crate::device::trust::{Earned, NotTrusted, Trust, TrustLimits, TrustObserver};
use crate::device::{DeviceError, DeviceLink};
use crate::limits::{GLANCE, REPLUG_DEBOUNCE};
use crate::transport::{Attachment, Backend, TransportError, Unserved};
use crate::wire::mcinstall::InstalledProfile;
use crate::workflow::failure::Failure;
use crate::workflow::outcome::{Class, Outcome, Verdict};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Pause between looks for a device that is not here yet.
const ARRIVAL_POLL: Duration = Duration::from_millis(200);

/// Why no device could be picked.
#[derive(Debug, thiserror::Error)]
pub enum PickError {
    /// The mux cannot be asked.
    #[error(transparent)]
    Mux(#[from] TransportError),
    /// Nothing is attached.
    #[error("no device is attached")]
    None,
    /// Devices hang on the bus, and no mux serves any of them.
    #[error("{}", none_served(states.len()))]
    NoneServed {
        /// How they stand, in the order of bays.
        states: Vec<BayState>,
    },
    /// The wanted one is not.
    #[error("no attached device has the UDID {wanted}")]
    NotHere {
        /// As typed.
        wanted: String,
        /// Those that are attached.
        attached: Vec<Attachment>,
    },
    /// The wanted one is on the bus, and no mux serves it.
    #[error("{}", state.standing.sentence)]
    Unserved {
        /// How it stands.
        state: Box<BayState>,
    },
    /// Several could be meant.
    #[error("{} devices are attached; say which one with -u UDID", attached.len())]
    Ambiguous {
        /// Those that are attached.
        attached: Vec<Attachment>,
    },
}

fn none_served(devices: usize) -> String {
    match devices {
        1 => "the device on the bus cannot be spoken to".to_owned(),
        n => format!("none of the {n} devices on the bus can be spoken to"),
    }
}

/// What a session shows of a device.
#[derive(Debug)]
pub struct Info {
    /// Facts.
    pub facts: Facts,
    /// Installed profiles; `None` if they could not be read, with the reason in `limited`.
    pub installed: Option<Vec<InstalledProfile>>,
    /// Why not everything could be read.
    pub limited: Option<Verdict>,
}

/// The desk.
#[derive(Debug, Clone)]
pub struct Desk {
    backend: Arc<dyn Backend>,
    trust: Trust,
    bays: Arc<BayNames>,
}

impl Desk {
    /// A desk over `backend`, whose ports have these names.
    pub fn new(backend: Arc<dyn Backend>, trust: Trust, bays: Arc<BayNames>) -> Self {
        Self { backend, trust, bays }
    }

    /// What the backend is, for messages.
    pub fn describe_backend(&self) -> String {
        self.backend.describe()
    }

    /// Everything attached by cable, in the order of bays.
    ///
    /// # Errors
    /// The mux cannot be asked.
    pub async fn attached(&self) -> Result<Vec<Attachment>, TransportError> {
        let mut list = self.backend.list().await?;
        list.sort_by_cached_key(|a| (self.bays.of(a).sort_key(), a.udid.clone()));
        list.dedup_by(|a, b| a.udid == b.udid);
        Ok(list)
    }

    /// Asks again while the answer is that nothing (meant) is here: a device may be enumerating
    /// just now, as it does several times in its first seconds (1.12).
    ///
    /// # Errors
    /// As `ask`.
    pub async fn patiently<T>(
        &self,
        ask: impl AsyncFn(&Self) -> Result<T, PickError>,
    ) -> Result<T, PickError> {
        let deadline = Instant::now() + REPLUG_DEBOUNCE;
        loop {
            match ask(self).await {
                Err(PickError::None | PickError::NotHere { .. }) if Instant::now() < deadline => {
                    sleep(ARRIVAL_POLL).await;
                }
                answer => return answer,
            }
        }
    }

    /// Devices that no mux serves, in the order of bays.
    pub async fn unserved(&self) -> Vec<BayState> {
        let mut list: Vec<_> = self.backend.unserved().await.iter().map(|u| self.stands(u)).collect();
        list.sort_by_cached_key(|state| state.bay.sort_key());
        list
    }

    /// How a device that no mux serves stands.
    pub fn stands(&self, unserved: &Unserved) -> BayState {
        BayState::of_unserved(unserved, self.bays.of_port(&unserved.device.port).0)
    }

    /// The device meant: the only one attached, or the one with this UDID.
    ///
    /// # Errors
    /// [`PickError`].
    pub async fn pick(&self, wanted: Option<&str>) -> Result<DeviceLink, PickError> {
        let attached = self.attached().await?;
        let found = match wanted {
            Some(text) => match attached.iter().find(|a| a.udid.is_meant_by(text)) {
                Some(found) => found.clone(),
                None => return Err(self.not_here(text, attached).await),
            },
            None if attached.len() > 1 => return Err(PickError::Ambiguous { attached }),
            None => match attached.into_iter().next() {
                Some(only) => only,
                None => return Err(self.nothing().await),
            },
        };
        Ok(self.link(found))
    }

    /// As [`Desk::attached`], and at least one.
    ///
    /// # Errors
    /// [`PickError`].
    pub async fn any_attached(&self) -> Result<Vec<Attachment>, PickError> {
        let attached = self.attached().await?;
        match attached.is_empty() {
            true => Err(self.nothing().await),
            false => Ok(attached),
        }
    }

    /// Why nothing is attached.
    async fn nothing(&self) -> PickError {
        let states = self.unserved().await;
        if states.is_empty() { PickError::None } else { PickError::NoneServed { states } }
    }

    /// A device that no mux serves may be meant by serial number, ECID or IMEI too.
    async fn not_here(&self, wanted: &str, attached: Vec<Attachment>) -> PickError {
        let unserved = self.backend.unserved().await;
        match unserved.iter().find(|u| unserved::is_meant_by(u, wanted)) {
            Some(found) => PickError::Unserved { state: Box::new(self.stands(found)) },
            None => PickError::NotHere { wanted: wanted.to_owned(), attached },
        }
    }

    /// The link to an attachment.
    pub fn link(&self, attachment: Attachment) -> DeviceLink {
        let bay = self.bays.of(&attachment);
        DeviceLink::new(self.backend.clone(), attachment, bay)
    }

    /// What a device tells everybody; asks it nothing that could raise a dialog.
    ///
    /// # Errors
    /// How it stands instead.
    pub async fn glance(&self, link: &DeviceLink) -> Result<Facts, Verdict> {
        let look = async {
            let mut facts = Facts::default();
            facts.take_default_domain(&link.lockdown().await?.values(None).await?);
            Ok::<_, DeviceError>(facts)
        };
        match timeout(GLANCE, look).await {
            Ok(facts) => facts.map_err(|e| verdict_of(&e)),
            Err(_) => Err(Verdict::failed(
                Class::Device,
                "The device does not answer.",
                "Unlock it, or unplug it and plug it in again.",
            )),
        }
    }

    /// Whether a pair record for it is stored.
    pub async fn has_record(&self, link: &DeviceLink) -> bool {
        matches!(link.backend().read_pair_record(link.udid()).await, Ok(Some(_)))
    }

    /// Everything a session shows. A device that does not trust us shows what it tells
    /// everybody, and why not more.
    ///
    /// # Errors
    /// How it stands instead.
    pub async fn info(&self, link: &DeviceLink) -> Result<Info, Verdict> {
        let open = self.glance(link).await?;
        let limits = TrustLimits { person: Duration::ZERO, may_pair: false };
        let limited = |verdict| Info { facts: open.clone(), installed: None, limited: Some(verdict) };
        let earned = match self.trust.earn(link, limits, &Nobody).await {
            Ok(Ok(earned)) => earned,
            Ok(Err(NotTrusted::NeedsPairing)) => return Ok(limited(not_paired())),
            Ok(Err(reason)) => return Ok(limited(verdict_of_trust(&reason))),
            Err(error) => return Ok(limited(verdict_of(&error))),
        };
        let Earned { mut session, mut facts, .. } = earned;
        if let Err(error) = facts.read_session(&mut session).await {
            return Ok(limited(verdict_of(&error)));
        }
        let profiles = async {
            let mut mcinstall = session.mcinstall().await?;
            let cloud = mcinstall.cloud_configuration().await?;
            Ok::<_, DeviceError>((cloud, mcinstall.profiles().await?))
        };
        Ok(match profiles.await {
            Ok((cloud, installed)) => {
                facts.take_cloud_configuration(cloud.as_ref());
                facts.look_for_company_portal(&mut session).await;
                Info { facts, installed: Some(installed), limited: None }
            }
            Err(error) => Info { facts, installed: None, limited: Some(verdict_of(&error)) },
        })
    }

    /// Earns trust and a session.
    ///
    /// # Errors
    /// How it stands instead.
    pub async fn pair(
        &self,
        link: &DeviceLink,
        limits: TrustLimits,
        observer: &dyn TrustObserver,
    ) -> Result<Earned, Verdict> {
        match self.trust.earn(link, limits, observer).await {
            Ok(Ok(earned)) => Ok(earned),
            Ok(Err(reason)) => Err(verdict_of_trust(&reason)),
            Err(error) => Err(verdict_of(&error)),
        }
    }

    /// Gives trust back; false if there was none.
    ///
    /// # Errors
    /// How it stands instead.
    pub async fn unpair(&self, link: &DeviceLink) -> Result<bool, Verdict> {
        self.trust.unpair(link).await.map_err(|e| verdict_of(&e))
    }

    /// Installed configuration profiles.
    ///
    /// # Errors
    /// How it stands instead.
    pub async fn installed(&self, earned: &mut Earned) -> Result<Vec<InstalledProfile>, Verdict> {
        let listed = async { earned.session.mcinstall().await?.profiles().await };
        listed.await.map_err(|e| verdict_of(&e))
    }

    /// As [`Desk::installed`], and takes the supervision data into the facts.
    ///
    /// # Errors
    /// How it stands instead.
    pub async fn managed(&self, earned: &mut Earned) -> Result<Vec<InstalledProfile>, Verdict> {
        let looked = async {
            earned.facts.read_session(&mut earned.session).await?;
            let mut mcinstall = earned.session.mcinstall().await?;
            earned.facts.take_cloud_configuration(mcinstall.cloud_configuration().await?.as_ref());
            mcinstall.profiles().await
        };
        looked.await.map_err(|e| verdict_of(&e))
    }

    /// Removes the profile `identifier` and reads the list back; `None` if it is not there.
    ///
    /// # Errors
    /// How it stands instead; a device may acknowledge and keep it.
    pub async fn remove(
        &self,
        earned: &mut Earned,
        identifier: &str,
    ) -> Result<Option<InstalledProfile>, Verdict> {
        let removal = async {
            let mut mcinstall = earned.session.mcinstall().await?;
            let listed = mcinstall.profiles().await?;
            let Some(profile) = listed.into_iter().find(|p| p.identifier == identifier) else {
                return Ok((None, false));
            };
            mcinstall.remove(&profile).await?;
            let stays = mcinstall.profiles().await?.iter().any(|p| p.identifier == identifier);
            Ok((Some(profile), stays))
        };
        match removal.await {
            Ok((_, true)) => Err(Verdict::failed(
                Class::Device,
                "The device acknowledged the removal and still lists the profile.",
                "Remove it on the device: Settings > General > VPN & Device Management.",
            )),
            Ok((removed, false)) => Ok(removed),
            Err(error) => Err(verdict_of(&error)),
        }
    }

    /// The device's own log.
    ///
    /// # Errors
    /// How it stands instead.
    pub async fn log(&self, earned: &mut Earned) -> Result<DeviceLog, Verdict> {
        DeviceLog::open(&mut earned.session).await.map_err(|e| verdict_of(&e))
    }
}

struct Nobody;

#[async_trait::async_trait]
impl TrustObserver for Nobody {
    async fn met(&self, _: &Facts) {}
    async fn awaiting(&self, _: crate::device::trust::Awaiting, _: Duration) {}
}

fn not_paired() -> Verdict {
    Verdict::from(Outcome::Attached)
        .saying("The device is not paired with this station, so it shows only what it tells everybody.")
        .then("Run `enlist pair` for it.")
}

fn verdict_of(error: &DeviceError) -> Verdict {
    settle(Failure::of(error))
}

fn verdict_of_trust(reason: &NotTrusted) -> Verdict {
    settle(Failure::of_trust(reason))
}

/// At the desk nothing is tried again: a failure is how it stands.
fn settle(failure: Failure) -> Verdict {
    match failure {
        Failure::Final(verdict) | Failure::RetryLater { verdict } | Failure::RetryOnce { verdict } => verdict,
        Failure::AwaitUnlock { state } => state.into(),
        Failure::Reconnect { reason } => Verdict::failed(
            Class::Transport,
            crate::wire::printable::sentence(&reason),
            "Check the cable, plug the device in again, and see `enlist doctor`.",
        ),
    }
}
