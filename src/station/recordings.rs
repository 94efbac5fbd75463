//! What a recording of a job says about it: enough to do the same again, and nothing that
//! names anybody.

use crate::transport::recorder::meta::{JobMeta, ProfileMeta};
use crate::wire::profile::{IdentityKind, Profile};
use crate::workflow::policy::{Policy, Prefer, SetupAssistant, Task};

/// The job of `profile` under `policy`.
pub(super) fn job(profile: &Profile, policy: &Policy) -> JobMeta {
    let task = match &policy.task {
        Task::Enroll => "enroll",
        Task::Erase(_) => "erase",
        Task::Prepare => "prepare",
    };
    let setup_assistant = match policy.setup_assistant {
        SetupAssistant::Push => "push",
        SetupAssistant::Hold => "hold",
    };
    let prefer = match policy.prefer {
        Prefer::Scep => "scep",
        Prefer::Acme => "acme",
    };
    let siblings = policy.siblings.iter().map(|sibling| of("sibling", sibling));
    let helpers = policy.helpers.iter().map(|helper| of("helper", helper));
    JobMeta {
        task: task.to_owned(),
        person_within: policy.person_within.as_secs(),
        accept_within: policy.accept_within.as_secs(),
        pushes: policy.pushes,
        setup_assistant: setup_assistant.to_owned(),
        replug_within: policy.replug_within.as_secs(),
        policies_within: policy.policies_within.as_secs(),
        prefer: prefer.to_owned(),
        named: policy.device_name.is_some(),
        dry_run: policy.dry_run,
        profiles: std::iter::once(of("enroll", profile)).chain(siblings).chain(helpers).collect(),
    }
}

fn of(role: &str, profile: &Profile) -> ProfileMeta {
    ProfileMeta {
        role: role.to_owned(),
        identifier: profile.identifier().to_owned(),
        uuid: profile.uuid().to_owned(),
        identity: profile.identity().map_or("", IdentityKind::name).to_owned(),
    }
}
