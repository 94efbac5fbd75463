//! What a recording of a job says about it: enough to do the same again, and nothing that
//! names anybody.

use crate::ids::Udid;
use crate::transport::recorder::Recorder;
use crate::transport::recorder::meta::{JobMeta, ProfileMeta};
use crate::wire::profile::{IdentityKind, Profile};
use crate::workflow::outcome::Verdict;
use crate::workflow::policy::{Policy, Prefer, SetupAssistant, Task};

/// Tells what records jobs, if anything does, that one begins or that its orders changed.
pub(super) fn began(recorder: Option<&Recorder>, udid: &Udid, profile: &Profile, policy: &Policy) {
    recorder.inspect(|recorder| recorder.began(udid, job(profile, policy)));
}

/// The same, that it ended so.
pub(super) fn ended(recorder: Option<&Recorder>, udid: &Udid, verdict: &Verdict) {
    let Verdict { outcome, class, chain, .. } = verdict;
    let chain: Vec<_> = chain.links().iter().map(|link| (link.domain.as_str(), link.code)).collect();
    recorder.inspect(|recorder| recorder.ended(udid, outcome.name(), class.name(), &chain));
}

/// The job of `profile` under `policy`.
fn job(profile: &Profile, policy: &Policy) -> JobMeta {
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
        prepares: policy.prepare.is_some(),
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
