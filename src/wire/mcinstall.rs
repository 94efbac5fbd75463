//! `com.apple.mobile.MCInstall` messages, both directions (protocols.md 4).

use super::fields::{Fields, data, dictionary, string};
use super::mcinstall_error::{ChainLink, ErrorChain};
use crate::limits::DEVICE_TEXT_CHARS;
use crate::secret::Secret;
use plist::{Dictionary, Value};
use std::collections::HashSet;
use std::fmt;

/// Service name in lockdown (4.1).
pub const SERVICE: &str = "com.apple.mobile.MCInstall";

/// What names a profile to be removed (4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovalKey {
    /// Its identifier as a bare string.
    Identifier(String),
    /// The property list with identifier, UUID and version that installed systems expect.
    Full {
        /// PayloadIdentifier.
        identifier: String,
        /// PayloadUUID.
        uuid: String,
        /// PayloadVersion.
        version: i64,
    },
}

impl RemovalKey {
    /// The profile's identifier.
    pub fn identifier(&self) -> &str {
        match self {
            Self::Identifier(identifier) | Self::Full { identifier, .. } => identifier,
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Identifier(identifier) => Value::String(identifier.clone()),
            Self::Full { identifier, uuid, version } => {
                let inner = dictionary([
                    ("PayloadIdentifier", string(identifier.clone())),
                    ("PayloadType", string("Configuration")),
                    ("PayloadUUID", string(uuid.clone())),
                    ("PayloadVersion", Some(Value::from(*version))),
                ]);
                Value::Data(super::property_list::to_xml(&Value::Dictionary(inner)))
            }
        }
    }

    fn from_value(value: &Value) -> Option<Self> {
        if let Some(identifier) = value.as_string() {
            return Some(Self::Identifier(identifier.to_owned()));
        }
        let inner = super::property_list::parse(value.as_data()?, super::DEVICE_BUDGET).ok()?;
        let inner = inner.as_dictionary()?;
        Some(Self::Full {
            identifier: inner.text("PayloadIdentifier")?.to_owned(),
            uuid: inner.text("PayloadUUID").unwrap_or_default().to_owned(),
            version: inner.int("PayloadVersion").unwrap_or(1),
        })
    }
}

/// A request (4.4, 4.9). Field types follow the tables; what we do not model is
/// [`Request::Other`] and gets `CommandFormatError` from a device.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// End politely.
    Disconnect,
    /// Erase all content and settings; "works unsupervised".
    EraseDevice {
        /// Keep an eSIM's plan.
        preserve_data_plan: bool,
        /// Do not offer to set the device up by another one near it.
        disallow_proximity_setup: bool,
    },
    /// Prove that we hold the supervision identity: first half.
    Escalate {
        /// DER.
        supervisor_certificate: Vec<u8>,
    },
    /// Second half.
    EscalateResponse {
        /// CMS over the challenge, DER.
        signed_request: Secret<Vec<u8>>,
    },
    /// Reset the state of this connection.
    Flush,
    /// The device's supervision data.
    GetCloudConfiguration,
    /// Installed configuration profiles.
    GetProfileList,
    /// Optional greeting.
    HelloHostIdentifier,
    /// Install, or queue for the person (4.5).
    InstallProfile {
        /// The file, XML or CMS.
        payload: Secret<Vec<u8>>,
    },
    /// Install silently in every state; after escalation only.
    InstallProfileSilent {
        /// The file.
        payload: Secret<Vec<u8>>,
    },
    /// Sent by tools after escalation (4.6).
    ProceedWithKeybagMigration,
    /// Remove a profile; Acknowledged also if there is none.
    RemoveProfile(RemovalKey),
    /// Write the supervision data; only while there is none (4.7).
    SetCloudConfiguration {
        /// As the device stores it.
        configuration: Secret<Dictionary>,
    },
    /// A request of another type.
    Other {
        /// RequestType as sent; empty if there was none.
        name: String,
    },
}

impl Request {
    /// The request's RequestType.
    pub fn name(&self) -> &str {
        match self {
            Self::Disconnect => "Disconnect",
            Self::EraseDevice { .. } => "EraseDevice",
            Self::Escalate { .. } => "Escalate",
            Self::EscalateResponse { .. } => "EscalateResponse",
            Self::Flush => "Flush",
            Self::GetCloudConfiguration => "GetCloudConfiguration",
            Self::GetProfileList => "GetProfileList",
            Self::HelloHostIdentifier => "HelloHostIdentifier",
            Self::InstallProfile { .. } => "InstallProfile",
            Self::InstallProfileSilent { .. } => "InstallProfileSilent",
            Self::ProceedWithKeybagMigration => "ProceedWithKeybagMigration",
            Self::RemoveProfile(_) => "RemoveProfile",
            Self::SetCloudConfiguration { .. } => "SetCloudConfiguration",
            Self::Other { name } => name,
        }
    }

    /// The request as a property list.
    pub fn to_plist(&self) -> Value {
        if let Self::EraseDevice { preserve_data_plan, disallow_proximity_setup } = self {
            return Value::Dictionary(dictionary([
                ("DisallowProximitySetup", Some(Value::Boolean(*disallow_proximity_setup))),
                ("PreserveDataPlan", Some(Value::Boolean(*preserve_data_plan))),
                ("RequestType", string(self.name())),
            ]));
        }
        let own = match self {
            Self::Escalate { supervisor_certificate } => {
                ("SupervisorCertificate", data(supervisor_certificate.clone()))
            }
            Self::EscalateResponse { signed_request } => {
                ("SignedRequest", data(signed_request.expose().clone()))
            }
            Self::InstallProfile { payload } | Self::InstallProfileSilent { payload } => {
                ("Payload", data(payload.expose().clone()))
            }
            Self::RemoveProfile(key) => ("ProfileIdentifier", Some(key.to_value())),
            Self::SetCloudConfiguration { configuration } => {
                ("CloudConfiguration", Some(Value::Dictionary(configuration.expose().clone())))
            }
            _ => ("", None),
        };
        Value::Dictionary(dictionary([("RequestType", string(self.name())), own]))
    }

    /// Reads a request, for a device.
    ///
    /// # Errors
    /// The Status a device answers with: [`Status::CommandFormatError`] on a missing or
    /// mistyped field (4.2). A missing InstallProfile payload is [`Status::PayloadEmpty`].
    pub fn from_plist(fields: &Dictionary) -> Result<Self, Status> {
        let bytes = |key: &str| match fields.get(key) {
            Some(Value::Data(bytes)) => Ok(bytes.clone()),
            // "Payload: data or dict" (4.4): keep a dictionary as its XML.
            Some(value @ Value::Dictionary(_)) if key == "Payload" => Ok(super::property_list::to_xml(value)),
            None if key == "Payload" => Err(Status::PayloadEmpty),
            _ => Err(Status::CommandFormatError),
        };
        Ok(match fields.text("RequestType").ok_or(Status::CommandFormatError)? {
            "Disconnect" => Self::Disconnect,
            "EraseDevice" => {
                let flag = |key: &str| match fields.get(key) {
                    None => Ok(false),
                    Some(value) => value.as_boolean().ok_or(Status::CommandFormatError),
                };
                Self::EraseDevice {
                    preserve_data_plan: flag("PreserveDataPlan")?,
                    disallow_proximity_setup: flag("DisallowProximitySetup")?,
                }
            }
            "Escalate" => Self::Escalate { supervisor_certificate: bytes("SupervisorCertificate")? },
            "EscalateResponse" => Self::EscalateResponse { signed_request: bytes("SignedRequest")?.into() },
            "Flush" => Self::Flush,
            "GetCloudConfiguration" => Self::GetCloudConfiguration,
            "GetProfileList" => Self::GetProfileList,
            "HelloHostIdentifier" => Self::HelloHostIdentifier,
            "InstallProfile" => Self::InstallProfile { payload: bytes("Payload")?.into() },
            "InstallProfileSilent" => Self::InstallProfileSilent { payload: bytes("Payload")?.into() },
            "ProceedWithKeybagMigration" => Self::ProceedWithKeybagMigration,
            "RemoveProfile" => {
                let key = fields.get("ProfileIdentifier").and_then(RemovalKey::from_value);
                Self::RemoveProfile(key.ok_or(Status::CommandFormatError)?)
            }
            "SetCloudConfiguration" => {
                let configuration = fields.dict("CloudConfiguration").ok_or(Status::CommandFormatError)?;
                Self::SetCloudConfiguration { configuration: Secret::new(configuration.clone()) }
            }
            other => Self::Other { name: other.chars().take(80).collect() },
        })
    }
}

/// `Status` of an answer (4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Done, or accepted. Not yet success: only what is read back is.
    Acknowledged,
    /// Escalate: certificate not among the device's supervisors.
    CertificateRejected,
    /// Missing or mistyped field, or an unknown request.
    CommandFormatError,
    /// See the error chain.
    Error,
    /// InstallProfile without Payload. The device's text is unconfirmed, so a client must
    /// never rely on it; it reads any text that is not listed as [`Status::Other`].
    PayloadEmpty,
    /// EscalateResponse: signature or challenge mismatch.
    SignedRequestRejected,
    /// Any other text.
    Other(String),
}

impl Status {
    /// The text on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Acknowledged => "Acknowledged",
            Self::CertificateRejected => "CertificateRejected",
            Self::CommandFormatError => "CommandFormatError",
            Self::Error => "Error",
            Self::PayloadEmpty => "PayloadEmpty",
            Self::SignedRequestRejected => "SignedRequestRejected",
            Self::Other(text) => text,
        }
    }

    fn from_wire(text: &str) -> Self {
        match text {
            "Acknowledged" => Self::Acknowledged,
            "CertificateRejected" => Self::CertificateRejected,
            "CommandFormatError" => Self::CommandFormatError,
            "Error" => Self::Error,
            "SignedRequestRejected" => Self::SignedRequestRejected,
            other => Self::Other(other.chars().take(DEVICE_TEXT_CHARS).collect()),
        }
    }
}

/// An installed profile as GetProfileList shows it (4.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledProfile {
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID; empty if the device gave none.
    pub uuid: String,
    /// PayloadDisplayName.
    pub display_name: Option<String>,
    /// PayloadOrganization.
    pub organization: Option<String>,
    /// PayloadDescription.
    pub description: Option<String>,
    /// PayloadVersion.
    pub version: i64,
    /// PayloadRemovalDisallowed: the profile is locked.
    pub removal_disallowed: bool,
}

impl InstalledProfile {
    fn from_metadata(identifier: &str, metadata: Option<&Dictionary>) -> Self {
        let text = |key: &str| metadata.and_then(|m| m.text(key)).map(str::to_owned);
        Self {
            identifier: identifier.to_owned(),
            uuid: text("PayloadUUID").unwrap_or_default(),
            display_name: text("PayloadDisplayName"),
            organization: text("PayloadOrganization"),
            description: text("PayloadDescription"),
            version: metadata.and_then(|m| m.int("PayloadVersion")).unwrap_or(1),
            removal_disallowed: metadata.and_then(|m| m.flag("PayloadRemovalDisallowed")).unwrap_or(false),
        }
    }

    fn to_metadata(&self) -> Dictionary {
        // "Nil values are omitted" (4.8).
        dictionary([
            ("PayloadDescription", self.description.clone().map(Value::String)),
            ("PayloadDisplayName", self.display_name.clone().map(Value::String)),
            ("PayloadOrganization", self.organization.clone().map(Value::String)),
            ("PayloadRemovalDisallowed", Some(Value::Boolean(self.removal_disallowed))),
            ("PayloadUUID", string(self.uuid.clone())),
            ("PayloadVersion", Some(Value::from(self.version))),
        ])
    }
}

/// An answer with all the device said.
#[derive(Clone, PartialEq)]
pub struct Reply {
    fields: Dictionary,
}

impl Reply {
    /// Wraps an answer.
    pub fn new(fields: Dictionary) -> Self {
        Self { fields }
    }

    /// An answer with only a status, for a device.
    pub fn status_only(status: &Status) -> Self {
        Self { fields: dictionary([("Status", string(status.as_str()))]) }
    }

    /// An error answer, for a device.
    pub fn error(chain: &ErrorChain) -> Self {
        let links = chain.links().iter().map(|link| Value::Dictionary(link.to_dictionary())).collect();
        Self { fields: dictionary([("ErrorChain", Some(Value::Array(links))), ("Status", string("Error"))]) }
    }

    /// An answer to GetProfileList, for a device.
    pub fn profile_list<'a>(profiles: impl IntoIterator<Item = &'a InstalledProfile>) -> Self {
        let (mut order, mut manifest, mut metadata) = (Vec::new(), Dictionary::new(), Dictionary::new());
        for profile in profiles {
            let shown = dictionary([
                ("Description", profile.display_name.clone().map(Value::String)),
                ("IsActive", Some(Value::Boolean(true))),
            ]);
            order.push(Value::String(profile.identifier.clone()));
            manifest.insert(profile.identifier.clone(), Value::Dictionary(shown));
            metadata.insert(profile.identifier.clone(), Value::Dictionary(profile.to_metadata()));
        }
        Self {
            fields: dictionary([
                ("OrderedIdentifiers", Some(Value::Array(order))),
                ("ProfileManifest", Some(Value::Dictionary(manifest))),
                ("ProfileMetadata", Some(Value::Dictionary(metadata))),
                ("Status", string("Acknowledged")),
            ]),
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.fields.insert(key.to_owned(), value);
        self
    }

    /// The answer as a property list.
    pub fn into_plist(self) -> Value {
        Value::Dictionary(self.fields)
    }

    /// Its status; an answer without one reads as an unknown status.
    pub fn status(&self) -> Status {
        Status::from_wire(self.fields.text("Status").unwrap_or("(no Status)"))
    }

    /// The whole error chain, outermost first; empty if there is none.
    pub fn error_chain(&self) -> ErrorChain {
        let links = self.fields.list("ErrorChain").unwrap_or_default();
        ErrorChain::new(links.iter().filter_map(Value::as_dictionary).map(ChainLink::from_dictionary))
    }

    /// Installed profiles of a GetProfileList answer, in the device's order. Profiles that
    /// only one of the three tables names are listed too: absence must mean absence.
    pub fn profiles(&self) -> Vec<InstalledProfile> {
        let metadata = self.fields.dict("ProfileMetadata");
        let ordered = self.fields.list("OrderedIdentifiers").unwrap_or_default();
        let tables = [metadata, self.fields.dict("ProfileManifest")].into_iter().flatten();
        let named = tables.flat_map(Dictionary::keys).map(String::as_str);
        let mut seen = HashSet::new();
        let all = ordered.iter().filter_map(Value::as_string).chain(named);
        let identifiers: Vec<&str> = all.filter(|identifier| seen.insert(*identifier)).collect();
        let of = |id: &&str| InstalledProfile::from_metadata(id, metadata.and_then(|m| m.dict(id)));
        identifiers.iter().map(of).collect()
    }

    /// Supervision data of a GetCloudConfiguration answer; `None` if the device was never
    /// configured.
    pub fn cloud_configuration(&self) -> Option<&Dictionary> {
        self.fields.dict("CloudConfiguration")
    }

    /// Random bytes of an Escalate answer (4.6).
    pub fn challenge(&self) -> Option<Secret<Vec<u8>>> {
        self.fields.bytes("Challenge").map(|c| Secret::new(c.to_vec()))
    }
}

impl fmt::Debug for Reply {
    /// Status and field names only: "never log replies wholesale" (4.9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.fields.keys().collect();
        f.debug_struct("Reply").field("status", &self.status()).field("fields", &names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_reads_back() {
        let payload = || Secret::new(vec![1, 2]);
        let full = RemovalKey::Full { identifier: "a.b".into(), uuid: "U".into(), version: 1 };
        for request in [
            Request::Disconnect,
            Request::Escalate { supervisor_certificate: vec![1] },
            Request::EscalateResponse { signed_request: payload() },
            Request::Flush,
            Request::GetCloudConfiguration,
            Request::GetProfileList,
            Request::HelloHostIdentifier,
            Request::InstallProfile { payload: payload() },
            Request::InstallProfileSilent { payload: payload() },
            Request::ProceedWithKeybagMigration,
            Request::RemoveProfile(RemovalKey::Identifier("a.b".into())),
            Request::RemoveProfile(full),
            Request::SetCloudConfiguration { configuration: Secret::new(Dictionary::new()) },
        ] {
            let Value::Dictionary(fields) = request.to_plist() else { panic!("a dictionary") };
            assert_eq!(Request::from_plist(&fields), Ok(request));
        }
    }

    #[test]
    fn missing_fields_get_the_status_of_section_4_2() {
        let without = |name: &str| Request::from_plist(&dictionary([("RequestType", string(name))]));
        assert_eq!(without("InstallProfile"), Err(Status::PayloadEmpty));
        assert_eq!(without("Escalate"), Err(Status::CommandFormatError));
        assert_eq!(without("RemoveProfile"), Err(Status::CommandFormatError));
        assert_eq!(Request::from_plist(&Dictionary::new()), Err(Status::CommandFormatError));
    }

    #[test]
    fn the_profile_list_reads_back_and_absence_means_absence() {
        let profile = InstalledProfile {
            identifier: "Microsoft.Profiles.MDM".into(),
            uuid: "1111AAAA-0000-4000-8000-000000000000".into(),
            display_name: Some("Management Profile".into()),
            organization: None,
            description: None,
            version: 1,
            removal_disallowed: true,
        };
        assert_eq!(Reply::profile_list([&profile]).profiles(), std::slice::from_ref(&profile));
        let only_metadata = dictionary([("x.y", Some(Value::Dictionary(profile.to_metadata())))]);
        let reply = Reply::new(dictionary([("ProfileMetadata", Some(Value::Dictionary(only_metadata)))]));
        assert_eq!(reply.profiles()[0].identifier, "x.y");
    }

    #[test]
    fn a_list_as_long_as_a_frame_holds_is_read_at_once() {
        let order = |prefix: &str| (0..60_000).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
        let table = |keys: Vec<String>| keys.into_iter().map(|key| (key, Value::Boolean(true))).collect();
        let fields = dictionary([
            ("OrderedIdentifiers", Some(Value::Array(order("a").into_iter().map(Value::String).collect()))),
            ("ProfileManifest", Some(Value::Dictionary(table(order("b"))))),
            ("ProfileMetadata", Some(Value::Dictionary(table(order("a"))))),
        ]);
        assert_eq!(Reply::new(fields).profiles().len(), 120_000);
    }

    #[test]
    fn a_reply_shows_no_values_in_debug() {
        let reply = Reply::status_only(&Status::Acknowledged).with("UnlockToken", Value::Data(vec![7; 3]));
        assert_eq!(
            format!("{reply:?}"),
            r#"Reply { status: Acknowledged, fields: ["Status", "UnlockToken"] }"#
        );
    }
}
