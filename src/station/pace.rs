//! How fast a batch goes, from when its devices came to an end. Pure.
//!
//! Clocks jump: a computer sleeps, somebody corrects the time. A pause that long, or a step
//! back, is no work and does not count.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A longer pause between two devices is a break, or a computer that slept.
const BREAK: SignedDuration = SignedDuration::from_mins(10);

/// Fewer ends tell no rate.
const FEWEST: usize = 3;

/// Most ends that are looked at: the rate of the last hour says more than that of the day.
pub const LOOKED_AT: u32 = 60;

/// Ends that follow each other faster are one burst: sixteen bays that take two seconds each,
/// less than any push and read-back, come to that. They tell nothing of the rest.
pub const FASTEST: Duration = Duration::from_millis(100);

/// What one device takes a bench until that was measured: pairing, a person, the read-back,
/// over a hub of sixteen.
pub const ASSUMED: Duration = Duration::from_secs(30);

/// Mean time from one device's end to the next; `ends` newest first, in the order of the
/// journal. `None` if too few are known, or if they ended in one burst.
pub fn per_device(ends: &[Timestamp]) -> Option<Duration> {
    let gaps = ends.iter().zip(ends.iter().skip(1)).map(|(later, earlier)| earlier.duration_until(*later));
    let worked: Vec<_> = gaps.filter(|gap| !gap.is_negative() && *gap <= BREAK).collect();
    let count = u32::try_from(worked.len()).ok().filter(|n| *n as usize >= FEWEST)?;
    let all: SignedDuration = worked.into_iter().sum();
    Duration::try_from(all / i32::try_from(count).ok()?).ok().filter(|each| *each >= FASTEST)
}

/// How long so many devices take at this rate.
pub fn lasting(devices: u32, each: Duration) -> Duration {
    each.checked_mul(devices).unwrap_or(Duration::MAX)
}

/// How long so many devices will still take: counted from the last end, so that it does not
/// begin anew while nothing happens. `None` if no rate is known, or if they are overdue: what
/// the rest waits for is then no matter of the rate.
pub fn remaining(ends: &[Timestamp], devices: u32, now: Timestamp) -> Option<Duration> {
    let wait = SignedDuration::try_from(lasting(devices, per_device(ends)?)).ok()?;
    let due = (*ends.first()?).min(now).checked_add(wait).ok()?;
    Duration::try_from(now.duration_until(due)).ok().filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: &[i64]) -> Vec<Timestamp> {
        seconds.iter().rev().map(|s| Timestamp::from_second(*s).unwrap()).collect()
    }

    #[test]
    fn the_rate_is_that_of_work() {
        assert_eq!(per_device(&at(&[0, 10, 20])), None);
        assert_eq!(per_device(&at(&[0, 10, 20, 30])), Some(Duration::from_secs(10)));
        // A night's sleep in between.
        assert_eq!(per_device(&at(&[0, 10, 20, 30_000, 30_010])), Some(Duration::from_secs(10)));
        // The clock was set back by an hour, and forward again.
        assert_eq!(per_device(&at(&[9000, 9010, 5400, 5410, 9020, 9030])), Some(Duration::from_secs(10)));
        // Many at once are a burst: the rate of that is nobody's.
        assert_eq!(per_device(&at(&[5, 5, 5, 5, 5])), None);
        assert_eq!(per_device(&at(&[5, 5, 5, 5, 6])), Some(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_overdue_has_no_forecast() {
        let ends = at(&[0, 10, 20, 30]);
        let left = |devices, now| remaining(&ends, devices, Timestamp::from_second(now).unwrap());
        assert_eq!(left(3, 30), Some(Duration::from_secs(30)));
        assert_eq!(left(3, 45), Some(Duration::from_secs(15)), "nothing happens: it comes nearer");
        assert_eq!(left(3, 60), None);
        assert_eq!(left(3, -9000), Some(Duration::from_secs(30)), "the clock was set back");
        assert_eq!(remaining(&at(&[0, 10]), 3, Timestamp::from_second(30).unwrap()), None);
    }
}
