//! `enlist profile lint`: every rule applied to files, worst findings first.

use super::arguments::{Global, LintArgs, LintFormat};
use super::compose;
use super::output::{Output, Tone};
use crate::api::view::{Exit, LintView, RuleView, Sarif};
use crate::api::{DeviceContext, Job, LintContext, OperationError, Purpose, lint_profile, lint_rules};
use crate::clock::Clock;
use crate::config::Environment;

pub(super) fn run(
    args: &LintArgs,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let format = if output.json { LintFormat::Json } else { args.format };
    if let Some(rule) = &args.explain {
        explain(rule, format, output);
        return Ok(Exit::Done);
    }
    let context = context(args)?;
    let config = compose::configuration(global, environment)?;
    let anchors = compose::anchors(&config)?;
    let (mut exit, mut all, mut read) = (Exit::Done, Vec::new(), 0);
    for file in &args.files {
        match lint_profile(file, &anchors, &context) {
            Ok(findings) => {
                read += 1;
                all.extend(findings);
            }
            // One missing file must not hide the others.
            Err(error) => {
                output.error(&error.sentence, error.next.as_deref());
                exit = exit.worst(error.exit);
            }
        }
    }
    if all.iter().any(|finding| finding.severity == "error") {
        exit = exit.worst(Exit::Failed);
    }
    match format {
        LintFormat::Json => all.iter().for_each(|finding| output.object(finding)),
        LintFormat::Sarif => output.object(&Sarif::new(&all, &lint_rules())),
        LintFormat::Text => text(&mut all, read, output),
    }
    Ok(exit)
}

fn context(args: &LintArgs) -> Result<LintContext, OperationError> {
    if args.job == Some(Job::Macos) && args.device_class.is_some() {
        let sentence = "A macOS job has no iPhone or iPad.";
        return Err(OperationError::new(Exit::Usage, sentence, "Leave out --job or --device-class."));
    }
    let known = args.device_class.is_some() || args.os.is_some();
    let class = args.device_class.clone();
    let device = known.then(|| DeviceContext { class, os: args.os, ..DeviceContext::default() });
    Ok(LintContext {
        purpose: if args.helper { Purpose::Any } else { Purpose::Enrollment },
        job: args.job.unwrap_or_default(),
        device,
        exported_at: args.exported_at,
        ..LintContext::new(Some(Clock::System.now()))
    })
}

/// Errors of all files first, then warnings, then the rest; files stay together within.
fn text(all: &mut [LintView], files: usize, output: &Output) {
    let weight =
        |finding: &LintView| ["error", "warning"].iter().position(|s| *s == finding.severity).unwrap_or(2);
    all.sort_by_key(weight);
    for finding in &*all {
        let (tone, word) = match finding.severity {
            "error" => (Tone::Bad, "✖ error"),
            "warning" => (Tone::Person, "▲ warning"),
            _ => (Tone::Quiet, "· info"),
        };
        let place = match finding.path.as_str() {
            "" => finding.file.clone(),
            path => format!("{}: {path}", finding.file),
        };
        let (word, code) = (output.toned(tone, word), output.toned(Tone::Strong, finding.code));
        output.line(format!("{word} {code} {place}: {}", finding.message));
        output.line(format!("  remedy: {}", finding.remedy));
    }
    let count = |severity: &str| all.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, notes) = (count("error"), count("warning"), count("info"));
    let tone = match (errors, warnings) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Person,
        _ => Tone::Bad,
    };
    let summary = format!(
        "{}: {}, {}, {notes} for information",
        many(files, "file"),
        many(errors, "error"),
        many(warnings, "warning")
    );
    output.line(format!("{} {summary}", output.toned(tone, tone.shape())));
}

fn many(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn explain(rule: &RuleView, format: LintFormat, output: &Output) {
    if format == LintFormat::Json {
        return output.object(rule);
    }
    output.line(output.toned(Tone::Strong, format!("{}: {}", rule.code, rule.title)));
    let severities = rule.severities.join(" or ");
    let rows = [
        ("severity", Some(severities.as_str())),
        ("about", Some(rule.explanation)),
        ("device", rule.device),
        ("remedy", Some(rule.remedy)),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            output.line(format!("  {} {value}", output.toned(Tone::Quiet, format!("{name:<9}"))));
        }
    }
}
