//! README says what the program does, in the program's own words.

use super::{none, read};
use enlist::config::keys;
use enlist::sim::Persona;
use enlist::workflow::outcome::Outcome;
use enlist::workflow::policy::{Policy, SetupAssistant};
use std::process::Command;

/// The text under a heading, up to the next of the same level.
fn section(title: &str) -> String {
    let readme = read("README.md");
    let start = readme.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("README has no '{title}'"));
    let rest = &readme[start + 4..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

/// Rows of a section's tables, without their heads; cells without backticks.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<_> = text.lines().collect();
    let head = |n: usize| lines.get(n + 1).is_some_and(|next| next.starts_with("|--"));
    let row = |line: &str| -> Vec<String> {
        let inner = line.trim_matches('|').trim();
        inner.split(" | ").map(|cell| cell.trim().replace('`', "")).collect()
    };
    let body = lines.iter().enumerate().filter(|(n, l)| l.starts_with("| ") && !head(*n));
    body.map(|(_, line)| row(line)).collect()
}

/// Rows of the table whose head begins with `first`.
fn table(title: &str, first: &str) -> Vec<Vec<String>> {
    let text = section(title);
    let start =
        text.find(&format!("| {first} |")).unwrap_or_else(|| panic!("'{title}' has no table '{first}'"));
    let rest = &text[start..];
    rows(&rest[..rest.find("\n\n").unwrap_or(rest.len())])
}

fn column(rows: &[Vec<String>], n: usize) -> Vec<&str> {
    rows.iter().map(|row| row[n].as_str()).collect()
}

fn enlist(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_enlist")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap()
}

/// Name and description of each subcommand.
fn subcommands() -> Vec<(String, String)> {
    let help = enlist(&["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let parts = list.lines().filter_map(|line| line.trim().split_once(' '));
    let parts = parts.map(|(name, about)| (name.to_owned(), about.trim().to_owned()));
    parts.filter(|(name, _)| name != "help").collect()
}

#[test]
fn readme_lists_every_subcommand_with_its_own_words() {
    let rows = table("Commands", "Command");
    let mut wrong = Vec::new();
    for (name, about) in subcommands() {
        let row = rows.iter().find(|row| row[0].split(' ').nth(1) == Some(&name));
        match row {
            None => wrong.push(format!("enlist {name} is missing")),
            // Where there are nested subcommands, their own words count.
            Some(row)
                if row[1].starts_with(&about) || ["bays", "export", "profile"].contains(&name.as_str()) => {}
            Some(row) => wrong.push(format!("enlist {name}: '{}' instead of '{about}'", row[1])),
        }
    }
    let known = subcommands();
    let unknown = rows.iter().filter(|row| !known.iter().any(|(n, _)| row[0].split(' ').nth(1) == Some(n)));
    wrong.extend(unknown.map(|row| format!("there is no {}", row[0])));
    none("README, Commands", &wrong);
}

#[test]
fn commands_shown_in_readme_exist() {
    let readme = read("README.md");
    let known = subcommands();
    let shown = readme.lines().filter(|l| l.starts_with("    ")).flat_map(|l| {
        let words: Vec<_> = l.split_whitespace().collect();
        let at = words.iter().position(|w| *w == "enlist" || *w == "--")?;
        words.get(at + 1).filter(|w| !w.starts_with('-')).map(|w| (*w).to_owned())
    });
    let shown: Vec<_> = shown.collect();
    assert!(shown.len() >= 5, "{shown:?}");
    none(
        "README shows",
        &shown.into_iter().filter(|w| !known.iter().any(|(n, _)| n == w)).collect::<Vec<_>>(),
    );
}

#[test]
fn readme_has_the_exit_codes_of_help() {
    let help = enlist(&["--help"]).replace('\n', " ");
    let listed = help.split("Exit codes: ").nth(1).unwrap().split('.').next().unwrap().to_owned();
    let said: Vec<_> =
        table("Exit codes", "Code").iter().map(|row| format!("{} {}", row[0], row[1])).collect();
    assert_eq!(said.join(", "), listed);
}

#[test]
fn readme_has_the_outcomes_of_the_program() {
    let rows = table("Outcomes", "Outcome");
    let said: Vec<_> = rows.iter().map(|row| row.join(" | ")).collect();
    let meant: Vec<_> = Outcome::ALL
        .iter()
        .map(|o| {
            let cells = [o.name(), o.sentence(), o.class().name(), o.next().unwrap_or_default()];
            cells.join(" | ").trim_end_matches(' ').trim_end_matches(" |").to_owned()
        })
        .collect();
    assert_eq!(said.len(), meant.len(), "README, Outcomes: number of rows");
    for (said, meant) in said.iter().zip(&meant) {
        assert_eq!(said.trim_end_matches(" |").trim_end(), meant.trim_end());
    }
}

/// Keys by section, as the structs of config.rs have them.
fn configuration_keys() -> Vec<String> {
    let files = ["src/config.rs", "src/config/prepare.rs", "src/config/supervision.rs", "src/config/wifi.rs"];
    let source = files.map(read).concat();
    let fields = |name: &str| -> Vec<String> {
        let body =
            source.split(&format!("pub struct {name} {{")).nth(1).unwrap().split("\n}").next().unwrap();
        let fields = body.lines().filter_map(|l| l.trim().strip_prefix("pub "));
        fields.map(|field| field.split(':').next().unwrap().to_owned()).collect()
    };
    let mut keys = Vec::new();
    for key in fields("Config") {
        let section = match key.as_str() {
            "api" => "ApiConfig",
            "mux" => "MuxConfig",
            "enroll" => "EnrollConfig",
            "wifi" => "WifiConfig",
            "supervision" => "SupervisionConfig",
            "prepare" => "PrepareConfig",
            "batch" => "BatchConfig",
            "hooks" => "HookConfig",
            _ => {
                keys.push(key);
                continue;
            }
        };
        keys.extend(fields(section).into_iter().map(|inner| format!("{key}.{inner}")));
    }
    keys
}

#[test]
fn readme_lists_every_key_with_its_default() {
    let rows = table("Configuration", "Key");
    assert_eq!(column(&rows, 0), configuration_keys());
    let table = |text: &str| text.replace('`', "");
    let keys = keys::KEYS.iter().map(|k| vec![table(k.name), table(k.default), table(k.meaning)]);
    assert_eq!(rows, keys.collect::<Vec<_>>(), "README differs from src/config/keys.rs");
    let default = |key: &str| rows.iter().find(|row| row[0] == key).unwrap()[1].clone();
    let policy = Policy::default();
    let setup_assistant = match policy.setup_assistant {
        SetupAssistant::Push => "push",
        SetupAssistant::Hold => "hold",
    };
    assert_eq!(default("mux.way"), "auto");
    assert_eq!(enlist::config::MuxWay::default(), enlist::config::MuxWay::Auto);
    assert_eq!(default("mux.socket"), enlist::transport::usbmuxd::MuxAddress::default().to_string());
    assert_eq!(default("enroll.person_within"), policy.person_within.as_secs().to_string());
    assert_eq!(default("enroll.accept_within"), policy.accept_within.as_secs().to_string());
    assert_eq!(default("enroll.pushes"), policy.pushes.to_string());
    assert_eq!(default("enroll.setup_assistant"), setup_assistant);
    assert_eq!(default("enroll.replug_within"), policy.replug_within.as_secs().to_string());
    assert_eq!(default("enroll.policies_within"), policy.policies_within.as_secs().to_string());
}

#[test]
fn readme_lists_every_variable_that_is_read() {
    let source = read("src/config.rs");
    let body = source.split("pub fn read() -> Self {").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let mut read: Vec<_> = body.split('"').skip(1).step_by(2).collect();
    let rows = table("Configuration", "Variable");
    let mut said = column(&rows, 0);
    read.sort_unstable();
    said.sort_unstable();
    assert_eq!(said, read);
}

#[test]
fn examples_of_files_in_readme_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let example = |title: &str| {
        let text = section(title);
        text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
    };
    let path = folder.path().join("enlist.toml");
    std::fs::write(&path, example("Configuration")).unwrap();
    enlist::config::Config::read(&path).unwrap();
    let fleet = enlist::sim::scenario::read(&example("The simulator"), enlist::clock::Clock::System).unwrap();
    assert_eq!(fleet.devices, 8);
    // With every line that the table of the rig allows.
    let lines = table("The rig", "Line of the device");
    let rig = format!("{}{}\nserial = 'C39ABCDEFG'\n", example("The rig"), column(&lines, 0).join("\n"));
    let rig = enlist::api::rig::RigFile::parse(&rig, &path).unwrap();
    assert!(rig.devices[0].may_erase && rig.devices[0].hands.len() == 2 && lines.len() == 7);
}

#[test]
fn readme_lists_every_persona_with_its_own_words() {
    let source = read("src/sim/persona.rs");
    let list = source.split("personas! {\n    ///").nth(1).unwrap();
    let mut about = String::new();
    let mut meant = Vec::new();
    for line in format!("    ///{list}").lines().map(str::trim).take_while(|l| *l != "}") {
        if let Some(words) = line.strip_prefix("/// ") {
            about = [about.as_str(), words].join(" ").trim().to_owned();
        } else if let Some((_, name)) = line.split_once(" = ") {
            let name = name.trim_matches(|c| c == '"' || c == ',').to_owned();
            meant.push(vec![name, std::mem::take(&mut about)]);
        }
    }
    assert_eq!(meant.len(), Persona::ALL.len());
    assert_eq!(table("The simulator", "Persona"), meant);
}

#[test]
fn readme_lists_every_verb_of_the_control_channel() {
    let said = enlist(&["sim", "control", "/nowhere", "no-such-verb"]);
    let known: Vec<_> = said.split('`').skip(1).step_by(2).skip(1).collect();
    assert!(known.len() > 10, "{said}");
    let listed = format!("The verbs are `{}`.", known.join("`, `"));
    assert!(section("The simulator").contains(&listed), "README should say: {listed}");
}

#[test]
fn readme_has_the_card_that_screens_show() {
    let steps = enlist::workflow::methods::CARD;
    let numbered: Vec<_> = steps.iter().enumerate().map(|(n, step)| format!("{}. {step}", n + 1)).collect();
    assert!(section("First enrollment").contains(&numbered.join("\n")), "{numbered:#?}");
}
