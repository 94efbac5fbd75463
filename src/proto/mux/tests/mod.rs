//! Host and device against each other, and each against what no peer should send.

mod cable;
mod device;
mod host;
mod random;

use super::*;
use cable::Cable;
use std::time::{Duration, Instant};
