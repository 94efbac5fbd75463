//! Pages to print: self-contained HTML, readable on any computer, no script.

use super::batch::Row;
use super::steps::after_opening;
use crate::api::OsVersion;
use crate::api::macs::settings_place;
use std::fmt::Write;

/// What a card tells of one file.
pub(super) struct CardFile {
    /// Its name in the kit.
    pub(super) name: String,
    /// `SCEP`, `ACME`.
    pub(super) kind: String,
    /// SHA-256 in hexadecimal.
    pub(super) sha256: String,
    /// The Macs it is for.
    pub(super) for_macs: &'static str,
    /// Last day it should be used, where its age is known (R80).
    pub(super) use_until: Option<String>,
}

/// What a card tells of the enrollment.
pub(super) struct Card {
    /// The profile's name.
    pub(super) name: String,
    /// Organisation, where the profile names it.
    pub(super) organization: Option<String>,
    /// Identifier, as the Mac lists it.
    pub(super) identifier: String,
    /// Host of the MDM.
    pub(super) server: String,
    /// The files.
    pub(super) files: Vec<CardFile>,
    /// The one macOS it is for.
    pub(super) macos: Option<OsVersion>,
}

const STYLE: &str = "
@page { size: A4; margin: 15mm }
body { font: 12pt/1.4 sans-serif; color: #000; background: #fff; max-width: 180mm; margin: 8mm auto }
h1 { font-size: 20pt; margin: 0 0 2mm } h2 { font-size: 14pt; margin: 6mm 0 2mm; break-after: avoid }
.secret { border: 1.5mm solid #000; padding: 3mm; font-weight: bold }
ol, ul { margin: 0; padding-left: 8mm } li { margin: 1mm 0; break-inside: avoid }
section, tr { break-inside: avoid } table { border-collapse: collapse; width: 100% }
th, td { border: 1px solid #000; padding: 2mm; text-align: left } thead { display: table-header-group }
code { font: 10pt monospace; overflow-wrap: anywhere } .box { width: 14mm }
@media print { body { margin: 0; max-width: none } }
";

/// The versions that differ in where the profile waits (R77), each with one of its kind.
const GROUPS: [(&str, u32); 3] =
    [("macOS 15 and newer", 15), ("macOS 13 and 14", 13), ("macOS 12 and older", 12)];

/// The card with the steps.
pub(super) fn card(card: &Card) -> String {
    let mut body = String::new();
    let title = format!("Enroll a Mac: {}", escape(&card.name));
    tag(&mut body, "h1", &title);
    let organization = card.organization.as_deref().map(|o| format!(" of {}", escape(o))).unwrap_or_default();
    let server = format!("Management{organization} by <code>{}</code>.", escape(&card.server));
    tag(&mut body, "p", &server);
    body.push_str("<p class=\"secret\">The profile is a secret: whoever has it can enroll a device. Keep it off shared folders, hand it to nobody, delete it from every Mac and stick after use.</p>\n");
    files(&mut body, &card.files);
    before(&mut body);
    steps(&mut body, card);
    after(&mut body, card);
    page(&title, &body)
}

fn files(body: &mut String, files: &[CardFile]) {
    tag(body, "h2", "The file");
    body.push_str("<table><thead><tr><th>File</th><th>For</th><th>Use until</th></tr></thead>\n");
    for file in files {
        let until = file.use_until.as_deref().unwrap_or("two weeks after its export");
        _ = writeln!(
            body,
            "<tr><td><code>{}</code> ({})<br><code>SHA-256 {}</code></td><td>{}</td><td>{}</td></tr>",
            escape(&file.name),
            escape(&file.kind),
            escape(&file.sha256),
            escape(file.for_macs),
            escape(until)
        );
    }
    body.push_str("</table>\n<p>To check the files on a Mac: Terminal, <code>shasum -a 256 -c SHA256SUMS</code> in their folder.</p>\n");
}

fn before(body: &mut String) {
    tag(body, "h2", "Before");
    list(
        body,
        "ul",
        &[
            "The Mac is set up, has a network, and you can log in as an administrator.".to_owned(),
            "It has no other management. Terminal: <code>profiles status -type enrollment</code> must say <code>MDM enrollment: No</code>.".to_owned(),
            "Leave Company Portal off the Mac; it is not needed and does not work with this enrollment.".to_owned(),
        ],
    );
}

fn steps(body: &mut String, card: &Card) {
    for (title, major) in GROUPS {
        let place = settings_place(Some(OsVersion { major, minor: 0, patch: 0 }));
        if card.macos.is_some_and(|os| settings_place(Some(os)) != place) {
            continue;
        }
        let mut steps = vec!["Copy the file to the Mac and double-click it".to_owned()];
        steps.extend(after_opening(&escape(place)));
        steps.push("Delete the copy".to_owned());
        body.push_str("<section>");
        tag(body, "h2", title);
        list(body, "ol", &steps);
        body.push_str("</section>\n");
    }
}

fn after(body: &mut String, card: &Card) {
    tag(body, "h2", "Done when");
    list(
        body,
        "ul",
        &[
            format!(
                "<code>profiles status -type enrollment</code> says <code>MDM enrollment: Yes (User Approved)</code> and <code>MDM server: https://{}/...</code>",
                escape(&card.server)
            ),
            format!(
                "the list of profiles shows <code>{}</code>, and others begin to arrive",
                escape(&card.identifier)
            ),
        ],
    );
    body.push_str("<p>If the installation fails: the export may be older than two weeks; or a platform restriction aimed at iPhone and iPad stops Macs too.</p>\n");
}

/// The sheet to tick Macs off.
pub(super) fn sheet(card: &Card, macs: &[Row]) -> String {
    let mut body = String::new();
    let title = format!("Macs to enroll: {}", escape(&card.name));
    tag(&mut body, "h1", &title);
    tag(&mut body, "p", &format!("{} Macs. Tick what is done.", macs.len()));
    body.push_str("<table><thead><tr><th>#</th><th>Serial number</th><th>Name</th><th class=\"box\">Opened</th><th class=\"box\">Enrolled</th><th>When, by whom</th></tr></thead>\n");
    for (n, mac) in macs.iter().enumerate() {
        _ = writeln!(
            body,
            "<tr><td>{}</td><td><code>{}</code></td><td>{}</td><td class=\"box\">&#9744;</td><td class=\"box\">&#9744;</td><td></td></tr>",
            n + 1,
            escape(&mac.serial),
            escape(&mac.name)
        );
    }
    body.push_str("</table>\n");
    page(&title, &body)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )
}

/// Writing to a String cannot fail.
fn tag(body: &mut String, name: &str, inner: &str) {
    _ = writeln!(body, "<{name}>{inner}</{name}>");
}

fn list(body: &mut String, name: &str, items: &[String]) {
    let items: String = items.iter().map(|item| format!("<li>{item}</li>\n")).collect();
    tag(body, name, &items);
}

/// Text as it stands in HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(macos: Option<&str>) -> Card {
        Card {
            name: "<b>Evil & Sons</b>".into(),
            organization: None,
            identifier: "Microsoft.Profiles.MDM".into(),
            server: "mdm.bench.example".into(),
            files: Vec::new(),
            macos: macos.and_then(OsVersion::parse),
        }
    }

    #[test]
    fn names_cannot_write_html() {
        let html = card(&example(None));
        assert!(html.contains("&lt;b&gt;Evil &amp; Sons&lt;/b&gt;") && !html.contains("<b>"));
        let rows = [Row { serial: "A1".into(), name: "\"><script>".into() }];
        assert!(!sheet(&example(None), &rows).contains("<script>"));
    }

    #[test]
    fn each_macos_has_its_own_steps() {
        let all = card(&example(None));
        assert!(GROUPS.iter().all(|(title, _)| all.contains(title)));
        for (os, title) in [("26.1", 0), ("15.0", 0), ("14.6", 1), ("13.0", 1), ("12.7", 2), ("10.15", 2)] {
            let html = card(&example(Some(os)));
            for (n, (name, _)) in GROUPS.iter().enumerate() {
                assert_eq!(html.contains(name), n == title, "{os} {name}");
            }
        }
        assert!(
            all.contains("General &gt; Device Management")
                && all.contains("System Preferences &gt; Profiles")
        );
    }
}
