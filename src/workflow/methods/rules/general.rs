//! 4.G: identifiers and errors of all methods.

use super::{REMARKS, SEEN};
use crate::workflow::methods::requirement::{Requirement, check, done, tell};

const WRITE: &str = "wire::intune_csv::write";

#[rustfmt::skip] // a table: one row a line
pub(super) const RULES: &[Requirement] = &[
    done(187, "A file of identifiers has one type, no header, at most 5,000 rows or 5 MB.", WRITE, "wire::intune_csv::tests::row_5001_begins_another_file"),
    done(188, "Details have at most 128 characters; periods are taken out of serial numbers.", WRITE, "wire::intune_csv::tests::identifiers_are_cleaned_to_the_letter"),
    done(189, "For iPhone and iPad the serial number is preferred, the IMEI possible; for Macs the serial number only.", WRITE, "it::export::corporate_identifiers_have_one_type_a_file"),
    check(190, "With another IMEI than Intune's a device counts as personal or unknown: one with two is pointed out.", SEEN, REMARKS),
    tell(191, "What came by Configurator or Automated Device Enrollment is corporate by itself; a list is not needed for it."),
    tell(192, "Roles: Policy and Profile Manager, or Intune Administrator."),
    tell(193, "States after an import: Enrolled, Not contacted, Not applicable, Failed."),
    tell(194, "Deleting an identifier does not change who owns a device that is enrolled."),
    tell(195, "A block of personal devices shows as the failure Enrollment restriction not met."),
    tell(196, "Portal errors: NoEnrollmentPolicy, APNSCertificateNotValid and AccountNotOnboarded mean the push certificate; DeviceCapReached, UserLicenseTypeInvalid, MdmAuthorityNotDefined and DeviceTypeNotSupported say themselves what is wrong."),
    tell(197, "Renew the push certificate, never replace it: a new one means to enroll everything again."),
    tell(198, "The device reaches Apple's 17.0.0.0/8 on TCP 5223, or 443, and the MDM's hosts on 443; the station cannot look from the device."),
];
