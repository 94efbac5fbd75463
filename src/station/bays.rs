//! Names of bays: which physical port is called what.
//!
//! Given in the configuration, learned by plugging a device from port to port
//! ([`super::learn`]), or else the port itself. Several ports may share a name: the USB 2
//! and the USB 3 side of one socket are two ports.

use crate::ids::{Bay, BayName, PortName, PortPath};
use crate::transport::Attachment;
use std::collections::BTreeMap;

/// Names by port.
pub type PortTable = BTreeMap<PortName, BayName>;

/// Who gave a bay its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The configuration.
    Configuration,
    /// `enlist bays learn`.
    Learning,
    /// Nobody: it is called after its port.
    Port,
}

impl NamedBy {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Learning => "learned",
            Self::Port => "port",
        }
    }
}

/// The names in use.
#[derive(Debug, Clone, Default)]
pub struct BayNames {
    configured: PortTable,
    learned: PortTable,
}

impl BayNames {
    /// Names from the configuration, which outrank learned ones.
    pub fn new(configured: PortTable, learned: PortTable) -> Self {
        Self { configured, learned }
    }

    /// The bay of a port, and who named it. A port may stand in a table twice, by both its
    /// forms; the one that outlives a restart counts.
    pub fn of_port(&self, port: &PortPath) -> (Bay, NamedBy) {
        let stable = |table: &PortTable| table.get(&PortName::of(port)).cloned();
        let any = |table: &PortTable| table.iter().find(|(n, _)| n.names(port)).map(|(_, bay)| bay.clone());
        let find = |table: &PortTable| stable(table).or_else(|| any(table));
        if let Some(name) = find(&self.configured) {
            return (name.bay(), NamedBy::Configuration);
        }
        match find(&self.learned) {
            Some(name) => (name.bay(), NamedBy::Learning),
            None => (Bay::from_port(port), NamedBy::Port),
        }
    }

    /// The bay of an attached device; its mux' location where the bus cannot be watched.
    pub fn of(&self, attachment: &Attachment) -> Bay {
        match &attachment.port {
            Some(port) => self.of_port(port).0,
            None => Bay::from_location(attachment.location),
        }
    }

    /// Every port that has a name, in the order of bays. A learned name that the
    /// configuration outranks is not among them.
    pub fn all(&self) -> Vec<(&PortName, &BayName, NamedBy)> {
        let configured = self.configured.iter().map(|(port, bay)| (port, bay, NamedBy::Configuration));
        let learned = self.learned.iter().filter(|(port, _)| !self.configured.contains_key(*port));
        let mut all: Vec<_> =
            configured.chain(learned.map(|(port, bay)| (port, bay, NamedBy::Learning))).collect();
        all.sort_by_key(|(port, bay, _)| (bay.bay().sort_key(), (*port).clone()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(controller: Option<&str>, bus: u8, ports: &[u8]) -> PortPath {
        PortPath { controller: controller.map(Into::into), bus, ports: ports.to_vec() }
    }

    fn table(entries: &[(&str, &str)]) -> PortTable {
        entries.iter().map(|(port, bay)| (port.parse().unwrap(), bay.parse().unwrap())).collect()
    }

    #[test]
    fn the_configuration_outranks_what_was_learned_and_that_the_port() {
        let names = BayNames::new(
            table(&[("1-4.2", "Bay 7"), ("2-4.2", "Bay 7")]),
            table(&[("0000:00:14.0/4.2", "Learned"), ("0000:00:14.0/4.3", "Bay 8")]),
        );
        let of = |port: &PortPath| names.of_port(port);
        let seven = Bay("Bay 7".into());
        assert_eq!(of(&port(Some("0000:00:14.0"), 1, &[4, 2])), (seven.clone(), NamedBy::Configuration));
        assert_eq!(of(&port(None, 2, &[4, 2])), (seven, NamedBy::Configuration));
        assert_eq!(of(&port(Some("0000:00:14.0"), 3, &[4, 3])), (Bay("Bay 8".into()), NamedBy::Learning));
        assert_eq!(of(&port(None, 1, &[4, 3])), (Bay("usb-1-4.3".into()), NamedBy::Port));
        let all: Vec<_> =
            names.all().iter().map(|(port, bay, _)| format!("{port} {}", bay.as_str())).collect();
        assert_eq!(all, ["1-4.2 Bay 7", "2-4.2 Bay 7", "0000:00:14.0/4.3 Bay 8", "0000:00:14.0/4.2 Learned"]);
    }
}
