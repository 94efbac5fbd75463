//! A cable without USB: both muxes, and what travels between them.

use super::*;

/// Both sides, joined.
pub(super) struct Cable {
    pub(super) host: HostMux,
    pub(super) device: DeviceMux,
    pub(super) now: Instant,
    pub(super) host_events: Vec<HostEvent>,
    pub(super) device_events: Vec<DeviceEvent>,
    /// Takes every connection.
    pub(super) accepts: bool,
}

impl Cable {
    pub(super) fn new(options: DeviceOptions) -> Self {
        let now = tokio::time::Instant::now().into_std();
        Self {
            host: HostMux::new(now),
            device: DeviceMux::new(options),
            now,
            host_events: Vec::new(),
            device_events: Vec::new(),
            accepts: true,
        }
    }

    /// Past the handshake.
    pub(super) fn ready(options: DeviceOptions) -> Self {
        let version = options.version;
        let mut cable = Self::new(options);
        cable.settle();
        assert_eq!(cable.host_events, [HostEvent::Ready { version }]);
        cable.host_events.clear();
        cable
    }

    /// One packet to the device. False if there was none.
    pub(super) fn host_sends(&mut self) -> bool {
        let Some(packet) = self.host.transmit(self.now) else { return false };
        assert!(packet.len() <= limits::MUX_OUT_BYTES);
        self.device.receive(&packet).unwrap();
        while let Some(event) = self.device.next_event() {
            if let DeviceEvent::Open { id, .. } = event
                && self.accepts
            {
                self.device.accept(id);
            }
            self.device_events.push(event);
        }
        true
    }

    /// One packet to the host, in transfers as USB makes them.
    pub(super) fn device_sends(&mut self) -> bool {
        let Some(packet) = self.device.transmit() else { return false };
        for transfer in packet.chunks(16_384) {
            self.host.receive(transfer, self.now).unwrap();
        }
        self.host_hears();
        true
    }

    pub(super) fn host_hears(&mut self) {
        while let Some(event) = self.host.next_event() {
            self.host_events.push(event);
        }
    }

    /// Until nobody has anything to send.
    pub(super) fn settle(&mut self) {
        let mut packets = 0;
        while self.host_sends() | self.device_sends() {
            packets += 1;
            assert!(packets < 100_000, "they never stop");
        }
        self.host_hears();
    }

    /// Opens a stream; gives both its ends.
    pub(super) fn open(&mut self, port: u16) -> (StreamId, StreamId) {
        let id = self.host.open(port, self.now).unwrap();
        self.settle();
        assert!(self.host_events.contains(&HostEvent::Opened(id)));
        let asked = self.device_events.iter().rev().find_map(|event| match event {
            DeviceEvent::Open { id, port: asked } if *asked == port => Some(*id),
            _ => None,
        });
        self.host_events.clear();
        self.device_events.clear();
        (id, asked.unwrap())
    }

    /// Everything the host's end has for its reader.
    pub(super) fn host_reads(&mut self, id: StreamId) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), [0; 10_000]);
        while let Ok(count @ 1..) = self.host.read(id, &mut buffer) {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    }

    /// Everything the device's end has for its reader.
    pub(super) fn device_reads(&mut self, id: StreamId) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), [0; 10_000]);
        while let Ok(count @ 1..) = self.device.read(id, &mut buffer) {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    }

    pub(super) fn pass(&mut self, time: Duration) -> Result<(), MuxError> {
        self.now += time;
        let result = self.host.elapsed(self.now);
        self.host_hears();
        result
    }
}

/// Bytes that show where they belong.
pub(super) fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8 ^ (n / 251) as u8).collect()
}
