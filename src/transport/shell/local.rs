//! Scripts on this computer: for a Mac that enrolls itself.

use super::process::{self, Trouble};
use super::{Ask, Runner, Said, ShellError};
use async_trait::async_trait;
use tokio::process::Command;

/// What runs scripts here.
const SHELL: &str = "/bin/sh";

/// This computer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

#[async_trait]
impl Runner for Local {
    fn place(&self) -> String {
        "this Mac".to_owned()
    }

    async fn run(&self, ask: &Ask<'_>) -> Result<Said, ShellError> {
        let mut command = Command::new(SHELL);
        command.arg("-c").arg(ask.script);
        process::run(command, ask).await.map_err(|trouble| match trouble {
            Trouble::NoStart(reason) => ShellError::NoProgram { program: SHELL.to_owned(), reason },
            Trouble::Timeout => ShellError::Timeout { what: ask.what, after: ask.within },
            Trouble::TooLong => ShellError::TooLong { what: ask.what },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::OUTPUT_BYTES;
    use super::*;
    use crate::secret::Secret;
    use std::time::Duration;

    async fn run(script: &str, input: Option<&Secret<Vec<u8>>>) -> Result<Said, ShellError> {
        Local.run(&Ask { what: "a test", script, input, within: Duration::from_secs(20) }).await
    }

    #[tokio::test]
    async fn a_script_is_fed_heard_and_judged() {
        let input = Secret::new(vec![b'x'; 200_000]);
        let said = run("wc -c; echo no >&2; exit 3", Some(&input)).await.unwrap();
        assert_eq!((said.code, said.out.trim(), said.err.trim()), (3, "200000", "no"));
        assert_eq!(run("true", Some(&input)).await.unwrap().code, 0, "who does not read is no trouble");
        assert_eq!(run("cat; kill -9 $$", None).await.unwrap().code, -1);
    }

    #[tokio::test]
    async fn who_prints_without_end_or_never_ends_is_stopped() {
        assert_eq!(run("yes", None).await, Err(ShellError::TooLong { what: "a test" }));
        assert_eq!(run("yes >&2", None).await, Err(ShellError::TooLong { what: "a test" }));
        let just = format!("head -c {OUTPUT_BYTES} /dev/zero");
        assert_eq!(run(&just, None).await.unwrap().out.len(), OUTPUT_BYTES);
        let slow = Ask { what: "a test", script: "sleep 60", input: None, within: Duration::from_millis(50) };
        assert!(matches!(Local.run(&slow).await, Err(ShellError::Timeout { .. })));
    }
}
