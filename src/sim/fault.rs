//! Faults as data: which message, what happens to it, how often.

use super::span::Span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One fault. Messages are requests of a host to lockdown or a plist service, counted over
/// the device's life; with `request` only those of that name count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// Only requests of this name count, such as `InstallProfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The first message hit, counted from 1.
    #[serde(default = "one")]
    pub at: u64,
    /// How many messages in a row are hit; 0 is every one from there on.
    #[serde(default = "one")]
    pub times: u64,
    /// How long `delay` and `late` delay, and when a device comes back after the cable was out
    /// or a reboot.
    #[serde(default = "a_second")]
    pub span: Span,
}

fn one() -> u64 {
    1
}

fn a_second() -> Span {
    Span(Duration::from_secs(1))
}

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The connection ends before the request is carried out.
    DropBefore,
    /// The request is carried out, then the connection ends without an answer.
    DropAfter,
    /// The request is lost on its way: never carried out, never answered; the connection stays.
    Lose,
    /// The request comes late, unless the host ends the connection before.
    Late,
    /// The request's values come as other types.
    WrongRequest,
    /// The answer comes late.
    Delay,
    /// The request is carried out and never answered; the connection stays.
    Silence,
    /// Instead of the answer: a frame of bytes that are no property list.
    Garbage,
    /// Half of the answer, then the connection ends.
    Truncate,
    /// The answer's values are of other types.
    WrongType,
    /// An answer with an error this kind of service has for "trouble here".
    Error,
    /// The cable is out before the request is carried out; back in after the span.
    Detach,
    /// The request is carried out, then the cable is out; back in after the span.
    DetachAfter,
    /// The device reboots before the request is carried out; back after the span.
    Reboot,
    /// The request is carried out, then the device reboots; back after the span.
    RebootAfter,
    /// The device locks itself, then carries the request out.
    Lock,
    /// The request is carried out and answered; the device locks itself.
    LockAfter,
}

impl Fault {
    /// A fault on the `at`-th request.
    pub fn at(at: u64, kind: FaultKind) -> Self {
        Self { kind, request: None, at, times: 1, span: a_second() }
    }

    /// A fault on the first request called `name`.
    pub fn on(name: &str, kind: FaultKind) -> Self {
        Self { request: Some(name.to_owned()), ..Self::at(1, kind) }
    }

    /// True if the fault hits the `n`-th message that counts.
    pub(super) fn hits(&self, n: u64) -> bool {
        n >= self.at && (self.times == 0 || n - self.at < self.times)
    }
}
