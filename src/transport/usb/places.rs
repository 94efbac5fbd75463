//! Where devices hang that are attached or were: a device that stopped answering is detached
//! before its port loses power, and is still meant by its old number.
//!
//! May import: base, and the words of every backend.

use super::bus::{Look, Seen};
use crate::ids::MuxId;
use crate::transport::RungError;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Attachments remembered; older ones are forgotten. A station asks within minutes.
const MOST: usize = 512;

/// What the bus showed of attachments.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<VecDeque<(MuxId, Arc<Seen>)>>);

impl Places {
    /// Remembers an attachment.
    pub(super) fn note(&self, id: MuxId, seen: Arc<Seen>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|(known, _)| *known != id);
        places.push_back((id, seen));
        if places.len() > MOST {
            places.pop_front();
        }
    }

    /// Where `id` hangs, or hung if nothing else is there now.
    ///
    /// # Errors
    /// [`RungError::NotPossible`].
    pub(super) fn find(&self, id: MuxId, look: &Look) -> Result<Arc<Seen>, RungError> {
        let not_possible = |why: &str| Err(RungError::NotPossible(why.to_owned()));
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(was) = places.iter().find(|(known, _)| *known == id).map(|(_, seen)| Arc::clone(seen))
        else {
            return not_possible("the bus does not show where the device is");
        };
        match look.devices.values().find(|seen| seen.device.port == was.device.port) {
            Some(there) if there.device.serial != was.device.serial => {
                not_possible("another device is in its port now")
            }
            Some(there) => Ok(Arc::clone(there)),
            None => Ok(was),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bus::tests::seen;
    use super::*;
    use crate::transport::UsbMode;

    fn look(devices: Vec<Seen>) -> Look {
        let devices = devices.into_iter().map(|seen| (seen.number, Arc::new(seen)));
        Look { settled: true, devices: devices.collect() }
    }

    #[test]
    fn an_old_number_means_the_port_unless_another_device_is_there() {
        let places = Places::default();
        places.note(MuxId(1), Arc::new(seen(1, 4, UsbMode::Normal, "A")));
        let found = |devices| places.find(MuxId(1), &look(devices)).map(|seen| seen.number);
        assert_eq!(found(vec![]), Ok(1), "it left");
        assert_eq!(found(vec![seen(2, 4, UsbMode::Normal, "A")]), Ok(2), "it came again");
        assert_eq!(found(vec![seen(2, 5, UsbMode::Normal, "B")]), Ok(1));
        assert!(found(vec![seen(2, 4, UsbMode::Normal, "B")]).is_err());
        assert!(places.find(MuxId(2), &look(vec![])).is_err());
        for id in 2..=MuxId(u32::try_from(MOST).unwrap() + 1).0 {
            places.note(MuxId(id), Arc::new(seen(1, 4, UsbMode::Normal, "A")));
        }
        assert!(places.find(MuxId(1), &look(vec![])).is_err(), "forgotten");
    }
}
