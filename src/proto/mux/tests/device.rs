//! What a simulated device does with its host.

use super::cable::pattern;
use super::*;
use crate::wire::mux_packet::{self, MAGIC, Packet, TcpHeader, flags};

#[test]
fn a_fresh_version_or_a_bus_reset_ends_all_streams() {
    let mut cable = Cable::ready(DeviceOptions::default());
    let (_, there) = cable.open(1);
    cable.host = HostMux::new(cable.now);
    cable.settle();
    assert_eq!(cable.device_events, [DeviceEvent::Restarted]);
    assert_eq!(cable.host_events, [HostEvent::Ready { version: 2 }]);
    assert_eq!(cable.device.write(there, b"x"), Err(StreamError::Closed));
    let (_, there) = cable.open(1);
    cable.device.reset();
    assert_eq!(cable.device.read(there, &mut [0; 1]), Err(StreamError::Closed));
    cable.host = HostMux::new(cable.now);
    cable.settle();
    assert_eq!(cable.device_events, [], "the first VERSION after a reset restarts nothing");
}

#[test]
fn a_window_of_nothing_stops_the_host_until_it_is_changed() {
    let mut cable = Cable::ready(DeviceOptions { window: 0, ..Default::default() });
    let (here, there) = cable.open(1);
    let data = pattern(1000);
    cable.host.write(here, &data).unwrap();
    cable.settle();
    assert_eq!(cable.device_reads(there), b"");
    cable.device.set_window(512);
    cable.settle();
    assert_eq!(cable.device_reads(there), data[..512]);
    cable.settle();
    assert_eq!(cable.device_reads(there), data[512..]);
}

#[test]
fn a_host_is_told_when_there_is_room_again() {
    let mut cable = Cable::ready(DeviceOptions::default());
    let (here, there) = cable.open(1);
    let data = pattern(400_000);
    let taken = cable.host.write(here, &data).unwrap();
    assert_eq!(taken, limits::STREAM_SEND_BYTES);
    cable.settle();
    assert_eq!(cable.host_events, [HostEvent::Writable(here)]);
    cable.device_reads(there);
    cable.settle();
    assert_eq!(cable.host_events.len(), 1, "told once");
}

#[test]
fn held_acknowledgements_stop_the_host_and_let_it_go_again() {
    let mut cable = Cable::ready(DeviceOptions { window: 1024, ..Default::default() });
    let (here, there) = cable.open(1);
    cable.device.hold_acks(true);
    cable.host.write(here, &pattern(4000)).unwrap();
    cable.settle();
    assert_eq!(cable.device_reads(there).len(), 1024);
    cable.settle();
    assert_eq!(cable.device_reads(there).len(), 0);
    cable.device.hold_acks(false);
    cable.settle();
    assert_eq!(cable.device_reads(there).len(), 1024);
}

#[test]
fn a_service_may_answer_and_close_before_the_host_has_said_a_word() {
    let mut cable = Cable::ready(DeviceOptions::default());
    cable.accepts = false;
    let here = cable.host.open(1, cable.now).unwrap();
    cable.host_sends();
    let Some(DeviceEvent::Open { id, .. }) = cable.device_events.pop() else { panic!() };
    cable.device.accept(id);
    cable.device.write(id, b"busy").unwrap();
    cable.device.close(id);
    let mut got = Vec::new();
    for _ in 0..3 {
        cable.settle();
        got.extend(cable.host_reads(here));
    }
    assert_eq!(got, b"busy");
    assert!(cable.host_events.contains(&HostEvent::Closed(here, CloseReason::Peer(None))));
}

#[test]
fn messages_and_resets_with_words_reach_the_host() {
    let mut cable = Cable::ready(DeviceOptions { magic: 0xface_face, ..Default::default() });
    let (here, there) = cable.open(1);
    cable.device.control(3, "too warm");
    cable.device.abort(there, Some("gone"));
    cable.settle();
    assert_eq!(
        cable.host_events,
        [
            HostEvent::Message { kind: 3, text: "too warm".into() },
            HostEvent::Closed(here, CloseReason::Peer(Some("gone".into())))
        ]
    );
}

fn segment(port: u16, flags: u8) -> Vec<u8> {
    let header = TcpHeader { source: port, destination: 1, seq: 7, ack: 0, flags, window: 0x2_0000 };
    let form = Form::Long { magic: MAGIC, tx_seq: 0, rx_seq: 0 };
    mux_packet::encode(form, Packet::Tcp { header, data: b"" })
}

#[test]
fn a_host_that_asks_for_ever_is_refused() {
    let mut cable = Cable::ready(DeviceOptions::default());
    for port in 1..5000 {
        cable.device.receive(&segment(port, flags::SYN)).unwrap();
    }
    assert_eq!(std::iter::from_fn(|| cable.device.next_event()).count(), limits::STREAMS_PER_DEVICE);
    assert_eq!(std::iter::from_fn(|| cable.device.transmit()).count(), limits::MUX_RESETS);
    // Asked for and taken back, again and again, while nobody looks.
    cable.device.reset();
    cable.host = HostMux::new(cable.now);
    cable.settle();
    for _ in 0..5000 {
        cable.device.receive(&segment(9, flags::SYN)).unwrap();
        cable.device.receive(&segment(9, flags::RST)).unwrap();
    }
    assert_eq!(std::iter::from_fn(|| cable.device.next_event()).count(), limits::MUX_EVENTS);
}

#[test]
fn a_packet_to_a_port_without_stream_is_answered_with_a_reset() {
    let mut cable = Cable::ready(DeviceOptions::default());
    cable.device.receive(&segment(9, flags::ACK)).unwrap();
    let answer = cable.device.transmit().unwrap();
    assert_eq!(answer[16..20], [0, 1, 0, 9]);
    assert_eq!(answer[20..30], [0, 0, 0, 0, 0, 0, 0, 7, 0x50, flags::RST]);
    cable.device.receive(&segment(9, flags::RST)).unwrap();
    assert_eq!(cable.device.transmit(), None);
}

#[test]
fn packets_larger_than_any_reader_takes_are_not_made() {
    let mut cable = Cable::ready(DeviceOptions { most_data: usize::MAX, ..Default::default() });
    let (here, there) = cable.open(1);
    let data = pattern(131_000);
    cable.device.write(there, &data).unwrap();
    cable.settle();
    assert!(cable.host_reads(here) == data);
}
