//! Messages of the installation proxy, as far as it tells what apps there are (protocols.md
//! 5.6), both directions. The shape of the answer is third-party knowledge (unconfirmed), so
//! one of any other shape tells nothing.

use super::fields::{Fields, dictionary, string};
use plist::{Dictionary, Value};

/// The service.
pub const SERVICE: &str = "com.apple.mobile.installation_proxy";

/// Bundle id of Company Portal (R30; unconfirmed).
pub const COMPANY_PORTAL: &str = "com.microsoft.CompanyPortal";

/// The question which of some apps are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Bundle ids.
    pub bundles: Vec<String>,
}

impl Lookup {
    /// Name of the command.
    pub const NAME: &'static str = "Lookup";

    /// The request as a property list. Only the ids are asked for, so the answer is short.
    pub fn to_plist(&self) -> Value {
        let texts = |all: &[&str]| Value::Array(all.iter().map(|t| Value::String((*t).into())).collect());
        let bundles: Vec<_> = self.bundles.iter().map(String::as_str).collect();
        let options = dictionary([
            ("BundleIDs", Some(texts(&bundles))),
            ("ReturnAttributes", Some(texts(&["CFBundleIdentifier"]))),
        ]);
        Value::Dictionary(dictionary([
            ("Command", string(Self::NAME)),
            ("ClientOptions", Some(Value::Dictionary(options))),
        ]))
    }

    /// Reads the request, for a device.
    pub fn from_plist(fields: &Dictionary) -> Option<Self> {
        let options = fields.dict("ClientOptions")?;
        let bundles = options.list("BundleIDs")?.iter().filter_map(Value::as_string);
        (fields.text("Command") == Some(Self::NAME))
            .then(|| Self { bundles: bundles.map(str::to_owned).collect() })
    }

    /// The device's answer: those of `present` that were asked for.
    pub fn answer(&self, present: &[String]) -> Value {
        let found = present.iter().filter(|app| self.bundles.contains(app)).map(|app| {
            let about = dictionary([("CFBundleIdentifier", string(app))]);
            (app.as_str(), Some(Value::Dictionary(about)))
        });
        Value::Dictionary(dictionary([
            ("LookupResult", Some(Value::Dictionary(dictionary(found)))),
            ("Status", string("Complete")),
        ]))
    }
}

/// Whether the answer lists `bundle`; `None` if it does not tell.
pub fn lists(answer: &Dictionary, bundle: &str) -> Option<bool> {
    match (answer.dict("LookupResult"), answer.text("Status")) {
        (Some(found), _) => Some(found.contains_key(bundle)),
        (None, Some("Complete")) => Some(false),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_and_answer_read_back() {
        let lookup = Lookup { bundles: vec![COMPANY_PORTAL.into()] };
        let Value::Dictionary(fields) = lookup.to_plist() else { panic!("a dictionary") };
        assert_eq!(Lookup::from_plist(&fields), Some(lookup.clone()));
        assert_eq!(Lookup::from_plist(&Dictionary::new()), None);
        let told = |present: &[&str]| {
            let present: Vec<_> = present.iter().map(|p| (*p).to_owned()).collect();
            let Value::Dictionary(answer) = lookup.answer(&present) else { panic!("a dictionary") };
            lists(&answer, COMPANY_PORTAL)
        };
        assert_eq!((told(&[COMPANY_PORTAL, "x"]), told(&["x"])), (Some(true), Some(false)));
        assert_eq!(lists(&dictionary([("Error", string("APIInternalError"))]), COMPANY_PORTAL), None);
    }
}
