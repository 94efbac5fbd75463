//! `enlist report`: the report of a batch, and whether one was changed.

use super::arguments::{Global, ReportArgs};
use super::compose;
use super::output::{Output, Tone};
use crate::api::view::{Exit, ReportFormat};
use crate::api::{self, OperationError, system_words};
use crate::clock::Clock;
use crate::config::Environment;
use crate::limits::REPORT_BYTES;
use crate::whole_file;
use std::io::{self, Read};
use std::path::Path;

/// A report names devices and people: for its owner and their group.
const MODE: u32 = 0o640;

pub(super) fn run(
    args: &ReportArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let journal = compose::journal_in(&compose::state_dir(global, environment, &config)?);
    if let Some(file) = &args.verify {
        return verify(file, &journal, output);
    }
    let by_name = args.output.as_ref().and_then(|path| ReportFormat::named(path.extension()?.to_str()?));
    let usual = if output.json { ReportFormat::Json } else { ReportFormat::Csv };
    let format = args.format.or(by_name).unwrap_or(usual);
    let report = api::report(&journal, args.batch.id, format, &Clock::System)?;
    match &args.output {
        None => output.raw(&report.text),
        Some(path) => {
            whole_file::write_to(path, MODE, report.text.as_bytes()).map_err(|error| {
                let said = format!("Cannot write the report {}: {}.", path.display(), system_words(&error));
                OperationError::new(
                    Exit::Failed,
                    said,
                    "Check the folder, its rights, and the space on its disk.",
                )
            })?;
            output.note(format!("{} written; its last hash is {}", path.display(), report.head));
        }
    }
    Ok(Exit::Done)
}

fn verify(file: &Path, journal: &Path, output: &Output) -> Result<Exit, OperationError> {
    let failed = |error: io::Error| {
        let said = format!("Cannot read the report {}: {}.", file.display(), system_words(&error));
        OperationError::new(Exit::Usage, said, "Check the path and its rights.")
    };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(REPORT_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let found = api::verify_report(&file.display().to_string(), &bytes, Some(journal))?;
    if output.json {
        output.object(&found);
    } else {
        let tone = if found.valid { Tone::Good } else { Tone::Bad };
        output.line(format!("{} {}  {}", output.toned(tone, tone.shape()), found.file, found.sentence));
        for finding in &found.findings {
            output.line(format!("  {}: {}", finding.what, finding.message));
        }
    }
    Ok(if found.valid { Exit::Done } else { Exit::Failed })
}
