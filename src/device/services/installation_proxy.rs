//! installation_proxy client (protocols.md 5.6): whether an app is there.

use crate::device::{DeviceError, DeviceSession};
use crate::limits::APP_LOOKUP;
use crate::transport::PlistChannel;
use crate::wire::installation_proxy::{Lookup, SERVICE, lists};

/// Longest answer, in bytes: one app's id is asked for.
const FRAME_BYTES: usize = 256 << 10;

/// Whether the app `bundle` is on the device; `None` if the device does not tell.
///
/// # Errors
/// As [`DeviceSession::start_service`].
pub async fn has_app(session: &mut DeviceSession, bundle: &str) -> Result<Option<bool>, DeviceError> {
    let mut channel = PlistChannel::new(session.start_service(SERVICE).await?, FRAME_BYTES);
    let lookup = Lookup { bundles: vec![bundle.to_owned()] };
    let answer = channel.call(Lookup::NAME, &lookup.to_plist(), APP_LOOKUP).await?;
    Ok(lists(&answer, bundle))
}
