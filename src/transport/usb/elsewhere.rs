//! Devices that a mux lists and this computer's bus does not show, because they hang on another
//! computer: the bus is waited for once for each.
//!
//! May import: base.

use crate::ids::Udid;
use crate::transport::Attachment;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Places remembered; older ones are forgotten, and waited for again.
const MOST: usize = 512;

/// Places that the bus did not show in time.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(Mutex<VecDeque<Place>>);

/// Where a mux says a device is; who it is, if the mux does not say where.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    Location(u32),
    Device(Udid),
}

impl Place {
    fn of(attachment: &Attachment) -> Self {
        let location = attachment.location.filter(|location| *location != 0);
        location.map_or_else(|| Self::Device(attachment.udid.clone()), Self::Location)
    }
}

impl Elsewhere {
    /// True if the bus may yet show an attachment that it does not show.
    pub(super) fn may_come(&self, attachment: &Attachment) -> bool {
        !attachment.simulated && !self.lock().contains(&Place::of(attachment))
    }

    /// The bus did not show it in time.
    pub(super) fn note(&self, attachment: &Attachment) {
        let (place, mut places) = (Place::of(attachment), self.lock());
        if !places.contains(&place) {
            places.push_back(place);
            if places.len() > MOST {
                places.pop_front();
            }
        }
    }

    /// The bus shows it after all.
    pub(super) fn forget(&self, attachment: &Attachment) {
        let place = Place::of(attachment);
        self.lock().retain(|known| *known != place);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
