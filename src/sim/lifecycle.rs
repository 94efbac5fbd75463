//! Boot, lock and cable; and the schedule of what a person or a timer does later.

use super::persona::{AcceptAnswer, Activation, PairingPolicy, TrustAnswer};
use super::span::After;
use super::state::{Attached, State};
use crate::ids::MuxId;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Something that happens at its time.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) event: Event,
}

/// What happens. Numbers are tokens: an event whose token is outdated does nothing.
#[derive(Debug)]
pub(super) enum Event {
    /// The person answers the Trust dialog.
    AnswerTrust(u64, TrustAnswer),
    /// The passcode sheet after "Trust" was not filled in.
    PasscodeSheetExpires(u64),
    /// The person unlocks the device.
    Unlock,
    /// The person deals with the queued profile.
    Deal(u64, AcceptAnswer),
    /// The queued profile expires.
    Purge(u64),
    /// Policies follow the enrollment.
    Policies,
    /// The device activates itself.
    Activate,
}

/// What a change does to the cable.
#[derive(Debug)]
pub(super) enum Cable {
    /// Out, and back in after the span.
    Slips(Duration),
}

impl State {
    /// Does what is due and says when the next thing is.
    pub(super) fn run_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        loop {
            let due = self.schedule.iter().enumerate().filter(|(_, d)| d.at <= now);
            let Some((n, _)) = due.min_by_key(|(_, d)| d.at) else { break };
            let Due { event, .. } = self.schedule.swap_remove(n);
            self.happen(event);
        }
        self.schedule.iter().map(|d| d.at).min()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::AnswerTrust(token, answer) => self.answer_trust(token, answer),
            Event::PasscodeSheetExpires(token) => self.passcode_sheet_expires(token),
            Event::Unlock => self.unlock(),
            Event::Deal(token, answer) => self.deal_with_pending(token, answer),
            Event::Purge(token) => self.purge_pending(token),
            Event::Policies => self.policies_arrive(),
            Event::Activate => self.activate(),
        }
    }

    /// The person will unlock the device, if that is their way.
    fn expect_unlock(&mut self) {
        if let Some(span) = self.person.sees_locked_device() {
            self.plan(span, Event::Unlock);
        }
    }

    /// Unlocks the screen. What waited for it goes on: the Trust dialog (3.6 row 6) and the
    /// person's way to Settings.
    pub(super) fn unlock(&mut self) {
        let first = !self.unlocked_since_boot;
        if !self.locked && !first {
            return;
        }
        (self.locked, self.unlocked_since_boot) = (false, true);
        self.post("com.apple.springboard.lockstate");
        if first {
            self.post("com.apple.mobile.keybagd.first_unlock");
        }
        self.show_prepared_dialog();
        self.expect_dealing();
    }

    /// Locks the screen. A device without passcode has no lock to speak of (3.5:
    /// PasswordProtected means "asking for a passcode").
    pub(super) fn lock(&mut self) {
        if !self.settings.passcode {
            return;
        }
        self.locked = true;
        self.post("com.apple.springboard.lockcomplete");
        self.expect_unlock();
    }

    /// Setup Assistant ends.
    pub(super) fn finish_setup(&mut self) {
        self.setup_done = true;
        self.cloud = self.cloud.take().or_else(|| {
            super::management::initial_cloud_configuration(&super::Settings {
                setup_done: true,
                ..self.settings.clone()
            })
        });
        self.post("com.apple.purplebuddy.SetupStateChanged");
    }

    /// Reboots: off the bus, then back; before the first unlock if there is a passcode. In
    /// Setup Assistant all pairings are gone (3.6).
    pub(super) fn reboot(&mut self, takes: Duration) {
        self.counters.reboots += 1;
        if !self.setup_done {
            self.trust.pairings.clear();
        }
        self.locked = self.settings.passcode;
        self.unlocked_since_boot = !self.settings.passcode;
        self.outbox.cable.push(Cable::Slips(takes));
    }

    /// Erases everything: back to Setup Assistant, pairings, profiles and supervision gone.
    pub(super) fn erase(&mut self) {
        self.counters.erasures += 1;
        self.setup_done = false;
        self.settings.passcode = false;
        self.settings.supervised = false;
        self.settings.pairing = PairingPolicy::Ask;
        self.trust = super::trust::Trust::default();
        self.profiles = super::profiles::Profiles::default();
        self.cloud = None;
        self.overrides.clear();
        self.schedule.clear();
        self.reboot(self.settings.reboot_takes.0);
        if self.activation == Activation::Activated {
            self.activation = Activation::Unactivated;
            self.expect_activation(self.settings.activates_after.unwrap_or(After::secs(0)));
        }
    }

    /// The device will activate itself over its network, unless Find My binds it (5.1).
    pub(super) fn expect_activation(&mut self, after: After) {
        if let (After::In(span), false) = (after, self.settings.find_my) {
            self.plan(span, Event::Activate);
        }
    }

    fn activate(&mut self) {
        self.activation = Activation::Activated;
        self.post("com.apple.mobile.lockdown.activation_state");
    }

    /// The cable is in. Returns the receiver by which streams learn that it is out.
    pub(super) fn plug_in(&mut self, id: MuxId) -> watch::Receiver<bool> {
        let (gone, receiver) = watch::channel(false);
        self.attached = Some(Attached { id, gone });
        self.counters.attachments += 1;
        if self.locked {
            // The person has come to plug it in, or sees it come back.
            self.expect_unlock();
        }
        receiver
    }

    /// The cable is out: streams and listeners die, dialogs close, a denial is forgotten
    /// (3.6). Gives the number the attachment had.
    pub(super) fn pull_out(&mut self) -> Option<MuxId> {
        let Attached { id, gone } = self.attached.take()?;
        gone.send_replace(true);
        self.listeners.clear();
        self.trust.unplugged();
        Some(id)
    }
}
