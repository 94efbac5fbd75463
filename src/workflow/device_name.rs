//! The name a device gets before it enrolls, so that the MDM records that one (R41). Pure.
//!
//! A name is a template as R137 has it: `{{SERIAL}}` and `{{DEVICETYPE}}` stand for what the
//! device says of itself, so that a whole batch can be named by one.

use super::methods::{check_template, render_name};
use super::plan::Situation;
use crate::device::Facts;

/// Checks a name or template.
///
/// # Errors
/// In words: empty, longer than 63 characters, an unknown variable, a control character.
pub fn check(template: &str) -> Result<(), String> {
    if template.contains(char::is_control) {
        return Err("a name has no control characters".into());
    }
    check_template(template).map(drop)
}

/// How often a job tries: a device that breaks the connection each time keeps its own name.
const NAME_TRIES: u32 = 3;

/// The name this device has to get now; `None` if nobody wishes one, it has it already, or this
/// job has tried: a device may refuse its name (3.5: it is managed), and enrolls all the same.
pub fn due(situation: &Situation<'_>) -> Option<String> {
    let template = situation.policy.device_name.as_deref().filter(|_| {
        let memory = situation.memory;
        !memory.named && memory.name_tries < NAME_TRIES
    })?;
    let name = of(template, situation.facts)?;
    (situation.facts.name.as_deref() != Some(name.as_str())).then_some(name)
}

/// What `template` gives this device; `None` if it does not say what the template asks for.
fn of(template: &str, facts: &Facts) -> Option<String> {
    let known = |variable: &str, fact: &Option<String>| match template.contains(variable) {
        true => fact.clone(),
        false => Some(String::new()),
    };
    let device_type = known("{{DEVICETYPE}}", &facts.class)?;
    let serial = known("{{SERIAL}}", &facts.serial)?;
    render_name(template, &device_type, &serial).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_a_device_by_what_it_says_of_itself() {
        let facts = Facts { serial: Some("F7T".into()), class: Some("iPad".into()), ..Facts::default() };
        assert_eq!(of("Front desk", &Facts::default()).as_deref(), Some("Front desk"));
        assert_eq!(of("{{DEVICETYPE}} {{SERIAL}}", &facts).as_deref(), Some("iPad F7T"));
        assert_eq!(of("{{SERIAL}}", &Facts::default()), None);
    }

    #[test]
    fn names_no_device_can_have_are_refused() {
        for (name, reason) in [
            ("", "empty"),
            ("   ", "empty"),
            ("{{OWNER}}", "{{SERIAL}}"),
            ("a\nb", "control"),
            (&"x".repeat(64), "63"),
        ] {
            let said = check(name).unwrap_err();
            assert!(said.contains(reason), "{name:?}: {said}");
        }
        assert_eq!(check("Bench {{SERIAL}}"), Ok(()));
    }
}
