//! Packets of the USB mux, both directions (protocols.md 1.5-1.7), and the reader that cuts
//! transfers into packets.
//!
//! Nothing here keeps state of a conversation: which of the two header forms is in use is an
//! argument. See [`crate::proto::mux`] for who says what when.

use crate::limits;

/// Length of a header before the version is known, and of every VERSION packet (1.6).
pub const SHORT_HEADER: usize = 8;
/// Length of a header of version 2.
pub const LONG_HEADER: usize = 16;
/// Length of the TCP-like header (1.7).
pub const TCP_HEADER: usize = 20;
/// What a host writes as magic. Devices may write another; it is never checked (1.6).
pub const MAGIC: u32 = 0xfeed_face;
/// Most data one packet of ours carries: 49116 bytes (1.9).
pub const MOST_DATA: usize = limits::MUX_OUT_BYTES - LONG_HEADER - TCP_HEADER;

/// Most data any packet can carry: what fits into the reassembly buffer (1.5).
pub const DATA_LIMIT: usize = limits::MUX_PACKET_BYTES - LONG_HEADER - TCP_HEADER;

/// TCP flags (1.7).
pub mod flags {
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Ends or refuses one.
    pub const RST: u8 = 0x04;
    /// Alone: data, or a bare acknowledgement.
    pub const ACK: u8 = 0x10;
}

const VERSION: u32 = 0;
const CONTROL: u32 = 1;
const SETUP: u32 = 2;
const TCP: u32 = 6;

const SETUP_BYTE: u8 = 0x07;
const DATA_OFFSET: u8 = 0x50;

/// What is wrong with a packet. None leaves the byte stream usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MuxPacketError {
    /// The header's length cannot be right (1.5).
    #[error("a mux packet says that it is {0} bytes long, outside 8 to 65536")]
    Length(u32),
    /// The packet ends before what its protocol needs.
    #[error("a mux packet of protocol {protocol} has {length} bytes, too few for it")]
    Short {
        /// Protocol number (1.6).
        protocol: u32,
        /// Its whole length, in bytes.
        length: usize,
    },
}

/// Which header the packets of a conversation have. VERSION packets are always short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Eight bytes.
    Short,
    /// Sixteen bytes, with magic and sequence words.
    Long,
}

/// The header to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// [`Layout::Short`].
    Short,
    /// [`Layout::Long`], with what stands in it.
    Long {
        /// Usually [`MAGIC`].
        magic: u32,
        /// Packets sent before this one.
        tx_seq: u16,
        /// See 1.6, "Sequence words".
        rx_seq: u16,
    },
}

/// The TCP-like header (1.7), without the fields that are always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpHeader {
    /// Port of the sender.
    pub source: u16,
    /// Port of the receiver.
    pub destination: u16,
    /// Bytes sent before this packet; SYN counts one.
    pub seq: u32,
    /// Bytes accepted from the receiver.
    pub ack: u32,
    /// See [`flags`].
    pub flags: u8,
    /// Bytes the sender takes beyond `ack`. Travels in units of 256 bytes, rounded down.
    pub window: u32,
}

/// A packet's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The version asked for or spoken.
    Version {
        /// 1 or 2.
        major: u32,
        /// Always 0 so far.
        minor: u32,
    },
    /// A message for the log.
    Control {
        /// 3 error, 5 warning, 7 information.
        kind: u8,
        /// Text, unchecked.
        text: &'a [u8],
    },
    /// The host is set up for version 2.
    Setup,
    /// A segment of a connection.
    Tcp {
        /// Its header.
        header: TcpHeader,
        /// Its data.
        data: &'a [u8],
    },
    /// A protocol number that is not known; to be ignored.
    Unknown(u32),
}

/// A packet as it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// Field `rx_seq`, where the header has one.
    pub rx_seq: Option<u16>,
    /// The content.
    pub packet: Packet<'a>,
}

/// Reads one whole packet, as a [`Reassembler`] gives it.
///
/// # Errors
/// [`MuxPacketError::Short`].
pub fn decode(bytes: &[u8], layout: Layout) -> Result<Received<'_>, MuxPacketError> {
    let mut rest = Reader(bytes);
    let protocol = rest.u32().unwrap_or(u32::MAX);
    let short = || MuxPacketError::Short { protocol, length: bytes.len() };
    // Seen before, by the reassembler.
    rest.u32().ok_or_else(short)?;
    let mut rx_seq = None;
    if layout == Layout::Long && protocol != VERSION {
        let _magic_and_tx_seq = rest.take(6).ok_or_else(short)?;
        rx_seq = Some(rest.u16().ok_or_else(short)?);
    }
    let packet = match protocol {
        VERSION => {
            let (major, minor) = (rest.u32().ok_or_else(short)?, rest.u32().ok_or_else(short)?);
            Packet::Version { major, minor }
        }
        CONTROL => {
            // It is only for the log (1.6): one that says nothing is no fault.
            let (kind, text) = rest.0.split_first().unwrap_or((&0, b""));
            Packet::Control { kind: *kind, text }
        }
        SETUP => Packet::Setup,
        TCP => Packet::Tcp { header: rest.tcp().ok_or_else(short)?, data: rest.0 },
        other => Packet::Unknown(other),
    };
    Ok(Received { rx_seq, packet })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u16::from_be_bytes(*head))
    }

    fn u32(&mut self) -> Option<u32> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u32::from_be_bytes(*head))
    }

    fn tcp(&mut self) -> Option<TcpHeader> {
        let (source, destination) = (self.u16()?, self.u16()?);
        let (seq, ack) = (self.u32()?, self.u32()?);
        let flags = self.take(2)?[1];
        let window = u32::from(self.u16()?) << 8;
        let _checksum_and_urgent = self.take(4)?;
        Some(TcpHeader { source, destination, seq, ack, flags, window })
    }
}

/// Writes a packet. VERSION gets the short header whatever `form` says.
pub fn encode(form: Form, packet: Packet<'_>) -> Vec<u8> {
    match packet {
        Packet::Version { major, minor } => {
            let mut bytes = begin(Form::Short, VERSION, 12);
            for word in [major, minor, 0] {
                bytes.extend_from_slice(&word.to_be_bytes());
            }
            bytes
        }
        Packet::Control { kind, text } => {
            let text = &text[..text.len().min(MOST_DATA)];
            let mut bytes = begin(form, CONTROL, 1 + text.len());
            bytes.push(kind);
            bytes.extend_from_slice(text);
            bytes
        }
        Packet::Setup => {
            let mut bytes = begin(form, SETUP, 1);
            bytes.push(SETUP_BYTE);
            bytes
        }
        Packet::Tcp { header, data } => encode_tcp(form, header, [data, &[]]),
        Packet::Unknown(protocol) => begin(form, protocol, 0),
    }
}

/// Writes a segment whose data lies in two pieces, as a ring buffer has it. What is
/// beyond [`DATA_LIMIT`] is cut off.
pub fn encode_tcp(form: Form, header: TcpHeader, data: [&[u8]; 2]) -> Vec<u8> {
    let first = &data[0][..data[0].len().min(DATA_LIMIT)];
    let second = &data[1][..data[1].len().min(DATA_LIMIT - first.len())];
    let mut bytes = begin(form, TCP, TCP_HEADER + first.len() + second.len());
    for port in [header.source, header.destination] {
        bytes.extend_from_slice(&port.to_be_bytes());
    }
    for word in [header.seq, header.ack] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(&[DATA_OFFSET, header.flags]);
    let window = u16::try_from(header.window >> 8).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&window.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(first);
    bytes.extend_from_slice(second);
    bytes
}

fn begin(form: Form, protocol: u32, payload: usize) -> Vec<u8> {
    let header = match form {
        Form::Short => SHORT_HEADER,
        Form::Long { .. } => LONG_HEADER,
    };
    let length = header + payload;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&protocol.to_be_bytes());
    // The callers keep payloads below MUX_PACKET_BYTES.
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    if let Form::Long { magic, tx_seq, rx_seq } = form {
        bytes.extend_from_slice(&magic.to_be_bytes());
        bytes.extend_from_slice(&tx_seq.to_be_bytes());
        bytes.extend_from_slice(&rx_seq.to_be_bytes());
    }
    bytes
}

/// Cuts transfers into packets, wherever the transfers end (1.5). A packet that lies whole in
/// a transfer is not copied. Grows only with bytes that really came in.
#[derive(Debug, Default)]
pub struct Reassembler {
    buffer: Vec<u8>,
    /// The buffer holds a packet that was handed out.
    spent: bool,
}

impl Reassembler {
    /// Reads from the front of `input`. Gives how many bytes were used, and a packet if one
    /// is complete; to be called again with the rest until all is used.
    ///
    /// # Errors
    /// [`MuxPacketError::Length`]; nothing after it can be read.
    pub fn next_packet<'a>(
        &'a mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<&'a [u8]>), MuxPacketError> {
        if self.spent {
            self.clear();
        }
        if self.buffer.is_empty()
            && let Some(length) = announced(input)?
            && let Some(packet) = input.get(..length)
        {
            return Ok((length, Some(packet)));
        }
        let mut used = self.fill(SHORT_HEADER, input);
        if let Some(length) = announced(&self.buffer)? {
            used += self.fill(length, &input[used..]);
            if self.buffer.len() == length {
                self.spent = true;
                return Ok((used, Some(&self.buffer)));
            }
        }
        Ok((used, None))
    }

    /// Forgets a packet that has begun.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.spent = false;
    }

    /// True if a packet has begun and is not complete.
    pub fn is_midway(&self) -> bool {
        !self.spent && !self.buffer.is_empty()
    }

    fn fill(&mut self, target: usize, input: &[u8]) -> usize {
        let wanted = target.saturating_sub(self.buffer.len()).min(input.len());
        self.buffer.extend_from_slice(&input[..wanted]);
        wanted
    }
}

/// The length the header at the front of `bytes` announces, once it is there.
fn announced(bytes: &[u8]) -> Result<Option<usize>, MuxPacketError> {
    let Some([_, _, _, _, a, b, c, d]) = bytes.first_chunk::<SHORT_HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([*a, *b, *c, *d]);
    match usize::try_from(length) {
        Ok(fits) if (SHORT_HEADER..=limits::MUX_PACKET_BYTES).contains(&fits) => Ok(Some(fits)),
        _ => Err(MuxPacketError::Length(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: TcpHeader = TcpHeader {
        source: 1,
        destination: 62078,
        seq: 0xffff_fffe,
        ack: 7,
        flags: flags::ACK,
        window: 0x2_0000,
    };

    fn long(tx_seq: u16, rx_seq: u16) -> Form {
        Form::Long { magic: MAGIC, tx_seq, rx_seq }
    }

    fn collect(parts: &[&[u8]]) -> Result<Vec<Vec<u8>>, MuxPacketError> {
        let (mut reassembler, mut packets) = (Reassembler::default(), Vec::new());
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let (used, packet) = reassembler.next_packet(rest)?;
                packets.extend(packet.map(<[u8]>::to_vec));
                rest = &rest[used..];
            }
        }
        assert!(!reassembler.is_midway());
        Ok(packets)
    }

    #[test]
    fn bytes_are_those_of_section_1_6() {
        let version = encode(long(5, 5), Packet::Version { major: 2, minor: 0 });
        assert_eq!(version, [0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        let setup = encode(long(0, 0xffff), Packet::Setup);
        assert_eq!(setup, [0, 0, 0, 2, 0, 0, 0, 0x11, 0xfe, 0xed, 0xfa, 0xce, 0, 0, 0xff, 0xff, 7]);
        let tcp = encode(Form::Short, Packet::Tcp { header: HEADER, data: b"x" });
        let head = [0, 0, 0, 6, 0, 0, 0, 29, 0, 1, 0xf2, 0x7e, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 7];
        assert_eq!(tcp[..20], head);
        assert_eq!(tcp[20..], [0x50, 0x10, 2, 0, 0, 0, 0, 0, b'x']);
    }

    #[test]
    fn what_was_written_is_read_in_either_form() {
        let packets = [
            Packet::Version { major: 1, minor: 9 },
            Packet::Control { kind: 3, text: b"no" },
            Packet::Setup,
            Packet::Tcp { header: HEADER, data: b"data" },
            Packet::Unknown(9),
        ];
        for packet in packets {
            for (form, layout) in [(Form::Short, Layout::Short), (long(3, 4), Layout::Long)] {
                let bytes = encode(form, packet);
                let received = decode(&bytes, layout).unwrap();
                assert_eq!(received.packet, packet);
                let expected =
                    (layout == Layout::Long && !matches!(packet, Packet::Version { .. })).then_some(4);
                assert_eq!(received.rx_seq, expected);
            }
        }
    }

    #[test]
    fn packets_survive_any_cut_of_the_stream() {
        let one = encode(long(1, 1), Packet::Tcp { header: HEADER, data: &[7; 40] });
        let two = encode(long(2, 1), Packet::Control { kind: 7, text: b"" });
        let stream = [one.as_slice(), &two, &one].concat();
        for a in 0..stream.len() {
            for b in a..stream.len() {
                let packets = collect(&[&stream[..a], &stream[a..b], &stream[b..]]).unwrap();
                assert_eq!(packets, [one.clone(), two.clone(), one.clone()], "cut at {a} and {b}");
            }
        }
    }

    #[test]
    fn a_length_that_cannot_be_right_ends_the_stream() {
        for length in [0_u32, 7, 65_537, u32::MAX] {
            let bytes = [6_u32.to_be_bytes(), length.to_be_bytes()].concat();
            assert_eq!(collect(&[&bytes]), Err(MuxPacketError::Length(length)));
            assert_eq!(collect(&[&bytes[..3], &bytes[3..]]), Err(MuxPacketError::Length(length)));
        }
    }

    #[test]
    fn a_message_that_says_nothing_is_no_fault() {
        let bytes = [1_u32.to_be_bytes(), 16_u32.to_be_bytes(), [0; 4], [0; 4]].concat();
        assert_eq!(decode(&bytes, Layout::Long).unwrap().packet, Packet::Control { kind: 0, text: b"" });
    }

    #[test]
    fn a_packet_too_short_for_its_protocol_is_said_to_be() {
        for (protocol, length) in [(0_u32, 15_u32), (6, 35), (2, 15)] {
            let mut bytes = [protocol.to_be_bytes(), length.to_be_bytes()].concat();
            bytes.resize(length as usize, 0);
            let error = MuxPacketError::Short { protocol, length: length as usize };
            assert_eq!(decode(&bytes, Layout::Long), Err(error));
        }
        assert!(decode(&[], Layout::Short).is_err());
    }

    #[test]
    fn more_data_than_a_packet_holds_is_cut_off() {
        let half = vec![1; 40_000];
        let bytes = encode_tcp(long(0, 0), HEADER, [&half, &half]);
        assert_eq!(bytes.len(), limits::MUX_PACKET_BYTES);
        assert_eq!(collect(&[&bytes]).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20),
            small in any::<bool>(),
        ) {
            let mut reassembler = Reassembler::default();
            'all: for mut part in parts {
                if small && part.len() > 6 {
                    (part[4], part[5]) = (0, 0);
                }
                let mut rest = part.as_slice();
                while !rest.is_empty() {
                    let Ok((used, packet)) = reassembler.next_packet(rest) else { break 'all };
                    if let Some(packet) = packet {
                        let _ = decode(packet, Layout::Long);
                        let _ = decode(packet, Layout::Short);
                    }
                    rest = &rest[used..];
                }
            }
        }
    }
}
