//! Enlist: a station that enrolls iPhones and iPads over USB, and Macs over ssh.
//!
//! This page is the map. README speaks to operators; here is what a developer needs.
//!
//! # Layers
//!
//! Each may import those above it in this table and nothing below;
//! `tests/it/architecture.rs` checks it.
//!
//! | layer | what it is | must not contain |
//! |---|---|---|
//! | [`ids`] [`limits`] [`clock`] [`secret`] [`whole_file`] | base: names, every bound with its reason, time, redaction, files replaced whole | policy |
//! | [`wire`] | codecs, bytes to messages and back, for both sides; the profile file | IO, async, a clock |
//! | [`proto`] | what an answer means: the USB mux, pairing, sessions | IO, async, real time |
//! | [`transport`] | ways to devices ([`transport::Backend`]), streams, TLS | services, workflows |
//! | [`device`] | one device: facts, trust, service clients | order of steps, retries, texts for people |
//! | [`workflow`] | the pure plan, the engine, steps, outcomes, events | SQL, HTTP, USB, printing |
//! | [`journal`] | the memory: SQLite, one writer, commit before publish | decisions |
//! | [`station`] | all devices at once; the board; the desk for single things | wire messages, rendering |
//! | [`api`] | serialisable views and the operations that give them | device objects in its signatures |
//! | [`web`] | HTTP: the API and the page of a running station | decisions about devices |
//! | [`cli`] | one file a subcommand; owns the wording | calls into devices or the journal |
//! | [`sim`] | the device side; imports `wire`, `proto`, `transport`, base only | being imported, but by the composition roots |
//!
//! `cli/compose.rs`, `cli/serve.rs`, `cli/serve_web.rs` and `cli/sim.rs` are the composition roots: they alone pick a
//! backend and wire everything together. [`config`] may be read by [`cli`] alone.
//!
//! # One plugged-in device, seven stops
//!
//! 1. A [`transport::Backend`] reports an attachment. What no mux serves is reported too, and
//!    goes to the board alone.
//! 2. [`station`] gives it a bay ([`station::bays`]), or hands a replug to the job that waits
//!    for it; a device that keeps disappearing is held back.
//! 3. [`device::trust::Trust::earn`] starts a session: a stored pair record, or pairing.
//! 4. [`workflow::plan::plan`] decides from facts, installed profiles, and what the job did
//!    before. A dry run stops here.
//! 5. [`workflow::engine`] runs the steps. Its only output is events.
//! 6. [`journal::Journal`] commits each event; only then
//! 7. [`station::board::Board`] shows it, and [`api`] serves it to screens.
//!
//! A Mac takes no profile from a cable (protocols.md 7.2). It goes a shorter way through the
//! same layers: `transport::shell`, `device::mac`, `workflow::mac`, `station::macs`,
//! `api::macs`, `cli/mac`; events, journal and board are the same.
//!
//! A job may have another task than to enroll ([`workflow::policy::Task`]): to erase a device
//! ([`workflow::erasure`]) or to prepare it ([`workflow::preparation`]). Engine, events,
//! journal and board are the same; a stand-in profile names the task in the journal.
//!
//! # Invariants
//!
//! - Success is only what was read back: identifier and UUID on the device's profile list.
//! - A push is in the journal before its first byte leaves; after any crash the station
//!   looks at the device before it pushes again. Resuming is just the next attempt.
//! - Likewise an erase, and a job tells a device to erase itself at most once.
//! - Exactly one terminal event a job.
//! - Every wait has a deadline, every queue a size, every frame a limit: [`limits`].
//! - Secrets live in [`secret::Secret`]; an exchange cut short poisons its connection.
//! - Simulated devices carry a flag that every screen and the journal show.
//!
//! # Where to start reading
//!
//! [`workflow::engine`] and [`workflow::plan`] say what the program does;
//! [`device::trust`] and [`transport`] how it reaches a device; [`sim::Fleet`] what
//! stands in for one; [`workflow::methods`] which enrollment method fits, and what each
//! rule of it comes to. Facts about Apple's protocols cite `protocols.md` by section (4.5),
//! requirements as R24, lint rules as L46, example profiles as F01.
//!
//! # Where a new thing goes
//!
//! A device service: `wire/x.rs` (both directions), `device/services/x.rs`,
//! `sim/services/x.rs`. A step: `workflow/steps/x.rs`, a [`workflow::event::StepId`], a line in
//! the plan. A subcommand: `cli/x.rs` and an operation in [`api`]. A key of the configuration: its
//! section's type, a line in [`config::keys`] and in README. A file that makes the station a
//! service: `cli/service/files/`, from where the program prints it and the package takes it. A change of the journal,
//! a kind of event included: the next migration, and a file of it in `fixtures/journal/`.
//! A check of real devices: [`api::rig`].

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod device;
#[cfg(test)]
mod fixtures;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod ids;
pub mod journal;
pub mod limits;
pub mod proto;
pub mod secret;
pub mod sim;
pub mod station;
pub mod transport;
pub mod web;
pub mod whole_file;
pub mod wire;
pub mod workflow;
