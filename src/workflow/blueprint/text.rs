//! A blueprint as a person writes it, checked when it is read.
//!
//! ```toml
//! priority = 10
//! steps = [
//!     { helper = "wifi.mobileconfig" },
//!     { name = "Floor 2 {{SERIAL}}" },
//!     { enroll = "enrollment.mobileconfig" },
//!     { tag = "floor-2" },
//! ]
//!
//! [match]
//! class = "iPad"
//! os_from = "17.0"
//! ```

use super::{Blueprint, BlueprintStep, Match, Prepare, Subject};
use crate::device::facts::OsVersion;
use crate::wire::toml_text::{self, TomlFault};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Variables of a name: those of any name (R137), and what only a blueprint knows.
const VARIABLES: &[&str] = &["SERIAL", "DEVICETYPE", "IMEI", "MODEL", "BAY", "NAME", "TAG"];

/// Longest name of a device, in characters, before its variables are filled in. What it becomes
/// is cut to the same length.
const NAME_CHARS: usize = 63;

/// Most steps: more is a file gone wrong.
const MOST_STEPS: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    priority: i32,
    #[serde(default, rename = "match")]
    of: MatchText,
    steps: Spanned<Vec<Spanned<StepText>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct MatchText {
    class: Option<Spanned<OneOrMany>>,
    model: Option<Spanned<OneOrMany>>,
    os_from: Option<Spanned<String>>,
    os_below: Option<Spanned<String>>,
    serial: Option<Spanned<OneOrMany>>,
    bay: Option<Spanned<OneOrMany>>,
    tag: Option<Spanned<OneOrMany>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    helper: Option<PathBuf>,
    name: Option<String>,
    prepare: Option<PrepareText>,
    enroll: Option<EnrollText>,
    tag: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected true or the path of a file")]
enum EnrollText {
    Station(bool),
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected true or \"supervise\"")]
enum PrepareText {
    AsConfigured(bool),
    Word(String),
}

/// Reads the blueprint called `name`; its files are named from `folder` on.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Blueprint, TomlFault> {
    let read: Text = toml_text::parse(text)?;
    let Text { priority, of, steps } = read;
    let at = |offset: usize, message: String| TomlFault::at(text, offset, message);
    let of = of.check().map_err(|(offset, message)| at(offset, message))?;
    let all = steps.span().start;
    let mut checked = Vec::new();
    for step in steps.into_inner() {
        let offset = step.span().start;
        let step = step.into_inner().check(folder).map_err(|message| at(offset, message))?;
        in_order(&checked, &step).map_err(|message| at(offset, message.to_owned()))?;
        checked.push(step);
        if checked.len() > MOST_STEPS {
            return Err(at(offset, format!("there are more than {MOST_STEPS} steps")));
        }
    }
    if !checked.iter().any(|step| matches!(step, BlueprintStep::Enroll(_))) {
        return Err(at(all, "no step enrolls; add { enroll = true } or { enroll = \"FILE\" }".to_owned()));
    }
    Ok(Blueprint { name: name.to_owned(), of, priority, steps: checked })
}

/// What may follow what.
fn in_order(before: &[BlueprintStep], step: &BlueprintStep) -> Result<(), &'static str> {
    use BlueprintStep as Step;
    let enrolled = before.iter().any(|b| matches!(b, Step::Enroll(_)));
    match step {
        Step::Enroll(_) if enrolled => Err("a device enrolls once; there are two such steps"),
        Step::Name(_) if before.iter().any(|b| matches!(b, Step::Name(_))) => {
            Err("a device has one name; there are two such steps")
        }
        Step::Helper(_) | Step::Name(_) | Step::Prepare(_) if enrolled => {
            Err("this comes too late: put it before the step that enrolls")
        }
        Step::Prepare(_) if before.iter().any(|b| matches!(b, Step::Helper(_) | Step::Name(_))) => {
            Err("preparing takes helpers and names away again: put it first")
        }
        Step::Prepare(_) if before.iter().any(|b| matches!(b, Step::Prepare(_))) => {
            Err("a device is prepared once; there are two such steps")
        }
        _ => Ok(()),
    }
}

impl StepText {
    fn check(self, folder: &Path) -> Result<BlueprintStep, String> {
        let Self { helper, name, prepare, enroll, tag } = self;
        match (helper, name, prepare, enroll, tag) {
            (Some(path), None, None, None, None) => Ok(BlueprintStep::Helper(folder.join(path))),
            (None, Some(name), None, None, None) => template(name).map(BlueprintStep::Name),
            (None, None, Some(prepare), None, None) => prepare.check().map(BlueprintStep::Prepare),
            (None, None, None, Some(EnrollText::Station(true)), None) => Ok(BlueprintStep::Enroll(None)),
            (None, None, None, Some(EnrollText::Station(false)), None) => {
                Err("enroll = false does nothing; leave the step out".to_owned())
            }
            (None, None, None, Some(EnrollText::File(path)), None) => {
                Ok(BlueprintStep::Enroll(Some(folder.join(path))))
            }
            (None, None, None, None, Some(tag))
                if !tag.trim().is_empty() && tag.chars().count() <= NAME_CHARS =>
            {
                Ok(BlueprintStep::Tag(tag))
            }
            (None, None, None, None, Some(_)) => Err(format!("a tag has 1 to {NAME_CHARS} characters")),
            (None, None, None, None, None) => {
                Err("the step is empty; it needs one of helper, name, prepare, enroll, tag".to_owned())
            }
            _ => Err("the step says two things; write one step for each, in their order".to_owned()),
        }
    }
}

impl PrepareText {
    fn check(self) -> Result<Prepare, String> {
        match self {
            Self::AsConfigured(true) => Ok(Prepare::AsConfigured),
            Self::AsConfigured(false) => Err("prepare = false does nothing; leave the step out".to_owned()),
            Self::Word(word) if word == "supervise" => Ok(Prepare::Supervised),
            // It wants a person's consent for each device.
            Self::Word(word) if word == "erase" => {
                Err("a blueprint erases nothing; `enlist erase` does, one device at a time".to_owned())
            }
            Self::Word(word) => {
                Err(format!("there is no preparing '{word}'; there are true and \"supervise\""))
            }
        }
    }
}

/// A name whose variables are known.
fn template(name: String) -> Result<String, String> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > NAME_CHARS {
        return Err(format!("a name has 1 to {NAME_CHARS} characters"));
    }
    for part in parts(&name) {
        match part {
            Part::Text(text) if text.contains(['{', '}']) => {
                return Err(
                    "a variable of a name is written as {{SERIAL}}; other braces mean nothing".to_owned()
                );
            }
            Part::Variable(key) if !VARIABLES.contains(&key) => {
                let near = |known: &&&str| toml_text::distance(&key.to_ascii_uppercase(), known);
                let nearest = VARIABLES.iter().min_by_key(near).copied().unwrap_or_default();
                return Err(format!("there is no {{{{{key}}}}}; did you mean {{{{{nearest}}}}}?"));
            }
            Part::Text(_) | Part::Variable(_) => {}
        }
    }
    Ok(name)
}

/// A part of a name.
enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), template);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((key, left)) = after.split_once("}}") else { break };
        parts.extend([Part::Text(before), Part::Variable(key)]);
        rest = left;
    }
    parts.push(Part::Text(rest));
    parts
}

/// A name with its variables filled in; what is not known leaves nothing.
pub(super) fn filled(template: &str, subject: &Subject<'_>) -> String {
    let known = |key: &str| match key {
        "SERIAL" => subject.facts.serial.as_deref(),
        "DEVICETYPE" => subject.facts.class.as_deref(),
        "IMEI" => subject.facts.imei.as_deref(),
        "MODEL" => subject.facts.product_type.as_deref(),
        "BAY" => Some(subject.bay.0.as_str()),
        "NAME" => subject.name,
        "TAG" => subject.tag,
        _ => None,
    };
    let text = |part: Part<'_>| match part {
        Part::Text(text) => text.to_owned(),
        Part::Variable(key) => known(key).unwrap_or_default().to_owned(),
    };
    let out: String = parts(template).into_iter().map(text).collect();
    out.trim().chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect()
}

impl MatchText {
    fn check(self) -> Result<Match, (usize, String)> {
        let list = |given: Option<Spanned<OneOrMany>>, what: &str| -> Result<Vec<String>, (usize, String)> {
            let Some(given) = given else { return Ok(Vec::new()) };
            let offset = given.span().start;
            let texts = match given.into_inner() {
                OneOrMany::One(text) => vec![text],
                OneOrMany::Many(texts) => texts,
            };
            match texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
                true => Err((offset, format!("{what} is empty; leave it out to match every device"))),
                false => Ok(texts),
            }
        };
        let version = |given: Option<Spanned<String>>| -> Result<Option<OsVersion>, (usize, String)> {
            let Some(given) = given else { return Ok(None) };
            let (offset, text) = (given.span().start, given.into_inner());
            match OsVersion::parse(&text) {
                Some(version) => Ok(Some(version)),
                None => Err((offset, format!("'{text}' is no version; write one such as 17.0"))),
            }
        };
        let class_at = self.class.as_ref().map_or(0, |class| class.span().start);
        let classes = list(self.class, "class")?;
        if let Some(other) =
            classes.iter().find(|c| !["iphone", "ipad", "ipod"].contains(&c.to_lowercase().as_str()))
        {
            return Err((class_at, format!("there is no class '{other}'; there are iPhone, iPad and iPod")));
        }
        let below_at = self.os_below.as_ref().map_or(0, |below| below.span().start);
        let (os_from, os_below) = (version(self.os_from)?, version(self.os_below)?);
        if os_from.zip(os_below).is_some_and(|(from, below)| below <= from) {
            return Err((below_at, "no system is below os_below and not below os_from".to_owned()));
        }
        Ok(Match {
            classes,
            models: list(self.model, "model")?,
            os_from,
            os_below,
            serials: list(self.serial, "serial")?.iter().map(|s| s.trim().to_ascii_uppercase()).collect(),
            bays: list(self.bay, "bay")?,
            tags: list(self.tag, "tag")?,
        })
    }
}
