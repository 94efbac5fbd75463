//! Sans-IO state machines: what to send next and what an answer means.
//!
//! May import: `wire`, base. No IO, no async, no real time.
