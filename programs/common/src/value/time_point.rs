// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Points in time, as in `--time=2M` or `--time=2026-03-01 14:00`.
//!
//! An offset always lies in the past, with either sign: a version from the future cannot be chosen, and the
//! two signs mean different things in different places of the program that users come from.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::{Span, Timestamp, Zoned};

use super::{Timespan, ValueError};

const ACCEPTED: &str = "a time: now, an age such as 2M or 1W3D, a date such as 2026-03-01 or 2026-03-01 14:30, \
                        an ISO 8601 time, or 20260301T143000Z";

/// Longest text that can be a time; anything longer is not looked at.
const TEXT_BYTES_MAX: usize = 128;

/// Reads a point in time. `now` gives both the reference for offsets and the zone of local times.
pub fn parse_time_point(text: &str, now: &Zoned) -> Result<Timestamp, ValueError> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.len() > TEXT_BYTES_MAX {
        return Err(ValueError::new(text, ACCEPTED));
    }
    if trimmed.eq_ignore_ascii_case("now") {
        return Ok(now.timestamp());
    }
    if let Ok(span) = Timespan::parse(trimmed) {
        return before(now, &span)
            .ok_or_else(|| ValueError::new(text, "a time that the calendar can express"));
    }
    parse_compact_utc(trimmed)
        .or_else(|| trimmed.parse::<Timestamp>().ok())
        .or_else(|| parse_local(trimmed, now))
        .ok_or_else(|| ValueError::new(text, ACCEPTED))
}

fn before(now: &Zoned, span: &Timespan) -> Option<Timestamp> {
    let (years, months, seconds) = span.forward_parts();
    let calendar = Span::new().try_years(years).ok()?.try_months(months).ok()?;
    let clock = Span::new().try_seconds(seconds).ok()?;
    Some(
        now.checked_sub(calendar)
            .ok()?
            .checked_sub(clock)
            .ok()?
            .timestamp(),
    )
}

fn parse_compact_utc(text: &str) -> Option<Timestamp> {
    // Checked before the general parser because its length and letters leave no other reading.
    if text.len() != "yyyyMMddTHHmmssZ".len() || !text.is_ascii() {
        return None;
    }
    let civil = strtime::parse("%Y%m%dT%H%M%SZ", text).ok()?.to_datetime().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

fn parse_local(text: &str, now: &Zoned) -> Option<Timestamp> {
    // Year first only: whether 03/04/2026 is in March or in April depends on who reads it.
    let normalised = match text.get(..10) {
        Some(date) if date.bytes().filter(|byte| matches!(byte, b'/' | b'.')).count() == 2 => {
            format!("{}{}", date.replace(['/', '.'], "-"), &text[10..])
        }
        _ => text.to_owned(),
    };
    let civil = normalised
        .parse::<DateTime>()
        .or_else(|_| normalised.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        .ok()?;
    Some(civil.to_zoned(now.time_zone().clone()).ok()?.timestamp())
}
