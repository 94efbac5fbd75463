//! The checks of one device, from the harmless to the destructive.

use super::hands::{Hands, Part};
use super::result::{CheckView, Found, Status};
use super::{Dut, Rig, RigScreen, Stop, unless_stopped};
use crate::api::view::{DeviceInfo, DeviceView, Exit};
use crate::api::{Consent, Export, OperationError, Operations, RunOptions, Wanted};
use crate::ids::MuxId;
use crate::limits::ERASE_TAKES;
use crate::wire::profile::Profile;
use crate::workflow::outcome::{Class, Outcome};
use crate::workflow::policy::Policy;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between two looks whether a person did their part.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A restarted device is back within this time: "typically after 20-60 s" (3.13).
const RESTART_TAKES: Duration = Duration::from_secs(180);

/// What stands for the organisation where the configuration names none.
const ORGANIZATION: &str = "Enlist rig";

macro_rules! checks {
    ($($variant:ident = $name:literal, $about:literal;)+) => {
        /// What is checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $(#[doc = $about] $variant,)+
        }

        impl Check {
            /// All, in the order they are made.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The machine name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it proves.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)+ }
            }
        }
    };
}

checks! {
    Lease = "lease", "No other run works with the device.";
    Listed = "listed", "The device is listed and answers.";
    Inspect = "inspect", "It tells what it tells everybody.";
    Pair = "pair", "It trusts this computer.";
    Profiles = "profiles", "A trusted computer reads its facts and its profiles.";
    Install = "install", "A harmless profile is installed and read back.";
    Remove = "remove", "That profile is removed again.";
    Replug = "replug", "Unplugged and plugged in again, it still trusts this computer.";
    Restart = "restart", "Restarted, it still trusts this computer.";
    Enroll = "enroll", "It enrolls with the export of the rig file.";
    Unenroll = "unenroll", "That enrollment is removed again.";
    Erase = "erase", "It erases itself and is back in Setup Assistant.";
    Prepare = "prepare", "In Setup Assistant it takes supervision.";
    EnrollErased = "enroll-erased", "In Setup Assistant it enrolls without a person.";
    Scenario = "scenario", "It plays a device of a scenario.";
}

/// A device under test, and what is known of it so far.
pub(super) struct Seat<'a> {
    pub(super) rig: &'a Rig,
    pub(super) dut: &'a Dut,
    pub(super) export: Option<&'a Export>,
    screen: &'a dyn RigScreen,
    pub(super) stop: Stop,
    /// How it stood last.
    view: Option<DeviceView>,
    passed: BTreeSet<Check>,
}

type Step<T> = Result<T, Found>;

impl<'a> Seat<'a> {
    pub(super) fn new(
        rig: &'a Rig,
        dut: &'a Dut,
        export: Option<&'a Export>,
        screen: &'a dyn RigScreen,
        stop: Stop,
    ) -> Self {
        Self { rig, dut, export, screen, stop, view: None, passed: BTreeSet::new() }
    }

    /// Makes every check that is wanted.
    pub(super) async fn check_all(&mut self, checks: &mut Vec<CheckView>) {
        let own = |check: &&Check| !matches!(check, Check::Lease | Check::Scenario);
        let wanted: Vec<_> = Check::ALL.iter().filter(own).copied().filter(|c| self.is_wanted(*c)).collect();
        for check in wanted {
            let made = self.check(check, None, async |seat| seat.perform(check).await).await;
            checks.push(made);
        }
    }

    /// Those that others need are made whatever is wanted.
    fn is_wanted(&self, check: Check) -> bool {
        let only = &self.rig.options.only;
        // A scenario earns trust itself, or has it refused.
        let later = only.iter().any(|wanted| *wanted > Check::Pair && *wanted != Check::Scenario);
        let erased = only.iter().any(|wanted| matches!(wanted, Check::Prepare | Check::EnrollErased));
        let needed = match check {
            Check::Listed => true,
            Check::Pair => later,
            Check::Erase => erased,
            _ => false,
        };
        needed || only.is_empty() || only.contains(&check)
    }

    /// Makes one check and shows it.
    pub(super) async fn check(
        &mut self,
        check: Check,
        scenario: Option<String>,
        perform: impl AsyncFnOnce(&mut Self) -> Found,
    ) -> CheckView {
        let title = scenario.as_deref().unwrap_or(check.name());
        self.screen.begins(&self.dut.label(), title);
        let begun = Instant::now();
        let stop = self.stop.clone();
        let mut found = match (stop.is_asked(), self.gate(check)) {
            (true, _) => super::interrupted(),
            (false, Some(gate)) => {
                Found::skipped(format!("Not tried, because {} did not pass.", gate.name()))
            }
            (false, None) => {
                self.operations().records_looks(&self.dut.udid, self.policy().person_within);
                unless_stopped(&stop, perform(self)).await
            }
        };
        let known = found.device.as_deref().or(self.view.as_ref());
        let (outcome, class) =
            known.map_or((Outcome::Attached, Class::None), |view| (view.outcome, view.class));
        self.operations().recorded(&self.dut.udid, outcome, class);
        if !self.is_answered() {
            found = found.unattended();
        }
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ended(check, scenario, found, ms)
    }

    /// The check that has to pass first and did not.
    fn gate(&self, check: Check) -> Option<Check> {
        let gates = match check {
            Check::Lease | Check::Listed => [].as_slice(),
            Check::Inspect | Check::Pair | Check::Scenario => &[Check::Listed],
            Check::Prepare | Check::EnrollErased if !self.dut.may_erase => &[Check::Listed],
            Check::Prepare | Check::EnrollErased => &[Check::Listed, Check::Erase],
            _ => &[Check::Listed, Check::Pair],
        };
        gates.iter().find(|gate| !self.passed.contains(gate)).copied()
    }

    /// The result of a check.
    pub(super) fn ended(
        &mut self,
        check: Check,
        scenario: Option<String>,
        found: Found,
        ms: u64,
    ) -> CheckView {
        if found.status == Status::Passed {
            self.passed.insert(check);
        }
        let exit = found.exit();
        self.view = found.device.map(|device| device.knowing(self.view.as_ref())).or(self.view.take());
        let known = self.view.clone().unwrap_or_else(|| DeviceView::unseen(&self.dut.udid));
        let view = DeviceView { sentence: found.sentence, next: found.next, ms, ..known };
        let device = self.dut.label();
        let view = CheckView { device, check: check.name(), scenario, status: found.status, view, exit };
        self.screen.ended(&view);
        view
    }

    async fn perform(&mut self, check: Check) -> Found {
        let found = match check {
            Check::Lease | Check::Scenario => Ok(Found::skipped("This is no check by itself.")),
            Check::Listed => self.listed().await,
            Check::Inspect => self.inspect().await,
            Check::Pair => self.pair().await,
            Check::Profiles => self.profiles().await,
            Check::Install => self.install().await,
            Check::Remove => self.remove().await,
            Check::Replug => self.replug().await,
            Check::Restart => self.restart().await,
            Check::Enroll => self.enroll().await,
            Check::Unenroll => self.unenroll().await,
            Check::Erase => self.erase().await,
            Check::Prepare => self.prepare().await,
            Check::EnrollErased if !self.dut.may_erase => {
                Ok(Found::skipped("The rig file allows no erase (may_erase)."))
            }
            Check::EnrollErased => self.enroll().await,
        };
        found.unwrap_or_else(|broken| broken)
    }

    pub(super) fn operations(&self) -> &'a Operations {
        &self.rig.operations
    }

    /// True if somebody or something answers the device's dialogs.
    pub(super) fn is_answered(&self) -> bool {
        let simulated = self.view.as_ref().is_some_and(|view| view.simulated);
        self.rig.options.attended || self.dut.answers_itself || simulated
    }

    pub(super) fn policy(&self) -> Policy {
        self.rig.policy(self.is_answered())
    }

    pub(super) fn hands(&self) -> Hands<'_> {
        Hands {
            dut: self.dut,
            screen: self.screen,
            attended: self.rig.options.attended,
            within: self.rig.file.patience(),
            stop: self.stop.clone(),
        }
    }

    pub(super) fn tells(&self, words: &str) {
        self.screen.asks(&self.dut.label(), words, None);
    }

    /// A teller for operations that wait for a person.
    fn teller(&self) -> impl Fn(&str) + Send + Sync {
        |words: &str| self.tells(words)
    }

    /// What waits for a person and has nothing to write down ends at once.
    async fn or_stopped<T>(&self, waits: impl Future<Output = T>) -> Step<T> {
        tokio::select! {
            done = waits => Ok(done),
            () = self.stop.asked() => Err(super::interrupted()),
        }
    }

    /// Refuses another device than the one the rig file means.
    pub(super) fn is_meant(&self, view: DeviceView) -> Step<DeviceView> {
        let (Some(wanted), Some(serial)) = (&self.dut.serial, &view.serial) else { return Ok(view) };
        let plain = |text: &str| text.trim().to_ascii_uppercase();
        if plain(serial).ends_with(&plain(wanted)) {
            return Ok(view);
        }
        let said = format!("The rig file gives it the serial number {wanted}, and it has {serial}.");
        Err(Found::failed(said, "Correct the rig file.").with(view).exiting(Exit::Usage))
    }

    async fn listed(&mut self) -> Step<Found> {
        let listed = self.operations().look_at(&self.dut.udid).await.map_err(Found::of_error)?;
        let device = self.is_meant(listed.device)?;
        if device.outcome != Outcome::Attached {
            return Err(Found::of_device(device));
        }
        Ok(Found::passed(format!("It is listed in {} and answers.", device.bay)).with(device))
    }

    pub(super) async fn info(&self) -> Step<DeviceInfo> {
        self.operations().info(Some(self.dut.udid.as_str())).await.map_err(Found::of_error)
    }

    async fn inspect(&mut self) -> Step<Found> {
        let info = self.info().await?;
        let device = self.is_meant(info.device)?;
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        let told = format!(
            "It says that it is {} ({}) with {}; Setup Assistant: {}.",
            shown(&device.product_type),
            shown(&info.device_class),
            shown(&device.os_version),
            info.setup_assistant
        );
        // What it tells those it does not trust is unconfirmed for some systems (3.4).
        match device.outcome {
            Outcome::Attached => Ok(Found::passed(told).with(device)),
            _ => Err(Found::of_device(device)),
        }
    }

    /// Earns its trust.
    pub(super) async fn trust(&self) -> Step<DeviceView> {
        let within = self.policy().person_within;
        let wanted = Some(self.dut.udid.as_str());
        let teller = self.teller();
        let paired = self.or_stopped(self.operations().pair(wanted, within, &teller)).await?;
        let device = paired.map_err(Found::of_error)?;
        if device.outcome != Outcome::Attached {
            return Err(Found::of_device(device));
        }
        // Most devices tell their serial number to those they trust alone: the last moment to
        // see that another one is meant.
        let known = self.is_meant(self.info().await?.device)?;
        Ok(DeviceView { sentence: device.sentence, ..known })
    }

    async fn pair(&mut self) -> Step<Found> {
        let device = self.trust().await?;
        Ok(Found::passed(device.sentence.clone()).with(device))
    }

    async fn profiles(&mut self) -> Step<Found> {
        let info = self.info().await?;
        let device = self.is_meant(info.device)?;
        let Some(profiles) = info.profiles else { return Err(Found::of_device(device)) };
        let supervised = info.supervised == Some(true);
        if self.dut.supervised_by.is_some() && !self.dut.may_erase && !supervised {
            let next = "Correct supervised_by in the rig file, or prepare the device.";
            return Err(Found::failed("It is not supervised, as the rig file says.", next).with(device));
        }
        let of = if supervised { "It is supervised" } else { "It is not supervised" };
        Ok(Found::passed(format!("{of}; configuration profiles: {}.", profiles.len())).with(device))
    }

    /// Why a profile cannot be installed with nobody there, if so.
    pub(super) async fn needs_a_person(&self) -> Step<()> {
        if self.is_answered() {
            return Ok(());
        }
        let info = self.info().await?;
        let silent = info.supervised == Some(true) && self.dut.supervised_by.is_some();
        match silent || info.setup_assistant == "running" {
            true => Ok(()),
            false => {
                Err(Found::skipped("After Setup Assistant a person has to install it, and nobody is there."))
            }
        }
    }

    /// Gives the device a profile.
    async fn push(&self, profile: Arc<Profile>, policy: Policy) -> Step<DeviceView> {
        self.needs_a_person().await?;
        self.job(Operations::to_install(&self.dut.udid, profile, policy)).await
    }

    /// Runs a job to its end.
    pub(super) async fn job(&self, options: RunOptions) -> Step<DeviceView> {
        let ended = self.job_until(options, self.stop.asked()).await?;
        ended.ok_or_else(|| match self.stop.is_asked() {
            true => super::interrupted(),
            false => away(),
        })
    }

    /// The same, which may be ended; `None` then.
    pub(super) async fn job_until(
        &self,
        options: RunOptions,
        end: impl Future<Output = ()> + Send,
    ) -> Step<Option<DeviceView>> {
        // The looks before it do not belong to the recording of a job.
        self.operations().recorded(&self.dut.udid, Outcome::Attached, Class::None);
        let last = Mutex::new(String::new());
        let told = |device: &DeviceView, left: Option<u64>| {
            let (Some(left), true) = (left, device.exit() == Exit::NeedsPerson) else { return };
            let words = format!("{} {}", device.sentence, device.next.as_deref().unwrap_or_default());
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if *last != words {
                self.screen.asks(&self.dut.label(), words.trim(), Some(Duration::from_secs(left)));
                *last = words;
            }
        };
        self.operations().run_one(&self.dut.udid, options, &told, end).await.map_err(Found::of_error)
    }

    async fn install(&mut self) -> Step<Found> {
        let profile = self.operations().harmless_profile().map_err(Found::of_error)?;
        let policy = Policy { helpers: Vec::new(), ..self.policy() };
        let device = self.push(profile, policy).await?;
        match device.outcome {
            Outcome::AlreadyEnrolled => {
                Ok(Found::passed("An earlier run left it there, and it was read back.").with(device))
            }
            outcome if outcome.is_success() => {
                Ok(Found::passed("It was installed and read back.").with(device))
            }
            _ => Err(Found::of_device(device)),
        }
    }

    async fn remove(&mut self) -> Step<Found> {
        let profile = self.operations().harmless_profile().map_err(Found::of_error)?;
        self.remove_profile(profile.identifier(), Consent::Nobody).await
    }

    /// Removes a profile, if it is there.
    pub(super) async fn remove_profile(&self, identifier: &str, consent: Consent<'_>) -> Step<Found> {
        let info = self.info().await?;
        let Some(profiles) = info.profiles else { return Err(Found::of_device(info.device)) };
        if !profiles.iter().any(|profile| profile.identifier == identifier) {
            return Err(Found::skipped("It is not on the device."));
        }
        let (wanted, within) = (Some(self.dut.udid.as_str()), self.policy().person_within);
        let teller = self.teller();
        let left = self.operations().remove(wanted, identifier, consent, within, &teller);
        let device = self.or_stopped(left).await?.map_err(Found::of_error)?.device;
        match device.outcome {
            Outcome::Attached => Ok(Found::passed(device.sentence.clone()).with(device)),
            _ => Err(Found::of_device(device)),
        }
    }

    /// Waits until the device's attachment is so.
    async fn until(&self, within: Duration, what: &str, is_so: impl Fn(Option<MuxId>) -> bool) -> Step<()> {
        let deadline = Instant::now() + within;
        loop {
            // A mux that is away for a moment says nothing about the device.
            match self.operations().attachment_of(&self.dut.udid).await {
                Ok(attachment) if is_so(attachment) => return Ok(()),
                Ok(_) | Err(_) => {}
            }
            if Instant::now() >= deadline {
                let said = format!("{what} within {} seconds.", within.as_secs());
                return Err(match self.dut.hands.is_empty() {
                    true => Found::needs_person(said, "Have a person at the rig, and run this again."),
                    false => Found::failed(said, "Look whether the hands of the rig file really move it."),
                });
            }
            tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                () = self.stop.asked() => return Err(super::interrupted()),
            }
        }
    }

    fn has_hands(&self, what: &str) -> Step<()> {
        match self.hands().are_there() {
            true => Ok(()),
            false => {
                Err(Found::skipped(format!("Nobody is there to {what} it, and the rig file names no hands.")))
            }
        }
    }

    pub(super) async fn unplug(&self) -> Step<()> {
        self.hands().ask(Part::Unplug).await?;
        self.until(self.rig.file.patience(), "It was not unplugged", |id| id.is_none()).await
    }

    pub(super) async fn plug(&self) -> Step<()> {
        self.hands().ask(Part::Plug).await?;
        self.until(self.rig.file.patience(), "It was not plugged in again", |id| id.is_some()).await
    }

    /// Waits until a session works again; a person may have to unlock the device.
    async fn until_trusted(&self) -> Step<DeviceView> {
        let deadline = Instant::now() + self.rig.file.patience();
        loop {
            let info = self.info().await;
            match info {
                Ok(info) if info.profiles.is_some() => return Ok(info.device),
                _ if Instant::now() < deadline => {}
                Ok(info) => return Err(Found::of_device(info.device)),
                Err(found) => return Err(found),
            }
            tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                () = self.stop.asked() => return Err(super::interrupted()),
            }
        }
    }

    async fn replug(&mut self) -> Step<Found> {
        self.has_hands("unplug")?;
        self.unplug().await?;
        self.plug().await?;
        let device = self.until_trusted().await?;
        Ok(Found::passed(format!("It came back in {} and trusts this computer.", device.bay)).with(device))
    }

    async fn restart(&mut self) -> Step<Found> {
        self.has_hands("restart")?;
        let before = self.operations().attachment_of(&self.dut.udid).await.map_err(Found::of_error)?;
        let in_setup = self.info().await?.setup_assistant == "running";
        self.hands().ask(Part::Restart).await?;
        let within = self.rig.file.patience() + RESTART_TAKES;
        self.until(within, "It did not restart", |id| id.is_some() && id != before).await?;
        if self.dut.has_passcode {
            self.hands().ask(Part::Unlock).await?;
        }
        if in_setup {
            // There a restart ends all trust (3.6); it is earned anew without a person.
            self.pair().await?;
        }
        let device = self.until_trusted().await?;
        Ok(Found::passed("It restarted, and trusts this computer.").with(device))
    }

    pub(super) fn enrollment(&self) -> Step<&'a Export> {
        self.export.ok_or_else(|| Found::skipped("The rig file names no export for it (enrolls_with)."))
    }

    async fn enroll(&mut self) -> Step<Found> {
        let export = self.enrollment()?;
        let policy = export.policy(self.policy(), &self.rig.options.answers);
        let device = self.push(export.profile.clone(), policy).await?;
        match device.outcome.is_success() {
            true => Ok(Found::passed(device.sentence.clone()).with(device)),
            false => Err(Found::of_device(device)),
        }
    }

    async fn unenroll(&mut self) -> Step<Found> {
        let export = self.enrollment()?;
        if !self.dut.may_unenroll {
            return Err(Found::skipped("The rig file does not allow it (may_unenroll)."));
        }
        self.remove_profile(export.profile.identifier(), Consent::Given).await
    }

    pub(super) async fn erase(&mut self) -> Step<Found> {
        let Some(serial) = self.dut.consent().filter(|_| self.dut.may_erase) else {
            return Err(Found::skipped("The rig file does not allow it (may_erase)."));
        };
        let policy = Policy { replug_within: ERASE_TAKES, ..self.policy() };
        let options = self.operations().to_erase(self.dut.udid.as_str(), Some(serial), false, policy);
        let device = self.job(options.map_err(Found::of_error)?).await?;
        match device.outcome {
            Outcome::Erased => Ok(Found::passed(device.sentence.clone()).with(device)),
            _ => Err(Found::of_device(device)),
        }
    }

    async fn prepare(&mut self) -> Step<Found> {
        if !self.dut.may_erase {
            return Err(Found::skipped("The rig file allows no erase (may_erase)."));
        }
        if self.dut.supervised_by.is_none() {
            return Err(Found::skipped("The rig file names no identity for it (supervised_by)."));
        }
        let mut wishes = self.rig.options.wishes.clone();
        wishes.organization.get_or_insert_with(|| ORGANIZATION.to_owned());
        // The export enrolls it, right after.
        (wishes.supervised, wishes.enrollment_url) = (true, None);
        let options = self.to_prepare(wishes).map_err(Found::of_error)?;
        let device = self.job(options).await?;
        match device.outcome {
            Outcome::Prepared => Ok(Found::passed(device.sentence.clone()).with(device)),
            _ => Err(Found::of_device(device)),
        }
    }

    fn to_prepare(&self, wishes: crate::workflow::preparation::Wishes) -> Result<RunOptions, OperationError> {
        let preparation = self.operations().preparation(wishes)?;
        let wanted = Wanted::One(Some(self.dut.udid.to_string()));
        self.operations().to_prepare(wanted, preparation, self.policy())
    }
}

fn away() -> Found {
    Found::failed("It is not attached any more.", "Plug it in again, and run this again.")
        .exiting(Exit::NoDevice)
}
