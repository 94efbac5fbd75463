//! What people and other programs write: manifests, lists for Intune, reports, TOML; and two
//! texts of devices that are no message.

use super::script::Script;
use crate::api::report as reports;
use crate::clock::Clock;
use crate::device::Facts;
use crate::ids::Bay;
use crate::limits;
use crate::sim;
use crate::wire::boot_identity::BootIdentity;
use crate::wire::intune_csv::{self, CsvKind, CsvRow, IdentifierType, ImeiDigits};
use crate::wire::mac_profiles;
use crate::wire::manifest::{self, ManifestRow};
use crate::workflow::blueprint::{self, Picked, Subject};
use std::path::Path;

/// Most findings a check gives; see `wire::intune_csv::check` and `api::report::verify`.
const MOST_FINDINGS: usize = 1000;

/// Text without what a terminal obeys.
#[track_caller]
fn assert_shown(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?} drives a terminal");
}

/// The identity string of recovery and DFU.
pub fn boot_identity(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some(identity) = BootIdentity::parse(&text) else { return };
    for words in [&identity.serial, &identity.imei, &identity.stage].into_iter().flatten() {
        assert_shown(words);
        // An escape is up to ten characters for one.
        assert!(!words.is_empty() && words.len() <= 10 * 1024);
        assert!(words.contains('\\') || words.len() <= 1024, "{} bytes", words.len());
    }
    let _ = (identity.product_type(), identity.is_mac());
}

/// What a Mac prints.
pub fn mac_profiles(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for said in [
        mac_profiles::enrollment(&text).err(),
        mac_profiles::platform(&text).err(),
        mac_profiles::version(&text).err(),
    ]
    .into_iter()
    .flatten()
    {
        assert_shown(&said.begins);
    }
    if let Ok(enrollment) = mac_profiles::enrollment(&text) {
        enrollment.server.iter().for_each(|server| assert_shown(server));
    }
    if let Ok(mac) = mac_profiles::platform(&text) {
        let all = [Some(&mac.uuid), mac.serial.as_ref(), mac.model.as_ref()];
        assert!(all.into_iter().flatten().all(|text| (1..=64).contains(&text.len()) && text.is_ascii()));
    }
    let listed = mac_profiles::listed(&text);
    assert!(listed.identifiers.len() <= text.lines().count());
}

/// A list for Intune: any file is checked, and what is written passes.
pub fn intune_csv(bytes: &[u8]) {
    const IDENTIFIERS: &[&str] =
        &["C02ABCDEF123", "c02abcdef124", "C02.ABC.DEF125", "35-209900-176148-1", "35209900176148", ""];
    let kinds = [CsvKind::ConfiguratorSerials, CsvKind::CorporateIdentifiers];
    for kind in kinds {
        let found = intune_csv::check(kind, bytes);
        assert!(found.len() <= MOST_FINDINGS && found.is_sorted_by_key(|finding| finding.line));
        found.iter().for_each(|finding| assert_shown(&finding.message));
    }
    let mut script = Script::new(bytes);
    let (kind, of) = match script.byte() % 4 {
        0 => (CsvKind::ConfiguratorSerials, IdentifierType::Serial),
        1 => (CsvKind::CorporateIdentifiers, IdentifierType::Serial),
        2 => (CsvKind::CorporateIdentifiers, IdentifierType::Imei(ImeiDigits::Fourteen)),
        _ => (CsvKind::CorporateIdentifiers, IdentifierType::Imei(ImeiDigits::Fifteen)),
    };
    let mut rows = Vec::new();
    while !script.is_over() {
        let identifier = script.text(IDENTIFIERS);
        rows.push(CsvRow { identifier, details: script.text(&["", "a, b", "\"x\""]) });
    }
    let written = intune_csv::write(kind, of, &rows);
    assert_eq!(written.rows.iter().sum::<usize>() + written.repeated + written.refused.len(), rows.len());
    for file in &written.files {
        assert_eq!(intune_csv::check(kind, file.as_bytes()), [], "{file:?}");
    }
}

/// A batch's manifest: what was read, written plainly, reads the same.
pub fn manifest(bytes: &[u8]) {
    match manifest::read(bytes) {
        Ok(rows) => {
            assert!((1..=limits::MANIFEST_ROWS).contains(&rows.len()));
            let plain = |rows: &[ManifestRow]| -> Vec<ManifestRow> {
                rows.iter().map(|row| ManifestRow { line: 0, ..row.clone() }).collect()
            };
            let again = manifest::read(&as_csv(&rows));
            assert_eq!(again.as_deref().map(plain), Ok(plain(&rows)));
        }
        Err(error) => assert_shown(&error.to_string()),
    }
}

fn as_csv(rows: &[ManifestRow]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["serial", "imei", "name", "tag", "blueprint"]).expect("memory");
    for row in rows {
        let fields = [&row.serial, &row.imei, &row.name, &row.tag, &row.blueprint];
        writer.write_record(fields.map(|field| field.as_deref().unwrap_or_default())).expect("memory");
    }
    writer.into_inner().expect("memory")
}

/// A report of a batch, which somebody may have changed.
pub fn report(bytes: &[u8]) {
    let Ok(verified) = reports::verify(bytes) else { return };
    assert!(verified.findings.len() <= MOST_FINDINGS);
    if verified.findings.is_empty() {
        let again = reports::render(&verified.entries, verified.format);
        let again = reports::verify(again.as_bytes()).map(|again| (again.entries, again.findings));
        assert_eq!(again, Ok((verified.entries, Vec::new())));
    }
}

/// A blueprint, and a device that may or may not be one for it.
pub fn blueprint(bytes: &[u8]) {
    const WORDS: &[&str] = &["iPhone", "iPad", "iPad13,4", "C02ABCDEF123", "Bay 1", "A", "17.4", "fuzz"];
    let mut script = Script::new(bytes);
    let facts = Facts {
        class: script.yes().then(|| script.text(WORDS)),
        product_type: script.yes().then(|| script.text(WORDS)),
        serial: script.yes().then(|| script.text(WORDS)),
        os_version: script.yes().then(|| script.text(WORDS)),
        ..Facts::default()
    };
    let bay = Bay(script.text(WORDS));
    let (name, tag, wanted) = (script.text(WORDS), script.text(WORDS), script.text(WORDS));
    let text = String::from_utf8_lossy(script.rest());
    let parsed = blueprint::parse("fuzz", &text, Path::new("/blueprints"));
    let blueprint = match parsed {
        Ok(blueprint) => blueprint,
        Err(fault) => {
            let lines = text.lines().count().max(1);
            assert!(fault.place.is_none_or(|(line, column)| line <= lines + 1 && line > 0 && column > 0));
            return;
        }
    };
    assert_eq!(
        blueprint.steps.iter().filter(|step| matches!(step, blueprint::BlueprintStep::Enroll(_))).count(),
        1
    );
    let subject = Subject {
        facts: &facts,
        bay: &bay,
        name: Some(&name),
        tag: Some(&tag),
        wanted: Some(wanted.as_str()).filter(|wanted| !wanted.is_empty()),
    };
    let called = blueprint.device_name(&subject);
    assert!(called.is_none_or(|name| name.chars().count() <= 63 && !name.chars().any(char::is_control)));
    let one = std::slice::from_ref(&blueprint);
    let alone = Subject { wanted: None, ..subject };
    assert!(matches!(blueprint::pick(one, &alone), Picked::One(..) | Picked::None));
    let two = [blueprint.clone(), blueprint.clone()];
    assert!(!matches!(blueprint::pick(&two, &alone), Picked::One(..)), "one of two equals");
    let _ = blueprint::pick(one, &subject);
}

/// A scenario of simulated devices.
pub fn scenario(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(options) = sim::scenario::read(&text, Clock::System) {
        assert!(options.devices == options.specs.len() && options.devices <= sim::fleet::MOST_DEVICES);
        assert_ne!(options.bays, Some(0));
    }
}
