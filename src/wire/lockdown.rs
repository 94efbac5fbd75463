//! lockdown messages, both directions (protocols.md 3).
//!
//! Frames are those of [`plist_frame`](super::plist_frame) on port [`PORT`].

use super::fields::{Fields, data, dictionary, string};
use crate::limits::DEVICE_TEXT_CHARS;
use crate::secret::Secret;
use plist::{Dictionary, Value};
use std::fmt;

/// lockdown's port on every device (3.1).
pub const PORT: u16 = 62078;

/// `Type` of a device that can be provisioned; anything else is a restore system (3.2).
pub const TYPE_NORMAL: &str = "com.apple.mobile.lockdown";

/// `ProtocolVersion` of every request. With "1" or less the device replaces newer error
/// names by generic ones (3.1).
pub const PROTOCOL_VERSION: &str = "2";

/// Domain of Setup Assistant's progress (3.5).
pub const DOMAIN_SETUP: &str = "com.apple.purplebuddy";

/// Domain of Find My (3.5).
pub const DOMAIN_FIND_MY: &str = "com.apple.fmip";

/// Options of a Pair request (3.6).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairingOptions {
    /// Ask for the real error instead of `PasswordProtected` for everything. We always do.
    pub extended_errors: bool,
    /// Certificate of a supervision identity, DER (3.7).
    pub supervisor_certificate: Option<Vec<u8>>,
    /// CMS answer to the pairing challenge, DER (3.7).
    pub challenge_response: Option<Secret<Vec<u8>>>,
}

/// A request to lockdown (3.1-3.11).
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// End the conversation politely.
    Goodbye,
    /// Reboot into recovery.
    EnterRecovery,
    /// Read one value, a domain, or the default domain.
    GetValue {
        /// `None`: the default domain.
        domain: Option<String>,
        /// `None`: every value permitted.
        key: Option<String>,
    },
    /// Ask for trust.
    Pair {
        /// `PairRecord` as the device gets it: no private keys.
        record: Secret<Dictionary>,
        /// Name of the station, shown in the device's logs.
        host_name: Option<String>,
        /// How to pair.
        options: PairingOptions,
    },
    /// What lockdown is this: normal or restore.
    QueryType,
    /// Remove a value.
    RemoveValue {
        /// Domain; `None` is the default one.
        domain: Option<String>,
        /// Key.
        key: String,
    },
    /// Write a value.
    SetValue {
        /// Domain; `None` is the default one.
        domain: Option<String>,
        /// Key.
        key: String,
        /// New value.
        value: Value,
    },
    /// Start a service; the answer names its port.
    StartService {
        /// Service name.
        service: String,
        /// Opens some services while the device is locked after first unlock (3.10).
        escrow_bag: Option<Secret<Vec<u8>>>,
    },
    /// Start a session for a trusted host.
    StartSession {
        /// Identity of the host in the pair record.
        host_id: String,
        /// Identity of the station.
        system_buid: String,
    },
    /// End a session.
    StopSession {
        /// From StartSession's answer.
        session_id: String,
    },
    /// Give trust back.
    Unpair {
        /// Identity of the host in the pair record.
        host_id: String,
        /// The rest of the record's public half, as tools send it.
        record: Secret<Dictionary>,
    },
    /// A request this codec does not model. Clients never send it; a device answers as it
    /// would answer an unknown request (3.1: no useful reply, the connection ends).
    Unknown {
        /// Name as sent.
        name: String,
    },
}

impl Request {
    /// The request's name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::EnterRecovery => "EnterRecovery",
            Self::GetValue { .. } => "GetValue",
            Self::Goodbye => "Goodbye",
            Self::Pair { .. } => "Pair",
            Self::QueryType => "QueryType",
            Self::RemoveValue { .. } => "RemoveValue",
            Self::SetValue { .. } => "SetValue",
            Self::StartService { .. } => "StartService",
            Self::StartSession { .. } => "StartSession",
            Self::StopSession { .. } => "StopSession",
            Self::Unpair { .. } => "Unpair",
            Self::Unknown { name } => name,
        }
    }

    /// The request as a dictionary, labelled `label`.
    pub fn to_plist(&self, label: &str) -> Value {
        let mut fields = dictionary([
            ("Label", string(label)),
            ("ProtocolVersion", string(PROTOCOL_VERSION)),
            ("Request", string(self.name())),
        ]);
        let own = match self {
            Self::EnterRecovery | Self::Goodbye | Self::QueryType | Self::Unknown { .. } => Dictionary::new(),
            Self::GetValue { domain, key } => dictionary([
                ("Domain", domain.clone().map(Value::String)),
                ("Key", key.clone().map(Value::String)),
            ]),
            Self::Pair { record, host_name, options } => dictionary([
                ("HostName", host_name.clone().map(Value::String)),
                ("PairRecord", Some(Value::Dictionary(record.expose().clone()))),
                ("PairingOptions", Some(Value::Dictionary(options.to_dictionary()))),
            ]),
            Self::RemoveValue { domain, key } => {
                dictionary([("Domain", domain.clone().map(Value::String)), ("Key", string(key.clone()))])
            }
            Self::SetValue { domain, key, value } => dictionary([
                ("Domain", domain.clone().map(Value::String)),
                ("Key", string(key.clone())),
                ("Value", Some(value.clone())),
            ]),
            Self::StartService { service, escrow_bag } => dictionary([
                ("EscrowBag", escrow_bag.as_ref().and_then(|bag| data(bag.expose().clone()))),
                ("Service", string(service.clone())),
            ]),
            Self::StartSession { host_id, system_buid } => {
                dictionary([("HostID", string(host_id.clone())), ("SystemBUID", string(system_buid.clone()))])
            }
            Self::StopSession { session_id } => dictionary([("SessionID", string(session_id.clone()))]),
            Self::Unpair { host_id, record } => {
                let mut record = record.expose().clone();
                record.insert("HostID".into(), Value::String(host_id.clone()));
                dictionary([("PairRecord", Some(Value::Dictionary(record)))])
            }
        };
        fields.extend(own);
        Value::Dictionary(fields)
    }

    /// Reads a request, for a device.
    ///
    /// # Errors
    /// The lockdown error a device answers with: a field is missing or of a wrong type.
    pub fn from_plist(fields: &Dictionary) -> Result<Self, ErrorName> {
        // "An empty Domain string works like no domain" (3.3).
        let domain = || fields.text("Domain").filter(|d| !d.is_empty()).map(str::to_owned);
        let key = || fields.text("Key").map(str::to_owned).ok_or(ErrorName::MissingKey);
        let host_id =
            |from: &Dictionary| from.text("HostID").map(str::to_owned).ok_or(ErrorName::MissingHostId);
        let name = fields.text("Request").ok_or(ErrorName::MissingValue)?;
        Ok(match name {
            "EnterRecovery" => Self::EnterRecovery,
            "GetValue" => Self::GetValue { domain: domain(), key: fields.text("Key").map(str::to_owned) },
            "Goodbye" => Self::Goodbye,
            "Pair" => Self::Pair {
                record: Secret::new(pair_record(fields)?.clone()),
                host_name: match fields.get("HostName") {
                    None => None,
                    Some(Value::String(name)) => Some(name.chars().take(63).collect()),
                    Some(_) => return Err(ErrorName::MissingValue),
                },
                options: PairingOptions::from_dictionary(fields.dict("PairingOptions")),
            },
            "QueryType" => Self::QueryType,
            "RemoveValue" => Self::RemoveValue { domain: domain(), key: key()? },
            "SetValue" => Self::SetValue {
                domain: domain(),
                key: key()?,
                value: fields.get("Value").cloned().ok_or(ErrorName::MissingValue)?,
            },
            "StartService" => Self::StartService {
                service: fields.text("Service").map(str::to_owned).ok_or(ErrorName::MissingService)?,
                escrow_bag: fields.bytes("EscrowBag").map(|bag| Secret::new(bag.to_vec())),
            },
            "StartSession" => Self::StartSession {
                host_id: host_id(fields)?,
                system_buid: fields.text("SystemBUID").unwrap_or_default().to_owned(),
            },
            "StopSession" => Self::StopSession {
                session_id: fields.text("SessionID").map(str::to_owned).ok_or(ErrorName::MissingSessionId)?,
            },
            "Unpair" => {
                let record = pair_record(fields)?;
                Self::Unpair { host_id: host_id(record)?, record: Secret::new(record.clone()) }
            }
            other => Self::Unknown { name: other.chars().take(80).collect() },
        })
    }
}

fn pair_record(fields: &Dictionary) -> Result<&Dictionary, ErrorName> {
    fields.dict("PairRecord").ok_or(ErrorName::MissingPairRecord)
}

impl PairingOptions {
    fn to_dictionary(&self) -> Dictionary {
        dictionary([
            ("ChallengeResponse", self.challenge_response.as_ref().and_then(|r| data(r.expose().clone()))),
            ("ExtendedPairingErrors", self.extended_errors.then_some(Value::Boolean(true))),
            ("SupervisorCertificate", self.supervisor_certificate.clone().and_then(data)),
        ])
    }

    fn from_dictionary(options: Option<&Dictionary>) -> Self {
        let Some(options) = options else { return Self::default() };
        Self {
            extended_errors: options.flag("ExtendedPairingErrors").unwrap_or(false),
            supervisor_certificate: options.bytes("SupervisorCertificate").map(<[u8]>::to_vec),
            challenge_response: options.bytes("ChallengeResponse").map(|r| Secret::new(r.to_vec())),
        }
    }
}

/// A device's answer with all it said. Nothing is dropped: an error keeps its companions,
/// such as `ExtendedResponse`.
#[derive(Clone, PartialEq, Default)]
pub struct Reply {
    fields: Dictionary,
}

impl Reply {
    /// Wraps an answer.
    pub fn new(fields: Dictionary) -> Self {
        Self { fields }
    }

    /// An answer echoing `request`, for a device.
    pub fn to(request: &str) -> Self {
        Self { fields: dictionary([("Request", string(request))]) }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.fields.insert(key.to_owned(), value);
        self
    }

    /// Turns the answer into an error.
    #[must_use]
    pub fn with_error(self, error: &ErrorName) -> Self {
        self.with("Error", Value::String(error.as_str().to_owned()))
    }

    /// The answer as a property list.
    pub fn into_plist(self) -> Value {
        Value::Dictionary(self.fields)
    }

    /// All fields.
    pub fn fields(&self) -> &Dictionary {
        &self.fields
    }

    /// The error the device reported, if any. Before iOS 5 there is only
    /// `Result: Failure` (3.1).
    pub fn error(&self) -> Option<LockdownError> {
        let warning = self.fields.text("Warning").map(short);
        match self.fields.get("Error") {
            Some(Value::String(name)) => {
                Some(LockdownError { name: ErrorName::from_wire(name), detail: warning })
            }
            // "A few paths return a dictionary" (3.1): its texts are kept, in order.
            Some(other) => {
                Some(LockdownError { name: error_in(other), detail: Some(short(&flat_text(other))) })
            }
            None if self.fields.text("Result") == Some("Failure") => {
                Some(LockdownError { name: ErrorName::Other("Failure".into()), detail: warning })
            }
            None => None,
        }
    }

    /// `Value` of a GetValue answer.
    pub fn value(&self) -> Option<&Value> {
        self.fields.get("Value")
    }

    /// `Type` of a QueryType answer.
    pub fn kind(&self) -> Option<&str> {
        self.fields.text("Type")
    }

    /// `EscrowBag` of a Pair answer; absent while the device is locked (3.6).
    pub fn escrow_bag(&self) -> Option<Secret<Vec<u8>>> {
        self.fields.bytes("EscrowBag").map(|bag| Secret::new(bag.to_vec()))
    }

    /// `SessionID` and whether TLS follows, of a StartSession answer.
    pub fn session(&self) -> Option<(&str, bool)> {
        let id = self.fields.text("SessionID")?;
        Some((id, self.fields.flag("EnableSessionSSL").unwrap_or(false)))
    }

    /// Port, and whether TLS follows, of a StartService answer.
    pub fn service(&self) -> Option<(u16, bool)> {
        let port = u16::try_from(self.fields.uint("Port")?).ok().filter(|p| *p != 0)?;
        Some((port, self.fields.flag("EnableServiceSSL").unwrap_or(false)))
    }

    /// The random bytes a supervising host has to sign (3.7).
    pub fn pairing_challenge(&self) -> Option<Secret<Vec<u8>>> {
        let challenge = self.fields.dict("ExtendedResponse")?.bytes("PairingChallenge")?;
        Some(Secret::new(challenge.to_vec()))
    }
}

impl fmt::Debug for Reply {
    /// Names of the fields only: values may be escrow bags or serial numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

fn short(text: &str) -> String {
    text.chars().take(DEVICE_TEXT_CHARS).collect()
}

/// The error name inside a dictionary-shaped error: the first string we know, else the
/// first string at all.
fn error_in(value: &Value) -> ErrorName {
    let texts = texts_of(value);
    let known = texts.iter().map(|t| ErrorName::from_wire(t)).find(|n| !matches!(n, ErrorName::Other(_)));
    known
        .or_else(|| texts.first().map(|t| ErrorName::from_wire(t)))
        .unwrap_or(ErrorName::Other("unnamed".into()))
}

fn flat_text(value: &Value) -> String {
    texts_of(value).join("; ")
}

fn texts_of(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts_of).collect(),
        Value::Dictionary(fields) => fields.values().flat_map(texts_of).collect(),
        _ => Vec::new(),
    }
}

/// An error as the device named it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LockdownError {
    /// Its name.
    pub name: ErrorName,
    /// What else the device said with it.
    pub detail: Option<String>,
}

impl fmt::Display for LockdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_str())?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

macro_rules! error_names {
    ($($variant:ident = $wire:literal),+ $(,)?) => {
        /// Every error name of lockdown (3.12), alphabetical.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs)] // each variant is the wire name itself
        pub enum ErrorName {
            $($variant,)+
            /// A name not in the list of 3.12.
            Other(String),
        }

        impl ErrorName {
            /// All known names, for tests and tables.
            pub const KNOWN: &'static [&'static str] = &[$($wire),+];

            /// The name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $wire,)+
                    Self::Other(name) => name,
                }
            }

            /// Reads a wire name.
            pub fn from_wire(name: &str) -> Self {
                match name {
                    $($wire => Self::$variant,)+
                    other => Self::Other(short(other)),
                }
            }
        }
    };
}

error_names! {
    CheckinSetupFailed = "CheckinSetupFailed",
    EscrowLocked = "EscrowLocked",
    FmipProtected = "FMiPProtected",
    GetProhibited = "GetProhibited",
    ImmutableValue = "ImmutableValue",
    InternalError = "InternalError",
    InvalidActivationRecord = "InvalidActivationRecord",
    InvalidConnection = "InvalidConnection",
    InvalidHostId = "InvalidHostID",
    InvalidPairRecord = "InvalidPairRecord",
    InvalidResponse = "InvalidResponse",
    InvalidService = "InvalidService",
    InvalidSessionId = "InvalidSessionID",
    McChallengeRequired = "MCChallengeRequired",
    McProtected = "MCProtected",
    MissingActivationRecord = "MissingActivationRecord",
    MissingHostId = "MissingHostID",
    MissingKey = "MissingKey",
    MissingPairRecord = "MissingPairRecord",
    MissingService = "MissingService",
    MissingSessionId = "MissingSessionID",
    MissingValue = "MissingValue",
    NotAValidChaperoneHost = "NotAValidChaperoneHost",
    PairingDialogResponsePending = "PairingDialogResponsePending",
    PairingProhibitedOverThisConnection = "PairingProhibitedOverThisConnection",
    PasswordProtected = "PasswordProtected",
    PtpDialogResponsePending = "PTPDialogResponsePending",
    RemoveProhibited = "RemoveProhibited",
    SavePairRecordFailed = "SavePairRecordFailed",
    ServiceLimit = "ServiceLimit",
    ServiceProhibited = "ServiceProhibited",
    SessionActive = "SessionActive",
    SessionInactive = "SessionInactive",
    SetProhibited = "SetProhibited",
    UserDeniedPairing = "UserDeniedPairing",
    UserDeniedPtp = "UserDeniedPTP",
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_back(request: Request) {
        let Value::Dictionary(fields) = request.to_plist("test") else { panic!("a dictionary") };
        assert_eq!(fields.text("ProtocolVersion"), Some("2"));
        assert_eq!(Request::from_plist(&fields), Ok(request));
    }

    #[test]
    fn every_request_reads_back() {
        let record = || Secret::new(dictionary([("HostID", string("H"))]));
        reads_back(Request::QueryType);
        reads_back(Request::Goodbye);
        reads_back(Request::EnterRecovery);
        reads_back(Request::GetValue { domain: None, key: None });
        reads_back(Request::GetValue { domain: Some(DOMAIN_SETUP.into()), key: Some("SetupDone".into()) });
        reads_back(Request::SetValue { domain: None, key: "DeviceName".into(), value: Value::from("x") });
        reads_back(Request::RemoveValue { domain: None, key: "DeviceName".into() });
        reads_back(Request::StartSession { host_id: "H".into(), system_buid: "B".into() });
        reads_back(Request::StopSession { session_id: "S".into() });
        reads_back(Request::StartService { service: "s".into(), escrow_bag: Some(Secret::new(vec![1])) });
        reads_back(Request::Unpair { host_id: "H".into(), record: record() });
        let options = PairingOptions {
            extended_errors: true,
            supervisor_certificate: Some(vec![1]),
            challenge_response: Some(Secret::new(vec![2])),
        };
        reads_back(Request::Pair { record: record(), host_name: Some("bench".into()), options });
    }

    #[test]
    fn every_error_name_of_section_3_12_is_known() {
        for name in ErrorName::KNOWN {
            assert_eq!(ErrorName::from_wire(name).as_str(), *name);
            assert!(!matches!(ErrorName::from_wire(name), ErrorName::Other(_)));
        }
        assert_eq!(ErrorName::from_wire("New"), ErrorName::Other("New".into()));
    }

    #[test]
    fn an_error_keeps_its_companions() {
        let extended = dictionary([("PairingChallenge", data(vec![10, 13, 0]))]);
        let reply = Reply::to("Pair")
            .with_error(&ErrorName::McChallengeRequired)
            .with("ExtendedResponse", Value::Dictionary(extended));
        assert_eq!(reply.error().unwrap().name, ErrorName::McChallengeRequired);
        assert_eq!(reply.pairing_challenge().unwrap().expose(), &[10, 13, 0]);
        assert!(!format!("{reply:?}").contains("13"));
    }

    #[test]
    fn a_dictionary_error_is_read_too() {
        let inner = dictionary([("Code", Some(Value::from(3))), ("Name", string("PasswordProtected"))]);
        let reply = Reply::new(dictionary([("Error", Some(Value::Dictionary(inner)))]));
        assert_eq!(reply.error().unwrap().name, ErrorName::PasswordProtected);
    }
}
