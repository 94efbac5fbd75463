//! lockdownd (protocols.md 3).

use crate::sim::device::Device;
use crate::sim::link::Link;
use crate::sim::tls;
use crate::sim::trust::Challenge;
use crate::wire::fields::{Fields, dictionary};
use crate::wire::lockdown::{ErrorName, PairingOptions, Reply, Request, TYPE_NORMAL};
use openssl::ssl::SslContext;
use plist::{Dictionary, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};

/// "Device waits 60 s for each message, then drops the connection" (3.1).
pub(in crate::sim) const IDLE: Duration = Duration::from_secs(60);

/// What a restore system calls itself (3.2).
const TYPE_RESTORE: &str = "com.apple.mobile.restored";

/// Most keys of one GetMultipleValues.
const MOST_KEYS: usize = 1000;

/// One connection to lockdown.
struct Lockdown<'a> {
    device: &'a Arc<Device>,
    session: Option<Session>,
    /// The pairing challenge "is bound to the connection" (3.7).
    challenge: Option<Challenge>,
}

struct Session {
    id: String,
    context: SslContext,
}

/// What follows an answer.
enum Next {
    Message,
    Tls(SslContext),
    End,
}

/// How a stretch of messages ended.
enum Stretch {
    /// The next byte is TLS.
    Tls(SslContext),
    /// The stream, or TLS on it, is over.
    Over,
    /// We end the connection.
    End,
}

/// Serves one connection.
pub(in crate::sim) async fn serve(device: &Arc<Device>, mut io: DuplexStream) {
    let mut lockdown = Lockdown { device, session: None, challenge: None };
    while let Stretch::Tls(context) = lockdown.converse(&mut io).await {
        device.latency().await;
        let Some(mut stream) = tls::accept(&context, &mut io).await else { return };
        device.with(|s| s.counters.handshakes += 1);
        let ended = lockdown.converse(&mut stream).await;
        // After StopSession a host may drop TLS and go on in plain text (3.9): then it says
        // so with close_notify, and so do we. Otherwise devices just close.
        let back_to_plain = matches!(ended, Stretch::Over) && lockdown.session.is_none();
        if back_to_plain || device.with(|s| s.settings.close_notify) {
            let _ = stream.shutdown().await;
        }
        if !back_to_plain {
            return;
        }
    }
}

impl Lockdown<'_> {
    /// Answers messages on `io` until something else follows.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&mut self, io: &mut S) -> Stretch {
        let mut link = Link::new(io, self.device, "lockdown").with_idle_limit(IDLE);
        loop {
            let Some(fields) = link.request("Request").await else { return Stretch::Over };
            let name = fields.text("Request").unwrap_or_default().to_owned();
            let (reply, next) = self.carry_out(&fields);
            let Some(reply) = reply else { return Stretch::End };
            let trouble = || Reply::to(&name).with_error(&ErrorName::InternalError).into_plist();
            let alive = link.answer(reply.into_plist(), trouble).await;
            match next {
                _ if !alive => return Stretch::End,
                Next::Message => {}
                Next::Tls(context) => return Stretch::Tls(context),
                Next::End => return Stretch::End,
            }
        }
    }

    /// The answer, and what follows it. No answer: the connection ends (3.1).
    fn carry_out(&mut self, fields: &Dictionary) -> (Option<Reply>, Next) {
        let name = fields.text("Request").unwrap_or_default();
        // Requests that echo what they asked for (3.1 "reply shape").
        let mut reply = Reply::to(name);
        for key in ["Domain", "Key"] {
            if let Some(text) = fields.text(key) {
                reply = reply.with(key, Value::String(text.to_owned()));
            }
        }
        let restore = self.device.with(|s| s.settings.restore_mode);
        if restore && name != "QueryType" && name != "Goodbye" {
            return (None, Next::End);
        }
        if name == "GetMultipleValues" {
            return match self.multiple_values(fields) {
                Ok(values) => (Some(reply.with("Value", Value::Dictionary(values))), Next::Message),
                Err(error) => (Some(failed(reply, fields, error)), Next::Message),
            };
        }
        let answered = Request::from_plist(fields).map_err(Failure::from);
        let answered = answered.and_then(|request| self.answer(request, fields, reply.clone()));
        match answered {
            Ok((reply, next)) => (Some(reply), next),
            Err(Failure::Error(error)) => (Some(failed(reply, fields, error)), Next::Message),
            Err(Failure::Challenge(bytes)) => {
                let extended = dictionary([("PairingChallenge", Some(Value::Data(bytes)))]);
                let reply = failed(reply, fields, ErrorName::McChallengeRequired);
                (Some(reply.with("ExtendedResponse", Value::Dictionary(extended))), Next::Message)
            }
            Err(Failure::End) => (None, Next::End),
        }
    }

    fn answer(
        &mut self,
        request: Request,
        fields: &Dictionary,
        reply: Reply,
    ) -> Result<(Reply, Next), Failure> {
        let in_session = self.session.is_some();
        let named = |domain: &Option<String>| domain.clone().unwrap_or_default();
        let reply = match request {
            Request::Goodbye => return Ok((reply, Next::End)),
            Request::QueryType => {
                let restore = self.device.with(|s| s.settings.restore_mode);
                let kind = if restore { TYPE_RESTORE } else { TYPE_NORMAL };
                reply.with("Type", Value::String(kind.to_owned()))
            }
            Request::GetValue { domain, key } => {
                let value = self.device.with(|s| match &key {
                    Some(key) => s.value(&named(&domain), key, in_session),
                    None => s.values(&named(&domain), in_session).map(Value::Dictionary),
                });
                reply.with("Value", value?)
            }
            Request::SetValue { domain, key, value } => {
                let set = value.clone();
                self.device.with(|s| s.set_value(&named(&domain), &key, set, in_session))?;
                reply.with("Value", value)
            }
            Request::RemoveValue { domain, key } => {
                self.device.with(|s| s.remove_value(&named(&domain), &key, in_session))?;
                reply
            }
            Request::Pair { record, options, .. } => self.pair(record.expose(), &options, reply)?,
            Request::Unpair { host_id, .. } => {
                let reset = fields.flag("ResetTrustPrompt").unwrap_or(false);
                if !self.device.with(|s| s.trust.unpair(&host_id, reset)) {
                    return Err(ErrorName::InvalidHostId.into());
                }
                reply
            }
            Request::StartSession { host_id, .. } => return self.start_session(&host_id, reply),
            Request::StopSession { session_id } => {
                let session = self.session.as_ref().ok_or(ErrorName::SessionInactive)?;
                if session.id != session_id {
                    return Err(ErrorName::InvalidSessionId.into());
                }
                self.session = None;
                reply
            }
            Request::StartService { service, escrow_bag } => {
                let context = self.session.as_ref().map(|s| &s.context);
                let started = self.device.with(|s| s.start_service(&service, escrow_bag.is_some(), context));
                let (port, secure) = started?;
                let reply = reply.with("Service", Value::String(service)).with("Port", Value::from(port));
                if secure { reply.with("EnableServiceSSL", Value::Boolean(true)) } else { reply }
            }
            Request::EnterRecovery => {
                if !in_session {
                    return Err(ErrorName::SessionInactive.into());
                }
                // We have no recovery mode to show: it comes back by itself.
                self.device.with(|s| s.reboot(s.settings.reboot_takes.0));
                return Ok((reply, Next::End));
            }
            Request::Unknown { .. } => {
                tracing::debug!(request = fields.text("Request"), "lockdown request nobody knows");
                return Err(Failure::End);
            }
        };
        Ok((reply, Next::Message))
    }

    fn pair(
        &mut self,
        record: &Dictionary,
        options: &PairingOptions,
        reply: Reply,
    ) -> Result<Reply, Failure> {
        let challenge = &mut self.challenge;
        match self.device.with(|s| s.pair(record, options, challenge)) {
            Ok(Some(bag)) => Ok(reply.with("EscrowBag", Value::Data(bag))),
            Ok(None) => Ok(reply),
            Err(error) if !options.extended_errors && collapses(&error) => {
                Err(ErrorName::PasswordProtected.into())
            }
            Err(ErrorName::McChallengeRequired) => {
                let bytes = challenge.as_ref().map(|c| c.bytes.clone()).unwrap_or_default();
                Err(Failure::Challenge(bytes))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn start_session(&mut self, host_id: &str, reply: Reply) -> Result<(Reply, Next), Failure> {
        if self.session.is_some() {
            return Err(ErrorName::SessionActive.into());
        }
        let (context, id) = self.device.with(|s| {
            let too_early = !s.unlocked_since_boot && !s.settings.session_before_unlock;
            if too_early || (s.locked && !s.settings.session_while_locked) {
                return Err(ErrorName::PasswordProtected);
            }
            let context = s.trusted_context(host_id)?;
            s.counters.sessions += 1;
            let mut part = |n: usize| (0..n).map(|_| format!("{:X}", s.rng.u8(..16))).collect::<String>();
            Ok((context, [part(8), part(4), part(4), part(4), part(12)].join("-")))
        })?;
        self.session = Some(Session { id: id.clone(), context: context.clone() });
        let reply = reply.with("SessionID", Value::String(id)).with("EnableSessionSSL", Value::Boolean(true));
        Ok((reply, Next::Tls(context)))
    }

    /// GetMultipleValues (3.3): `{domain or "NULL": [key or "NULL", ..]}`.
    fn multiple_values(&self, fields: &Dictionary) -> Result<Dictionary, ErrorName> {
        let asked = fields.dict("MultipleKeys").ok_or(ErrorName::MissingKey)?;
        let session = self.session.is_some();
        let (mut found, mut failed) = (Dictionary::new(), Dictionary::new());
        let wanted = asked.iter().flat_map(|(domain, keys)| {
            let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
            keys.iter().filter_map(move |key| Some((domain, key.as_string()?)))
        });
        for (domain, key) in wanted.take(MOST_KEYS) {
            let of = if domain == "NULL" { "" } else { domain };
            let value = self.device.with(|s| match key {
                "NULL" => s.values(of, session).map(Value::Dictionary),
                key => s.value(of, key, session),
            });
            let (table, value) = match value {
                Ok(value) => (&mut found, value),
                Err(error) => (&mut failed, Value::String(error.as_str().to_owned())),
            };
            if !table.contains_key(domain) {
                table.insert(domain.clone(), Value::Dictionary(Dictionary::new()));
            }
            if let Some(Value::Dictionary(entries)) = table.get_mut(domain) {
                entries.insert(key.to_owned(), value);
            }
        }
        if found.is_empty() {
            return Err(ErrorName::GetProhibited);
        }
        Ok(dictionary([
            ("FailureValueKey", Some(Value::Dictionary(failed))),
            ("SuccessValueKey", Some(Value::Dictionary(found))),
        ]))
    }
}

/// Why a request has no ordinary answer.
enum Failure {
    Error(ErrorName),
    Challenge(Vec<u8>),
    End,
}

impl From<ErrorName> for Failure {
    fn from(error: ErrorName) -> Self {
        Self::Error(error)
    }
}

/// Rows 2, 4 and 8 of 3.6, which become `PasswordProtected` for a host that did not ask for
/// extended errors.
fn collapses(error: &ErrorName) -> bool {
    matches!(
        error,
        ErrorName::FmipProtected
            | ErrorName::McProtected
            | ErrorName::McChallengeRequired
            | ErrorName::PairingDialogResponsePending
            | ErrorName::UserDeniedPairing
    )
}

/// An error answer. For `ProtocolVersion` 1 or less the device uses generic names (3.1). No
/// source says which; here it is `InvalidResponse` for all that libimobiledevice numbers above
/// the first ten. A request without the field counts as a current one: libimobiledevice sends
/// none and expects today's names.
fn failed(reply: Reply, fields: &Dictionary, error: ErrorName) -> Reply {
    let old = fields.text("ProtocolVersion").and_then(|v| v.parse::<u32>().ok()).is_some_and(|v| v <= 1);
    let basic = matches!(
        error,
        ErrorName::MissingKey
            | ErrorName::MissingValue
            | ErrorName::GetProhibited
            | ErrorName::SetProhibited
            | ErrorName::RemoveProhibited
            | ErrorName::ImmutableValue
            | ErrorName::PasswordProtected
            | ErrorName::MissingHostId
            | ErrorName::InvalidHostId
            | ErrorName::SessionActive
            | ErrorName::SessionInactive
            | ErrorName::InvalidService
    );
    reply.with_error(if old && !basic { &ErrorName::InvalidResponse } else { &error })
}
