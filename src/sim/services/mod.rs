//! Services of a device: who may start one, and the one-shot port it waits on
//! (protocols.md 3.10).

mod installation_proxy;
pub(super) mod lockdown;
mod mcinstall;
mod notification_proxy;
mod syslog_relay;

use super::device::Device;
use super::state::State;
use super::tls;
use crate::wire::lockdown::ErrorName;
use crate::wire::{mcinstall as mcinstall_wire, notification_proxy as proxy_wire};
use openssl::ssl::SslContext;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

/// "Connect within a few seconds (the listener is one-shot)" (3.10).
pub(super) const LISTENER_LIFE: Duration = Duration::from_secs(10);

/// Services waiting to be connected to on one device; more are `ServiceLimit`.
const MOST_LISTENERS: usize = 32;

/// A service this simulator has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    McInstall,
    NotificationProxy,
    InsecureNotificationProxy,
    SyslogRelay,
    InstallationProxy,
}

impl Service {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            mcinstall_wire::SERVICE => Self::McInstall,
            proxy_wire::SERVICE => Self::NotificationProxy,
            notification_proxy::INSECURE => Self::InsecureNotificationProxy,
            syslog_relay::SERVICE => Self::SyslogRelay,
            crate::wire::installation_proxy::SERVICE => Self::InstallationProxy,
            _ => return None,
        })
    }

    /// "Exceptions over USB" to the need of a session (3.10).
    fn needs_session(self) -> bool {
        self != Self::InsecureNotificationProxy
    }

    /// Refused while BrickState is true. The facts name MCInstall; that the log and the
    /// insecure proxy run before activation is our assumption.
    fn needs_activation(self) -> bool {
        matches!(self, Self::McInstall | Self::NotificationProxy | Self::InstallationProxy)
    }
}

/// A started service that waits for its one connection.
#[derive(Debug)]
pub(super) struct Listener {
    service: Service,
    tls: Option<SslContext>,
    expires: Instant,
}

impl State {
    /// StartService: the port, and whether TLS follows. `session` is the context of the
    /// session's host.
    pub(super) fn start_service(
        &mut self,
        name: &str,
        with_escrow_bag: bool,
        session: Option<&SslContext>,
    ) -> Result<(u16, bool), ErrorName> {
        let service = Service::from_name(name);
        if session.is_none() && service.is_none_or(Service::needs_session) {
            return Err(ErrorName::SessionInactive);
        }
        let service = service.ok_or(ErrorName::InvalidService)?;
        if !self.unlocked_since_boot {
            let locked = if with_escrow_bag { ErrorName::EscrowLocked } else { ErrorName::PasswordProtected };
            return Err(locked);
        }
        if self.bricked() && service.needs_activation() {
            return Err(ErrorName::ServiceProhibited);
        }
        let now = Instant::now();
        self.listeners.retain(|_, listener| listener.expires > now);
        if self.listeners.len() >= MOST_LISTENERS {
            return Err(ErrorName::ServiceLimit);
        }
        let port = self.free_port();
        let tls = session.filter(|_| service.needs_session()).cloned();
        let secure = tls.is_some();
        self.listeners.insert(port, Listener { service, tls, expires: now + LISTENER_LIFE });
        self.counters.services += 1;
        Ok((port, secure))
    }

    fn free_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            // At most MOST_LISTENERS of them are taken, so this ends.
            self.next_port = if port == 65_000 { 49_152 } else { port + 1 };
            if !self.listeners.contains_key(&port) && port != crate::wire::lockdown::PORT {
                return port;
            }
        }
    }

    /// The service behind a port, once.
    pub(super) fn take_listener(&mut self, port: u16) -> Option<Listener> {
        self.listeners.remove(&port).filter(|listener| listener.expires > Instant::now())
    }
}

/// Serves the one connection of a started service.
pub(super) async fn serve(device: &Arc<Device>, listener: Listener, mut io: DuplexStream) {
    let Some(context) = listener.tls else {
        return run(device, listener.service, &mut io).await;
    };
    device.latency().await;
    if let Some(mut stream) = tls::accept(&context, &mut io).await {
        device.with(|s| s.counters.handshakes += 1);
        run(device, listener.service, &mut stream).await;
        if device.with(|s| s.settings.close_notify) {
            let _ = stream.shutdown().await;
        }
    }
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(device: &Arc<Device>, service: Service, io: &mut S) {
    match service {
        Service::McInstall => mcinstall::serve(device, io).await,
        Service::NotificationProxy => notification_proxy::serve(device, io, false).await,
        Service::InsecureNotificationProxy => notification_proxy::serve(device, io, true).await,
        Service::SyslogRelay => syslog_relay::serve(device, io).await,
        Service::InstallationProxy => installation_proxy::serve(device, io).await,
    }
}
