//! Whom the device trusts: the Trust dialog and the pairings (protocols.md 3.6, 3.7).

use super::lifecycle::Event;
use super::pairing;
use super::persona::{Activation, PairingPolicy, RecordCheck, TrustAnswer};
use super::state::State;
use super::tls;
use crate::wire::lockdown::{ErrorName, PairingOptions};
use crate::wire::pair_record::OfferedRecord;
use jiff::Timestamp;
use openssl::ssl::SslContext;
use plist::Dictionary;
use std::time::Duration;
use tokio::time::Instant;

/// After "Trust" a Pair succeeds on the same attachment "or within about 9 s of it" (3.6).
const TRUST_LASTS: Duration = Duration::from_secs(9);

/// The passcode sheet closes after two minutes (3.6).
const PASSCODE_SHEET: Duration = Duration::from_secs(120);

/// A pairing not used for this long is void (3.6: 30 days).
const PAIRING_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// "More than 512 hosts are trimmed to 256" (3.6).
const MOST_HOSTS: usize = 512;
const HOSTS_AFTER_TRIM: usize = 256;

/// Length of the pairing challenge (3.7).
const CHALLENGE_BYTES: usize = 1024;

/// What the device remembers of trust.
#[derive(Debug, Default)]
pub(super) struct Trust {
    pub(super) dialog: Dialog,
    pub(super) pairings: Vec<Pairing>,
    /// Host the person trusted last, when, and whether the cable has stayed in since.
    trusted: Option<(String, Instant, bool)>,
}

/// The Trust dialog.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Dialog {
    /// None.
    #[default]
    Closed,
    /// To be shown once the device is unlocked, for the host with this SystemBUID.
    Prepared(String),
    /// On the screen.
    Showing(String, u64),
    /// Trusted; the passcode is asked for.
    Passcode(String, u64),
    /// Don't Trust was tapped on this attachment.
    Denied,
}

impl Dialog {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Prepared(_) => "prepared",
            Self::Showing(..) => "showing",
            Self::Passcode(..) => "passcode",
            Self::Denied => "denied",
        }
    }
}

/// A host the device trusts.
#[derive(Debug)]
pub(super) struct Pairing {
    pub(super) host_id: String,
    record: OfferedRecord,
    last_used: Timestamp,
    /// Made when first needed: hundreds of devices are paired and never used.
    context: Option<SslContext>,
}

/// A challenge given on a lockdown connection, and bound to it (3.7).
#[derive(Debug)]
pub(super) struct Challenge {
    pub(super) bytes: Vec<u8>,
    supervisor: Vec<u8>,
    record: Dictionary,
}

impl Trust {
    /// The cable is out (3.6: dialogs close, a denial is forgotten).
    pub(super) fn unplugged(&mut self) {
        self.dialog = Dialog::Closed;
        if let Some((_, _, plugged)) = &mut self.trusted {
            *plugged = false;
        }
    }

    /// Unpair (3.11). With `ResetTrustPrompt` the person is asked anew even on this
    /// attachment.
    pub(super) fn unpair(&mut self, host_id: &str, reset_prompt: bool) -> bool {
        if reset_prompt {
            (self.trusted, self.dialog) = (None, Dialog::Closed);
        }
        self.forget(host_id)
    }

    /// Forgets a host; false if it was unknown.
    pub(super) fn forget(&mut self, host_id: &str) -> bool {
        let before = self.pairings.len();
        self.pairings.retain(|p| p.host_id != host_id);
        before != self.pairings.len()
    }

    fn still_trusts(&self, buid: &str) -> bool {
        self.trusted.as_ref().is_some_and(|(trusted, at, plugged)| {
            trusted == buid && (*plugged || at.elapsed() <= TRUST_LASTS)
        })
    }
}

impl State {
    /// Answers Pair: the escrow bag if there is one to give, or the error, before
    /// `ExtendedPairingErrors` is looked at. `challenge` is that of the connection.
    pub(super) fn pair(
        &mut self,
        record: &Dictionary,
        options: &PairingOptions,
        challenge: &mut Option<Challenge>,
    ) -> Result<Option<Vec<u8>>, ErrorName> {
        self.counters.pair_requests += 1;
        let has_key = |k: &str| record.contains_key(k);
        self.counters.private_keys_offered +=
            u64::from(has_key("RootPrivateKey") || has_key("HostPrivateKey"));
        let host_id = record.get("HostID").and_then(|v| v.as_string()).ok_or(ErrorName::InvalidResponse)?;
        let verdict = self.pair_verdict(record, options, challenge);
        if verdict.is_err() {
            // "A failing Pair removes any record the device held for that HostID" (3.6).
            self.trust.forget(host_id);
        }
        verdict?;
        self.counters.pairings += 1;
        self.post("com.apple.mobile.lockdown.host_paired");
        self.log("lockdownd", "paired with a host");
        let bag = self.settings.escrow_bag && !self.locked;
        Ok(bag.then(|| (0..32).map(|_| self.rng.u8(..)).collect()))
    }

    /// The check order of 3.6.
    fn pair_verdict(
        &mut self,
        record: &Dictionary,
        options: &PairingOptions,
        challenge: &mut Option<Challenge>,
    ) -> Result<(), ErrorName> {
        let offered = pairing::check(record, &self.key);
        if self.settings.record_check == RecordCheck::First {
            offered.as_ref().map_err(Clone::clone)?;
        }
        if self.settings.find_my_forbids_pairing {
            return Err(ErrorName::FmipProtected);
        }
        let ask = self.management_verdict(record, options, challenge)?;
        let implicit = !self.setup_done || self.activation == Activation::FactoryActivated;
        if ask && !implicit {
            let buid = record.get("SystemBUID").and_then(|v| v.as_string()).unwrap_or_default();
            self.dialog_verdict(buid)?;
        }
        self.remember(offered?);
        Ok(())
    }

    /// Row 4: whether the person is to be asked.
    fn management_verdict(
        &mut self,
        record: &Dictionary,
        options: &PairingOptions,
        challenge: &mut Option<Challenge>,
    ) -> Result<bool, ErrorName> {
        if self.settings.pairing == PairingPolicy::Forbidden {
            return Err(ErrorName::McProtected);
        }
        if let Some(response) = &options.challenge_response {
            let given = challenge.take().ok_or(ErrorName::McProtected)?;
            let same = given.record == *record;
            let good = self.is_answered(response.expose(), &given.bytes, &given.supervisor);
            return if same && good { Ok(false) } else { Err(ErrorName::McProtected) };
        }
        if let Some(certificate) = &options.supervisor_certificate {
            if !self.is_supervisor(certificate) {
                return Err(ErrorName::McProtected);
            }
            let bytes = self.challenge_bytes(CHALLENGE_BYTES);
            let (supervisor, record) = (certificate.clone(), record.clone());
            *challenge = Some(Challenge { bytes, supervisor, record });
            return Err(ErrorName::McChallengeRequired);
        }
        match self.settings.pairing {
            PairingPolicy::Ask => Ok(true),
            PairingPolicy::Silent => Ok(false),
            PairingPolicy::SupervisorsOnly | PairingPolicy::Forbidden => Err(ErrorName::McProtected),
        }
    }

    /// Random bytes that hold a lone LF, CR, CR LF, NUL and end in LF: what a signer that
    /// treats them as text gets wrong (4.6).
    pub(super) fn challenge_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..length).map(|_| self.rng.u8(..)).collect();
        for (at, trap) in [b"x\nx", b"x\rx", b"\r\nx", b"x\0x"].iter().enumerate() {
            if let Some(place) = bytes.get_mut(at * 4 + 8..at * 4 + 11) {
                place.copy_from_slice(*trap);
            }
        }
        // Every other one, so that a good end is met too.
        if let Some(last) = bytes.last_mut().filter(|_| self.rng.bool()) {
            *last = b'\n';
        }
        bytes
    }

    /// Rows 6 and 8.
    fn dialog_verdict(&mut self, buid: &str) -> Result<(), ErrorName> {
        if self.locked {
            if self.trust.dialog != Dialog::Denied {
                self.trust.dialog = Dialog::Prepared(buid.to_owned());
            }
            return Err(ErrorName::PasswordProtected);
        }
        if self.trust.dialog == Dialog::Denied {
            return Err(ErrorName::UserDeniedPairing);
        }
        if self.trust.still_trusts(buid) {
            return Ok(());
        }
        if matches!(self.trust.dialog, Dialog::Closed | Dialog::Prepared(_)) {
            self.show_dialog(buid.to_owned());
        }
        Err(ErrorName::PairingDialogResponsePending)
    }

    /// The device is unlocked: a dialog that waited for it comes up.
    pub(super) fn show_prepared_dialog(&mut self) {
        if let Dialog::Prepared(buid) = &self.trust.dialog {
            let buid = buid.clone();
            self.show_dialog(buid);
            self.post("com.apple.mobile.lockdown.request_pair");
        }
    }

    fn show_dialog(&mut self, buid: String) {
        let token = self.token();
        self.trust.dialog = Dialog::Showing(buid, token);
        if let Some((span, answer)) = self.person.sees_trust_dialog() {
            self.plan(span, Event::AnswerTrust(token, answer));
        }
    }

    /// The scheduled answer of the person; nothing if the dialog is another one by now.
    pub(super) fn answer_trust(&mut self, token: u64, answer: TrustAnswer) {
        if matches!(&self.trust.dialog, Dialog::Showing(_, showing) if *showing == token) {
            self.answer_dialog(answer);
        }
    }

    /// Answers the dialog on the screen; false if there is none.
    pub(super) fn answer_dialog(&mut self, answer: TrustAnswer) -> bool {
        let (Dialog::Showing(buid, _) | Dialog::Passcode(buid, _)) = &self.trust.dialog else {
            return false;
        };
        let buid = buid.clone();
        match answer {
            TrustAnswer::Trust => {
                self.trust.trusted = Some((buid, Instant::now(), true));
                self.trust.dialog = Dialog::Closed;
                self.post("com.apple.mobile.lockdown.request_pair");
            }
            TrustAnswer::Deny => self.trust.dialog = Dialog::Denied,
            TrustAnswer::ForgetPasscode => {
                let token = self.token();
                self.trust.dialog = Dialog::Passcode(buid, token);
                self.plan(PASSCODE_SHEET, Event::PasscodeSheetExpires(token));
            }
        }
        true
    }

    /// Two minutes without passcode count as denied (3.6).
    pub(super) fn passcode_sheet_expires(&mut self, token: u64) {
        if matches!(&self.trust.dialog, Dialog::Passcode(_, asked) if *asked == token) {
            self.trust.dialog = Dialog::Denied;
        }
    }

    fn remember(&mut self, record: OfferedRecord) {
        self.trust.forget(&record.host_id);
        let host_id = record.host_id.clone();
        let last_used = self.clock.now();
        self.trust.pairings.push(Pairing { host_id, record, last_used, context: None });
        if self.trust.pairings.len() > MOST_HOSTS {
            self.trust.pairings.sort_by_key(|p| p.last_used);
            let surplus = self.trust.pairings.len() - HOSTS_AFTER_TRIM;
            self.trust.pairings.drain(..surplus);
        }
    }

    /// The device's end of TLS with a host it trusts; refreshes the pairing.
    pub(super) fn trusted_context(&mut self, host_id: &str) -> Result<SslContext, ErrorName> {
        let now = self.clock.now();
        let found = self.trust.pairings.iter_mut().find(|p| p.host_id == host_id);
        let pairing = found.ok_or(ErrorName::InvalidHostId)?;
        if self.clock.since(pairing.last_used) > PAIRING_LIFE {
            self.trust.forget(host_id);
            return Err(ErrorName::InvalidHostId);
        }
        pairing.last_used = now;
        if let Some(context) = &pairing.context {
            return Ok(context.clone());
        }
        let made = tls::server_context(&pairing.record, &self.key, self.settings.tls);
        let context = made.map_err(|_| ErrorName::InternalError)?;
        pairing.context = Some(context.clone());
        Ok(context)
    }
}
