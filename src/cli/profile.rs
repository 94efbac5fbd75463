//! `enlist profile show`: what is in a file, who signed it, and whether it can be pushed.

use super::arguments::Global;
use super::compose;
use super::output::{Output, Tone};
use crate::api::advice::{Platform, portal_path};
use crate::api::view::{Exit, ProfileView, SignatureView};
use crate::api::{OperationError, show_profile};
use crate::clock::Clock;
use crate::config::Environment;
use jiff::Timestamp;
use std::path::PathBuf;

pub(super) fn show(
    files: &[PathBuf],
    exported_at: Option<Timestamp>,
    global: &Global,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, OperationError> {
    let config = compose::configuration(global, environment)?;
    let anchors = compose::anchors(&config)?;
    let journal = compose::journal_in(&compose::state_dir(global, environment, &config)?);
    let mut exit = Exit::Done;
    for file in files {
        match show_profile(file, exported_at, &anchors, &journal, &Clock::System) {
            Ok(profile) if output.json => output.object(&profile),
            Ok(profile) => print(&profile, output),
            // One bad file must not hide the others.
            Err(error) => {
                output.error(&error.sentence, error.next.as_deref());
                exit = exit.worst(error.exit);
            }
        }
    }
    Ok(exit)
}

/// Everything but whether it can be pushed.
pub(super) fn print_facts(profile: &ProfileView, output: &Output) {
    output.line(output.toned(Tone::Strong, &profile.file));
    let rows = [
        ("name", profile.name.clone()),
        ("organisation", profile.organization.clone()),
        ("identifier", Some(profile.identifier.clone())),
        ("UUID", Some(profile.uuid.clone())),
        ("identity by", profile.identity.map(str::to_uppercase)),
        ("MDM server", profile.server.clone()),
        ("push topic", profile.topic.clone()),
        ("SHA-256", Some(profile.sha256.clone()).filter(|digest| !digest.is_empty())),
        ("signature", Some(signature(&profile.signature))),
        ("signer", profile.signature.signer_sha256.as_ref().map(|_| signer(&profile.signature))),
        ("age", profile.age.as_ref().map(|age| age.countdown.clone())),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            output.line(format!("  {} {value}", output.toned(Tone::Quiet, format!("{name:<13}"))));
        }
    }
    for payload in &profile.payloads {
        let label = output.toned(Tone::Quiet, format!("{:<13}", "payload"));
        output.line(format!("  {label} {}  {}", payload.kind, payload.identifier));
        for setting in &payload.settings {
            output.line(format!("  {:<13}   {setting}", ""));
        }
    }
    for warning in &profile.warnings {
        let code = warning.code.map(|c| format!("{c} ")).unwrap_or_default();
        output.line(format!("  {} {code}{}", output.toned(Tone::Person, "▲ warning"), warning.message));
    }
}

fn print(profile: &ProfileView, output: &Output) {
    print_facts(profile, output);
    for refusal in &profile.refusals {
        let code = refusal.code.map(|c| format!("{c} ")).unwrap_or_default();
        let head = output.toned(Tone::Bad, "✖ cannot enroll:");
        output.line(format!("  {head} {code}{}", refusal.message));
        output.line(format!("    {}", refusal.remedy.unwrap_or_default()));
    }
    if profile.age.as_ref().is_some_and(|age| age.standing == "stale") {
        let head = output.toned(Tone::Bad, "✖ too old:");
        output.line(format!("  {head} it is refused without --allow-stale REASON (R16, L46)"));
        output.line(format!("    Export it again: {} (R18).", portal_path(Platform::Iphone)));
    } else if profile.refusals.is_empty() {
        output.line(format!("  {} can be pushed as an enrollment", output.toned(Tone::Good, "✔")));
        if !profile.age.as_ref().is_some_and(|age| age.sure) {
            let head = output.toned(Tone::Person, "▲ age unknown:");
            output.line(format!(
                "  {head} it waits until the day of export is stated, --exported-at DATE (L46)"
            ));
        }
    }
}

/// The signer's certificate, each question by itself.
fn signer(signature: &SignatureView) -> String {
    let (from, until) = (signature.not_before.as_deref(), signature.not_after.as_deref());
    let dates = format!("valid {} to {}", from.unwrap_or("?"), until.unwrap_or("?"));
    let in_time = match signature.in_time {
        Some(true) => "",
        _ => ", which is not now",
    };
    let purposes = match signature.purposes.as_slice() {
        [] => "nothing known".to_owned(),
        purposes => purposes.join(", "),
    };
    let accepted = match signature.accepted {
        None => "",
        Some(true) => "; it is the accepted one",
        Some(false) => "; it is not the accepted one",
    };
    let issuer = signature.issuer.as_deref().unwrap_or("unknown");
    let digest = signature.signer_sha256.as_deref().unwrap_or("unknown");
    format!("issued by {issuer}, {dates}{in_time}; made for {purposes}{accepted}; SHA-256 {digest}")
}

fn signature(signature: &SignatureView) -> String {
    if !signature.signed {
        return "none; the device will say \"Not Signed\"".into();
    }
    let signer =
        signature.signer.clone().filter(|s| !s.is_empty()).unwrap_or_else(|| "an unknown signer".into());
    let intact = match &signature.broken {
        None => "intact".to_owned(),
        Some(reason) => format!("broken ({reason})"),
    };
    let chain = match &signature.problem {
        None => "its chain is trusted here".to_owned(),
        Some(problem) => {
            format!("its chain is not trusted here ({problem}); the device may say \"Not Verified\"")
        }
    };
    let when = signature.signed_at.map(|at| format!(", signed {at}")).unwrap_or_default();
    format!("by {signer}{when}: {intact}, {chain}")
}
