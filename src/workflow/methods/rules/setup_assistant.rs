//! 4.B: Setup Assistant enrollment with a Profile URL.

use crate::workflow::methods::requirement::{Requirement, check, done, out, tell};

#[rustfmt::skip] // a table: one row a line
pub(super) const RULES: &[Requirement] = &[
    done(47, "The device is erased; best erase it first and connect it at the Hello screen.", "workflow::erasure::plan", "it::erase::the_consent_has_to_name_the_device"),
    done(48, "Serial numbers have to be in Intune before: `enlist export intune-serials` writes them.", "api::export::export", "it::export::a_station_s_devices_become_a_file_for_intune"),
    done(49, "The file has two columns, no header, at most 5,000 rows.", "wire::intune_csv::write", "wire::intune_csv::tests::row_5001_begins_another_file"),
    check(50, "The file and the devices listed already come to 75,000 at most: `enlist advise --value configurator-total=N`.", "workflow::methods::values::check_value", super::VALUED),
    tell(51, "At the import choose an enrollment profile, and whether details are overwritten."),
    out(52, "Devices are reassigned in the portal, from the devices or from the profiles."),
    done(53, "The Profile URL is copied from Export Profile, checked, and asked for its enrollment address.", "workflow::preparation::check_profile_url", "it::prepare::a_profile_url_is_asked_for_the_enrollment_address"),
    tell(54, "The warning that the server URL is not verified may be ignored."),
    done(55, "Prepare by hand: server, supervision, organisation, Setup Assistant panes, then disconnect.", "workflow::steps::configure::attempt", "it::prepare::prepared"),
    done(56, "Supervision is chosen at the bench.", "workflow::preparation::Preparation", "it::prepare::prepared_and_enrolled_in_one_go"),
    check(57, "A device bound to an Apple Account has to be removed from iCloud first.", "workflow::plan::unfit", "it::outcomes::activation_locked"),
    tell(58, "Only here can a user be bound at the bench; signing in to Setup Assistant needs WS-Trust 1.3 Username/Mixed."),
    done(59, "With a user the enrollment has to be finished within 24 hours, or the device is erased again.", "workflow::preparation::finish_by", "it::prepare::the_day_of_the_user_stays_with_the_job"),
    tell(60, "Sign in with Company Portal for multifactor, changed or expired passwords and registration in Entra."),
    tell(61, "Sign in with Setup Assistant where no modern sign-in is used, an erase is wanted, and serial numbers are imported."),
    tell(62, "Company Portal comes by an app configuration policy, never by hand from the store."),
    tell(63, "On a new device the user signs in with an Apple Account in Setup Assistant, or is asked again and again."),
    out(64, "For enrolled devices, Company Portal is required with device licences, and its app configuration policy goes to the same group."),
    tell(65, "User's way with Company Portal: Setup Assistant, the app installs, sign in there, enrollment begins."),
    tell(66, "User's way with Setup Assistant and portal: the work sign-in enrolls, the portal's sign-in registers in Entra."),
    tell(67, "User's way with Setup Assistant alone: the user installs the management profile too; nothing is registered in Entra."),
    tell(68, "Without a user the guide goes to direct enrollment."),
    tell(69, "At the end unplug, switch off and hand out: Setup Assistant begins at the next start."),
    tell(70, "Older documents let the Profile URL end after two weeks; whether it still does is not known."),
    tell(71, "Device enrollment managers, devices under another MDM and personal devices are excluded."),
    done(72, "Order: activate, Wi-Fi profile, cloud configuration, MDM profile, read back; one that is there already is error 14002.", "workflow::steps::configure::attempt", "it::prepare::the_network_comes_before_the_configuration"),
];
