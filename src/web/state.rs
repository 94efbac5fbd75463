//! What all requests share.

use super::problem::Problem;
use super::session::Access;
use crate::api::view::Check;
use crate::api::{OperationError, Running};
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

/// Readers of the journal at once. Each holds a connection and a thread; more would only wait
/// for the same disk.
const READERS: usize = 4;

/// Reports that are made at once: that of the largest batch takes hundreds of megabytes.
const REPORTS: usize = 1;

/// A request waits this long for its turn to read.
const TURN: Duration = Duration::from_secs(10);

/// Checks of the computer are this fresh: each looks at every USB device.
const CHECKS_FRESH: Duration = Duration::from_secs(10);

/// Screens that follow at once; browsers keep one each.
pub(super) const FOLLOWERS: usize = 64;

/// What all requests share.
pub(super) struct Web {
    pub(super) running: Running,
    pub(super) access: Access,
    pub(super) kiosk: bool,
    /// True once the station ends.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) counts: HttpCounts,
    pub(super) followers: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    reports: Arc<Semaphore>,
    checks: tokio::sync::Mutex<Option<(Instant, Vec<Check>)>>,
}

/// Resolves once the station ends.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the server.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Counts for the metrics.
#[derive(Debug, Default)]
pub(super) struct HttpCounts {
    /// Answers, by status.
    pub(super) answers: Mutex<BTreeMap<u16, u64>>,
    /// Connections that are open.
    pub(super) connections: AtomicI64,
    /// Connections that were turned away.
    pub(super) turned_away: AtomicU64,
}

impl Web {
    pub(super) fn new(running: Running, access: Access, kiosk: bool, stop: watch::Receiver<bool>) -> Self {
        Self {
            running,
            access,
            kiosk,
            stop,
            counts: HttpCounts::default(),
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
            readers: Arc::new(Semaphore::new(READERS)),
            reports: Arc::new(Semaphore::new(REPORTS)),
            checks: tokio::sync::Mutex::default(),
        }
    }

    /// Does something that blocks, when it is its turn.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Running) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = turn(&self.readers, "Too many ask at once.").await?;
        let running = self.running.clone();
        // The turn goes along: work whose client left is still work.
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&running);
            drop(turn);
            done
        });
        done.await.map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))
    }

    /// Waits for the turn to make a report; it lasts as long as what is given.
    pub(super) async fn turn_to_report(&self) -> Result<OwnedSemaphorePermit, Problem> {
        turn(&self.reports, "Another report is being made.").await
    }

    /// Checks of this computer, fresh enough.
    pub(super) async fn checks(&self) -> Result<Vec<Check>, OperationError> {
        let mut kept = self.checks.lock().await;
        match &*kept {
            Some((at, checks)) if at.elapsed() < CHECKS_FRESH => Ok(checks.clone()),
            _ => {
                let checks = self.running.checks().await?;
                *kept = Some((Instant::now(), checks.clone()));
                Ok(checks)
            }
        }
    }
}

async fn turn(places: &Arc<Semaphore>, busy: &str) -> Result<OwnedSemaphorePermit, Problem> {
    match timeout(TURN, places.clone().acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => Err(Problem::busy(busy)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_turn_is_told_when_to_come_back() {
        use axum::response::IntoResponse;
        let places = Arc::new(Semaphore::new(REPORTS));
        let first = turn(&places, "Busy.").await.unwrap();
        let refused = turn(&places, "Busy.").await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key("retry-after"));
        let (second, ()) = tokio::join!(turn(&places, "Busy."), async { drop(first) });
        assert!(second.is_ok(), "one who waits gets the place that is given back");
    }
}
