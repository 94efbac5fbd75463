//! 4.D, first part: Automated Device Enrollment up to its profile's settings.

use super::{REMARKS, SEEN, VALUED};
use crate::workflow::methods::requirement::{Requirement, check, done, out, tell};

const VALUES: &str = "workflow::methods::values::check_value";

#[rustfmt::skip] // a table: one row a line
pub(super) const RULES: &[Requirement] = &[
    tell(93, "Use it where supervision is wanted, for new devices of an organisation or school, few or many, with one user, without, or shared."),
    tell(94, "It is not for personal devices, device enrollment managers, or devices under another MDM; devices in use go by Configurator."),
    tell(95, "Needed: Apple Business or School Manager, an active token, a push certificate, and new or erased devices bought through it."),
    check(96, "A device that was set up has to be erased before it can enroll so.", SEEN, REMARKS),
    tell(97, "Assign the profile after the erase and before the activation."),
    check(98, "After activation the device shows the result: supervised, mandatory, removable or not, panes skipped.", SEEN, REMARKS),
    tell(99, "Decide the sign-in first: Company Portal, Setup Assistant legacy, or Setup Assistant modern."),
    check(100, "Modern sign-in needs 13.0; older devices fall back to legacy.", SEEN, REMARKS),
    out(101, "Just-in-time registration needs its device configuration policy before the enrollment profile."),
    tell(102, "Company Portal sign-in for: erase, multifactor, password prompts, Entra registration, the app installed by itself, the device locked until then."),
    tell(103, "Legacy sign-in for: erase, no modern features, no registration in Entra."),
    tell(104, "Modern sign-in for: erase, multifactor, password prompts, Entra registration, and a device that is usable before the app is there."),
    tell(105, "After modern sign-in the home screen means enrolled; Entra calls it compliant only after the portal's sign-in. That is no failure."),
    check(106, "Such a device should be supervised from 11 on; from 13.0 it always is.", SEEN, REMARKS),
    done(107, "One that is not supervised and should be is erased and supervised by a USB host.", "workflow::steps::configure::attempt", "it::prepare::a_used_device_is_erased_then_supervised"),
    tell(108, "Supervision switches Activation Lock off by default; Settings names who supervises."),
    tell(109, "Company Portal should be a required app with device licences and automatic updates; the store's own version is wrong."),
    out(110, "Staging for a later user goes by Company Portal and its app configuration policy, for devices without a user only."),
    tell(111, "Where Company Portal is installed by the profile, never deploy that app configuration by hand: users are asked for a profile they have."),
    tell(112, "Limits: 1,000 profiles a token, 2,000 tokens an account, 200,000 devices a token and a profile."),
    check(113, "A sync moves about 3,000 devices a minute: `enlist advise --value sync-devices=N` gives the wait.", VALUES, "workflow::methods::tests::values::a_big_token_waits_longer"),
    out(114, "The token is made between Intune and Apple Business Manager, with key up and token down."),
    out(115, "Devices are assigned to the MDM server in Apple Business Manager."),
    tell(116, "Too few licences for the portal app, or an expired token for apps, block enrollment."),
    tell(117, "Changes of the profile reach a device only after an erase and activation; the name template alone at the next check-in."),
    tell(118, "User affinity is with, without, or Entra shared mode."),
    tell(119, "Legacy sign-in with Conditional Access or company apps needs Company Portal installed; a token for apps saves the store's sign-in."),
    check(120, "Single App Mode until the sign-in needs a token for apps and 11.3.1; a second factor has to be on another device.", SEEN, REMARKS),
    check(121, "Locked enrollment hides the removal.", SEEN, REMARKS),
    tell(122, "On devices added to Apple Business Manager later the removal stays visible for 30 days after activation."),
    tell(123, "Users cannot remove or reset such devices in Company Portal."),
    check(124, "Shared iPad: supervised iPads without affinity, from 13.4; never iPhones; a wrong one has to be erased.", SEEN, REMARKS),
    tell(125, "Shared iPad skips every pane after activation."),
    check(126, "A Shared iPad keeps up to 24 users: `enlist advise --value cached-users=N`.", VALUES, VALUED),
    check(127, "Seconds after the lock until a password is asked: 0, 60, 300, 900, 3600 or 14400.", VALUES, VALUED),
    check(128, "Idle seconds until a user's session ends: 0 for never, or 30 and more.", VALUES, VALUED),
    check(129, "Temporary sessions only: the three settings above mean nothing then.", VALUES, "workflow::methods::tests::values::temporary_sessions_exclude_the_others"),
    check(130, "Idle seconds until a temporary session ends: 0 for never, or 30 and more; with temporary sessions only.", VALUES, VALUED),
    tell(131, "Temporary sessions lose everything at sign-out; leaving that mode needs an erase and a new profile."),
];
