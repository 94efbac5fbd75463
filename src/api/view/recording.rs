//! What a check of recordings came to.

use serde::Serialize;

/// Of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedView {
    /// The folder.
    pub folder: String,
    /// Recordings in it.
    pub recordings: usize,
    /// Frames in them.
    pub frames: usize,
    /// They hold nothing but what may be written.
    pub clean: bool,
    /// What else they hold; never the value itself.
    pub findings: Vec<RecordingFinding>,
}

/// One thing that must not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordingFinding {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// What, in words.
    pub what: String,
}
