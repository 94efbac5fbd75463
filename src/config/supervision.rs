//! Section `[supervision]`: the organisation's identities (R133).

use super::ConfigError;
use crate::secret::Secret;
use crate::wire::printable::system_words;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Longest password in a file, in bytes.
const PASSWORD_BYTES: usize = 4096;

/// Section `[supervision]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisionConfig {
    /// PEM or PKCS#12 files, each with a certificate and its key.
    #[serde(deserialize_with = "one_or_more")]
    pub identity: Vec<PathBuf>,
    /// File whose first line is their password.
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds their password.
    pub password_env: Option<String>,
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a file, or a list of files")]
    enum Files {
        One(PathBuf),
        More(Vec<PathBuf>),
    }
    Ok(match Files::deserialize(from)? {
        Files::One(file) => vec![file],
        Files::More(files) => files,
    })
}

impl SupervisionConfig {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match (&self.password_file, &self.password_env) {
            (Some(_), Some(_)) => Err(wrong("give password_file or password_env, not both".into())),
            (None, None) => Ok(()),
            _ if self.identity.is_empty() => Err(wrong("there is a password and no identity".into())),
            _ => Ok(()),
        }
    }

    /// The password of the identities, from where the configuration says that it is.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: the file cannot be read, or the variable is not set.
    pub fn password(&self) -> Result<Option<Secret<String>>, ConfigError> {
        if let Some(name) = &self.password_env {
            return match variable(name) {
                Some(password) => Ok(Some(Secret::new(password))),
                None => Err(wrong(format!("the environment has no variable {name}"))),
            };
        }
        self.password_file.as_deref().map(first_line).transpose()
    }
}

#[allow(clippy::disallowed_methods)] // named by the configuration, so not in `Environment::read`
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn first_line(path: &Path) -> Result<Secret<String>, ConfigError> {
    let text = super::read_text(path).map(Secret::new).map_err(|error| {
        wrong(format!("cannot read the password in {}: {}", path.display(), system_words(&error)))
    })?;
    let line = text.expose().lines().next().unwrap_or_default();
    match line.len() {
        0 => Err(wrong(format!("there is no password in {}", path.display()))),
        1..=PASSWORD_BYTES => Ok(Secret::new(line.to_owned())),
        _ => Err(wrong(format!("the password in {} is too long", path.display()))),
    }
}

fn wrong(reason: String) -> ConfigError {
    ConfigError::Value { what: "[supervision]".into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn one_identity_or_several() {
        let of = |text: &str| Config::parse(text, Path::new("x")).map(|c| c.supervision.identity.len());
        assert_eq!(of("[supervision]\nidentity = 'a.pem'").unwrap(), 1);
        assert_eq!(of("[supervision]\nidentity = ['a.pem', 'b.p12']").unwrap(), 2);
        assert!(of("[supervision]\nidentity = 7").unwrap_err().to_string().contains("a list of files"));
        let both = "[supervision]\nidentity = 'a'\npassword_file = 'b'\npassword_env = 'C'";
        assert!(of(both).unwrap_err().to_string().contains("not both"));
        assert!(of("[supervision]\npassword_env = 'C'").unwrap_err().to_string().contains("no identity"));
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let config = SupervisionConfig { password_file: Some(path.clone()), ..Default::default() };
        assert!(config.password().unwrap_err().to_string().contains("cannot read the password"));
        std::fs::write(&path, "s3cret canary\nmore\n").unwrap();
        let password = config.password().unwrap().unwrap();
        assert_eq!(password.expose(), "s3cret canary");
        std::fs::write(&path, "\n").unwrap();
        assert!(config.password().unwrap_err().to_string().contains("no password"));
        let config = SupervisionConfig { password_env: Some("ENLIST_NOT_SET".into()), ..Default::default() };
        assert!(config.password().unwrap_err().to_string().contains("no variable ENLIST_NOT_SET"));
    }
}
