//! A rung of the recovery ladder, for a device that no mux serves.

use super::Station;
use crate::ids::PortPath;
use crate::limits::{RUNG_NOTICE, RUNG_TAKES};
use crate::transport::{Rung, RungError};
use std::sync::Arc;
use tokio::time::timeout;

/// Takes a rung for the device at a port, and shows it unless it is impossible.
pub(super) async fn take(
    station: Arc<Station>,
    port: PortPath,
    rung: Rung,
) -> (PortPath, Result<(), RungError>) {
    let recovery = async {
        let mut recovery = std::pin::pin!(station.backend.recover_port(&port, rung));
        match timeout(RUNG_NOTICE, &mut recovery).await {
            Ok(done) => {
                if !matches!(done, Err(RungError::NotPossible(_))) {
                    station.board.recovering(&port, rung);
                }
                done
            }
            Err(_) => {
                station.board.recovering(&port, rung);
                let late = || RungError::Failed("it did not end in time".into());
                timeout(RUNG_TAKES, recovery).await.unwrap_or_else(|_| Err(late()))
            }
        }
    };
    let done = recovery.await;
    // The only trace of it: a device without a job has no line in the journal.
    let bay = station.bays.of_port(&port).0;
    match &done {
        Ok(()) => tracing::info!(%port, %bay, ?rung, "a rung of the ladder was taken"),
        Err(error @ RungError::NotPossible(_)) => {
            tracing::info!(%port, %bay, ?rung, %error, "a rung of the ladder cannot be taken");
        }
        Err(error) => tracing::warn!(%port, %bay, ?rung, %error, "a rung of the ladder was not taken"),
    }
    (port, done)
}
