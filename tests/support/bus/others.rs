//! Apple devices that are no phone in normal mode (protocols.md 7.1, 8), and phones that
//! misbehave.

use super::descriptors::{ConfigurationBuilder, Descriptors, Kind};
use super::device::{Control, In, Out, Setup, Upstream, VirtualDevice};
use super::iphone::{IPhone, MUX_IN, MUX_OUT};
use std::collections::VecDeque;
use std::sync::Arc;

/// A device that is nothing but its descriptors.
pub struct Plain {
    descriptors: Descriptors,
}

impl Plain {
    /// Configured, as most devices are.
    pub fn new(descriptors: Descriptors) -> Self {
        Self { descriptors }
    }
}

impl VirtualDevice for Plain {
    fn descriptors(&self) -> Descriptors {
        self.descriptors.clone()
    }

    /// Commands of recovery (8.3) are taken.
    fn control(&mut self, setup: &Setup, _data: &[u8]) -> Option<Control> {
        ((setup.request_type, setup.request) == (0x40, 0)).then(|| Control::Data(Vec::new()))
    }
}

/// An iPhone in recovery; cellular ones tell their IMEI.
pub fn recovery(ecid: u64, imei: Option<&str>) -> Plain {
    let imei = imei.map(|imei| format!(" IMEI:[{imei}]")).unwrap_or_default();
    let identity = format!(
        "SDOM:01 CPID:8110 CPRV:11 CPFM:03 SCEP:01 BDID:18 ECID:{ecid:016X} IBFL:BC SIKA:00 \
         SRNM:[F17SIM0001]{imei} SRTG:[iBoot-10151.1.1]"
    );
    let configuration = ConfigurationBuilder::new()
        .interface((254, 1, 0), &[])
        .interface((255, 255, 81), &[(0x04, Kind::Bulk, 512)]);
    let product = "Apple Mobile Device (Recovery Mode)";
    Plain::new(Descriptors::apple(0x1281, product, Some(&identity)).with(configuration))
}

/// A device in DFU; `stage` with SRTG. Chip and board are those of 8.4.
pub fn dfu(chip: u16, board: u8, ecid: u64, stage: bool) -> Plain {
    let stage = if stage { " SRTG:[iBoot-8419.0.0]" } else { "" };
    let identity =
        format!("CPID:{chip:04X} CPRV:11 CPFM:03 SCEP:01 BDID:{board:02X} ECID:{ecid:016X} IBFL:3C{stage}");
    let product = "Apple Mobile Device (DFU Mode)";
    let configuration = ConfigurationBuilder::new().interface((254, 1, 0), &[]);
    Plain::new(Descriptors::apple(0x1227, product, Some(&identity)).with(configuration))
}

/// Debug USB of newer chips: no serial string (8.5).
pub fn kis() -> Plain {
    let bulk = |out: u8| [(out, Kind::Bulk, 512), (out | 0x80, Kind::Bulk, 512)];
    let configuration =
        ConfigurationBuilder::new().interface((255, 255, 255), &bulk(1)).interface((255, 255, 255), &bulk(3));
    Plain::new(Descriptors::apple(0x1881, "Debug USB", None).with(configuration))
}

/// A running Mac: CDC-NCM, no mux; its serial string is its serial number (7.1).
pub fn mac(serial: &str) -> Plain {
    let data = |out: u8| [(out, Kind::Bulk, 512), (out | 0x80, Kind::Bulk, 512)];
    let configuration = ConfigurationBuilder::new()
        .interface((2, 13, 0), &[])
        .interface((10, 0, 1), &data(1))
        .interface((2, 13, 0), &[])
        .interface((10, 0, 1), &data(2));
    Plain::new(Descriptors::apple(0x1905, "Mac", Some(serial)).with(configuration))
}

/// An iPhone that only charges: no interface that carries data.
pub fn charging_only(udid: &str) -> Plain {
    let serial = udid.replace('-', "");
    let configuration = ConfigurationBuilder::new().interface((6, 1, 1), &[]);
    Plain::new(Descriptors::apple(0x12a8, "iPhone", Some(&serial)).with(configuration))
}

/// What is wrong with the descriptors of [`lying`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// The mux interface has one endpoint.
    OneEndpoint,
    /// Both endpoints of the mux go the same way.
    SameDirection,
    /// The mux' endpoints have packets of no bytes.
    EmptyPackets,
    /// A configuration ends in the middle of a descriptor.
    CutShort,
    /// A descriptor says that it has no length.
    ZeroLength,
    /// The serial string is missing though the device names one.
    NoSerial,
    /// The serial string is no UDID.
    OddSerial,
}

/// An iPhone whose descriptors cannot be right.
pub fn lying(udid: &str, lie: Lie) -> Plain {
    let serial = match lie {
        Lie::OddSerial => "../../etc/passwd\u{7}".to_owned(),
        _ => udid.replace('-', ""),
    };
    let mux: &[_] = match lie {
        Lie::OneEndpoint => &[(MUX_OUT, Kind::Bulk, 512)],
        Lie::SameDirection => &[(MUX_OUT, Kind::Bulk, 512), (0x05, Kind::Bulk, 512)],
        Lie::EmptyPackets => &[(MUX_OUT, Kind::Bulk, 0), (MUX_IN, Kind::Bulk, 0)],
        _ => &[(MUX_OUT, Kind::Bulk, 512), (MUX_IN, Kind::Bulk, 512)],
    };
    let configuration = ConfigurationBuilder::new().interface((6, 1, 1), &[]).interface((255, 254, 2), mux);
    let mut descriptors = Descriptors::apple(0x12a8, "iPhone", Some(&serial)).with(configuration);
    match (lie, &mut descriptors.configurations[0]) {
        (Lie::CutShort, bytes) => bytes.truncate(bytes.len() - 4),
        (Lie::ZeroLength, bytes) => bytes[18] = 0,
        _ => {}
    }
    if lie == Lie::NoSerial {
        descriptors.strings.insert(super::descriptors::SERIAL, String::new());
    }
    Plain::new(descriptors)
}

/// How [`Hostile`] misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Takes everything, answers nothing, not even VERSION.
    Silent,
    /// Does not even take what it is sent.
    Deaf,
    /// Stalls its endpoints.
    Stalls,
    /// Answers VERSION with bytes that are no packet.
    Garbage,
    /// Answers VERSION with one of 9.
    OddVersion,
    /// After VERSION, a packet that says it is longer than any may be.
    Oversized,
    /// After VERSION, a packet shorter than its header.
    Undersized,
    /// After VERSION, half a packet and nothing more.
    Truncated,
    /// After VERSION, data for a stream that nobody opened, for ever.
    StrayData,
}

/// An iPhone in normal mode whose mux misbehaves.
pub struct Hostile {
    phone: IPhone,
    habit: Habit,
    outgoing: VecDeque<Vec<u8>>,
    greeted: bool,
}

impl Hostile {
    /// To be called inside a tokio runtime.
    pub fn new(udid: &str, habit: Habit) -> Self {
        Self { phone: IPhone::new(udid), habit, outgoing: VecDeque::new(), greeted: false }
    }

    fn forget(&mut self) {
        self.outgoing.clear();
        self.greeted = false;
    }

    fn greet(&mut self) {
        self.greeted = true;
        let version = |major| words(&[0, 20, major, 0, 0]);
        let replies = match self.habit {
            Habit::Silent | Habit::Deaf | Habit::Stalls => vec![],
            Habit::Garbage => vec![vec![0xa5; 777]],
            Habit::OddVersion => vec![version(9)],
            Habit::Oversized => vec![version(2), words(&[6, 0x7fff_ffff, 0xfeed_face, 0])],
            Habit::Undersized => vec![version(2), words(&[6, 4, 0xfeed_face, 0])],
            Habit::Truncated => vec![version(2), words(&[6, 1000, 0xfeed_face, 0, 0])],
            Habit::StrayData => vec![version(2)],
        };
        self.outgoing.extend(replies);
    }
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// A packet of 1000 bytes of data from port 62078 to the host's port 4711, flags ACK.
fn stray() -> Vec<u8> {
    let mut packet = words(&[6, 36 + 1000, 0xfeed_face, 0, 62078 << 16 | 4711, 1, 1, 0x5010_0200, 0]);
    packet.extend([0x55; 1000]);
    packet
}

impl VirtualDevice for Hostile {
    fn descriptors(&self) -> Descriptors {
        self.phone.descriptors()
    }

    fn first_configuration(&self) -> Option<u8> {
        self.phone.first_configuration()
    }

    fn attached(&mut self, _upstream: Arc<dyn Upstream>) {
        self.forget();
    }

    fn configured(&mut self, _configuration: Option<u8>) {
        self.forget();
    }

    fn reset(&mut self) {
        self.forget();
    }

    fn bulk_out(&mut self, endpoint: u8, bytes: Vec<u8>) -> Out {
        match self.habit {
            Habit::Deaf => return Out::NotNow(bytes),
            Habit::Stalls => return Out::Stall,
            _ => {}
        }
        // VERSION is the one packet that begins with a zero word.
        if endpoint == MUX_OUT && bytes.starts_with(&[0; 4]) {
            self.greet();
        }
        Out::Taken
    }

    fn bulk_in(&mut self, endpoint: u8, length: usize) -> In {
        if endpoint != MUX_IN {
            return In::NotNow;
        }
        if self.habit == Habit::Stalls {
            return In::Stall;
        }
        let endless = self.habit == Habit::StrayData && self.greeted;
        let next = self.outgoing.pop_front().or_else(|| endless.then(stray));
        next.filter(|packet| packet.len() <= length).map_or(In::NotNow, In::Data)
    }
}
