//! `enlist serve`: where its page and its API are served. A composition root.

use super::arguments::Global;
use super::output::{Output, Tone};
use super::{compose, screen};
use crate::api::client::DEFAULT_ADDRESS;
use crate::api::view::Exit;
use crate::api::{About, OperationError, Running, UnknownAge};
use crate::config::{Config, Environment};
use crate::secret::Secret;
use crate::web::{Options, Server, WebError};
use crate::wire::printable::{printable, sentence, system_words};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// What the server tells of the station and its board does not.
pub(super) fn about(
    simulated: bool,
    profile: String,
    exports: Option<PathBuf>,
    unknown_age: UnknownAge,
    global: &Global,
    environment: &Environment,
) -> About {
    let (global, environment) = (Arc::new(global.clone()), Arc::new(environment.clone()));
    let checks = Arc::new(move || -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
        let (global, environment) = (global.clone(), environment.clone());
        Box::pin(async move { compose::doctor(&global, &environment).await })
    });
    About { simulated, profile: Some(profile), exports, unknown_age, checks }
}

/// How to serve, by flag, environment and file; `None` for not at all.
pub(super) fn options(
    listen: Option<&String>,
    kiosk: bool,
    config: &Config,
    environment: &Environment,
) -> Result<Option<Options>, OperationError> {
    let api = &config.api;
    let asked = listen.or(environment.listen.as_ref()).or(api.listen.as_ref());
    let address = match asked.map(|text| text.trim()) {
        Some("off") => return Ok(None),
        Some(text) => Some(address(text)?),
        None => None,
    };
    let tls = match (&api.tls_cert, &api.tls_key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (None, None) => None,
        _ => {
            let said = "Of [api] tls_cert and tls_key only one is set.";
            return Err(OperationError::new(Exit::Usage, said, "Set both, or none."));
        }
    };
    Ok(Some(Options {
        address: address.unwrap_or(DEFAULT_ADDRESS),
        any_port: address.is_none(),
        token: token(config, environment)?,
        tls,
        hosts: api.hosts.clone(),
        kiosk: kiosk || api.kiosk,
    }))
}

/// An address with a port; `localhost` is the one name that means the same everywhere.
fn address(text: &str) -> Result<SocketAddr, OperationError> {
    let plain = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    plain.as_deref().unwrap_or(text).parse().map_err(|_| {
        let said = format!("'{}' is no address to listen on.", printable(text));
        OperationError::new(
            Exit::Usage,
            said,
            "Give an IP address with a port, such as 127.0.0.1:7417, or off.",
        )
    })
}

fn token(config: &Config, environment: &Environment) -> Result<Option<Secret<String>>, OperationError> {
    if let Some(token) = &environment.api_token {
        return Ok(Some(token.clone()));
    }
    let Some(path) = &config.api.token_file else { return Ok(None) };
    let read = crate::config::read_text(path).map(|text| Secret::new(text.trim().to_owned()));
    read.map(Some).map_err(|error| {
        let said = format!("Cannot read the token {}: {}.", path.display(), system_words(&error));
        OperationError::new(Exit::Usage, said, "Check [api] token_file and its rights.")
    })
}

/// Secrets that everybody on this computer can read are said to be so; their owner may have
/// reasons.
pub(super) fn warn_of_open_secrets(config: &Config) {
    let is_open =
        |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o007 != 0);
    let secrets = [&config.api.token_file, &config.api.tls_key].into_iter().flatten();
    for path in secrets.filter(is_open) {
        tracing::warn!(path = %path.display(), "everybody on this computer can read this secret: chmod o= it");
    }
}

/// Serves until Ctrl-C.
pub(super) async fn start(
    options: Options,
    running: Running,
    quick: &Handle,
) -> Result<Server, OperationError> {
    let started = quick.spawn(Server::start(options, running)).await;
    let server = started
        .map_err(|_| OperationError::new(Exit::Failed, "The page could not be started.", "Report this."))??;
    let stopper = server.stopper();
    let interrupted = screen::interrupted();
    // Screens are told at once; the jobs take their time to end.
    tokio::spawn(async move {
        interrupted.await;
        stopper.stop();
    });
    Ok(server)
}

/// Says where.
pub(super) fn greet(server: &Server, output: &Output) {
    if let Some(taken) = server.instead_of() {
        let said = "is in use by another program, so another port is taken; --listen chooses one";
        output.note(format!("warning: {taken} {said}"));
    }
    match output.json {
        true => output.note(format!("page and API: {}", server.url())),
        false => output.line(format!("page  {}", output.toned(Tone::Strong, server.url()))),
    }
}

impl From<WebError> for OperationError {
    fn from(error: WebError) -> Self {
        Self::new(Exit::Usage, sentence(&error), error.next())
    }
}
