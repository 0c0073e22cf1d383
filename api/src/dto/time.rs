// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Times and spans as clients read them.

use duplicati_engine::clock;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// "Not set" of schedules.
pub const NEVER: &str = "0001-01-01T00:00:00";
/// "Not set" of the end of a pause.
pub const NEVER_UTC: &str = "0001-01-01T00:00:00Z";
/// Nanoseconds that one digit more would show.
const NANOSECONDS_SHOWN: i32 = 100;

/// ISO 8601 in UTC, up to seven digits of a second.
pub fn iso(time: Timestamp) -> String {
    let kept = time.subsec_nanosecond() / NANOSECONDS_SHOWN * NANOSECONDS_SHOWN;
    Timestamp::new(time.as_second(), kept).unwrap_or(time).to_string()
}

/// The same for the time of a version: rounded up, so that asking for it finds that version and no older one.
pub fn iso_not_before(time: Timestamp) -> String {
    let rest = time.subsec_nanosecond() % NANOSECONDS_SHOWN;
    if rest == 0 {
        return iso(time);
    }
    let up = SignedDuration::from_nanos(i64::from(NANOSECONDS_SHOWN - rest));
    iso(time.checked_add(up).unwrap_or(time))
}

/// `yyyyMMddTHHmmssZ`.
pub fn compact(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC)
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}

/// `hh:mm:ss.fffffff`, with days in front when there are any.
pub fn duration(from: Timestamp, to: Timestamp) -> String {
    let nanoseconds = from.duration_until(to).as_nanos().max(0);
    let seconds = nanoseconds / 1_000_000_000;
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let days = if days > 0 {
        format!("{days}.")
    } else {
        String::new()
    };
    format!(
        "{days}{hours:02}:{:02}:{:02}.{:07}",
        seconds / 60 % 60,
        seconds % 60,
        nanoseconds % 1_000_000_000 / 100
    )
}

/// A time of the engine's clock.
pub fn of_clock(time: clock::Timestamp) -> Timestamp {
    Timestamp::new(time.seconds, time.nanoseconds as i32).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn times_have_at_most_seven_digits() {
        assert_eq!(iso(time("2026-08-22T13:00:00Z")), "2026-08-22T13:00:00Z");
        assert_eq!(
            iso(time("2026-08-22T13:00:00.123456789Z")),
            "2026-08-22T13:00:00.1234567Z"
        );
        assert_eq!(
            iso_not_before(time("2026-08-22T13:00:00.123456701Z")),
            "2026-08-22T13:00:00.1234568Z"
        );
        assert_eq!(
            iso_not_before(time("2026-08-22T13:00:00.99999999Z")),
            "2026-08-22T13:00:01Z"
        );
        assert_eq!(compact(time("2026-08-22T09:43:07.5Z")), "20260822T094307Z");
    }

    #[test]
    fn durations_show_days_only_when_there_are_some() {
        let from = time("2026-08-22T13:00:00Z");
        assert_eq!(
            duration(from, time("2026-08-22T13:00:12.3456789Z")),
            "00:00:12.3456789"
        );
        assert_eq!(duration(from, time("2026-08-23T15:03:04Z")), "1.02:03:04.0000000");
        assert_eq!(duration(from, time("2026-08-22T12:00:00Z")), "00:00:00.0000000");
    }
}
