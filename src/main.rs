//! `enlist`: arguments in, exit code out.

use clap::{Parser, Subcommand};
use enlist::cli::sim::{self, SimArgs, SimCliError};
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "enlist", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulate devices on a usbmuxd socket
    #[command(args_conflicts_with_subcommands = true)]
    Sim(Box<SimArgs>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Sim(args) = Cli::parse().command;
    match sim::run(*args).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "enlist sim: {error}");
            ExitCode::from(if matches!(error, SimCliError::Argument(_)) { 2 } else { 1 })
        }
    }
}
