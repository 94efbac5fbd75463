//! Any order of sending, reading, writing and closing: bytes arrive once and in order.

use super::cable::pattern;
use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Act {
    HostSends,
    DeviceSends,
    HostWrites(usize, usize),
    DeviceWrites(usize, usize),
    HostReads(usize, usize),
    DeviceReads(usize, usize),
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = || prop_oneof![0_usize..10, 0_usize..5000, 0_usize..200_000];
    prop_oneof![
        3 => Just(Act::HostSends),
        3 => Just(Act::DeviceSends),
        1 => (0..STREAMS, bytes()).prop_map(|(s, n)| Act::HostWrites(s, n)),
        1 => (0..STREAMS, bytes()).prop_map(|(s, n)| Act::DeviceWrites(s, n)),
        1 => (0..STREAMS, bytes()).prop_map(|(s, n)| Act::HostReads(s, n)),
        1 => (0..STREAMS, bytes()).prop_map(|(s, n)| Act::DeviceReads(s, n)),
    ]
}

const STREAMS: usize = 3;

/// One direction of one stream.
#[derive(Default, Clone)]
struct Flow {
    written: usize,
    read: usize,
}

struct World {
    cable: Cable,
    streams: Vec<(StreamId, StreamId)>,
    up: Vec<Flow>,
    down: Vec<Flow>,
    data: Vec<u8>,
    buffer: Vec<u8>,
}

impl World {
    fn new(options: DeviceOptions) -> Self {
        let mut cable = Cable::ready(options);
        let streams = (0..STREAMS).map(|n| cable.open(100 + n as u16)).collect();
        let flows = vec![Flow::default(); STREAMS];
        let data = pattern(251 * 256);
        Self { cable, streams, up: flows.clone(), down: flows, data, buffer: vec![0; 200_000] }
    }

    /// `count` bytes of the endless pattern.
    fn bytes(&self, from: usize, count: usize) -> Vec<u8> {
        (from..from + count).map(|n| self.data[n % self.data.len()]).collect()
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::HostSends => _ = self.cable.host_sends(),
            Act::DeviceSends => _ = self.cable.device_sends(),
            Act::HostWrites(s, n) => {
                let bytes = self.bytes(self.down[s].written, n);
                self.down[s].written += self.cable.host.write(self.streams[s].0, &bytes).unwrap();
            }
            Act::DeviceWrites(s, n) => {
                let bytes = self.bytes(self.up[s].written, n);
                self.up[s].written += self.cable.device.write(self.streams[s].1, &bytes).unwrap();
            }
            Act::HostReads(s, n) => {
                let n = self.cable.host.read(self.streams[s].0, &mut self.buffer[..n]).unwrap();
                assert!(self.buffer[..n] == self.bytes(self.up[s].read, n));
                self.up[s].read += n;
            }
            Act::DeviceReads(s, n) => {
                let n = self.cable.device.read(self.streams[s].1, &mut self.buffer[..n]).unwrap();
                assert!(self.buffer[..n] == self.bytes(self.down[s].read, n));
                self.down[s].read += n;
            }
        }
    }

    /// Reads one stream to its end.
    fn drain(&mut self, s: usize) {
        while self.up[s].read < self.up[s].written || self.down[s].read < self.down[s].written {
            let before = self.up[s].read + self.down[s].read;
            self.cable.settle();
            self.act(&Act::HostReads(s, 200_000));
            self.act(&Act::DeviceReads(s, 200_000));
            assert!(self.up[s].read + self.down[s].read > before, "stream {s} is stuck");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn bytes_arrive_once_and_in_order_and_a_slow_reader_stalls_nobody(
        acts in proptest::collection::vec(act(), 0..150),
        window in prop_oneof![Just(131_072_u32), Just(256), Just(16_384), Just(1_000_000)],
        most_data in prop_oneof![Just(49_116_usize), Just(16_348), Just(65_500), Just(1000)],
        version in 1_u32..=2,
        order in Just([0, 1, 2]).prop_shuffle(),
    ) {
        let most_data = most_data.max(window as usize / 100);
        let mut world = World::new(DeviceOptions { version, window, most_data, ..Default::default() });
        acts.iter().for_each(|act| world.act(act));
        // The others' readers have gone away, yet each is served in full.
        order.into_iter().for_each(|s| world.drain(s));
        let quiet = |e: &HostEvent| matches!(e, HostEvent::Readable(_) | HostEvent::Writable(_));
        prop_assert!(world.cable.host_events.iter().all(quiet));
        prop_assert!(!world.cable.device_events.iter().any(|e| matches!(e, DeviceEvent::Closed(_))));
    }

    #[test]
    fn any_cut_of_the_transfers_gives_the_same(
        cuts in proptest::collection::vec(1_usize..5000, 1..50),
        count in 1_usize..100_000,
    ) {
        let mut cable = Cable::ready(DeviceOptions::default());
        let (here, there) = cable.open(1);
        let data = pattern(count);
        cable.device.write(there, &data).unwrap();
        let stream: Vec<u8> = std::iter::from_fn(|| cable.device.transmit()).flatten().collect();
        let (mut rest, mut cuts) = (stream.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            cable.host.receive(now, cable.now).unwrap();
            rest = later;
        }
        prop_assert!(cable.host_reads(here) == data);
    }

    #[test]
    fn any_bytes_are_survived(
        transfers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20),
    ) {
        let mut cable = Cable::ready(DeviceOptions::default());
        let (here, there) = cable.open(1);
        for mut transfer in transfers {
            if let [_, _, _, protocol, a, b, c, length, ..] = transfer.as_mut_slice() {
                *protocol %= 8;
                (*a, *b, *c) = (0, 0, 0);
                *length %= 80;
            }
            let _ = cable.host.receive(&transfer, cable.now);
            let _ = cable.device.receive(&transfer);
            let _ = cable.host.read(here, &mut [0; 100]);
            let _ = cable.device.read(there, &mut [0; 100]);
            while cable.host.transmit(cable.now).is_some() {}
            while cable.device.transmit().is_some() {}
        }
    }
}

#[test]
fn streams_send_in_turn() {
    let mut world = World::new(DeviceOptions { window: 1_000_000, ..Default::default() });
    for s in 0..STREAMS {
        world.act(&Act::HostWrites(s, 140_000));
    }
    let mut turns = Vec::new();
    while let Some(packet) = world.cable.host.transmit(world.cable.now) {
        turns.push(packet[17]);
    }
    assert_eq!(turns, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}
