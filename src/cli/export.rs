//! `enlist export`: lists of devices for Intune, and a check of such lists.

use super::arguments::{Global, moment};
use super::compose;
use super::output::{Output, Tone};
use crate::api::OperationError;
use crate::api::export::{
    CsvKind, Export, ExportOrder, IdentifierType, Identity, ImeiDigits, check_csv, export, journalled, save,
};
use crate::api::view::Exit;
use crate::config::Environment;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum ExportCommand {
    /// Write serial numbers for Intune's Apple Configurator import
    IntuneSerials(ListArgs),
    /// Write corporate device identifiers for Intune
    CorporateIdentifiers(CorporateArgs),
    /// Check such a file before it is uploaded
    Check(CheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ListArgs {
    /// Devices attached now, instead of those in the journal
    #[arg(long)]
    attached: bool,
    /// Only devices with a job since then, such as 2026-03-01
    #[arg(long, value_name = "DATE", value_parser = moment, conflicts_with = "attached")]
    since: Option<Timestamp>,
    /// Details of every row; commas and quotes are replaced
    #[arg(long, value_name = "TEXT", default_value = "")]
    details: String,
    /// File to write; FILE-1, FILE-2 and so on if there are too many rows for one
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// List simulated devices too
    #[arg(long)]
    include_simulated: bool,
}

#[derive(Debug, Args)]
pub(super) struct CorporateArgs {
    #[command(flatten)]
    list: ListArgs,
    /// What identifies a device; a file has one type
    #[arg(long = "type", value_name = "serial|imei", default_value = "serial", value_enum)]
    of: Type,
    /// Digits of an IMEI that are written
    #[arg(long, value_name = "14|15", default_value = "15", value_enum)]
    imei_digits: Digits,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Type {
    Serial,
    Imei,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Digits {
    #[value(name = "14")]
    Fourteen,
    #[value(name = "15")]
    Fifteen,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 clean or warnings only, 1 with errors, 2 usage or unreadable file.")]
pub(super) struct CheckArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is for
    #[arg(
        long = "for",
        value_name = "corporate-identifiers|intune-serials",
        default_value = "corporate-identifiers",
        value_enum
    )]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    CorporateIdentifiers,
    IntuneSerials,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 a device could not be listed, 2 usage, 4 no device.";

pub(super) async fn run(
    command: &ExportCommand,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (args, kind, of) = match command {
        ExportCommand::Check(args) => return check(args, output),
        ExportCommand::IntuneSerials(args) => (args, CsvKind::ConfiguratorSerials, IdentifierType::Serial),
        ExportCommand::CorporateIdentifiers(args) => {
            let of = match (args.of, args.imei_digits) {
                (Type::Serial, _) => IdentifierType::Serial,
                (Type::Imei, Digits::Fourteen) => IdentifierType::Imei(ImeiDigits::Fourteen),
                (Type::Imei, Digits::Fifteen) => IdentifierType::Imei(ImeiDigits::Fifteen),
            };
            (&args.list, CsvKind::CorporateIdentifiers, of)
        }
    };
    let identities = identities(args, global, environment).await?;
    let include_simulated = args.include_simulated;
    let order = ExportOrder { kind, of, details: args.details.clone(), include_simulated };
    let made = export(&identities, &order)?;
    let written = write(&made, args, output);
    notes(&made, output);
    written
}

async fn identities(
    args: &ListArgs,
    global: &Global,
    environment: &Environment,
) -> Result<Vec<Identity>, OperationError> {
    if args.attached {
        return compose::operations(global, environment).await?.identities().await;
    }
    let config = compose::configuration(global, environment)?;
    journalled(&compose::journal_in(&compose::state_dir(global, environment, &config)?), args.since)
}

fn write(made: &Export, args: &ListArgs, output: &Output) -> Result<Exit, OperationError> {
    if made.files.is_empty() {
        let next = match args.attached {
            true => "Plug devices in and pair them; see `enlist devices`.",
            false => "Give --attached for devices that were never enrolled here; see `enlist history`.",
        };
        return Err(OperationError::new(Exit::NoDevice, "There is no device to list.", next));
    }
    match &args.output {
        Some(path) => {
            for saved in save(made, path)? {
                match output.json {
                    true => output.object(&saved),
                    false => output.line(format!("{}: {} devices", saved.file, saved.rows)),
                }
            }
        }
        None => match made.files.as_slice() {
            [only] if output.json => {
                output.object(&json!({ "file": null, "rows": made.rows.first(), "content": only }));
            }
            [only] => output.raw(only),
            several => {
                let said = format!("The list needs {} files.", several.len());
                return Err(OperationError::new(Exit::Usage, said, "Name them with -o FILE."));
            }
        },
    }
    Ok(if made.left_out.is_empty() { Exit::Done } else { Exit::Failed })
}

/// What is not in the files, on standard error; as JSON beside the files.
fn notes(made: &Export, output: &Output) {
    for left_out in &made.left_out {
        match output.json {
            true => output.object(&json!({ "left_out": left_out.udid, "reason": left_out.reason })),
            false => output.note(format!("left out {}: {}", left_out.udid, left_out.reason)),
        }
    }
    for udid in &made.two_imeis {
        output.note(format!("{udid} has two IMEIs and Intune records one: list its serial number (R190)."));
    }
    if made.simulated > 0 {
        let n = made.simulated;
        output.note(format!("{n} simulated left out; --include-simulated lists them."));
    }
}

fn check(args: &CheckArgs, output: &Output) -> Result<Exit, OperationError> {
    let kind = match args.kind {
        Kind::CorporateIdentifiers => CsvKind::CorporateIdentifiers,
        Kind::IntuneSerials => CsvKind::ConfiguratorSerials,
    };
    let found = check_csv(&args.file, kind)?;
    for finding in &found {
        if output.json {
            output.object(finding);
            continue;
        }
        let (tone, word) = match finding.severity {
            "error" => (Tone::Bad, "✖ error"),
            _ => (Tone::Person, "▲ warning"),
        };
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        let word = output.toned(tone, word);
        output.line(format!("{word} {}{line}: {} {}", finding.file, finding.message, finding.remedy));
    }
    let errors = found.iter().filter(|f| f.severity == "error").count();
    if !output.json {
        let tone = if errors > 0 { Tone::Bad } else { Tone::Good };
        let warnings = found.len() - errors;
        let words = format!("{} errors: {errors}, warnings: {warnings}", tone.shape());
        output.line(output.toned(tone, words));
    }
    Ok(if errors > 0 { Exit::Failed } else { Exit::Done })
}
