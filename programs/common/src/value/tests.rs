// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the value formats promise, by example and by property.

use std::ffi::OsStr;

use jiff::{Timestamp, Zoned};
use proptest::prelude::*;

use super::*;

fn now() -> Zoned {
    "2026-03-31T12:00:00+02:00[Europe/Berlin]"
        .parse()
        .expect("the literal is a valid time")
}

fn time(text: &str) -> Timestamp {
    parse_time_point(text, &now()).unwrap_or_else(|error| panic!("{error}"))
}

fn timestamp(text: &str) -> Timestamp {
    text.parse().expect("the literal is a valid timestamp")
}

#[test]
fn only_the_four_negative_words_switch_an_option_off() {
    for text in ["0", "off", "False", "NO", " no "] {
        assert!(!parse_boolean(text), "{text:?} should be false");
    }
    for text in ["", "1", "on", "true", "YES", "anything"] {
        assert!(parse_boolean(text), "{text:?} should be true");
    }
}

#[test]
fn a_bare_size_takes_the_unit_of_its_option() {
    assert_eq!(parse_size("50", SizeUnit::Megabytes), Ok(50 << 20));
    assert_eq!(parse_size("50", SizeUnit::Bytes), Ok(50));
    assert_eq!(parse_size("50b", SizeUnit::Megabytes), Ok(50));
}

#[test]
fn size_units_are_powers_of_1024_in_any_case() {
    for (text, bytes) in [
        ("1KB", 1 << 10),
        ("1kib", 1 << 10),
        ("2MiB", 2 << 20),
        ("1 gb", 1 << 30),
        ("1Tb", 1 << 40),
    ] {
        assert_eq!(parse_size(text, SizeUnit::Bytes), Ok(bytes), "{text}");
    }
}

#[test]
fn sizes_that_are_negative_fractional_or_too_large_are_refused() {
    for text in [
        "",
        "mb",
        "-1",
        "1.5gb",
        "1xb",
        "18446744073709551616",
        "99999999999tb",
    ] {
        assert!(
            parse_size(text, SizeUnit::Bytes).is_err(),
            "{text:?} should be refused"
        );
    }
}

#[test]
fn a_time_span_chain_adds_its_parts() {
    let seconds = |text| Timespan::parse(text).map(|span| span.total_seconds());
    assert_eq!(seconds("1W2D3h"), Ok((9 * 24 + 3) * 3600));
    assert_eq!(seconds("90"), Ok(90));
    assert_eq!(seconds("1h-10m"), Ok(3000));
    assert_eq!(seconds("-5s"), Ok(-5));
    assert_eq!(seconds("1Y"), Ok(365 * 86400));
}

#[test]
fn minutes_and_months_differ_by_case_only() {
    assert_eq!(Timespan::parse("1m").map(|span| span.total_seconds()), Ok(60));
    assert_eq!(
        Timespan::parse("1M").map(|span| span.total_seconds()),
        Ok(30 * 86400)
    );
    assert!(Timespan::parse("1H").is_err(), "an upper-case H is not a unit");
    assert!(Timespan::parse("1d").is_err(), "a lower-case d is not a unit");
}

#[test]
fn incomplete_or_absurd_time_spans_are_refused() {
    for text in [
        "",
        "D",
        "1W30",
        "1.5h",
        "1h 2x",
        "9223372036854775807Y",
        "99999999M",
        "--5s",
    ] {
        assert!(Timespan::parse(text).is_err(), "{text:?} should be refused");
    }
}

#[test]
fn an_age_lies_in_the_past_with_either_sign() {
    assert_eq!(time("2D"), time("-2D"));
    assert_eq!(time("3h"), timestamp("2026-03-31T07:00:00Z"));
    assert_eq!(time("NOW"), now().timestamp());
}

#[test]
fn months_and_years_follow_the_calendar() {
    // The day is cut to the length of February, and the hour stays the local one across the summer-time change.
    assert_eq!(time("1M"), timestamp("2026-02-28T11:00:00Z"));
    assert_eq!(time("-1Y"), timestamp("2025-03-31T10:00:00Z"));
}

#[test]
fn dates_and_times_without_a_zone_are_local() {
    assert_eq!(time("2026-01-02"), timestamp("2026-01-01T23:00:00Z"));
    assert_eq!(time("2026-01-02 10:30"), timestamp("2026-01-02T09:30:00Z"));
    assert_eq!(time("2026/01/02 10:30:15"), timestamp("2026-01-02T09:30:15Z"));
    assert_eq!(time("2026-01-02T10:30:00"), timestamp("2026-01-02T09:30:00Z"));
}

#[test]
fn compact_and_offset_times_are_exact() {
    assert_eq!(time("20260102T103000Z"), timestamp("2026-01-02T10:30:00Z"));
    assert_eq!(
        time("2026-01-02T10:30:00+05:00"),
        timestamp("2026-01-02T05:30:00Z")
    );
}

#[test]
fn ambiguous_and_meaningless_times_are_refused() {
    for text in [
        "",
        "03/04/2026",
        "yesterday",
        "2026-13-01",
        "20261301T000000Z",
        "99999Y",
    ] {
        assert!(
            parse_time_point(text, &now()).is_err(),
            "{text:?} should be refused"
        );
    }
}

#[test]
fn version_ranges_are_merged_and_sorted() {
    let list = VersionList::parse("7, 2-4,0,4-3").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(list.iter_below(100).collect::<Vec<_>>(), [0, 2, 3, 4, 7]);
    assert_eq!((list.first(), list.last()), (Some(0), Some(7)));
    assert!(list.contains(3) && !list.contains(5));
}

#[test]
fn a_huge_version_range_only_yields_versions_that_exist() {
    let list = VersionList::parse("3-4294967295").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(list.iter_below(6).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn malformed_version_lists_are_refused() {
    for text in ["", ",", "-1", "1-", "a", "1-2-3", "4294967296", "+1"] {
        assert!(VersionList::parse(text).is_err(), "{text:?} should be refused");
    }
}

#[test]
fn empty_parts_of_a_path_list_are_dropped() {
    assert_eq!(
        split_path_list(OsStr::new(":/a:/b c::")),
        [PathBuf::from("/a"), PathBuf::from("/b c")]
    );
}

#[test]
fn a_rejected_value_is_shown_only_in_part() {
    let error = ValueError::new(&"x".repeat(10_000), "short");
    assert!(error.to_string().len() < 200);
}

use std::path::PathBuf;

proptest! {
    #[test]
    fn parsers_never_panic(text in "\\PC{0,40}") {
        let _ = parse_boolean(&text);
        let _ = parse_size(&text, SizeUnit::Terabytes);
        let _ = Timespan::parse(&text).map(|span| (span.to_duration(), span.to_string()));
        let _ = parse_time_point(&text, &now());
        let _ = VersionList::parse(&text).map(|list| list.iter_below(10).count());
    }

    #[test]
    fn parsers_never_panic_on_texts_close_to_valid(text in "[-+0-9smhDWMYTZ:., /]{0,40}") {
        let _ = parse_size(&text, SizeUnit::Terabytes);
        let _ = Timespan::parse(&text).map(|span| (span.to_duration(), span.to_string()));
        let _ = parse_time_point(&text, &now());
        let _ = VersionList::parse(&text).map(|list| list.iter_below(10).count());
    }

    #[test]
    fn a_printed_time_span_reads_back_the_same(years in -90i64..90, months in -90i64..90, seconds in -10_000_000i64..10_000_000) {
        let span = Timespan::parse(&format!("{years}Y{months}M{seconds}s")).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(Timespan::parse(&span.to_string()), Ok(span));
    }

    #[test]
    fn a_version_list_holds_exactly_what_was_listed(numbers in prop::collection::btree_set(0u32..200, 1..40)) {
        let text = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let list = VersionList::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(list.iter_below(1000).collect::<Vec<_>>(), numbers.into_iter().collect::<Vec<_>>());
    }
}
