// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How fast the running job is, from counters that are looked at once a second.

use duplicati_actors::events::ProgressSnapshot;

/// Share of the newest measurement in a rate.
const SMOOTHING: f64 = 0.3;
/// Below this nothing is said about the end, bytes per second.
const SLOWEST: f64 = 1_024.0;

/// Rates of one job.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    job: u64,
    transferred: u64,
    examined: u64,
    /// Bytes per second to and from the target.
    pub transfer: f64,
    /// Bytes per second of the source.
    pub source: f64,
}

impl Rates {
    /// Takes the counters of a job after some time.
    pub fn look(&mut self, job: u64, counters: &ProgressSnapshot, seconds: f64) {
        let transferred = counters.stored_bytes + counters.fetched_bytes;
        let examined = counters.examined_bytes + counters.restored_bytes;
        if self.job != job {
            *self = Self {
                job,
                ..Self::default()
            };
        } else if seconds > 0.0 {
            let smooth = |old: f64, from: u64, to: u64| {
                let new = to.saturating_sub(from) as f64 / seconds;
                if old == 0.0 {
                    new
                } else {
                    old + SMOOTHING * (new - old)
                }
            };
            self.transfer = smooth(self.transfer, self.transferred, transferred);
            self.source = smooth(self.source, self.examined, examined);
        }
        self.transferred = transferred;
        self.examined = examined;
    }

    /// Seconds to the end, when that can be said.
    pub fn seconds_left(&self, counters: &ProgressSnapshot) -> Option<u64> {
        let left = counters.expected_bytes.checked_sub(counters.examined_bytes)?;
        (counters.expected_bytes > 0 && self.source >= SLOWEST).then(|| (left as f64 / self.source) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_once_there_is_a_rate() {
        let mut rates = Rates::default();
        let counters = |examined_bytes| ProgressSnapshot {
            examined_bytes,
            expected_bytes: 100_000,
            ..ProgressSnapshot::default()
        };
        rates.look(2, &counters(0), 1.0);
        assert_eq!(rates.seconds_left(&counters(0)), None);
        rates.look(2, &counters(10_000), 1.0);
        assert_eq!(rates.seconds_left(&counters(10_000)), Some(9));
        rates.look(3, &counters(0), 1.0);
        assert_eq!(rates.seconds_left(&counters(0)), None);
    }
}
