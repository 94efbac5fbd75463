//! The MDM payload (2.1; L11 to L23, L39, L53).

use super::findings::{Findings, Severity};
use super::hosts::{domain, host, shown_url};
use super::rule::Rule;
use super::subject::{Form, Payload, Subject, texts};
use crate::wire::printable::printable;
use crate::wire::profile::Purpose;
use crate::wire::profile::lint::context::Job;
use crate::wire::profile::refusal::Refusal;
use crate::wire::profile::rules::{self, MDM};
use crate::wire::property_list::{Dictionary, Value};

const EXPORT_AGAIN: &str = "Export the direct-enrollment profile again (R18).";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L11",
        severities: &[Severity::Error],
        title: "no MDM payload",
        explanation: "A file for an enrollment must hold a com.apple.mdm payload. Without one it may still be a helper, such as Wi-Fi before the enrollment (R42).",
        device: "installs it and enrolls nothing",
        remedy: "Take the direct-enrollment export; use this file as a helper only.",
        check: |subject, out| {
            let enrollment = subject.context.purpose == Purpose::Enrollment;
            if enrollment && has_content(subject) && subject.of(MDM).next().is_none() {
                out.error(
                    "PayloadContent",
                    "The profile has no MDM payload: it would install and enroll nothing.",
                );
            }
        },
    },
    Rule {
        code: "L12",
        severities: &[Severity::Error],
        title: "more than one MDM payload",
        explanation: "A device takes one com.apple.mdm payload.",
        device: "12001 or 1000 (unconfirmed)",
        remedy: EXPORT_AGAIN,
        check: |subject, out| {
            let count = subject.of(MDM).count();
            if let Some(second) = subject.of(MDM).nth(1) {
                out.error(
                    second.path(),
                    format!("The profile has {count} MDM payloads; a device takes one."),
                );
            }
        },
    },
    Rule {
        code: "L13",
        severities: &[Severity::Error],
        title: "MDM identity is not in the file",
        explanation: "IdentityCertificateUUID must be the PayloadUUID of an identity payload in the same profile.",
        device: "12005 or 12016",
        remedy: EXPORT_AGAIN,
        check: |subject, out| {
            identity(subject, out, |refusal| match refusal {
                Refusal::IdentityMissing => {
                    Some("IdentityCertificateUUID is missing or names no payload of the file.".to_owned())
                }
                _ => None,
            })
        },
    },
    Rule {
        code: "L14",
        severities: &[Severity::Error],
        title: "MDM identity is no identity",
        explanation: "IdentityCertificateUUID must name a pkcs12, scep or acme payload.",
        device: "9006",
        remedy: EXPORT_AGAIN,
        check: |subject, out| {
            identity(subject, out, |refusal| match refusal {
                Refusal::NotAnIdentity { found } => Some(format!(
                    "IdentityCertificateUUID names a payload of type {found}, which is no identity."
                )),
                _ => None,
            })
        },
    },
    Rule {
        code: "L15",
        severities: &[Severity::Error],
        title: "server address is not https",
        explanation: "ServerURL, and CheckInURL where it is given, must be https addresses with a host and without a user name.",
        device: "12034 or 12030",
        remedy: EXPORT_AGAIN,
        check: |subject, out| {
            for mdm in subject.direct_mdm() {
                for key in ["ServerURL", "CheckInURL"] {
                    let value = mdm.at.get(key);
                    let absent = key == "CheckInURL" && value.is_none();
                    if !absent && !rules::is_server(value) {
                        let message = format!("{key} is not an https address of a server.");
                        let finding = out.error(mdm.key(key), message);
                        if let Some(url) = value.and_then(Value::as_string) {
                            finding.value(&shown_url(url));
                        }
                    }
                }
            }
        },
    },
    Rule {
        code: "L16",
        severities: &[Severity::Error],
        title: "no push topic",
        explanation: "Topic must begin with com.apple.mgmt. and be that of the server's push certificate.",
        device: "12022",
        remedy: "Renew the push certificate in the portal, and export the profile again (R18).",
        check: |subject, out| {
            for mdm in subject.direct_mdm().filter(|mdm| !rules::is_push_topic(mdm.at.get("Topic"))) {
                let finding =
                    out.error(mdm.key("Topic"), "Topic is missing or does not begin with com.apple.mgmt.");
                if let Some(topic) = mdm.text("Topic") {
                    finding.value(topic);
                }
            }
        },
    },
    Rule {
        code: "L17",
        severities: &[Severity::Error, Severity::Warning],
        title: "impossible access rights",
        explanation: "AccessRights is a sum of bits up to 8191; 0 is invalid, 2 needs 1, and 128 needs 64. Older systems need the key.",
        device: "12000",
        remedy: "Have the server ask for all rights (8191).",
        check: access_rights,
    },
    Rule {
        code: "L18",
        severities: &[Severity::Error],
        title: "account-driven enrollment",
        explanation: "EnrollmentMode, ManagedAppleID and AssignedManagedAppleID belong to enrollments that a person starts on the device by signing in (R168); profile-driven user enrollment is gone since iOS 18 and macOS 15.",
        device: "unconfirmed; older systems start a user enrollment",
        remedy: "Let the person sign in on the device (R168), or export a direct-enrollment profile.",
        check: |subject, out| {
            for mdm in subject.mdm() {
                if let Some(key) = rules::account_key(mdm.at) {
                    let message = "This is an account-driven enrollment file: it starts on the device with a sign-in, never by USB.";
                    out.error(mdm.key(key), message);
                }
            }
        },
    },
    Rule {
        code: "L19",
        severities: &[Severity::Warning],
        title: "required app is ignored",
        explanation: "RequiredAppIDForMDM works in account-driven enrollment only.",
        device: "ignores the key",
        remedy: "Assign the app in the portal instead.",
        check: |subject, out| {
            for mdm in subject.direct_mdm().filter(|mdm| mdm.at.contains_key("RequiredAppIDForMDM")) {
                out.warn(
                    mdm.key("RequiredAppIDForMDM"),
                    "RequiredAppIDForMDM is ignored in a direct enrollment.",
                );
            }
        },
    },
    Rule {
        code: "L20",
        severities: &[Severity::Error],
        title: "pinned certificate is not in the file",
        explanation: "Each UUID of ServerURLPinningCertificateUUIDs and CheckInURLPinningCertificateUUIDs must be that of a certificate payload in the profile.",
        device: "12005",
        remedy: EXPORT_AGAIN,
        check: pinning,
    },
    Rule {
        code: "L21",
        severities: &[Severity::Warning],
        title: "development push service",
        explanation: "UseDevelopmentAPNS must be false with push certificates of Apple's portal.",
        device: "enrolls; pushes never arrive",
        remedy: "Have the server leave UseDevelopmentAPNS out.",
        check: |subject, out| {
            for mdm in subject.direct_mdm().filter(|mdm| mdm.boolean("UseDevelopmentAPNS") == Some(true)) {
                out.warn(
                    mdm.key("UseDevelopmentAPNS"),
                    "UseDevelopmentAPNS is true: pushes would never arrive.",
                );
            }
        },
    },
    Rule {
        code: "L22",
        severities: &[Severity::Warning],
        title: "no check-out",
        explanation: "CheckOutWhenRemoved is false, or missing, which means false: the server is not told when the profile is removed.",
        device: "says nothing; the server keeps a ghost",
        remedy: "Have the server set CheckOutWhenRemoved.",
        check: |subject, out| {
            for mdm in subject.direct_mdm().filter(|mdm| mdm.boolean("CheckOutWhenRemoved") != Some(true)) {
                let message = "CheckOutWhenRemoved is not set: the server would keep devices that left.";
                out.warn(mdm.key("CheckOutWhenRemoved"), message);
            }
        },
    },
    Rule {
        code: "L23",
        severities: &[Severity::Warning],
        title: "half-blind management",
        explanation: "Without the rights 1, 2 and 16 the server can neither see nor place profiles, nor ask what the device is.",
        device: "enrolls; many commands fail",
        remedy: "Have the server ask for all rights (8191).",
        check: |subject, out| {
            for mdm in subject.direct_mdm() {
                let Some(rights) = mdm.integer("AccessRights").filter(|rights| bad_rights(*rights).is_none())
                else {
                    continue;
                };
                let lacking: Vec<_> = [1, 2, 16].iter().filter(|bit| rights & **bit == 0).collect();
                if !lacking.is_empty() {
                    let bits = lacking.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    let message = format!("AccessRights lacks {bits}: the server will be half blind.");
                    out.warn(mdm.key("AccessRights"), message).value(&rights.to_string());
                }
            }
        },
    },
    Rule {
        code: "L39",
        severities: &[Severity::Warning],
        title: "no user channel on a Mac",
        explanation: "On macOS the MDM payload needs com.apple.mdm.per-user-connections among its ServerCapabilities (R90).",
        device: "enrolls; user policies never arrive",
        remedy: "Export the profile made for Macs.",
        check: |subject, out| {
            if subject.context.platform() != Job::Macos {
                return;
            }
            for mdm in subject.direct_mdm() {
                let wanted = "com.apple.mdm.per-user-connections";
                if !mdm.texts("ServerCapabilities").any(|(_, capability)| capability == wanted) {
                    out.warn(mdm.key("ServerCapabilities"), format!("ServerCapabilities lacks {wanted}."));
                }
            }
        },
    },
    Rule {
        code: "L53",
        severities: &[Severity::Warning],
        title: "identity comes from another domain",
        explanation: "The MDM server and the SCEP or ACME server that issues its identity are usually hosts of one organisation; another domain may mean a profile put together from two.",
        device: "",
        remedy: "Make sure that both servers are the organisation's own.",
        check: foreign_identity_host,
    },
];

/// Whether there are payloads whose types can be read.
fn has_content(subject: &Subject<'_>) -> bool {
    let content = subject.root.and_then(|root| root.get("PayloadContent")).and_then(Value::as_array);
    subject.form == Form::Plain && content.is_some_and(|payloads| !payloads.is_empty())
}

fn identity(subject: &Subject<'_>, out: &mut Findings<'_>, message: impl Fn(&Refusal) -> Option<String>) {
    let payloads: Vec<&Dictionary> = subject.payloads.iter().map(|payload| payload.at).collect();
    for mdm in subject.direct_mdm() {
        let Err(refusal) = rules::identity(mdm.at, &payloads) else { continue };
        if let Some(message) = message(&refusal) {
            let finding = out.error(mdm.key("IdentityCertificateUUID"), message);
            if let Some(uuid) = mdm.text("IdentityCertificateUUID") {
                finding.value(uuid);
            }
        }
    }
}

fn access_rights(subject: &Subject<'_>, out: &mut Findings<'_>) {
    for mdm in subject.direct_mdm() {
        let path = mdm.key("AccessRights");
        match (mdm.at.contains_key("AccessRights"), mdm.integer("AccessRights")) {
            (false, _) => drop(out.warn(path, "AccessRights is missing; older systems need it.")),
            (true, Some(rights)) => {
                if let Some(problem) = bad_rights(rights) {
                    out.error(path, format!("AccessRights {problem}.")).value(&rights.to_string());
                }
            }
            // L47 tells.
            (true, None) => {}
        }
    }
}

fn bad_rights(rights: i64) -> Option<&'static str> {
    match rights {
        0 => Some("is 0: it grants nothing"),
        _ if !(0..=8191).contains(&rights) => Some("has bits that do not exist"),
        _ if rights & 2 != 0 && rights & 1 == 0 => Some("has 2 (install profiles) without 1 (inspect them)"),
        _ if rights & 128 != 0 && rights & 64 == 0 => {
            Some("has 128 (install provisioning profiles) without 64 (inspect them)")
        }
        _ => None,
    }
}

fn pinning(subject: &Subject<'_>, out: &mut Findings<'_>) {
    for mdm in subject.mdm() {
        for key in ["ServerURLPinningCertificateUUIDs", "CheckInURLPinningCertificateUUIDs"] {
            for (place, uuid) in mdm.texts(key) {
                let found = subject.types_of(uuid);
                if !found.iter().any(|kind| is_certificate(kind)) {
                    let message = match found.first() {
                        Some(kind) => format!("The pinned UUID is that of a {} payload.", printable(kind)),
                        None => "The pinned UUID is that of no payload of the file.".to_owned(),
                    };
                    out.error(format!("{}[{place}]", mdm.key(key)), message).value(uuid);
                }
            }
        }
    }
}

/// Payloads that are one certificate without a key (2.4).
pub(super) fn is_certificate(kind: &str) -> bool {
    matches!(kind, "com.apple.security.root" | "com.apple.security.pkcs1" | "com.apple.security.pem")
}

fn foreign_identity_host(subject: &Subject<'_>, out: &mut Findings<'_>) {
    let Some(mdm) = subject.only_mdm() else { return };
    let Some(server) = mdm.text("ServerURL").and_then(host) else { return };
    for identity in subject.payloads.iter().filter(|payload| subject.is_mdm_identity(payload)) {
        let Some((path, issuer)) = issuer(identity) else { continue };
        if domain(server) != domain(issuer) {
            let (server, shown) = (printable(server), printable(issuer));
            let message = format!("The identity comes from {shown}, the MDM server is {server}.");
            out.warn(path, message).value(issuer);
        }
    }
}

/// The host that issues an identity.
fn issuer<'a>(identity: &Payload<'a>) -> Option<(String, &'a str)> {
    match identity.kind() {
        "com.apple.security.scep" => {
            let settings = identity.at.get("PayloadContent")?.as_dictionary()?;
            Some((identity.key("PayloadContent.URL"), host(settings.get("URL")?.as_string()?)?))
        }
        "com.apple.security.acme" => {
            Some((identity.key("DirectoryURL"), host(identity.text("DirectoryURL")?)?))
        }
        _ => None,
    }
}

/// The UUIDs of an array, for the rules about references.
pub(super) fn references<'a>(dictionary: &'a Dictionary, key: &str) -> Vec<(usize, &'a str)> {
    texts(dictionary.get(key)).collect()
}
