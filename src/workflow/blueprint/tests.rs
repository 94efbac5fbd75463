use super::*;
use std::path::Path;

fn read(text: &str) -> Blueprint {
    parse("kiosk", text, Path::new("/b")).unwrap()
}

fn refused(text: &str) -> String {
    parse("kiosk", text, Path::new("/b")).unwrap_err().to_string()
}

const WHOLE: &str = "priority = 3
steps = [
    { prepare = \"supervise\" },
    { helper = \"wifi.mobileconfig\" },
    { name = \"Floor {{TAG}} {{SERIAL}}\" },
    { enroll = \"/srv/e.mobileconfig\" },
    { tag = \"floor-2\" },
]
[match]
class = [\"iPad\"]
model = \"iPad13,*\"
os_from = \"17.2\"
os_below = \"27\"
serial = [\"c02abcdef123\"]
bay = \"Bay 1\"
tag = \"A\"
";

fn facts() -> Facts {
    Facts {
        serial: Some("C02ABCDEF123".into()),
        class: Some("iPad".into()),
        product_type: Some("iPad13,18".into()),
        os_version: Some("18.2.1".into()),
        ..Facts::default()
    }
}

fn subject<'a>(facts: &'a Facts, bay: &'a Bay) -> Subject<'a> {
    Subject { facts, bay, name: None, tag: Some("A"), wanted: None }
}

#[test]
fn a_whole_blueprint_is_read() {
    let kiosk = read(WHOLE);
    assert_eq!(kiosk.helpers().collect::<Vec<_>>(), [Path::new("/b/wifi.mobileconfig")]);
    assert_eq!(kiosk.profile().map(|p| p.as_path()), Some(Path::new("/srv/e.mobileconfig")));
    assert_eq!(kiosk.prepare(), Some(Prepare::Supervised));
    assert_eq!(kiosk.tags().collect::<Vec<_>>(), ["floor-2"]);
    let (facts, bay) = (facts(), Bay("Bay 1".into()));
    assert_eq!(kiosk.device_name(&subject(&facts, &bay)).unwrap(), "Floor A C02ABCDEF123");
}

#[test]
fn faults_are_told_with_their_place() {
    assert_eq!(refused("stpes = []"), "1:1: unknown key 'stpes'; did you mean 'steps'?");
    assert_eq!(
        refused("steps = [\n  { hepler = \"x\" }]"),
        "2:5: unknown key 'hepler'; did you mean 'helper'?"
    );
    assert_eq!(refused("steps = []"), "1:9: no step enrolls; add { enroll = true } or { enroll = \"FILE\" }");
    let late = refused("steps = [\n  { enroll = true },\n  { helper = \"x\" },\n]");
    assert!(late.starts_with("3:3: this comes too late"), "{late}");
    let two = refused("steps = [{ enroll = true }, { enroll = true }]");
    assert!(two.contains("1:29: a device enrolls once"), "{two}");
    let name = refused("steps = [{ name = \"{{SERAL}}\" }, { enroll = true }]");
    assert!(name.ends_with("there is no {{SERAL}}; did you mean {{SERIAL}}?"), "{name}");
    for braces in ["{serial}", "{{SERIAL}", "a } b", "{{SERIAL}}}"] {
        let name = refused(&format!("steps = [{{ name = \"{braces}\" }}, {{ enroll = true }}]"));
        assert!(name.contains("is written as {{SERIAL}}"), "{name}");
    }
    let both = refused("steps = [{ name = \"x\", tag = \"y\" }]");
    assert!(both.contains("says two things"), "{both}");
    let prepare = refused("steps = [{ prepare = \"wipe\" }]");
    assert!(prepare.contains("there are true and \"supervise\""), "{prepare}");
    let erase = refused("steps = [{ prepare = \"erase\" }]");
    assert!(erase.contains("one device at a time"), "{erase}");
    let twice = refused("steps = [{ prepare = true }, { prepare = \"supervise\" }]");
    assert!(twice.contains("prepared once"), "{twice}");
    let class = refused("steps = [{ enroll = true }]\n[match]\nclass = \"iFon\"\n");
    assert!(class.starts_with("3:9: there is no class 'iFon'"), "{class}");
    let os = refused("steps = [{ enroll = true }]\n[match]\nos_from = \"new\"\n");
    assert!(os.starts_with("3:11: 'new' is no version"), "{os}");
    let none = refused("steps = [{ enroll = true }]\n[match]\nos_from = \"17\"\nos_below = \"16\"\n");
    assert!(none.starts_with("4:12:"), "{none}");
    assert!(refused("steps = [{ enroll = true }]\n[match]\ntag = []\n").starts_with("3:7: tag is empty"));
    assert!(refused("steps = 7").starts_with("1:9:"));
    assert!(refused("steps = [").starts_with("1:"));
}

#[test]
fn every_condition_counts() {
    let kiosk = [read(WHOLE)];
    let (good, bay) = (facts(), Bay("Bay 1".into()));
    let reason = match pick(&kiosk, &subject(&good, &bay)) {
        Picked::One(_, reason) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason,
        "its class is iPad, its model is iPad13,18, its bay is Bay 1, its tag is A, \
         its serial number is listed, its system 18.2.1 is from 17.2 and below 27.0"
    );
    let other = |change: &dyn Fn(&mut Facts)| {
        let mut facts = facts();
        change(&mut facts);
        assert_eq!(pick(&kiosk, &subject(&facts, &bay)), Picked::None);
    };
    other(&|f| f.class = Some("iPhone".into()));
    other(&|f| f.product_type = Some("iPad14,1".into()));
    other(&|f| f.product_type = None);
    other(&|f| f.os_version = Some("17.1".into()));
    other(&|f| f.os_version = Some("27.0".into()));
    other(&|f| f.serial = None);
    assert_eq!(pick(&kiosk, &subject(&good, &Bay("Bay 2".into()))), Picked::None);
    assert_eq!(pick(&kiosk, &Subject { tag: None, ..subject(&good, &bay) }), Picked::None);
}

#[test]
fn the_third_number_of_a_system_counts() {
    let (facts, bay) = (facts(), Bay("Bay 1".into()));
    for (range, is_in) in [
        ("os_from = '18.2.1'", true),
        ("os_from = '18.2.2'", false),
        ("os_below = '18.2.2'", true),
        ("os_below = '18.2.1'", false),
        ("os_from = '18.2.1'\nos_below = '18.2.2'", true),
    ] {
        let only = [read(&format!("steps = [{{ enroll = true }}]\n[match]\n{range}\n"))];
        let picked = pick(&only, &subject(&facts, &bay));
        assert_eq!(picked != Picked::None, is_in, "{range}: {picked:?}");
    }
    assert!(refused("steps = [{ enroll = true }]\n[match]\nos_from = '18.2.1.1'\n").contains("no version"));
}

#[test]
fn the_manifest_comes_first_then_priority_then_precision() {
    let named = |name: &str, text: &str| Blueprint { name: name.into(), ..read(text) };
    let every = "steps = [{ enroll = true }]\n";
    let pads = "steps = [{ enroll = true }]\n[match]\nclass = 'iPad'\n";
    let (facts, bay) = (facts(), Bay("Bay 1".into()));
    let subject = subject(&facts, &bay);
    let name = |picked: Picked<'_>| match picked {
        Picked::One(blueprint, _) => blueprint.name.clone(),
        other => format!("{other:?}"),
    };
    let two = [named("every", every), named("pads", pads)];
    assert_eq!(name(pick(&two, &subject)), "pads");
    let two = [named("every", &format!("priority = 1\n{every}")), named("pads", pads)];
    assert_eq!(name(pick(&two, &subject)), "every");
    assert_eq!(name(pick(&two, &Subject { wanted: Some("PADS"), ..subject })), "pads");
    let wanted = Subject { wanted: Some("gone"), ..subject };
    assert_eq!(pick(&two, &wanted), Picked::NotThere("gone".into()));
    let two = [named("a", pads), named("b", pads)];
    assert!(matches!(pick(&two, &subject), Picked::Ambiguous(a, b) if (&*a.name, &*b.name) == ("a", "b")));
    let phones = [named("phones", "steps = [{ enroll = true }]\n[match]\nclass = 'iPhone'\n")];
    let wanted = Subject { wanted: Some("phones"), ..subject };
    assert!(matches!(pick(&phones, &wanted), Picked::NotFor(_, reason) if reason == "its class is iPad"));
    assert_eq!(name(pick(&[named("every", every)], &subject)), "every");
}
