//! TOML that a person wrote: where it is wrong, and which key was probably meant.

use serde::de::DeserializeOwned;

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlFault {
    /// Line and column, from 1.
    pub place: Option<(usize, usize)>,
    /// What is wrong, with a suggestion where there is one.
    pub message: String,
}

impl TomlFault {
    /// A fault at this byte of `text`.
    pub fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self { place: Some(line_and_column(text, offset)), message: message.into() }
    }
}

impl std::fmt::Display for TomlFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{line}:{column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Reads a text.
///
/// # Errors
/// It is no TOML, or says what `T` does not know.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, TomlFault> {
    toml::from_str(text).map_err(|error| TomlFault {
        place: error.span().map(|span| line_and_column(text, span.start)),
        message: with_suggestion(error.message()),
    })
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line, column)
}

/// Serde lists the keys it expected; name the nearest one.
fn with_suggestion(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let first_line = message.lines().next().unwrap_or(message);
    let Some(unknown) = quoted.next().filter(|_| message.starts_with("unknown")) else {
        return first_line.to_owned();
    };
    let nearest = quoted.map(|known| (distance(unknown, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= known.len().max(3) / 2 => {
            format!("unknown key '{unknown}'; did you mean '{known}'?")
        }
        _ => first_line.to_owned(),
    }
}

/// Edits between two words (Levenshtein), for suggestions only.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let edit = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], edit);
        }
    }
    row[b.len()]
}
