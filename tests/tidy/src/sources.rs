// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What stands in every source file, and what in none.

use regex::Regex;

use crate::tree::{SourceFile, assert_none, files};

const LICENCE: &str = "// SPDX-License-Identifier: Apache-2.0 OR MIT";

/// The only places that read the clocks of the system; everything else is handed a clock.
const CLOCKS: [&str; 1] = ["engine/src/clock.rs"];

#[test]
fn every_source_file_opens_with_its_licence_and_says_what_it_is_for() {
    let wrong = |file: &SourceFile| {
        let mut lines = file.text.lines();
        let licence = lines.next() == Some(LICENCE);
        let doc = lines.next().is_some_and(|line| line.starts_with("//! "));
        (!licence || !doc).then(|| {
            format!(
                "{}: the first line is {LICENCE:?}, the second begins the module's doc with //!",
                file.path
            )
        })
    };
    assert_none(&files(&[".rs"]).iter().filter_map(wrong).collect::<Vec<_>>());
}

#[test]
fn nothing_asks_the_system_for_the_time() {
    let calls =
        Regex::new(r"\b(?:SystemTime|Instant|Timestamp|Zoned|OffsetDateTime|Utc|Local)::now\(").unwrap();
    let own_clock =
        Regex::new(r"use tokio::(?:time::\{?[^;]*\bInstant|\{[^;]*\btime::\{?[^;]*\bInstant)").unwrap();
    let mut found = Vec::new();
    for file in files(&[".rs"]) {
        // tokio's own clock stands still in tests that pause it, so it is a port as well.
        let has_own_clock = own_clock.is_match(&file.text);
        for (number, line) in file.text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let of_tokio =
                has_own_clock && line.contains("Instant::now(") || line.contains("tokio::time::Instant");
            if calls.is_match(line) && !is_comment && !of_tokio && !CLOCKS.contains(&file.path.as_str()) {
                found.push(format!(
                    "{}:{}: take the time from a Clock",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn no_file_is_beyond_reading_in_one_sitting() {
    // House style asks at 400 lines; this only catches what nobody looked at.
    const LINES_MAX: usize = 1_100;
    let long = |file: &SourceFile| {
        let lines = file.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{} has {lines} lines", file.path))
    };
    assert_none(&files(&[".rs", ".py"]).iter().filter_map(long).collect::<Vec<_>>());
}
