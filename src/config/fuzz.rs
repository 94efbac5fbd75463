//! The entry for fuzzing the configuration (`tests/fuzz/`). Not in the program.

use super::{Config, ConfigError};
use crate::workflow::policy::Policy;
use std::path::Path;

/// A configuration file: read or refused with a place in it, and what is read can be worked with.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(&text, Path::new("enlist.toml")) {
        Ok(config) => {
            let policy = config.enroll.policy(Policy::default()).expect("it was checked");
            assert!((1..=100).contains(&policy.pushes));
            let hooks = config.hooks.iter().map(super::HookConfig::outcomes);
            assert!(hooks.into_iter().all(|outcomes| outcomes.is_ok()));
        }
        Err(ConfigError::Content { place: Some((line, column)), .. }) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&line) && column > 0);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
