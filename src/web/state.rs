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
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

/// Readers of the journal at once. Each holds a connection and a thread; more would only wait
/// for the same disk.
const READERS: usize = 4;

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
            checks: tokio::sync::Mutex::default(),
        }
    }

    /// Does something that blocks, when it is its turn.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Running) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:enlist:busy", "Too many ask at once.")
                .then("Ask again in a moment.")
        };
        let turn = timeout(TURN, self.readers.clone().acquire_owned()).await.map_err(|_| busy())?;
        let turn = turn.map_err(|_| busy())?;
        let running = self.running.clone();
        // The turn goes along: work whose client left is still work.
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&running);
            drop(turn);
            done
        });
        done.await.map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))
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
