//! The folder of blueprints: whether a station that begins now could use it. One that runs
//! keeps the last good ones.

use super::Check;
use crate::station::blueprints::Blueprints;
use crate::station::library::Signers;
use crate::wire::printable::sentence;
use jiff::Timestamp;
use std::path::Path;

const NAME: &str = "blueprints";

/// Looks at the configured folder.
pub fn blueprints(folder: &Path, signers: &Signers, now: Timestamp) -> Check {
    match Blueprints::load(folder, signers, now) {
        Ok(found) => Check::good(NAME, format!("{} in {} can be used", found.all.len(), folder.display())),
        Err(error) => {
            let said = format!("{} A station that runs uses those it had before.", sentence(&error));
            Check::bad(NAME, said, "correct the blueprint; README shows one")
        }
    }
}
