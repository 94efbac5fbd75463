//! Every key of the configuration file, once: README's table and the JSON Schema are made of it,
//! and tests hold it against the types that read the file.

use serde_json::{Map, Value, json};

/// A key of the configuration file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name, with its section: `mux.way`.
    pub name: &'static str,
    /// What stands there.
    pub kind: Kind,
    /// What holds without it, as README says it.
    pub default: &'static str,
    /// What it is for, as README says it.
    pub meaning: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text of one to so many characters.
    Short(usize),
    /// Path of a file or folder.
    Path,
    /// `true` or `false`.
    Flag,
    /// A whole number from one to another.
    Whole(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of something.
    List(&'static Kind),
    /// Something, or a list of it.
    OneOrMore(&'static Kind),
    /// Names by port.
    Bays,
}

use Kind::{Bays, Flag, List, OneOf, OneOrMore, Path, Short, Text, Whole};

const fn key(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, default, meaning }
}

/// All of them, in the order of the file.
#[rustfmt::skip] // one line a key
pub const KEYS: &[Key] = &[
    key("state_dir", Path, "`$XDG_STATE_HOME/enlist`, else `~/.local/state/enlist`", "Folder of the station's identity, pair records and journal"),
    key("profile", Path, "none", "The profile that `serve` pushes when no FILE is given; or a folder of them"),
    key("trusted_roots", List(&Path), "none", "List of PEM files with roots that signers of profiles may chain to, beside the system's"),
    key("profile_signer", Text, "none", "The one signer whose profiles are pushed: common name, which needs a trusted chain, or SHA-256 of its certificate (`profile show --json` has both). Others are refused"),
    key("mux.way", OneOf(&["auto", "usbmuxd", "usb"]), "`auto`", "Way to the devices: `usbmuxd`, `usb`, or `auto`; as `--mux`, which outranks it"),
    key("mux.socket", Text, "`/var/run/usbmuxd`", "Where usbmuxd listens"),
    key("mux.serve_socket", Path, "none", "Socket on which `serve` shares the devices with other tools; as `--mux-socket`, which outranks it"),
    key("enroll.person_within", Whole(0, 86_400), "180", "Seconds a person may take to tap Trust or to unlock; at most 86400"),
    key("enroll.accept_within", Whole(0, 480), "480", "Seconds a queued profile may wait for its person; at most 480, when the device drops it"),
    key("enroll.pushes", Whole(1, 100), "1", "How often one job may push, again after a queued profile expired; 1 to 100. `serve` takes 3"),
    key("enroll.setup_assistant", OneOf(&["push", "hold"]), "`push`", "While Setup Assistant runs: `push` silently, or `hold` until a person finished it"),
    key("enroll.replug_within", Whole(0, i64::MAX as u64), "30", "Seconds a job stays open without its device. `serve` without `--once` takes 43200"),
    key("enroll.policies_within", Whole(0, 86_400), "0", "Seconds to watch for the first policies after enrollment; at most 86400, 0 does not watch"),
    key("enroll.sibling", Path, "none", "The other export of the same enrollment, SCEP beside ACME or back; as `--sibling`, which outranks it"),
    key("enroll.prefer", OneOf(&["scep", "acme"]), "`scep`", "Which of the two is pushed first, `scep` or `acme`; see [SCEP and ACME](#scep-and-acme)"),
    key("enroll.unknown_age", OneOf(&["hold", "file-date"]), "`hold`", "An export that nothing tells the age of: `hold` it until somebody states the day, or take its `file-date`"),
    key("enroll.acme_reuse", OneOf(&["yes", "no"]), "`yes`", "Whether one ACME export may enroll several devices, `yes` or `no`"),
    key("enroll.helpers", List(&Path), "none", "List of files that devices get before the enrollment: profiles, or certificates (PEM, DER); as `--helper`, which outranks it. See [Before the enrollment](#before-the-enrollment)"),
    key("enroll.device_name", Text, "none", "Name a device gets before it enrolls; `{{SERIAL}}` and `{{DEVICETYPE}}` stand for its own; as `--name`, which outranks it"),
    key("wifi.ssid", Short(32), "none", "Network that devices join before they enroll; at most 32 bytes"),
    key("wifi.security", OneOf(&["none", "wep", "wpa", "wpa2", "wpa3", "any"]), "`wpa2`", "`none`, `wep`, `wpa`, `wpa2`, `wpa3` or `any`; also called `encryption`"),
    key("wifi.password_file", Path, "none", "File with its password, one line; keep it for its owner alone"),
    key("wifi.password_env", Text, "none", "Or the variable of the environment that has it"),
    key("wifi.hidden", Flag, "`false`", "The network does not tell its name"),
    key("wifi.auto_join", Flag, "`true`", "Devices join it whenever it is near"),
    key("wifi.random_address", Flag, "`true`", "Devices show it a random hardware address"),
    key("supervision.identity", OneOrMore(&Path), "none", "Supervision identity, PEM or PKCS#12 with its key, or a list of up to ten: see [Supervised devices](#supervised-devices)"),
    key("supervision.password_file", Path, "none", "File with their password, one line"),
    key("supervision.password_env", Text, "none", "Environment variable that holds their password, instead of a file"),
    key("prepare.organization", Text, "none", "Name of the organisation, shown on prepared devices; as `--organization`. All of this section can be said by flags of `enlist prepare`"),
    key("prepare.department", Text, "none", "Its department, shown in Setup Assistant"),
    key("prepare.support_phone", Text, "none", "Telephone of its help desk"),
    key("prepare.support_email", Text, "none", "Mail address of its help desk"),
    key("prepare.supervised", Flag, "`false`", "Supervise the device, with the identities of `[supervision]`"),
    key("prepare.allow_pairing", Flag, "`true`", "Whether computers without a supervision identity may pair with it"),
    key("prepare.skip", List(&Text), "none", "List of panes of Setup Assistant that are not shown, such as `[\"Siri\", \"Location\"]`"),
    key("prepare.enrollment_url", Text, "none", "Address at which Setup Assistant fetches its enrollment"),
    key("prepare.user", Flag, "`false`", "The enrollment binds a user, who has 24 hours"),
    key("api.listen", Text, "`127.0.0.1:7417`", "Where `serve` serves page and API, or `off`; as `--listen`, which outranks it"),
    key("api.token_file", Path, "none", "File with the token whoever asks must show; at least 20 characters"),
    key("api.tls_cert", Path, "none", "PEM file with the certificate chain of page and API"),
    key("api.tls_key", Path, "none", "PEM file with its key"),
    key("api.hosts", List(&Text), "none", "List of further names of this computer that browsers may ask for"),
    key("api.kiosk", Flag, "false", "Page and API can be looked at only; as `--kiosk`"),
    key("bays", Bays, "none", "Names of bays by port, at most 24 characters each: see [Bays and ports](#bays-and-ports)"),
    key("blueprints", Path, "none", "Folder of blueprints: see [Blueprints](#blueprints)"),
    key("batch.unexpected", OneOf(&["refuse", "ask", "allow"]), "`refuse`", "What becomes of devices that a manifest does not name: `refuse`, `ask` or `allow`"),
    key("batch.stop_after", Whole(0, u32::MAX as u64), "5", "A batch stops after so many equal faults in a row; 0 never stops it"),
    key("hooks.on", OneOrMore(&Text), "none", "After which jobs: an outcome such as `enrolled`, a list of them, or `ended` for all. Each `[[hooks]]` is a command of yours"),
    key("hooks.command", List(&Text), "none", "The command and its arguments, without a shell. It reads one line of JSON about the device; the end of what it prints is kept in the journal and shown with its job"),
    key("hooks.within", Whole(1, 3600), "30", "Seconds it may take; 1 to 3600. Then it is killed with all that it started"),
];

/// Keys without which their section says nothing.
const REQUIRED: [(&str, &str); 3] = [("wifi", "ssid"), ("hooks", "on"), ("hooks", "command")];

/// Another name that a key has, for files that were written for others.
const ALIAS: (&str, &str) = ("wifi.security", "wifi.encryption");

impl Kind {
    fn schema(self) -> Value {
        match self {
            Text => json!({ "type": "string" }),
            Short(most) => json!({ "type": "string", "minLength": 1, "maxLength": most }),
            Path => json!({ "type": "string", "minLength": 1 }),
            Flag => json!({ "type": "boolean" }),
            Whole(least, most) if most >= i64::MAX as u64 => json!({ "type": "integer", "minimum": least }),
            Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            OneOf(words) => json!({ "type": "string", "enum": words }),
            List(kind) => json!({ "type": "array", "items": kind.schema() }),
            OneOrMore(kind) => {
                json!({ "anyOf": [kind.schema(), { "type": "array", "items": kind.schema() }] })
            }
            Bays => json!({
                "type": "object",
                "additionalProperties": { "type": "string", "minLength": 1, "maxLength": 24 },
            }),
        }
    }
}

impl Key {
    fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".into(), plain(self.meaning).into());
            let default = match self.kind {
                Flag => self.default.trim_matches('`').parse().ok().map(Value::Bool),
                Whole(..) => self
                    .default
                    .split(|c: char| !c.is_ascii_digit())
                    .next()
                    .and_then(|n| n.parse().ok())
                    .map(Value::Number),
                OneOf(words) => {
                    words.iter().find(|word| self.default == format!("`{word}`")).map(|word| json!(word))
                }
                _ => None,
            };
            schema.extend(default.map(|default| ("default".to_owned(), default)));
        }
        schema
    }
}

/// Markdown as plain text: no backticks, and of a link its words.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        plain += before;
        match link.split_once("](").and_then(|(words, to)| Some((words, to.split_once(')')?.1))) {
            Some((words, after)) => {
                plain += words;
                rest = after;
            }
            None => {
                plain.push('[');
                rest = link;
            }
        }
    }
    (plain + rest).replace('`', "")
}

/// The JSON Schema (2020-12) of the configuration file.
pub fn schema() -> Value {
    let mut top = Map::new();
    for key in KEYS {
        add(&mut top, key.name, key.schema());
        if key.name == ALIAS.0 {
            add(&mut top, ALIAS.1, key.schema());
        }
    }
    if let Some(hooks) = top.remove("hooks") {
        top.insert("hooks".into(), json!({ "type": "array", "items": hooks }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Enlist",
        "type": "object",
        "additionalProperties": false,
        "properties": top,
    })
}

fn add(top: &mut Map<String, Value>, name: &str, schema: Value) {
    let Some((section, key)) = name.split_once('.') else {
        top.insert(name.to_owned(), schema);
        return;
    };
    let required: Vec<_> = REQUIRED.iter().filter(|(of, _)| *of == section).map(|(_, key)| *key).collect();
    let of = top.entry(section).or_insert_with(
        || json!({ "type": "object", "additionalProperties": false, "required": required, "properties": {} }),
    );
    of["properties"][key] = schema;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// What a key has to stand beside.
    fn context(name: &str) -> &'static str {
        match name {
            "wifi.ssid" => "security = 'none'",
            "wifi.password_file" | "wifi.password_env" => "ssid = 'a'",
            "wifi.security" | "wifi.encryption" => "ssid = 'a'\npassword_env = 'X'",
            name if name.starts_with("wifi.") => "ssid = 'a'\nsecurity = 'none'",
            "supervision.password_file" | "supervision.password_env" => "identity = 'a'",
            "prepare.allow_pairing" => "supervised = true",
            "hooks.on" => "command = ['x']",
            "hooks.command" => "on = 'ended'",
            "hooks.within" => "on = 'ended'\ncommand = ['x']",
            _ => "",
        }
    }

    fn accepts(name: &str, value: &str) -> Result<(), String> {
        let (key, context) = (name.rsplit('.').next().unwrap(), context(name));
        let text = match name.split_once('.') {
            Some(("hooks", _)) => format!("[[hooks]]\n{key} = {value}\n{context}"),
            Some((section, _)) => {
                let context = if value == "'none'" { "ssid = 'a'" } else { context };
                let identity =
                    if name.starts_with("prepare.") { "[supervision]\nidentity = 'a'\n" } else { "" };
                format!("{identity}[{section}]\n{key} = {value}\n{context}")
            }
            None => format!("{key} = {value}"),
        };
        Config::parse(&text, std::path::Path::new("x")).map(drop).map_err(|e| format!("{text}: {e}"))
    }

    /// Values that fit a kind, and values that do not.
    fn samples(name: &str, kind: Kind) -> (Vec<String>, Vec<String>) {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        match kind {
            Text if name == "prepare.enrollment_url" => (texts(&["'https://mdm.example/x'"]), texts(&["7"])),
            Text if name == "hooks.on" => (texts(&["'ended'", "'enrolled'"]), texts(&["7"])),
            Text | Path => (texts(&["'Something'"]), texts(&["7", "true"])),
            Short(most) => (
                vec![format!("'{}'", "a".repeat(most))],
                vec![format!("'{}'", "a".repeat(most + 1)), "''".into()],
            ),
            Flag => (texts(&["true", "false"]), texts(&["'yes'", "1"])),
            Whole(least, most) => {
                let mut bad = texts(&["'x'", "1.5", "-1"]);
                bad.extend((least > 0).then(|| (least - 1).to_string()));
                bad.extend((most < i64::MAX as u64).then(|| (most + 1).to_string()));
                (vec![least.to_string(), most.to_string()], bad)
            }
            OneOf(words) => {
                (words.iter().map(|word| format!("'{word}'")).collect(), texts(&["'zebra'", "7"]))
            }
            List(kind) => {
                let (good, bad) = samples(name, *kind);
                let list = |values: &Vec<String>| {
                    values.iter().map(|value| format!("[{value}]")).collect::<Vec<_>>()
                };
                (list(&good), [list(&bad), texts(&["7"])].concat())
            }
            OneOrMore(kind) => {
                let ((good, bad), (goods, _)) = (samples(name, *kind), samples(name, List(kind)));
                ([good, goods].concat(), bad)
            }
            Bays => (texts(&["{ '1-4' = 'Left' }"]), texts(&["7", "{ '1-4' = '' }", "{ '1-4' = 7 }"])),
        }
    }

    #[test]
    fn the_file_is_read_as_the_table_says() {
        let mut wrong = Vec::new();
        for key in KEYS {
            let (good, bad) = samples(key.name, key.kind);
            wrong.extend(good.iter().filter_map(|value| accepts(key.name, value).err()));
            let taken = bad.iter().filter(|value| accepts(key.name, value).is_ok());
            wrong.extend(taken.map(|value| format!("{} = {value} is taken", key.name)));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        accepts(ALIAS.1, "'wpa2'").unwrap();
    }

    #[test]
    fn the_schema_has_every_key_with_words_and_defaults() {
        let schema = schema();
        let at = |name: &str| {
            let pointer = name.replace("hooks.", "hooks/items/").replace('.', "/properties/");
            let pointer = pointer.replace("items/", "items/properties/");
            schema.pointer(&format!("/properties/{pointer}")).unwrap_or_else(|| panic!("{name}")).clone()
        };
        for key in KEYS {
            let words = at(key.name)["description"].as_str().unwrap().to_owned();
            assert!(!words.is_empty() && !words.contains('`') && !words.contains("]("), "{words}");
        }
        assert_eq!(at("enroll.accept_within")["default"], 480);
        assert_eq!(at("mux.way")["default"], "auto");
        assert_eq!(at("api.kiosk")["default"], false);
        assert_eq!(at("wifi.encryption")["enum"], at("wifi.security")["enum"]);
        assert_eq!(schema["properties"]["hooks"]["items"]["required"], json!(["on", "command"]));
        assert_eq!(schema["properties"]["api"]["additionalProperties"], false);
    }
}
