// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists in the documentation hold exactly what the code has: metrics, error ids.

use std::collections::BTreeSet;

use regex::Regex;

use crate::tree::{assert_none, files, read};

/// What is on one side only, as complaints.
fn differences(code: &BTreeSet<String>, page: &BTreeSet<String>, path: &str) -> Vec<String> {
    let missing = code
        .difference(page)
        .map(|name| format!("{name} is not in {path}"));
    let stale = page
        .difference(code)
        .map(|name| format!("{path} names {name}, which the code does not have"));
    missing.chain(stale).collect()
}

fn captures(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn metrics_are_documented_and_documented_metrics_exist() {
    let mut code = BTreeSet::new();
    for file in files(&[".rs"]) {
        if file.path.starts_with("tests/") {
            continue;
        }
        // A metric's name has an area and a unit behind ours; crates and log targets have not.
        code.extend(captures("\"(duplicati_[a-z]+_[a-z_]+)\"", &file.text));
    }
    assert!(code.contains("duplicati_pipeline_items_total"), "{code:?}");
    let page = captures("(?m)^\\| `(duplicati_[a-z_]+)`", &read("docs/metrics.md"));
    assert_none(&differences(&code, &page, "docs/metrics.md"));
}

#[test]
fn error_ids_are_documented_and_documented_ids_exist() {
    let code = captures(
        "(?m)^    [A-Z0-9_]+ = \"([A-Za-z]+)\",",
        &read("programs/common/src/error_id.rs"),
    );
    assert!(code.len() > 50, "{code:?}");
    let page = captures("(?m)^\\| `([A-Za-z]+)`", &read("docs/errors.md"));
    assert_none(&differences(&code, &page, "docs/errors.md"));
}

#[test]
fn exit_codes_are_documented_as_the_programs_have_them() {
    let code = captures(
        "(?m)^    [A-Za-z]+ = ([0-9]+),",
        &read("programs/common/src/exit_code.rs"),
    );
    let page = captures("(?m)^\\| ([0-9]+) \\|", &read("docs/errors.md"));
    assert_none(&differences(&code, &page, "docs/errors.md"));
}
