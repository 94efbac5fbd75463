//! Blueprints: which devices they are for, and what is done with those, in order. Pure: files
//! are read by `station::blueprints`, profiles are named here by their paths.

mod pick;
#[cfg(test)]
mod tests;
mod text;

pub use pick::{Picked, pick};
pub use text::parse;

use crate::device::facts::{Facts, OsVersion};
use crate::ids::Bay;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A blueprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blueprint {
    /// Its name: that of the file.
    pub name: String,
    /// Which devices it is for.
    pub of: Match,
    /// Of several that fit, the highest wins.
    pub priority: i32,
    /// What is done, in this order.
    pub steps: Vec<BlueprintStep>,
}

/// What a device must be like; what is empty does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// `iPhone`, `iPad`.
    pub classes: Vec<String>,
    /// Product types; a `*` at the end stands for anything.
    pub models: Vec<String>,
    /// The oldest system.
    pub os_from: Option<OsVersion>,
    /// The first system that is too new.
    pub os_below: Option<OsVersion>,
    /// Serial numbers, in capitals.
    pub serials: BTreeSet<String>,
    /// Names of bays.
    pub bays: Vec<String>,
    /// Tags in the manifest.
    pub tags: Vec<String>,
}

/// One thing that is done with a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlueprintStep {
    /// This profile is on it before it enrolls.
    Helper(PathBuf),
    /// It is called so; `{{SERIAL}}` and the like are filled in.
    Name(String),
    /// It is prepared.
    Prepare(Prepare),
    /// It enrolls: with this file, or with the station's.
    Enroll(Option<PathBuf>),
    /// The journal keeps this with its job.
    Tag(String),
}

/// How a blueprint prepares devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepare {
    /// As the station is configured.
    AsConfigured,
    /// So, and supervised.
    Supervised,
}

/// A device, as a blueprint looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What it told.
    pub facts: &'a Facts,
    /// Where it hangs.
    pub bay: &'a Bay,
    /// What the manifest calls it.
    pub name: Option<&'a str>,
    /// Its tag in the manifest.
    pub tag: Option<&'a str>,
    /// The blueprint that the manifest names.
    pub wanted: Option<&'a str>,
}

impl Blueprint {
    /// Profiles that come before the enrollment, in order.
    pub fn helpers(&self) -> impl Iterator<Item = &PathBuf> {
        self.steps.iter().filter_map(|step| match step {
            BlueprintStep::Helper(path) => Some(path),
            _ => None,
        })
    }

    /// The enrollment profile, if it is not the station's.
    pub fn profile(&self) -> Option<&PathBuf> {
        self.steps.iter().find_map(|step| match step {
            BlueprintStep::Enroll(path) => path.as_ref(),
            _ => None,
        })
    }

    /// How devices are prepared, if they are.
    pub fn prepare(&self) -> Option<Prepare> {
        self.steps.iter().find_map(|step| match step {
            BlueprintStep::Prepare(what) => Some(*what),
            _ => None,
        })
    }

    /// Tags of its jobs.
    pub fn tags(&self) -> impl Iterator<Item = &String> {
        self.steps.iter().filter_map(|step| match step {
            BlueprintStep::Tag(tag) => Some(tag),
            _ => None,
        })
    }

    /// What the device is to be called; `None` if its name stays.
    pub fn device_name(&self, subject: &Subject<'_>) -> Option<String> {
        let template = self.steps.iter().find_map(|step| match step {
            BlueprintStep::Name(template) => Some(template),
            _ => None,
        })?;
        Some(text::filled(template, subject))
    }
}
