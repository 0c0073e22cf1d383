// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules for keeping snapshots.

use jiff::{Span, Timestamp, tz::TimeZone};

/// A reach into the past whose months and years follow the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgeSpan {
    /// Calendar months, years included.
    pub months: i64,
    /// Everything shorter.
    pub seconds: i64,
}

impl AgeSpan {
    /// Returns the moment this long before `now`; the earliest possible one when it reaches beyond the calendar.
    pub fn before(self, now_unix_seconds: i64) -> i64 {
        let at = || {
            let months = Span::new().try_months(self.months).ok()?;
            let now = Timestamp::from_second(now_unix_seconds)
                .ok()?
                .to_zoned(TimeZone::UTC);
            Some(now.checked_sub(months).ok()?.timestamp().as_second())
        };
        at().map_or(i64::MIN, |seconds| seconds.saturating_sub(self.seconds))
    }
}

/// One pair of a retention policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// How old a snapshot may be to belong here; `None` is without limit.
    pub reach_seconds: Option<i64>,
    /// The least distance between two kept snapshots; 0 keeps all.
    pub interval_seconds: i64,
}

/// The rule for keeping snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetentionPolicy {
    /// Those younger than this.
    KeepTime(AgeSpan),
    /// The newest complete ones; 0 keeps all.
    KeepVersions(u32),
    /// Thinned out with age; sorted by reach.
    Frames(Vec<Frame>),
}
