//! A blueprint as a person writes it, checked when it is read.
//!
//! ```toml
//! priority = 10
//! steps = [
//!     { helper = "wifi.mobileconfig" },
//!     { name = "Floor 2 {serial}" },
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

/// Placeholders of a name.
const PLACEHOLDERS: &[&str] = &["serial", "imei", "name", "tag", "bay", "model"];

/// Longest name of a device, in characters, before placeholders are filled in. What it becomes
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
    prepare: Option<String>,
    enroll: Option<EnrollText>,
    tag: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected true or the path of a file")]
enum EnrollText {
    Station(bool),
    File(PathBuf),
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
        Step::Prepare(what) if before.contains(&Step::Prepare(*what)) => Err("this step is there twice"),
        _ => Ok(()),
    }
}

impl StepText {
    fn check(self, folder: &Path) -> Result<BlueprintStep, String> {
        let Self { helper, name, prepare, enroll, tag } = self;
        match (helper, name, prepare, enroll, tag) {
            (Some(path), None, None, None, None) => Ok(BlueprintStep::Helper(folder.join(path))),
            (None, Some(name), None, None, None) => template(name).map(BlueprintStep::Name),
            (None, None, Some(word), None, None) => {
                let known = Prepare::ALL.iter().find(|(name, _)| *name == word);
                let known = known.map(|(_, what)| BlueprintStep::Prepare(*what));
                known.ok_or_else(|| format!("there is no preparing '{word}'; there are erase and supervise"))
            }
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

/// A name whose placeholders are known.
fn template(name: String) -> Result<String, String> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > NAME_CHARS {
        return Err(format!("a name has 1 to {NAME_CHARS} characters"));
    }
    let mut rest = name.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        if before.contains('}') {
            return Err("a '}' has no '{' before it".to_owned());
        }
        let (key, left) = after.split_once('}').ok_or("a '{' is not closed")?;
        if !PLACEHOLDERS.contains(&key) {
            let nearest = PLACEHOLDERS.iter().min_by_key(|known| toml_text::distance(key, known));
            let nearest = nearest.copied().unwrap_or_default();
            return Err(format!("there is no {{{key}}}; did you mean {{{nearest}}}?"));
        }
        rest = left;
    }
    Ok(name)
}

/// A name with its placeholders filled in; what is not known leaves nothing.
pub(super) fn filled(template: &str, subject: &Subject<'_>) -> String {
    let known = |key: &str| match key {
        "serial" => subject.facts.serial.as_deref(),
        "imei" => subject.facts.imei.as_deref(),
        "name" => subject.name,
        "tag" => subject.tag,
        "bay" => Some(subject.bay.0.as_str()),
        "model" => subject.facts.product_type.as_deref(),
        _ => None,
    };
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (key, left) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(known(key).unwrap_or_default());
        rest = left;
    }
    out.push_str(rest);
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
