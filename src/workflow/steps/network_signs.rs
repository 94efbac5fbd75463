//! What a device's own log says of its network (R149): asked when a push failed for reasons of
//! the network, and while a person is waited for long. Worth a sentence, never worth a failure.

use super::inspect::Inspection;
use crate::device::services::ready_made::DeviceLog;
use crate::device::{NetworkSign, network_sign};
use crate::limits::{LOG_LINES, LOG_LOOK};
use crate::workflow::engine::{Break, Run};
use crate::workflow::failure::Failure;
use crate::workflow::outcome::{Class, Verdict};
use std::future::pending;
use std::time::Duration;
use tokio::time::{Instant, timeout};

fn words(sign: NetworkSign) -> &'static str {
    match sign {
        NetworkSign::Xpc => {
            "The device's log shows XPC connection errors: it does not reach Apple or the MDM server (R149)."
        }
        NetworkSign::Connections => {
            "The device's log shows failing connections: it does not reach Apple or the MDM server (R149)."
        }
    }
}

/// A log that is followed once it is worth it.
pub(super) struct Watch {
    due: Option<Instant>,
    log: Option<DeviceLog>,
    lines_left: usize,
}

impl Watch {
    /// Follows the log from `wait` from now on.
    pub(super) fn after(wait: Duration) -> Self {
        Self { due: Some(Instant::now() + wait), log: None, lines_left: LOG_LINES }
    }

    /// Opens the log if it is time. Not to be cancelled: the session serves others too.
    pub(super) async fn open_if_due(&mut self, inspection: &mut Inspection) {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return;
        }
        self.due = None;
        match DeviceLog::open(&mut inspection.session).await {
            Ok(log) => self.log = Some(log),
            Err(error) => tracing::debug!(%error, "the device's log is not told"),
        }
    }

    /// Resolves with the first sign of network trouble; never, if the log shows none or ends.
    pub(super) async fn sign(&mut self) -> &'static str {
        while let Some(log) = self.log.as_mut().filter(|_| self.lines_left > 0) {
            self.lines_left -= 1;
            match log.next().await.as_deref().map(network_sign) {
                Ok(Some(sign)) => {
                    self.log = None;
                    return words(sign);
                }
                Ok(None) => {}
                Err(_) => self.log = None,
            }
        }
        pending().await
    }
}

/// Adds what the log says to a failure that may be the network's.
pub(super) async fn explain(run: &mut Run, inspection: &mut Inspection, broken: Break) -> Break {
    let failure = match broken {
        Break::Failed(failure) if may_be_network(&failure) => failure,
        other => return other,
    };
    if run.network_sign.is_none() {
        let mut watch = Watch::after(Duration::ZERO);
        watch.open_if_due(inspection).await;
        run.network_sign = timeout(LOG_LOOK, watch.sign()).await.ok();
    }
    let Some(sign) = run.network_sign else { return Break::Failed(failure) };
    let told = |verdict: Verdict| {
        let sentence = format!("{} {sign}", verdict.sentence);
        verdict.saying(sentence)
    };
    Break::Failed(match failure {
        Failure::Final(verdict) => Failure::Final(told(verdict)),
        Failure::RetryLater { verdict } => Failure::RetryLater { verdict: told(verdict) },
        other => other,
    })
}

/// Codes that a missing network brings about (4.10: network, clock, server).
fn may_be_network(failure: &Failure) -> bool {
    match failure {
        Failure::RetryLater { .. } => true,
        Failure::Final(verdict) => verdict.class == Class::Server,
        _ => false,
    }
}
