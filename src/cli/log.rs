//! `enlist log`: the device's own log, by default of the processes that enroll.

use super::arguments::{Global, LogArgs};
use super::compose;
use super::output::Output;
use crate::api::view::Exit;
use crate::api::{LOG_PROCESSES, OperationError};
use crate::config::Environment;

pub(super) async fn run(
    args: &LogArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let operations = compose::operations(global, environment).await?;
    let device = &args.device;
    let mut lines = operations.log(device.udid(), device.patience(), &output.teller()).await?;
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        };
        let Some(line) = line else {
            let next = "Plug the device in again if it was unplugged.";
            return Err(OperationError::new(Exit::Failed, "The device ended its log.", next));
        };
        if !args.all && !LOG_PROCESSES.iter().any(|process| line.contains(process)) {
            continue;
        }
        let line = if output.json { serde_json::json!({ "line": line }).to_string() } else { line };
        if output.line_if_read(line).is_err() {
            return Ok(Exit::Done);
        }
    }
}
