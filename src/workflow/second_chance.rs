//! An invalid answer of the SCEP server in Setup Assistant: the management may be loaded again
//! for a quarter of an hour, and later only an erase helps (R153).

use super::memory::Memory;
use crate::device::Facts;
use crate::device::facts::SetupState;
use crate::limits::SCEP_SECOND_CHANCE;
use crate::wire::mcinstall_error::ErrorChain;
use jiff::{SignedDuration, Timestamp};

/// True if the chain says that the SCEP server gave an invalid answer: 22002, or 22013 where it
/// came later (profiles-and-enrollment.md 8).
pub fn is_it(chain: &ErrorChain) -> bool {
    chain.has("SCEP", &[22002, 22013])
}

/// What to do about it on a device whose enrollment Setup Assistant carries out; the time counts
/// from the job's first sight of it, and `None` says that this is no such case.
pub fn advice(chain: &ErrorChain, facts: &Facts, memory: &Memory, now: Timestamp) -> Option<String> {
    let by_setup = facts.setup == SetupState::Running
        && facts.cloud.as_ref().is_some_and(|cloud| cloud.is_automated() || cloud.has_url);
    if !is_it(chain) || !by_setup {
        return None;
    }
    let limit = SignedDuration::try_from(SCEP_SECOND_CHANCE).unwrap_or_default();
    let first = memory.scep_failed.unwrap_or(now);
    let until = first.checked_add(limit).unwrap_or(first);
    let erase = "`enlist erase`, then Setup Assistant from its begin";
    Some(match now < until {
        true => format!(
            "Load the management again on the device until {}; later only an erase helps: {erase} (R153).",
            until.strftime("%H:%M UTC")
        ),
        false => format!("The 15 minutes for a second try are over: {erase} (R153)."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cloud_configuration::CloudConfiguration;
    use crate::wire::mcinstall_error::ChainLink;
    use crate::workflow::event::EventKind;

    fn chain(code: i64) -> ErrorChain {
        ErrorChain::new([ChainLink::new("MCSCEPErrorDomain", code)])
    }

    fn at(minute: u32) -> Timestamp {
        format!("2026-03-02T08:{minute:02}:00Z").parse().unwrap()
    }

    fn by_setup() -> Facts {
        let cloud = CloudConfiguration { source: Some(1), ..CloudConfiguration::default() };
        Facts { setup: SetupState::Running, cloud: Some(cloud), ..Facts::default() }
    }

    #[test]
    fn a_quarter_of_an_hour_counts_from_the_first_sight() {
        let mut memory = Memory::default();
        let told = |memory: &Memory, minute| advice(&chain(22002), &by_setup(), memory, at(minute)).unwrap();
        assert!(told(&memory, 0).contains("until 08:15 UTC"));
        let retry = |code| EventKind::Retrying { reason: String::new(), chain: chain(code), pause_ms: 0 };
        memory.take(at(1), &retry(22005));
        memory.take(at(3), &retry(22002));
        memory.take(at(9), &retry(22013));
        assert!(told(&memory, 10).contains("until 08:18 UTC"));
        assert!(told(&memory, 18).contains("are over") && told(&memory, 18).contains("enlist erase"));
    }

    #[test]
    fn only_setup_assistant_s_own_enrollments_are_meant() {
        let none = Memory::default();
        assert_eq!(advice(&chain(22005), &by_setup(), &none, at(0)), None);
        let pushed = Facts { cloud: None, ..by_setup() };
        assert_eq!(advice(&chain(22013), &pushed, &none, at(0)), None);
        let later = Facts { setup: SetupState::Finished, ..by_setup() };
        assert_eq!(advice(&chain(22013), &later, &none, at(0)), None);
    }
}
