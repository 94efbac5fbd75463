//! The recording of one job with one device while it is written.

use super::entry::{self, Entry, What};
use super::folder::{Closing, Folder};
use super::meta::{JobMeta, Meta, Origin, ResultMeta, errors};
use super::scrub::{SCRUB_VERSION, Scrubber};
use super::words::{is_product, is_version};
use crate::clock::Clock;
use crate::ids::Udid;
use crate::transport::Attachment;
use crate::wire::fields::Fields;
use plist::Dictionary;
use tokio::time::Instant;

/// What `meta.toml` says while the job goes on.
pub(super) const OPEN: &str = "the job did not end";

/// Names of files; see the header of [`super`].
pub(super) const PHASES: [&str; 9] =
    ["attach", "pair", "inspect", "prepare", "install", "wait", "verify", "erase", "reattach"];

/// Longest that a recording tells of, in seconds: a day, as no person is waited for longer. What
/// comes later is written as if it came then.
pub(super) const MOST_SECONDS: u64 = 86_400;

/// Most connections of one recording: each has some lines, so it is too large by then.
pub(super) const MOST_CONNECTIONS: u32 = 9999;

/// Most pushes that are counted: a job has at most 100, each with its helpers.
pub(super) const MOST_PUSHES: u32 = 9999;

/// See the header of [`super`].
#[derive(Debug)]
pub(super) struct Device {
    folder: Folder,
    scrubber: Scrubber,
    begun: Instant,
    connections: u32,
    phase: &'static str,
    pushes: u32,
    meta: Meta,
}

impl Device {
    pub(super) fn begin(folder: Folder, attachment: &Attachment, job: &JobMeta, clock: &Clock) -> Self {
        let meta = Meta {
            scrub: SCRUB_VERSION,
            origin: if attachment.simulated { Origin::Simulator } else { Origin::Hardware },
            date: clock.now().to_string().chars().take(10).collect(),
            tool: concat!("enlist ", env!("CARGO_PKG_VERSION")).to_owned(),
            product: String::new(),
            os: String::new(),
            cut: OPEN.to_owned(),
            job: JobMeta::default(),
            result: None,
        };
        let mut device = Self {
            folder,
            scrubber: Scrubber::default(),
            begun: Instant::now(),
            connections: 0,
            phase: "attach",
            pushes: 0,
            meta,
        };
        device.is_about(job);
        let udid = device.scrubber.udid(attachment.udid.as_str());
        device.write(0, What::Attached(udid));
        device
    }

    /// What the job is about; written at once, as it stands if the program dies.
    pub(super) fn is_about(&mut self, job: &JobMeta) {
        self.meta.job = bounded(job).scrubbed(&mut self.scrubber);
        self.folder.meta(self.meta.text());
    }

    pub(super) fn write(&mut self, c: u32, what: What) {
        let t = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).min(MOST_SECONDS * 1000);
        self.folder.line(self.phase, Entry { t, c, what }.line());
    }

    /// The number of a new connection.
    pub(super) fn connection(&mut self) -> u32 {
        match self.connections {
            // Two of one number could not be told apart.
            MOST_CONNECTIONS => self.folder.fill(),
            _ => self.connections += 1,
        }
        self.connections
    }

    /// A frame passed; `now` is our clock, in seconds since 1970.
    pub(super) fn frame(&mut self, c: u32, from_host: bool, frame: &Dictionary, now: f64) {
        self.turn(from_host, frame);
        let scrubbed = self.scrubber.at(now).frame(frame);
        let json = entry::to_json(&scrubbed);
        if from_host {
            self.write(c, What::Host(json));
        } else {
            self.learn(&scrubbed);
            self.write(c, What::Device(json));
        }
    }

    pub(super) fn came_back(&mut self, udid: &Udid) {
        self.phase = "reattach";
        let udid = self.scrubber.udid(udid.as_str());
        self.write(0, What::Attached(udid));
    }

    pub(super) fn left(&mut self, udid: &Udid) {
        let udid = self.scrubber.udid(udid.as_str());
        self.write(0, What::Detached(udid));
    }

    pub(super) fn ended(&mut self, outcome: &str, class: &str, chain: &[(&str, i64)]) {
        self.meta.cut = String::new();
        let (outcome, class) = (outcome.to_owned(), class.to_owned());
        let chain = Some(errors(chain.iter().copied(), &mut self.scrubber));
        self.meta.result = Some(ResultMeta { outcome, class, pushes: self.pushes, chain });
    }

    /// Writes the rest.
    pub(super) fn close(mut self) -> Closing {
        if let Some(trouble) = self.folder.trouble() {
            self.meta.cut = trouble.to_owned();
        }
        self.folder.meta(self.meta.text());
        self.folder.close()
    }

    /// Which phase a frame begins, as the conversation itself tells.
    fn turn(&mut self, from_host: bool, frame: &Dictionary) {
        let asked = frame.text("Request").or(frame.text("RequestType")).unwrap_or_default();
        let fails = frame.get("Error").is_some();
        self.phase = match (self.phase, asked) {
            (_, "Pair" | "StartSession") if from_host => "pair",
            ("pair", "StartSession") if !fails => "inspect",
            (phase, _) if !from_host => phase,
            (_, "SetCloudConfiguration") => "prepare",
            (_, "EraseDevice") => "erase",
            (_, "InstallProfile" | "InstallProfileSilent") => {
                self.pushes = (self.pushes + 1).min(MOST_PUSHES);
                "install"
            }
            ("install", "StartService") => "wait",
            ("install" | "wait", "GetProfileList") => "verify",
            (phase, _) => phase,
        };
    }

    /// What `meta.toml` tells of the device; written at once, as it stands if the program dies.
    fn learn(&mut self, scrubbed: &Dictionary) {
        let Some(values) = scrubbed.dict("Value") else { return };
        let Meta { product, os, .. } = &mut self.meta;
        let known = (product.len(), os.len());
        // A placeholder tells nothing.
        if let Some(text) = values.text("ProductType").filter(|text| is_product(text)) {
            text.clone_into(product);
        }
        if let Some(text) = values.text("ProductVersion").filter(|text| is_version(text)) {
            text.clone_into(os);
        }
        let is_first = |known: usize, now: &str| known == 0 && !now.is_empty();
        if is_first(known.0, product) || is_first(known.1, os) {
            self.folder.meta(self.meta.text());
        }
    }
}

/// The same within what a recording can tell.
fn bounded(job: &JobMeta) -> JobMeta {
    let within = |seconds: u64| seconds.min(MOST_SECONDS);
    JobMeta {
        person_within: within(job.person_within),
        accept_within: within(job.accept_within),
        replug_within: within(job.replug_within),
        policies_within: within(job.policies_within),
        pushes: job.pushes.min(MOST_PUSHES),
        ..job.clone()
    }
}
