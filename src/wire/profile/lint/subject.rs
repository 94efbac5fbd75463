//! A file taken apart, as the rules look at it.

use super::super::parts::Parts;
use super::super::refusal::Refusal;
use super::super::rules::{self, MDM};
use super::super::signature::{SignatureReport, SignedReport};
use super::context::LintContext;
use crate::wire::property_list::{Dictionary, Value};
use std::collections::HashMap;

/// MDM payloads that are looked at; a device takes one (L12).
const MOST_MDM: usize = 8;

/// A file whose container could be opened, and its root if it could be read.
pub(super) type Opened = Result<(Parts, Result<Dictionary, Refusal>), Refusal>;

/// What stands in `PayloadType` of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `Configuration`, in clear.
    Plain,
    /// `Configuration` with `EncryptedPayloadContent`.
    Encrypted,
    /// `Profile Service`.
    ProfileService,
    /// Anything else.
    Other,
}

/// What the rules look at.
pub(super) struct Subject<'a> {
    /// Length of the file.
    pub(super) bytes: usize,
    /// None: the container could not be opened.
    pub(super) parts: Option<&'a Parts>,
    /// Why the file cannot be read as a property list with a dictionary.
    pub(super) refusal: Option<&'a Refusal>,
    /// The root, if it could be read.
    pub(super) root: Option<&'a Dictionary>,
    pub(super) form: Form,
    /// The dictionaries in `PayloadContent`, for [`Form::Plain`] alone.
    pub(super) payloads: Vec<Payload<'a>>,
    pub(super) context: &'a LintContext,
    /// Types of the payloads behind each UUID, in lower case.
    types: HashMap<String, Vec<&'a str>>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(bytes: usize, opened: &'a Opened, context: &'a LintContext) -> Self {
        let (parts, root, refusal) = match opened {
            Err(refusal) => (None, None, Some(refusal)),
            Ok((parts, Err(refusal))) => (Some(parts), None, Some(refusal)),
            Ok((parts, Ok(root))) => (Some(parts), Some(root), None),
        };
        let form = match root.and_then(|root| root.get("PayloadType")).and_then(Value::as_string) {
            Some("Configuration") if root.is_some_and(|r| r.contains_key("EncryptedPayloadContent")) => {
                Form::Encrypted
            }
            Some("Configuration") => Form::Plain,
            Some("Profile Service") => Form::ProfileService,
            _ => Form::Other,
        };
        let content = root.filter(|_| form == Form::Plain).and_then(|root| root.get("PayloadContent"));
        let entries = content.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter();
        let payloads: Vec<_> = entries
            .enumerate()
            .filter_map(|(index, value)| Some(Payload { index, at: value.as_dictionary()? }))
            .collect();
        let mut types: HashMap<String, Vec<&str>> = HashMap::new();
        for payload in &payloads {
            let uuid = payload.text("PayloadUUID").unwrap_or_default().to_ascii_lowercase();
            types.entry(uuid).or_default().push(payload.kind());
        }
        Self { bytes, parts, refusal, root, form, payloads, context, types }
    }

    /// The root, if it can be read and is that of a configuration profile.
    pub(super) fn profile(&self) -> Option<&'a Dictionary> {
        self.root.filter(|_| self.form != Form::Other)
    }

    pub(super) fn signed(&self) -> Option<&'a SignedReport> {
        match &self.parts?.signature {
            SignatureReport::Signed(report) => Some(report),
            SignatureReport::Unsigned => None,
        }
    }

    /// The signature does not hold: what the file says is not what was signed.
    pub(super) fn tampered(&self) -> bool {
        self.signed().is_some_and(|report| report.broken.is_some())
    }

    /// The payloads of one type.
    pub(super) fn of<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s Payload<'a>> {
        self.payloads.iter().filter(move |payload| payload.kind() == kind)
    }

    /// The MDM payloads, the first few.
    pub(super) fn mdm(&self) -> impl Iterator<Item = &Payload<'a>> {
        self.of(MDM).take(MOST_MDM)
    }

    /// The MDM payloads that enroll directly: rights and addresses mean something there
    /// (L18).
    pub(super) fn direct_mdm(&self) -> impl Iterator<Item = &Payload<'a>> {
        self.mdm().filter(|mdm| rules::account_key(mdm.at).is_none())
    }

    /// The MDM payload, if there is exactly one.
    pub(super) fn only_mdm(&self) -> Option<&Payload<'a>> {
        let mut all = self.of(MDM);
        all.next().filter(|_| all.next().is_none())
    }

    /// Types of the payloads that have this UUID.
    pub(super) fn types_of(&self, uuid: &str) -> &[&'a str] {
        self.types.get(&uuid.to_ascii_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether an MDM payload takes this payload for its identity.
    pub(super) fn is_mdm_identity(&self, payload: &Payload<'_>) -> bool {
        let uuid = payload.text("PayloadUUID").unwrap_or_default();
        let named = |mdm: &Payload<'_>| {
            mdm.text("IdentityCertificateUUID").is_some_and(|named| named.eq_ignore_ascii_case(uuid))
        };
        !uuid.is_empty() && self.mdm().any(named)
    }
}

/// A payload and its place.
#[derive(Clone, Copy)]
pub(super) struct Payload<'a> {
    pub(super) index: usize,
    pub(super) at: &'a Dictionary,
}

impl<'a> Payload<'a> {
    /// Its type; empty if missing.
    pub(super) fn kind(&self) -> &'a str {
        rules::payload_type(self.at)
    }

    pub(super) fn path(&self) -> String {
        format!("PayloadContent[{}]", self.index)
    }

    /// The path of one of its keys.
    pub(super) fn key(&self, key: &str) -> String {
        format!("PayloadContent[{}].{key}", self.index)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.at.get(key).and_then(Value::as_string)
    }

    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        self.at.get(key).and_then(Value::as_signed_integer)
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        self.at.get(key).and_then(Value::as_boolean)
    }

    /// The strings of an array, with their places in it.
    pub(super) fn texts(&self, key: &str) -> impl Iterator<Item = (usize, &'a str)> {
        texts(self.at.get(key))
    }
}

/// The strings of an array, with their places in it.
pub(super) fn texts(array: Option<&Value>) -> impl Iterator<Item = (usize, &str)> {
    let items = array.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter();
    items.enumerate().filter_map(|(place, value)| Some((place, value.as_string()?)))
}

/// A payload type without its prefix, for messages.
pub(super) fn short(kind: &str) -> &str {
    kind.strip_prefix("com.apple.").unwrap_or(kind)
}
