//! `enlist man`: man pages, made from the help of each command.

use super::arguments::Cli;
use super::output::Output;
use super::service;
use crate::api::view::Exit;
use crate::api::{OperationError, system_words};
use clap::{Args, CommandFactory};
use clap_mangen::Man;
use std::io;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Folder for the pages of all commands; otherwise the first page is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn run(args: &ManArgs, output: &Output) -> Result<Exit, OperationError> {
    let pages = pages()?;
    match &args.folder {
        None => {
            if let Some((name, page)) = pages.first() {
                output.text(name, &String::from_utf8_lossy(page));
            }
        }
        Some(folder) => {
            for (name, page) in pages {
                let path = folder.join(name);
                service::write(&path, &page)?;
                match output.json {
                    true => output.object(&serde_json::json!({ "file": path })),
                    false => output.line(path.display()),
                }
            }
        }
    }
    Ok(Exit::Done)
}

/// Name and text of every page, the whole program's first.
pub(super) fn pages() -> Result<Vec<(String, Vec<u8>)>, OperationError> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages).map_err(|error| {
        let said = format!("The man pages cannot be made: {}.", system_words(&error));
        OperationError::new(Exit::Failed, said, "Please report this.")
    })?;
    Ok(pages)
}

fn add(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    pages.push((format!("{name}.1"), page));
    command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help" && !inner.is_hide_set())
        .try_for_each(|inner| add(inner, pages))
}
