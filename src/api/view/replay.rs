//! How a replay went.

use crate::transport::replay::Mismatch;
use crate::wire::printable::printable;
use serde::Serialize;
use std::fmt;

/// A replayed recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayView {
    /// Its folder.
    pub recording: String,
    /// Where it comes from: `simulator`, `constructed` or `hardware`.
    pub origin: String,
    /// It ended as it was recorded; with changed answers: it ended in words.
    pub ok: bool,
    /// Always true: no device was there.
    pub simulated: bool,
    /// Frames it holds.
    pub frames: usize,
    /// Answers were changed at random by this seed.
    pub seed: Option<u64>,
    /// How many were.
    pub changed: usize,
    /// How it ended then.
    pub recorded: Option<ResultView>,
    /// How it ended now, if it did.
    pub reached: Option<ResultView>,
    /// Where the station went another way.
    pub difference: Option<MismatchView>,
    /// All that in words.
    pub sentence: String,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResultView {
    /// Machine name of the outcome.
    pub outcome: String,
    /// Who must act.
    pub class: String,
    /// Pushes.
    pub pushes: u32,
    /// The device's last errors, outermost first: domain and code. What a recording does not
    /// say is not compared.
    pub chain: Option<Vec<String>>,
}

impl ResultView {
    /// True if a job that was to end so ended as `now`.
    pub fn is_met_by(&self, now: &Self) -> bool {
        let chain = self.chain.as_ref().and(now.chain.clone());
        *self == Self { chain, ..now.clone() }
    }
}

impl fmt::Display for ResultView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.pushes == 1 { "push" } else { "pushes" };
        write!(f, "{} (class {}, {} {times}", self.outcome, self.class, self.pushes)?;
        match self.chain.as_deref() {
            None | Some([]) => write!(f, ")"),
            Some(chain) => write!(f, ", {})", printable(&chain.join(" < "))),
        }
    }
}

/// Where a station went another way than was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MismatchView {
    /// File of the recorded line.
    pub file: String,
    /// Its number.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
    /// Field by field.
    pub fields: Vec<FieldView>,
}

/// A field of a request, then and now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldView {
    /// Its path.
    pub field: String,
    /// What was recorded.
    pub recorded: Option<String>,
    /// What came; secrets as placeholders.
    pub now: Option<String>,
}

impl MismatchView {
    /// Of what the replay found.
    pub fn of(mismatch: Mismatch) -> Self {
        let field = |(field, recorded, now)| FieldView { field, recorded, now };
        Self {
            file: mismatch.path.display().to_string(),
            line: mismatch.line,
            reason: mismatch.reason,
            fields: mismatch.fields.into_iter().map(field).collect(),
        }
    }
}
