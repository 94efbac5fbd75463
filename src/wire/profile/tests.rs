//! Fixtures of profiles-and-enrollment.md 7 as far as they decide push or no push, and the
//! parts of the model. The container has its own tests below.

mod containers;
mod fixtures;
mod lint;
mod signatures;

use super::example::{ExampleOptions, Signer, acme_plist, scep_plist};
use super::*;
use crate::limits;
use crate::wire::property_list::{PlistError, Value, to_xml};
use jiff::SignedDuration;
use std::sync::LazyLock;

/// One signer for all tests: making its keys is the slow part.
static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(now()).unwrap());

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn yesterday() -> Timestamp {
    now() - SignedDuration::from_hours(24)
}

fn trusted() -> TrustAnchors {
    TrustAnchors::from_pem(&SIGNER.root_pem().unwrap()).unwrap()
}

/// F01's property list.
fn scep() -> Dictionary {
    scep_plist(&ExampleOptions::default()).into_dictionary().unwrap()
}

fn xml(root: &Dictionary) -> Vec<u8> {
    to_xml(&Value::Dictionary(root.clone()))
}

fn sign(content: &[u8]) -> Vec<u8> {
    SIGNER.sign(content, yesterday()).unwrap()
}

fn load(file: &[u8]) -> Result<Profile, Refusal> {
    Profile::load(file, Purpose::Enrollment, &trusted(), now())
}

fn show(file: &[u8]) -> Result<Profile, Refusal> {
    Profile::load(file, Purpose::Any, &trusted(), now())
}

fn refused(file: &[u8]) -> Refusal {
    load(file).expect_err("must be refused")
}

/// Every code that forbids the push.
fn codes(root: &Dictionary) -> Vec<&'static str> {
    let profile = show(&sign(&xml(root))).unwrap();
    profile.enrollment_refusals().iter().filter_map(Refusal::code).collect()
}

fn payload(root: &mut Dictionary, index: usize) -> &mut Dictionary {
    root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap()[index].as_dictionary_mut().unwrap()
}

/// F01's MDM payload with changes.
fn with_mdm(change: impl FnOnce(&mut Dictionary)) -> Dictionary {
    let mut root = scep();
    change(payload(&mut root, 1));
    root
}

fn with_root(change: impl FnOnce(&mut Dictionary)) -> Dictionary {
    let mut root = scep();
    change(&mut root);
    root
}

fn insert(dictionary: &mut Dictionary, key: &str, value: impl Into<Value>) {
    dictionary.insert(key.to_owned(), value.into());
}

fn warning_codes(profile: &Profile) -> Vec<Option<&'static str>> {
    profile.warnings().iter().map(|warning| warning.code).collect()
}
