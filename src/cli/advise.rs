//! `enlist advise`: which enrollment method fits, why, and who does what for it.

use super::output::{Output, Tone};
use crate::api::advice::{
    self, MethodView, Question, ReasonView, RequirementView, ValueView, check_values, portal_values,
};
use crate::api::view::Exit;
use crate::api::{Case, Method, OperationError};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::io::{self, BufRead, IsTerminal};

/// What is known about the devices.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct AdviseArgs {
    /// What the devices are
    #[arg(long, value_parser = choices(Question::Platform))]
    platform: Option<String>,
    /// Whose they are
    #[arg(long, value_parser = choices(Question::Owner))]
    owner: Option<String>,
    /// Who will use one: nobody in particular, one person, or several in turn
    #[arg(long, value_parser = choices(Question::Users))]
    users: Option<String>,
    /// Whether another MDM manages them now
    #[arg(long, value_parser = choices(Question::OtherMdm))]
    other_mdm: Option<String>,
    /// Where they stand: never used, in Setup Assistant after an erase, or in use
    #[arg(long, value_parser = choices(Question::State))]
    state: Option<String>,
    /// Whether they may be erased
    #[arg(long, value_parser = choices(Question::Erase))]
    erase: Option<String>,
    /// Whether they must become supervised, are already, or neither
    #[arg(long, value_parser = choices(Question::Supervision))]
    supervision: Option<String>,
    /// Whether Apple Business or School Manager can and shall be used
    #[arg(long, value_parser = choices(Question::Abm))]
    abm: Option<String>,
    /// Whether a cable from this station reaches them
    #[arg(long, value_parser = choices(Question::Station))]
    station: Option<String>,
    /// Whether a device enrollment manager account is to enroll them
    #[arg(long, value_parser = choices(Question::Dem))]
    dem: Option<String>,
    /// Whether their users have Managed Apple Accounts
    #[arg(long, value_parser = choices(Question::Accounts))]
    managed_accounts: Option<String>,
    /// What shall be managed: the device, or work apps and their data only
    #[arg(long, value_parser = choices(Question::Scope))]
    scope: Option<String>,
    /// How the network is where they are enrolled
    #[arg(long, value_parser = choices(Question::Network))]
    network: Option<String>,
    /// System version on them, such as 17.2
    #[arg(long, value_name = "VERSION")]
    os: Option<String>,
    /// How many there are
    #[arg(long, value_name = "N")]
    count: Option<String>,
    /// Show one method with all its rules, by letter or name, and end
    #[arg(long, value_name = "A-F", value_parser = method, conflicts_with_all = ["rule", "rules", "value"])]
    method: Option<Method>,
    /// Explain one rule, such as R24, and end
    #[arg(long, value_name = "CODE", value_parser = rule, conflicts_with_all = ["rules", "value"])]
    rule: Option<RequirementView>,
    /// List all rules and end
    #[arg(long, conflicts_with = "value")]
    rules: bool,
    /// Check a value before it is typed into the portal, and end; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = value)]
    value: Vec<(String, String)>,
}

const AFTER_HELP: &str = "What decides and is not given is asked for at a terminal. \
Exit codes: 0 a method fits, 1 none does or a value will not do, 2 usage or answers missing.";

fn choices(question: Question) -> PossibleValuesParser {
    PossibleValuesParser::new(question.choices().iter().copied())
}

fn method(text: &str) -> Result<Method, String> {
    advice::method_named(text).ok_or_else(|| "expected a letter from A to F".into())
}

fn rule(text: &str) -> Result<RequirementView, String> {
    advice::requirement(text).ok_or_else(|| "no such rule; there are R1 to R198".into())
}

fn value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if !text.contains('=') || !portal_values().iter().any(|(known, _)| *known == name) {
        let names: Vec<_> = portal_values().iter().map(|(name, about)| format!("{name} ({about})")).collect();
        return Err(format!("expected NAME=VALUE; the names are {}", names.join("; ")));
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

impl AdviseArgs {
    fn case(&self) -> Result<Case, OperationError> {
        let given = [
            (Question::Platform, &self.platform),
            (Question::Owner, &self.owner),
            (Question::Users, &self.users),
            (Question::OtherMdm, &self.other_mdm),
            (Question::State, &self.state),
            (Question::Erase, &self.erase),
            (Question::Supervision, &self.supervision),
            (Question::Abm, &self.abm),
            (Question::Station, &self.station),
            (Question::Dem, &self.dem),
            (Question::Accounts, &self.managed_accounts),
            (Question::Scope, &self.scope),
            (Question::Network, &self.network),
            (Question::Os, &self.os),
            (Question::Count, &self.count),
        ];
        let mut case = Case::default();
        for (question, answer) in given {
            if let Some(answer) = answer {
                case.answer(question, answer).map_err(|bad| {
                    OperationError::new(Exit::Usage, format!("{bad}."), "See `enlist advise --help`.")
                })?;
            }
        }
        Ok(case)
    }
}

pub(super) fn run(args: &AdviseArgs, output: &Output) -> Result<Exit, OperationError> {
    if let Some(rule) = &args.rule {
        list(std::slice::from_ref(rule), output);
        return Ok(Exit::Done);
    }
    if args.rules {
        list(&advice::requirements(), output);
        return Ok(Exit::Done);
    }
    if !args.value.is_empty() {
        return Ok(values(&check_values(&args.value), output));
    }
    if let Some(method) = args.method {
        show(&advice::method(method), true, output);
        return Ok(Exit::Done);
    }
    let mut case = args.case()?;
    let mut input = io::stdin().lock();
    let asks = output.terminal && !output.json && input.is_terminal();
    let methods = match advice::advise(&case) {
        Err(_) if asks => ask(&mut case, &mut input, &mut |text| output.raw(text)),
        answered => answered,
    };
    let methods = methods.map_err(|open| missing(&open))?;
    methods.iter().for_each(|method| show(method, method.rank == Some(1), output));
    Ok(match methods.iter().any(|m| m.fits) {
        true => Exit::Done,
        false => {
            output.note("No method fits; what stands behind 'not' above has to change first.");
            Exit::Failed
        }
    })
}

/// Asks until nothing that decides is open. A person who closes the input leaves the rest.
fn ask(
    case: &mut Case,
    input: &mut impl BufRead,
    print: &mut dyn FnMut(&str),
) -> Result<Vec<MethodView>, Vec<Question>> {
    loop {
        let open = match advice::advise(case) {
            Ok(methods) => return Ok(methods),
            Err(open) => open,
        };
        let Some(question) = open.first().copied() else { return Err(open) };
        print(&format!("{} [{}] ", question.words(), question.expected()));
        let mut line = String::new();
        match input.read_line(&mut line) {
            Ok(read) if read > 0 => {}
            _ => return Err(open),
        }
        if let Err(bad) = case.answer(question, &line) {
            print(&format!("  {bad}\n"));
        }
    }
}

fn missing(open: &[Question]) -> OperationError {
    let flags: Vec<_> = open.iter().map(|question| question.flag()).collect();
    let next: Vec<_> = open.iter().map(|q| format!("{} {}", q.flag(), q.expected())).collect();
    OperationError::new(
        Exit::Usage,
        format!("To tell which method fits, answers are missing: {}.", flags.join(", ")),
        format!("Give them as flags ({}), or run it at a terminal to be asked.", next.join(", ")),
    )
}

fn values(judged: &[ValueView], output: &Output) -> Exit {
    for value in judged {
        let (tone, word) = if value.ok { (Tone::Good, "good") } else { (Tone::Bad, "bad") };
        match output.json {
            true => output.object(value),
            false => output.line(format!(
                "{} {}={}: {}",
                output.toned(tone, format!("{} {word}", tone.shape())),
                value.name,
                value.value,
                value.sentence
            )),
        }
    }
    if judged.iter().all(|value| value.ok) { Exit::Done } else { Exit::Failed }
}

fn list(rules: &[RequirementView], output: &Output) {
    for rule in rules {
        // A reader such as `head` may leave early.
        let text = match output.json {
            true => match serde_json::to_string(rule) {
                Ok(text) => text,
                Err(_) => continue,
            },
            false => line(rule, rules.len() == 1, output),
        };
        if output.line_if_read(text).is_err() {
            return;
        }
    }
}

fn line(rule: &RequirementView, whole: bool, output: &Output) -> String {
    let head = output.toned(Tone::Strong, format!("{:<4} {:<6}", rule.rule.to_string(), rule.verb));
    let mut text = format!("{head} {}", rule.words);
    if whole {
        let of = rule.method.map_or("all methods".to_owned(), |method| method.to_string());
        text.push_str(&format!("\n            method: {of}"));
        for (name, value) in [("code", rule.code), ("test", rule.test)] {
            text.extend(value.map(|value| format!("\n            {name}: {value}")));
        }
    }
    text
}

fn show(method: &MethodView, whole: bool, output: &Output) {
    if output.json {
        return output.object(method);
    }
    let (tone, standing) = match (method.rank, method.fits) {
        (Some(1), _) => (Tone::Good, "fits best"),
        (_, true) => (Tone::Good, "fits too"),
        _ if method.because.is_empty() => (Tone::Quiet, ""),
        _ => (Tone::Bad, "not"),
    };
    let head = output.toned(Tone::Strong, format!("{}: {}", method.letter, method.title));
    let standing = if standing.is_empty() { standing.to_owned() } else { format!("  {standing}") };
    output.line(format!("{} {head}{}", output.toned(tone, tone.shape()), output.toned(tone, standing)));
    if whole {
        output.line(format!("  {}", method.about));
    }
    reasons(&method.because, output);
    reasons(&method.mind, output);
    if whole {
        let of = |verbs: &'static [&'static str]| {
            method.requirements.iter().filter(move |r| verbs.contains(&r.verb))
        };
        part("This station does", of(&["DO", "CHECK"]), output);
        part("For a person", of(&["ADVISE"]), output);
        part("Elsewhere", of(&["OUT"]), output);
    }
}

fn reasons(reasons: &[ReasonView], output: &Output) {
    for reason in reasons {
        let rules: Vec<_> = reason.rules.iter().map(ToString::to_string).collect();
        let word = output.toned(Tone::Quiet, format!("{}:", reason.kind));
        output.line(format!("  {word} {} ({})", reason.words, rules.join(", ")));
    }
}

fn part<'a>(head: &str, rules: impl Iterator<Item = &'a RequirementView>, output: &Output) {
    let rules: Vec<_> = rules.collect();
    if !rules.is_empty() {
        output.line(format!("  {}", output.toned(Tone::Strong, format!("{head}:"))));
        rules.into_iter().for_each(|rule| output.line(format!("    {}", line(rule, false, output))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_is_asked_until_it_is_answered() {
        let typed = "ipad\nwhat?\norganisation\nnone\nno\nin-use\nno\nnot-needed\nyes\nno\n";
        let mut told = String::new();
        let mut case = Case::default();
        let methods = ask(&mut case, &mut typed.as_bytes(), &mut |text| told.push_str(text)).unwrap();
        assert_eq!((methods[0].letter, methods[0].rank), ('A', Some(1)));
        assert!(told.contains("Whose are they? [organisation|person]"), "{told}");
        assert!(told.contains("--owner takes organisation|person, not 'what?'"), "{told}");
        assert_eq!(told.matches('[').count(), 10, "nine questions, one of them twice: {told}");
    }

    #[test]
    fn a_closed_input_leaves_questions_open() {
        let open = ask(&mut Case::default(), &mut "mac\n".as_bytes(), &mut |_| {}).unwrap_err();
        assert_eq!(open.first(), Some(&Question::Owner));
        assert!(missing(&open).sentence.contains("--owner"));
    }
}
