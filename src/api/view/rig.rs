//! Views of devices that a rig lists.

use super::DeviceView;
use crate::ids::{Bay, Udid};
use crate::workflow::outcome::{Class, Verdict};

impl DeviceView {
    /// A device that is wanted and was not seen.
    pub fn unseen(udid: &Udid) -> Self {
        let next = "Plug it in, unlock it, and see `enlist devices`.";
        let verdict = Verdict::failed(Class::Operator, "The device is not attached.", next);
        Self::new(Some(udid.clone()), Bay::from_location(None), false, &verdict)
    }

    /// With what an earlier look told of the same device, where this one does not.
    #[must_use]
    pub fn knowing(self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        Self {
            serial: self.serial.or_else(|| earlier.serial.clone()),
            name: self.name.or_else(|| earlier.name.clone()),
            product_type: self.product_type.or_else(|| earlier.product_type.clone()),
            os_version: self.os_version.or_else(|| earlier.os_version.clone()),
            ecid: self.ecid.or_else(|| earlier.ecid.clone()),
            imei: self.imei.or_else(|| earlier.imei.clone()),
            ..self
        }
    }
}
