//! Who a device is to the owner: once it is known, its batch lets it in and its blueprint says
//! what is done with it. The engine asks; the station answers.

use super::event::EventKind;
use super::outcome::Verdict;
use super::policy::Policy;
use crate::device::facts::Facts;
use crate::ids::{BatchId, Bay, Udid};
use crate::wire::profile::Profile;
use async_trait::async_trait;
use std::sync::Arc;

/// A device that was looked at, before anything is decided.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// As the mux names it.
    pub udid: &'a Udid,
    /// Where it hangs.
    pub bay: &'a Bay,
    /// What it told.
    pub facts: &'a Facts,
    /// It was let in before, or something was pushed: it is neither refused nor held now.
    pub begun: bool,
}

/// What a job does, and for whom.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The profile wanted.
    pub profile: Arc<Profile>,
    /// The owner's decisions.
    pub policy: Policy,
    /// The blueprint that said so.
    pub blueprint: Option<String>,
    /// The batch it belongs to.
    pub batch: Option<BatchId>,
    /// Its line in the batch's manifest.
    pub line: Option<u32>,
    /// Tags.
    pub tags: Vec<String>,
    /// Why so, in words.
    pub reason: String,
}

impl Assignment {
    /// What the journal keeps of it.
    pub fn event(&self) -> EventKind {
        EventKind::Assigned {
            blueprint: self.blueprint.clone(),
            batch: self.batch,
            line: self.line,
            tags: self.tags.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// What becomes of a device.
#[derive(Debug, Clone)]
pub enum Decision {
    /// As the job was begun; nothing special.
    AsItIs,
    /// So.
    Go(Box<Assignment>),
    /// Its job ends so. With an assignment it still counts for the batch.
    Refuse(Verdict, Option<Box<Assignment>>),
    /// Not yet: its owner has to decide. Ask again soon.
    Hold(Verdict),
}

/// Who decides.
#[async_trait]
pub trait Assigner: Send + Sync {
    /// Decides about a device. Reads only.
    async fn assign(&self, candidate: &Candidate<'_>) -> Decision;

    /// The batch that a job counts for which ends before its device told who it is; `None` if
    /// there is none. A device tells its serial number to those it trusts (3.4).
    async fn unseen(&self) -> Option<Assignment>;
}
