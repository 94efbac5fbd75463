//! Helper profiles: those of a run, and `enlist profile helpers`, which shows them.

use super::arguments::{Global, HelperArgs, ShowHelpersArgs};
use super::output::{Output, Tone};
use super::{compose, profile};
use crate::api::view::{Exit, HelperView};
use crate::api::{OperationError, Operations, Profile, WifiNetwork, show_helpers};
use crate::clock::Clock;
use crate::config::{Config, Environment};
use std::path::PathBuf;
use std::sync::Arc;

/// The helpers of a run; what there is to know of them is noted.
pub(super) fn of_run(
    args: &HelperArgs,
    config: &Config,
    operations: &Operations,
    output: &Output,
) -> Result<Vec<Arc<Profile>>, OperationError> {
    let network = network(config)?;
    let helpers = operations.helpers(files(args, config), network.as_ref())?;
    for warning in helpers.iter().flat_map(|helper| helper.warnings()) {
        output.note(format!("warning: {}", warning.message));
    }
    Ok(helpers)
}

pub(super) fn show(
    args: &ShowHelpersArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let (network, anchors) = (network(&config)?, compose::anchors(&config)?);
    let (files, out) = (files(&args.helpers, &config), args.out.as_deref());
    let helpers = show_helpers(files, network.as_ref(), out, &anchors, &Clock::System)?;
    if helpers.is_empty() {
        output.note("There are none: give --helper FILE, enroll.helpers or [wifi] in the configuration.");
    }
    helpers.iter().for_each(|helper| print(helper, output));
    Ok(Exit::Done)
}

fn files<'a>(args: &'a HelperArgs, config: &'a Config) -> &'a [PathBuf] {
    if args.files.is_empty() { &config.enroll.helpers } else { &args.files }
}

fn network(config: &Config) -> Result<Option<WifiNetwork>, OperationError> {
    Ok(config.wifi.as_ref().map(|wifi| wifi.network()).transpose()?)
}

fn print(helper: &HelperView, output: &Output) {
    if output.json {
        return output.object(helper);
    }
    profile::print_facts(&helper.profile, output);
    for finding in &helper.findings {
        let (code, message) = (finding.code, &finding.message);
        output.line(format!("  {} {code} {message}", output.toned(Tone::Quiet, "· lint")));
    }
    let kind = helper.kind.name();
    output.line(format!(
        "  {} is pushed before the enrollment profile ({kind})",
        output.toned(Tone::Good, "✔")
    ));
}
