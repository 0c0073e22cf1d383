// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When is it due next? Pure arithmetic: the present time and the time zone are handed in.
//!
//! Days, weeks, months and years are counted on the wall clock of the time zone, so that a backup at 13:00 stays at 13:00 when the
//! clocks change; seconds, minutes and hours are counted as they pass.

use jiff::{Span, Timestamp, Unit, civil::Weekday, tz::TimeZone};

/// Steps from the base to the present before a schedule counts as hopeless: a repeat of five minutes reaches half a year.
const STEPS_MAX: u32 = 50_000;
/// Days looked at for one that is allowed: every weekday once, and one more for a change of clocks.
const DAYS_MAX: u32 = 8;

/// How often a job repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    years: i64,
    months: i64,
    days: i64,
    seconds: i64,
}

/// A time span that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time span; write a number with one of the units s m h D W M Y, such as 1D")]
pub struct RepeatError {
    text: String,
}

impl Repeat {
    /// Reads `1D`, `1W2D`, `90m` or a number of seconds.
    ///
    /// # Errors
    /// When the text is none of that, or the span is not positive.
    pub fn parse(text: &str) -> Result<Self, RepeatError> {
        let error = || RepeatError {
            text: text.chars().take(40).collect(),
        };
        let mut repeat = Self {
            years: 0,
            months: 0,
            days: 0,
            seconds: 0,
        };
        let mut digits = String::new();
        for letter in text.trim().chars().chain(std::iter::once('\0')) {
            if letter.is_ascii_digit() {
                digits.push(letter);
                continue;
            }
            if letter == '\0' && digits.is_empty() {
                break;
            }
            let count: i64 = digits.parse().map_err(|_| error())?;
            digits.clear();
            let (field, factor) = match letter {
                's' | '\0' => (&mut repeat.seconds, 1),
                'm' => (&mut repeat.seconds, 60),
                'h' => (&mut repeat.seconds, 3_600),
                'D' => (&mut repeat.days, 1),
                'W' => (&mut repeat.days, 7),
                'M' => (&mut repeat.months, 1),
                'Y' => (&mut repeat.years, 1),
                _ => return Err(error()),
            };
            *field = count
                .checked_mul(factor)
                .and_then(|amount| field.checked_add(amount))
                .ok_or_else(error)?;
        }
        if repeat.flat_seconds().is_none_or(|seconds| seconds <= 0) {
            return Err(error());
        }
        Ok(repeat)
    }

    /// Its length with months of 30 and years of 365 days; none when it does not fit.
    pub fn flat_seconds(&self) -> Option<i64> {
        let days = self
            .years
            .checked_mul(365)?
            .checked_add(self.months.checked_mul(30)?)?
            .checked_add(self.days)?;
        days.checked_mul(86_400)?.checked_add(self.seconds)
    }

    /// The time one repeat later; none beyond the end of time.
    fn after(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let calendar = Span::new()
            .try_years(self.years)
            .and_then(|span| span.try_months(self.months))
            .and_then(|span| span.try_days(self.days))
            .ok()?;
        let zoned = time.to_zoned(zone.clone()).checked_add(calendar).ok()?;
        let exact = jiff::SignedDuration::from_secs(self.seconds);
        zoned.timestamp().checked_add(exact).ok()
    }

    fn is_at_least_a_day(&self) -> bool {
        self.flat_seconds().is_some_and(|seconds| seconds >= 86_400)
    }
}

/// The rules of one job's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// First or next time.
    pub time: Timestamp,
    pub repeat: Repeat,
    /// Start of the last scheduled run; none when there was none.
    pub last_run: Option<Timestamp>,
    /// Empty means all.
    pub allowed_days: Vec<Weekday>,
}

/// What a schedule asks for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Whether a run is due now: however many were missed, it is one.
    pub now: bool,
    /// The first time after the present.
    pub next: Timestamp,
}

impl Schedule {
    /// What is due; none when the schedule never comes to the present.
    pub fn due(&self, now: Timestamp, zone: &TimeZone) -> Option<Due> {
        let (mut time, mut last_run) = (self.time, self.last_run);
        // A last run in the future means that the clock was set back.
        if last_run.is_some_and(|last| last > now) {
            last_run = Some(now);
            time = now;
        }
        let mut steps = 0;
        let mut step = |from: Timestamp| -> Option<Timestamp> {
            steps += 1;
            let after = self.repeat.after(from, zone)?;
            (steps <= STEPS_MAX && after > from).then_some(after)
        };
        while last_run.is_some_and(|last| time < last) {
            time = step(time)?;
        }
        let first = self.on_allowed_day(time, zone, &mut step)?;
        let is_due = first <= now;
        let mut next = first;
        while next <= now {
            let stepped = step(next)?;
            next = self.on_allowed_day(stepped, zone, &mut step)?;
        }
        Some(Due { now: is_due, next })
    }

    /// The longest time between two runs, seconds, with the days on which nothing may run. A month counts as 30 days, a year as 365.
    pub fn longest_interval_seconds(&self) -> i64 {
        const DAY: i64 = 86_400;
        const WEEK: i64 = 7;
        let repeat = self.repeat.flat_seconds().unwrap_or(i64::MAX);
        // Whole weeks come back to the same day.
        if self.allowed_days.is_empty() || repeat % (WEEK * DAY) == 0 {
            return repeat;
        }
        let is_allowed = |day: i64| {
            let mut days = self.allowed_days.iter();
            days.any(|allowed| i64::from(allowed.to_monday_zero_offset()) == day % WEEK)
        };
        // From each allowed day to the next one, around the week.
        let blocked = (0..WEEK).filter(|day| is_allowed(*day)).map(|day| {
            (1..=WEEK)
                .find(|ahead| is_allowed(day + ahead))
                .map_or(0, |ahead| ahead - 1)
        });
        repeat.saturating_add(blocked.max().unwrap_or(0) * DAY)
    }

    fn on_allowed_day(
        &self,
        mut time: Timestamp,
        zone: &TimeZone,
        step: &mut impl FnMut(Timestamp) -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        let is_allowed = |time: Timestamp| {
            self.allowed_days.is_empty() || self.allowed_days.contains(&time.to_zoned(zone.clone()).weekday())
        };
        if self.repeat.is_at_least_a_day() {
            for _ in 0..DAYS_MAX {
                if is_allowed(time) {
                    return Some(time);
                }
                let zoned = time.to_zoned(zone.clone());
                time = zoned.checked_add(Span::new().days(1)).ok()?.timestamp();
            }
            return None;
        }
        while !is_allowed(time) {
            time = step(time)?;
        }
        Some(time)
    }
}

/// A day by its English name, long or short, in any case.
pub fn parse_weekday(text: &str) -> Option<Weekday> {
    const NAMES: [(&str, Weekday); 7] = [
        ("sunday", Weekday::Sunday),
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
    ];
    let lower = text.trim().to_ascii_lowercase();
    NAMES
        .iter()
        .find(|(name, _)| lower == *name || lower == name[..3])
        .map(|(_, day)| *day)
}

/// Whole seconds from one time to another, none when it is past.
pub fn seconds_until(from: Timestamp, to: Timestamp) -> Option<u64> {
    let seconds = from.until((Unit::Second, to)).ok()?.get_seconds();
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn schedule(first: &str, repeat: &str) -> Schedule {
        Schedule {
            time: time(first),
            repeat: Repeat::parse(repeat).unwrap(),
            last_run: None,
            allowed_days: Vec::new(),
        }
    }

    #[test]
    fn a_time_in_the_future_is_waited_for() {
        let due = schedule("2026-03-01T13:00:00Z", "1D").due(time("2026-03-01T12:00:00Z"), &TimeZone::UTC);
        let next = time("2026-03-01T13:00:00Z");
        assert_eq!(due, Some(Due { now: false, next }));
    }

    #[test]
    fn the_longest_interval_counts_the_days_without_a_run() {
        let longest = |repeat: &str, days: &[Weekday]| {
            let mut schedule = schedule("2026-03-01T13:00:00Z", repeat);
            schedule.allowed_days = days.to_vec();
            schedule.longest_interval_seconds()
        };
        use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
        let day = 86_400;
        assert_eq!(longest("1D", &[]), day);
        assert_eq!(
            longest("1D", &[Monday, Tuesday, Wednesday, Thursday, Friday]),
            3 * day
        );
        assert_eq!(
            longest("1h", &[Monday, Tuesday, Wednesday, Thursday, Friday]),
            2 * day + 3_600
        );
        assert_eq!(longest("1D", &[Saturday, Sunday]), 6 * day);
        assert_eq!(longest("1D", &[Sunday]), 7 * day);
        assert_eq!(longest("2W", &[Monday]), 14 * day);
        assert_eq!(longest("6h", &[Monday, Thursday]), 3 * day + 6 * 3_600);
    }

    #[test]
    fn many_missed_runs_are_one_run_now() {
        let due = schedule("2026-03-01T13:00:00Z", "1D").due(time("2026-03-20T12:00:00Z"), &TimeZone::UTC);
        let next = time("2026-03-20T13:00:00Z");
        assert_eq!(due, Some(Due { now: true, next }));
    }

    #[test]
    fn a_daily_run_stays_at_its_hour_when_the_clocks_change() {
        let berlin = zone("Europe/Berlin");
        let due = schedule("2026-03-28T12:00:00Z", "1D").due(time("2026-03-28T12:30:00Z"), &berlin);
        // 13:00 in winter is 12:00 UTC, in summer 11:00.
        assert_eq!(due.unwrap().next, time("2026-03-29T11:00:00Z"));
        let due = schedule("2026-10-24T11:00:00Z", "1D").due(time("2026-10-24T11:30:00Z"), &berlin);
        assert_eq!(due.unwrap().next, time("2026-10-25T12:00:00Z"));
    }

    #[test]
    fn an_hourly_run_counts_hours_through_a_change_of_clocks() {
        let berlin = zone("Europe/Berlin");
        let due = schedule("2026-10-25T00:00:00Z", "1h").due(time("2026-10-25T00:10:00Z"), &berlin);
        assert_eq!(due.unwrap().next, time("2026-10-25T01:00:00Z"));
    }

    #[test]
    fn a_run_in_the_hour_that_does_not_exist_comes_right_after_it() {
        let berlin = zone("Europe/Berlin");
        let due = schedule("2026-03-28T01:30:00Z", "1D").due(time("2026-03-28T02:00:00Z"), &berlin);
        // 02:30 does not exist on the 29th; it is 03:30 of summer time.
        assert_eq!(due.unwrap().next, time("2026-03-29T01:30:00Z"));
        let day_after = Schedule {
            time: time("2026-03-28T01:30:00Z"),
            ..schedule("2026-03-28T01:30:00Z", "1D")
        };
        let due = day_after.due(time("2026-03-29T02:00:00Z"), &berlin).unwrap();
        assert!(due.next > time("2026-03-29T02:00:00Z"));
    }

    #[test]
    fn days_that_are_not_allowed_are_passed_over() {
        let mut weekdays = schedule("2026-03-06T13:00:00Z", "1D");
        weekdays.allowed_days = vec![Weekday::Monday, Weekday::Friday];
        // The 6th is a Friday.
        let due = weekdays
            .due(time("2026-03-06T14:00:00Z"), &TimeZone::UTC)
            .unwrap();
        assert!(due.now);
        assert_eq!(due.next, time("2026-03-09T13:00:00Z"));
    }

    #[test]
    fn the_weekday_is_that_of_the_time_zone() {
        let mut sundays = schedule("2026-03-07T23:30:00Z", "1D");
        sundays.allowed_days = vec![Weekday::Sunday];
        let due = sundays
            .due(time("2026-03-07T00:00:00Z"), &zone("Europe/Berlin"))
            .unwrap();
        assert_eq!(due.next, time("2026-03-07T23:30:00Z"));
        let due = sundays.due(time("2026-03-07T00:00:00Z"), &TimeZone::UTC).unwrap();
        assert_eq!(due.next, time("2026-03-08T23:30:00Z"));
    }

    #[test]
    fn short_repeats_go_on_until_a_day_is_allowed() {
        let mut hourly = schedule("2026-03-06T22:00:00Z", "1h");
        hourly.allowed_days = vec![Weekday::Sunday];
        let due = hourly.due(time("2026-03-06T22:30:00Z"), &TimeZone::UTC).unwrap();
        assert_eq!(
            due,
            Due {
                now: false,
                next: time("2026-03-08T00:00:00Z")
            }
        );
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_schedule() {
        let mut daily = schedule("2027-01-01T13:00:00Z", "1D");
        daily.last_run = Some(time("2026-12-31T13:00:00Z"));
        let now = time("2026-03-01T12:00:00Z");
        let due = daily.due(now, &TimeZone::UTC).unwrap();
        assert!(due.now);
        assert_eq!(due.next, time("2026-03-02T12:00:00Z"));
    }

    #[test]
    fn months_are_calendar_months_and_end_with_the_month() {
        let due = schedule("2026-01-31T13:00:00Z", "1M").due(time("2026-02-01T00:00:00Z"), &TimeZone::UTC);
        assert_eq!(due.unwrap().next, time("2026-02-28T13:00:00Z"));
    }

    #[test]
    fn a_run_that_was_done_is_not_done_again() {
        let mut daily = schedule("2026-03-01T13:00:00Z", "1D");
        daily.last_run = Some(time("2026-03-05T13:00:07Z"));
        let due = daily.due(time("2026-03-05T14:00:00Z"), &TimeZone::UTC).unwrap();
        assert_eq!(
            due,
            Due {
                now: false,
                next: time("2026-03-06T13:00:00Z")
            }
        );
    }

    #[test]
    fn a_schedule_that_never_comes_near_is_given_up() {
        let ancient = schedule("0001-01-01T00:00:00Z", "6m");
        assert_eq!(ancient.due(time("2026-03-01T00:00:00Z"), &TimeZone::UTC), None);
    }

    #[test]
    fn repeats_are_read_with_their_units_and_nothing_else() {
        let seconds = |text: &str| Repeat::parse(text).ok().and_then(|repeat| repeat.flat_seconds());
        assert_eq!(seconds("1D"), Some(86_400));
        assert_eq!(seconds("1W2D"), Some(9 * 86_400));
        assert_eq!(seconds("1M"), Some(30 * 86_400));
        assert_eq!(seconds("90m"), Some(5_400));
        assert_eq!(seconds("600"), Some(600));
        for wrong in [
            "",
            "D",
            "1x",
            "-1D",
            "0s",
            "1d",
            "99999999999999999999D",
            "9223372036854775807Y",
            "1D D",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn weekdays_have_long_and_short_names() {
        assert_eq!(parse_weekday("Monday"), Some(Weekday::Monday));
        assert_eq!(parse_weekday("sUn"), Some(Weekday::Sunday));
        assert_eq!(parse_weekday("mo"), None);
    }
}
