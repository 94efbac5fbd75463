//! Captures written by `tests/support/capture.rs`, and what is read out of them.

#[path = "../../../tests/support/capture.rs"]
mod capture;

use super::*;
use crate::wire::mux_packet::{self, Form as Header, Layout, MAGIC, Packet, TcpHeader, flags};
use capture::{CaptureWriter, Event, Form};
use std::path::{Path, PathBuf};

const DEVICE: (u16, u8) = (1, 7);
const OUT: u8 = 0x04;
const IN: u8 = 0x05;
/// The host's IN transfers (1.5).
const ROOM: usize = 16_384;

/// What was seen, kept.
#[derive(Debug, Clone, PartialEq)]
enum Kept {
    Packet(Sender, Vec<u8>, usize),
    Broken(Sender, MuxPacketError),
    Gap(Sender),
    Failed(Sender, i32),
}

fn read(file: &[u8]) -> (Vec<Kept>, Result<CaptureTotals, CaptureError>) {
    let mut kept = Vec::new();
    let mut reader = CaptureReader::default();
    for piece in file.chunks(1000) {
        let fed = reader.feed(piece, |seen| {
            assert_eq!((seen.address.bus, seen.address.device), DEVICE);
            kept.push(match seen.what {
                What::Packet { bytes, missing, .. } => Kept::Packet(seen.sender, bytes.to_vec(), missing),
                What::Broken(error) => Kept::Broken(seen.sender, error),
                What::Gap => Kept::Gap(seen.sender),
                What::Failed(status) => Kept::Failed(seen.sender, status),
            });
        });
        if let Err(error) = fed {
            return (kept, Err(error));
        }
    }
    (kept, reader.finish())
}

fn long(tx_seq: u16) -> Header {
    Header::Long { magic: MAGIC, tx_seq, rx_seq: 0 }
}

fn segment(from_host: bool, seq: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let (source, destination) = if from_host { (1, 62078) } else { (62078, 1) };
    let header = TcpHeader { source, destination, seq, ack: 1, flags, window: 0x2_0000 };
    mux_packet::encode(long(seq as u16), Packet::Tcp { header, data })
}

/// Lengths of data after which packets end where 1.5 has its borders.
const LENGTHS: [usize; 5] = [1, 512 - 36, ROOM - 36, ROOM - 35, 40_000];

/// A handshake, and a conversation with data of these lengths both ways.
fn conversation(lengths: &[usize]) -> Vec<(Sender, Vec<u8>)> {
    use Sender::{Device, Host};
    let version = mux_packet::encode(Header::Short, Packet::Version { major: 2, minor: 0 });
    let mut said = vec![
        (Host, version.clone()),
        (Device, version),
        (Host, mux_packet::encode(long(0), Packet::Setup)),
        (Device, mux_packet::encode(long(0), Packet::Control { kind: 7, text: b"hello" })),
        (Host, segment(true, 0, flags::SYN, b"")),
        (Device, segment(false, 0, flags::SYN | flags::ACK, b"")),
        (Host, segment(true, 1, flags::ACK, b"")),
    ];
    for length in lengths {
        said.push((Host, segment(true, 1, flags::ACK, &vec![1; *length])));
        said.push((Device, segment(false, 1, flags::ACK, &vec![2; *length])));
    }
    said.push((Host, segment(true, 9, flags::RST, b"")));
    said
}

/// As transfers on a cable: a device's packets in pieces, a zero-length transfer after what
/// ends on a boundary.
fn captured(form: Form, said: &[(Sender, Vec<u8>)]) -> Vec<u8> {
    let mut writer = CaptureWriter::new(form);
    for (n, (sender, packet)) in said.iter().enumerate() {
        let time = Duration::from_millis(1_600_000_000_000 + n as u64);
        match sender {
            Sender::Host => {
                writer.out(time, DEVICE, OUT, packet);
                if packet.len().is_multiple_of(512) {
                    writer.out(time, DEVICE, OUT, &[]);
                }
            }
            Sender::Device => packet.chunks(ROOM).for_each(|p| writer.input(time, DEVICE, IN, ROOM, p)),
        }
    }
    writer.finish()
}

fn kept(said: &[(Sender, Vec<u8>)]) -> Vec<Kept> {
    said.iter().map(|(sender, packet)| Kept::Packet(*sender, packet.clone(), 0)).collect()
}

#[test]
fn every_form_gives_the_packets_back() {
    let said = conversation(&LENGTHS);
    for form in Form::all() {
        let file = captured(form, &said);
        let (seen, totals) = read(&file);
        assert_eq!(seen, kept(&said), "{form:?}");
        let totals = totals.unwrap();
        assert!(totals.devices == 1 && !totals.cut_off && totals.bytes == file.len() as u64, "{totals:?}");
        let mut times = Vec::new();
        let mut reader = CaptureReader::default();
        reader.feed(&file, |seen| times.push(seen.time.unwrap())).unwrap();
        let first = Duration::from_millis(1_600_000_000_000);
        assert!(times[0] == first && times[1] == first + Duration::from_millis(1), "{form:?}");
    }
}

#[test]
fn a_capture_that_begins_late_is_read_from_the_next_packet_on() {
    let said = conversation(&LENGTHS);
    for begin in 0..said.len() {
        let (seen, _) = read(&captured(Form::USUAL, &said[begin..]));
        assert_eq!(seen, kept(&said[begin..]), "from {begin} on");
        let all_sound = |file: &[u8]| {
            CaptureReader::default().feed(file, |seen| match seen.what {
                What::Packet { verdict: Ok(received), .. } => {
                    assert!(!matches!(received.packet, Packet::Unknown(_)));
                }
                other => panic!("{other:?}"),
            })
        };
        all_sound(&captured(Form::USUAL, &said[begin..])).unwrap();
    }
    // The last piece of a long packet comes first: it begins nothing.
    let packet = &said[said.len() - 2].1;
    let mut writer = CaptureWriter::new(Form::USUAL);
    writer.input(Duration::ZERO, DEVICE, IN, ROOM, &packet[ROOM..]);
    writer.input(Duration::ZERO, DEVICE, IN, ROOM, &segment(false, 5, flags::ACK, b"x"));
    let expected = [Kept::Packet(Sender::Device, segment(false, 5, flags::ACK, b"x"), 0)];
    assert_eq!(read(&writer.finish()).0, expected);
}

#[test]
fn headers_of_version_1_are_told_from_those_of_version_2() {
    let header = TcpHeader { source: 1, destination: 2, seq: 3, ack: 4, flags: flags::ACK, window: 0x100 };
    let packet = Packet::Tcp { header, data: &[0; 30] };
    for (form, layout) in [(Header::Short, Layout::Short), (long(1), Layout::Long)] {
        let mut writer = CaptureWriter::new(Form::USUAL);
        writer.out(Duration::ZERO, DEVICE, OUT, &mux_packet::encode(form, packet));
        let mut seen = 0;
        let mut see = |event: Seen<'_>| {
            let What::Packet { verdict, .. } = event.what else { panic!("{event:?}") };
            assert_eq!(verdict.unwrap().packet, packet, "{layout:?}");
            seen += 1;
        };
        CaptureReader::default().feed(&writer.finish(), &mut see).unwrap();
        assert_eq!(seen, 1);
    }
}

#[test]
fn what_a_short_snapshot_cut_is_counted_and_the_rest_is_read() {
    let said = conversation(&LENGTHS);
    let form = Form { snapshot: 64 + 100, ..Form::USUAL };
    let (seen, _) = read(&captured(form, &said));
    assert_eq!(seen.len(), said.len());
    for (seen, (sender, packet)) in seen.iter().zip(&said) {
        let Kept::Packet(who, bytes, missing) = seen else { panic!("{seen:?}") };
        assert_eq!((who, bytes.len()), (sender, packet.len()));
        let pieces = if *sender == Sender::Host { 1 } else { packet.len().div_ceil(ROOM) };
        assert!(packet.len() <= 100 || *missing >= packet.len() - pieces * 100, "{missing}");
        assert!(bytes[..packet.len().min(100)] == packet[..packet.len().min(100)]);
    }
    // Not even the header is there.
    let (seen, _) = read(&captured(Form { snapshot: 64 + 4, ..Form::USUAL }, &said));
    assert_eq!(seen, []);
}

#[test]
fn after_a_broken_header_the_next_sound_one_is_read() {
    let mut broken = segment(false, 1, flags::ACK, b"x");
    broken[4..8].copy_from_slice(&70_000_u32.to_be_bytes());
    let good = |seq| segment(false, seq, flags::ACK, b"good");
    let mut writer = CaptureWriter::new(Form::USUAL);
    for packet in [&good(1), &broken, &vec![0; 100], &good(2)] {
        writer.input(Duration::ZERO, DEVICE, IN, ROOM, packet);
    }
    let expected = [
        Kept::Packet(Sender::Device, good(1), 0),
        Kept::Broken(Sender::Device, MuxPacketError::Length(70_000)),
        Kept::Packet(Sender::Device, good(2), 0),
    ];
    assert_eq!(read(&writer.finish()).0, expected);
}

#[test]
fn other_endpoints_other_transfers_and_failures() {
    let good = segment(true, 1, flags::ACK, b"x");
    let mut writer = CaptureWriter::new(Form::USUAL);
    // Pictures and Ethernet travel over bulk endpoints too.
    writer.out(Duration::ZERO, DEVICE, 2, &[12, 0, 0, 0, 1, 0, 1, 16, 0, 0, 0, 0]);
    writer.out(Duration::ZERO, DEVICE, OUT, &good);
    writer.out(Duration::ZERO, DEVICE, 2, &good);
    let event = Event {
        event: b'C',
        kind: 2,
        endpoint: 0x80,
        device: 7,
        bus: 1,
        status: 0,
        length: 18,
        data: Some(&good),
    };
    writer.event(Duration::ZERO, event);
    let bulk = Event { kind: 3, endpoint: OUT, data: None, ..event };
    writer.event(Duration::ZERO, Event { status: -2, ..bulk });
    writer.event(Duration::ZERO, Event { status: -71, ..bulk });
    let expected = [Kept::Packet(Sender::Host, good, 0), Kept::Failed(Sender::Host, -71)];
    let (seen, totals) = read(&writer.finish());
    assert_eq!(seen, expected);
    assert_eq!(totals.unwrap().devices, 1);
}

#[test]
fn what_is_no_capture_of_usb_is_refused() {
    let refusal = |file: &[u8]| read(file).1.unwrap_err();
    assert_eq!(refusal(b""), CaptureError::NotCapture);
    assert_eq!(refusal(b"PK\x03\x04 and more"), CaptureError::NotCapture);
    for (form, at) in [(Form::USUAL, 20), (Form { ng: true, ..Form::USUAL }, 28 + 8)] {
        let mut file = CaptureWriter::new(form).finish();
        file[at] = 1;
        assert_eq!(refusal(&file), CaptureError::NotUsb(1), "{form:?}");
    }
    let sound = captured(Form { ng: true, ..Form::USUAL }, &conversation(&LENGTHS));
    let mut file = sound.clone();
    file[28 + 4] ^= 1;
    assert!(matches!(refusal(&file), CaptureError::Damaged { at: 28, .. }), "{:?}", refusal(&file));
    // A writer that was killed leaves what it had.
    let (seen, totals) = read(&sound[..sound.len() - 3]);
    assert!(totals.unwrap().cut_off && !seen.is_empty());
}

/// What `fixtures/captures` holds; `fixtures/README.md` says how to write it anew.
#[test]
fn the_fixtures_are_what_the_writer_makes() {
    let said = conversation(&[1, 512 - 36, ROOM - 35]);
    let form = |ng, big, nanoseconds, mmapped| Form { ng, big, nanoseconds, mmapped, ..Form::USUAL };
    let files = [
        ("usbmon.pcap", captured(form(false, false, false, true), &said)),
        ("big-endian-nanoseconds.pcap", captured(form(false, true, true, false), &said)),
        ("usbmon.pcapng", captured(form(true, false, true, true), &said)),
        ("begins-late.pcap", captured(Form::USUAL, &said[8..])),
        ("short-snapshot.pcap", captured(Form { snapshot: 128, ..Form::USUAL }, &said)),
        ("broken-header.pcap", broken()),
    ];
    for (name, bytes) in files {
        let path = fixture(name);
        if crate::fixtures::refresh() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let stored = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(stored == bytes, "{name} is not what is made now");
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures").join(name)
}

/// A device whose third packet says that it is longer than any may be.
fn broken() -> Vec<u8> {
    let mut said = conversation(&[1, 512 - 36, ROOM - 35]);
    said.truncate(8);
    said[5].1[4..8].copy_from_slice(&70_000_u32.to_be_bytes());
    captured(Form::USUAL, &said)
}
