//! Entries for fuzzing (`tests/fuzz/`): whatever the bytes are, a file is judged, and loader
//! and linter agree. Not in the program: compiled for tests and fuzzing only.

use super::lint::{Job, LintContext, Severity, lint};
use super::signed_data::SignedData;
use super::{Profile, Purpose, SignatureReport, TrustAnchors, ber};
use jiff::Timestamp;

/// A whole file.
pub fn container(bytes: &[u8]) {
    let (anchors, now) = (TrustAnchors::none(), Timestamp::UNIX_EPOCH);
    let loaded = Profile::load(bytes, Purpose::Any, &anchors, now);
    let context = LintContext { job: Job::Ios, ..LintContext::new(Some(now)) };
    let found = lint(bytes, &anchors, &context);
    let refusals = match &loaded {
        Ok(profile) => profile.enrollment_refusals(),
        Err(refusal) => std::slice::from_ref(refusal),
    };
    for refusal in refusals {
        let code = refusal.code().unwrap_or("U01");
        let among = found.findings().iter().any(|f| f.code == code && f.severity == Severity::Error);
        assert!(among, "{code} refuses the file and is not among the findings");
    }
}

/// A signed file, or what stands inside one.
pub fn cms(bytes: &[u8]) {
    let mut reader = ber::Reader::new(bytes);
    while let Ok(Some(element)) = reader.next() {
        let octets = element.octets().map_or(0, |octets| octets.len());
        assert!(octets <= element.raw.len() && element.content.len() <= element.raw.len());
    }
    if let Ok(data) = SignedData::read(bytes) {
        assert_eq!(data.raw.len() + data.trailing.len(), bytes.len());
    }
    let loaded = Profile::load(bytes, Purpose::Any, &TrustAnchors::none(), Timestamp::UNIX_EPOCH);
    if let Ok(SignatureReport::Signed(report)) = loaded.as_ref().map(Profile::signature) {
        assert!(report.broken.is_some() || report.signer.is_some(), "a signature of nobody holds");
    }
}
