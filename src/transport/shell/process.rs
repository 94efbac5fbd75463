//! A child process with a deadline and a limit.

use super::{Ask, OUTPUT_BYTES, Said};
use crate::wire::printable::system_words;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

/// Why a child gave no answer.
pub(super) enum Trouble {
    /// It could not be started; what the system said.
    NoStart(String),
    /// It was too slow.
    Timeout,
    /// It printed too much.
    TooLong,
}

/// Code of a child that a signal ended.
const NO_CODE: i32 = -1;

/// Runs `command`, feeds it, and reads what it prints. It ends with this future.
pub(super) async fn run(mut command: Command, ask: &Ask<'_>) -> Result<Said, Trouble> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // Ctrl-C at the terminal is for us; the child may still be needed to clean up.
    std::os::unix::process::CommandExt::process_group(command.as_std_mut(), 0);
    let mut child = command.spawn().map_err(|error| Trouble::NoStart(system_words(&error)))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, ask.input) {
            // Who does not want all of it says so by its exit code.
            let _ = stdin.write_all(input.expose()).await;
            let _ = stdin.shutdown().await;
        }
        Ok(())
    };
    let work = async {
        let ((), out, err) = tokio::try_join!(feed, limited(stdout), limited(stderr))?;
        let status = child.wait().await.map_err(|error| Trouble::NoStart(system_words(&error)))?;
        Ok(Said { code: status.code().unwrap_or(NO_CODE), out, err })
    };
    timeout(ask.within, work).await.unwrap_or(Err(Trouble::Timeout))
}

/// Reads to the end, unless that is too far.
async fn limited(stream: Option<impl AsyncRead + Unpin>) -> Result<String, Trouble> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let most = OUTPUT_BYTES as u64 + 1;
        // A stream that breaks ends the answer; the exit code says what that means.
        let _ = stream.take(most).read_to_end(&mut bytes).await;
    }
    if bytes.len() > OUTPUT_BYTES {
        return Err(Trouble::TooLong);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
