//! One record of usbmon: a head of 48 or 64 bytes, then the data.
//!
//! Field by field as the kernel documents it (usbmon.rst, "raw binary format"), in the byte
//! order of the file.

use super::file::{Link, Record};
use super::{Sender, UsbAddress};

const BULK: u8 = 3;
const SUBMITTED: u8 = b'S';
const COMPLETED: u8 = b'C';
/// The host controller did not even take it.
const REFUSED: u8 = b'E';

/// Statuses of transfers that the host took back: nothing went wrong.
const TAKEN_BACK: [i32; 2] = [-2, -104];

/// A bulk transfer, at the moment in which its data are known: an OUT transfer when it is
/// submitted, an IN transfer when it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer<'a> {
    pub(super) address: UsbAddress,
    /// Number without the direction.
    pub(super) endpoint: u8,
    pub(super) sender: Sender,
    /// What the capture has of the data.
    pub(super) data: &'a [u8],
    /// How many bytes it lacks.
    pub(super) missing: usize,
    /// The kernel's error number, if the transfer failed.
    pub(super) fault: Option<i32>,
}

/// The bulk transfer that a record tells of, if it tells anything of its data or its failure.
pub(super) fn bulk<'a>(record: &Record<'a>) -> Option<Transfer<'a>> {
    let (bytes, order) = (record.bytes, record.order);
    let head = match record.link {
        Link::Usb => 48,
        Link::UsbMmapped => 64,
    };
    let rest = bytes.get(head..)?;
    let [event, kind, endpoint, device] = *bytes.get(8..)?.first_chunk()?;
    if kind != BULK {
        return None;
    }
    let sender = if endpoint & 0x80 == 0 { Sender::Host } else { Sender::Device };
    let status = order.u32(bytes, 28)?.cast_signed();
    let length = usize::try_from(order.u32(bytes, 32)?).ok()?;
    let kept = usize::try_from(order.u32(bytes, 36)?).ok()?;
    // Any other mark than 0 says why there are no data.
    let has_data = *bytes.get(15)? == 0;
    let data = if has_data { rest.get(..kept.min(rest.len())).unwrap_or_default() } else { &[] };
    let fault = (status < 0 && !TAKEN_BACK.contains(&status)).then_some(status);
    let (data, missing, fault) = match (event, sender) {
        (SUBMITTED, Sender::Host) => (data, length.saturating_sub(data.len()), None),
        (COMPLETED, Sender::Device) => (data, length.saturating_sub(data.len()), fault),
        (COMPLETED, Sender::Host) | (REFUSED, _) if fault.is_some() => (&[][..], 0, fault),
        _ => return None,
    };
    let address = UsbAddress { bus: order.u16(bytes, 12)?, device };
    Some(Transfer { address, endpoint: endpoint & 0x0f, sender, data, missing, fault })
}
