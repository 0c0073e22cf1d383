// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From single requests to percentiles and rates.

use std::time::Duration;

use super::MB;

/// Requests of one kind that ran under the same conditions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Requests.
    pub requests: u64,
    /// Bytes that they moved.
    pub bytes: u64,
    /// From the begin of the first to the end of the last, seconds.
    pub seconds: f64,
    /// Half of them took at most this long, milliseconds.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// All but one of a hundred.
    pub p99_ms: f64,
}

impl Figures {
    /// Sums up; none without a request.
    pub fn of(mut latencies: Vec<Duration>, bytes: u64, whole: Duration) -> Option<Self> {
        latencies.sort_unstable();
        let at = |percent: usize| {
            // Nearest rank: the smallest that so many of a hundred do not exceed.
            let rank = (latencies.len() * percent).div_ceil(100).max(1);
            latencies.get(rank - 1).map(|time| time.as_secs_f64() * 1_000.0)
        };
        Some(Self {
            requests: latencies.len() as u64,
            bytes,
            seconds: whole.as_secs_f64().max(f64::MIN_POSITIVE),
            p50_ms: at(50)?,
            p90_ms: at(90)?,
            p99_ms: at(99)?,
        })
    }

    /// Requests per second.
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Megabytes (10^6) per second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / MB / self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let latencies = (1..=200).rev().map(Duration::from_millis).collect();
        let figures = Figures::of(latencies, 4_000_000, Duration::from_secs(2)).unwrap();
        assert_eq!(
            (figures.p50_ms, figures.p90_ms, figures.p99_ms),
            (100.0, 180.0, 198.0)
        );
        assert_eq!(figures.requests_per_second(), 100.0);
        assert_eq!(figures.megabytes_per_second(), 2.0);
        let one = Figures::of(vec![Duration::from_millis(7)], 1, Duration::from_millis(7)).unwrap();
        assert_eq!((one.p50_ms, one.p99_ms), (7.0, 7.0));
        assert!(Figures::of(Vec::new(), 0, Duration::ZERO).is_none());
    }
}
