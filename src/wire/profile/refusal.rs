//! Why a file is not pushed: one sentence for the operator, one for what to do.

use crate::wire::property_list::PlistError;

/// Where in the portal a direct-enrollment profile is exported (R18). A macro, because `concat!`
/// takes no constants, and sentences are made of it.
macro_rules! portal_path {
    () => {
        "Devices > Device onboarding > Enrollment > Apple > Bulk Enrollment Methods > Apple Configurator > Profiles > (profile) > Export Profile > Direct enrollment > Download profile"
    };
}

/// Where in the portal a direct-enrollment profile is exported (R18).
pub const PORTAL_PATH: &str = portal_path!();
/// What to do about a stale or wrong export, in one sentence (R18).
pub(super) const EXPORT_AGAIN: &str = concat!("Export it again: ", portal_path!(), " (R18).");
const COPY_AGAIN: &str = "Copy or download the file again.";

/// Which sort of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// Broken, cut off, or no configuration profile at all.
    Unreadable,
    /// Well-formed, but a rule forbids pushing it as an enrollment profile.
    Forbidden,
}

/// Why a file cannot be read as a profile, or must not be pushed for enrollment.
/// Texts taken from the file are escaped and hold no secrets.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum Refusal {
    // ---- the container (1.1) ----
    /// Row 1.
    #[error("The file is empty.")]
    Empty,
    /// Row 2.
    #[error("The file is a {form} archive, not a profile.")]
    Compressed {
        /// `gzip` or `zip`.
        form: &'static str,
    },
    /// Row 10.
    #[error("The file is a web page, probably a sign-in or error page, saved instead of the profile.")]
    WebPage,
    /// Row 12 (R19).
    #[error("The file holds a Profile URL, which belongs to enrollment in Setup Assistant, not a profile.")]
    ProfileUrl,
    /// Row 11 without a profile inside.
    #[error("The file is a JSON answer without a profile in its \"value\".")]
    JsonWithoutValue,
    /// Row 14, or something that is no profile inside a signature.
    #[error("The file is not a configuration profile.")]
    NotProfile,
    /// Wrapped in more layers than any tool makes.
    #[error("The file wraps its profile in too many layers.")]
    TooManyLayers,
    /// Text or encoding is damaged.
    #[error("The file is damaged: {what}.")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// The signed file ends too early.
    #[error("The signed file is cut off after {bytes} bytes.")]
    SignatureTruncated {
        /// Bytes that are there.
        bytes: usize,
    },
    /// The signed file has no sound structure.
    #[error("The signed file is damaged and cannot be read.")]
    SignatureDamaged,
    /// A signature without content (1.6).
    #[error("The file is only a signature; the profile it belongs to is elsewhere.")]
    Detached,
    /// Row 5.
    #[error("The whole file is encrypted; no device takes such a profile.")]
    WhollyEncrypted,
    /// L48, before anything is read.
    #[error("The file has {bytes} bytes, more than any direct-enrollment export (limit {limit}).")]
    TooLarge {
        /// Length of the file.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The property list, L48 or damage.
    #[error("{}{}.", capital(.error), if *.signed { "; it was so when it was signed" } else { "" })]
    PropertyList {
        /// What is wrong with it.
        error: PlistError,
        /// It stands inside a signature that holds.
        signed: bool,
    },

    // ---- the root (2.8) ----
    /// L01.
    #[error("The root of the file is not a dictionary.")]
    RootNotDictionary,
    /// L02.
    #[error("The file is not a configuration profile: its PayloadType is {}.", .found.as_deref().unwrap_or("missing"))]
    NotConfiguration {
        /// What stands there.
        found: Option<String>,
    },
    /// L03.
    #[error("PayloadVersion of {path} is missing or not 1.")]
    Version {
        /// Which dictionary.
        path: String,
    },
    /// L04.
    #[error("PayloadIdentifier of {path} is missing or empty.")]
    Identifier {
        /// Which dictionary.
        path: String,
    },
    /// L06.
    #[error("PayloadUUID of {path} is missing or empty.")]
    Uuid {
        /// Which dictionary.
        path: String,
    },
    /// L09.
    #[error("The profile has no payloads.")]
    NoContent,
    /// L47.
    #[error("{key} of {path} is not {expected}.")]
    WrongType {
        /// Which dictionary.
        path: String,
        /// Which value.
        key: &'static str,
        /// What it should be, with its article.
        expected: &'static str,
    },

    // ---- enrollment (2.8) ----
    /// L42.
    #[error("The profile was changed after signing, or its signature is broken ({reason}).")]
    SignatureBroken {
        /// In words.
        reason: String,
    },
    /// L43, where the site accepts one signer only.
    #[error("The profile is signed by {found}; only {wanted} is accepted here.")]
    OtherSigner {
        /// Name or digest of the one that is accepted.
        wanted: String,
        /// Who signed.
        found: String,
    },
    /// L40.
    #[error(
        "The file is an over-the-air stub: the real profile would come later and cannot be checked here."
    )]
    ProfileService,
    /// L41.
    #[error("The profile is encrypted for one device; its contents cannot be checked here.")]
    Encrypted,
    /// L11.
    #[error("The profile has no MDM payload: it would install and enroll nothing.")]
    NoMdm,
    /// L12.
    #[error("The profile has {count} MDM payloads; a device takes one.")]
    TwoMdm {
        /// How many.
        count: usize,
    },
    /// L18.
    #[error(
        "This is an account-driven enrollment file ({key}): it starts on the device with a sign-in, never by USB."
    )]
    AccountDriven {
        /// The key that says so.
        key: &'static str,
    },
    /// L38.
    #[error("The profile is made for Macs ({key}).")]
    MacOnly {
        /// The key that says so.
        key: &'static str,
    },
    /// L37.
    #[error("The profile is made for another class of device: {class}.")]
    OtherDevice {
        /// Which one.
        class: &'static str,
    },
    /// L13.
    #[error("The MDM payload points to an identity that is not in the file.")]
    IdentityMissing,
    /// L14.
    #[error("The MDM payload takes {found} for its identity; it must be SCEP, ACME or PKCS#12.")]
    NotAnIdentity {
        /// Payload type found there.
        found: String,
    },
    /// L15.
    #[error("{key} of the MDM payload is not an https address of a server.")]
    ServerUrl {
        /// Which address.
        key: &'static str,
    },
    /// L16.
    #[error("The push topic of the MDM payload is missing or not Apple's (com.apple.mgmt.).")]
    Topic,
    /// L07.
    #[error("The same PayloadUUID stands twice in the profile: {uuid}.")]
    DuplicateUuid {
        /// Which.
        uuid: String,
    },
    /// L48 in effect: profile and request travel in one frame (protocols.md 3.1).
    #[error("The profile has {bytes} bytes; a device takes at most {limit} in one request.")]
    TooLargeToPush {
        /// Bytes to push.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl Refusal {
    /// Broken and foreign files against forbidden ones.
    pub fn kind(&self) -> RefusalKind {
        use Refusal::*;
        match self {
            PropertyList { error, .. } if error.is_forbidden() => RefusalKind::Forbidden,
            PropertyList { .. }
            | Empty
            | Compressed { .. }
            | WebPage
            | JsonWithoutValue
            | NotProfile
            | TooManyLayers
            | Damaged { .. }
            | SignatureTruncated { .. }
            | SignatureDamaged
            | RootNotDictionary
            | NotConfiguration { .. }
            | Version { .. }
            | Identifier { .. }
            | Uuid { .. }
            | NoContent
            | WrongType { .. } => RefusalKind::Unreadable,
            _ => RefusalKind::Forbidden,
        }
    }

    /// The lint rule behind it (profiles-and-enrollment.md 2.8), where there is one.
    pub fn code(&self) -> Option<&'static str> {
        use Refusal::*;
        Some(match self {
            RootNotDictionary => "L01",
            NotConfiguration { .. } => "L02",
            Version { .. } => "L03",
            Identifier { .. } => "L04",
            Uuid { .. } => "L06",
            DuplicateUuid { .. } => "L07",
            NoContent => "L09",
            NoMdm => "L11",
            TwoMdm { .. } => "L12",
            IdentityMissing => "L13",
            NotAnIdentity { .. } => "L14",
            ServerUrl { .. } => "L15",
            Topic => "L16",
            AccountDriven { .. } => "L18",
            OtherDevice { .. } => "L37",
            MacOnly { .. } => "L38",
            ProfileService => "L40",
            Encrypted => "L41",
            SignatureBroken { .. } => "L42",
            OtherSigner { .. } => "L43",
            WrongType { .. } => "L47",
            TooLarge { .. } | TooLargeToPush { .. } => "L48",
            PropertyList { error, .. } if error.is_forbidden() => "L48",
            _ => return None,
        })
    }

    /// What to do about it, in one sentence.
    pub fn next(&self) -> &'static str {
        use Refusal::*;
        match self {
            Compressed { .. } => "Unpack it first and take the .mobileconfig inside.",
            WebPage => "Sign in to the portal and download the profile again; do not save the page.",
            ProfileUrl => {
                "Export the direct-enrollment profile instead: the same pane offers both (R18, R19)."
            }
            JsonWithoutValue => {
                "Take the answer of exportMobileConfig, or download the profile in the portal."
            }
            Empty
            | Damaged { .. }
            | SignatureTruncated { .. }
            | SignatureDamaged
            | SignatureBroken { .. } => COPY_AGAIN,
            PropertyList { signed: false, error } if !error.is_forbidden() => COPY_AGAIN,
            OtherSigner { .. } => {
                "Download the profile again, or correct profile_signer in the configuration."
            }
            Detached => "Take the signed profile itself, with the content inside.",
            MacOnly { .. } => {
                "Carry it to the Mac and open it there (R75), or export the profile for iPhone and iPad."
            }
            OtherDevice { .. } => "Export the profile for iPhone and iPad.",
            AccountDriven { .. } => {
                "Let the person sign in on the device (R168), or export a direct-enrollment profile."
            }
            _ => EXPORT_AGAIN,
        }
    }
}

fn capital(error: &PlistError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
