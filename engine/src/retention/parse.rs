// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Duplicati's spelling of spans and policies.

use super::policy::{AgeSpan, Frame};

/// A span or policy that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RetentionParseError {
    /// Not a span.
    #[error(
        "time span {text:?} is not valid; write a number of seconds or units like 1W2D3h (s m h D W M Y)"
    )]
    InvalidTimespan {
        /// The text.
        text: String,
    },
    /// Not a pair of a frame and an interval.
    #[error("retention policy part {part:?} is not valid; write frame:interval like 1W:1D")]
    InvalidValue {
        /// The part.
        part: String,
    },
    /// The interval would leave at most one snapshot.
    #[error("interval in retention policy part {part:?} must be smaller than its time frame")]
    IntervalTooLarge {
        /// The part.
        part: String,
    },
}

impl RetentionParseError {
    /// The id that scripts match on, where there is one.
    pub fn id(&self) -> Option<&'static str> {
        match self {
            Self::InvalidTimespan { .. } => None,
            Self::InvalidValue { .. } => Some("RetentionPolicyInvalidValue"),
            Self::IntervalTooLarge { .. } => Some("IntervalCannotBeBiggerThanTimeFrame"),
        }
    }
}

/// Parses a span of fixed length in seconds: a month has 30 days, a year 365.
pub fn parse_timespan(text: &str) -> Result<i64, RetentionParseError> {
    let (months, years, seconds) = parts(text)?;
    let day = |count: i64, days: i64| count.checked_mul(days * 86_400);
    day(months, 30)
        .zip(day(years, 365))
        .and_then(|(months, years)| months.checked_add(years)?.checked_add(seconds))
        .ok_or_else(|| invalid(text))
}

/// Parses an age for `keep-time`; both signs mean the past.
pub fn parse_age(text: &str) -> Result<AgeSpan, RetentionParseError> {
    let flat = parse_timespan(text)?;
    let (months, years, seconds) = parts(text)?;
    let months = years
        .checked_mul(12)
        .and_then(|all| all.checked_add(months))
        .ok_or_else(|| invalid(text))?;
    let sign = if flat < 0 { -1 } else { 1 };
    months
        .checked_mul(sign)
        .zip(seconds.checked_mul(sign))
        .map(|(months, seconds)| AgeSpan { months, seconds })
        .ok_or_else(|| invalid(text))
}

/// Parses `frame:interval,frame:interval,…`.
pub fn parse_retention_policy(text: &str) -> Result<Vec<Frame>, RetentionParseError> {
    let mut frames = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let bad = || RetentionParseError::InvalidValue {
            part: part.to_owned(),
        };
        let (frame, interval) = part.split_once(':').ok_or_else(bad)?;
        let span = |text: &str| match text.trim() {
            "U" => Ok(None),
            text => parse_timespan(text)
                .ok()
                .filter(|&span| span >= 0)
                .map(Some)
                .ok_or_else(bad),
        };
        let (reach_seconds, interval_seconds) = (span(frame)?, span(interval)?.unwrap_or(0));
        if interval_seconds > 0 && reach_seconds.is_some_and(|reach| interval_seconds >= reach) {
            return Err(RetentionParseError::IntervalTooLarge {
                part: part.to_owned(),
            });
        }
        frames.push(Frame {
            reach_seconds,
            interval_seconds,
        });
    }
    if frames.is_empty() {
        return Err(RetentionParseError::InvalidValue {
            part: text.to_owned(),
        });
    }
    frames.sort_by_key(|frame| frame.reach_seconds.unwrap_or(i64::MAX));
    Ok(frames)
}

fn invalid(text: &str) -> RetentionParseError {
    RetentionParseError::InvalidTimespan {
        text: text.to_owned(),
    }
}

/// Adds up months, years and seconds.
fn parts(text: &str) -> Result<(i64, i64, i64), RetentionParseError> {
    let trimmed = text.trim();
    let bare = trimmed.strip_prefix('-').unwrap_or(trimmed);
    if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok((0, 0, trimmed.parse().map_err(|_| invalid(text))?));
    }
    sum_units(trimmed).ok_or_else(|| invalid(text))
}

fn sum_units(text: &str) -> Option<(i64, i64, i64)> {
    let (mut months, mut years, mut seconds) = (0_i64, 0_i64, 0_i64);
    let mut rest = (!text.is_empty()).then_some(text)?;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        if rest.starts_with('+') {
            return None;
        }
        let number: i64 = rest[..end].parse().ok()?;
        let unit_seconds = match rest.as_bytes()[end] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'D' => 86_400,
            b'W' => 604_800,
            b'M' => {
                months = months.checked_add(number)?;
                0
            }
            b'Y' => {
                years = years.checked_add(number)?;
                0
            }
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit_seconds)?)?;
        rest = &rest[end + 1..];
    }
    Some((months, years, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_add_up_their_units_and_units_are_case_sensitive() {
        assert_eq!(parse_timespan("1W2D3h"), Ok(604_800 + 2 * 86_400 + 3 * 3600));
        assert_eq!(parse_timespan("90"), Ok(90));
        assert_eq!(parse_timespan("1h-30m"), Ok(1800));
        assert_eq!(parse_timespan("1M1Y"), Ok(395 * 86_400));
        for bad in ["", "1H", "1d", "D", "1W2", "x", "+1D", "99999999999999999Y", "é"] {
            assert!(parse_timespan(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_age("-6M"), parse_age("6M"));
        assert!(parse_age("-9223372036854775808").is_err());
    }

    #[test]
    fn policies_are_sorted_and_bad_ones_named() {
        let frames = parse_retention_policy("U:1M, 1W:U,4W:1W").unwrap();
        let reach: Vec<_> = frames.iter().map(|frame| frame.reach_seconds).collect();
        assert_eq!(reach, [Some(604_800), Some(4 * 604_800), None]);
        assert_eq!(frames[0].interval_seconds, 0);
        for (text, id) in [
            ("1W", "RetentionPolicyInvalidValue"),
            ("", "RetentionPolicyInvalidValue"),
            ("-1W:1D", "RetentionPolicyInvalidValue"),
            ("1W:1W", "IntervalCannotBeBiggerThanTimeFrame"),
        ] {
            assert_eq!(parse_retention_policy(text).unwrap_err().id(), Some(id), "{text}");
        }
    }
}
