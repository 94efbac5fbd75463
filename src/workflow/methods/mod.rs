//! Which enrollment method fits a case, and what every rule of it asks: data, and pure
//! functions over it (profiles-and-enrollment.md 4).
//!
//! May import: `device::facts`, base (and the vocabulary of `wire`: installed profiles). No
//! IO, no clock. Start at [`advise`], then [`Method::conditions`], then [`requirements`].
//! [`remarks`] are the checks that a plugged-in device answers by itself; `inspect` runs them.
//!
//! The rest of this page is written by the table itself (a test compares them;
//! `ENLIST_REFRESH_FIXTURES=1` rewrites it).
#![doc = include_str!("RULES.md")]

mod advise;
mod cards;
mod case;
mod conditions;
mod remarks;
mod requirement;
mod rules;
#[cfg(test)]
mod tests;
mod values;

pub use advise::{Advice, Fit, Misfit, Reason, advise};
pub use cards::{AFTER_ENROLLMENT, CARD, portal_path};
pub use case::{
    Abm, Accounts, BadAnswer, Case, Dem, Erase, Network, OtherMdm, Owner, Platform, Question, Scope, State,
    Station, Supervision, Users,
};
pub use conditions::{Condition, Fact, Kind};
pub(super) use remarks::NO_COMPANY_PORTAL;
pub use remarks::{Remark, remarks};
pub use requirement::{Carrier, Disposition, R, Requirement, requirement, requirements};
pub use values::{BadValue, VALUES, check_value};
pub(super) use values::{check_template, render_name};

use serde::Serialize;
use std::fmt;

/// An enrollment method (4.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A: direct enrollment of iPhone and iPad (4.A).
    Direct,
    /// B: Setup Assistant enrollment with a Profile URL (4.B).
    SetupAssistant,
    /// C: direct enrollment of Macs (4.C).
    DirectMac,
    /// D: Automated Device Enrollment (4.D).
    Automated,
    /// E: User Enrollment (4.E).
    User,
    /// F: device enrollment of personal devices (4.F).
    Byod,
}

impl Method {
    /// All methods, in the order of 4.0.
    pub const ALL: [Self; 6] =
        [Self::Direct, Self::SetupAssistant, Self::DirectMac, Self::Automated, Self::User, Self::Byod];

    /// Its letter in 4.0.
    pub fn letter(self) -> char {
        match self {
            Self::Direct => 'A',
            Self::SetupAssistant => 'B',
            Self::DirectMac => 'C',
            Self::Automated => 'D',
            Self::User => 'E',
            Self::Byod => 'F',
        }
    }

    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::SetupAssistant => "setup-assistant",
            Self::DirectMac => "direct-mac",
            Self::Automated => "automated",
            Self::User => "user",
            Self::Byod => "byod",
        }
    }

    /// Its name in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Direct => "direct enrollment of iPhone and iPad",
            Self::SetupAssistant => "Setup Assistant enrollment with a Profile URL",
            Self::DirectMac => "direct enrollment of Macs",
            Self::Automated => "Automated Device Enrollment",
            Self::User => "User Enrollment",
            Self::Byod => "device enrollment of personal devices",
        }
    }

    /// What it does to the device, and who begins it (4.0).
    pub fn about(self) -> &'static str {
        match self {
            Self::Direct => {
                "Erases nothing, binds no user, leaves supervision as it was; a technician begins it by cable."
            }
            Self::SetupAssistant => {
                "Erases the device, binds a user or not, may supervise; a technician prepares it, the user finishes it."
            }
            Self::DirectMac => "Erases nothing, binds no user; a person begins it on the Mac.",
            Self::Automated => {
                "For new or erased devices; supervises; the device begins it by itself at its first start."
            }
            Self::User => "Erases nothing, never supervises; the user begins it in Settings.",
            Self::Byod => "Erases nothing, does not supervise; the user begins it in the app or on the web.",
        }
    }

    /// The method with this letter or machine name.
    pub fn parse(text: &str) -> Option<Self> {
        let wanted = text.trim();
        let letter =
            |m: &Self| wanted.len() == 1 && wanted.starts_with([m.letter(), m.letter().to_ascii_lowercase()]);
        Self::ALL.into_iter().find(|m| letter(m) || m.name() == wanted)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.letter(), self.title())
    }
}
