//! Section `[supervision]`: the organisation's identities (R133).

use super::{ConfigError, password};
use crate::secret::Secret;
use serde::Deserialize;
use std::path::PathBuf;

/// Section `[supervision]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisionConfig {
    /// PEM or PKCS#12 files, each with a certificate and its key.
    #[serde(deserialize_with = "one_or_more")]
    pub identity: Vec<PathBuf>,
    /// File with their password, one line.
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
            (Some(_), Some(_)) => Err(wrong("give password_file or password_env, not both")),
            (None, None) => Ok(()),
            _ if self.identity.is_empty() => Err(wrong("there is a password and no identity")),
            _ => Ok(()),
        }
    }

    /// The password of the identities, from where the configuration says that it is.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: the file cannot be read, or the variable is not set.
    pub fn password(&self) -> Result<Option<Secret<String>>, ConfigError> {
        let found =
            password::read("[supervision]", self.password_file.as_deref(), self.password_env.as_deref())?;
        Ok(found.map(|(_, password)| password))
    }
}

fn wrong(reason: &str) -> ConfigError {
    super::wrong("[supervision]", &reason)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use std::path::Path;

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
}
