//! Methods and requirements for screens.

pub use crate::workflow::helpers::card as helper_card;
use crate::workflow::methods::{self, Advice, Case, Method, R, Reason, Requirement};
pub use crate::workflow::methods::{
    AFTER_ENROLLMENT, BadAnswer, BadValue, CARD, Platform, Question, portal_path,
};
use serde::Serialize;

/// A requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequirementView {
    /// Such as `R24`.
    pub rule: R,
    /// Machine name of the method it belongs to; null if it concerns all.
    pub method: Option<Method>,
    /// `DO`, `CHECK`, `ADVISE` or `OUT`.
    pub verb: &'static str,
    /// What it says.
    pub words: &'static str,
    /// The code that carries it.
    pub code: Option<&'static str>,
    /// The test that shows it.
    pub test: Option<&'static str>,
}

impl RequirementView {
    fn new(requirement: &Requirement) -> Self {
        let carrier = requirement.disposition.carrier();
        Self {
            rule: requirement.rule,
            method: requirement.method(),
            verb: requirement.disposition.verb(),
            words: requirement.words,
            code: carrier.map(|carrier| carrier.code),
            test: carrier.map(|carrier| carrier.test),
        }
    }
}

/// A reason for or against a method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonView {
    /// `use when`, `mind`, `not for`, or `needs` where a need is not met.
    pub kind: &'static str,
    /// The rules it rests on.
    pub rules: &'static [R],
    /// In words.
    pub words: &'static str,
}

/// How a method stands to a case; fitting ones come first, the best of them before the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MethodView {
    /// Machine name.
    pub method: Method,
    /// Letter in the reference.
    pub letter: char,
    /// Its name.
    pub title: &'static str,
    /// What it does.
    pub about: &'static str,
    /// True if it fits.
    pub fits: bool,
    /// 1 for the best of those that fit; null for those that do not.
    pub rank: Option<usize>,
    /// Why it fits, or why not.
    pub because: Vec<ReasonView>,
    /// What to mind with it.
    pub mind: Vec<ReasonView>,
    /// All its requirements, those that concern every method last.
    pub requirements: Vec<RequirementView>,
}

/// Every method's standing, the best first; or the questions that have to be answered before.
///
/// # Errors
/// The questions that are open, in the order in which to ask them.
pub fn advise(case: &Case) -> Result<Vec<MethodView>, Vec<Question>> {
    let Advice { fits, misfits, open } = methods::advise(case);
    if !open.is_empty() {
        return Err(open);
    }
    let fitting = fits.into_iter().enumerate().map(|(n, fit)| MethodView {
        rank: Some(n + 1),
        fits: true,
        because: views(&fit.because),
        mind: views(&fit.mind),
        ..method(fit.method)
    });
    let others = misfits
        .into_iter()
        .map(|misfit| MethodView { because: views(&misfit.because), ..method(misfit.method) });
    Ok(fitting.chain(others).collect())
}

/// A method without a case.
pub fn method(method: Method) -> MethodView {
    let concerns = |r: &&Requirement| r.method().is_none_or(|of| of == method);
    MethodView {
        method,
        letter: method.letter(),
        title: method.title(),
        about: method.about(),
        fits: false,
        rank: None,
        because: Vec::new(),
        mind: Vec::new(),
        requirements: methods::requirements().iter().filter(concerns).map(RequirementView::new).collect(),
    }
}

/// The method with this letter or name.
pub fn method_named(text: &str) -> Option<Method> {
    Method::parse(text)
}

/// All requirements.
pub fn requirements() -> Vec<RequirementView> {
    methods::requirements().iter().map(RequirementView::new).collect()
}

/// The requirement with this code.
pub fn requirement(code: &str) -> Option<RequirementView> {
    R::parse(code).and_then(methods::requirement).map(RequirementView::new)
}

/// Values for the portal that can be checked, with what they are.
pub fn portal_values() -> Vec<(&'static str, &'static str)> {
    methods::VALUES.iter().map(|(name, _, about)| (*name, *about)).collect()
}

/// A value for the portal, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueView {
    /// Its name.
    pub name: String,
    /// As typed.
    pub value: String,
    /// True if it will do.
    pub ok: bool,
    /// In words.
    pub sentence: String,
}

/// Checks values that are meant together.
pub fn check_values(values: &[(String, String)]) -> Vec<ValueView> {
    let judged = |(name, value): &(String, String)| {
        let judged = methods::check_value(name, value, values);
        let ok = judged.is_ok();
        let sentence = judged.unwrap_or_else(|bad| bad.to_string());
        ValueView { name: name.clone(), value: value.clone(), ok, sentence }
    };
    values.iter().map(judged).collect()
}

fn views(reasons: &[Reason]) -> Vec<ReasonView> {
    reasons.iter().map(|r| ReasonView { kind: r.kind.words(), rules: r.rules, words: r.words }).collect()
}
