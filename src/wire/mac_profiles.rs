//! What a Mac prints about itself: `profiles`, `sw_vers`, `ioreg` (protocols.md 7.3).
//!
//! Read only: nobody but a Mac writes these. The tools promise no format, so lines are taken
//! by what they begin with, in any order, and what is not known is passed over. What cannot be
//! found is said; nothing is guessed. Start at [`enrollment`].
//! May import the base modules and other codecs.

use super::printable::printable;
use super::profile::https_host;
use super::profile::lint::OsVersion;

/// Lines of an answer that are looked at: a Mac with hundreds of profiles prints one for each.
const LINES: usize = 20_000;

/// Longest line that is looked at, in bytes; the longest a tool prints holds an address.
const LINE_BYTES: usize = 4096;

/// Longest text of a Mac that is shown, in characters.
const SHOWN_CHARS: usize = 200;

/// An answer in which what was asked for does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not in the answer; it begins '{begins}'")]
pub struct NotThere {
    /// What was looked for.
    pub what: &'static str,
    /// How the answer begins; safe to print.
    pub begins: String,
}

impl NotThere {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, begins: first_words(text) }
    }
}

/// The first line that says something, cut and escaped: for messages.
pub fn first_words(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    printable(&line.chars().take(SHOWN_CHARS).collect::<String>())
}

/// Whether an MDM manages the Mac.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Managed {
    /// No MDM.
    No,
    /// Enrolled, and no person approved it.
    Unapproved,
    /// Enrolled, and a person approved it: what a manual enrollment leads to (7.2).
    UserApproved,
}

/// The answer of `profiles status -type enrollment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrollment {
    /// Enrolled by Automated Device Enrollment, if it says.
    pub by_ade: Option<bool>,
    /// `MDM enrollment`.
    pub managed: Managed,
    /// Host of the server, in small letters; the line is missing when no MDM manages the Mac,
    /// and on systems that do not print it.
    pub server: Option<String>,
}

/// Reads the answer of `profiles status -type enrollment`.
///
/// # Errors
/// [`NotThere`] if it does not say whether an MDM manages the Mac.
pub fn enrollment(text: &str) -> Result<Enrollment, NotThere> {
    let value = |key: &str| fields(text).find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v);
    let managed = match value("MDM enrollment").map(str::to_ascii_lowercase) {
        Some(said) if word(&said) == "no" => Managed::No,
        Some(said) if word(&said) == "yes" && said.contains("user approved") => Managed::UserApproved,
        Some(said) if word(&said) == "yes" => Managed::Unapproved,
        _ => return Err(NotThere::new("whether an MDM manages the Mac", text)),
    };
    let by_ade = match value("Enrolled via DEP").map(|said| word(said).to_ascii_lowercase()).as_deref() {
        Some("yes") => Some(true),
        Some("no") => Some(false),
        _ => None,
    };
    let server = value("MDM server").and_then(https_host).map(|host| printable(host).to_ascii_lowercase());
    Ok(Enrollment { by_ade, managed, server })
}

/// The answer of `profiles list`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Identifiers of profiles, as written.
    pub identifiers: Vec<String>,
    /// Whether profiles of the computer are shown, among which that of an MDM is: without
    /// administrator's rights a user sees the user's own only.
    pub computer: bool,
}

/// Reads the answer of `profiles list`; no line need be there.
pub fn listed(text: &str) -> Listed {
    let mut found = Listed::default();
    for (key, value) in fields(text) {
        if key.ends_with("attribute: profileIdentifier") {
            found.identifiers.push(value.to_owned());
            found.computer |= key.starts_with("_computerlevel");
        }
    }
    let none = lines(text).any(|line| {
        line.starts_with("There are no configuration profiles installed") && !line.contains("for user")
    });
    found.computer |= none;
    found
}

/// Who a Mac is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// Hardware UUID.
    pub uuid: String,
    /// Serial number.
    pub serial: Option<String>,
    /// Model, such as `Mac14,2`.
    pub model: Option<String>,
}

/// Reads the answer of `ioreg -rd1 -c IOPlatformExpertDevice`: one command that every Mac has,
/// needs no rights, and names UUID, serial number and model at once in a form that is not
/// translated. Apple documents the class, not the print.
///
/// # Errors
/// [`NotThere`] without a hardware UUID.
pub fn platform(text: &str) -> Result<Platform, NotThere> {
    let value = |key: &str| {
        let quoted = format!("\"{key}\" = ");
        let rest = lines(text).find_map(|line| line.trim_start_matches(['|', ' ']).strip_prefix(&quoted))?;
        let plain = rest.trim_start_matches(['<', '"']).split(['"', '>', '\0']).next()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ',');
        (!plain.is_empty() && plain.len() <= 64 && plain.chars().all(fits)).then(|| plain.to_owned())
    };
    Ok(Platform {
        uuid: value("IOPlatformUUID").ok_or_else(|| NotThere::new("the hardware UUID", text))?,
        serial: value("IOPlatformSerialNumber"),
        model: value("model"),
    })
}

/// Reads the answer of `sw_vers -productVersion`.
///
/// # Errors
/// [`NotThere`] if it is no version.
pub fn version(text: &str) -> Result<OsVersion, NotThere> {
    OsVersion::parse(text.trim()).ok_or_else(|| NotThere::new("a version of macOS", text))
}

/// Lines worth a look.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take(LINES).filter(|line| line.len() <= LINE_BYTES).map(str::trim)
}

/// `key: value`, split at the last colon followed by a blank.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    lines(text).filter_map(|line| line.rsplit_once(": ")).map(|(key, value)| (key.trim(), value.trim()))
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/macs/", $name))
        };
    }

    fn told(text: &str) -> (Option<bool>, Managed, Option<String>) {
        let Enrollment { by_ade, managed, server } = enrollment(text).unwrap();
        (by_ade, managed, server)
    }

    #[test]
    fn every_form_of_the_status_is_read() {
        let bench = Some("mdm.bench.example".to_owned());
        assert_eq!(told(fixture!("status-no.txt")), (Some(false), Managed::No, None));
        assert_eq!(
            told(fixture!("status-approved.txt")),
            (Some(false), Managed::UserApproved, bench.clone())
        );
        assert_eq!(told(fixture!("status-not-approved.txt")), (Some(false), Managed::Unapproved, bench));
        let other = Some("mdm.other.example".to_owned());
        assert_eq!(told(fixture!("status-other.txt")), (Some(true), Managed::UserApproved, other));
        assert_eq!(told(fixture!("status-two-lines.txt")), (Some(false), Managed::UserApproved, None));
        assert_eq!(told("MDM enrollment: Yes\n"), (None, Managed::Unapproved, None));
        let loud = "warning: x\r\n  mdm enrollment:  YES (user approved) \r\nMDM server: https://MDM.Bench.Example:443/x\r\n";
        assert_eq!(told(loud), (None, Managed::UserApproved, Some("mdm.bench.example".into())));
    }

    #[test]
    fn what_says_nothing_is_no_answer() {
        let long = format!("MDM enrollment: No{}", " ".repeat(LINE_BYTES));
        for text in ["", "sh: profiles: not found", "MDM enrollment: Maybe", "MDM enrollment:", &long] {
            assert!(enrollment(text).is_err(), "{text}");
        }
        let said = enrollment("\n\u{1b}[2Jprofiles: error\nmore").unwrap_err();
        assert_eq!(said.begins, "\\u{1b}[2Jprofiles: error");
        // A server that is no address is as good as none.
        assert_eq!(enrollment("MDM enrollment: Yes\nMDM server: ftp://x/").unwrap().server, None);
    }

    #[test]
    fn lists_are_read_with_what_they_leave_out() {
        let list = listed(fixture!("list-enrolled.txt"));
        assert_eq!(list.identifiers, ["com.example.wifi", "Microsoft.Profiles.MDM", "com.example.dock"]);
        assert!(list.computer);
        assert_eq!(listed(fixture!("list-none-system.txt")), Listed { identifiers: vec![], computer: true });
        assert_eq!(listed(fixture!("list-none-user.txt")), Listed::default());
        assert!(listed(fixture!("list-others.txt")).computer);
        assert!(!listed("bob[1] attribute: profileIdentifier: a.b\n").computer);
        assert_eq!(listed("sudo: a password is required"), Listed::default());
    }

    #[test]
    fn a_mac_tells_who_it_is() {
        let mac = platform(fixture!("ioreg.txt")).unwrap();
        assert_eq!(mac.uuid, "0A1B2C3D-0000-4000-8000-00000000F001");
        assert_eq!((mac.serial.as_deref(), mac.model.as_deref()), (Some("FAKE0MAC01"), Some("Mac14,2")));
        assert!(platform("ioreg: command not found").is_err());
        assert!(platform("\"IOPlatformUUID\" = \"../../etc\"").is_err());
        assert_eq!(version("15.2\n").unwrap(), OsVersion { major: 15, minor: 2, patch: 0 });
        assert!(version("").is_err() && version("Linux").is_err());
    }

    proptest! {
        #[test]
        fn whatever_a_mac_prints_is_read_or_refused(text in "(?s).{0,400}") {
            let _ = (enrollment(&text), platform(&text), version(&text), listed(&text));
        }
    }
}
