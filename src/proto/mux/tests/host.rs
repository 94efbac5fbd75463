//! What the host does with a device that is slow, odd or hostile.

use super::cable::pattern;
use super::*;
use crate::wire::mux_packet::{self, MAGIC, Packet, TcpHeader, flags};

fn segment(port: u16, flags: u8, seq: u32, ack: u32, data: &[u8]) -> Vec<u8> {
    let header = TcpHeader { source: 62078, destination: port, seq, ack, flags, window: 0x2_0000 };
    let form = Form::Long { magic: 0xface_face, tx_seq: 9, rx_seq: 77 };
    mux_packet::encode(form, Packet::Tcp { header, data })
}

fn sent(host: &mut HostMux, now: Instant) -> Option<(TcpHeader, Vec<u8>)> {
    let bytes = host.transmit(now)?;
    match mux_packet::decode(&bytes, Layout::Long).unwrap().packet {
        Packet::Tcp { header, data } => Some((header, data.to_vec())),
        other => panic!("{other:?}"),
    }
}

/// A host whose handshake is over, without a device.
fn ready() -> (HostMux, Instant) {
    let now = tokio::time::Instant::now().into_std();
    let mut host = HostMux::new(now);
    host.transmit(now).unwrap();
    host.receive(&mux_packet::encode(Form::Short, Packet::Version { major: 2, minor: 0 }), now).unwrap();
    assert_eq!(host.next_event(), Some(HostEvent::Ready { version: 2 }));
    host.transmit(now).unwrap();
    (host, now)
}

/// The same with one open stream, on local port 1.
fn open() -> (HostMux, Instant, StreamId) {
    let (mut host, now) = ready();
    let id = host.open(62078, now).unwrap();
    assert_eq!(sent(&mut host, now).unwrap().0.flags, flags::SYN);
    host.receive(&segment(1, flags::SYN | flags::ACK, 0, 1, b""), now).unwrap();
    assert_eq!(host.next_event(), Some(HostEvent::Opened(id)));
    let (ack, _) = sent(&mut host, now).unwrap();
    assert_eq!((ack.flags, ack.seq, ack.ack, ack.window), (flags::ACK, 1, 1, 0x2_0000));
    (host, now, id)
}

#[test]
fn the_handshake_is_that_of_section_1_6() {
    let now = tokio::time::Instant::now().into_std();
    let mut host = HostMux::new(now);
    let version = host.transmit(now).unwrap();
    assert_eq!(version, [0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(host.transmit(now), None);
    assert_eq!(host.open(1, now), Err(OpenError::NotReady));
    host.receive(&version, now).unwrap();
    assert_eq!(
        host.transmit(now).unwrap(),
        [0, 0, 0, 2, 0, 0, 0, 0x11, 0xfe, 0xed, 0xfa, 0xce, 0, 0, 0xff, 0xff, 7]
    );
    assert_eq!(host.transmit(now), None);
    host.receive(&version, now).unwrap();
    assert_eq!(host.next_event(), Some(HostEvent::Ready { version: 2 }));
    assert_eq!(host.next_event(), None, "a second VERSION is ignored");
    let id = host.open(62078, now).unwrap();
    let syn = host.transmit(now).unwrap();
    assert_eq!(syn[8..16], [0xfe, 0xed, 0xfa, 0xce, 0, 1, 0xff, 0xff]);
    assert_eq!(syn[16..], [0, 1, 0xf2, 0x7e, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 2, 0, 0, 0, 0, 0]);
    host.receive(&segment(1, flags::SYN | flags::ACK, 0, 1, b""), now).unwrap();
    assert_eq!(host.next_event(), Some(HostEvent::Opened(id)));
    assert_eq!(host.transmit(now).unwrap()[12..16], [0, 2, 0, 77], "rx_seq is the device's own");
}

#[test]
fn version_1_has_no_setup_and_short_headers() {
    let mut cable = Cable::ready(DeviceOptions { version: 1, ..Default::default() });
    let (here, there) = cable.open(62078);
    cable.host.write(here, b"hello").unwrap();
    assert_eq!(cable.host.transmit(cable.now).unwrap().len(), 8 + 20 + 5);
    cable.device.write(there, b"hello").unwrap();
    cable.settle();
    assert_eq!(cable.host_reads(here), b"hello");
}

#[test]
fn a_version_nobody_knows_ends_the_device() {
    let mut cable = Cable::new(DeviceOptions { version: 3, ..Default::default() });
    cable.host_sends();
    let version = cable.device.transmit().unwrap();
    assert_eq!(cable.host.receive(&version, cable.now), Err(MuxError::Version(3)));
}

#[test]
fn version_is_sent_three_times_and_then_the_device_is_silent() {
    let now = tokio::time::Instant::now().into_std();
    let mut cable = Cable::new(DeviceOptions::default());
    for _ in 0..3 {
        assert_eq!(cable.host.transmit(cable.now).unwrap().len(), 20);
        assert_eq!(cable.host.transmit(cable.now), None);
        assert_eq!(cable.host.deadline(), Some(cable.now + limits::MUX_VERSION_PAUSE));
        cable.pass(limits::MUX_VERSION_PAUSE / 2).unwrap();
        assert_eq!(cable.host.transmit(cable.now), None);
        if cable.now - now < limits::MUX_VERSION_PAUSE * 2 {
            cable.pass(limits::MUX_VERSION_PAUSE / 2).unwrap();
        }
    }
    assert_eq!(cable.pass(limits::MUX_VERSION_PAUSE), Err(MuxError::Silent));
}

#[test]
fn what_an_earlier_host_left_behind_is_skipped_before_the_handshake() {
    let mut cable = Cable::new(DeviceOptions::default());
    let stale = segment(5, flags::ACK, 1, 1, &pattern(100));
    cable.host.receive(&stale, cable.now).unwrap();
    cable.host.receive(&[0xff; 300], cable.now).unwrap();
    cable.settle();
    assert_eq!(cable.host_events, [HostEvent::Ready { version: 2 }]);
    // A packet that never ends swallows the first answer, not the second.
    let mut cable = Cable::new(DeviceOptions::default());
    cable.host.receive(&stale[..50], cable.now).unwrap();
    cable.settle();
    cable.pass(limits::MUX_VERSION_PAUSE).unwrap();
    cable.settle();
    assert_eq!(cable.host_events, [HostEvent::Ready { version: 2 }]);
}

#[test]
fn nonsense_instead_of_an_answer_is_named() {
    let mut cable = Cable::new(DeviceOptions::default());
    cable.host.receive(&[0xff; 20], cable.now).unwrap();
    for _ in 0..2 {
        cable.pass(limits::MUX_VERSION_PAUSE).unwrap();
    }
    assert!(matches!(cable.pass(limits::MUX_VERSION_PAUSE), Err(MuxError::Packet(_))));
}

#[test]
fn a_refusal_brings_its_words() {
    let mut cable = Cable::ready(DeviceOptions::default());
    cable.accepts = false;
    for (words, heard) in
        [(Some("Service not\u{202e} here\n"), Some("Service not\\u{202e} here".to_owned())), (None, None)]
    {
        let id = cable.host.open(1, cable.now).unwrap();
        cable.host_sends();
        let Some(DeviceEvent::Open { id: asked, port: 1 }) = cable.device_events.pop() else { panic!() };
        cable.device.refuse(asked, words);
        cable.settle();
        assert_eq!(cable.host_events.pop(), Some(HostEvent::Refused(id, heard)));
        assert_eq!(cable.host.write(id, b"x"), Err(StreamError::Closed));
    }
}

#[test]
fn an_answer_that_is_not_exactly_syn_ack_is_a_refusal() {
    for flags in [flags::ACK, flags::SYN, flags::SYN | flags::ACK | 0x08] {
        let (mut host, now) = ready();
        let id = host.open(62078, now).unwrap();
        host.transmit(now).unwrap();
        host.receive(&segment(1, flags, 0, 1, b""), now).unwrap();
        assert_eq!(host.next_event(), Some(HostEvent::Refused(id, None)));
        assert_eq!(sent(&mut host, now).unwrap().0.flags, flags::RST);
    }
}

#[test]
fn a_device_that_does_not_answer_syn_is_given_up_after_a_while() {
    let (mut host, now) = ready();
    let id = host.open(62078, now).unwrap();
    host.transmit(now).unwrap();
    assert_eq!(host.deadline(), Some(now + limits::STREAM_OPEN));
    host.elapsed(now + limits::STREAM_OPEN).unwrap();
    assert_eq!(host.next_event(), Some(HostEvent::Closed(id, CloseReason::NoAnswer)));
    assert_eq!(sent(&mut host, now).unwrap().0.flags, flags::RST);
    assert_eq!(host.deadline(), None);
}

#[test]
fn other_flags_on_an_open_stream_reset_it_after_its_bytes_were_read() {
    for other in [0x11, 0x18, flags::SYN | flags::ACK, 0] {
        let (mut host, now, id) = open();
        host.receive(&segment(1, flags::ACK, 1, 1, b"last"), now).unwrap();
        host.receive(&segment(1, other, 5, 1, b"lost"), now).unwrap();
        assert_eq!(host.next_event(), Some(HostEvent::Readable(id)));
        assert_eq!(host.next_event(), Some(HostEvent::Closed(id, CloseReason::Flags(other))));
        assert_eq!(sent(&mut host, now).unwrap().0.flags, flags::RST);
        let mut buffer = [0; 10];
        assert_eq!(host.read(id, &mut buffer), Ok(4));
        assert_eq!(host.read(id, &mut buffer), Err(StreamError::Closed));
    }
}

#[test]
fn a_reset_gives_the_words_of_the_device_and_is_not_answered() {
    let (mut host, now, id) = open();
    host.receive(&segment(1, flags::RST, 1, 1, b"Goodbye.\n"), now).unwrap();
    let reason = CloseReason::Peer(Some("Goodbye.".into()));
    assert_eq!(reason.to_string(), "the device closed the stream: Goodbye.");
    assert_eq!(host.next_event(), Some(HostEvent::Closed(id, reason)));
    assert_eq!(host.transmit(now), None);
    assert_eq!(host.read(id, &mut [0; 9]), Err(StreamError::Closed));
}

#[test]
fn an_acknowledgement_that_waits_is_not_sent_after_a_reset() {
    let (mut host, now, id) = open();
    host.receive(&segment(1, flags::ACK, 1, 1, &pattern(40_000)), now).unwrap();
    host.read(id, &mut vec![0; 39_999]).unwrap();
    host.receive(&segment(1, flags::RST, 40_001, 1, b""), now).unwrap();
    assert_eq!(host.transmit(now), None);
    assert_eq!(host.read(id, &mut [0; 9]), Ok(1));
    assert_eq!(host.transmit(now), None);
}

#[test]
fn packets_for_nobody_are_answered_once_at_a_time() {
    let (mut host, now) = ready();
    for n in 0..1000 {
        host.receive(&segment(40, flags::ACK, 100 + n, 1, &[0; 100]), now).unwrap();
        host.receive(&segment(41, flags::RST, 1, 1, b""), now).unwrap();
    }
    let (reset, _) = sent(&mut host, now).unwrap();
    assert_eq!((reset.source, reset.destination, reset.flags), (40, 62078, flags::RST));
    assert_eq!((reset.seq, reset.ack), (0, 100));
    assert_eq!(host.transmit(now), None);
    for port in 0..5000 {
        host.receive(&segment(port, flags::ACK, 1, 1, b"x"), now).unwrap();
    }
    assert_eq!(std::iter::from_fn(|| host.transmit(now)).count(), limits::MUX_RESETS);
}

#[test]
fn acknowledgements_follow_the_reader() {
    let (mut host, now, id) = open();
    let data = pattern(40_000);
    host.receive(&segment(1, flags::ACK, 1, 1, &data), now).unwrap();
    assert_eq!(host.transmit(now), None, "nothing was read");
    let mut buffer = vec![0; 20_000];
    host.read(id, &mut buffer).unwrap();
    assert_eq!(host.transmit(now), None, "less than a quarter of the window");
    host.read(id, &mut buffer[..13_000]).unwrap();
    assert_eq!(sent(&mut host, now).unwrap().0.ack, 33_001);
    host.read(id, &mut buffer).unwrap();
    assert_eq!(sent(&mut host, now).unwrap().0.ack, 40_001, "drained");
    host.receive(&segment(1, flags::ACK, 40_001, 1, b"ab"), now).unwrap();
    host.write(id, b"data").unwrap();
    host.read(id, &mut buffer).unwrap();
    let (header, data) = sent(&mut host, now).unwrap();
    assert_eq!((header.ack, data.as_slice()), (40_003, b"data".as_slice()));
    assert_eq!(host.transmit(now), None, "the data carried it");
}

#[test]
fn a_device_that_overruns_the_window_loses_its_stream_only() {
    let (mut host, now, id) = open();
    let data = vec![0; 60_000];
    let mut seq = 1;
    for _ in 0..4 {
        host.receive(&segment(1, flags::ACK, seq, 1, &data), now).unwrap();
        seq += 60_000;
    }
    assert_eq!(host.next_event(), Some(HostEvent::Readable(id)));
    assert_eq!(host.next_event(), None);
    host.receive(&segment(1, flags::ACK, seq, 1, &data), now).unwrap();
    assert_eq!(host.next_event(), Some(HostEvent::Closed(id, CloseReason::Overrun)));
    assert_eq!(sent(&mut host, now).unwrap().0.flags, flags::RST);
    assert!(host.open(62078, now).is_ok());
}

#[test]
fn an_acknowledgement_from_the_future_resets_the_stream_and_an_old_one_says_nothing() {
    let (mut host, now, id) = open();
    host.write(id, b"four").unwrap();
    host.transmit(now).unwrap();
    host.receive(&segment(1, flags::ACK, 1, 5, b""), now).unwrap();
    host.receive(&segment(1, flags::ACK, 1, 3, b""), now).unwrap();
    assert_eq!(host.next_event(), None);
    host.receive(&segment(1, flags::ACK, 1, 6, b""), now).unwrap();
    assert_eq!(host.next_event(), Some(HostEvent::Closed(id, CloseReason::Acknowledgement)));
}

#[test]
fn a_device_whose_numbers_jump_is_followed() {
    let (mut host, now, id) = open();
    host.receive(&segment(1, flags::ACK, 1_000_000, 1, b"abc"), now).unwrap();
    assert_eq!(host.read(id, &mut [0; 9]), Ok(3));
    assert_eq!(sent(&mut host, now).unwrap().0.ack, 1_000_003);
}

#[test]
fn source_ports_in_use_are_skipped_and_numbers_are_not_used_twice() {
    let (mut host, now) = ready();
    let first = host.open(1, now).unwrap();
    let mut seen = std::collections::HashSet::from([first]);
    assert_eq!(sent(&mut host, now).unwrap().0.source, 1);
    for n in 2..=65_536_u32 {
        let id = host.open(1, now).unwrap();
        assert!(seen.insert(id));
        let (syn, _) = sent(&mut host, now).unwrap();
        assert_eq!(u32::from(syn.source), if n == 65_536 { 2 } else { n });
        host.close(id, now);
        assert_eq!(sent(&mut host, now).unwrap().0.flags, flags::RST);
    }
}

#[test]
fn streams_have_a_limit() {
    let (mut host, now) = ready();
    let ids: Vec<_> = (0..limits::STREAMS_PER_DEVICE).map(|_| host.open(1, now).unwrap()).collect();
    assert_eq!(host.open(1, now), Err(OpenError::TooMany));
    host.close(ids[3], now);
    assert!(host.open(1, now).is_ok());
}

#[test]
fn messages_are_bounded_and_printable() {
    let (mut host, now) = ready();
    let form = Form::Long { magic: MAGIC, tx_seq: 0, rx_seq: 0 };
    let long = [b"\x1b[31m".as_slice(), &[b'x'; 9000]].concat();
    for _ in 0..1000 {
        host.receive(&mux_packet::encode(form, Packet::Control { kind: 5, text: &long }), now).unwrap();
    }
    let Some(HostEvent::Message { kind: 5, text }) = host.next_event() else { panic!() };
    assert!(text.starts_with("\\u{1b}[31mxxx") && text.len() == limits::DEVICE_TEXT_CHARS);
    assert_eq!(std::iter::from_fn(|| host.next_event()).count(), limits::MUX_EVENTS - 1);
}

#[test]
fn a_closed_stream_delivers_what_was_written_within_a_second() {
    let mut cable = Cable::ready(DeviceOptions::default());
    let (here, there) = cable.open(1);
    let data = pattern(140_000);
    assert_eq!(cable.host.write(here, &data), Ok(data.len()));
    cable.host.close(here, cable.now);
    assert_eq!(cable.host.write(here, b"x"), Err(StreamError::Closed));
    let mut got = Vec::new();
    for _ in 0..10 {
        cable.settle();
        got.extend(cable.device_reads(there));
    }
    assert_eq!(got, data);
    assert!(cable.device_events.contains(&DeviceEvent::Closed(there)));
    assert_eq!(cable.host.deadline(), None);

    let (here, there) = cable.open(1);
    cable.host.write(here, &data).unwrap();
    cable.host.close(here, cable.now);
    cable.settle();
    cable.pass(limits::STREAM_FLUSH).unwrap();
    cable.settle();
    assert!(cable.device_events.contains(&DeviceEvent::Closed(there)));
    assert_eq!(cable.device_reads(there).len(), limits::STREAM_WINDOW as usize);
}

#[test]
fn a_bad_length_ends_the_device() {
    let (mut host, now, _) = open();
    let mut bytes = segment(1, flags::ACK, 1, 1, b"x");
    bytes[5] = 0xff;
    assert!(matches!(host.receive(&bytes, now), Err(MuxError::Packet(_))));
}
