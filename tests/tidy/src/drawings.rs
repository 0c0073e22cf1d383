// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The drawings of the pipelines show the capacities and workers that the constants in each `wiring.rs` give.
//!
//! A drawing is the code block under a heading of `actors/README.md`. In it `──8──▶ chunker(` and `chunker(…) ◀──8──` are
//! eight messages before the chunker, `fetcher(2)` has two workers and `fetcher(≤6)` at most six.

use std::collections::BTreeMap;

use regex::Regex;

use crate::tree::{assert_none, read};

const PIPELINES: [(&str, &str); 3] = [
    ("Backup", "actors/src/backup/wiring.rs"),
    ("Restore", "actors/src/restore/wiring.rs"),
    ("Compact", "actors/src/compact/wiring.rs"),
];

/// Numbers by the name of what they bound; several arrows may lead to one stage.
type Numbers = BTreeMap<String, Vec<u64>>;

fn drawing(heading: &str) -> String {
    let page = read("actors/README.md");
    let section = page
        .split(&format!("\n## {heading}\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("actors/README.md has no section {heading}"));
    let block = section.split("```").nth(1).unwrap();
    block.strip_prefix("text\n").unwrap().to_owned()
}

/// `CHUNKER_CAPACITY_ITEMS` bounds `chunker`.
fn stage_name(constant: &str) -> String {
    constant.to_lowercase().replace('_', "-")
}

/// Constants whose names fit the pattern, by the stage in the name.
fn constants(wiring: &str, pattern: &str) -> Numbers {
    let pattern = Regex::new(&format!("pub const {pattern}: (?:usize|u64) = ([0-9_]+);")).unwrap();
    let mut numbers = Numbers::new();
    for found in pattern.captures_iter(wiring) {
        let number = found[2].replace('_', "").parse().unwrap();
        numbers.entry(stage_name(&found[1])).or_default().push(number);
    }
    numbers
}

fn drawn(drawing: &str, patterns: &[&str]) -> Numbers {
    let mut numbers = Numbers::new();
    for pattern in patterns {
        for found in Regex::new(pattern).unwrap().captures_iter(drawing) {
            let number = found["number"].parse().unwrap();
            numbers.entry(found["stage"].to_owned()).or_default().push(number);
        }
    }
    numbers
}

fn compare(what: &str, heading: &str, drawn: &Numbers, constants: &Numbers) -> Vec<String> {
    let mut complaints = Vec::new();
    for (stage, numbers) in constants {
        let Some(seen) = drawn.get(stage) else {
            complaints.push(format!(
                "{heading}: the {what} of {stage}, {numbers:?}, is not drawn"
            ));
            continue;
        };
        if seen.iter().any(|number| !numbers.contains(number)) {
            complaints.push(format!(
                "{heading}: the {what} of {stage} is {numbers:?}, drawn {seen:?}"
            ));
        }
    }
    for stage in drawn.keys().filter(|stage| !constants.contains_key(*stage)) {
        complaints.push(format!("{heading}: the drawn {what} of {stage} has no constant"));
    }
    complaints
}

#[test]
fn drawn_capacities_are_those_of_the_wiring() {
    let mut found = Vec::new();
    for (heading, path) in PIPELINES {
        let seen = drawn(
            &drawing(heading),
            &[
                r"─(?<number>[0-9]+)─+▶ (?<stage>[a-z-]+)\(",
                r"(?<stage>[a-z-]+)\([^)]*\) ◀─+(?<number>[0-9]+)─",
            ],
        );
        let constants = constants(&read(path), "([A-Z_]+?)_(?:CAPACITY|QUEUE)_ITEMS");
        assert!(constants.len() >= 3, "{path}: {constants:?}");
        found.extend(compare("queue", heading, &seen, &constants));
    }
    assert_none(&found);
}

#[test]
fn drawn_workers_are_those_of_the_wiring() {
    let mut found = Vec::new();
    for (heading, path) in PIPELINES {
        let (drawing, wiring) = (drawing(heading), read(path));
        for (pattern, constant) in [
            (r"(?<stage>[a-z-]+)\((?<number>[2-9][0-9]*)\)", "([A-Z]+)S"),
            (
                r"(?<stage>[a-z-]+)\((?:T, )?≤(?<number>[0-9]+)\)",
                "([A-Z]+)S_MAX",
            ),
        ] {
            let stages = drawn(&drawing, &[pattern]);
            let mut constants = constants(&wiring, constant);
            // Other constants end the same way; what counts is what names a stage of the drawing.
            constants.retain(|stage, _| drawing.contains(&format!("{stage}(")));
            found.extend(compare("number of workers", heading, &stages, &constants));
        }
    }
    assert_none(&found);
}

#[test]
fn the_window_and_the_budget_of_a_backup_are_drawn() {
    let (drawing, wiring) = (drawing("Backup"), read("actors/src/backup/wiring.rs"));
    let number = |name: &str| {
        let pattern = Regex::new(&format!("pub const {name}: u64 = ([0-9]+)(?: << 20)?;")).unwrap();
        pattern
            .captures(&wiring)
            .unwrap_or_else(|| panic!("{name} is not in the wiring"))[1]
            .to_owned()
    };
    let window = format!("window: {} batches", number("WINDOW_BATCHES"));
    let budget = format!(
        "byte budget: {} packs + {} MiB",
        number("BUDGET_PACKS"),
        number("BUDGET_FRAMES_BYTES")
    );
    for text in [window, budget] {
        assert!(
            drawing.contains(&text),
            "the drawing of the backup lacks {text:?}"
        );
    }
}
