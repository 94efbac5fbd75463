//! Entries for fuzzing (`tests/fuzz/`): bytes choose what peer and owner do, and the mux must
//! keep its bounds whatever that is. Not in the program: compiled for tests and fuzzing only.

use super::{DeviceEvent, DeviceMux, DeviceOptions, HostMux, StreamId};
use crate::fuzz::script::Script;
use crate::limits;
use crate::wire::mux_packet::{self, Form, Layout, MAGIC, Packet, Reassembler, TcpHeader, flags};
use std::time::{Duration, Instant};

/// More packets than anything could have waiting.
const MOST_WAITING: usize = 100_000;

/// A segment such as a peer sends, with something wrong about it now and then.
fn segment(script: &mut Script<'_>, source: u16, destination: u16) -> Vec<u8> {
    let ack = flags::ACK;
    let flags = script.pick(&[ack, ack, ack, ack, flags::SYN, flags::SYN | ack, flags::RST, 0x18]);
    let header = TcpHeader {
        source,
        destination,
        seq: script.count() as u32,
        ack: script.count() as u32,
        flags: flags.unwrap_or_default(),
        window: (script.count() as u32) << 8,
    };
    let data = vec![script.byte(); script.count().min(60_000)];
    let form = Form::Long { magic: MAGIC, tx_seq: 0, rx_seq: u16::from(script.byte()) };
    mux_packet::encode(form, Packet::Tcp { header, data: &data })
}

/// Any bytes as mux packets: nothing panics, what was read can be written and read again.
pub fn packet(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let layout = if script.byte() & 1 == 0 { Layout::Short } else { Layout::Long };
    let form = match layout {
        Layout::Short => Form::Short,
        Layout::Long => Form::Long { magic: MAGIC, tx_seq: 1, rx_seq: 2 },
    };
    let mut reassembler = Reassembler::default();
    while !script.is_over() {
        let mut rest = script.bytes();
        while !rest.is_empty() {
            let Ok((used, packet)) = reassembler.next_packet(rest) else { return };
            assert!(used > 0, "no progress");
            rest = &rest[used..];
            let Some(bytes) = packet else { continue };
            let Ok(received) = mux_packet::decode(bytes, layout) else { continue };
            let again = mux_packet::encode(form, received.packet);
            assert!(again.len() <= limits::MUX_PACKET_BYTES);
            let read = mux_packet::decode(&again, layout).map(|received| received.packet);
            assert_eq!(read, Ok(received.packet));
        }
    }
}

/// Any device, and any owner of streams.
pub fn host(bytes: &[u8], now: Instant) {
    let mut script = Script::new(bytes);
    let (mut host, mut now) = (HostMux::new(now), now);
    let mut streams: Vec<StreamId> = Vec::new();
    let mut buffer = vec![0; 300_000];
    // Most inputs should get past the handshake.
    if script.byte() & 1 == 0 {
        let _ = host.receive(&mux_packet::encode(Form::Short, Packet::Version { major: 2, minor: 0 }), now);
    }
    while !script.is_over() {
        let alive = match script.byte() % 12 {
            0 => host.receive(script.bytes(), now),
            1 => {
                let major = script.word();
                host.receive(&mux_packet::encode(Form::Short, Packet::Version { major, minor: 0 }), now)
            }
            2..=4 => {
                let (source, destination) = (u16::from(script.byte() % 4), u16::from(script.byte() % 8));
                let packet = segment(&mut script, source, destination);
                packet.chunks(16_384).try_for_each(|transfer| host.receive(transfer, now))
            }
            5 => {
                streams.extend(host.open(u16::from(script.byte() % 4), now));
                Ok(())
            }
            6 => {
                let count = script.count();
                let taken = script.pick(&streams).and_then(|id| host.write(id, &buffer[..count]).ok());
                assert!(taken.is_none_or(|taken| taken <= count));
                Ok(())
            }
            7 => {
                let count = script.count();
                let got = script.pick(&streams).and_then(|id| host.read(id, &mut buffer[..count]).ok());
                assert!(got.is_none_or(|got| got <= count));
                Ok(())
            }
            8 => {
                if let Some(id) = script.pick(&streams) {
                    host.close(id, now);
                }
                Ok(())
            }
            9 => {
                now += Duration::from_millis(100) * u32::from(script.byte());
                host.elapsed(now)
            }
            10 => {
                let _ = host.next_event();
                Ok(())
            }
            _ => {
                host.transmit(now).iter().for_each(|packet| well_formed(packet));
                Ok(())
            }
        };
        host.check();
        if alive.is_err() {
            return;
        }
    }
    let waiting = std::iter::from_fn(|| host.transmit(now)).take(MOST_WAITING);
    assert!(waiting.inspect(|packet| well_formed(packet)).count() < MOST_WAITING, "it never stops sending");
    streams.iter().for_each(|id| host.close(*id, now));
    let _ = host.elapsed(now + limits::STREAM_OPEN + limits::STREAM_FLUSH);
    host.check();
    assert!(host.is_idle(), "a closed stream is still there");
}

/// Any host, and any services.
pub fn device(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let options = DeviceOptions {
        version: 1 + u32::from(script.byte() & 1 == 0),
        window: (script.count() as u32) << 4,
        // Tiny packets would take for ever to send what may wait.
        most_data: 1000 + script.count(),
        ..DeviceOptions::default()
    };
    let mut device = DeviceMux::new(options);
    let mut streams: Vec<StreamId> = Vec::new();
    let mut buffer = vec![0; 300_000];
    let version = mux_packet::encode(Form::Short, Packet::Version { major: 2, minor: 0 });
    if script.byte() & 1 == 0 {
        let _ = device.receive(&version);
    }
    while !script.is_over() {
        let action = script.byte() % 16;
        let chosen = script.pick(&streams);
        let received = match action {
            0 => device.receive(script.bytes()),
            1 => device.receive(&version),
            2..=5 => {
                let (source, destination) = (u16::from(script.byte() % 8), u16::from(script.byte() % 4));
                device.receive(&segment(&mut script, source, destination))
            }
            _ => Ok(()),
        };
        match (action, chosen) {
            (6, Some(id)) => device.accept(id),
            (7, Some(id)) => device.refuse(id, Some("no")),
            (8, Some(id)) => {
                let count = script.count();
                assert!(device.write(id, &buffer[..count]).is_ok_and(|n| n <= count) || chosen.is_some());
            }
            (9, Some(id)) => {
                let count = script.count();
                let _ = device.read(id, &mut buffer[..count]);
            }
            (10, Some(id)) => device.close(id),
            (11, _) => device.set_window(script.word() >> 8),
            (12, _) => device.hold_acks(script.byte() & 1 == 0),
            (13, _) => device.control(script.byte(), "text"),
            (14, _) => {
                if let Some(DeviceEvent::Open { id, .. }) = device.next_event() {
                    streams.push(id);
                }
            }
            (15, _) => device.transmit().iter().for_each(|packet| well_formed(packet)),
            _ => {}
        }
        device.check();
        if received.is_err() {
            device.reset();
            device.check();
        }
    }
    let waiting = std::iter::from_fn(|| device.transmit()).take(MOST_WAITING);
    assert!(waiting.count() < MOST_WAITING, "it never stops sending");
    device.check();
}

fn well_formed(packet: &[u8]) {
    assert!(packet.len() <= limits::MUX_PACKET_BYTES);
    assert_eq!(Reassembler::default().next_packet(packet), Ok((packet.len(), Some(packet))));
    assert!(mux_packet::decode(packet, Layout::Short).is_ok());
}
