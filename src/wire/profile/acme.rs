//! What an ACME payload says of the devices it is for (2.3, 3.3).

use super::lint::product_attests;
use super::{IdentityKind, Profile};
use crate::ids::Udid;
use crate::wire::fields::Fields;
use crate::wire::property_list::Dictionary;

impl Profile {
    /// True if its ACME payload asks for an attestation, and hardware of this product type
    /// gives none (L31): A10X and older ignore `Attest` silently, and the server may refuse.
    pub fn lacks_attestation_on(&self, product_type: &str) -> bool {
        let attest = self.acme().and_then(|acme| acme.flag("Attest"));
        attest == Some(true) && product_attests(product_type) == Some(false)
    }

    /// The only device this file is for, if its `ClientIdentifier` names one by UDID. The key
    /// is "unique per device" (2.3), yet one file is said to serve many (3.3, unconfirmed):
    /// an identifier that names nobody says nothing.
    pub fn made_for(&self) -> Option<Udid> {
        let named = self.acme()?.text("ClientIdentifier")?.trim();
        // The form since the A12 only: forty hex digits may as well be a random code.
        let parts = named.split_once('-').filter(|(chip, ecid)| chip.len() == 8 && ecid.len() == 16);
        let (chip, ecid) = parts.filter(|(chip, _)| chip.starts_with("0000"))?;
        let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        if hex(chip) && hex(ecid) { named.parse().ok() } else { None }
    }

    fn acme(&self) -> Option<&Dictionary> {
        if self.identity() != Some(IdentityKind::Acme) {
            return None;
        }
        let payloads = self.root().expose().list("PayloadContent")?;
        let is_acme = |payload: &&Dictionary| payload.text("PayloadType") == Some("com.apple.security.acme");
        payloads.iter().filter_map(|payload| payload.as_dictionary()).find(is_acme)
    }
}
