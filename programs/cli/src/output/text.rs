// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Numbers, times and paths as people read them.

use std::time::Duration;

use jiff::{Timestamp, Zoned, tz::TimeZone};

pub use duplicati_engine::source::display_path;

/// A size with three digits or so: `0 bytes`, `1.50 KB`, `12.0 MB`. Units are powers of 1024, as in options.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1024 {
        return if bytes == 1 {
            "1 byte".to_owned()
        } else {
            format!("{bytes} bytes")
        };
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.995 would be printed as 1024.00, so the next unit begins a little earlier.
    while value >= 1023.995 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2} {}", UNITS[unit])
}

/// A count with its noun.
pub fn count(number: u64, singular: &str, plural: &str) -> String {
    if number == 1 {
        format!("1 {singular}")
    } else {
        format!("{number} {plural}")
    }
}

/// A moment in the user's time zone, to the second.
pub fn local_time(time: Timestamp) -> String {
    zoned_time(&time.to_zoned(TimeZone::system()))
}

/// A stored moment in the user's time zone; as it stands when it is none.
pub fn iso_time(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), local_time)
}

/// A moment in its own time zone, to the second.
pub fn zoned_time(time: &Zoned) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `hh:mm:ss`, with days in front where there are any.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let text = format!("{:02}:{:02}:{:02}", clock / 3600, clock / 60 % 60, clock % 60);
    if days > 0 { format!("{days}.{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_their_unit_until_the_next_is_full() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.00 KB"),
            (1536, "1.50 KB"),
            ((1 << 20) - 1, "1.00 MB"),
            (u64::MAX, "16.00 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations_show_days_only_when_there_are_any() {
        assert_eq!(duration(Duration::from_secs(3_723)), "01:02:03");
        assert_eq!(duration(Duration::from_secs(90_000)), "1.01:00:00");
    }
}
