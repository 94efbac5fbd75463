//! Trust: who we are, the records of devices that trust us, and how one is earned.

mod certificate;
mod earn;
mod identity;
mod private_file;
mod records;
mod store;
mod supervision;

pub use earn::{Awaiting, Earned, NotTrusted, Trust, TrustLimits, TrustObserver};
pub use identity::StationIdentity;
pub use records::StationRecords;
pub use store::RecordStore;
pub use supervision::{MOST_IDENTITIES, SupervisionError, SupervisionIdentity, Supervisors};
