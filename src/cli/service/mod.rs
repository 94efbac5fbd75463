//! `enlist service`: the files that make the station a service, printed or written. They are
//! part of the program, for who has nothing but the program.

mod manager;

pub(super) use manager::attend;

use super::output::Output;
use super::{completions, man};
use crate::api::view::Exit;
use crate::api::{OperationError, system_words};
use clap::{Subcommand, ValueEnum};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Print one of the files
    Print {
        /// Which one
        #[arg(value_enum)]
        file: Paper,
    },
    /// Write all of them into a folder, with man pages and completions: what packages are made of
    Files {
        /// The folder; it is made
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// A file that makes the station a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Paper {
    /// systemd's unit
    Systemd,
    /// The service's user, for systemd-sysusers
    Sysusers,
    /// The state folder, for systemd-tmpfiles
    Tmpfiles,
    /// udev rules beside usbmuxd
    Udev,
    /// udev rules instead of usbmuxd
    UdevAlone,
    /// launchd's property list, for macOS
    Launchd,
    /// Recipe of a container
    Container,
    /// A configuration to begin with
    Config,
}

impl Paper {
    fn name(self) -> &'static str {
        match self {
            Self::Systemd => "enlist.service",
            Self::Sysusers => "enlist.sysusers",
            Self::Tmpfiles => "enlist.tmpfiles",
            Self::Udev => "70-enlist.rules",
            Self::UdevAlone => "39-usbmuxd.rules",
            Self::Launchd => "io.enlist.station.plist",
            Self::Container => "Containerfile",
            Self::Config => "enlist.toml",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Systemd => include_str!("files/enlist.service"),
            Self::Sysusers => include_str!("files/enlist.sysusers"),
            Self::Tmpfiles => include_str!("files/enlist.tmpfiles"),
            Self::Udev => include_str!("../../../udev/70-enlist.rules"),
            Self::UdevAlone => include_str!("../../../udev/39-usbmuxd.rules"),
            Self::Launchd => include_str!("files/io.enlist.station.plist"),
            Self::Container => include_str!("files/Containerfile"),
            Self::Config => include_str!("files/enlist.toml"),
        }
    }
}

pub(super) fn run(command: &ServiceCommand, output: &Output) -> Result<Exit, OperationError> {
    match command {
        ServiceCommand::Print { file } => output.text(file.name(), file.text()),
        ServiceCommand::Files { folder } => {
            let papers = Paper::value_variants().iter();
            let papers = papers.map(|paper| (paper.name().to_owned(), paper.text().as_bytes().to_vec()));
            let pages = man::pages()?.into_iter().map(|(name, text)| (format!("man/{name}"), text));
            for (name, text) in papers.chain(pages).chain(completions::files()) {
                let path = folder.join(name);
                write(&path, &text)?;
                match output.json {
                    true => output.object(&serde_json::json!({ "file": path })),
                    false => output.line(path.display()),
                }
            }
        }
    }
    Ok(Exit::Done)
}

/// Writes a file that everybody may read, and its folder.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), OperationError> {
    let attempt = || -> io::Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
        file.write_all(text)
    };
    attempt().map_err(|error| {
        let said = format!("Cannot write {}: {}.", path.display(), system_words(&error));
        OperationError::new(Exit::Failed, said, "Give a folder that this user may write to.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_and_the_configuration_agree() {
        let unit = Paper::Systemd.text();
        let config: toml::Table = uncommented(Paper::Config.text()).parse().unwrap();
        assert!(unit.contains("LoadCredential=enlist:/etc/enlist/credentials\n"));
        let token = config["api"]["token_file"].as_str().unwrap();
        assert_eq!(token, "${CREDENTIALS_DIRECTORY}/enlist_token");
    }

    #[test]
    fn every_key_of_the_configuration_to_begin_with_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("enlist.toml");
        for text in [Paper::Config.text().to_owned(), uncommented(Paper::Config.text())] {
            std::fs::write(&path, text).unwrap();
            crate::config::Config::read(&path).unwrap();
        }
    }

    /// As if its reader had taken every proposal.
    fn uncommented(text: &str) -> String {
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(proposal) if !proposal.starts_with(' ') => proposal,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}
