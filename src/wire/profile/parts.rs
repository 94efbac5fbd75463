//! A file taken apart: wrappers off, signature judged, property list read. What
//! [`super::Profile::load`] and [`super::lint`] have in common.

use super::Warning;
use super::ber::BerError;
use super::container;
use super::refusal::Refusal;
use super::signature::{self, SignatureReport, TrustAnchors};
use super::signed_data::SignedData;
use crate::limits;
use crate::wire::property_list::{self, Budget, Dictionary, PlistError, Value};
use jiff::Timestamp;
use std::borrow::Cow;

/// A file without wrappers, taken apart.
pub(super) struct Parts {
    /// The property list.
    pub(super) content: Vec<u8>,
    /// What is pushed, where that is not the content itself.
    pub(super) pushed: Option<Vec<u8>>,
    pub(super) signature: SignatureReport,
    /// It is not the signer the site accepts (L43).
    pub(super) wrong_signer: Option<Refusal>,
    /// What the container and its text call for; not what the signature does.
    pub(super) warnings: Vec<Warning>,
}

impl Parts {
    /// Takes the wrappers off and judges the signature. Without `now`, dates in the
    /// signer's chain are not looked at.
    pub(super) fn open(file: &[u8], anchors: &TrustAnchors, now: Option<Timestamp>) -> Result<Self, Refusal> {
        let container::Opened { bytes, signed, warnings } = container::open(file)?;
        match signed {
            true => Self::of_signed(bytes, anchors, now, warnings),
            false => Ok(Self {
                content: bytes,
                pushed: None,
                wrong_signer: anchors.refuses(&SignatureReport::Unsigned),
                signature: SignatureReport::Unsigned,
                warnings,
            }),
        }
    }

    fn of_signed(
        mut bytes: Vec<u8>,
        anchors: &TrustAnchors,
        now: Option<Timestamp>,
        warnings: Vec<Warning>,
    ) -> Result<Self, Refusal> {
        let mut data = SignedData::read(&bytes).map_err(|error| match error {
            BerError::Cut => Refusal::SignatureTruncated { bytes: bytes.len() },
            BerError::Malformed => Refusal::SignatureDamaged,
        })?;
        let content = data.content.take().ok_or(Refusal::Detached)?;
        // A copy through a terminal or mail may add a newline; anything else is odd.
        if !data.trailing.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) {
            return Err(Refusal::SignatureDamaged);
        }
        let report = signature::examine(&data, &content, anchors, now);
        let length = data.raw.len();
        bytes.truncate(length);
        let signature = SignatureReport::Signed(report.into());
        let wrong_signer = anchors.refuses(&signature);
        Ok(Self { content, pushed: Some(bytes), signature, wrong_signer, warnings })
    }

    /// Reads the property list within its budget.
    pub(super) fn root(&mut self) -> Result<Dictionary, Refusal> {
        let read = self.text().and_then(|(text, mut warnings)| {
            let value = property_list::parse(&text, Budget::PROFILE).map_err(|e| self.in_list(e))?;
            if !text.starts_with(b"bplist") && !text.windows(6).any(|window| window == b"<plist") {
                let message = "The property list has no <plist> element around it.".to_owned();
                warnings.push(Warning { code: None, message });
            }
            Ok((value, warnings))
        });
        let (value, warnings) = read.map_err(|refusal| self.blame(refusal))?;
        self.warnings.extend(warnings);
        match value {
            Value::Dictionary(root) => Ok(root),
            _ => Err(self.blame(Refusal::RootNotDictionary)),
        }
    }

    /// Keys that stand twice in one dictionary of the XML (L10), by their paths.
    pub(super) fn duplicate_keys(&self, most: usize) -> Vec<String> {
        match self.text() {
            Ok((text, _)) => property_list::duplicate_keys(&text, Budget::PROFILE, most),
            Err(_) => Vec::new(),
        }
    }

    fn text(&self) -> Result<(Cow<'_, [u8]>, Vec<Warning>), Refusal> {
        let (text, warning) = container::readable(&self.content)?;
        Ok((text, warning.into_iter().collect()))
    }

    fn in_list(&self, error: PlistError) -> Refusal {
        Refusal::PropertyList { error, signed: matches!(self.signature, SignatureReport::Signed(_)) }
    }

    /// Why the signature does not hold (L42).
    pub(super) fn broken_signature(&self) -> Option<&str> {
        match &self.signature {
            SignatureReport::Signed(report) => report.broken.as_deref(),
            SignatureReport::Unsigned => None,
        }
    }

    /// Longer than what one request to a device can carry (L48).
    pub(super) fn too_large(&self) -> Option<Refusal> {
        let bytes = self.pushed.as_ref().unwrap_or(&self.content).len();
        let limit = limits::PROFILE_PUSH_BYTES;
        (bytes > limit).then_some(Refusal::TooLargeToPush { bytes, limit })
    }

    /// Where a signature does not hold, the change is the cause of any other damage, so
    /// L42 says more; a broken bound (L48) remains the graver finding.
    pub(super) fn blame(&self, refusal: Refusal) -> Refusal {
        match self.broken_signature() {
            Some(reason) if refusal.code() != Some("L48") => {
                Refusal::SignatureBroken { reason: reason.to_owned() }
            }
            _ => refusal,
        }
    }
}
