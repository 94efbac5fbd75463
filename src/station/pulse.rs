//! The pulse of the run loop: proof for a watchdog that the station itself turns, and not only
//! some task beside it.

use std::future::Future;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// Told by the run loop, asked by a watchdog. Costs nothing while nobody asks.
#[derive(Debug, Default)]
pub struct Pulse {
    asked: Notify,
    turns: watch::Sender<u64>,
}

impl Pulse {
    /// The loop turns. What is returned ends when somebody asks for another turn, so that a
    /// loop with nothing to do turns too.
    pub(super) fn turn(&self) -> impl Future<Output = ()> + '_ {
        self.turns.send_modify(|turns| *turns = turns.wrapping_add(1));
        self.asked.notified()
    }

    /// Whether the loop turns within this time.
    pub async fn felt(&self, within: Duration) -> bool {
        let mut turns = self.turns.subscribe();
        self.asked.notify_one();
        timeout(within, turns.changed()).await.is_ok_and(|turned| turned.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_loop_that_turns_has_a_pulse() {
        let pulse = std::sync::Arc::new(Pulse::default());
        assert!(!pulse.felt(Duration::from_secs(1)).await);
        let beating = pulse.clone();
        let running = tokio::spawn(async move {
            loop {
                beating.turn().await;
            }
        });
        assert!(pulse.felt(Duration::from_secs(1)).await);
        assert!(pulse.felt(Duration::from_secs(1)).await, "a loop with nothing to do is asked to turn");
        running.abort();
        let _ = running.await;
        assert!(!pulse.felt(Duration::from_secs(1)).await);
    }
}
