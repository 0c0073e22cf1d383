// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Time spans such as `1W2D3h`.
//!
//! The units are case-sensitive: `m` is a minute and `M` a month. A span remembers its months and years, so
//! that it can be measured either in fixed lengths (30 and 365 days) or by the calendar.

use std::fmt;
use std::time::Duration;

use super::ValueError;

const ACCEPTED: &str = "a time span: seconds, or numbers with the units s, m, h, D, W, M, Y (for example 1W2D3h; \
                        m is minutes, M is months)";

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// Spans beyond this have no use and would only make later date arithmetic overflow.
const SECONDS_MAX: i64 = 10_000 * 365 * SECONDS_PER_DAY;

/// A signed length of time, kept in the parts that differ between clock and calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timespan {
    years: i64,
    months: i64,
    seconds: i64,
}

impl Timespan {
    /// A span of whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self {
            years: 0,
            months: 0,
            seconds,
        }
    }

    /// Reads a bare number of seconds or a chain of numbers with units.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let trimmed = text.trim();
        let parsed = match trimmed.parse::<i64>() {
            Ok(seconds) => Some(Self::from_seconds(seconds)),
            Err(_) => Self::parse_chain(trimmed),
        };
        parsed
            .filter(|span| {
                span.checked_total_seconds()
                    .is_some_and(|total| total.abs() <= SECONDS_MAX)
            })
            .ok_or_else(|| ValueError::new(text, ACCEPTED))
    }

    fn parse_chain(text: &str) -> Option<Self> {
        let mut span = Self::default();
        let mut rest = text;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let unit_start = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let amount: i64 = rest[..unit_start].trim().parse().ok()?;
            // The unit is one ASCII letter, so the next byte is a character boundary.
            let unit = rest.as_bytes()[unit_start];
            rest = rest[unit_start + 1..].trim_start();
            match unit {
                b's' => span.seconds = span.seconds.checked_add(amount)?,
                b'm' => span.seconds = span.seconds.checked_add(amount.checked_mul(60)?)?,
                b'h' => span.seconds = span.seconds.checked_add(amount.checked_mul(3600)?)?,
                b'D' => span.seconds = span.seconds.checked_add(amount.checked_mul(SECONDS_PER_DAY)?)?,
                b'W' => {
                    span.seconds = span
                        .seconds
                        .checked_add(amount.checked_mul(7 * SECONDS_PER_DAY)?)?
                }
                b'M' => span.months = span.months.checked_add(amount)?,
                b'Y' => span.years = span.years.checked_add(amount)?,
                _ => return None,
            }
        }
        Some(span)
    }

    fn checked_total_seconds(&self) -> Option<i64> {
        let years = self.years.checked_mul(365 * SECONDS_PER_DAY)?;
        let months = self.months.checked_mul(30 * SECONDS_PER_DAY)?;
        let total = years.checked_add(months)?.checked_add(self.seconds)?;
        // Parts of opposite sign may cancel out in the sum and still be beyond any calendar.
        let parts = [years, months, self.seconds];
        parts
            .iter()
            .all(|part| part.unsigned_abs() <= SECONDS_MAX.unsigned_abs())
            .then_some(total)
    }

    /// The length in seconds with months of 30 and years of 365 days.
    pub fn total_seconds(&self) -> i64 {
        self.checked_total_seconds()
            .unwrap_or(if self.years.saturating_add(self.months) < 0 {
                -SECONDS_MAX
            } else {
                SECONDS_MAX
            })
    }

    /// The length as a duration; a negative span counts by its distance, because every option that takes a
    /// length means one.
    pub fn to_duration(&self) -> Duration {
        Duration::from_secs(self.total_seconds().unsigned_abs())
    }

    /// Whether the span is no time at all, which several options read as "off".
    pub fn is_zero(&self) -> bool {
        self.total_seconds() == 0
    }

    /// The calendar parts `(years, months, seconds)`, all turned so that the span points forward.
    pub(super) fn forward_parts(&self) -> (i64, i64, i64) {
        let sign = if self.total_seconds() < 0 { -1 } else { 1 };
        (self.years * sign, self.months * sign, self.seconds * sign)
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return formatter.write_str("0s");
        }
        if self.years != 0 {
            write!(formatter, "{}Y", self.years)?;
        }
        if self.months != 0 {
            write!(formatter, "{}M", self.months)?;
        }
        let mut rest = self.seconds;
        for (unit, length) in [
            ("W", 7 * SECONDS_PER_DAY),
            ("D", SECONDS_PER_DAY),
            ("h", 3600),
            ("m", 60),
            ("s", 1),
        ] {
            if rest / length != 0 {
                write!(formatter, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}
