//! For which device the profile is made (1.3, 2.6; L33, L37, L38, L51).

use super::context::Job;
use super::findings::{Findings, Severity};
use super::rule::Rule;
use super::subject::{Subject, short};
use crate::wire::profile::Purpose;
use crate::wire::profile::rules::{self, MDM};
use crate::wire::property_list::Value;

const FOR_PHONES: &str = "Export the profile for iPhone and iPad.";
const FOR_MACS: &str =
    "Carry it to the Mac and open it there (R75), or export the profile for iPhone and iPad.";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L33",
        severities: &[Severity::Error, Severity::Information],
        title: "payload for supervised devices only",
        explanation: "A global proxy, a removal password, lock-screen texts and skipped setup panes need supervision on iPhone and iPad (2.6, 2.7). Information only while it is unknown whether the device is supervised.",
        device: "4025",
        remedy: "Supervise the device first, or leave this payload to a policy.",
        check: supervised_only,
    },
    Rule {
        code: "L37",
        severities: &[Severity::Error, Severity::Warning],
        title: "made for another class of device",
        explanation: "TargetDeviceType names another class than the job's: 1 is iPhone and iPad, 5 is Mac. While the job is unknown, a profile for Macs draws a warning.",
        device: "asks which device is meant, or refuses; malformed from 8 on",
        remedy: FOR_PHONES,
        check: other_class,
    },
    Rule {
        code: "L38",
        severities: &[Severity::Error, Severity::Warning],
        title: "made for Macs",
        explanation: "TargetDeviceType 5, or PayloadScope User with MDM, is for Macs and not for an iOS job. PayloadScope alone is ignored by iPhone and iPad and draws a warning, as everything does while the job is unknown.",
        device: "",
        remedy: FOR_MACS,
        check: mac_only,
    },
    Rule {
        code: "L51",
        severities: &[Severity::Warning],
        title: "removal lock is ignored",
        explanation: "PayloadRemovalDisallowed works on supervised iPhones and iPads only. Silent while it is unknown whether the device is supervised.",
        device: "ignores the key: the person can remove the profile",
        remedy: "Supervise the device, or live with it.",
        check: |subject, out| {
            let Some(root) = subject.profile() else { return };
            let locked = root.get("PayloadRemovalDisallowed").and_then(Value::as_boolean) == Some(true);
            let unsupervised = subject.context.supervised() == Some(false);
            if locked && unsupervised && subject.context.platform() != Job::Macos {
                let message = "PayloadRemovalDisallowed is ignored: the device is not supervised.";
                out.warn("PayloadRemovalDisallowed", message);
            }
        },
    },
];

/// Supervised only on iOS (2.6, and "Others" of 2.7).
fn needs_supervision(kind: &str) -> bool {
    matches!(
        kind,
        "com.apple.proxy.http.global"
            | "com.apple.profileRemovalPassword"
            | "com.apple.shareddeviceconfiguration"
            | "com.apple.SetupAssistant.managed"
    )
}

fn supervised_only(subject: &Subject<'_>, out: &mut Findings<'_>) {
    if subject.context.platform() == Job::Macos {
        return;
    }
    for payload in subject.payloads.iter().filter(|payload| needs_supervision(payload.kind())) {
        let (path, name) = (payload.key("PayloadType"), short(payload.kind()));
        match subject.context.supervised() {
            Some(true) => {}
            Some(false) => {
                out.error(path, format!("The {name} payload needs supervision, which this device lacks."));
            }
            None => drop(out.info(path, format!("The {name} payload works on supervised devices only."))),
        }
    }
}

fn target(subject: &Subject<'_>) -> Option<i64> {
    subject.profile()?.get("TargetDeviceType")?.as_signed_integer()
}

fn other_class(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let Some(target) = target(subject).filter(|target| *target != 0) else { return };
    let fits = match subject.context.platform() {
        Job::Ios => target == 1,
        Job::Macos => target == 5,
        Job::Unknown => target == 1,
    };
    if fits {
        return;
    }
    let message =
        format!("The profile is made for another class of device: {}.", rules::device_class(target));
    let finding = match (subject.context.platform(), target) {
        (Job::Unknown, 5) => out.warn("TargetDeviceType", message),
        (Job::Macos, _) => out.error("TargetDeviceType", message).remedy("Export the profile for Macs."),
        _ => out.error("TargetDeviceType", message),
    };
    finding.value(&target.to_string());
}

fn mac_only(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let platform = subject.context.platform();
    let Some(root) = subject.profile().filter(|_| platform != Job::Macos) else { return };
    if target(subject) == Some(5) {
        let message = "The profile is made for Macs (TargetDeviceType 5).";
        match platform {
            Job::Ios => out.error("TargetDeviceType", message),
            _ => out.warn("TargetDeviceType", message),
        };
    }
    let enrolls = subject.context.purpose == Purpose::Enrollment || subject.of(MDM).next().is_some();
    match root.get("PayloadScope").and_then(Value::as_string) {
        Some("User") if enrolls && platform == Job::Ios => {
            out.error("PayloadScope", "The profile is made for Macs (PayloadScope User).").value("User");
        }
        Some(scope) => {
            let message = "PayloadScope is for Macs; iPhone and iPad ignore it.";
            out.warn("PayloadScope", message).value(scope);
        }
        None => {}
    }
}
