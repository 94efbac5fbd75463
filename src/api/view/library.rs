//! Profiles that the station met in files.

use super::AgeView;
use crate::journal::{LibraryPlace, LibraryRow};
use crate::station::age::Age;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A profile as the journal knows it; by content, with every file name it had. No secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LibraryProfileView {
    /// SHA-256 of the file: what jobs call it.
    pub sha256: String,
    /// SHA-256 of what is in it without wrappers and signature.
    pub content_sha256: String,
    /// Length of the file.
    pub bytes: u64,
    /// `scep`, `acme`, `pkcs12`, or `none` for what has no MDM identity.
    pub kind: String,
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: String,
    /// Display name.
    pub name: Option<String>,
    /// Host of the MDM server.
    pub server: Option<String>,
    /// Common name of the signer.
    pub signer: Option<String>,
    /// How old it is; none if nothing told it.
    pub age: Option<AgeView>,
    /// What told that, in words.
    pub told_by: Option<String>,
    /// The operator's word on the day of export.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stated: Option<Timestamp>,
    /// Why it cannot be pushed, whatever its age.
    pub problem: Option<String>,
    /// First seen by this station.
    #[schema(value_type = String, format = DateTime)]
    pub first_seen: Timestamp,
    /// Last seen.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: Timestamp,
    /// Since when no file holds it any more; none while one does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub gone: Option<Timestamp>,
    /// Where it was seen, newest first.
    pub places: Vec<PlaceView>,
    /// Jobs that began with it.
    pub jobs: u32,
}

/// A file name a profile has, or had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlaceView {
    /// Folder.
    pub folder: String,
    /// Name in it.
    pub file: String,
    /// First seen there.
    #[schema(value_type = String, format = DateTime)]
    pub first_seen: Timestamp,
    /// Last seen there.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: Timestamp,
    /// Missed there since.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub gone: Option<Timestamp>,
}

impl LibraryProfileView {
    /// From the journal, with its age as it stands at `now`.
    pub fn new(row: &LibraryRow, now: Timestamp) -> Self {
        let profile = row.profile.clone();
        let told_by = profile.told_by.clone().unwrap_or_default();
        let age = profile.ends.map(|ends| Age::recalled(profile.exported_at, ends, told_by));
        Self {
            gone: row.gone(),
            sha256: profile.sha256,
            content_sha256: profile.content_sha256,
            bytes: profile.bytes,
            kind: profile.kind,
            identifier: profile.identifier,
            uuid: profile.uuid,
            name: profile.name,
            server: profile.server,
            signer: profile.signer,
            age: age.map(|age| AgeView::new(&age, now)),
            told_by: profile.told_by,
            stated: profile.stated,
            problem: profile.problem,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            places: row.places.iter().map(PlaceView::new).collect(),
            jobs: row.jobs,
        }
    }
}

impl PlaceView {
    fn new(place: &LibraryPlace) -> Self {
        Self {
            folder: place.folder.clone(),
            file: place.name.clone(),
            first_seen: place.first_seen,
            last_seen: place.last_seen,
            gone: place.gone,
        }
    }
}
