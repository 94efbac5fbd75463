//! 4.F: device enrollment of personal devices.

use super::{REMARKS, SEEN};
use crate::workflow::methods::requirement::{Requirement, check, done, out, tell};

#[rustfmt::skip] // a table: one row a line
pub(super) const RULES: &[Requirement] = &[
    tell(177, "For personal devices, new or in use, few or many, of one user each, with features by app; nothing is erased."),
    tell(178, "Not for the organisation's devices or those without a user."),
    out(179, "With Company Portal the user installs the app, signs in, and the profile applies."),
    tell(180, "The prompt to register is a notification: with those off nobody tells the user, and dynamic groups need it."),
    check(181, "On the web it needs 15, no app and no Managed Apple Account; volume-purchased apps work.", SEEN, REMARKS),
    tell(182, "A user is required; a device enrollment manager account is allowed here."),
    tell(183, "Certificates cover the whole device; updates of the system stay with the user."),
    check(184, "What another MDM left has to go first: leave it, erase, or ask its vendor.", SEEN, REMARKS),
    tell(185, "Assign to groups of users."),
    done(186, "It may become corporate later: `enlist export corporate-identifiers` writes the list.", "wire::intune_csv::write", "it::export::corporate_identifiers_have_one_type_a_file"),
];
