//! `enlist help`: a command, an outcome, or a topic. Topics are sections of README, so that both
//! say the same.

use super::arguments::Cli;
use super::output::Output;
use crate::api::view::Exit;
use crate::api::{OperationError, Outcome};
use clap::{Args, CommandFactory};

/// What is explained, and under which heading README does.
const TOPICS: [(&str, &str); 8] = [
    ("first-hour", "First hour"),
    ("batch-day", "Batch day"),
    ("troubleshooting", "When something is wrong"),
    ("outcomes", "Outcomes"),
    ("configuration", "Configuration"),
    ("as-a-service", "As a service"),
    ("state", "State and backup"),
    ("security", "Security"),
];

const README: &str = include_str!("../../README.md");

#[derive(Debug, Args)]
pub(super) struct HelpArgs {
    /// A command, such as `profile lint`; an outcome, such as trust-denied; or a topic
    words: Vec<String>,
}

pub(super) fn run(args: &HelpArgs, output: &Output) -> Result<Exit, OperationError> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    if let Some(mut command) = command(&words) {
        output.text(&words.join(" "), &command.render_long_help().to_string());
    } else if let Some(outcome) = one(&words).and_then(|word| Outcome::ALL.iter().find(|o| o.name() == word))
    {
        explain(*outcome, output);
    } else if let Some((name, title)) =
        one(&words).and_then(|word| TOPICS.iter().find(|(name, _)| *name == word))
    {
        output.text(name, &section(title));
    } else {
        let said = format!("There is no command, outcome or topic '{}'.", words.join(" "));
        let next = format!("The topics are {}; `enlist help` lists the commands.", names());
        return Err(OperationError::new(Exit::Usage, said, next));
    }
    Ok(Exit::Done)
}

/// Names of all topics.
fn names() -> String {
    TOPICS.map(|(name, _)| name).join(", ")
}

fn one<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [word] => Some(word),
        _ => None,
    }
}

/// The command of these words; without any the program itself.
fn command(words: &[&str]) -> Option<clap::Command> {
    let mut top = Cli::command();
    top.build();
    let found = words.iter().try_fold(&top, |command, word| command.find_subcommand(word))?;
    Some(found.clone())
}

fn explain(outcome: Outcome, output: &Output) {
    let (class, exit) = (outcome.class(), Exit::of(outcome, outcome.class()).code());
    if output.json {
        return output.object(&serde_json::json!({
            "outcome": outcome.name(),
            "sentence": outcome.sentence(),
            "class": class.name(),
            "next": outcome.next(),
            "exit": exit,
        }));
    }
    output.line(format!("{outcome}: {}", outcome.sentence()));
    output.line(format!("  who must act  {class}"));
    if let Some(next) = outcome.next() {
        output.line(format!("  next          {next}"));
    }
    if outcome == Outcome::Failed {
        output.line("  Each failure has a sentence, a class and a next action of its own; `enlist history` keeps them.");
    }
    output.line(format!("  exit code     {exit}"));
}

/// A section of README, for terminals: no pictures, and of links into README their words.
fn section(title: &str) -> String {
    let start = README.split_once(&format!("\n## {title}\n")).map_or("", |(_, rest)| rest);
    let text = start.split("\n## ").next().unwrap_or_default();
    let mut plain = format!("{title}\n");
    for line in text.lines().filter(|line| !line.starts_with("![") && !line.starts_with("|--")) {
        plain += &without_links(line);
        plain.push('\n');
    }
    plain
}

fn without_links(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, link)) = rest.split_once("](#") {
        let Some((_, after)) = link.split_once(')') else { break };
        match before.rsplit_once('[') {
            Some((text, words)) => plain += &[text, words].concat(),
            None => plain += before,
        }
        rest = after;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_a_section_of_readme() {
        for (name, title) in TOPICS {
            let text = section(title);
            assert!(text.lines().count() > 5, "{name}: {text}");
            assert!(!text.contains("](#"), "{text}");
        }
    }

    #[test]
    fn no_topic_is_hidden_by_a_command_or_an_outcome() {
        for (name, _) in TOPICS {
            assert!(command(&[name]).is_none() && Outcome::ALL.iter().all(|o| o.name() != name), "{name}");
        }
        assert!(Outcome::ALL.iter().all(|o| command(&[o.name()]).is_none()));
    }

    #[test]
    fn links_become_words() {
        assert_eq!(without_links("a [b](#c) d [e](#f)."), "a b d e.");
        assert_eq!(without_links("none [here] (or there)"), "none [here] (or there)");
    }
}
