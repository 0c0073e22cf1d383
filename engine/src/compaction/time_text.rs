// SPDX-License-Identifier: Apache-2.0 OR MIT
//! ISO 8601 texts in sessions, plans and manifests.

use crate::clock::Timestamp;

/// ISO 8601 in UTC with nanoseconds, as section 9 has it.
pub fn to_text(time: Timestamp) -> String {
    match jiff::Timestamp::new(time.seconds, time.nanoseconds as i32) {
        Ok(time) => format!("{time:.9}"),
        // Only a clock that is off by thousands of years gets here.
        Err(_) => "1970-01-01T00:00:00.000000000Z".to_owned(),
    }
}

/// Whole seconds since 1970 of an ISO 8601 text.
pub fn seconds_of(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_nine_digits_and_read_back() {
        let text = to_text(Timestamp {
            seconds: 1_767_225_600,
            nanoseconds: 5,
        });
        assert_eq!(text, "2026-01-01T00:00:00.000000005Z");
        assert_eq!(seconds_of(&text), Some(1_767_225_600));
        assert_eq!(seconds_of("yesterday"), None);
    }
}
