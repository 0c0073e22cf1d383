// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Value formats against models that follow the user's documentation word by word, through the options that take them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::PathBuf,
};

use duplicati_programs_common::{
    Environment, Options, ParseContext, UserError,
    options::{Handling, Kind, table},
    value::Timespan,
};
use proptest::{collection::vec, prelude::*, sample::select};

const NOW: &str = "2026-03-31T12:00:00+00:00[UTC]";
/// The same moment, seconds since 1970.
const NOW_SECONDS: i64 = 1_774_958_400;

/// Reads one option as the program does.
fn parse(argument: String) -> Result<Options, UserError> {
    let environment = Environment {
        variables: BTreeMap::new(),
        user_id: 1000,
        current_folder: PathBuf::from("/"),
        program_folder: PathBuf::from("/"),
        system_root: PathBuf::from("/"),
    };
    let now = NOW.parse().unwrap();
    let context = ParseContext {
        environment: &environment,
        now: &now,
    };
    Options::parse([OsString::from(argument)], &context)
}

/// Names of options of a kind that can be given.
fn options_of(kind: fn(Kind) -> bool) -> Vec<&'static str> {
    let names: Vec<_> = table::all()
        .filter(|spec| kind(spec.kind) && spec.prefix().is_none())
        .map(|spec| spec.name)
        .filter(|name| parse(format!("--{name}=1")).is_ok())
        .collect();
    assert!(!names.is_empty());
    names
}

/// Bytes of a bare number, from the list in the user's documentation.
fn bare_unit(option: &str) -> u64 {
    match option {
        "dblock-size"
        | "skip-files-larger-than"
        | "quota-size"
        | "small-file-size"
        | "restore-cache-max"
        | "restore-volume-cache-hint" => 1 << 20,
        "blocksize" | "throttle-upload" | "throttle-download" => 1 << 10,
        "restore-volume-cache-min-free" => 1 << 30,
        _ => 1,
    }
}

/// Writes text in any case.
fn cased(text: &str, upper: &[bool]) -> String {
    text.chars()
        .enumerate()
        .map(|(place, letter)| {
            if upper[place % upper.len()] {
                letter.to_ascii_uppercase()
            } else {
                letter
            }
        })
        .collect()
}

const SUFFIXES: [(&str, u32); 9] = [
    ("b", 0),
    ("kb", 10),
    ("kib", 10),
    ("mb", 20),
    ("mib", 20),
    ("gb", 30),
    ("gib", 30),
    ("tb", 40),
    ("tib", 40),
];

#[test]
fn every_option_that_takes_a_size_has_its_documented_unit() {
    for option in options_of(|kind| matches!(kind, Kind::Size(_))) {
        // Not in the documentation that users know: our own, and what is read without having an effect.
        let spec = table::find(option).unwrap();
        let own = spec.own || !matches!(spec.handling, Handling::Kept | Handling::Mapped(_));
        let size = parse(format!("--{option}=3")).unwrap().size(option);
        assert!(own || size == Some(3 * bare_unit(option)), "{option}: {size:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sizes_follow_the_model(number in 0..1_000_000u64, suffix in select(&SUFFIXES[..]), upper in vec(any::<bool>(), 3)) {
        let text = format!("{number}{}", cased(suffix.0, &upper));
        let options = parse(format!("--quota-size={text}")).unwrap();
        prop_assert_eq!(options.size("quota-size"), Some(number << suffix.1), "{}", text);
    }

    #[test]
    fn booleans_follow_the_model(
        word in prop_oneof![
            select(&["1", "on", "true", "yes", "0", "off", "false", "no", ""][..]).prop_map(str::to_owned),
            "[a-z0-9]{0,6}",
        ],
        upper in vec(any::<bool>(), 5),
    ) {
        let expected = !["0", "off", "false", "no"].contains(&word.as_str());
        let options = parse(format!("--no-auto-compact={}", cased(&word, &upper))).unwrap();
        prop_assert_eq!(options.bool("no-auto-compact"), expected, "{}", word);
    }

    #[test]
    fn whole_numbers_are_not_localised(number in 0..1_000_000i64, thousands in any::<bool>()) {
        let read = parse(format!("--number-of-retries={number}")).unwrap().integer("number-of-retries");
        prop_assert_eq!(read, Some(number));
        let separator = if thousands { "," } else { "." };
        let grouped = parse(format!("--number-of-retries={number}{separator}000"));
        prop_assert!(grouped.is_err());
    }

    #[test]
    fn decimals_have_a_point(whole in 0..100u32, part in 0..1000u32) {
        let read = parse(format!("--backup-test-percentage={whole}.{part:03}")).unwrap();
        let expected = f64::from(whole) + f64::from(part) / 1000.0;
        let read = read.decimal("backup-test-percentage").unwrap();
        prop_assert!((read - expected).abs() < 1e-9);
        let comma = parse(format!("--backup-test-percentage={whole},{part:03}"));
        prop_assert!(comma.is_err());
    }

    #[test]
    fn spans_follow_the_model(parts in vec((-30..60i64, select(&["s", "m", "h", "D", "W", "M", "Y"][..])), 1..5)) {
        let length = |unit: &str| match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "D" => 86_400,
            "W" => 7 * 86_400,
            "M" => 30 * 86_400,
            _ => 365 * 86_400,
        };
        let text: String = parts.iter().map(|(number, unit)| format!("{number}{unit}")).collect();
        let seconds: i64 = parts.iter().map(|(number, unit)| number * length(unit)).sum();
        let options = parse(format!("--log-retention={text}")).unwrap();
        prop_assert_eq!(options.timespan("log-retention").map(|span| span.total_seconds()), Some(seconds), "{}", text);
    }

    #[test]
    fn units_of_spans_are_case_sensitive(number in 1..50, unit in select(&["S", "H", "d", "w", "y"][..])) {
        let wrong = parse(format!("--log-retention={number}{unit}"));
        prop_assert!(wrong.is_err());
    }

    #[test]
    fn an_age_is_past_with_either_sign(seconds in 0..100_000_000i64, negative in any::<bool>()) {
        let sign = if negative { "-" } else { "" };
        let options = parse(format!("--time={sign}{seconds}s")).unwrap();
        prop_assert_eq!(options.time_point("time").unwrap().as_second(), NOW_SECONDS - seconds);
    }

    #[test]
    fn the_forms_of_a_moment_agree(seconds in 0..4_000_000_000i64, offset in -12..13i64) {
        let moment = jiff::Timestamp::from_second(seconds).unwrap();
        let utc = moment.to_zoned(jiff::tz::TimeZone::UTC);
        let elsewhere = moment.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(offset as i8)));
        for text in [
            utc.strftime("%Y%m%dT%H%M%SZ").to_string(),
            utc.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            // Local time, and the zone here is UTC.
            utc.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            elsewhere.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        ] {
            let options = parse(format!("--time={text}")).unwrap();
            prop_assert_eq!(options.time_point("time").unwrap().as_second(), seconds, "{}", text);
        }
    }

    #[test]
    fn version_lists_follow_the_model(parts in vec((0..60u32, 0..60u32, any::<bool>()), 1..8)) {
        let mut expected = BTreeSet::new();
        let mut texts = Vec::new();
        for (one, other, is_range) in parts {
            let (first, last) = if is_range { (one.min(other), one.max(other)) } else { (one, one) };
            expected.extend(first..=last);
            texts.push(if is_range { format!("{first}-{last}") } else { first.to_string() });
        }
        let options = parse(format!("--version={}", texts.join(","))).unwrap();
        let read: BTreeSet<_> = options.versions("version").unwrap().iter_below(1000).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn path_lists_are_separated_by_colons(paths in vec("/[a-z ,;]{0,8}", 1..5)) {
        let options = parse(format!("--control-files={}", paths.join(":")));
        // Where the option is not available yet, its form is not either.
        if let Ok(options) = options {
            let expected: Vec<_> = paths.iter().map(PathBuf::from).collect();
            prop_assert_eq!(options.path_list("control-files"), expected);
        }
    }

    #[test]
    fn choices_are_read_in_any_case(upper in vec(any::<bool>(), 7), place in any::<prop::sample::Index>()) {
        for spec in table::all() {
            let Kind::Enum { values, .. } = spec.kind else {
                continue;
            };
            let value = place.get(values);
            if let Ok(options) = parse(format!("--{}={}", spec.name, cased(value, &upper))) {
                prop_assert_eq!(options.string(spec.name), Some(*value));
            }
            let unknown = parse(format!("--{}=no-such-choice", spec.name));
            prop_assert!(unknown.is_err());
        }
    }

    #[test]
    fn a_printed_span_reads_back(seconds in -1_000_000_000..1_000_000_000i64) {
        let span = Timespan::from_seconds(seconds);
        prop_assert_eq!(Timespan::parse(&span.to_string()), Ok(span));
    }
}
