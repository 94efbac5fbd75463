//! What is already on the device (1.5, 2.1; L54, L55).

use super::context::{Installed, InstalledMdm};
use super::findings::{Findings, Severity};
use super::hosts::shown_url;
use super::rule::Rule;
use super::subject::Subject;
use crate::wire::profile::rules::MDM;
use crate::wire::property_list::Value;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L54",
        severities: &[Severity::Error],
        title: "update may not change the server",
        explanation: "An installed profile with the same PayloadIdentifier is updated, and an update may not change Topic, ServerURL or CheckInURL. Silent while the installed values are unknown.",
        device: "12012 or 12009",
        remedy: "Remove the installed profile first, or export from the tenant that made it.",
        check: changed_server,
    },
    Rule {
        code: "L55",
        severities: &[Severity::Error],
        title: "another MDM profile is installed",
        explanation: "A device has one MDM profile; another organisation's must be left first (R35). Silent while the device's profiles are unknown.",
        device: "12001",
        remedy: "Leave the other management first (R35, R36).",
        check: |subject, out| {
            if subject.of(MDM).next().is_none() {
                return;
            }
            let enrolled =
                installed(subject).filter(|(profile, _)| Some(&*profile.identifier) != identifier(subject));
            for (profile, _) in enrolled {
                out.error("", "The device already has another MDM profile.").value(&profile.identifier);
            }
        },
    },
];

fn identifier<'a>(subject: &Subject<'a>) -> Option<&'a str> {
    subject.root?.get("PayloadIdentifier")?.as_string()
}

/// The installed profiles that enrolled the device.
fn installed<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (&'a Installed, &'a InstalledMdm)> {
    let device = subject.context.device.as_ref();
    let all = device.map(|device| device.installed.as_slice()).unwrap_or_default().iter();
    all.filter_map(|profile| Some((profile, profile.mdm.as_ref()?)))
}

fn changed_server(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let Some(mdm) = subject.only_mdm() else { return };
    let same = installed(subject).filter(|(profile, _)| Some(&*profile.identifier) == identifier(subject));
    for (_, on_device) in same {
        let server = mdm.text("ServerURL");
        // A missing CheckInURL means ServerURL (2.1), here and there.
        let check_in = mdm.at.get("CheckInURL").map_or(server, Value::as_string);
        let there = on_device.check_in_url.as_ref().or(on_device.server_url.as_ref());
        let pairs = [
            ("Topic", mdm.text("Topic"), on_device.topic.as_ref()),
            ("ServerURL", server, on_device.server_url.as_ref()),
            ("CheckInURL", check_in, there),
        ];
        for (key, here, there) in pairs {
            if let (Some(here), Some(there)) = (here, there)
                && here != there
            {
                let message = format!("{key} differs from that of the installed profile it would update.");
                let shown = if key == "Topic" { here.to_owned() } else { shown_url(here) };
                out.error(mdm.key(key), message).value(&shown);
            }
        }
    }
}
