//! Findings as SARIF 2.1.0 (OASIS), which code-review and CI tools read.

use super::{LintView, RuleView};
use serde::Serialize;
use std::path::Path;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A SARIF log of one run of the linter.
#[derive(Debug, Clone, Serialize)]
pub struct Sarif {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    /// Key paths count no columns; the schema asks for a word all the same.
    column_kind: &'static str,
    results: Vec<Outcome>,
}

#[derive(Debug, Clone, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Debug, Clone, Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Debug, Clone, Serialize)]
struct Text {
    text: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Text,
    full_description: Text,
    help: Text,
    default_configuration: Configuration,
}

#[derive(Debug, Clone, Serialize)]
struct Configuration {
    level: &'static str,
}

/// A result, as SARIF calls a finding.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    rule_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
}

#[derive(Debug, Clone, Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
}

impl Sarif {
    /// A log of these findings.
    pub fn new(findings: &[LintView], rules: &[RuleView]) -> Self {
        let driver = Driver {
            name: "enlist",
            version: env!("CARGO_PKG_VERSION"),
            rules: rules.iter().map(Descriptor::new).collect(),
        };
        let results = findings.iter().map(|finding| Outcome::new(finding, rules)).collect();
        let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
        Self { schema: SCHEMA, version: "2.1.0", runs: [run] }
    }
}

impl Descriptor {
    fn new(rule: &RuleView) -> Self {
        let text = |text: &str| Text { text: text.to_owned() };
        Self {
            id: rule.code,
            short_description: text(rule.title),
            full_description: text(rule.explanation),
            help: text(rule.remedy),
            default_configuration: Configuration { level: level(rule.severity) },
        }
    }
}

impl Outcome {
    fn new(finding: &LintView, rules: &[RuleView]) -> Self {
        let artifact_location = ArtifactLocation { uri: uri(&finding.file) };
        let path = (!finding.path.is_empty()).then(|| finding.path.clone());
        let logical = path.map(|path| LogicalLocation { fully_qualified_name: path });
        Self {
            rule_id: finding.code,
            rule_index: rules.iter().position(|rule| rule.code == finding.code),
            level: level(finding.severity),
            message: Text { text: format!("{} {}", finding.message, finding.remedy) },
            locations: [Location {
                physical_location: PhysicalLocation { artifact_location },
                logical_locations: logical.into_iter().collect(),
            }],
        }
    }
}

/// SARIF's word for a severity.
fn level(severity: &'static str) -> &'static str {
    if severity == "info" { "note" } else { severity }
}

/// A path as a URI reference (RFC 3986): relative stays relative, absolute becomes a file
/// URI.
fn uri(file: &str) -> String {
    let mut out = String::from(if Path::new(file).is_absolute() { "file://" } else { "" });
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_what_readers_of_sarif_need() {
        let rules: Vec<_> = crate::wire::profile::lint::rules().map(RuleView::new).collect();
        let finding = |code, severity| LintView {
            file: "my file.mobileconfig".into(),
            code,
            severity,
            path: "PayloadContent[1].Topic".into(),
            message: "Wrong.".into(),
            remedy: "Right it.",
        };
        let log = Sarif::new(&[finding("L16", "error"), finding("L45", "info")], &rules);
        let json = serde_json::to_value(&log).unwrap();
        assert_eq!(json["version"], "2.1.0");
        let run = &json["runs"][0];
        let declared = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(declared.len(), rules.len());
        for (result, expected) in
            run["results"].as_array().unwrap().iter().zip([("L16", "error"), ("L45", "note")])
        {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(
                (result["ruleId"].as_str(), declared[index]["id"].as_str()),
                (Some(expected.0), Some(expected.0))
            );
            assert_eq!(result["level"], expected.1);
            let place = &result["locations"][0];
            assert_eq!(place["physicalLocation"]["artifactLocation"]["uri"], "my%20file.mobileconfig");
            assert_eq!(place["logicalLocations"][0]["fullyQualifiedName"], "PayloadContent[1].Topic");
            assert_eq!(result["message"]["text"], "Wrong. Right it.");
        }
        assert_eq!(uri("/a/ü"), "file:///a/%C3%BC");
    }
}
