//! What a station does beside pushing one profile.

use super::blueprints::Followed;
use super::hooks::Hook;
use crate::workflow::preparation::Preparations;
use std::sync::Arc;

/// What the owner wants done with devices, beside the one profile.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// Blueprints, followed.
    pub blueprints: Option<Followed>,
    /// The blueprint for every device that no manifest gives another.
    pub blueprint: Option<String>,
    /// Devices that no blueprint fits are refused: the profile is only a blueprint's.
    pub only_blueprints: bool,
    /// What blueprints may prepare devices with.
    pub preparations: Option<Arc<Preparations>>,
    /// Commands to run after jobs.
    pub hooks: Vec<Hook>,
}
