//! The station's own pair records, for a mux of our own and for the tools on its socket.

use super::{RecordStore, StationIdentity};
use crate::device::DeviceError;
use crate::ids::Udid;
use crate::limits::PAIR_RECORD_BYTES;
use crate::secret::Secret;
use crate::transport::PairRecords;
use crate::wire::pair_record::PairRecord;
use std::sync::Arc;

/// Where a mux of our own keeps its records (2.6): the station's identity and its versions
/// of each device's record. What another tool saves is one more version.
#[derive(Debug)]
pub struct StationRecords {
    identity: Arc<StationIdentity>,
    store: RecordStore,
}

impl StationRecords {
    /// Records of this station.
    pub fn new(identity: Arc<StationIdentity>, store: RecordStore) -> Self {
        Self { identity, store }
    }
}

/// A mux can only answer that it has none; the log says why.
fn told<T>(what: &str, udid: &Udid, done: Result<T, DeviceError>) -> Option<T> {
    done.map_err(|error| tracing::warn!(%udid, %error, "a pair record could not be {what}")).ok()
}

impl PairRecords for StationRecords {
    fn buid(&self) -> String {
        self.identity.system_buid().to_owned()
    }

    fn read(&self, udid: &Udid) -> Option<Secret<Vec<u8>>> {
        told("read", udid, self.store.newest(udid)).flatten()
    }

    /// Refuses what is no pair record: it would stand before the good ones.
    fn save(&self, udid: &Udid, record: &Secret<Vec<u8>>) -> bool {
        let bytes = record.expose();
        if bytes.len() > PAIR_RECORD_BYTES || PairRecord::from_bytes(bytes).is_err() {
            tracing::warn!(%udid, "what was to be saved is no pair record");
            return false;
        }
        told("kept", udid, self.store.keep(udid, record)).is_some()
    }

    /// Sets the versions aside; their files stay.
    fn delete(&self, udid: &Udid) -> bool {
        let had = self.read(udid).is_some();
        told("set aside", udid, self.store.retire(udid)).is_some() && had
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use openssl::rsa::Rsa;

    #[test]
    fn records_of_other_tools_are_further_versions_and_garbage_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let identity = StationIdentity::load_or_create(&folder.path().join("i"), &Clock::System).unwrap();
        let key = Rsa::generate(1024).unwrap().public_key_to_pem().unwrap();
        let record = |mac: &str| {
            let record = identity.record_for(&key, None, Some(mac.into())).unwrap();
            Secret::new(record.to_bytes().expose().clone())
        };
        let (ours, theirs) = (record("aa:aa"), record("bb:bb"));
        let udid: Udid = "00008110-001A2B3C4D5E6F70".parse().unwrap();
        let store = RecordStore::new(folder.path().join("records"), Clock::System);
        store.keep(&udid, &ours).unwrap();
        let records = StationRecords::new(Arc::new(identity), store);
        assert_eq!(records.read(&udid), Some(ours));
        assert!(!records.save(&udid, &Secret::new(b"garbage".to_vec())));
        assert!(records.save(&udid, &theirs));
        assert_eq!(records.read(&udid), Some(theirs));
        let files = || std::fs::read_dir(folder.path().join("records").join(udid.as_str())).unwrap().count();
        assert_eq!(files(), 2);
        assert!(records.delete(&udid) && !records.delete(&udid));
        assert_eq!((records.read(&udid), files()), (None, 2));
        assert_eq!(records.buid().len(), 36);
    }
}
