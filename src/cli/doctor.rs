//! `enlist doctor`: checks of this computer, each with its exact fix.

use super::arguments::Global;
use super::compose;
use super::output::{Output, Tone};
use crate::api::OperationError;
use crate::api::view::{Check, Exit, Health};
use crate::config::Environment;

pub(super) async fn run(
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let checks = compose::doctor(global, environment).await?;
    for check in &checks {
        if output.json {
            output.object(check);
        } else {
            print(check, output);
        }
    }
    let bad = checks.iter().any(|c| c.health == Health::Bad);
    Ok(if bad { Exit::Failed } else { Exit::Done })
}

fn print(check: &Check, output: &Output) {
    let (tone, word) = match check.health {
        Health::Good => (Tone::Good, "good"),
        Health::Warning => (Tone::Person, "look"),
        Health::Bad => (Tone::Bad, "bad "),
    };
    let head = output.toned(tone, format!("{} {word}", tone.shape()));
    output.line(format!("{head}  {:<16}  {}", check.check, check.found));
    if let Some(fix) = &check.fix {
        output.line(format!("                          fix: {fix}"));
    }
}
