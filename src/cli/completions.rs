//! `enlist completions`: what shells need to complete commands and options.

use super::arguments::Cli;
use super::output::Output;
use crate::api::OperationError;
use crate::api::view::Exit;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, output: &Output) -> Result<Exit, OperationError> {
    output.text(&args.shell.to_string(), &String::from_utf8_lossy(&script(args.shell)));
    Ok(Exit::Done)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "enlist", &mut text);
    text
}

/// The scripts of Debian's shells, by the names under which these look for them.
pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    [(Shell::Bash, "enlist"), (Shell::Zsh, "_enlist"), (Shell::Fish, "enlist.fish")]
        .map(|(shell, name)| (format!("completions/{shell}/{name}"), script(shell)))
        .to_vec()
}
