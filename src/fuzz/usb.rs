//! What was captured on a USB bus.

use super::script::Script;
use crate::limits::MUX_PACKET_BYTES;
use crate::wire::usb_capture::{CaptureReader, CaptureTotals, Seen, What};

/// A whole file, in pieces; or records in a sound file, whose heads the script writes.
pub fn usb_capture(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    match script.byte() % 3 {
        0 => {
            let file = script.rest();
            // Where the pieces end does not matter.
            assert_eq!(read(file, file.len().max(1)), read(file, 7));
        }
        1 => _ = read(&records(&mut script, false), 64 << 10),
        _ => _ = read(&records(&mut script, true), 64 << 10),
    }
}

/// What was seen, as a count and a sum that knows the order.
fn read(file: &[u8], piece: usize) -> (Option<CaptureTotals>, usize, u64) {
    let mut reader = CaptureReader::default();
    let (mut seen, mut sum) = (0, 0_u64);
    let mut see = |event: Seen<'_>| {
        seen += 1;
        let mut add = |n: u64| sum = sum.wrapping_mul(31).wrapping_add(n);
        add(u64::from(event.address.device));
        match event.what {
            What::Packet { bytes, missing, .. } => {
                assert!(missing < bytes.len() && bytes.len() <= MUX_PACKET_BYTES);
                bytes.iter().for_each(|byte| add(u64::from(*byte)));
            }
            What::Failed(status) => assert!(status < 0),
            What::Broken(_) | What::Gap => add(1),
        }
    };
    let fed = file.chunks(piece).try_for_each(|piece| reader.feed(piece, &mut see));
    let totals = fed.ok().and_then(|()| reader.finish().ok());
    assert!(
        totals.is_none_or(|totals| totals.transfers <= totals.records && totals.devices <= totals.transfers)
    );
    (totals, seen, sum)
}

/// A pcap file of bulk transfers between a few endpoints of a few devices; what their data are,
/// and how long they say they are, is the script's.
fn records(script: &mut Script<'_>, is_mmapped: bool) -> Vec<u8> {
    let link: u32 = if is_mmapped { 220 } else { 189 };
    let mut file: Vec<u8> =
        [0xa1b2_c3d4, 0x0002_0004, 0, 0, 262_144, link].into_iter().flat_map(u32::to_be_bytes).collect();
    while !script.is_over() {
        let flags = script.byte();
        let is_in = flags & 1 != 0;
        let endpoint = 4 + (flags >> 1 & 1) + u8::from(is_in) * 0x80;
        let mut data = Vec::new();
        if flags & 4 != 0 {
            // The head of a packet: most transfers should have one.
            let (protocol, length) = (u32::from(script.byte() % 8), script.count() as u32);
            data.extend([protocol, length, 0xfeed_face, 0].into_iter().flat_map(u32::to_be_bytes));
            data.extend([0, 1, 2, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 2, 0, 0, 0, 0, 0]);
        }
        data.resize(data.len() + script.count(), flags);
        let length = data.len() as u32 + if flags & 8 == 0 { 0 } else { script.count() as u32 };
        let status: i32 = if flags & 16 == 0 { 0 } else { -i32::from(script.byte()) };
        let mut record = vec![0; 8];
        record.extend([if is_in { b'C' } else { b'S' }, 3, endpoint, flags >> 6, 0, 1, b'-', 0]);
        record.extend([0; 12]);
        for word in [status.cast_unsigned(), length, data.len() as u32] {
            record.extend(word.to_be_bytes());
        }
        record.extend(vec![0; if is_mmapped { 24 } else { 8 }]);
        record.extend(data);
        let words = [1, 2, record.len() as u32, record.len() as u32];
        file.extend(words.into_iter().flat_map(u32::to_be_bytes));
        file.extend(record);
    }
    file
}
