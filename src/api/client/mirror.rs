//! What a station showed last, on this side: the newest state made from what it told.

use super::Told;
use crate::api::view::station::{SnapshotView, StationView};
use crate::api::view::{BayView, PortView};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Lines and ports that are kept: eight times what one USB controller can address. Others are left out,
/// and that is said.
const MOST: usize = 1024;

/// Errors of a line's chain that are kept: Apple nests three or four.
const CHAIN: usize = 8;

/// What a told thing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Anything.
    Everything,
    /// This bay; `ended`: its job came to its end just now.
    Bay {
        /// Its job.
        job: Option<i64>,
        /// Its job came to its end just now.
        ended: bool,
    },
    /// What is said of the station.
    Station,
    /// Nothing that is kept here.
    Nothing,
}

/// A station's state. Empty until everything was told once.
#[derive(Debug, Default)]
pub struct Mirror {
    station: Option<StationView>,
    lines: BTreeMap<String, BayView>,
    ports: Vec<PortView>,
    ahead: SignedDuration,
    left_out: bool,
}

impl Mirror {
    /// Takes what was told at `now`, by this side's clock.
    pub fn take(&mut self, told: Told, now: Timestamp) -> Change {
        match told {
            Told::Everything(everything) => {
                self.all(*everything, now);
                Change::Everything
            }
            Told::Bay(bay) => self.bay(*bay),
            Told::Mux(trouble) => self.trouble(|station| &mut station.mux_trouble, trouble),
            Told::Journal(trouble) => self.trouble(|station| &mut station.journal_trouble, trouble),
            Told::Live | Told::Stopped | Told::Lost(_) => Change::Nothing,
        }
    }

    /// The station, once it was told.
    pub fn station(&self) -> Option<&StationView> {
        self.station.as_ref()
    }

    /// Lines of the board, in no order.
    pub fn lines(&self) -> impl Iterator<Item = &BayView> {
        self.lines.values()
    }

    /// Ports that have a name.
    pub fn ports(&self) -> &[PortView] {
        &self.ports
    }

    /// There is more than is kept.
    pub fn is_left_out(&self) -> bool {
        self.left_out
    }

    /// Seconds until a moment on the station's clock; zero once it passed.
    pub fn seconds_until(&self, until: Timestamp, now: Timestamp) -> u64 {
        let left = until.duration_since(now).saturating_sub(self.ahead);
        u64::try_from(left.as_secs()).unwrap_or(0)
    }

    fn all(&mut self, everything: SnapshotView, now: Timestamp) {
        let SnapshotView { mut station, bays, mut ports } = everything;
        self.ahead = station.now.duration_since(now);
        station.card.truncate(CARD);
        self.station = Some(station);
        self.left_out = ports.len() > MOST;
        ports.truncate(MOST);
        for port in &mut ports {
            port.devices.clear();
        }
        self.ports = ports;
        self.lines.clear();
        for bay in bays {
            self.put(bay);
        }
    }

    fn bay(&mut self, bay: BayView) -> Change {
        let before = self.lines.get(&bay.key()).is_some_and(|line| line.ended);
        let change = Change::Bay { job: bay.device.job, ended: bay.ended && !before };
        if bay.unserved && !bay.attached {
            self.lines.remove(&bay.key());
            return change;
        }
        // A bay forgets whoever is done and gone once another line is there.
        let key = bay.key();
        let stays = |other: &BayView| other.attached || other.is_open() || other.device.bay != bay.device.bay;
        self.lines.retain(|other, line| *other == key || stays(line));
        self.put(bay);
        change
    }

    fn put(&mut self, mut bay: BayView) {
        bay.device.chain.truncate(CHAIN);
        let key = bay.key();
        match self.lines.len() < MOST || self.lines.contains_key(&key) {
            true => _ = self.lines.insert(key, bay),
            false => self.left_out = true,
        }
    }

    fn trouble(
        &mut self,
        of: impl FnOnce(&mut StationView) -> &mut Option<String>,
        trouble: Option<String>,
    ) -> Change {
        if let Some(station) = &mut self.station {
            *of(station) = trouble;
        }
        Change::Station
    }
}

/// Steps of a card that are kept: ours has six.
const CARD: usize = 12;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::api::Outcome;
    use crate::api::view::DeviceView;
    use crate::ids::Bay;

    /// A line of a board.
    pub(crate) fn line(bay: &str, udid: &str, outcome: Outcome) -> BayView {
        let device = DeviceView {
            udid: udid.parse().ok(),
            serial: Some(format!("C0{udid}")),
            bay: Bay(bay.into()),
            outcome,
            class: outcome.class(),
            sentence: outcome.sentence().into(),
            next: outcome.next().map(Into::into),
            chain: Vec::new(),
            attempts: 1,
            ms: 2500,
            simulated: true,
            name: Some(format!("Tablet {udid}")),
            product_type: Some("iPad13,1".into()),
            os_version: Some("18.1".into()),
            ecid: None,
            imei: None,
            job: Some(7),
            pushes: 1,
        };
        let ended = outcome.is_success() || outcome == Outcome::Failed;
        BayView { device, attached: true, until: None, ended, unserved: false, port: None }
    }

    /// A station whose clock is at `now`.
    pub(crate) fn station(now: Timestamp) -> StationView {
        StationView {
            version: "0.1.0".into(),
            now,
            started: now,
            simulated: true,
            backend: "simulator".into(),
            mux_trouble: None,
            journal_trouble: None,
            profile: Some("Contoso enrollment".into()),
            export: Some("export expires in 9 days".into()),
            kiosk: false,
            card: vec!["Unlock the device".into(), "Settings > Profile Downloaded > Install".into()],
        }
    }

    pub(crate) fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_mirror_keeps_what_a_board_shows_and_counts_on_the_stations_clock() {
        let (ours, theirs) = (moment("2026-01-01T00:00:00Z"), moment("2026-01-01T01:00:00Z"));
        let mut mirror = Mirror::default();
        let bays = vec![line("Bay 1", "a", Outcome::Enrolled), line("Bay 2", "b", Outcome::Pushing)];
        let everything = SnapshotView { station: station(theirs), bays, ports: vec![] };
        assert_eq!(mirror.take(Told::Everything(Box::new(everything)), ours), Change::Everything);
        assert_eq!(mirror.seconds_until(moment("2026-01-01T01:08:00Z"), ours), 480);
        assert_eq!(mirror.seconds_until(moment("2026-01-01T00:30:00Z"), ours), 0);
        let mut tell = |mut bay: BayView, attached| {
            bay.attached = attached;
            let change = mirror.take(Told::Bay(Box::new(bay)), ours);
            (change, mirror.lines().map(BayView::key).collect::<Vec<_>>())
        };
        let job = Some(7);
        assert_eq!(tell(line("Bay 1", "a", Outcome::Enrolled), false).1, ["a", "b"], "the last one stays");
        let next = tell(line("Bay 1", "c", Outcome::Pushing), true);
        assert_eq!(next, (Change::Bay { job, ended: false }, vec!["b".to_owned(), "c".to_owned()]));
        let ended = tell(line("Bay 1", "c", Outcome::Enrolled), true);
        assert_eq!(ended.0, Change::Bay { job, ended: true });
        mirror.take(Told::Journal(Some("full".into())), ours);
        assert_eq!(mirror.station().unwrap().journal_trouble.as_deref(), Some("full"));
    }

    #[test]
    fn an_endless_bench_is_not_kept() {
        let mut mirror = Mirror::default();
        let now = moment("2026-01-01T00:00:00Z");
        for n in 0..MOST + 100 {
            mirror
                .take(Told::Bay(Box::new(line(&format!("Bay {n}"), &n.to_string(), Outcome::Pushing))), now);
        }
        assert!(mirror.lines().count() == MOST && mirror.is_left_out());
    }
}
