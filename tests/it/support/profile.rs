//! Profile files, signed by a key made for this run; nothing in them is real.

#![allow(clippy::disallowed_methods)] // signed now, because the binary looks at the clock

use enlist::wire::profile::example::{ExampleOptions, Signer, acme_plist, scep_plist};
use enlist::wire::property_list::{Dictionary, Value, to_xml};
use jiff::Timestamp;
use std::sync::LazyLock;

/// Made once: keys take their time.
pub(crate) static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(Timestamp::now()).unwrap());

/// PayloadIdentifier and PayloadUUID of the examples.
pub(crate) const IDENTIFIER: &str = "Microsoft.Profiles.MDM";
pub(crate) const UUID: &str = "1111AAAA-0000-4000-8000-000000000000";

/// Signs as a server does on download.
pub(crate) fn signed(content: &[u8]) -> Vec<u8> {
    SIGNER.sign(content, Timestamp::now()).unwrap()
}

/// F01: signed, identity by SCEP.
pub(crate) fn f01() -> Vec<u8> {
    signed(&plain_f01())
}

/// F01 without its signature.
pub(crate) fn plain_f01() -> Vec<u8> {
    to_xml(&scep_plist(&ExampleOptions::default()))
}

/// F01 with this challenge.
pub(crate) fn f01_with_challenge(challenge: &str) -> Vec<u8> {
    let options = ExampleOptions { challenge: Some(challenge.to_owned()), ..ExampleOptions::default() };
    signed(&to_xml(&scep_plist(&options)))
}

/// F02: signed, identity by ACME.
pub(crate) fn f02() -> Vec<u8> {
    signed(&to_xml(&acme_plist(&ExampleOptions::default())))
}

/// F01 changed and not signed.
pub(crate) fn changed(change: impl FnOnce(&mut Dictionary)) -> Vec<u8> {
    let Value::Dictionary(mut root) = scep_plist(&ExampleOptions::default()) else { panic!("dictionary") };
    change(&mut root);
    to_xml(&root.into())
}

/// The payloads of a root.
pub(crate) fn payloads(root: &mut Dictionary) -> &mut Vec<Value> {
    root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap()
}
