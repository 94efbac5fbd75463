//! `advise`, row by row: a "use when" row gives its method, a "not for" row does not.

use super::*;

type Answers = Vec<(Question, &'static str)>;

/// A case that each method is made for, with every question answered.
fn typical(method: Method) -> Answers {
    use Question as Q;
    let of = |platform, owner, users, state, erase, supervision, abm, accounts, scope| {
        vec![
            (Q::Platform, platform),
            (Q::Owner, owner),
            (Q::Users, users),
            (Q::OtherMdm, "no"),
            (Q::State, state),
            (Q::Erase, erase),
            (Q::Supervision, supervision),
            (Q::Abm, abm),
            (Q::Station, "yes"),
            (Q::Dem, "no"),
            (Q::Accounts, accounts),
            (Q::Scope, scope),
            (Q::Network, "good"),
            (Q::Os, "18.2"),
            (Q::Count, "1"),
        ]
    };
    match method {
        Method::Direct => {
            of("ipad", "organisation", "none", "in-use", "no", "not-needed", "no", "no", "device")
        }
        Method::SetupAssistant => {
            of("iphone", "organisation", "one", "in-use", "yes", "wanted", "no", "no", "device")
        }
        Method::DirectMac => {
            of("mac", "organisation", "none", "in-use", "no", "not-needed", "no", "no", "device")
        }
        Method::Automated => {
            of("iphone", "organisation", "none", "new", "no", "wanted", "yes", "no", "device")
        }
        Method::User => of("iphone", "person", "one", "in-use", "no", "not-needed", "no", "yes", "work-apps"),
        Method::Byod => of("iphone", "person", "one", "in-use", "no", "not-needed", "no", "no", "device"),
    }
}

fn case(answers: &Answers) -> Case {
    Case::of(answers).unwrap()
}

/// Every answer to the question of `fact`; versions and numbers by way of example.
fn answers_to(question: Question) -> Vec<&'static str> {
    match question {
        Question::Os => vec!["12.0", "14.8", "16.0", "18.2"],
        Question::Count => vec!["1", "300"],
        other => other.choices().to_vec(),
    }
}

/// The typical case, changed so that `fact` is true of it: as few answers as possible.
fn made_true(method: Method, fact: Fact) -> Answers {
    let mut answers = typical(method);
    if let Fact::OsBelow(platform, ..) = fact {
        answers.push((Question::Platform, platform.name()));
    }
    for text in answers_to(fact.question()) {
        let mut changed = answers.clone();
        changed.push((fact.question(), text));
        if fact.holds(&case(&changed)) == Some(true) {
            return changed;
        }
    }
    panic!("nothing makes {fact:?} true")
}

/// The typical case, changed so that none of `facts` is true of it.
fn made_false(method: Method, facts: &[Fact]) -> Answers {
    let mut answers = typical(method);
    for fact in facts {
        let other = answers_to(fact.question()).into_iter().find(|text| {
            let mut changed = answers.clone();
            changed.push((fact.question(), text));
            let case = case(&changed);
            facts.iter().filter(|f| f.question() == fact.question()).all(|f| f.holds(&case) == Some(false))
        });
        answers.push((fact.question(), other.unwrap_or_else(|| panic!("{fact:?} is always true"))));
    }
    answers
}

#[test]
fn each_typical_case_gives_its_method_first_and_leaves_nothing_open() {
    for method in Method::ALL {
        let advice = advise(&case(&typical(method)));
        assert_eq!(advice.fits.first().map(|f| f.method), Some(method), "{advice:#?}");
        assert_eq!(advice.open, []);
        assert_eq!(advice.fits.len() + advice.misfits.len(), Method::ALL.len());
    }
}

#[test]
fn each_use_when_row_gives_its_method() {
    let mut rows = 0;
    for method in Method::ALL {
        for row in method.conditions().iter().filter(|c| c.kind == Kind::UseWhen) {
            for fact in row.facts {
                rows += 1;
                let advice = advise(&case(&made_true(method, *fact)));
                let first = advice.fits.first().unwrap_or_else(|| panic!("{method}: {fact:?}: {advice:#?}"));
                assert_eq!(first.method, method, "{fact:?}: {advice:#?}");
                let cited = first.because.iter().any(|r| r.words == row.words && r.rules == row.rules);
                assert!(cited, "{method}: {} is not among the reasons", row.words);
            }
        }
    }
    assert!(rows > 30, "{rows}");
}

#[test]
fn each_not_for_row_rules_its_method_out() {
    let mut rows = 0;
    let ruled_out = |method: Method, row: &Condition, answers: &Answers| {
        let advice = advise(&case(answers));
        assert!(advice.fits.iter().all(|f| f.method != method), "{method}: {}", row.words);
        let misfit = advice.misfits.iter().find(|m| m.method == method).unwrap();
        assert!(misfit.because.iter().any(|r| r.rules == row.rules && r.words == row.words), "{misfit:?}");
    };
    for method in Method::ALL {
        for row in method.conditions().iter().filter(|c| c.kind == Kind::NotFor) {
            for fact in row.facts {
                rows += 1;
                ruled_out(method, row, &made_true(method, *fact));
            }
        }
        for row in method.conditions().iter().filter(|c| c.kind == Kind::Needs) {
            rows += 1;
            ruled_out(method, row, &made_false(method, row.facts));
        }
    }
    assert!(rows > 35, "{rows}");
}

#[test]
fn rows_to_mind_are_told_with_a_method_that_fits() {
    for method in Method::ALL {
        for row in method.conditions().iter().filter(|c| c.kind == Kind::Mind) {
            for fact in row.facts {
                let advice = advise(&case(&made_true(method, *fact)));
                let told = advice.fits.iter().find(|f| f.method == method);
                // Some belong to answers that rule out the typical method otherwise.
                let told = told.map(|fit| fit.mind.iter().any(|r| r.words == row.words));
                assert_ne!(told, Some(false), "{method}: {}", row.words);
            }
        }
    }
}

#[test]
fn the_export_is_chosen_by_system() {
    let minds = |method, platform, os| {
        let mut answers = typical(method);
        answers.extend([(Question::Platform, platform), (Question::Os, os)]);
        let advice = advise(&case(&answers));
        advice.fits[0].mind.iter().any(|r| r.words.contains("SCEP export"))
    };
    assert!(minds(Method::Direct, "iphone", "15.8") && !minds(Method::Direct, "iphone", "16.0"));
    assert!(minds(Method::Direct, "ipad", "16.0") && !minds(Method::Direct, "ipad", "16.1"));
    assert!(minds(Method::DirectMac, "mac", "13.0") && !minds(Method::DirectMac, "mac", "13.1"));
}

/// Only what could still rule something out is asked, and every answer asks for less.
#[test]
fn questions_end() {
    let nothing = advise(&Case::default());
    assert_eq!(nothing.fits.len(), Method::ALL.len());
    assert_eq!(nothing.open.first(), Some(&Question::Platform));
    for method in Method::ALL {
        let wanted = case(&typical(method)).answers();
        let (mut known, mut asked) = (Case::default(), 0);
        while let Some(question) = advise(&known).open.first().copied() {
            let (_, answer) = wanted.iter().find(|(flag, _)| *flag == question.flag()).unwrap();
            known.answer(question, answer).unwrap();
            asked += 1;
        }
        assert!(asked <= 10, "{method}: {asked} questions");
        assert_eq!(advise(&known).fits.first().map(|f| f.method), Some(method), "{method}");
    }
    let personal = Case::of(&[(Question::Platform, "iphone"), (Question::Owner, "person")]).unwrap();
    assert!(!advise(&personal).open.contains(&Question::Abm));
}

#[test]
fn answers_are_read_or_refused_in_words() {
    let mut case = Case::default();
    for question in Question::ALL {
        let error = case.answer(*question, "nonsense").unwrap_err().to_string();
        assert!(error.starts_with(question.flag()) && error.contains("'nonsense'"), "{error}");
        for text in answers_to(*question) {
            case.answer(*question, text).unwrap();
        }
    }
    assert_eq!(case.answers().len(), Question::ALL.len());
    assert!(case.answer(Question::Count, "0").is_err());
}
