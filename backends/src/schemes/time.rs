// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Times as targets write them, as seconds since 1970.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The number of a month by its English short name, in any case.
pub(crate) fn month(word: &str) -> Option<i64> {
    let place = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(word))?;
    i64::try_from(place + 1).ok()
}

/// A time in UTC as seconds since 1970; none for what is no time.
pub(crate) fn seconds([year, month, day, hour, minute, second]: [i64; 6]) -> Option<i64> {
    let is_time = (0..=9_999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !is_time {
        return None;
    }
    // Years begin in March, so that the leap day is the last of its year.
    let shifted = if month > 2 { year } else { year - 1 };
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = shifted.div_euclid(400) * 146_097 + day_of_era - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// `Wed, 25 Nov 2026 10:15:30 GMT`
pub(crate) fn of_http(text: &str) -> Option<i64> {
    let (_, rest) = text.trim().split_once(", ")?;
    let words: Vec<&str> = rest.split([' ', ':']).filter(|word| !word.is_empty()).collect();
    let [day, month_word, year, hour, minute, second, "GMT" | "UTC"] = words[..] else {
        return None;
    };
    let number = |word: &str| word.parse::<i64>().ok();
    seconds([
        number(year)?,
        month(month_word)?,
        number(day)?,
        number(hour)?,
        number(minute)?,
        number(second)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read_and_nonsense_is_not() {
        assert_eq!(of_http("Wed, 25 Nov 2026 10:15:30 GMT"), Some(1_795_601_730));
        assert_eq!(of_http("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for text in [
            "",
            "now",
            "Wed, 25 Foo 2026 10:15:30 GMT",
            "Wed, 25 Nov 2026 25:15:30 GMT",
            "Wed, 25 Nov 2026 10:15:30 CET",
        ] {
            assert_eq!(of_http(text), None, "{text}");
        }
    }
}
