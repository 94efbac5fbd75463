//! Values a person types into the portal, checked before they are (R50, R113, R126 to R130,
//! R137).

use super::R;

/// What can be checked, with what it is.
pub const VALUES: [(&str, R, &str); 8] = [
    ("cached-users", R(126), "most users kept on a Shared iPad, 1 to 24"),
    ("lock-seconds", R(127), "seconds after the lock before a password is asked"),
    ("session-seconds", R(128), "idle seconds until a user's session ends; 0 for never"),
    ("temporary-only", R(129), "yes or no: temporary sessions only"),
    ("temporary-seconds", R(130), "idle seconds until a temporary session ends; 0 for never"),
    ("name-template", R(137), "device name template with {{DEVICETYPE}} and {{SERIAL}}"),
    ("sync-devices", R(113), "devices in a token: how long to wait between syncs"),
    ("configurator-total", R(50), "devices listed for Apple Configurator, with the file"),
];

/// Devices a sync moves in a minute (R113).
const SYNC_PER_MINUTE: u64 = 3000;

/// Longest name template, its variables counted as they are written (R137).
const TEMPLATE_CHARS: usize = 63;

/// Most devices in the list for Apple Configurator (R50).
const CONFIGURATOR_TOTAL: u64 = 75_000;

/// Why a value will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// There is no such value.
    #[error("there is no value '{name}'; there are {}", names())]
    Unknown {
        /// As typed.
        name: String,
    },
    /// It breaks a rule.
    #[error("{sentence} ({rule})")]
    Breaks {
        /// Which.
        rule: R,
        /// How.
        sentence: String,
    },
}

fn names() -> String {
    VALUES.map(|(name, ..)| name).join(", ")
}

/// Checks one of several values that are meant together; gives what there is to say of it.
///
/// # Errors
/// [`BadValue`].
pub fn check_value(name: &str, text: &str, all: &[(String, String)]) -> Result<String, BadValue> {
    let unknown = || BadValue::Unknown { name: name.to_owned() };
    let (_, rule, about) = *VALUES.iter().find(|(known, ..)| *known == name).ok_or_else(unknown)?;
    let bad = |sentence: String| BadValue::Breaks { rule, sentence };
    let number = || text.parse::<u64>().map_err(|_| bad(format!("{name} takes a number, not '{text}'")));
    let temporary = all.iter().any(|(name, value)| name == "temporary-only" && value == "yes");
    if temporary && ["cached-users", "lock-seconds", "session-seconds"].contains(&name) {
        return Err(BadValue::Breaks {
            rule: R(129),
            sentence: format!("{name} means nothing where there are temporary sessions only"),
        });
    }
    match name {
        "cached-users" if !(1..=24).contains(&number()?) => {
            Err(bad("a Shared iPad keeps 1 to 24 users".into()))
        }
        "lock-seconds" if ![0, 60, 300, 900, 3600, 14_400].contains(&number()?) => {
            Err(bad("choose 0, 60, 300, 900, 3600 or 14400 seconds".into()))
        }
        "session-seconds" | "temporary-seconds" if (1..30).contains(&number()?) => {
            Err(bad("choose 0 for never, or at least 30 seconds".into()))
        }
        "temporary-seconds" if all.iter().any(|(n, v)| n == "temporary-only" && v != "yes") => {
            Err(bad("this needs temporary sessions only".into()))
        }
        "temporary-only" if !["yes", "no"].contains(&text) => Err(bad("answer yes or no".into())),
        "name-template" => check_template(text).map_err(bad),
        "sync-devices" => {
            Ok(format!("wait {} min before the next sync", number()?.div_ceil(SYNC_PER_MINUTE).max(1)))
        }
        "configurator-total" if number()? > CONFIGURATOR_TOTAL => {
            Err(bad(format!("the list holds at most {CONFIGURATOR_TOTAL} devices")))
        }
        _ => Ok(format!("fits: {about}")),
    }
}

/// Checks a name template, and tells what it gives (R137).
///
/// # Errors
/// In words: it is too long, or as [`render_name`].
pub(in crate::workflow) fn check_template(template: &str) -> Result<String, String> {
    let chars = template.chars().count();
    if chars > TEMPLATE_CHARS {
        return Err(format!(
            "the template has {chars} characters; {TEMPLATE_CHARS} are allowed, variables as written"
        ));
    }
    render_name(template, "iPhone", "F7TLWCLBX196").map(|name| format!("such as {name}"))
}

/// The name that a template gives a device (R137).
///
/// # Errors
/// In words: an unknown or broken variable, or an empty template.
pub(in crate::workflow) fn render_name(
    template: &str,
    device_type: &str,
    serial: &str,
) -> Result<String, String> {
    let name = template.replace("{{DEVICETYPE}}", device_type).replace("{{SERIAL}}", serial);
    if name.contains("{{") || name.contains("}}") {
        return Err("the only variables are {{DEVICETYPE}} and {{SERIAL}}".into());
    }
    if name.trim().is_empty() { Err("the template is empty".into()) } else { Ok(name) }
}
