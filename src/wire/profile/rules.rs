//! What the root dictionary says, and which rules of profiles-and-enrollment.md 2.8 decide
//! whether the profile can be pushed for enrollment. [`super::lint`] applies all rules and
//! takes its judgements of the shared ones from here.

use super::refusal::Refusal;
use super::{IdentityKind, PayloadSummary, Warning};
use crate::wire::printable::printable;
use crate::wire::property_list::{Dictionary, Value};
use std::collections::BTreeSet;

pub(super) const MDM: &str = "com.apple.mdm";

/// What is read from the root dictionary.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) identifier: String,
    pub(super) uuid: String,
    pub(super) display_name: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) payloads: Vec<PayloadSummary>,
    pub(super) identity: Option<IdentityKind>,
    pub(super) server_host: Option<String>,
    pub(super) topic: Option<String>,
    /// Why it is no enrollment profile, most telling first.
    pub(super) refusals: Vec<Refusal>,
    pub(super) warnings: Vec<Warning>,
}

/// How the payloads are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Encrypted,
    ProfileService,
}

/// Reads the root; fails where identifier and UUID cannot be trusted (L01 to L09, L47).
pub(super) fn read(root: &Dictionary) -> Result<Model, Refusal> {
    let at = At { dictionary: root, path: "the root" };
    let form = match at.text("PayloadType")? {
        Some("Configuration") if root.contains_key("EncryptedPayloadContent") => Form::Encrypted,
        Some("Configuration") => Form::Plain,
        Some("Profile Service") => Form::ProfileService,
        found => return Err(Refusal::NotConfiguration { found: found.map(printable) }),
    };
    let (identifier, uuid) = at.names()?;
    let dictionaries = payloads(&at, form)?;
    let payloads: Vec<_> = dictionaries.iter().map(|payload| summary(payload)).collect();
    let mdm = dictionaries.iter().copied().find(|payload| is_mdm(payload));
    let text = |key| mdm.and_then(|mdm| mdm.get(key)).and_then(Value::as_string);
    let mut model = Model {
        identifier: identifier.to_owned(),
        uuid: uuid.to_owned(),
        display_name: at.text("PayloadDisplayName")?.filter(|name| !name.is_empty()).map(printable),
        organization: at.text("PayloadOrganization")?.filter(|name| !name.is_empty()).map(printable),
        payloads,
        identity: mdm.and_then(|mdm| identity(mdm, &dictionaries).ok()),
        server_host: text("ServerURL").and_then(https_host).map(printable),
        topic: text("Topic").map(str::to_owned),
        refusals: Vec::new(),
        warnings: Vec::new(),
    };
    judge(&at, form, &dictionaries, &mut model);
    Ok(model)
}

/// Collects every rule that forbids the push, and the warning of L38.
fn judge(root: &At<'_>, form: Form, payloads: &[&Dictionary], model: &mut Model) {
    let refusals = &mut model.refusals;
    match form {
        Form::ProfileService => return refusals.push(Refusal::ProfileService),
        Form::Encrypted => return refusals.push(Refusal::Encrypted),
        Form::Plain => {}
    }
    let mdm: Vec<_> = payloads.iter().copied().filter(|payload| is_mdm(payload)).collect();
    match mdm[..] {
        [] => refusals.push(Refusal::NoMdm),
        [only] => refusals.extend(mdm_refusals(only, payloads)),
        _ => refusals.push(Refusal::TwoMdm { count: mdm.len() }),
    }
    refusals.extend(platform_refusals(root));
    for (index, payload) in payloads.iter().enumerate() {
        let path = format!("payload {}", index + 1);
        refusals.extend(At { dictionary: payload, path: &path }.names().err());
    }
    let duplicate = duplicate_uuid(model);
    model.refusals.extend(duplicate);
    if root.text("PayloadScope").ok().flatten() == Some("System") {
        model
            .warnings
            .push(Warning::new("L38", "PayloadScope is for Macs; iPhone and iPad ignore it.".to_owned()));
    }
}

/// The key of an MDM payload that makes it account-driven (L18).
pub(super) fn account_key(mdm: &Dictionary) -> Option<&'static str> {
    let keys = ["EnrollmentMode", "ManagedAppleID", "AssignedManagedAppleID"];
    keys.into_iter().find(|key| mdm.contains_key(key))
}

/// Whether the value is the https address of a server (L15).
pub(super) fn is_server(value: Option<&Value>) -> bool {
    value.and_then(Value::as_string).and_then(https_host).is_some()
}

/// Whether the value is a push topic of an MDM server (L16).
pub(super) fn is_push_topic(value: Option<&Value>) -> bool {
    let topic = value.and_then(Value::as_string).and_then(|topic| topic.strip_prefix("com.apple.mgmt."));
    topic.is_some_and(|rest| !rest.is_empty())
}

/// What `TargetDeviceType` calls a device (1.3).
pub(super) fn device_class(target: i64) -> &'static str {
    match target {
        0 => "any device",
        1 => "iPhone or iPad",
        2 => "Apple Watch",
        3 => "HomePod",
        4 => "Apple TV",
        5 => "Mac",
        6 => "Apple Vision Pro",
        _ => "an unknown one",
    }
}

fn mdm_refusals(mdm: &Dictionary, payloads: &[&Dictionary]) -> Vec<Refusal> {
    if let Some(key) = account_key(mdm) {
        // The other rules are about direct enrollment.
        return vec![Refusal::AccountDriven { key }];
    }
    let mut refusals = Vec::new();
    refusals.extend(identity(mdm, payloads).err());
    if !is_server(mdm.get("ServerURL")) {
        refusals.push(Refusal::ServerUrl { key: "ServerURL" });
    }
    if mdm.contains_key("CheckInURL") && !is_server(mdm.get("CheckInURL")) {
        refusals.push(Refusal::ServerUrl { key: "CheckInURL" });
    }
    if !is_push_topic(mdm.get("Topic")) {
        refusals.push(Refusal::Topic);
    }
    refusals
}

/// L37, L38. An iPhone or iPad is class 1; 0 and absence mean any (1.3).
fn platform_refusals(root: &At<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    match root.text("PayloadScope") {
        Ok(Some("User")) => refusals.push(Refusal::MacOnly { key: "PayloadScope User" }),
        Ok(_) => {}
        Err(refusal) => refusals.push(refusal),
    }
    match root.integer("TargetDeviceType") {
        Ok(None | Some(0 | 1)) => {}
        Ok(Some(target)) => {
            if target == 5 {
                refusals.push(Refusal::MacOnly { key: "TargetDeviceType 5" });
            }
            refusals.push(Refusal::OtherDevice { class: device_class(target) });
        }
        Err(refusal) => refusals.push(refusal),
    }
    refusals
}

/// L07: the root counts, and letter case does not.
fn duplicate_uuid(model: &Model) -> Option<Refusal> {
    let mut seen = BTreeSet::new();
    let payloads = model.payloads.iter().map(|payload| payload.uuid.as_str());
    std::iter::once(model.uuid.as_str())
        .chain(payloads)
        .filter(|uuid| !uuid.is_empty())
        .find(|uuid| !seen.insert(uuid.to_ascii_lowercase()))
        .map(|uuid| Refusal::DuplicateUuid { uuid: printable(uuid) })
}

/// The identity the MDM payload names (L13, L14).
pub(super) fn identity(mdm: &Dictionary, payloads: &[&Dictionary]) -> Result<IdentityKind, Refusal> {
    let wanted = mdm.get("IdentityCertificateUUID").and_then(Value::as_string).unwrap_or_default();
    let named = |payload: &&&Dictionary| {
        payload
            .get("PayloadUUID")
            .and_then(Value::as_string)
            .is_some_and(|uuid| uuid.eq_ignore_ascii_case(wanted))
    };
    let kinds: Vec<_> = payloads.iter().filter(named).map(|payload| payload_type(payload)).collect();
    match kinds.iter().find_map(|kind| IdentityKind::of(kind)) {
        _ if wanted.is_empty() => Err(Refusal::IdentityMissing),
        Some(kind) => Ok(kind),
        None => Err(match kinds.first() {
            Some(found) => Refusal::NotAnIdentity { found: printable(found) },
            None => Refusal::IdentityMissing,
        }),
    }
}

fn payloads<'a>(root: &At<'a>, form: Form) -> Result<Vec<&'a Dictionary>, Refusal> {
    let wrong = |path: &str, key, expected| Refusal::WrongType { path: path.to_owned(), key, expected };
    let content = match (root.dictionary.get("PayloadContent"), form) {
        (_, Form::ProfileService) | (None, Form::Encrypted) => return Ok(Vec::new()),
        (None, Form::Plain) => return Err(Refusal::NoContent),
        (Some(content), _) => {
            content.as_array().ok_or_else(|| wrong(root.path, "PayloadContent", "an array"))?
        }
    };
    if content.is_empty() && form == Form::Plain {
        return Err(Refusal::NoContent);
    }
    let entry = |value: &'a Value| {
        value.as_dictionary().ok_or_else(|| wrong("the root", "An entry in PayloadContent", "a dictionary"))
    };
    content.iter().map(entry).collect()
}

fn summary(payload: &Dictionary) -> PayloadSummary {
    let text = |key| payload.get(key).and_then(Value::as_string);
    PayloadSummary {
        payload_type: payload_type(payload).to_owned(),
        identifier: text("PayloadIdentifier").unwrap_or_default().to_owned(),
        uuid: text("PayloadUUID").unwrap_or_default().to_owned(),
        display_name: text("PayloadDisplayName").filter(|name| !name.is_empty()).map(printable),
        settings: super::outline::outline(payload),
    }
}

pub(super) fn payload_type(payload: &Dictionary) -> &str {
    payload.get("PayloadType").and_then(Value::as_string).unwrap_or_default()
}

fn is_mdm(payload: &Dictionary) -> bool {
    payload_type(payload) == MDM
}

/// The host of an https address without user name (L15); none if it is anything else.
pub fn https_host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (address, port) = inner.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host_is_clean = !host.is_empty() && (authority.starts_with('[') || host.chars().all(is_host));
    let port_is_clean = port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok());
    let url_is_clean = !url.contains(|c: char| c.is_whitespace() || c.is_control());
    (scheme.eq_ignore_ascii_case("https") && host_is_clean && port_is_clean && url_is_clean).then_some(host)
}

/// A dictionary and how to call it in a message.
struct At<'a> {
    dictionary: &'a Dictionary,
    path: &'a str,
}

impl<'a> At<'a> {
    /// Version, identifier and UUID, which root and payloads have alike (1.3, 1.4).
    fn names(&self) -> Result<(&'a str, &'a str), Refusal> {
        let path = || self.path.to_owned();
        if self.integer("PayloadVersion")? != Some(1) {
            return Err(Refusal::Version { path: path() });
        }
        let text = |key| self.text(key).map(|value| value.filter(|text| !text.is_empty()));
        let identifier = text("PayloadIdentifier")?.ok_or_else(|| Refusal::Identifier { path: path() })?;
        let uuid = text("PayloadUUID")?.ok_or_else(|| Refusal::Uuid { path: path() })?;
        Ok((identifier, uuid))
    }

    fn text(&self, key: &'static str) -> Result<Option<&'a str>, Refusal> {
        self.typed(key, "a string", Value::as_string)
    }

    fn integer(&self, key: &'static str) -> Result<Option<i64>, Refusal> {
        self.typed(key, "an integer", Value::as_signed_integer)
    }

    fn typed<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.dictionary.get(key) else { return Ok(None) };
        let wrong = || Refusal::WrongType { path: self.path.to_owned(), key, expected };
        read(value).map(Some).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_from_https_addresses_only() {
        let good = [
            ("https://mdm.bench.example/a?b#c", "mdm.bench.example"),
            ("HTTPS://mdm.bench.example:8443", "mdm.bench.example"),
            ("https://[::1]:8443/x", "::1"),
        ];
        for (url, host) in good {
            assert_eq!(https_host(url), Some(host), "{url}");
        }
        let bad = [
            "http://mdm.bench.example/",
            "https://",
            "https:///x",
            "https://u:p@host/",
            "https://u@host/",
            "https://ho st/",
            "https://host:99999/",
            "https://host:x/",
            "https://[::1/",
            "https://[x]/",
            "",
            "host",
            "https://host/\u{202e}\n",
            "https://h\"ost/",
        ];
        for url in bad {
            assert_eq!(https_host(url), None, "{url}");
        }
    }
}
