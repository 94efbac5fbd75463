//! An iPhone or iPad in normal mode: its descriptors (protocols.md 1.1-1.3), its mode requests,
//! and its mux, whose streams end at [`Ports`].

use super::descriptors::{ConfigurationBuilder, Descriptors, Kind};
use super::device::{Control, In, Out, Setup, Upstream, VirtualDevice};
use super::phone_mux::PhoneMux;
use super::ports::{Ports, TestServices};
use enlist::proto::mux::DeviceOptions;
use std::sync::Arc;

/// The mux' endpoints (1.2).
pub const MUX_OUT: u8 = 0x04;
/// The other way.
pub const MUX_IN: u8 = 0x85;
/// Number of the mux' interface.
pub const MUX_INTERFACE: u8 = 1;

const GET_MODE: u8 = 0x45;
const SET_MODE: u8 = 0x52;

/// A mode a device can be set to (1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Four configurations, the mux in the last two.
    Initial,
    /// Five, the mux in the last one, with Ethernet of the CDC-NCM kind.
    Ncm,
    /// One, without a mux.
    NcmDirect,
}

impl Mode {
    fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Initial),
            3 => Some(Self::Ncm),
            5 => Some(Self::NcmDirect),
            _ => None,
        }
    }

    fn configurations(self) -> Vec<ConfigurationBuilder> {
        let ptp = || {
            let endpoints = [(0x02, Kind::Bulk, 512), (0x81, Kind::Bulk, 512), (0x83, Kind::Interrupt, 64)];
            ConfigurationBuilder::new().interface((6, 1, 1), &endpoints)
        };
        let mux = |before: ConfigurationBuilder| {
            before.interface((255, 254, 2), &[(MUX_OUT, Kind::Bulk, 512), (MUX_IN, Kind::Bulk, 512)])
        };
        let ethernet = [(0x06, Kind::Bulk, 512), (0x87, Kind::Bulk, 512)];
        let tethered = || mux(ptp()).interface((255, 253, 1), &ethernet);
        let ncm =
            |before: ConfigurationBuilder| before.interface((2, 13, 0), &[]).interface((10, 0, 1), &ethernet);
        let initial =
            vec![ptp(), ptp().interface((3, 0, 0), &[(0x83, Kind::Interrupt, 64)]), mux(ptp()), tethered()];
        match self {
            Self::Initial => initial,
            Self::Ncm => initial.into_iter().chain([ncm(mux(ptp()))]).collect(),
            Self::NcmDirect => vec![ncm(ConfigurationBuilder::new())],
        }
    }
}

/// An iPhone. Unplugging and plugging it again keeps its mode.
pub struct IPhone {
    serial: String,
    product_id: u16,
    product: &'static str,
    mode: Mode,
    first_configuration: Option<u8>,
    knows_modes: bool,
    mux: PhoneMux,
    upstream: Option<Arc<dyn Upstream>>,
}

impl IPhone {
    /// In initial mode and unconfigured, as Debian's udev rules leave it (1.3). `udid` may have
    /// its dash; the USB serial string has none. To be called inside a tokio runtime.
    pub fn new(udid: &str) -> Self {
        Self {
            serial: udid.replace('-', ""),
            product_id: 0x12a8,
            product: "iPhone",
            mode: Mode::Initial,
            first_configuration: None,
            knows_modes: true,
            mux: PhoneMux::new(DeviceOptions::default(), Arc::new(TestServices)),
            upstream: None,
        }
    }

    /// With other things behind its ports than [`TestServices`].
    pub fn with_ports(self, ports: Arc<dyn Ports>) -> Self {
        Self { mux: PhoneMux::new(DeviceOptions::default(), ports), ..self }
    }

    /// With another product id; that of an iPad changes its name too.
    pub fn with_product_id(self, product_id: u16) -> Self {
        let product = if product_id == 0x12ab { "iPad" } else { "iPhone" };
        Self { product_id, product, ..self }
    }

    /// In another mode.
    pub fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// With a configuration on arrival.
    pub fn configured(self, configuration: u8) -> Self {
        Self { first_configuration: Some(configuration), ..self }
    }

    /// Stalls the mode requests, as old devices do.
    pub fn without_modes(self) -> Self {
        Self { knows_modes: false, ..self }
    }

    /// With other habits of its mux, and [`TestServices`] behind it unless
    /// [`Self::with_ports`] follows.
    pub fn with_mux(self, options: DeviceOptions) -> Self {
        Self { mux: self.mux.with_options(options), ..self }
    }
}

impl VirtualDevice for IPhone {
    fn descriptors(&self) -> Descriptors {
        let empty = Descriptors::apple(self.product_id, self.product, Some(&self.serial));
        self.mode.configurations().into_iter().fold(empty, Descriptors::with)
    }

    fn first_configuration(&self) -> Option<u8> {
        self.first_configuration
    }

    fn attached(&mut self, upstream: Arc<dyn Upstream>) {
        self.mux.attach(Arc::clone(&upstream));
        self.upstream = Some(upstream);
    }

    fn detached(&mut self) {
        self.upstream = None;
        self.mux.detach();
    }

    fn configured(&mut self, _configuration: Option<u8>) {
        self.mux.reset();
    }

    fn reset(&mut self) {
        self.mux.reset();
    }

    fn control(&mut self, setup: &Setup, _data: &[u8]) -> Option<Control> {
        match (setup.request_type, setup.request) {
            (0xc0, GET_MODE) if self.knows_modes => {
                let first = if self.mode == Mode::Initial { 3 } else { 5 };
                Some(Control::Data(vec![first, 3, 3, 0]))
            }
            (0xc0, SET_MODE) if self.knows_modes => {
                let Some(mode) = Mode::from_number(setup.index) else { return Some(Control::Data(vec![1])) };
                self.mode = mode;
                self.upstream.iter().for_each(|upstream| upstream.reenumerate());
                Some(Control::Data(vec![0]))
            }
            _ => None,
        }
    }

    fn bulk_out(&mut self, endpoint: u8, bytes: Vec<u8>) -> Out {
        if endpoint == MUX_OUT { self.mux.receive(&bytes) } else { Out::Taken }
    }

    fn bulk_in(&mut self, endpoint: u8, length: usize) -> In {
        if endpoint == MUX_IN { self.mux.send(length) } else { In::NotNow }
    }
}
