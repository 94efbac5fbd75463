//! `enlist report`: the report of a batch, and whether one was changed.

use super::arguments::{Global, ReportArgs};
use super::compose;
use super::output::{Output, Tone};
use crate::api::view::{Exit, ReportFormat};
use crate::api::{self, OperationError, system_words};
use crate::clock::Clock;
use crate::config::Environment;
use crate::limits::REPORT_BYTES;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
            write(path, &report.text).map_err(|error| {
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

/// Written beside and renamed: whoever reads it meanwhile finds a whole one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let done = written.and_then(|()| std::fs::rename(beside, path));
    if done.is_err() {
        let _ = std::fs::remove_file(beside);
    }
    done
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
