//! The station as a whole, for screens that follow it.

use super::{BayView, PortView};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// What a station is and does, apart from its bays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StationView {
    /// Version of the program.
    pub version: Cow<'static, str>,
    /// Wall time of the station: countdowns are counted from it.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    pub started: Timestamp,
    /// True if its devices exist in the program only.
    pub simulated: bool,
    /// The way to the devices.
    pub backend: String,
    /// Why there is no way to the devices, if so.
    pub mux_trouble: Option<String>,
    /// Why the journal cannot be written, if so: nothing new is begun then.
    pub journal_trouble: Option<String>,
    /// Display name of the profile it began with.
    pub profile: Option<String>,
    /// How long the export is good.
    pub export: Option<String>,
    /// Screens may look only.
    pub kiosk: bool,
    /// The six steps for the person who installs a queued profile.
    pub card: Vec<Cow<'static, str>>,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotView {
    /// The station.
    pub station: StationView,
    /// Lines of the board: what is attached, what has an open job, and what was last in a bay.
    pub bays: Vec<BayView>,
    /// Ports that have a name.
    pub ports: Vec<PortView>,
}

/// How the way to the devices stands, or the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TroubleView {
    /// What is wrong, if something is.
    pub trouble: Option<String>,
}
