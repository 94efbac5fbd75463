//! What a capture of a USB bus holds of the mux, line by line. What travels in the packets is
//! counted and never shown: pair records and profiles are among it.

use super::OperationError;
use super::view::Exit;
use crate::wire::mux_packet::{MuxPacketError, Packet, Received, flags};
use crate::wire::printable::{printable, sentence, system_words};
use crate::wire::usb_capture::{CaptureError, CaptureReader, Seen, Sender, What};
use jiff::Timestamp;
use serde::Serialize;
use std::io::Read;
use std::time::Duration;

/// Bytes of the file that are read at once.
const PIECE: usize = 64 << 10;

/// Longest message of a device that is shown, in characters.
const MESSAGE_CHARS: usize = 200;

/// Something that happened on the endpoints of a mux.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaptureLine {
    /// When, where the file tells it.
    pub time: Option<Timestamp>,
    /// Bus and device, such as `1.7`.
    pub device: String,
    /// Who sent: `host` or `device`.
    pub from: &'static str,
    /// `version`, `control`, `setup`, `tcp`, `unknown`; `None` if there is no packet.
    pub protocol: Option<&'static str>,
    /// The header of a `tcp` packet.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<SegmentView>,
    /// Length of the packet, in bytes, header included.
    pub length: usize,
    /// Bytes of it that the capture lacks.
    pub missing: usize,
    /// `ok`, or what is wrong: `refused` by our codec, `broken` beyond reading on, a `gap` in the
    /// capture, a transfer that `failed`.
    pub verdict: &'static str,
    /// More about the packet, or about what is wrong.
    pub message: Option<String>,
}

/// The header of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentView {
    /// Port of the sender.
    pub source: u16,
    /// Port of the receiver.
    pub destination: u16,
    /// Bytes sent before.
    pub seq: u32,
    /// Bytes received.
    pub ack: u32,
    /// Names of its flags.
    pub flags: String,
    /// Bytes the sender takes, in bytes.
    pub window: u32,
    /// Bytes of data.
    pub data: usize,
}

/// What a whole capture held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CaptureSummary {
    /// Mux packets.
    pub packets: u64,
    /// Of them, and of headers that could not be read: what our codec does not take.
    pub refused: u64,
    /// Devices with a mux; one that was plugged in again counts again.
    pub devices: u64,
    /// Records of the file, of every kind.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The file ends in the middle of a record.
    pub cut_off: bool,
}

/// Reads a capture and tells each line of it.
///
/// # Errors
/// The file cannot be read, or is no capture of a USB bus.
pub fn read_capture(
    mut file: impl Read,
    mut tell: impl FnMut(CaptureLine),
) -> Result<CaptureSummary, OperationError> {
    let mut reader = CaptureReader::default();
    let mut summary = CaptureSummary::default();
    let mut piece = vec![0; PIECE];
    loop {
        let filled = file.read(&mut piece).map_err(|error| {
            let said = format!("The capture cannot be read: {}.", system_words(&error));
            OperationError::new(Exit::Usage, said, "Check the path and its rights.")
        })?;
        let piece = piece.get(..filled).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        let see = |seen: Seen<'_>| {
            let line = CaptureLine::of(&seen);
            summary.packets += u64::from(line.protocol.is_some());
            summary.refused += u64::from(matches!(line.verdict, "refused" | "broken"));
            tell(line);
        };
        reader.feed(piece, see).map_err(unreadable)?;
    }
    let totals = reader.finish().map_err(unreadable)?;
    let (devices, records, bytes) = (totals.devices, totals.records, totals.bytes);
    Ok(CaptureSummary { devices, records, bytes, cut_off: totals.cut_off, ..summary })
}

fn unreadable(error: CaptureError) -> OperationError {
    let next = match error {
        CaptureError::Damaged { .. } => "Capture again; what was told up to there holds.",
        _ => "Capture on Linux: modprobe usbmon; tcpdump -i usbmon0 -s 0 -w FILE.",
    };
    OperationError::new(Exit::Usage, sentence(format!("the capture cannot be used: {error}")), next)
}

impl CaptureLine {
    fn of(seen: &Seen<'_>) -> Self {
        let from = match seen.sender {
            Sender::Host => "host",
            Sender::Device => "device",
        };
        let line = Self {
            time: seen.time.and_then(moment),
            device: seen.address.to_string(),
            from,
            protocol: None,
            tcp: None,
            length: 0,
            missing: 0,
            verdict: "ok",
            message: None,
        };
        let wrong = |verdict, message: String| Self { verdict, message: Some(message), ..line.clone() };
        match seen.what {
            What::Packet { bytes, missing, verdict } => {
                Self { length: bytes.len(), missing, ..line.clone() }.with(verdict)
            }
            What::Broken(error) => wrong("broken", error.to_string()),
            What::Gap => wrong("gap", "the capture lacks a header".to_owned()),
            What::Failed(status) => wrong("failed", format!("a transfer failed: {}", failure(status))),
        }
    }

    fn with(self, verdict: Result<Received<'_>, MuxPacketError>) -> Self {
        let packet = match verdict {
            Ok(received) => received.packet,
            Err(error) => {
                let (protocol, message) = (Some("unknown"), Some(error.to_string()));
                return Self { protocol, verdict: "refused", message, ..self };
            }
        };
        match packet {
            Packet::Version { major, minor } => {
                Self { protocol: Some("version"), message: Some(format!("{major}.{minor}")), ..self }
            }
            Packet::Control { kind, text } => {
                let text = String::from_utf8_lossy(text);
                let text = printable(&text.trim_end().chars().take(MESSAGE_CHARS).collect::<String>());
                Self { protocol: Some("control"), message: Some(format!("kind {kind}: {text}")), ..self }
            }
            Packet::Setup => Self { protocol: Some("setup"), ..self },
            Packet::Tcp { header, data } => {
                let tcp = SegmentView {
                    source: header.source,
                    destination: header.destination,
                    seq: header.seq,
                    ack: header.ack,
                    flags: names(header.flags),
                    window: header.window,
                    data: data.len(),
                };
                Self { protocol: Some("tcp"), tcp: Some(tcp), ..self }
            }
            Packet::Unknown(number) => {
                Self { protocol: Some("unknown"), message: Some(format!("protocol {number}")), ..self }
            }
        }
    }
}

fn moment(since: Duration) -> Option<Timestamp> {
    let seconds = i64::try_from(since.as_secs()).ok()?;
    Timestamp::new(seconds, i32::try_from(since.subsec_nanos()).ok()?).ok()
}

/// Names of TCP flags (1.7), such as `SYN ACK`.
fn names(set: u8) -> String {
    let known = [(0x01, "FIN"), (flags::SYN, "SYN"), (flags::RST, "RST"), (0x08, "PSH"), (flags::ACK, "ACK")];
    let mut names: Vec<_> =
        known.iter().filter(|(flag, _)| set & flag != 0).map(|(_, n)| (*n).to_owned()).collect();
    let rest = known.iter().fold(set, |set, (flag, _)| set & !flag);
    names.extend((rest != 0).then(|| format!("{rest:#04x}")));
    names.join(" ")
}

/// Linux' error numbers, as the kernel's documents on USB use them.
fn failure(status: i32) -> String {
    let words = match status {
        -32 => "the endpoint stalled",
        -71 | -84 | -62 => "a fault on the cable",
        -75 => "the device sent more than was asked for",
        -110 => "the device did not answer in time",
        -19 | -108 => "the device is gone",
        _ => "error",
    };
    format!("{words} ({status})")
}
