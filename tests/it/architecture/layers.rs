//! Who may import whom.

use super::source::sources;
use super::{none, read};
use std::collections::BTreeSet;

/// A module and what it may import beside itself. Each may import only what stands above it.
struct Layer {
    module: &'static str,
    may_import: &'static [&'static str],
}

const fn layer(module: &'static str, may_import: &'static [&'static str]) -> Layer {
    Layer { module, may_import }
}

const ANYTHING: &[&str] = &["*"];

/// The layers of `src/lib.rs`, in its order. The most exact module counts.
const LAYERS: &[Layer] = &[
    layer("ids", &[]),
    layer("limits", &[]),
    layer("clock", &[]),
    layer("secret", &[]),
    layer("whole_file", &[]),
    // No clock: codecs and decisions take time as an argument.
    layer("wire", &["ids", "limits", "secret"]),
    layer("proto", &["ids", "limits", "secret", "wire"]),
    layer("transport", &["ids", "limits", "clock", "secret", "wire", "proto"]),
    layer("device", &["ids", "limits", "clock", "secret", "whole_file", "wire", "proto", "transport"]),
    layer(
        "workflow",
        &[
            "ids",
            "limits",
            "clock",
            "secret",
            // The vocabulary of wire; its messages stay below.
            "wire::mcinstall::InstalledProfile",
            "wire::mcinstall_error",
            "wire::printable",
            "wire::profile",
            // Blueprints are TOML.
            "wire::toml_text",
            "device",
        ],
    ),
    layer(
        "journal",
        &[
            "ids",
            "limits",
            "clock",
            "secret",
            "wire::mcinstall_error",
            "workflow::event",
            "workflow::memory",
            "workflow::outcome",
        ],
    ),
    layer(
        "station",
        &[
            "ids",
            "limits",
            "clock",
            "secret",
            "whole_file",
            "wire::mcinstall::InstalledProfile",
            "wire::printable",
            "wire::profile",
            "wire::toml_text",
            // What every backend has, not one of them.
            "transport::Attachment",
            "transport::Backend",
            "transport::BackendEvent",
            "transport::MuxLoss",
            "transport::TransportError",
            "transport::recorder",
            // What the bus shows, as data.
            "transport::UsbDevice",
            "transport::BusLoad",
            "transport::UsbMode",
            "transport::Unserved",
            "transport::UnservedReason",
            "transport::BootIdentity",
            "transport::Rung",
            "transport::RungError",
            "device",
            "workflow",
            "journal",
        ],
    ),
    layer(
        "api",
        &[
            "ids",
            "limits",
            "clock",
            "secret",
            "wire",
            "transport",
            "device",
            "workflow",
            "journal",
            "station",
        ],
    ),
    layer("web", &["ids", "limits", "clock", "secret", "wire::printable", "api"]),
    layer("cli", &["ids", "limits", "clock", "secret", "whole_file", "config", "api"]),
    layer("sim", &["ids", "limits", "clock", "secret", "wire", "proto", "transport"]),
];

/// Modules with rules of their own; they are in no line of the table.
const BESIDE: &[Layer] = &[
    layer("", &[]),
    layer("main", &[]),
    layer(
        "config",
        &[
            "ids",
            "limits",
            "secret",
            "wire::printable",
            "wire::profile",
            "wire::toml_text",
            "transport::usbmuxd",
            "workflow::device_name",
            "workflow::outcome",
            "workflow::policy",
            "workflow::preparation",
        ],
    ),
    // The composition roots.
    layer("cli::compose", ANYTHING),
    layer("cli::serve", ANYTHING),
    layer("cli::serve_web", ANYTHING),
    layer("cli::sim", ANYTHING),
];

/// Imports that break a rule, and why they are still there. The list may only shrink.
const RATCHET: &[(&str, &str, &str)] = &[];

fn within(path: &str, module: &str) -> bool {
    path == module || path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

fn rule_of(module: &str) -> Option<&'static Layer> {
    let fits = LAYERS.iter().chain(BESIDE).filter(|l| within(module, l.module));
    fits.max_by_key(|l| l.module.len())
}

#[test]
fn layers_import_only_what_is_below_them() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        let module = source.module.join("::");
        let Some(rule) = rule_of(&module) else {
            wrong.push(format!("{}: {module} is in no layer", source.path));
            continue;
        };
        let own = module.split("::").next().unwrap_or_default();
        for import in source.imports() {
            let fine = rule.may_import == ANYTHING
                || within(&import.path, own)
                || rule.may_import.iter().any(|may| within(&import.path, may));
            if fine {
                continue;
            }
            let known =
                RATCHET.iter().find(|(file, path, _)| *file == source.path && within(&import.path, path));
            match known {
                Some(entry) => _ = used.insert(entry),
                None => wrong.push(format!("{}:{}: {}", source.path, import.line, import.path)),
            }
        }
    }
    let stale = RATCHET.iter().filter(|entry| !used.contains(entry));
    wrong
        .extend(stale.map(|(file, path, _)| format!("{file}: {path} is forgiven but not imported any more")));
    none("imports that the layers forbid", &wrong);
}

#[test]
fn the_table_stands_in_the_order_of_the_map() {
    let map = read("src/lib.rs");
    let rows = map.lines().filter_map(|l| l.strip_prefix("//! | ["));
    let named: Vec<_> = rows
        .flat_map(|row| row.split('|').next().unwrap_or_default().split('`').skip(1).step_by(2))
        .collect();
    assert_eq!(named, LAYERS.iter().map(|l| l.module).collect::<Vec<_>>(), "lib.rs and LAYERS differ");
    for (place, layer) in LAYERS.iter().enumerate() {
        for may in layer.may_import.iter().filter(|m| **m != "config") {
            let top = may.split("::").next();
            let above = LAYERS[..place].iter().any(|l| Some(l.module) == top);
            assert!(above, "{} may import {may}, which does not stand above it", layer.module);
        }
    }
}

/// Who alone may name these crates.
const CRATES: &[(&str, &[&str])] = &[
    ("axum", &["web"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("hyper", &["api::client", "web"]),
    ("idevice", &["device"]),
    ("notify", &["station"]),
    ("ratatui", &["cli"]),
    ("rusb", &["transport"]),
    ("rusqlite", &["journal"]),
    ("tar", &["station"]),
    ("terminal_size", &["cli"]),
    ("utoipa", &["api", "web"]),
    ("tracing_subscriber", &["cli"]),
    // Seeded: what a simulated or a replayed device does.
    ("fastrand", &["sim", "transport::replay::mutation"]),
];

/// What codecs and decisions do without.
const NO_IO: [&str; 9] =
    ["async", "await", "tokio", "fs", "TcpStream", "UnixStream", "Instant", "SystemTime", "tracing"];

#[test]
fn codecs_and_decisions_do_no_io_and_crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module.join("::");
        let pure = [
            "ids",
            "limits",
            "secret",
            "wire",
            "proto",
            "workflow::plan",
            "workflow::methods",
            "workflow::mac::plan",
            "workflow::outcome",
        ];
        let pure = pure.iter().any(|p| within(&module, p));
        for (word, line) in source.words() {
            let crates = CRATES.iter().find(|(name, _)| *name == word);
            let misplaced = crates.is_some_and(|(_, homes)| !homes.iter().any(|home| within(&module, home)));
            // The mux has deadlines; it is told the time, and clippy forbids asking for it.
            let told = word == "Instant" && within(&module, "proto::mux");
            if misplaced || pure && !told && NO_IO.contains(&word.as_str()) {
                wrong.push(format!("{}:{line}: {word}", source.path));
            }
        }
    }
    none("words that do not belong there", &wrong);
}
