//! Each check of an attached device, where it speaks and where it is silent.

use super::*;
use crate::device::Facts;
use crate::wire::fields::{dictionary, string};
use crate::wire::mcinstall::InstalledProfile;
use plist::{Dictionary, Value};

fn yes(key: &str) -> (&str, Option<Value>) {
    (key, Some(Value::Boolean(true)))
}

fn no(key: &str) -> (&str, Option<Value>) {
    (key, Some(Value::Boolean(false)))
}

fn number(key: &str, n: i64) -> (&str, Option<Value>) {
    (key, Some(Value::from(n)))
}

fn list<'a>(key: &'a str, values: &[&str]) -> (&'a str, Option<Value>) {
    (key, Some(Value::Array(values.iter().map(|v| Value::String((*v).to_owned())).collect())))
}

fn device(device: &[(&str, Option<Value>)], cloud: &[(&str, Option<Value>)]) -> Facts {
    let usual = [
        ("DeviceClass", string("iPad")),
        ("ProductVersion", string("18.2")),
        ("ActivationState", string("Activated")),
    ];
    let mut facts = Facts::default();
    facts.take_default_domain(&dictionary(usual));
    facts.take_default_domain(&dictionary(device.to_vec()));
    facts.take_setup_domain(&dictionary([yes("SetupDone")]));
    let cloud: Dictionary = dictionary(cloud.to_vec());
    facts.take_cloud_configuration((!cloud.is_empty()).then_some(&cloud));
    facts
}

fn profile(identifier: &str) -> InstalledProfile {
    InstalledProfile {
        identifier: identifier.into(),
        uuid: "U".into(),
        display_name: None,
        organization: None,
        description: None,
        version: 1,
        removal_disallowed: false,
    }
}

/// The rules of everything said.
fn rules(facts: &Facts, installed: &[InstalledProfile]) -> Vec<u16> {
    let said = remarks(facts, installed, Some("wanted"));
    said.iter().flat_map(|remark| remark.rules).map(|r| r.0).collect()
}

#[test]
fn each_check_says_so_where_it_should() {
    let plain = device(&[], &[no("IsSupervised")]);
    assert_eq!(rules(&plain, &[profile("wanted")]), [22, 23, 96]);
    let automated = |more: &[(&'static str, Option<Value>)]| {
        let cloud = [&[number("ConfigurationSource", 1), yes("IsSupervised")], more].concat();
        rules(&device(&[], &cloud), &[])
    };
    assert_eq!(automated(&[]), [22, 23, 98]);
    let speaks = |facts: Facts, rule: u16| {
        let said = rules(&facts, &[]);
        assert!(said.contains(&rule), "R{rule} is not in {said:?}");
        assert!(!rules(&plain, &[]).contains(&rule) || rule == 22 || rule == 96, "R{rule} is always said");
    };
    let os = |version: &str| device(&[("ProductVersion", string(version))], &[]);
    speaks(device(&[yes("PasswordProtected")], &[]), 25);
    assert!(rules(&plain, &[profile("other")]).contains(&35));
    speaks(os("12.4"), 100);
    speaks(device(&[], &[number("ConfigurationSource", 1), no("IsSupervised")]), 106);
    speaks(os("11.3"), 120);
    assert!(!rules(&os("11.3.1"), &[]).contains(&120));
    speaks(device(&[], &[yes("IsMDMUnremovable")]), 121);
    speaks(device(&[("DeviceClass", string("iPhone"))], &[yes("IsMultiUser")]), 124);
    speaks(device(&[("ProductVersion", string("13.3"))], &[yes("IsMultiUser")]), 124);
    assert!(!rules(&device(&[], &[yes("IsMultiUser")]), &[]).contains(&124));
    speaks(device(&[], &[no("AllowPairing")]), 132);
    speaks(device(&[], &[list("SupervisorHostCertificates", &["x"; 11])]), 133);
    assert!(!rules(&device(&[], &[list("SupervisorHostCertificates", &["x"; 10])]), &[]).contains(&133));
    speaks(device(&[], &[yes("AwaitDeviceConfigured")]), 135);
    let released = [yes("AwaitDeviceConfigured"), yes("DeviceConfigured")];
    assert!(!rules(&device(&[], &released), &[]).contains(&135));
    speaks(device(&[], &[("OrganizationDepartment", string("IT"))]), 139);
    speaks(device(&[], &[list("SkipSetup", &["Siri", "Passcode"])]), 141);
    let old = device(&[("ProductVersion", string("14.4"))], &[list("SkipSetup", &["Passcode"])]);
    assert!(!rules(&old, &[]).contains(&141));
    speaks(os("14.8"), 161);
    speaks(Facts { company_portal: Some(true), ..plain.clone() }, 30);
    let imei = |second: &str| {
        let (one, two) = ("InternationalMobileEquipmentIdentity", "InternationalMobileEquipmentIdentity2");
        device(&[(one, string("350000000000001")), (two, string(second))], &[])
    };
    speaks(imei("350000000000002"), 190);
    let ahead = |minutes| {
        let clock_ahead = Some(jiff::SignedDuration::from_mins(minutes));
        Facts { clock_ahead, ..plain.clone() }
    };
    speaks(ahead(6), 16);
    speaks(ahead(-6), 16);
    assert!(!rules(&ahead(5), &[]).contains(&16));
    assert!(!rules(&imei("350000000000001"), &[]).contains(&190));
}

#[test]
fn a_device_that_tells_nothing_draws_no_remark() {
    assert_eq!(remarks(&Facts::default(), &[], None), []);
}

#[test]
fn remarks_are_sentences_that_are_safe_to_print() {
    let facts = device(&[], &[yes("IsSupervised"), ("OrganizationName", string("A\u{202e}\nB"))]);
    for remark in remarks(&facts, &[profile("evil\u{1b}[31m")], None) {
        assert!(remark.sentence.ends_with('.'), "{}", remark.sentence);
        assert!(!remark.sentence.chars().any(|c| c.is_control() || c == '\u{202e}'), "{:?}", remark.sentence);
    }
}
