//! Step `name-device`: the device gets the name that the MDM shall record (R41). Repeatable; a
//! device that keeps its own name (3.5: "SetProhibited if managed") enrolls all the same.

use super::inspect::{Inspection, label};
use crate::device::DeviceError;
use crate::device::error::ErrorName;
use crate::wire::printable::printable;
use crate::workflow::engine::{Break, Run};
use crate::workflow::event::{EventKind, StepResult};

pub(super) async fn run(
    run: &mut Run,
    inspection: &mut Inspection,
    name: &str,
) -> Result<((), StepResult, Option<String>), Break> {
    match inspection.session.lockdown().name_device(name).await {
        Ok(()) => {}
        Err(DeviceError::Lockdown { error, .. }) if !is_locked(&error.name) => {
            let detail = format!("the device refuses the name ({}) and keeps its own", error.name.as_str());
            return Ok(((), StepResult::Warning, Some(detail)));
        }
        Err(error) => return Err(error.into()),
    }
    let read = inspection.session.lockdown().device_name().await?;
    let is_there = read.as_deref() == Some(name);
    inspection.facts.name = read;
    run.emit(EventKind::Identified(label(&inspection.facts))).await?;
    let shown = inspection.facts.name.as_deref().map(printable).unwrap_or_default();
    Ok(match is_there {
        true => ((), StepResult::Done, Some(shown)),
        false => ((), StepResult::Warning, Some(format!("the device calls itself \"{shown}\" nevertheless"))),
    })
}

/// A person can help it: unlocked, it may take its name.
fn is_locked(error: &ErrorName) -> bool {
    matches!(error, ErrorName::PasswordProtected | ErrorName::EscrowLocked)
}
