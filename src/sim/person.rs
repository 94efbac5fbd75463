//! The simulated person at the device: trusts, unlocks, accepts; after a while or never.

use super::persona::{AcceptAnswer, Settings, TrustAnswer};
use super::span::After;
use fastrand::Rng;
use std::time::Duration;

/// A person; draws its delays from its own seed, so that two runs agree.
#[derive(Debug)]
pub(super) struct Person {
    rng: Rng,
    jitter: Duration,
    trust: (After, TrustAnswer),
    unlock: After,
    accept: (After, AcceptAnswer),
}

impl Person {
    pub(super) fn new(seed: u64, settings: &Settings) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            jitter: settings.person_jitter.0,
            trust: (settings.trust_after, settings.trust_answer),
            unlock: settings.unlock_after,
            accept: (settings.accept_after, settings.accept_answer),
        }
    }

    /// The Trust dialog came up: when it is answered, and how.
    pub(super) fn sees_trust_dialog(&mut self) -> Option<(Duration, TrustAnswer)> {
        let (after, answer) = self.trust;
        self.draw(after).map(|span| (span, answer))
    }

    /// The device is locked and wanted: when it is unlocked.
    pub(super) fn sees_locked_device(&mut self) -> Option<Duration> {
        self.draw(self.unlock)
    }

    /// A profile waits in Settings: when it is dealt with, and how.
    pub(super) fn sees_pending_profile(&mut self) -> Option<(Duration, AcceptAnswer)> {
        let (after, answer) = self.accept;
        self.draw(after).map(|span| (span, answer))
    }

    fn draw(&mut self, after: After) -> Option<Duration> {
        let After::In(span) = after else { return None };
        let part = if self.jitter.is_zero() { 0.0 } else { self.rng.f64() };
        Some(span + self.jitter.mul_f64(part))
    }
}
