//! A case: what is known about the devices to enroll, one answer a question.

use crate::device::facts::OsVersion;

/// Why an answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} takes {expected}, not '{given}'")]
pub struct BadAnswer {
    flag: &'static str,
    expected: String,
    given: String,
}

macro_rules! choices {
    ($($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $text:literal,)+ })+) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $name { $($(#[$what])* $variant,)+ }

            impl $name {
                /// What may be answered.
                pub const NAMES: &'static [&'static str] = &[$($text,)+];

                fn parse(text: &str) -> Option<Self> {
                    match text { $($text => Some(Self::$variant),)+ _ => None }
                }

                /// The answer as it is typed.
                pub fn name(self) -> &'static str {
                    match self { $(Self::$variant => $text,)+ }
                }
            }
        )+
    };
}

choices! {
    /// What the devices are.
    Platform {
        /// iPhone.
        Iphone = "iphone",
        /// iPad.
        Ipad = "ipad",
        /// Mac.
        Mac = "mac",
    }
    /// Whose they are.
    Owner {
        /// The organisation's or school's.
        Organisation = "organisation",
        /// The person's who uses it.
        Person = "person",
    }
    /// Who will use one.
    Users {
        /// Nobody in particular: no user affinity.
        Nobody = "none",
        /// One person, bound to the device.
        One = "one",
        /// Several in turn: Shared iPad, or Entra shared device mode.
        Several = "several",
    }
    /// Where they stand.
    State {
        /// Never used.
        New = "new",
        /// In Setup Assistant, erased before.
        InSetup = "in-setup",
        /// In use, with data on it.
        InUse = "in-use",
    }
    /// Whether they may be erased.
    Erase {
        /// They may.
        Yes = "yes",
        /// They may not.
        No = "no",
    }
    /// Supervision.
    Supervision {
        /// They are to become supervised.
        Wanted = "wanted",
        /// They are supervised already.
        Present = "present",
        /// It is not needed.
        Indifferent = "not-needed",
    }
    /// Whether Apple Business or School Manager can and shall be used.
    Abm {
        /// It can, and the devices are in it.
        Yes = "yes",
        /// It cannot, or nobody wants it.
        No = "no",
    }
    /// Whether a cable from a station such as this reaches them.
    Station {
        /// It does.
        Yes = "yes",
        /// It does not.
        No = "no",
    }
    /// The network at the place of enrollment.
    Network {
        /// Good enough for anything.
        Good = "good",
        /// Bad.
        Unreliable = "unreliable",
        /// By wire only.
        Wired = "wired",
    }
    /// Whether another MDM manages them.
    OtherMdm {
        /// One does.
        Yes = "yes",
        /// None does.
        No = "no",
    }
    /// Whether a device enrollment manager account is to enroll them.
    Dem {
        /// It is.
        Yes = "yes",
        /// It is not.
        No = "no",
    }
    /// Whether users have Managed Apple Accounts.
    Accounts {
        /// They have.
        Yes = "yes",
        /// They have not.
        No = "no",
    }
    /// What management is to cover.
    Scope {
        /// The whole device.
        Device = "device",
        /// Work apps and their data only.
        WorkApps = "work-apps",
    }
}

macro_rules! questions {
    ($($variant:ident: $field:ident, $flag:literal, $words:literal;)+) => {
        /// What can be asked about a case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Question {
            $(#[doc = $words] $variant,)+
            /// Which system version runs on them?
            Os,
            /// How many are there?
            Count,
        }

        /// What is known. Whatever is not is `None`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Case {
            $(#[doc = $words] pub $field: Option<$variant>,)+
            /// Which system version runs on them?
            pub os: Option<OsVersion>,
            /// How many are there?
            pub count: Option<u32>,
        }

        impl Question {
            /// All, in the order in which they are asked.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+ Self::Os, Self::Count];

            /// The flag that answers it.
            pub fn flag(self) -> &'static str {
                match self { $(Self::$variant => $flag,)+ Self::Os => "--os", Self::Count => "--count" }
            }

            /// The question.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)+
                    Self::Os => "Which system version runs on them?",
                    Self::Count => "How many are there?",
                }
            }

            /// What may be answered; empty for a version or a number.
            pub fn choices(self) -> &'static [&'static str] {
                match self { $(Self::$variant => $variant::NAMES,)+ Self::Os | Self::Count => &[] }
            }
        }

        impl Case {
            /// Takes an answer.
            ///
            /// # Errors
            /// It is none of those that can be given.
            pub fn answer(&mut self, question: Question, text: &str) -> Result<(), BadAnswer> {
                let text = text.trim();
                let bad = || BadAnswer {
                    flag: question.flag(),
                    expected: question.expected(),
                    given: text.to_owned(),
                };
                match question {
                    $(Question::$variant => self.$field = Some($variant::parse(text).ok_or_else(bad)?),)+
                    Question::Os => self.os = Some(OsVersion::parse(text).ok_or_else(bad)?),
                    Question::Count => {
                        self.count = Some(text.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?);
                    }
                }
                Ok(())
            }

            /// The answers given, as flags and their values.
            pub fn answers(&self) -> Vec<(&'static str, String)> {
                let mut given = Vec::new();
                $(given.extend(self.$field.map(|v| ($flag, v.name().to_owned())));)+
                given.extend(self.os.map(|v| ("--os", v.to_string())));
                given.extend(self.count.map(|v| ("--count", v.to_string())));
                given
            }
        }
    };
}

questions! {
    Platform: platform, "--platform", "What are the devices?";
    Owner: owner, "--owner", "Whose are they?";
    Users: users, "--users", "Who will use one: nobody in particular, one person, or several in turn?";
    OtherMdm: other_mdm, "--other-mdm", "Does another MDM manage them now?";
    State: state, "--state", "Where do they stand?";
    Erase: erase, "--erase", "May they be erased?";
    Supervision: supervision, "--supervision", "Must they be supervised?";
    Abm: abm, "--abm", "Can and shall Apple Business or School Manager be used?";
    Station: station, "--station", "Does a cable from this station reach them?";
    Dem: dem, "--dem", "Is a device enrollment manager account to enroll them?";
    Accounts: accounts, "--managed-accounts", "Do the users have Managed Apple Accounts?";
    Scope: scope, "--scope", "What shall be managed?";
    Network: network, "--network", "How is the network there?";
}

impl Question {
    /// What may be answered, in words.
    pub fn expected(self) -> String {
        match self {
            Self::Os => "a version such as 17.2".into(),
            Self::Count => "a number from 1".into(),
            _ => self.choices().join("|"),
        }
    }
}

impl Case {
    /// A case with these answers, for tables.
    ///
    /// # Errors
    /// As [`Case::answer`].
    pub fn of(answers: &[(Question, &str)]) -> Result<Self, BadAnswer> {
        let mut case = Self::default();
        answers.iter().try_for_each(|(question, text)| case.answer(*question, text))?;
        Ok(case)
    }
}
