//! The answer: which methods fit a case, in which order, and why.

use super::{Case, Condition, Kind, Method, Question, R};

/// A condition that decided something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// What the condition does; a need that is not met speaks against its method.
    pub kind: Kind,
    /// The rules it rests on.
    pub rules: &'static [R],
    /// In words.
    pub words: &'static str,
}

/// A method that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// Which.
    pub method: Method,
    /// Its "use when" rows that hold here.
    pub because: Vec<Reason>,
    /// What to mind with it here.
    pub mind: Vec<Reason>,
}

/// A method that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Which.
    pub method: Method,
    /// Its "not for" rows that hold here, and its needs that are not met.
    pub because: Vec<Reason>,
}

/// What a case comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advice {
    /// Methods that fit, the best first.
    pub fits: Vec<Fit>,
    /// Methods that do not.
    pub misfits: Vec<Misfit>,
    /// Questions whose answers could still rule out one that fits so far, in the order in
    /// which they are asked. Empty: the answer is final.
    pub open: Vec<Question>,
}

/// Judges every method. Of two that fit, the one with more "use when" rows comes first.
pub fn advise(case: &Case) -> Advice {
    let mut advice = Advice::default();
    for method in Method::ALL {
        let conditions = || method.conditions().iter();
        let broken: Vec<_> = conditions().filter(|c| c.rules_out(case) == Some(true)).map(reason).collect();
        if !broken.is_empty() {
            advice.misfits.push(Misfit { method, because: broken });
            continue;
        }
        let undecided = conditions().filter(|c| c.rules_out(case).is_none());
        advice.open.extend(undecided.flat_map(|c| c.open(case)));
        let that_hold = |kind: Kind| -> Vec<Reason> {
            conditions().filter(|c| c.kind == kind && c.holds(case) == Some(true)).map(reason).collect()
        };
        advice.fits.push(Fit { method, because: that_hold(Kind::UseWhen), mind: that_hold(Kind::Mind) });
    }
    // Stable, so that equals keep the order of 4.0.
    advice.fits.sort_by_key(|fit| std::cmp::Reverse(fit.because.len()));
    advice.open.sort();
    advice.open.dedup();
    advice
}

fn reason(condition: &Condition) -> Reason {
    Reason { kind: condition.kind, rules: condition.rules, words: condition.words }
}
