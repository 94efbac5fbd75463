//! Writes captures of a USB bus as the kernel's usbmon and tcpdump would: for fixtures and
//! tests. Made from the documented layouts, not from anybody's capture.

#![allow(dead_code)] // each test uses a part
#![allow(unreachable_pub)] // and nothing outside reaches in
#![allow(clippy::cast_possible_truncation)] // small numbers

use std::time::Duration;

/// Form of a file.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// pcapng instead of pcap.
    pub ng: bool,
    /// Written on a big-endian computer.
    pub big: bool,
    /// Times in nanoseconds.
    pub nanoseconds: bool,
    /// Link type 220 instead of 189.
    pub mmapped: bool,
    /// Most bytes of a record that are kept, head included.
    pub snapshot: usize,
}

impl Form {
    /// What tcpdump writes on most computers.
    pub const USUAL: Self =
        Self { ng: false, big: false, nanoseconds: false, mmapped: true, snapshot: 262_144 };

    /// All sixteen.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16_u8).map(|n| Self {
            ng: n & 1 != 0,
            big: n & 2 != 0,
            nanoseconds: n & 4 != 0,
            mmapped: n & 8 != 0,
            ..Self::USUAL
        })
    }
}

/// One event of usbmon.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// `S` submitted, `C` complete, `E` refused.
    pub event: u8,
    /// 3 bulk, 2 control.
    pub kind: u8,
    /// Number, the top bit set for IN.
    pub endpoint: u8,
    pub device: u8,
    pub bus: u16,
    pub status: i32,
    /// Length asked for, or done.
    pub length: usize,
    /// `None` where usbmon keeps none.
    pub data: Option<&'a [u8]>,
}

/// A file in the making.
#[derive(Debug)]
pub struct CaptureWriter {
    form: Form,
    bytes: Vec<u8>,
}

impl CaptureWriter {
    pub fn new(form: Form) -> Self {
        let mut writer = Self { form, bytes: Vec::new() };
        let link = if form.mmapped { 220 } else { 189 };
        if form.ng {
            let mut section = Vec::new();
            writer.word(&mut section, 0x1a2b_3c4d);
            [1, 0].into_iter().for_each(|half| writer.half(&mut section, half));
            section.extend([0xff; 8]); // a section of unknown length
            writer.block(0x0a0d_0d0a, &section);
            let mut interface = Vec::new();
            [link, 0].into_iter().for_each(|half| writer.half(&mut interface, half));
            writer.word(&mut interface, form.snapshot as u32);
            if form.nanoseconds {
                [9, 1].into_iter().for_each(|half| writer.half(&mut interface, half));
                interface.extend([9, 0, 0, 0, 0, 0, 0, 0]); // ten to the minus nine; end of options
            }
            writer.block(1, &interface);
            // Statistics, which nobody needs.
            writer.block(5, &[0; 12]);
        } else {
            let mut head = Vec::new();
            let magic = if form.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
            writer.word(&mut head, magic);
            [2, 4].into_iter().for_each(|half| writer.half(&mut head, half));
            [0, 0, form.snapshot as u32, u32::from(link)].into_iter().for_each(|w| writer.word(&mut head, w));
            writer.bytes = head;
        }
        writer
    }

    /// A bulk transfer to the device.
    pub fn out(&mut self, time: Duration, (bus, device): (u16, u8), endpoint: u8, data: &[u8]) {
        let event = Event {
            event: b'S',
            kind: 3,
            endpoint,
            device,
            bus,
            status: -115, // in progress
            length: data.len(),
            data: Some(data),
        };
        self.event(time, event);
        self.event(time, Event { event: b'C', status: 0, data: None, ..event });
    }

    /// A bulk transfer from the device, into a buffer of `room` bytes.
    pub fn input(
        &mut self,
        time: Duration,
        (bus, device): (u16, u8),
        endpoint: u8,
        room: usize,
        data: &[u8],
    ) {
        let event = Event {
            event: b'S',
            kind: 3,
            endpoint: endpoint | 0x80,
            device,
            bus,
            status: -115,
            length: room,
            data: None,
        };
        self.event(time, event);
        self.event(time, Event { event: b'C', status: 0, length: data.len(), data: Some(data), ..event });
    }

    pub fn event(&mut self, time: Duration, event: Event<'_>) {
        let mut record = Vec::new();
        self.long(&mut record, 0xffff_8800_1234_5678); // the kernel's name for the transfer
        record.extend([event.event, event.kind, event.endpoint, event.device]);
        self.half(&mut record, event.bus);
        record.push(b'-'); // no setup packet
        record.push(match event.data {
            Some(_) => 0,
            None if event.endpoint & 0x80 == 0 => b'>',
            None => b'<',
        });
        self.long(&mut record, time.as_secs());
        let kept = event.data.map_or(0, <[u8]>::len);
        for word in [time.subsec_micros(), event.status.cast_unsigned(), event.length as u32, kept as u32] {
            self.word(&mut record, word);
        }
        record.extend([0; 8]); // the setup packet, were there one
        if self.form.mmapped {
            record.extend([0; 16]); // interval, frame, flags, descriptors
        }
        record.extend(event.data.unwrap_or_default());
        self.record(time, &record);
    }

    fn record(&mut self, time: Duration, whole: &[u8]) {
        let kept = &whole[..whole.len().min(self.form.snapshot)];
        let mut head = Vec::new();
        if self.form.ng {
            let ticks = if self.form.nanoseconds { time.as_nanos() } else { time.as_micros() } as u64;
            let words = [0, (ticks >> 32) as u32, ticks as u32, kept.len() as u32, whole.len() as u32];
            words.into_iter().for_each(|word| self.word(&mut head, word));
            head.extend(kept);
            head.resize(head.len().next_multiple_of(4), 0);
            self.block(6, &head);
        } else {
            let part = if self.form.nanoseconds { time.subsec_nanos() } else { time.subsec_micros() };
            let words = [time.as_secs() as u32, part, kept.len() as u32, whole.len() as u32];
            words.into_iter().for_each(|word| self.word(&mut head, word));
            self.bytes.extend(head);
            self.bytes.extend(kept);
        }
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let mut block = Vec::new();
        let length = body.len() as u32 + 12;
        [kind, length].into_iter().for_each(|word| self.word(&mut block, word));
        block.extend(body);
        self.word(&mut block, length);
        self.bytes.extend(block);
    }

    fn half(&self, to: &mut Vec<u8>, value: u16) {
        to.extend(if self.form.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn word(&self, to: &mut Vec<u8>, value: u32) {
        to.extend(if self.form.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn long(&self, to: &mut Vec<u8>, value: u64) {
        to.extend(if self.form.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
