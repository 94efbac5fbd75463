//! When a method fits, as data: its "use when" and "not for" rows, what it needs, and what
//! to mind with it.

use super::case::{
    Abm, Accounts, Case, Dem, Erase, Network, OtherMdm, Owner, Platform, Question, Scope, State, Station,
    Supervision, Users,
};
use super::{Method, R};
use crate::device::facts::OsVersion;
use Fact as F;
use Kind::{Mind, Needs, NotFor, UseWhen};

/// What a condition does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Speaks for the method if it holds.
    UseWhen,
    /// Rules the method out if it holds.
    NotFor,
    /// Rules the method out if it does not hold.
    Needs,
    /// Decides nothing; must be minded if it holds.
    Mind,
}

impl Kind {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::UseWhen => "use when",
            Self::NotFor => "not for",
            Self::Needs => "needs",
            Self::Mind => "mind",
        }
    }
}

/// Something that may be true of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The answer about the platform.
    Platform(Platform),
    /// The answer about the owner.
    Owner(Owner),
    /// The answer about users.
    Users(Users),
    /// The answer about the state.
    State(State),
    /// The answer about erasing.
    Erase(Erase),
    /// The answer about supervision.
    Supervision(Supervision),
    /// The answer about ABM and ASM.
    Abm(Abm),
    /// The answer about the station.
    Station(Station),
    /// The answer about the network.
    Network(Network),
    /// The answer about another MDM.
    OtherMdm(OtherMdm),
    /// The answer about device enrollment managers.
    Dem(Dem),
    /// The answer about Managed Apple Accounts.
    Accounts(Accounts),
    /// The answer about what is managed.
    Scope(Scope),
    /// The system of this platform is older than `major.minor`.
    OsBelow(Platform, u32, u32),
    /// There is more than one.
    Many,
}

impl Fact {
    /// Whether it is true of `case`; `None` if that is not known.
    pub fn holds(self, case: &Case) -> Option<bool> {
        Some(match self {
            Self::Platform(wanted) => case.platform? == wanted,
            Self::Owner(wanted) => case.owner? == wanted,
            Self::Users(wanted) => case.users? == wanted,
            Self::State(wanted) => case.state? == wanted,
            Self::Erase(wanted) => case.erase? == wanted,
            Self::Supervision(wanted) => case.supervision? == wanted,
            Self::Abm(wanted) => case.abm? == wanted,
            Self::Station(wanted) => case.station? == wanted,
            Self::Network(wanted) => case.network? == wanted,
            Self::OtherMdm(wanted) => case.other_mdm? == wanted,
            Self::Dem(wanted) => case.dem? == wanted,
            Self::Accounts(wanted) => case.accounts? == wanted,
            Self::Scope(wanted) => case.scope? == wanted,
            Self::OsBelow(platform, major, minor) => {
                case.platform? == platform && case.os? < OsVersion::new(major, minor)
            }
            Self::Many => case.count? > 1,
        })
    }

    /// The question whose answer decides it.
    pub fn question(self) -> Question {
        match self {
            Self::Platform(_) => Question::Platform,
            Self::Owner(_) => Question::Owner,
            Self::Users(_) => Question::Users,
            Self::State(_) => Question::State,
            Self::Erase(_) => Question::Erase,
            Self::Supervision(_) => Question::Supervision,
            Self::Abm(_) => Question::Abm,
            Self::Station(_) => Question::Station,
            Self::Network(_) => Question::Network,
            Self::OtherMdm(_) => Question::OtherMdm,
            Self::Dem(_) => Question::Dem,
            Self::Accounts(_) => Question::Accounts,
            Self::Scope(_) => Question::Scope,
            Self::OsBelow(..) => Question::Os,
            Self::Many => Question::Count,
        }
    }
}

/// A row about a method. It holds if any of its facts does.
#[derive(Debug, Clone, Copy)]
pub struct Condition {
    /// What it does.
    pub kind: Kind,
    /// The rules it rests on.
    pub rules: &'static [R],
    /// In words.
    pub words: &'static str,
    /// Any of these.
    pub facts: &'static [Fact],
}

impl Condition {
    /// Whether it holds; `None` if that is not known.
    pub fn holds(&self, case: &Case) -> Option<bool> {
        let mut known = Some(false);
        for fact in self.facts {
            match fact.holds(case) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => known = None,
            }
        }
        known
    }

    /// Whether it rules its method out; `None` if that is not known.
    pub fn rules_out(&self, case: &Case) -> Option<bool> {
        match self.kind {
            NotFor => self.holds(case),
            Needs => self.holds(case).map(|holds| !holds),
            UseWhen | Mind => Some(false),
        }
    }

    /// Questions whose answers could decide it.
    pub fn open(&self, case: &Case) -> impl Iterator<Item = Question> {
        self.facts.iter().filter(|fact| fact.holds(case).is_none()).map(|fact| fact.question())
    }
}

impl Method {
    /// Everything that decides about it, and what to mind with it.
    pub fn conditions(self) -> &'static [Condition] {
        match self {
            Self::Direct => DIRECT,
            Self::SetupAssistant => SETUP_ASSISTANT,
            Self::DirectMac => DIRECT_MAC,
            Self::Automated => AUTOMATED,
            Self::User => USER,
            Self::Byod => BYOD,
        }
    }
}

const fn row(kind: Kind, rules: &'static [R], words: &'static str, facts: &'static [Fact]) -> Condition {
    Condition { kind, rules, words, facts }
}

const CABLE: &[F] = &[F::Station(Station::Yes)];
const ERASED: &[F] = &[F::State(State::New), F::State(State::InSetup), F::Erase(Erase::Yes)];

#[rustfmt::skip] // a table: one row a line
const DIRECT: &[Condition] = &[
    row(UseWhen, &[R(37)], "the organisation owns the devices", &[F::Owner(Owner::Organisation)]),
    row(UseWhen, &[R(37)], "the network is wired or unreliable", &[F::Network(Network::Wired), F::Network(Network::Unreliable)]),
    row(UseWhen, &[R(37)], "Apple Business or School Manager cannot or shall not be used", &[F::Abm(Abm::No)]),
    row(UseWhen, &[R(37)], "the devices are new or in use", &[F::State(State::New), F::State(State::InUse)]),
    row(UseWhen, &[R(37)], "no user is bound to the device", &[F::Users(Users::Nobody)]),
    row(NotFor, &[R(91)], "Macs: they take the file by hand", &[F::Platform(Platform::Mac)]),
    row(NotFor, &[R(39)], "personal devices", &[F::Owner(Owner::Person)]),
    row(NotFor, &[R(2), R(58)], "devices that are bound to a user: its profiles are made without", &[F::Users(Users::One)]),
    row(NotFor, &[R(118)], "devices that several sign in to in turn", &[F::Users(Users::Several)]),
    row(NotFor, &[R(35)], "devices under another MDM, before they left it", &[F::OtherMdm(OtherMdm::Yes)]),
    row(NotFor, &[R(34)], "device enrollment manager accounts", &[F::Dem(Dem::Yes)]),
    row(NotFor, &[R(107)], "devices that are to become supervised: it leaves supervision as it was", &[F::Supervision(Supervision::Wanted)]),
    row(Needs, &[R(3)], "a USB cable from a station to the device", CABLE),
    row(Mind, &[R(38)], "where there is Apple Business or School Manager, Microsoft prefers Automated Device Enrollment", &[F::Abm(Abm::Yes)]),
    row(Mind, &[R(8)], "Setup Assistant should be finished first", &[F::State(State::New), F::State(State::InSetup)]),
    row(Mind, &[R(10), R(11)], "this system takes the SCEP export only", &[F::OsBelow(Platform::Iphone, 16, 0), F::OsBelow(Platform::Ipad, 16, 1)]),
    row(Mind, &[R(23)], "a supervised device may still ask its person: this station holds no supervision identity", &[F::Supervision(Supervision::Present)]),
    row(Mind, &[R(40)], "many devices take time; this station does them side by side", &[F::Many]),
];

#[rustfmt::skip] // a table: one row a line
const SETUP_ASSISTANT: &[Condition] = &[
    row(UseWhen, &[R(58)], "a user shall be bound to the device, which direct enrollment cannot", &[F::Users(Users::One)]),
    row(UseWhen, &[R(56)], "the devices shall be supervised, which is chosen at the bench", &[F::Supervision(Supervision::Wanted)]),
    row(UseWhen, &[R(47), R(61)], "the devices may be erased", &[F::Erase(Erase::Yes)]),
    row(UseWhen, &[R(94)], "the devices are in use already", &[F::State(State::InUse)]),
    row(NotFor, &[R(55)], "Macs", &[F::Platform(Platform::Mac)]),
    row(NotFor, &[R(71), R(39)], "personal devices", &[F::Owner(Owner::Person)]),
    row(NotFor, &[R(118)], "devices that several sign in to in turn", &[F::Users(Users::Several)]),
    row(NotFor, &[R(71), R(35)], "devices under another MDM, before they left it", &[F::OtherMdm(OtherMdm::Yes)]),
    row(NotFor, &[R(71), R(34)], "device enrollment manager accounts", &[F::Dem(Dem::Yes)]),
    row(Needs, &[R(47)], "a device that was not set up yet, or may be erased", ERASED),
    row(Needs, &[R(55)], "a USB cable from a bench to the device", CABLE),
    row(Mind, &[R(68)], "without a user the guide goes to direct enrollment", &[F::Users(Users::Nobody)]),
    row(Mind, &[R(59)], "the user must finish within 24 hours", &[F::Users(Users::One)]),
    row(Mind, &[R(57)], "the owner must remove the device from iCloud before it is erased", &[F::State(State::InUse)]),
    row(Mind, &[R(49), R(50)], "serial numbers are imported in files of at most 5,000 rows, 75,000 in all", &[F::Many]),
];

#[rustfmt::skip] // a table: one row a line
const DIRECT_MAC: &[Condition] = &[
    row(UseWhen, &[R(73)], "the organisation owns the Macs", &[F::Owner(Owner::Organisation)]),
    row(UseWhen, &[R(73)], "the Macs are new or in use", &[F::State(State::New), F::State(State::InUse)]),
    row(UseWhen, &[R(87)], "Apple Business or School Manager cannot or shall not be used", &[F::Abm(Abm::No)]),
    row(UseWhen, &[R(87)], "the network is wired or unreliable", &[F::Network(Network::Wired), F::Network(Network::Unreliable)]),
    row(UseWhen, &[R(87)], "the Macs are kiosks or shared", &[F::Users(Users::Nobody), F::Users(Users::Several)]),
    row(NotFor, &[R(91)], "iPhone and iPad", &[F::Platform(Platform::Iphone), F::Platform(Platform::Ipad)]),
    row(NotFor, &[R(73)], "personal Macs", &[F::Owner(Owner::Person)]),
    row(NotFor, &[R(81)], "Macs that are bound to a user: it can be chosen there, and is not supported", &[F::Users(Users::One)]),
    row(NotFor, &[R(83)], "Macs under another MDM, before they left it", &[F::OtherMdm(OtherMdm::Yes)]),
    row(Mind, &[R(79)], "this system takes the SCEP export only", &[F::OsBelow(Platform::Mac, 13, 1)]),
    row(Mind, &[R(88)], "the file has to be brought to each Mac and opened there", &[F::Many]),
    row(Mind, &[R(74)], "a cable does not help: a Mac takes no profile over it", CABLE),
];

#[rustfmt::skip] // a table: one row a line
const AUTOMATED: &[Condition] = &[
    row(UseWhen, &[R(93)], "supervision is wanted", &[F::Supervision(Supervision::Wanted), F::Supervision(Supervision::Present)]),
    row(UseWhen, &[R(93)], "the organisation or school owns the devices", &[F::Owner(Owner::Organisation)]),
    row(UseWhen, &[R(93)], "the devices are new", &[F::State(State::New)]),
    row(UseWhen, &[R(93), R(118)], "the device is for one user, for nobody in particular, or shared", &[F::Users(Users::One), F::Users(Users::Nobody), F::Users(Users::Several)]),
    row(UseWhen, &[R(38)], "there is Apple Business or School Manager", &[F::Abm(Abm::Yes)]),
    row(NotFor, &[R(94)], "personal devices", &[F::Owner(Owner::Person)]),
    row(NotFor, &[R(94)], "device enrollment manager accounts", &[F::Dem(Dem::Yes)]),
    row(NotFor, &[R(94)], "devices under another MDM, before they left it", &[F::OtherMdm(OtherMdm::Yes)]),
    row(Needs, &[R(95)], "Apple Business or School Manager with the devices in it", &[F::Abm(Abm::Yes)]),
    row(Needs, &[R(94), R(95), R(96)], "a new device, or one that is erased first", ERASED),
    row(Mind, &[R(94)], "for devices in use the guide goes to Apple Configurator", &[F::State(State::InUse)]),
    row(Mind, &[R(97)], "assign the profile after the erase and before the activation", &[F::Erase(Erase::Yes)]),
    row(Mind, &[R(100)], "this system falls back to the legacy sign-in: the modern one needs 13.0", &[F::OsBelow(Platform::Iphone, 13, 0), F::OsBelow(Platform::Ipad, 13, 0)]),
    row(Mind, &[R(124)], "Shared iPad needs a supervised iPad from 13.4, without user affinity; it is never for iPhones", &[F::Users(Users::Several)]),
    row(Mind, &[R(113)], "a sync moves about 3,000 devices a minute", &[F::Many]),
];

#[rustfmt::skip] // a table: one row a line
const USER: &[Condition] = &[
    row(UseWhen, &[R(160)], "the device belongs to the person who uses it", &[F::Owner(Owner::Person)]),
    row(UseWhen, &[R(164)], "only work apps and their data shall be managed", &[F::Scope(Scope::WorkApps)]),
    row(UseWhen, &[R(162)], "the users have Managed Apple Accounts", &[F::Accounts(Accounts::Yes)]),
    row(UseWhen, &[R(167)], "one user signs in with a work account", &[F::Users(Users::One)]),
    row(NotFor, &[R(161)], "Macs", &[F::Platform(Platform::Mac)]),
    row(NotFor, &[R(160)], "devices of the organisation", &[F::Owner(Owner::Organisation)]),
    row(NotFor, &[R(160)], "supervised devices", &[F::Supervision(Supervision::Wanted), F::Supervision(Supervision::Present)]),
    row(NotFor, &[R(167)], "devices without a user of their own", &[F::Users(Users::Nobody), F::Users(Users::Several)]),
    row(NotFor, &[R(35), R(184)], "devices under another MDM, before they left it", &[F::OtherMdm(OtherMdm::Yes)]),
    row(NotFor, &[R(161)], "systems before 15: they fall to the portal's flow", &[F::OsBelow(Platform::Iphone, 15, 0), F::OsBelow(Platform::Ipad, 15, 0)]),
    row(Needs, &[R(162)], "Managed Apple Accounts", &[F::Accounts(Accounts::Yes)]),
    row(Mind, &[R(172)], "apps that are there already stay personal and block management: delete them first", &[F::State(State::InUse)]),
];

#[rustfmt::skip] // a table: one row a line
const BYOD: &[Condition] = &[
    row(UseWhen, &[R(177)], "the device belongs to the person who uses it", &[F::Owner(Owner::Person)]),
    row(UseWhen, &[R(177), R(182)], "one user signs in", &[F::Users(Users::One)]),
    row(UseWhen, &[R(177)], "nothing may be erased", &[F::Erase(Erase::No)]),
    row(UseWhen, &[R(164)], "the whole device shall be managed", &[F::Scope(Scope::Device)]),
    row(UseWhen, &[R(181)], "the users have no Managed Apple Accounts", &[F::Accounts(Accounts::No)]),
    row(NotFor, &[R(177)], "Macs", &[F::Platform(Platform::Mac)]),
    row(NotFor, &[R(178)], "devices of the organisation", &[F::Owner(Owner::Organisation)]),
    row(NotFor, &[R(178), R(182)], "devices without a user of their own", &[F::Users(Users::Nobody), F::Users(Users::Several)]),
    row(NotFor, &[R(184)], "devices under another MDM, before they left it", &[F::OtherMdm(OtherMdm::Yes)]),
    row(Mind, &[R(181)], "enrollment on the web needs 15: this system takes the Company Portal app", &[F::OsBelow(Platform::Iphone, 15, 0), F::OsBelow(Platform::Ipad, 15, 0)]),
];
