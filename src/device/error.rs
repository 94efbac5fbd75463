//! What can go wrong between us and lockdown or a service.

use crate::ids::Udid;
pub use crate::transport::TransportError;
pub use crate::wire::lockdown::ErrorName;
use crate::wire::lockdown::LockdownError;
pub use crate::wire::mcinstall::Status;
use crate::wire::mcinstall_error::ErrorChain;
use crate::wire::pair_record::PairRecordError;
use crate::wire::printable::system_words;
use std::io;
use std::path::PathBuf;

/// A device error: what was attempted is the variant, its cause the source.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The stream, the mux, or the encryption.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The mux works and lockdown takes no connection: locked under USB restriction (6.4), or
    /// still starting.
    #[error("the device takes no connection to lockdown")]
    LockdownRefused,
    /// The device runs another lockdown, such as its restore system (protocols.md 3.2).
    #[error("the device runs '{kind}', not its normal system")]
    NotNormal {
        /// `Type` as the device named it.
        kind: String,
    },
    /// The mux gave a connection to another device than was asked for, as one that was
    /// restarted and numbers its devices anew may.
    #[error("the mux connected to another device ({found})")]
    OtherDevice {
        /// The device that answered.
        found: Udid,
    },
    /// lockdown answered a request with an error.
    #[error("lockdown answered {request} with {error}")]
    Lockdown {
        /// The request.
        request: &'static str,
        /// The device's error.
        error: LockdownError,
    },
    /// A service does not start before an unlock (3.10).
    #[error("the device must be unlocked before it starts {service}")]
    ServiceLocked {
        /// The service.
        service: &'static str,
        /// True if it was certainly not unlocked since boot.
        never_unlocked: bool,
    },
    /// Services are refused while the device is not activated (3.10).
    #[error("the device refuses {service} because it is not activated")]
    ServiceProhibited {
        /// The service.
        service: &'static str,
    },
    /// The system has no such service.
    #[error("the device has no service {service}")]
    ServiceAbsent {
        /// The service.
        service: &'static str,
    },
    /// MCInstall refused a request with an error chain.
    #[error("the device refused {request}: {chain}")]
    Install {
        /// The request.
        request: &'static str,
        /// The whole chain.
        chain: ErrorChain,
    },
    /// MCInstall answered with a status that is neither Acknowledged nor Error.
    #[error("the device answered {request} with '{}'", status.as_str())]
    Status {
        /// The request.
        request: &'static str,
        /// The status.
        status: Status,
    },
    /// A device's public key cannot be used for a certificate.
    #[error("the device's public key cannot be read: {reason}")]
    DeviceKey {
        /// OpenSSL's reason.
        reason: String,
    },
    /// A stored pair record cannot be used.
    #[error(transparent)]
    Record(#[from] PairRecordError),
    /// Reading or writing the station's own files.
    #[error("cannot {action} {}: {}", path.display(), system_words(.source))]
    File {
        /// "read", "write", ...
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A challenge could not be signed.
    #[error("the supervision identity {name} cannot sign: {reason}")]
    Signing {
        /// Which identity.
        name: String,
        /// OpenSSL's reason.
        reason: String,
    },
    /// The station's identity file is not what it should be.
    #[error("the station identity in {} cannot be used: {reason}", path.display())]
    Identity {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
