// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Time as a port: the wall clock for what is recorded, a monotonic clock for what is measured.

use std::time::Duration;

/// Wall-clock time as nanoseconds since 1970-01-01T00:00:00Z; negative before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds within the second, 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// A time at a whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self {
            seconds,
            nanoseconds: 0,
        }
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The present wall-clock time.
    fn now(&self) -> Timestamp;
    /// Time since some fixed point of this process; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the port that all others use")]
    fn now(&self) -> Timestamp {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Timestamp {
                seconds: since.as_secs() as i64,
                nanoseconds: since.subsec_nanos(),
            },
            Err(before) => Timestamp::from_seconds(-(before.duration().as_secs() as i64) - 1),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "this is the port that all others use")]
    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// ISO 8601 in UTC, `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`: texts sort as times do.
pub fn text(time: Timestamp) -> String {
    match jiff::Timestamp::new(time.seconds, time.nanoseconds as i32) {
        Ok(time) => format!("{time:.9}"),
        Err(_) => "9999-12-30T22:00:00.000000000Z".to_owned(),
    }
}

/// Reads what [`text`] wrote, or any other ISO 8601 time with a zone.
pub fn parse_text(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let nanoseconds = time.as_nanosecond();
    let seconds = nanoseconds.div_euclid(1_000_000_000);
    Some(Timestamp {
        seconds: seconds as i64,
        nanoseconds: nanoseconds.rem_euclid(1_000_000_000) as u32,
    })
}
