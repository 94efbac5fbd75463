//! Sans-IO decisions: what an answer means and what may follow it.
//!
//! May import: `wire`, base. No IO, no async, no real time: [`mux`], which has deadlines, is
//! told what time it is.

pub mod mux;
pub mod pairing;
pub mod session;
