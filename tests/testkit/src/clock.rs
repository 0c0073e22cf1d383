// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A clock that tests move by hand.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use duplicati_engine::clock::{Clock, Timestamp};

const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

/// Stands still until it is told to move. The wall clock can also jump, as real ones do; the monotonic one cannot.
pub struct ManualClock {
    times: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// A clock that shows this wall-clock time.
    pub fn new(now: Timestamp) -> Self {
        Self {
            times: Mutex::new((now, Duration::ZERO)),
        }
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, duration: Duration) {
        let times = &mut *self.lock();
        let nanoseconds = times.0.nanoseconds + duration.subsec_nanos();
        let carry = nanoseconds / NANOSECONDS_PER_SECOND;
        times.0 = Timestamp {
            seconds: times.0.seconds + duration.as_secs() as i64 + i64::from(carry),
            nanoseconds: nanoseconds % NANOSECONDS_PER_SECOND,
        };
        times.1 += duration;
    }

    /// Sets the wall clock, also backwards.
    pub fn jump_to(&self, now: Timestamp) {
        self.lock().0 = now;
    }

    fn lock(&self) -> MutexGuard<'_, (Timestamp, Duration)> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    /// 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::from_seconds(1_767_225_600))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.lock().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_jumps_back_and_monotonic_clock_does_not() {
        let clock = ManualClock::new(Timestamp {
            seconds: 10,
            nanoseconds: 600_000_000,
        });
        clock.advance(Duration::from_millis(1_500));
        let expected = Timestamp {
            seconds: 12,
            nanoseconds: 100_000_000,
        };
        assert_eq!(clock.now(), expected);
        clock.jump_to(Timestamp::from_seconds(-5));
        assert_eq!(clock.now(), Timestamp::from_seconds(-5));
        assert_eq!(clock.monotonic(), Duration::from_millis(1_500));
    }
}
