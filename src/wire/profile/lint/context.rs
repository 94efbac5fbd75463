//! What is known beside the file: the job, the device, the clock, the owner's decisions.

use super::super::Purpose;
use jiff::Timestamp;

/// What the file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Job {
    /// An iPhone or iPad.
    Ios,
    /// A Mac, where the file is carried by hand (R75).
    Macos,
    /// Nobody said.
    #[default]
    Unknown,
}

/// A system's version; `17.2` and `17.2.0` are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OsVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl OsVersion {
    /// The first release of a minor version.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor, patch: 0 }
    }

    /// Reads what a device tells: numbers as far as they go; `None` without the first.
    pub fn told(text: &str) -> Option<Self> {
        let number = |part: &str| {
            let digits = part.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse().ok())
        };
        let mut numbers = text.split('.').map(number);
        let major = numbers.next()??;
        let mut next = || numbers.next().flatten().unwrap_or(0);
        Some(Self { major, minor: next(), patch: next() })
    }

    /// Reads `17`, `17.2` or `17.2.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let major = numbers.next()??;
        let (minor, patch) = (numbers.next().unwrap_or(Some(0))?, numbers.next().unwrap_or(Some(0))?);
        numbers.next().is_none().then_some(Self { major, minor, patch })
    }
}

impl std::fmt::Display for OsVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            0 => Ok(()),
            patch => write!(f, ".{patch}"),
        }
    }
}

/// The device the file is for, as far as known.
#[derive(Debug, Clone, Default)]
pub struct DeviceContext {
    /// lockdown `DeviceClass`: `iPhone`, `iPad`, `iPod`; or `Mac`.
    pub class: Option<String>,
    /// Its system.
    pub os: Option<OsVersion>,
    /// lockdown `ProductType`, such as `iPad7,3`; it tells the chip.
    pub product_type: Option<String>,
    /// The chip where the product type does not tell it, such as `A10X`, `M1` or `T2`.
    pub chip: Option<String>,
    /// Whether it is supervised.
    pub supervised: Option<bool>,
    /// The profiles on it.
    pub installed: Vec<Installed>,
}

/// A profile on the device (1.5).
#[derive(Debug, Clone, Default)]
pub struct Installed {
    /// `PayloadIdentifier`.
    pub identifier: String,
    /// Set if it enrolled the device.
    pub mdm: Option<InstalledMdm>,
}

/// What is known of an installed MDM payload. A device does not list these; the station
/// knows them of profiles it pushed itself.
#[derive(Debug, Clone, Default)]
pub struct InstalledMdm {
    /// Push topic.
    pub topic: Option<String>,
    /// `ServerURL`.
    pub server_url: Option<String>,
    /// `CheckInURL`.
    pub check_in_url: Option<String>,
}

/// The owner's decisions.
#[derive(Debug, Clone)]
pub struct LintPolicy {
    /// SCEP before ACME (R12, R13; L32).
    pub prefer_scep: bool,
    /// Age of an export that draws a warning, in days (3.4).
    pub warn_days: u32,
    /// Age of an export that is refused, in days (3.4).
    pub refuse_days: u32,
    /// Why an export that is too old may be pushed; it draws a warning then (F03).
    pub stale_allowed: Option<String>,
    /// A profile past its `PayloadExpirationDate` is stale, not merely old (L35).
    pub expired_is_stale: bool,
    /// Over-the-air stubs may be used, with a person's consent (L40).
    pub ota_allowed: bool,
}

impl Default for LintPolicy {
    fn default() -> Self {
        Self {
            prefer_scep: true,
            warn_days: 10,
            refuse_days: 14,
            stale_allowed: None,
            expired_is_stale: false,
            ota_allowed: false,
        }
    }
}

/// What is known beside the file.
#[derive(Debug, Clone)]
pub struct LintContext {
    /// The bench's time. Rules about dates are silent without it, and an export's age
    /// unknown.
    pub now: Option<Timestamp>,
    /// What the file is loaded for: an enrollment, or something beside one.
    pub purpose: Purpose,
    /// Which platform. Where unknown, a device's class tells it.
    pub job: Job,
    /// The device.
    pub device: Option<DeviceContext>,
    /// The owner's decisions.
    pub policy: LintPolicy,
    /// When the operator says the file was exported (3.4).
    pub exported_at: Option<Timestamp>,
}

impl LintContext {
    /// An enrollment about which nothing else is known.
    pub fn new(now: Option<Timestamp>) -> Self {
        Self {
            now,
            purpose: Purpose::Enrollment,
            job: Job::Unknown,
            device: None,
            policy: LintPolicy::default(),
            exported_at: None,
        }
    }

    /// The platform, by word or by the device's class.
    pub(super) fn platform(&self) -> Job {
        let class = self.device.as_ref().and_then(|device| device.class.as_deref());
        match (self.job, class) {
            (Job::Unknown, Some("Mac")) => Job::Macos,
            (Job::Unknown, Some("iPhone" | "iPad" | "iPod")) => Job::Ios,
            (job, _) => job,
        }
    }

    /// Whether the device is known to be supervised, or known not to be.
    pub(super) fn supervised(&self) -> Option<bool> {
        self.device.as_ref()?.supervised
    }

    /// The device's system, and how to call it.
    pub(super) fn system(&self) -> Option<(&'static str, &str, OsVersion)> {
        let device = self.device.as_ref()?;
        let class = match (device.class.as_deref(), self.platform()) {
            (Some(class), _) => class,
            (None, Job::Macos) => "Mac",
            (None, _) => "iPhone",
        };
        let name = match class {
            "Mac" => "macOS",
            "iPad" => "iPadOS",
            _ => "iOS",
        };
        Some((name, class, device.os?))
    }
}
