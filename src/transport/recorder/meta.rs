//! `meta.toml`: what a recording is of.

use serde::Deserialize;
use std::fmt::Write;

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
    /// PayloadIdentifier of the profile, scrubbed.
    pub identifier: String,
    /// PayloadUUID of the profile, scrubbed.
    pub uuid: String,
    /// Kind of its identity: `scep` or `acme`.
    pub identity: String,
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
    /// Nothing was changed.
    pub dry_run: bool,
}

/// How a recorded job ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultMeta {
    /// Machine name of the outcome.
    pub outcome: String,
    /// Machine name of the class.
    pub class: String,
    /// Pushes.
    pub pushes: u32,
}

impl Meta {
    /// The file's text.
    pub fn text(&self) -> String {
        let mut out = String::from("# A recording of Enlist: see fixtures/README.md for what it is.\n");
        let Self { scrub, origin, date, tool, product, os, cut, job, result } = self;
        let _ = writeln!(out, "scrub = {scrub}\norigin = \"{}\"\ndate = \"{date}\"", origin.name());
        let _ = writeln!(out, "tool = {tool:?}\nproduct = {product:?}\nos = {os:?}");
        if !cut.is_empty() {
            let _ = writeln!(out, "cut = {cut:?}");
        }
        let _ = writeln!(
            out,
            "\n[job]\nidentifier = {:?}\nuuid = {:?}\nidentity = {:?}\nperson_within = {}\naccept_within = {}\n\
             pushes = {}\nsetup_assistant = {:?}\nreplug_within = {}\npolicies_within = {}\ndry_run = {}",
            job.identifier,
            job.uuid,
            job.identity,
            job.person_within,
            job.accept_within,
            job.pushes,
            job.setup_assistant,
            job.replug_within,
            job.policies_within,
            job.dry_run
        );
        if let Some(ResultMeta { outcome, class, pushes }) = result {
            let _ = writeln!(out, "\n[result]\noutcome = {outcome:?}\nclass = {class:?}\npushes = {pushes}");
        }
        out
    }

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e: toml::de::Error| e.message().to_owned())
    }
}
