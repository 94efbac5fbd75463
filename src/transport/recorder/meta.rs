//! `meta.toml`: what a recording is of.

use super::scrub::Scrubber;
use crate::wire::fields::{Fields, dictionary, string};
use plist::Value;
use serde::Deserialize;
use std::fmt::Write;

/// Most seconds of a wait for a person or for policies: what a station is told at most.
const MOST_SECONDS: u64 = 86_400;

/// Most seconds a job stays open without its device. A station may be told any number; a year
/// is as good as for ever, and can be added to other times.
const MOST_AWAY: u64 = 366 * 86_400;

/// Most pushes a job may have: what a station is told at most.
const MOST_PUSHES: u64 = 100;

/// Most pushes a job had: all it may have, of a hundred profiles.
const MOST_PUSHED: u64 = 100 * MOST_PUSHES;

/// Where a recording comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The simulator of this program.
    Simulator,
    /// Made by hand from documented facts.
    Constructed,
    /// A device.
    Hardware,
}

impl Origin {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::Constructed => "constructed",
            Self::Hardware => "hardware",
        }
    }
}

/// What a recording is of. Everything in it is scrubbed too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Version of the scrubbing rules it was written under.
    pub scrub: u32,
    /// Where it comes from.
    pub origin: Origin,
    /// The day, such as 2026-11-22.
    pub date: String,
    /// The program that wrote it.
    pub tool: String,
    /// ProductType, if it was told.
    #[serde(default)]
    pub product: String,
    /// ProductVersion, if it was told.
    #[serde(default)]
    pub os: String,
    /// Why it is not whole: empty if it is.
    #[serde(default)]
    pub cut: String,
    /// What the job was.
    pub job: JobMeta,
    /// How it ended.
    #[serde(default)]
    pub result: Option<ResultMeta>,
}

/// The job that was recorded: what a replay needs to do the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct JobMeta {
    /// What it was for: `enroll`, `prepare`, `erase`, or `look` for a reading of the installed
    /// profiles.
    pub task: String,
    /// Seconds a person had for Trust or for unlocking.
    pub person_within: u64,
    /// Seconds a queued profile waited.
    pub accept_within: u64,
    /// Pushes a job had.
    pub pushes: u32,
    /// What was done in Setup Assistant: `push` or `hold`.
    pub setup_assistant: String,
    /// Seconds the job stayed open without its device.
    pub replug_within: u64,
    /// Seconds the first policies were waited for.
    pub policies_within: u64,
    /// Kind of identity that was pushed first: `scep` or `acme`.
    pub prefer: String,
    /// The device was given a name.
    pub named: bool,
    /// The device was prepared first.
    #[serde(default)]
    pub prepares: bool,
    /// Nothing was changed.
    pub dry_run: bool,
    /// The profile of the job, its siblings, its helpers.
    #[serde(default, rename = "profile")]
    pub profiles: Vec<ProfileMeta>,
}

/// A profile of a job; of its contents nothing is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct ProfileMeta {
    /// `enroll`, `sibling` or `helper`.
    pub role: String,
    /// PayloadIdentifier, scrubbed.
    pub identifier: String,
    /// PayloadUUID, scrubbed.
    pub uuid: String,
    /// Kind of its identity: `scep`, `acme`, `pkcs12`, or nothing.
    pub identity: String,
}

impl JobMeta {
    /// The same with placeholders.
    pub(super) fn scrubbed(&self, scrubber: &mut Scrubber) -> Self {
        let profiles = self.profiles.iter().map(|profile| {
            let (identifier, uuid) = scrubber.profile(&profile.identifier, &profile.uuid);
            ProfileMeta { identifier, uuid, ..profile.clone() }
        });
        let profiles = profiles.collect();
        // What is written can be read, whatever a station was told.
        Self { profiles, replug_within: self.replug_within.min(MOST_AWAY), ..self.clone() }
    }

    /// Its numbers: their key, what it is, what it can be at most.
    fn numbers(&self) -> [(&'static str, u64, u64); 5] {
        [
            ("person_within", self.person_within, MOST_SECONDS),
            ("accept_within", self.accept_within, MOST_SECONDS),
            ("policies_within", self.policies_within, MOST_SECONDS),
            ("replug_within", self.replug_within, MOST_AWAY),
            ("pushes", u64::from(self.pushes), MOST_PUSHES),
        ]
    }

    fn write(&self, out: &mut String) {
        let Self { task, setup_assistant, prefer, person_within, accept_within, pushes, .. } = self;
        let Self { replug_within, policies_within, named, prepares, dry_run, .. } = self;
        let [task, setup_assistant, prefer] = [task, setup_assistant, prefer].map(quoted);
        let _ = writeln!(out, "\n[job]\ntask = {task}\nperson_within = {person_within}");
        let _ = writeln!(out, "accept_within = {accept_within}\npushes = {pushes}");
        let _ = writeln!(out, "setup_assistant = {setup_assistant}\nreplug_within = {replug_within}");
        let _ = writeln!(out, "policies_within = {policies_within}\nprefer = {prefer}");
        let _ = writeln!(out, "named = {named}\ndry_run = {dry_run}");
        if *prepares {
            let _ = writeln!(out, "prepares = true");
        }
        for ProfileMeta { role, identifier, uuid, identity } in &self.profiles {
            let [role, identifier, uuid, identity] = [role, identifier, uuid, identity].map(quoted);
            let _ = writeln!(out, "\n[[job.profile]]\nrole = {role}\nidentifier = {identifier}");
            let _ = writeln!(out, "uuid = {uuid}\nidentity = {identity}");
        }
    }
}

/// A text as TOML has it: as JSON has it, and without the one character that TOML minds more.
fn quoted(text: impl AsRef<str>) -> String {
    serde_json::Value::from(text.as_ref()).to_string().replace('\u{7f}', "\\u007f")
}

/// How a recorded job ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultMeta {
    /// Machine name of the outcome.
    pub outcome: String,
    /// Machine name of the class.
    pub class: String,
    /// How often a profile was pushed, helpers included.
    pub pushes: u32,
    /// The device's last errors, outermost first, as [`errors`] gives them; a recording made by
    /// hand need not say them.
    #[serde(default)]
    pub chain: Option<Vec<String>>,
}

/// Errors without their texts, each as domain and code: `MCInstallationErrorDomain 4001` (4.3).
/// What no recording may tell is `~`.
pub fn errors<'a>(chain: impl IntoIterator<Item = (&'a str, i64)>, scrubber: &mut Scrubber) -> Vec<String> {
    let told = |(domain, code)| {
        let link = dictionary([("ErrorCode", Some(Value::from(code))), ("ErrorDomain", string(domain))]);
        let scrubbed = scrubber.frame(&link);
        let domain = scrubbed.text("ErrorDomain").filter(|domain| !domain.starts_with('~'));
        let code = scrubbed.int("ErrorCode").filter(|scrubbed| *scrubbed == code);
        format!("{} {}", domain.unwrap_or("~"), code.map_or_else(|| "~".to_owned(), |code| code.to_string()))
    };
    chain.into_iter().map(told).collect()
}

/// True if [`errors`] may have given this.
pub(super) fn is_error(told: &str, scrubber: &mut Scrubber) -> bool {
    let Some((domain, code)) = told.rsplit_once(' ') else { return false };
    let number = if code == "~" { Some(i64::MAX) } else { code.parse().ok() };
    number.is_some_and(|number| errors([(domain, number)], scrubber) == [told])
}

impl Meta {
    /// The file's text.
    pub fn text(&self) -> String {
        let mut out = String::from("# A recording of Enlist: see fixtures/README.md for what it is.\n");
        let Self { scrub, origin, date, tool, product, os, cut, job, result } = self;
        let [date, tool, product, os] = [date, tool, product, os].map(quoted);
        let _ = writeln!(out, "scrub = {scrub}\norigin = \"{}\"\ndate = {date}", origin.name());
        let _ = writeln!(out, "tool = {tool}\nproduct = {product}\nos = {os}");
        if !cut.is_empty() {
            let _ = writeln!(out, "cut = {}", quoted(cut));
        }
        job.write(&mut out);
        if let Some(ResultMeta { outcome, class, pushes, chain }) = result {
            let [outcome, class] = [outcome, class].map(quoted);
            let _ = writeln!(out, "\n[result]\noutcome = {outcome}\nclass = {class}\npushes = {pushes}");
            if let Some(chain) = chain {
                let chain: Vec<_> = chain.iter().map(quoted).collect();
                let _ = writeln!(out, "chain = [{}]", chain.join(", "));
            }
        }
        out
    }

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let meta: Self = toml::from_str(text).map_err(|e: toml::de::Error| e.message().to_owned())?;
        let pushed = meta.result.as_ref().map(|result| ("result.pushes", result.pushes.into(), MOST_PUSHED));
        let mut numbers = meta.job.numbers().into_iter().chain(pushed);
        match numbers.find(|(_, number, most)| number > most) {
            Some((key, number, most)) => Err(format!("{key} is {number}, and {most} at most in a job")),
            None => Ok(meta),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_as_it_was_written() {
        let profile = |role: &str| ProfileMeta {
            role: role.into(),
            identifier: "example.profile-1".into(),
            uuid: "00000000-0000-4000-8000-000000000001".into(),
            identity: "scep".into(),
        };
        let meta = Meta {
            scrub: 1,
            origin: Origin::Simulator,
            date: "2026-11-22".into(),
            tool: "enlist 0.1.0".into(),
            product: "iPhone16,2".into(),
            os: "18.2".into(),
            cut: "No \"space\" \u{0}\u{1b}\u{7f}\u{85}'\\ left".into(),
            job: JobMeta {
                task: "enroll".into(),
                person_within: 180,
                prepares: true,
                profiles: vec![profile("enroll"), profile("helper")],
                ..JobMeta::default()
            },
            result: Some(ResultMeta {
                outcome: "failed".into(),
                class: "server".into(),
                pushes: 1,
                chain: Some(vec!["MCMDMErrorDomain 12011".into(), " 5".into()]),
            }),
        };
        assert_eq!(Meta::parse(&meta.text()), Ok(meta.clone()), "{}", meta.text());
        let whole = Meta { cut: String::new(), result: None, ..meta };
        assert_eq!(Meta::parse(&whole.text()), Ok(whole.clone()));
        let by_hand = ResultMeta { outcome: "enrolled".into(), class: "none".into(), pushes: 1, chain: None };
        let by_hand = Meta { result: Some(by_hand), ..whole };
        assert_eq!(Meta::parse(&by_hand.text()), Ok(by_hand));
        assert!(Meta::parse("scrub = 1").is_err());
    }

    #[test]
    fn numbers_are_those_that_a_station_can_be_told() {
        let text = |job: &JobMeta, pushes: u32| {
            let meta = Meta {
                scrub: 1,
                origin: Origin::Simulator,
                date: "2026-11-22".into(),
                tool: "enlist 0.1.0".into(),
                product: String::new(),
                os: String::new(),
                cut: String::new(),
                job: job.clone(),
                result: Some(ResultMeta {
                    outcome: "failed".into(),
                    class: "device".into(),
                    pushes,
                    chain: None,
                }),
            };
            meta.text()
        };
        let job = JobMeta { task: "enroll".into(), pushes: 100, person_within: 86_400, ..JobMeta::default() };
        assert!(Meta::parse(&text(&job, 10_000)).is_ok());
        let bad = [
            (JobMeta { person_within: u64::MAX, ..job.clone() }, 1, "person_within"),
            (JobMeta { person_within: 86_401, ..job.clone() }, 1, "person_within"),
            (JobMeta { accept_within: u64::MAX, ..job.clone() }, 1, "accept_within"),
            (JobMeta { policies_within: u64::MAX, ..job.clone() }, 1, "policies_within"),
            (JobMeta { replug_within: u64::MAX, ..job.clone() }, 1, "replug_within"),
            (JobMeta { pushes: 101, ..job.clone() }, 1, "pushes"),
            (job.clone(), u32::MAX, "result.pushes"),
        ];
        for (job, pushed, key) in bad {
            let error = Meta::parse(&text(&job, pushed)).unwrap_err();
            assert!(error.starts_with(&format!("{key} is ")), "{error}");
        }
        let long = JobMeta { replug_within: i64::MAX as u64, ..job };
        assert!(Meta::parse(&text(&long.scrubbed(&mut Scrubber::default()), 1)).is_ok());
    }

    #[test]
    fn errors_are_told_by_domain_and_code() {
        let chain = [
            ("MCInstallationErrorDomain", 4001),
            ("F2LX0000HG7F", 5),
            ("MCMDMErrorDomain", i64::MAX),
            ("", -5),
        ];
        let mut scrubber = Scrubber::default();
        let told = errors(chain, &mut scrubber);
        assert_eq!(told, ["MCInstallationErrorDomain 4001", "~ 5", "MCMDMErrorDomain ~", " -5"]);
        assert!(told.iter().all(|told| is_error(told, &mut scrubber)));
        for wrong in ["4001", "MCMDMErrorDomain x", "", "F2LX0000HG7F 5", "MCMDMErrorDomain 04"] {
            assert!(!is_error(wrong, &mut scrubber), "{wrong}");
        }
    }
}
