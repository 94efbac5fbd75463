//! Payload types there are (L52).

use super::findings::Severity;
use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[Rule {
    code: "L52",
    severities: &[Severity::Warning],
    title: "unknown payload type",
    explanation: "A payload has no PayloadType, or one that is not among Apple's published payloads.",
    device: "ignores the payload, or 4023",
    remedy: "Check the spelling of the payload's type with whoever made the profile.",
    check: |subject, out| {
        for payload in &subject.payloads {
            match payload.kind() {
                "" => drop(out.warn(payload.key("PayloadType"), "The payload has no type.")),
                kind if !is_known(kind) => {
                    let message = "The type of the payload is not one of Apple's published payloads.";
                    out.warn(payload.key("PayloadType"), message).value(kind);
                }
                _ => {}
            }
        }
    },
}];

/// Whole families: settings of applications and of Macs, and interfaces by number.
const PREFIXES: [&str; 5] = [
    "com.apple.MCX",
    "com.apple.system-",
    "com.apple.extensiblesso",
    "com.apple.ManagedClient",
    "com.apple.servicemanagement",
];

fn is_known(kind: &str) -> bool {
    KNOWN.binary_search(&kind).is_ok()
        || PREFIXES.iter().any(|prefix| kind.starts_with(prefix))
        || (kind.starts_with("com.apple.") && kind.ends_with(".ethernet.managed"))
}

/// Payloads of Apple's published schemas (source A), sorted.
const KNOWN: &[&str] = &[
    "com.apple.ADCertificate.managed",
    "com.apple.AIM.account",
    "com.apple.AssetCache.managed",
    "com.apple.DirectoryService.managed",
    "com.apple.DiscRecording",
    "com.apple.MCX",
    "com.apple.NSExtension",
    "com.apple.Safari",
    "com.apple.SetupAssistant.managed",
    "com.apple.SoftwareUpdate",
    "com.apple.SubmitDiagInfo",
    "com.apple.SystemConfiguration",
    "com.apple.TCC.configuration-profile-policy",
    "com.apple.airplay",
    "com.apple.airplay.security",
    "com.apple.airprint",
    "com.apple.apn.managed",
    "com.apple.app.lock",
    "com.apple.appleiddevice",
    "com.apple.applicationaccess",
    "com.apple.applicationaccess.new",
    "com.apple.asam",
    "com.apple.associated-domains",
    "com.apple.caldav.account",
    "com.apple.carddav.account",
    "com.apple.cellular",
    "com.apple.cellularprivatenetwork.managed",
    "com.apple.conferenceroomdisplay",
    "com.apple.configurationprofile.identification",
    "com.apple.defaults.managed",
    "com.apple.desktop",
    "com.apple.dnsProxy.managed",
    "com.apple.dnsSettings.managed",
    "com.apple.dock",
    "com.apple.domains",
    "com.apple.eas.account",
    "com.apple.education",
    "com.apple.ethernet.managed",
    "com.apple.ews.account",
    "com.apple.fileproviderd",
    "com.apple.finder",
    "com.apple.firstactiveethernet.managed",
    "com.apple.font",
    "com.apple.gamed",
    "com.apple.globalethernet.managed",
    "com.apple.google-oauth",
    "com.apple.homescreenlayout",
    "com.apple.ironwood.support",
    "com.apple.jabber.account",
    "com.apple.ldap.account",
    "com.apple.loginitems.managed",
    "com.apple.loginwindow",
    "com.apple.lom",
    "com.apple.mail.managed",
    "com.apple.mcxMenuExtras",
    "com.apple.mcxloginscripts",
    "com.apple.mcxprinting",
    "com.apple.mdm",
    "com.apple.mobiledevice.passwordpolicy",
    "com.apple.networkusagerules",
    "com.apple.notificationsettings",
    "com.apple.osxserver.account",
    "com.apple.preference.security",
    "com.apple.preference.users",
    "com.apple.profileRemovalPassword",
    "com.apple.proxy.http.global",
    "com.apple.relay.managed",
    "com.apple.screensaver",
    "com.apple.screensaver.user",
    "com.apple.security.FDERecoveryKeyEscrow",
    "com.apple.security.FDERecoveryRedirect",
    "com.apple.security.acme",
    "com.apple.security.certificatepreference",
    "com.apple.security.certificaterevocation",
    "com.apple.security.certificatetransparency",
    "com.apple.security.firewall",
    "com.apple.security.identitypreference",
    "com.apple.security.pem",
    "com.apple.security.pkcs1",
    "com.apple.security.pkcs12",
    "com.apple.security.root",
    "com.apple.security.scep",
    "com.apple.security.smartcard",
    "com.apple.shareddeviceconfiguration",
    "com.apple.sso",
    "com.apple.subscribedcalendar.account",
    "com.apple.syspolicy.kernel-extension-policy",
    "com.apple.system.logging",
    "com.apple.systempolicy.control",
    "com.apple.systempolicy.managed",
    "com.apple.systempolicy.rule",
    "com.apple.systempreferences",
    "com.apple.systemuiserver",
    "com.apple.tvremote",
    "com.apple.universalaccess",
    "com.apple.vpn.managed",
    "com.apple.vpn.managed.applayer",
    "com.apple.vpn.managed.appmapping",
    "com.apple.watch.enrollment",
    "com.apple.webClip.managed",
    "com.apple.webcontent-filter",
    "com.apple.wifi.managed",
    "com.apple.xsan",
    "com.apple.xsan.preferences",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_knows_what_matters_here() {
        assert!(KNOWN.is_sorted());
        for kind in ["com.apple.mdm", "com.apple.security.scep", "com.apple.wifi.managed", "com.apple.Safari"]
        {
            assert!(is_known(kind), "{kind}");
        }
        for kind in ["com.apple.wifi", "com.example.mdm", "com.apple.MDM", "com.apple"] {
            assert!(!is_known(kind), "{kind}");
        }
    }
}
