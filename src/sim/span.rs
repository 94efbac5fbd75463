//! Spans of time as people write them: `500ms`, `1.5s`, `8m`, `never`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Longest span accepted: a simulated person who needs longer than this does not exist.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The text is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a span of time: expected a number with ms, s, m or h, such as 500ms or 2m")]
pub struct BadSpan {
    text: String,
}

/// Reads a span: a number and one of `ms`, `s`, `m`, `h`.
///
/// # Errors
/// [`BadSpan`] for anything else, and for spans above a week.
pub fn parse_span(text: &str) -> Result<Duration, BadSpan> {
    let bad = || BadSpan { text: text.chars().take(40).collect() };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
    let number: f64 = text[..digits].parse().map_err(|_| bad())?;
    let unit = match &text[digits..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(bad()),
    };
    let span = Duration::try_from_secs_f64(number * unit).map_err(|_| bad())?;
    if span > LONGEST { Err(bad()) } else { Ok(span) }
}

/// Writes a span so that [`parse_span`] reads it back.
pub fn show_span(span: Duration) -> String {
    let ms = span.as_millis();
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

/// When somebody does something: after a span, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum After {
    /// After this span.
    In(Duration),
    /// Never.
    Never,
}

impl After {
    /// After `seconds`.
    pub const fn secs(seconds: u64) -> Self {
        Self::In(Duration::from_secs(seconds))
    }
}

impl FromStr for After {
    type Err = BadSpan;
    fn from_str(text: &str) -> Result<Self, BadSpan> {
        if text == "never" { Ok(Self::Never) } else { parse_span(text).map(Self::In) }
    }
}

impl TryFrom<String> for After {
    type Error = BadSpan;
    fn try_from(text: String) -> Result<Self, BadSpan> {
        text.parse()
    }
}

impl From<After> for String {
    fn from(after: After) -> Self {
        after.to_string()
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(span) => f.write_str(&show_span(*span)),
            Self::Never => f.write_str("never"),
        }
    }
}

/// A span in a scenario file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = BadSpan;
    fn try_from(text: String) -> Result<Self, BadSpan> {
        parse_span(&text).map(Self)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        show_span(span.0)
    }
}

/// Delay of each answer of a device: a fixed part and a random one on top. Connections and
/// TLS handshakes count as one message each. Written `5ms` or `5ms+2ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Latency {
    /// Always waited.
    pub fixed: Duration,
    /// Upper bound of what is waited on top, evenly spread.
    pub jitter: Duration,
}

impl Latency {
    /// A latency without jitter.
    pub const fn fixed(fixed: Duration) -> Self {
        Self { fixed, jitter: Duration::ZERO }
    }

    /// One delay.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Duration {
        self.fixed + self.jitter.mul_f64(if self.jitter.is_zero() { 0.0 } else { rng.f64() })
    }
}

impl FromStr for Latency {
    type Err = BadSpan;
    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let (fixed, jitter) = text.split_once('+').unwrap_or((text, "0s"));
        Ok(Self { fixed: parse_span(fixed)?, jitter: parse_span(jitter)? })
    }
}

impl TryFrom<String> for Latency {
    type Error = BadSpan;
    fn try_from(text: String) -> Result<Self, BadSpan> {
        text.parse()
    }
}

impl From<Latency> for String {
    fn from(latency: Latency) -> Self {
        latency.to_string()
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_span(self.fixed))?;
        if self.jitter.is_zero() { Ok(()) } else { write!(f, "+{}", show_span(self.jitter)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back() {
        for (text, ms) in [("500ms", 500), ("1.5s", 1500), ("8m", 480_000), ("1h", 3_600_000), ("0s", 0)] {
            let span = parse_span(text).unwrap();
            assert_eq!(span, Duration::from_millis(ms));
            assert_eq!(parse_span(&show_span(span)), Ok(span));
        }
        for bad in ["", "5", "s", "1d", "-1s", "1e9h", "9999999h", "1..2s"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
        assert_eq!("never".parse(), Ok(After::Never));
        assert_eq!("5ms+2ms".parse::<Latency>().unwrap().to_string(), "5ms+2ms");
    }
}
