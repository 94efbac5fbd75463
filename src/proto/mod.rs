//! Sans-IO decisions: what an answer means and what may follow it.
//!
//! May import: `wire`, base. No IO, no async, no real time.

pub mod pairing;
pub mod session;
