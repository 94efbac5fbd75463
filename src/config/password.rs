//! Passwords: the configuration says where they are, and never what they are.

use super::{ConfigError, wrong};
use crate::secret::Secret;
use crate::wire::printable::system_words;
use std::io::{self, Read};
use std::path::Path;

/// Longest password file that is read, in bytes: many times the longest password.
const PASSWORD_BYTES: u64 = 4096;

/// The password of a section, and the key that says where it is; `None` if no key does.
pub(super) fn read(
    section: &str,
    file: Option<&Path>,
    variable: Option<&str>,
) -> Result<Option<(String, Secret<String>)>, ConfigError> {
    let in_file = file.map(|path| {
        let key = format!("{section} password_file");
        in_file(&key, path).map(|password| (key, password))
    });
    let in_variable = || {
        variable.map(|name| {
            let key = format!("{section} password_env");
            in_variable(&key, name).map(|password| (key, password))
        })
    };
    in_file.or_else(in_variable).transpose()
}

/// The one line of a file.
fn in_file(key: &str, path: &Path) -> Result<Secret<String>, ConfigError> {
    let bad =
        |reason: &dyn std::fmt::Display| wrong(key, &format!("cannot read {}: {reason}", path.display()));
    let read = || -> io::Result<String> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut text = String::new();
        std::fs::File::open(path)?.take(PASSWORD_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = Secret::new(read().map_err(|error| bad(&system_words(&error)))?);
    let line = text.expose().strip_suffix('\n').unwrap_or(text.expose());
    match line.strip_suffix('\r').unwrap_or(line) {
        "" => Err(bad(&"it is empty")),
        line if line.contains('\n') => Err(bad(&"it has more than one line")),
        line => Ok(Secret::new(line.to_owned())),
    }
}

#[allow(clippy::disallowed_methods)] // named by the configuration, so not in `Environment::read`
fn in_variable(key: &str, name: &str) -> Result<Secret<String>, ConfigError> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.map(Secret::new).ok_or_else(|| wrong(key, &format!("the environment has no {name}")))
}
