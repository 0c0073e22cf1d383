// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table tells the truth: an option that is said to work is read somewhere.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::Path;

use super::super::spec::Handling;

/// Where programs read options.
const PLACES: [&str; 3] = ["programs", "backends/src", "api"];

/// Files that only name options: what a page shows, or which name a form of others has.
const ONLY_NAMED: [&str; 3] = ["system_info.rs", "dbconfig.rs", "server-util/src/arguments.rs"];

/// Options whose names are put together from parts: a place or sender, and one of these endings.
const PARTS: [(&[&str], &[&str]); 2] = [
    (
        &["console", "log-file"],
        &["log-level", "log-filter", "log-ignore"],
    ),
    (
        &["send-mail", "send-http", "send-telegram", "run-script"],
        &[
            "level",
            "any-operation",
            "log-level",
            "log-filter",
            "max-log-lines",
            "result-output-format",
            "extra-parameters",
        ],
    ),
];

/// Options that work without being read.
const BY_NATURE: [(&str, &str); 5] = [
    ("full-remote-verification", "tests are always full"),
    ("compression-module", "every value means the same"),
    ("enable-module", "every module is on"),
    ("debug-retry-errors", "the level of log lines decides"),
    ("send-http-ignore-revocation-failure", "it never stops a report"),
];

/// Options that only a server or another program reads.
const ELSEWHERE: [&str; 2] = ["store-task-config", "disable-on-battery"];

fn sources(folder: &Path, text: &mut String) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let shown = path.to_string_lossy().into_owned();
        let is_only_named = ONLY_NAMED.iter().any(|file| shown.ends_with(file));
        let is_declaration = is_only_named
            || ["/options/table/", "commands/table.rs", "/help/", "/tests"]
                .iter()
                .any(|part| shown.contains(part));
        if path.is_dir() {
            sources(&path, text);
        } else if shown.ends_with(".rs") && !is_declaration {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn is_put_together(name: &str) -> bool {
    PARTS.iter().any(|(places, endings)| {
        places
            .iter()
            .any(|place| endings.iter().any(|ending| name == format!("{place}-{ending}")))
    })
}

#[test]
fn every_option_that_is_said_to_work_is_read_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut text = String::new();
    for place in PLACES {
        sources(&root.join(place), &mut text);
    }
    let unread: Vec<&str> = super::all()
        .filter(|spec| matches!(spec.handling, Handling::Kept | Handling::Mapped(_)))
        .map(|spec| spec.name)
        .filter(|name| !is_put_together(name))
        .filter(|name| !BY_NATURE.iter().any(|(known, _)| known == name))
        .filter(|name| !ELSEWHERE.contains(name))
        .filter(|name| !text.contains(&format!("\"{}\"", name.trim_end_matches('*'))))
        .collect();
    assert_eq!(unread, Vec::<&str>::new());
}
