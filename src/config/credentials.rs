//! Secrets that a service manager hands over: `${CREDENTIALS_DIRECTORY}/NAME` in the
//! configuration.

use super::Config;
use std::path::{Path, PathBuf};

/// What stands for the folder, as systemd writes it.
const FOLDER: &str = "${CREDENTIALS_DIRECTORY}";

impl Config {
    /// Puts the folder in its place, in every key that names a secret. Without a folder the
    /// words stay, and whoever reads such a file is told them.
    #[must_use]
    pub fn with_credentials(mut self, folder: Option<&Path>) -> Self {
        if let Some(folder) = folder {
            for path in self.secrets() {
                if let Ok(name) = path.strip_prefix(FOLDER) {
                    *path = folder.join(name);
                }
            }
        }
        self
    }

    /// True if a secret is still where only a service has it.
    pub fn lacks_credentials(&self) -> bool {
        self.clone().secrets().iter().any(|path| path.starts_with(FOLDER))
    }

    fn secrets(&mut self) -> Vec<&mut PathBuf> {
        let Self { api, wifi, supervision, .. } = self;
        let mut paths: Vec<_> =
            [&mut api.token_file, &mut api.tls_cert, &mut api.tls_key, &mut supervision.password_file]
                .into_iter()
                .chain(wifi.as_mut().map(|wifi| &mut wifi.password_file))
                .flatten()
                .collect();
        paths.extend(&mut supervision.identity);
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_lie_where_the_service_manager_put_them() {
        let text = "profile = '${CREDENTIALS_DIRECTORY}/x'\n\
            [api]\ntoken_file = '${CREDENTIALS_DIRECTORY}/enlist_token'\ntls_key = '/etc/key'\n\
            [wifi]\nssid = 'a'\npassword_file = '${CREDENTIALS_DIRECTORY}/enlist_wifi'\n\
            [supervision]\nidentity = ['a.pem', '${CREDENTIALS_DIRECTORY}/enlist_id.p12']\n";
        let config = Config::parse(text, Path::new("x")).unwrap();
        assert!(config.lacks_credentials());
        assert!(config.clone().with_credentials(None).lacks_credentials());
        let config = config.with_credentials(Some(Path::new("/run/c")));
        assert!(!config.lacks_credentials());
        assert_eq!(config.api.token_file, Some("/run/c/enlist_token".into()));
        assert_eq!(config.api.tls_key, Some("/etc/key".into()));
        assert_eq!(config.wifi.unwrap().password_file, Some("/run/c/enlist_wifi".into()));
        assert_eq!(config.supervision.identity, ["a.pem", "/run/c/enlist_id.p12"].map(PathBuf::from));
        assert_eq!(config.profile, Some("${CREDENTIALS_DIRECTORY}/x".into()), "no secret of the station");
    }
}
