//! What a payload sets, in lines that may be shown: values that could be secret are not in
//! them. What is shown is listed; everything else is only named.

use crate::wire::printable::printable;
use crate::wire::property_list::{Dictionary, Value};

/// Most lines of one payload.
const MOST_LINES: usize = 100;

/// Keys whose texts and numbers are no secrets (2.1 to 2.5), beside those of every payload.
const SHOWN: [&str; 17] = [
    "AccessRights",
    "EncryptionType",
    "IdentityCertificateUUID",
    "Key Type",
    "Key Usage",
    "KeySize",
    "KeyType",
    "Keysize",
    "PayloadIdentifier",
    "PayloadType",
    "PayloadUUID",
    "PayloadVersion",
    "Retries",
    "RetryDelay",
    "SSID_STR",
    "Topic",
    "UsageFlags",
];

/// Keys that stand above the settings anyway.
const HEAD: [&str; 4] = ["PayloadIdentifier", "PayloadType", "PayloadUUID", "PayloadVersion"];

/// The settings of a payload, one `key.key = value` a line, in file order.
pub(super) fn outline(payload: &Dictionary) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in payload.iter().filter(|(key, _)| !HEAD.contains(&key.as_str())) {
        describe(&printable(key), key, value, &mut lines);
    }
    let more = lines.len().saturating_sub(MOST_LINES);
    if more > 0 {
        lines.truncate(MOST_LINES);
        lines.push("and more".to_owned());
    }
    lines
}

fn describe(path: &str, key: &str, value: &Value, lines: &mut Vec<String>) {
    // One more than is shown, so that it is known that there are more.
    if lines.len() > MOST_LINES {
        return;
    }
    let shown = SHOWN.contains(&key);
    let said = match value {
        Value::Dictionary(inside) => {
            let nested = inside.iter().take(MOST_LINES + 1);
            nested
                .for_each(|(key, value)| describe(&format!("{path}.{}", printable(key)), key, value, lines));
            return;
        }
        Value::Array(items) => format!("{} items", items.len()),
        Value::Boolean(value) => value.to_string(),
        Value::Data(bytes) => format!("{} bytes", bytes.len()),
        Value::Integer(number) if shown => number.to_string(),
        Value::String(text) if shown => printable(text),
        Value::String(text) if key.ends_with("URL") => match super::https_host(text) {
            Some(host) => format!("https://{}/…", printable(host)),
            None => "not shown".to_owned(),
        },
        _ => "not shown".to_owned(),
    };
    lines.push(format!("{path} = {said}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::profile::example::{ExampleOptions, acme_plist, scep_plist};

    #[test]
    fn settings_are_named_and_secrets_are_not_shown() {
        let options = ExampleOptions { challenge: Some("canary-70ad".into()), ..ExampleOptions::default() };
        let mut all = Vec::new();
        for plist in [scep_plist(&options), acme_plist(&options)] {
            let root = plist.into_dictionary().unwrap();
            let payloads = root["PayloadContent"].as_array().unwrap();
            all.extend(payloads.iter().flat_map(|payload| outline(payload.as_dictionary().unwrap())));
        }
        for line in [
            "PayloadContent.URL = https://scep.bench.example/…",
            "PayloadContent.Challenge = not shown",
            "ClientIdentifier = not shown",
            "PayloadContent.Keysize = 2048",
            "AccessRights = 8191",
            "SignMessage = true",
            "ServerCapabilities = 2 items",
        ] {
            assert!(all.iter().any(|found| found == line), "{line} is not in {all:#?}");
        }
        assert!(!all.concat().contains("canary"), "{all:#?}");
    }

    #[test]
    fn a_payload_of_thousands_of_settings_is_cut() {
        let many: Dictionary = (0..5000).map(|n| (format!("k\u{202e}{n}"), Value::Boolean(true))).collect();
        let lines = outline(&many);
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (MOST_LINES + 1, Some("and more")));
        assert!(lines[0].starts_with("k\\u{202e}0 = "), "{}", lines[0]);
    }
}
