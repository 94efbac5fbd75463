//! The steps of a Mac's administrator (R76, R77).

use crate::api::OsVersion;
use crate::api::macs::settings_place;
use crate::api::view::DeviceView;

/// What follows once the profile was opened.
pub(super) fn after_opening(place: &str) -> [String; 4] {
    [
        format!("Go to {place}"),
        "Double-click the profile, check its name, click Install".to_owned(),
        "Click Install again to confirm".to_owned(),
        "Enter the name and password of an administrator of the Mac, click OK".to_owned(),
    ]
}

/// The card for a bay with a Mac in it; `None` if there is none.
pub(in crate::cli) fn steps_of(device: &DeviceView) -> Option<Vec<String>> {
    device.product_type.as_deref().filter(|model| model.contains("Mac"))?;
    let os = device.os_version.as_deref().and_then(OsVersion::parse);
    Some(after_opening(settings_place(os)).to_vec())
}
