//! mc_mobile_tunnel: profiles and supervision (protocols.md 4).

use crate::sim::device::Device;
use crate::sim::installer::DeviceProfile;
use crate::sim::link::Link;
use crate::sim::profiles::Push;
use crate::wire::fields::Fields;
use crate::wire::mcinstall::{Reply, Request, SERVICE, Status};
use plist::{Dictionary, Value};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

/// Length of the escalation challenge (4.6).
const CHALLENGE_BYTES: usize = 8;

/// What a connection remembers; "the state dies with the connection" (4.1).
#[derive(Default)]
struct Tunnel {
    challenge: Option<(Vec<u8>, Vec<u8>)>,
    escalated: bool,
}

/// Serves one connection: one request, one reply, strictly alternating.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(device: &Arc<Device>, io: &mut S) {
    let mut link = Link::new(io, device, SERVICE);
    let mut tunnel = Tunnel::default();
    while let Some(fields) = link.request("RequestType").await {
        let reply = tunnel.answer(device, &fields).await;
        let ends = reply.ends;
        let trouble = || {
            let chain = device.with(|s| s.chain(&[("MCInstallationErrorDomain", 4016)]));
            Reply::error(&chain).into_plist()
        };
        let refused = link.refuses();
        let alive = link.answer(reply.reply.into_plist(), trouble).await;
        // Whether anybody heard the answer or not.
        if reply.erases && !refused {
            device.with(|s| s.erase());
        }
        if !alive || ends {
            break;
        }
    }
}

/// A reply and what follows it.
struct Answer {
    reply: Reply,
    ends: bool,
    erases: bool,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, ends: false, erases: false }
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Reply::status_only(&status).into()
    }
}

impl Tunnel {
    async fn answer(&mut self, device: &Arc<Device>, fields: &Dictionary) -> Answer {
        let name = fields.text("RequestType").unwrap_or_default();
        // The device reads what it removes by itself: a signed removal is no plain plist.
        if name == "RemoveProfile" {
            return device.with(|s| s.remove_profile(fields.get("ProfileIdentifier"))).into();
        }
        if name == "EraseDevice" {
            let refusal = device.with(|s| s.erase_request(fields));
            let erases = refusal.is_none();
            let reply = refusal.unwrap_or_else(|| Reply::status_only(&Status::Acknowledged));
            return Answer { reply, ends: false, erases };
        }
        if let Some(reply) = payload_refusal(device, name, fields) {
            return reply.into();
        }
        match Request::from_plist(fields) {
            Err(status) => status.into(),
            Ok(request) => self.carry_out(device, request, fields).await,
        }
    }

    async fn carry_out(&mut self, device: &Arc<Device>, request: Request, fields: &Dictionary) -> Answer {
        match request {
            Request::HelloHostIdentifier => Status::Acknowledged.into(),
            Request::Disconnect => {
                Answer { reply: Reply::status_only(&Status::Acknowledged), ends: true, erases: false }
            }
            // "Resets per-connection state" (4.4).
            Request::Flush => {
                *self = Self::default();
                Status::Acknowledged.into()
            }
            Request::GetProfileList => device.with(|s| Reply::profile_list(s.profiles.listed())).into(),
            Request::GetCloudConfiguration => device.with(|s| s.cloud_configuration()).into(),
            Request::SetCloudConfiguration { configuration } => {
                device.with(|s| s.set_cloud_configuration(configuration.expose())).into()
            }
            Request::Escalate { supervisor_certificate } => self.escalate(device, supervisor_certificate),
            Request::EscalateResponse { signed_request } => {
                self.check_response(device, signed_request.expose())
            }
            Request::ProceedWithKeybagMigration if self.escalated => Status::Acknowledged.into(),
            Request::InstallProfile { payload } => push(device, payload.expose(), false).await.into(),
            Request::InstallProfileSilent { .. }
                if self.escalated && device.with(|s| s.settings.silent_install_forbidden) =>
            {
                let chain = device.with(|s| s.chain(&[("DMCInstallationErrorDomain", 4022)]));
                Reply::error(&chain).into()
            }
            Request::InstallProfileSilent { payload } if self.escalated => {
                push(device, payload.expose(), true).await.into()
            }
            other => device.with(|s| s.other_request(other.name(), fields, self.escalated)).into(),
        }
    }

    fn escalate(&mut self, device: &Arc<Device>, certificate: Vec<u8>) -> Answer {
        if !device.with(|s| s.is_supervisor(&certificate)) {
            return Status::CertificateRejected.into();
        }
        let challenge = device.with(|s| s.challenge_bytes(CHALLENGE_BYTES));
        self.challenge = Some((challenge.clone(), certificate));
        Reply::status_only(&Status::Acknowledged).with("Challenge", Value::Data(challenge)).into()
    }

    /// "The challenge is cleared: send Escalate again" (4.4).
    fn check_response(&mut self, device: &Arc<Device>, response: &[u8]) -> Answer {
        let Some((challenge, supervisor)) = self.challenge.take() else {
            return Status::SignedRequestRejected.into();
        };
        self.escalated = device.with(|s| {
            let answered = s.is_answered(response, &challenge, &supervisor);
            s.counters.escalations += u64::from(answered);
            answered
        });
        if self.escalated { Status::Acknowledged.into() } else { Status::SignedRequestRejected.into() }
    }
}

/// "No Payload: payload empty status; neither data nor dict: 14000" (4.5).
fn payload_refusal(device: &Arc<Device>, name: &str, fields: &Dictionary) -> Option<Reply> {
    if name != "InstallProfile" && name != "InstallProfileSilent" {
        return None;
    }
    match fields.get("Payload") {
        Some(Value::Data(_) | Value::Dictionary(_)) => None,
        Some(_) => {
            let chain = device.with(|s| s.chain(&[("DMCTunnelErrorDomain", 14000)]));
            Some(Reply::error(&chain))
        }
        None => {
            let text = device.with(|s| s.settings.payload_empty_status.clone());
            Some(Reply::status_only(&Status::Other(text)))
        }
    }
}

/// A push. A silent install runs on its own: "a lost connection does not cancel it" (4.5).
async fn push(device: &Arc<Device>, bytes: &[u8], silently: bool) -> Reply {
    let profile = match device.with(|s| s.push(bytes, silently)) {
        Push::Answer(reply) => return reply,
        Push::Silent(profile) => profile,
    };
    let install = install(Arc::clone(device), profile);
    tokio::spawn(install).await.unwrap_or_else(|_| Reply::status_only(&Status::Error))
}

async fn install(device: Arc<Device>, profile: Box<DeviceProfile>) -> Reply {
    let takes = device.with(|s| s.settings.install_takes.0);
    if !takes.is_zero() {
        sleep(takes).await;
    }
    device.with(|s| s.finish_silent_install(*profile))
}
