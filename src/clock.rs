//! Time: one clock for wall time, so that a test can own it.
//!
//! Waits use `tokio::time`, which a test may pause. Wall time comes from here: either
//! the system's, or derived from tokio's clock so that both move together in a test.

use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Source of wall time. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A fixed start plus the time that passed on tokio's (pausable) clock since.
    Virtual {
        /// Wall time at `since`.
        start: Timestamp,
        /// Moment on tokio's clock that corresponds to `start`.
        since: Instant,
        /// How far somebody set it forward or, below zero, back; in milliseconds.
        set: Arc<AtomicI64>,
    },
}

impl Clock {
    /// A clock that starts at `start` now and follows tokio's clock.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::Virtual { start, since: Instant::now(), set: Arc::default() }
    }

    /// A clock that shows what this one shows now and from then on cannot be set: waits are
    /// measured by it, so that a wall clock that jumps neither ends nor prolongs one.
    #[must_use]
    pub fn steady(&self) -> Self {
        Self::starting_at(self.now())
    }

    /// Sets a virtual clock and all its clones forward or back by `ms`; the system's is left
    /// alone.
    pub fn set_by(&self, ms: i64) {
        if let Self::Virtual { set, .. } = self {
            set.fetch_add(ms, Ordering::Relaxed);
        }
    }

    /// The present wall time.
    #[allow(clippy::disallowed_methods)] // the one place that may read the system's clock
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Virtual { start, since, set } => {
                let passed = Instant::now().saturating_duration_since(*since);
                let set = SignedDuration::from_millis(set.load(Ordering::Relaxed));
                start.saturating_add(passed).and_then(|t| t.saturating_add(set)).unwrap_or(*start)
            }
        }
    }

    /// Time passed since `earlier` on this clock; zero if the clock went backwards.
    pub fn since(&self, earlier: Timestamp) -> Duration {
        Duration::try_from(self.now().duration_since(earlier)).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_steady_clock_is_not_set() {
        let wall = Clock::starting_at("2026-11-21T08:00:00Z".parse().unwrap());
        let (early, begun) = (wall.clone(), wall.now());
        let steady = wall.steady();
        wall.set_by(3_600_000);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(early.since(begun), Duration::from_secs(3605), "clones are the same clock");
        assert_eq!(steady.since(begun), Duration::from_secs(5));
        wall.set_by(-7_200_000);
        assert_eq!((wall.since(begun), steady.since(begun)), (Duration::ZERO, Duration::from_secs(5)));
    }
}
