//! Does a device keep disappearing from its bay? Counts detaches that nobody announced.

use crate::ids::Bay;
use crate::limits::{FLAP_DETACHES, FLAP_WINDOW};
use std::collections::VecDeque;
use tokio::time::Instant;

/// Detaches of one device from the bay it was last in. Time is an argument.
#[derive(Debug, Default)]
pub(super) struct Flaps {
    bay: Option<Bay>,
    detaches: VecDeque<Instant>,
}

impl Flaps {
    /// Notes a detach; true if they are too many now.
    pub(super) fn note(&mut self, bay: &Bay, now: Instant) -> bool {
        if self.bay.as_ref() != Some(bay) {
            self.bay = Some(bay.clone());
            self.detaches.clear();
        }
        self.detaches.push_back(now);
        while self.detaches.front().is_some_and(|then| now.saturating_duration_since(*then) > FLAP_WINDOW) {
            self.detaches.pop_front();
        }
        self.detaches.len() >= FLAP_DETACHES
    }

    /// Forgives all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn five_within_a_minute_from_one_bay_are_too_many() {
        let (a, b) = (Bay("a".into()), Bay("b".into()));
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut flaps = Flaps::default();
        assert_eq!([0, 10, 20, 30, 60].map(|s| flaps.note(&a, at(s))), [false, false, false, false, true]);
        // One a quarter of a minute is somebody's work, not a contact's.
        flaps.clear();
        assert!((0..20).all(|n| !flaps.note(&a, at(100 + n * 16))));
        // Another bay has its own count.
        flaps.clear();
        assert!((0..8).all(|n| !flaps.note(if n < 4 { &a } else { &b }, at(500 + n))));
    }
}
