// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Retention against a model that follows the user's documentation word by word, with the simplest means.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;

use duplicati_engine::retention::{
    RetentionOptions, RetentionPolicy, SnapshotForRetention, Verdict, parse_age, parse_retention_policy,
    parse_timespan, plan,
};
use duplicati_programs_common::value::Timespan;
use proptest::{collection::vec, prelude::*};

const DAY: i64 = 86_400;
/// 2026-03-31T12:00:00Z: the end of a month, so that shorter months show.
const NOW: i64 = 1_774_958_400;

/// Units with their fixed length in seconds.
const UNITS: [(char, i64); 7] = [
    ('s', 1),
    ('m', 60),
    ('h', 3600),
    ('D', DAY),
    ('W', 7 * DAY),
    ('M', 30 * DAY),
    ('Y', 365 * DAY),
];

/// A span as numbers with units; no unit at all is seconds.
#[derive(Debug, Clone)]
struct Span(Vec<(i64, Option<usize>)>);

impl Span {
    fn text(&self) -> String {
        let part = |(number, unit): &(i64, Option<usize>)| match unit {
            Some(unit) => format!("{number}{}", UNITS[*unit].0),
            None => number.to_string(),
        };
        self.0.iter().map(part).collect()
    }

    fn seconds(&self) -> i64 {
        self.0
            .iter()
            .map(|(number, unit)| number * unit.map_or(1, |unit| UNITS[unit].1))
            .sum()
    }

    /// The moment this long before `now`, months and years by the calendar, sign without meaning.
    fn before(&self, now: i64) -> i64 {
        let sign = if self.seconds() < 0 { -1 } else { 1 };
        let (mut months, mut rest) = (0, 0);
        for (number, unit) in &self.0 {
            match unit.map(|unit| UNITS[unit].0) {
                Some('M') => months += number,
                Some('Y') => months += 12 * number,
                unit => rest += number * unit.map_or(1, |_| UNITS[self.unit_of(unit)].1),
            }
        }
        months_before(now, months * sign) - rest * sign
    }

    fn unit_of(&self, unit: Option<char>) -> usize {
        UNITS.iter().position(|(name, _)| Some(*name) == unit).unwrap()
    }
}

fn span() -> impl Strategy<Value = Span> {
    let chain = vec((0..40i64, (0..UNITS.len()).prop_map(Some)), 1..4);
    let signed = vec((-20..40i64, (0..UNITS.len()).prop_map(Some)), 1..4);
    prop_oneof![
        1 => (0..3_000_000i64).prop_map(|number| Span(vec![(number, None)])),
        6 => chain.prop_map(Span),
        2 => signed.prop_map(Span),
    ]
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && year % 100 != 0 || year % 400 == 0
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day, by counting years and months.
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let length = |year| if is_leap(year) { 366 } else { 365 };
    let years: i64 = (1970..year).map(length).sum::<i64>() - (year..1970).map(length).sum::<i64>();
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>() + day - 1
}

/// The same time of day so many months earlier, on the last day of the month when it is shorter.
fn months_before(now: i64, months: i64) -> i64 {
    let (days, time) = (now.div_euclid(DAY), now.rem_euclid(DAY));
    let year = (1900..2300)
        .rev()
        .find(|year| days_until(*year, 1, 1) <= days)
        .unwrap();
    let month = (1..=12)
        .rev()
        .find(|month| days_until(year, *month, 1) <= days)
        .unwrap();
    let day = days - days_until(year, month, 1) + 1;
    let number = year * 12 + month - 1 - months;
    let (year, month) = (number.div_euclid(12), number.rem_euclid(12) + 1);
    days_until(year, month, day.min(days_in(year, month))) * DAY + time
}

/// A version: its time and whether it is full.
type Version = (i64, bool);

fn versions() -> impl Strategy<Value = Vec<Version>> {
    let age = prop_oneof![
        3 => 0..500 * DAY,
        2 => (0..400i64).prop_map(|days| days * DAY),
        2 => 0..3 * DAY,
        1 => -2 * DAY..0,
    ];
    let version = (age, prop::bool::weighted(0.75)).prop_map(|(age, full)| (NOW - age, full));
    vec(version, 0..40).prop_map(|mut versions| {
        // Newest first, as versions are numbered; no two at once, for no rule says which comes first.
        versions.sort_by_key(|(time, _)| -time);
        versions.dedup_by_key(|(time, _)| *time);
        versions
    })
}

/// The numbers of the versions that the program keeps.
fn kept(versions: &[Version], policy: &RetentionPolicy, options: RetentionOptions) -> BTreeSet<usize> {
    let snapshots: Vec<_> = versions
        .iter()
        .enumerate()
        .map(|(index, &(time_unix_seconds, complete))| SnapshotForRetention {
            index,
            time_unix_seconds,
            complete,
        })
        .collect();
    let plan = plan(&snapshots, NOW, policy, options);
    assert_eq!(plan.snapshots.len(), versions.len());
    let kept = plan
        .snapshots
        .iter()
        .filter(|planned| matches!(planned.verdict, Verdict::Keep(_)));
    kept.map(|planned| planned.snapshot.index).collect()
}

/// "The newest version is kept unless full removal is allowed" holds for every policy.
fn with_newest(mut kept: BTreeSet<usize>, versions: &[Version], allow_full_removal: bool) -> BTreeSet<usize> {
    if !versions.is_empty() && !allow_full_removal {
        kept.insert(0);
    }
    kept
}

fn model_keep_time(versions: &[Version], span: &Span, tolerance: bool) -> BTreeSet<usize> {
    let cutoff = span.before(NOW);
    let slack = if tolerance {
        ((NOW - cutoff).max(0) / 100).min(3600)
    } else {
        0
    };
    let newest_full = versions.iter().position(|(_, full)| *full);
    (0..versions.len())
        .filter(|&number| versions[number].0 >= cutoff - slack || Some(number) == newest_full)
        .collect()
}

fn model_keep_versions(versions: &[Version], count: usize) -> BTreeSet<usize> {
    let full = |among: &[Version]| among.iter().filter(|(_, full)| *full).count();
    let stays = |number: &usize| {
        let (newer, older) = (full(&versions[..*number]), full(&versions[number + 1..]));
        if versions[*number].1 {
            newer < count
        } else {
            newer == 0 || (older == 0 && newer < count)
        }
    };
    (0..versions.len()).filter(stays).collect()
}

/// A pair of a policy: reach and interval in seconds, none for `U`.
type Pair = (Option<i64>, i64);

fn model_policy(versions: &[Version], pairs: &[Pair], allow_full_removal: bool) -> BTreeSet<usize> {
    // Sorted by reach, unlimited last.
    let mut pairs = pairs.to_vec();
    pairs.sort_by_key(|(reach, _)| reach.unwrap_or(i64::MAX));
    let frame_of = |time: i64| {
        (0..pairs.len()).find(|&pair| match pairs[pair].0 {
            Some(reach) => NOW - time <= reach,
            None => true,
        })
    };
    let mut kept = BTreeSet::new();
    for (frame, (_, interval)) in pairs.iter().enumerate() {
        let mut last: Option<i64> = None;
        // From old to new; the newest of all is not considered.
        for number in (1..versions.len()).rev() {
            let (time, full) = versions[number];
            if frame_of(time) != Some(frame) {
                continue;
            }
            if !full {
                kept.insert(number);
            } else if last.is_none_or(|last| time >= last + interval) {
                kept.insert(number);
                last = Some(time);
            }
        }
    }
    if let Some((time, _)) = versions.first()
        && (!allow_full_removal || frame_of(*time).is_some())
    {
        kept.insert(0);
    }
    kept
}

/// A pair with its text; the interval is smaller than the reach unless it keeps everything.
fn pair() -> impl Strategy<Value = (String, Pair)> {
    let reach = prop_oneof![1 => Just(None), 6 => (1..400i64, 2..UNITS.len()).prop_map(Some)];
    let interval =
        prop_oneof![1 => Just(None), 1 => Just(Some((0, 0))), 6 => (1..60i64, 2..6usize).prop_map(Some)];
    (reach, interval, any::<bool>()).prop_filter_map(
        "an interval is smaller than its frame",
        |(reach, interval, spaced)| {
            let seconds = |(number, unit): (i64, usize)| number * UNITS[unit].1;
            let text = |span: Option<(i64, usize)>| {
                span.map_or("U".to_owned(), |(number, unit)| {
                    format!("{number}{}", UNITS[unit].0)
                })
            };
            let pair = (reach.map(seconds), interval.map_or(0, seconds));
            let space = if spaced { " " } else { "" };
            let text = format!("{}:{space}{}", text(reach), text(interval));
            let fits = pair.1 == 0 || pair.0.is_none_or(|reach| pair.1 < reach);
            fits.then_some((text, pair))
        },
    )
}

fn options() -> impl Strategy<Value = RetentionOptions> {
    (any::<bool>(), any::<bool>()).prop_map(|(allow_full_removal, time_tolerance)| RetentionOptions {
        allow_full_removal,
        time_tolerance,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spans_mean_what_their_parts_add_up_to(span in span()) {
        prop_assert_eq!(parse_timespan(&span.text()), Ok(span.seconds()));
        prop_assert_eq!(Timespan::parse(&span.text()).unwrap().total_seconds(), span.seconds());
        prop_assert_eq!(parse_age(&span.text()).unwrap().before(NOW), span.before(NOW));
    }

    #[test]
    fn keep_time_follows_the_model(versions in versions(), span in span(), options in options()) {
        // As the command line hands it on: read, printed, read again.
        let printed = Timespan::parse(&span.text()).unwrap().to_string();
        let policy = RetentionPolicy::KeepTime(parse_age(&printed).unwrap());
        let expected = model_keep_time(&versions, &span, options.time_tolerance);
        let expected = with_newest(expected, &versions, options.allow_full_removal);
        prop_assert_eq!(kept(&versions, &policy, options), expected);
    }

    #[test]
    fn keep_versions_follows_the_model(versions in versions(), count in 1..12u32, options in options()) {
        let expected = model_keep_versions(&versions, count as usize);
        let expected = with_newest(expected, &versions, options.allow_full_removal);
        prop_assert_eq!(kept(&versions, &RetentionPolicy::KeepVersions(count), options), expected);
    }

    #[test]
    fn retention_policies_follow_the_model(versions in versions(), pairs in vec(pair(), 1..5), options in options()) {
        let texts: Vec<_> = pairs.iter().map(|(text, _)| text.as_str()).collect();
        let policy = RetentionPolicy::Frames(parse_retention_policy(&texts.join(",")).unwrap());
        let pairs: Vec<_> = pairs.iter().map(|(_, pair)| *pair).collect();
        let expected = model_policy(&versions, &pairs, options.allow_full_removal);
        prop_assert_eq!(kept(&versions, &policy, options), expected);
    }

    #[test]
    fn an_interval_as_large_as_its_frame_is_refused(number in 1..100i64, more in 0..100i64, unit in 0..UNITS.len()) {
        let unit = UNITS[unit].0;
        let error = parse_retention_policy(&format!("{number}{unit}:{}{unit}", number + more)).unwrap_err();
        prop_assert_eq!(error.id(), Some("IntervalCannotBeBiggerThanTimeFrame"));
    }
}
