//! Which way to the devices: the socket of usbmuxd, or our own mux over libusb.

use super::super::arguments::Global;
use crate::api::OperationError;
use crate::api::view::Exit;
use crate::config::{self, Config, Environment, MuxWay};
use crate::station::doctor::udev;
use crate::transport::usbmuxd::server::{MuxServer, MuxServerOptions};
use crate::transport::usbmuxd::{MuxAddress, UsbmuxdBackend};
use crate::transport::{Backend, PairRecords, usb};
use crate::wire::printable::system_words;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;

/// Whoever listens on the socket answers a list from memory; one that does not is dead.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// Mode of a shared socket's file: its owner and group. Whoever may use it gets the pair
/// records.
const SHARED_MODE: u32 = 0o660;

/// The way that was chosen.
pub(in crate::cli) struct Way {
    /// The way.
    pub(in crate::cli) backend: Arc<dyn Backend>,
    /// It is our own mux, so that it may be shared with other tools.
    own: bool,
}

/// Chooses. `records` are those of the station, for a mux of our own. Without a word about
/// the way an address that somebody gave is the way.
pub(super) async fn choose(
    global: &Global,
    environment: &Environment,
    config: &Config,
    records: impl FnOnce() -> Arc<dyn PairRecords>,
) -> Result<Way, OperationError> {
    let address = config::mux_address(environment, config)?;
    let given = config::mux_address_is_given(environment, config);
    let held = &global.held;
    match global.mux.or(config.mux.way) {
        Some(MuxWay::Usb) => own(records(), held).map_err(|reason| {
            let sentence = format!("The USB bus cannot be used: {reason}.");
            OperationError::new(Exit::NoDevice, sentence, "See `enlist doctor`, or take --mux usbmuxd.")
        }),
        Some(MuxWay::Usbmuxd) => Ok(socket(address)),
        None if given => Ok(socket(address)),
        Some(MuxWay::Auto) | None => Ok(best(address, records, held).await),
    }
}

/// usbmuxd if it answers; else the bus if it can be looked at; else usbmuxd, so that the
/// error names it.
async fn best(address: MuxAddress, records: impl FnOnce() -> Arc<dyn PairRecords>, held: &Held) -> Way {
    let answer = UsbmuxdBackend::new(address.clone());
    if matches!(timeout(ANSWERS_WITHIN, answer.list()).await, Ok(Ok(_))) || usb::look().is_err() {
        return socket(address);
    }
    match own(records(), held) {
        Ok(way) => {
            if let Some(rule) = udev::starts_usbmuxd(Path::new("/")) {
                let (rule, fix) = (rule.display(), udev::REPLACE);
                tracing::warn!(
                    "usbmuxd does not answer, so the USB bus is used; but {rule} starts usbmuxd at the next plug, and both want the devices. Start usbmuxd, or keep it away: {fix}"
                );
            }
            way
        }
        Err(reason) => {
            tracing::warn!(%reason, "the USB bus cannot be used");
            socket(address)
        }
    }
}

/// The socket; what the bus of this computer shows is added where its devices hang on it.
fn socket(address: MuxAddress) -> Way {
    let here = is_here(&address);
    let backend: Arc<dyn Backend> = Arc::new(UsbmuxdBackend::new(address));
    Way { backend: if here { joined(backend) } else { backend }, own: false }
}

/// True if the mux at `address` runs on this computer.
fn is_here(address: &MuxAddress) -> bool {
    match address {
        MuxAddress::Unix(_) => true,
        MuxAddress::Tcp { host, .. } => {
            host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    }
}

/// Adds the ports and the unserved devices that the bus shows.
fn joined(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    usb::Joined::start(inner)
}

fn own(records: Arc<dyn PairRecords>, held: &Held) -> Result<Way, String> {
    let backend = usb::UsbBackend::start(records)?;
    held.hold(backend.clone());
    Ok(Way { backend, own: true })
}

/// The devices that this process holds itself: they are given back before it ends.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Held(Arc<OnceLock<Arc<usb::UsbBackend>>>);

impl Held {
    /// A process opens the bus once.
    fn hold(&self, backend: Arc<usb::UsbBackend>) {
        let _ = self.0.set(backend);
    }

    /// Gives them back, in bounded time.
    pub(in crate::cli) async fn give_back(&self) {
        if let Some(backend) = self.0.get() {
            backend.close().await;
        }
    }
}

/// A socket for other tools; it is closed when this is dropped.
pub(in crate::cli) struct SharedMux {
    _server: MuxServer,
}

impl Way {
    /// Serves other tools on the socket that flags or configuration ask for, if they do.
    ///
    /// # Errors
    /// The devices are not reached over the bus, or the socket cannot be made.
    pub(in crate::cli) async fn share(
        &self,
        flag: Option<&PathBuf>,
        config: &Config,
    ) -> Result<Option<SharedMux>, OperationError> {
        let Some(path) = flag.or(config.mux.serve_socket.as_ref()) else { return Ok(None) };
        if !self.own {
            let sentence = format!(
                "The socket {} can be served only over the station's own mux, but the way to the devices is {}.",
                path.display(),
                self.backend.describe()
            );
            let next = "Take --mux usb, or let the other tools use that mux as well.";
            return Err(OperationError::new(Exit::Usage, sentence, next));
        }
        let address = MuxAddress::Unix(path.clone());
        let options = MuxServerOptions { mode: SHARED_MODE, ..MuxServerOptions::default() };
        match MuxServer::start(self.backend.clone(), &address, options).await {
            Ok(server) => Ok(Some(SharedMux { _server: server })),
            Err(error) => {
                let sentence =
                    format!("The socket {} cannot be served: {}.", path.display(), system_words(&error));
                let next = "Give another path, in a folder this user may write to.";
                Err(OperationError::new(Exit::Usage, sentence, next))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_is_joined_with_muxes_of_this_computer_only() {
        let here = |text: &str| is_here(&text.parse().unwrap());
        assert!(
            here("/var/run/usbmuxd") && here("127.0.0.1:27015") && here("[::1]:1") && here("localhost:1")
        );
        assert!(!here("10.0.0.9:27015") && !here("bench.example:27015"));
    }

    #[tokio::test]
    async fn a_socket_is_shared_over_our_own_mux_only() {
        let way = socket("/nowhere".parse().unwrap());
        let path = PathBuf::from("/tmp/shared");
        assert!(way.share(None, &Config::default()).await.unwrap().is_none());
        let error = way.share(Some(&path), &Config::default()).await.err().unwrap();
        assert!(error.sentence.contains("own mux") && error.sentence.contains("usbmuxd at /nowhere"));
        assert_eq!(error.exit, Exit::Usage);
    }
}
