//! `enlist mac kit`: files to carry to Macs.

use super::KitArgs;
use super::batch;
use super::card::{self, Card, CardFile};
use crate::api::macs::{self, KitFile, KitView, MacOperations};
use crate::api::view::Exit;
use crate::api::{OperationError, OsVersion};
use crate::cli::arguments::Global;
use crate::cli::output::{Output, Tone};
use crate::config::Environment;
use std::path::PathBuf;

/// The folder on a stick.
const STICK_FOLDER: &str = "enlist-macs";

pub(super) fn run(
    args: &KitArgs,
    operations: &MacOperations,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (folder, given) = place(args)?;
    let exports = super::exports(given, &args.exports, operations, global, environment, output)?;
    let mut files = Vec::new();
    let mut told = Vec::new();
    let chosen = match args.macos {
        Some(os) => Some(exports.choose(os).ok_or_else(|| none_fits(os))?),
        None => None,
    };
    // Both are in the kit: whoever carries it must know which is for whom.
    let acme_first = exports.all().len() > 1 && exports.all()[0].profile.min_os("Mac").is_some();
    for export in exports.all() {
        let profile = &export.profile;
        if chosen.as_ref().is_some_and(|chosen| chosen.file_sha256() != profile.file_sha256()) {
            continue;
        }
        let kind = profile.identity().map_or("profile", |kind| kind.name());
        let file =
            KitFile { name: format!("enrollment-{kind}.mobileconfig"), bytes: profile.bytes().clone() };
        told.push(CardFile {
            name: file.name.clone(),
            kind: kind.to_uppercase(),
            sha256: macs::sha256_of(&file),
            for_macs: for_macs(profile.min_os("Mac").is_some(), acme_first && chosen.is_none()),
            use_until: export
                .age
                .as_ref()
                .map(|age| format!("{} (by the {})", age.ends.strftime("%Y-%m-%d"), age.told_by)),
        });
        files.push(file);
    }
    let about = chosen.unwrap_or_else(|| exports.all()[0].profile.clone());
    let card = Card {
        name: about.display_name().unwrap_or(about.identifier()).to_owned(),
        organization: about.organization().map(str::to_owned),
        identifier: about.identifier().to_owned(),
        server: about.server_host().unwrap_or_default().to_owned(),
        files: told,
        macos: args.macos,
    };
    let html = |name: &str, text: String| KitFile { name: name.into(), bytes: text.into_bytes().into() };
    files.push(html("card.html", card::card(&card)));
    if let Some(list) = &args.macs {
        files.push(html("macs.html", card::sheet(&card, &batch::read(list)?)));
    }
    let written = macs::write_kit(&folder, args.device.as_deref(), &files, args.force)?;
    report(&written, args, output);
    Ok(Exit::Done)
}

/// The folder to write to, and the files given.
fn place(args: &KitArgs) -> Result<(PathBuf, &[PathBuf]), OperationError> {
    match (&args.device, args.paths.split_first()) {
        (Some(stick), _) => Ok((stick.join(STICK_FOLDER), &args.paths)),
        (None, Some((folder, _))) if folder.is_file() => {
            let said = format!("{} is a file; the folder to write to comes first.", folder.display());
            Err(OperationError::new(Exit::Usage, said, "Write: enlist mac kit DIR FILE..."))
        }
        (None, Some((folder, files))) => Ok((folder.clone(), files)),
        (None, None) => {
            let next = "Write: enlist mac kit DIR FILE..., or --device STICK.";
            Err(OperationError::new(Exit::Usage, "There is no folder to write to.", next))
        }
    }
}

fn none_fits(os: OsVersion) -> OperationError {
    let said = format!("No profile given fits macOS {os}: ACME needs macOS 13.1.");
    OperationError::new(Exit::Refused, said, "Give the SCEP export of the profile too.")
}

fn for_macs(acme: bool, acme_first: bool) -> &'static str {
    match (acme, acme_first) {
        (true, _) => "macOS 13.1 and newer",
        (false, true) => "macOS 13.0 and older",
        (false, false) => "every macOS",
    }
}

fn report(written: &[KitView], args: &KitArgs, output: &Output) {
    for file in written {
        if output.json {
            output.object(file);
        } else {
            let action = output.toned(Tone::Good, format!("{:<9}", file.action));
            output.line(format!("{action} {}", file.file));
            if file.file.ends_with(".mobileconfig") {
                output.line(format!("          SHA-256 {}", file.sha256));
            }
        }
    }
    if written.iter().any(|file| !file.private) {
        output.note("warning: this file system knows no permissions; whoever holds it can read the profile, which is a secret.");
    } else if !output.json {
        output.line("The profile is a secret; only you can read it. Print card.html and take it along.");
    }
    if args.device.is_some() && !output.json {
        output.line("Unmount the stick before you pull it.");
    }
}
