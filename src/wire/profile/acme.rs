//! What an ACME payload says of the devices it is for (2.3, 3.3).

use super::lint::{claims_inside, product_attests};
use super::{IdentityKind, Profile};
use crate::ids::Udid;
use crate::wire::fields::Fields;
use crate::wire::property_list::{Dictionary, Value};

/// Most words that are looked at: a payload has a dozen.
const MOST_WORDS: usize = 64;

/// Shortest word that may name a device; serial numbers have ten characters and more.
const SHORTEST: usize = 8;

impl Profile {
    /// True if its ACME payload asks for an attestation, and hardware of this product type
    /// gives none (L31): A10X and older ignore `Attest` silently, and the server may refuse.
    pub fn lacks_attestation_on(&self, product_type: &str) -> bool {
        let attest = self.acme().and_then(|acme| acme.flag("Attest"));
        attest == Some(true) && product_attests(product_type) == Some(false)
    }

    /// The only device this file is for, if its ACME payload names one by UDID: in the client
    /// identifier, in dates or names signed into it, or in the subject of the certificate. The
    /// identifier is "unique per device" (2.3), yet one file is said to serve many (3.3,
    /// unconfirmed): one that names nobody says nothing.
    pub fn made_for(&self) -> Option<Udid> {
        self.acme_names().iter().find_map(|name| udid(name))
    }

    /// Every word of the ACME payload that may name a device: a UDID, a serial number, an IMEI,
    /// an ECID, or anything else. Only who knows devices can tell. They may be secrets.
    pub fn acme_names(&self) -> Vec<String> {
        let Some(acme) = self.acme() else { return Vec::new() };
        let mut names = Vec::new();
        if let Some(client) = acme.text("ClientIdentifier") {
            words(client, &mut names);
            if let Some(claims) = claims_inside(client) {
                said(&claims, &mut names);
            }
        }
        for key in ["Subject", "SubjectAltName"] {
            if let Some(value) = acme.get(key) {
                texts(value, &mut names);
            }
        }
        names.dedup();
        names
    }

    fn acme(&self) -> Option<&Dictionary> {
        if self.identity() != Some(IdentityKind::Acme) {
            return None;
        }
        let payloads = self.root().expose().list("PayloadContent")?;
        let is_acme = |payload: &&Dictionary| payload.text("PayloadType") == Some("com.apple.security.acme");
        payloads.iter().filter_map(|payload| payload.as_dictionary()).find(is_acme)
    }
}

/// The form since the A12 only, with its dash or without: forty hex digits may as well be a
/// random code.
fn udid(name: &str) -> Option<Udid> {
    let plain = match name.split_once('-') {
        Some((chip, ecid)) if chip.len() == 8 && ecid.len() == 16 => format!("{chip}{ecid}"),
        Some(_) => return None,
        None => name.to_owned(),
    };
    let is_one =
        plain.len() == 24 && plain.starts_with("0000") && plain.bytes().all(|b| b.is_ascii_hexdigit());
    if is_one { plain.to_ascii_uppercase().parse().ok() } else { None }
}

/// A text as a whole, and its parts between signs that are in no name of a device.
fn words(text: &str, names: &mut Vec<String>) {
    let text = text.trim();
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    for word in [text].into_iter().chain(parts.filter(|part| *part != text)) {
        if word.len() >= SHORTEST && names.len() < MOST_WORDS {
            names.push(word.to_owned());
        }
    }
}

fn texts(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(text) => words(text, names),
        Value::Array(items) => items.iter().for_each(|item| texts(item, names)),
        Value::Dictionary(entries) => entries.values().for_each(|item| texts(item, names)),
        _ => {}
    }
}

fn said(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => words(text, names),
        serde_json::Value::Array(items) => items.iter().for_each(|item| said(item, names)),
        serde_json::Value::Object(entries) => entries.values().for_each(|item| said(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::profile::example::{ExampleOptions, acme_plist, scep_plist};
    use crate::wire::profile::{Purpose, TrustAnchors};
    use crate::wire::property_list::to_xml;
    use jiff::Timestamp;

    const UDID: &str = "00008140-001B59F64B2E760E";

    fn load(plist: &Value) -> Profile {
        Profile::load(&to_xml(plist), Purpose::Any, &TrustAnchors::none(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn with_client(client: &str) -> Profile {
        load(&acme_plist(&ExampleOptions { challenge: Some(client.into()), ..ExampleOptions::default() }))
    }

    #[test]
    fn a_udid_is_found_wherever_the_payload_has_it() {
        let only = |profile: &Profile| profile.made_for().map(String::from);
        let claims = openssl::base64::encode_block(format!("{{\"sub\":\"{UDID}\"}}").as_bytes());
        for client in
            [UDID.to_owned(), UDID.to_lowercase(), UDID.replace('-', ""), format!("udid:{UDID};n=1"), claims]
        {
            assert_eq!(only(&with_client(&client)).as_deref(), Some(UDID), "{client}");
        }
        for client in ["FAKE-CLIENT-0001", "8b1a9953c4611296a827abf8c47804d7e6f9a7a1", "00000000-aaaa"] {
            assert_eq!(only(&with_client(client)), None, "{client}");
        }
        let Value::Dictionary(mut root) = acme_plist(&ExampleOptions::default()) else { panic!("root") };
        let payloads = root.get_mut("PayloadContent").unwrap().as_array_mut().unwrap();
        let acme = payloads[0].as_dictionary_mut().unwrap();
        let pair = Value::Array(vec!["CN".into(), UDID.into()]);
        acme.insert("Subject".into(), Value::Array(vec![Value::Array(vec![pair])]));
        assert_eq!(only(&load(&root.into())).as_deref(), Some(UDID));
        let scep = ExampleOptions { challenge: Some(UDID.into()), ..ExampleOptions::default() };
        assert_eq!(only(&load(&scep_plist(&scep))), None, "SCEP files serve many");
    }

    #[test]
    fn what_may_name_a_device_is_told_apart() {
        let names = with_client("serial=F7TLWCLBX196&imei=353900000000001").acme_names();
        for name in ["F7TLWCLBX196", "353900000000001"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
        let many = with_client(&"ABCDEFGH ".repeat(1000)).acme_names();
        assert_eq!(many.len(), 1 + 1, "the same word over and over, and the subject: {many:?}");
    }
}
