//! `enlist watch`: a running station on this terminal, here or on another computer, over its
//! API. A board on a terminal; lines or JSON into a pipe.
//!
//! [`app`] is what is shown, [`draw`] how it looks, [`board`] the loop between station, keys
//! and screen.

mod app;
mod board;
mod draw;
mod lines;
mod places;
mod terminal;
#[cfg(test)]
mod tests;

use super::arguments::Global;
use super::compose;
use super::output::Output;
use crate::api::client::{BadTarget, Client, DEFAULT_ADDRESS, Follower, Target};
use crate::api::view::Exit;
use crate::api::{OperationError, sentence, system_words};
use crate::config::{Config, Environment, read_text};
use crate::secret::Secret;
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct WatchArgs {
    /// Address of the station, such as https://bench.example:7417 [default: the one of this computer]
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// File with the station's token [env: ENLIST_API_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the station's certificate, or the one that signed it; nothing else is trusted then
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// A line for each change instead of the board
    #[arg(long)]
    lines: bool,
}

const HELP: &str = "\
Needs a terminal of 80 x 24 characters; into a pipe it writes a line for each change, and with
--json one object for each event. Keys:
  1, 2, 3       bays, batch, history
  arrows        choose; Enter opens the job, Esc goes back
  n             next bay that needs a hand
  f             show only bays that need a hand, work, are done, failed, are empty
  /             search the history
  ?             help
  q, Ctrl-C     end; the station goes on";

pub(super) async fn run(
    args: &WatchArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let client = client(args, &config, environment)?;
    let follower = Follower::start(client.clone()).await?;
    if output.json || args.lines || !output.terminal || environment.dumb_terminal {
        return lines::run(follower, output).await;
    }
    board::run(client, follower, !environment.no_color).await
}

/// Whom to ask and how: by arguments; without an address by what this computer's station is
/// configured to.
fn client(args: &WatchArgs, config: &Config, environment: &Environment) -> Result<Client, OperationError> {
    let (target, own) = match &args.url {
        Some(url) => (Target::parse(url)?, None),
        None => (here(config, environment)?, Some(&config.api)),
    };
    // The token of this computer's station is shown to no other.
    let file = args.token_file.as_ref();
    let token = match (file, &environment.api_token) {
        (Some(file), _) => Some(secret(file)?),
        (None, Some(token)) => Some(token.clone()),
        (None, None) => own.and_then(|api| api.token_file.as_deref()).map(secret).transpose()?,
    };
    let certificate = args.certificate.as_ref().or(own.and_then(|api| api.tls_cert.as_ref()));
    let certificate = certificate.filter(|_| target.is_tls()).map(|path| text(path, "certificate"));
    let certificate = certificate.transpose()?;
    Ok(Client::new(target, token.as_ref(), certificate.as_deref().map(str::as_bytes))?)
}

/// Where this computer's station listens.
fn here(config: &Config, environment: &Environment) -> Result<Target, OperationError> {
    let asked = environment.listen.as_ref().or(config.api.listen.as_ref());
    let asked = asked.map(|text| text.trim()).filter(|text| *text != "off");
    let address = match asked {
        None => DEFAULT_ADDRESS,
        Some(text) => {
            let plain = text.replacen("localhost:", "127.0.0.1:", 1);
            let bad = |_| BadTarget::Address { text: text.to_owned() };
            plain.parse::<SocketAddr>().map_err(bad)?
        }
    };
    Ok(Target::of_address(address, config.api.tls_cert.is_some()))
}

fn secret(path: &Path) -> Result<Secret<String>, OperationError> {
    text(path, "token").map(|text| Secret::new(text.trim().to_owned()))
}

fn text(path: &Path, what: &str) -> Result<String, OperationError> {
    read_text(path).map_err(|error| {
        let said = format!("Cannot read the {what} {}: {}.", path.display(), system_words(&error));
        OperationError::new(Exit::Usage, said, "Check the path and its rights.")
    })
}

impl From<BadTarget> for OperationError {
    fn from(error: BadTarget) -> Self {
        Self::new(Exit::Usage, sentence(&error), error.next())
    }
}
