//! Time: one clock for wall time, so that a test can own it.
//!
//! Waits use `tokio::time`, which a test may pause. Wall time comes from here: either
//! the system's, or derived from tokio's clock so that both move together in a test.

use jiff::Timestamp;
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
    },
}

impl Clock {
    /// A clock that starts at `start` now and follows tokio's clock.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::Virtual { start, since: Instant::now() }
    }

    /// The present wall time.
    #[allow(clippy::disallowed_methods)] // the one place that may read the system's clock
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Virtual { start, since } => {
                let passed = Instant::now().saturating_duration_since(*since);
                start.saturating_add(passed).unwrap_or(*start)
            }
        }
    }

    /// Time passed since `earlier` on this clock; zero if the clock went backwards.
    pub fn since(&self, earlier: Timestamp) -> Duration {
        Duration::try_from(self.now().duration_since(earlier)).unwrap_or(Duration::ZERO)
    }
}
