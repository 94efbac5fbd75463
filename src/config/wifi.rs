//! Section `[wifi]`: the network that devices join before they enroll (R42, R72).

use super::{ConfigError, password, wrong};
use crate::wire::profile::made::{BadNetwork, WifiNetwork, WifiSecurity};
use serde::Deserialize;
use std::path::PathBuf;

/// Section `[wifi]`: a Wi-Fi profile is made of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WifiConfig {
    /// Name of the network.
    pub ssid: String,
    /// How it is encrypted.
    #[serde(default, alias = "encryption")]
    pub security: Option<WifiSecurity>,
    /// File with its password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Variable of the environment with its password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// It does not tell its name.
    #[serde(default)]
    pub hidden: bool,
    /// Joined whenever it is near.
    #[serde(default)]
    pub auto_join: Option<bool>,
    /// Devices show it a random address.
    #[serde(default)]
    pub random_address: Option<bool>,
}

impl WifiConfig {
    /// How the network is encrypted: WPA2 where a password is given.
    fn security(&self) -> WifiSecurity {
        self.security.unwrap_or(WifiSecurity::Wpa2)
    }

    /// What can be told without the password.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        WifiNetwork::check_name(&self.ssid).map_err(|bad| wrong("[wifi] ssid", &bad))?;
        let given = [self.password_file.is_some(), self.password_env.is_some()];
        let reason = match (self.security(), given) {
            (_, [true, true]) => "give password_file or password_env, not both",
            (WifiSecurity::None, [false, false]) => return Ok(()),
            (WifiSecurity::None, _) => "a network with security = \"none\" has no password",
            (_, [false, false]) => {
                "give password_file or password_env; an open network has security = \"none\""
            }
            _ => return Ok(()),
        };
        Err(wrong("[wifi]", &reason))
    }

    /// The network, its password read.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: the password cannot be read, or is none for this network.
    pub fn network(&self) -> Result<WifiNetwork, ConfigError> {
        self.check()?;
        let found = password::read("[wifi]", self.password_file.as_deref(), self.password_env.as_deref())?;
        let (what, password) = match found {
            Some((what, password)) => (what, Some(password)),
            None => ("[wifi]".to_owned(), None),
        };
        let network = WifiNetwork {
            ssid: self.ssid.clone(),
            security: self.security(),
            password,
            hidden: self.hidden,
            auto_join: self.auto_join.unwrap_or(true),
            random_address: self.random_address.unwrap_or(true),
        };
        network.check().map_err(|bad: BadNetwork| wrong(&what, &bad))?;
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use std::path::Path;

    fn error(text: &str) -> String {
        Config::parse(text, Path::new("enlist.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_network_is_checked_before_its_password_is_read() {
        let said = |body: &str| error(&format!("[wifi]\n{body}"));
        assert!(said("security = 'wpa2'").contains("missing field `ssid`"), "{}", said("security = 'wpa2'"));
        assert!(said("ssid = ''\npassword_env = 'X'").contains("1 to 32 bytes"));
        assert!(said("ssid = 'a'").contains("an open network has security"));
        assert!(said("ssid = 'a'\npassword_env = 'X'\npassword_file = 'x'").contains("not both"));
        assert!(said("ssid = 'a'\nsecurity = 'none'\npassword_env = 'X'").contains("has no password"));
        assert!(said("ssid = 'a'\nsecurity = 'wpa4'").contains("did you mean 'wpa"));
        let secret = said("ssid = 'a'\npassword = 'canary'");
        assert!(secret.contains("did you mean 'password_") && !secret.contains("canary"), "{secret}");
    }

    #[test]
    fn a_password_comes_from_a_file_or_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let network = |content: &str| {
            std::fs::write(&path, content).unwrap();
            let text = format!("[wifi]\nssid = 'a'\npassword_file = '{}'", path.display());
            let config = Config::parse(&text, Path::new("x")).unwrap();
            config.wifi.unwrap().network()
        };
        let password = network("fake pass 123\r\n").unwrap().password.unwrap();
        assert_eq!(password.expose(), "fake pass 123");
        for (content, reason) in [
            ("", "is empty"),
            ("\n", "is empty"),
            ("canary-1\ncanary-2\n", "more than one line"),
            ("canary", "8 to 63 characters"),
        ] {
            let said = network(content).unwrap_err().to_string();
            assert!(said.contains(reason) && !said.contains("canary"), "{said}");
        }
        let config = Config::parse("[wifi]\nssid = 'a'\npassword_env = 'NO_SUCH_VARIABLE'", Path::new("x"));
        let said = config.unwrap().wifi.unwrap().network().unwrap_err().to_string();
        assert_eq!(said, "[wifi] password_env: the environment has no NO_SUCH_VARIABLE");
    }
}
