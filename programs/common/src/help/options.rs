// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Help on options, taken from the table.

use std::fmt::Write;

use crate::options::{Group, Handling, OptionSpec, table};

/// The width that help is set in.
const WIDTH: usize = 100;

pub(super) fn find(name: &str) -> Option<String> {
    table::find(name).map(describe)
}

/// All options by group.
pub(super) fn list() -> String {
    let mut text = String::from("All options. A name given alone switches a yes-or-no option on.\n");
    for group in Group::ALL {
        let _ = write!(text, "\n{}:\n", group.title());
        for spec in table::all().filter(|spec| spec.group == group) {
            text.push_str(&summary_line(spec));
        }
    }
    text
}

/// Name and text of one option, for lists.
pub(super) fn summary_line(spec: &OptionSpec) -> String {
    format!("  --{}\n{}", spec.name, wrap(spec.help, 6))
}

fn describe(spec: &OptionSpec) -> String {
    let mut text = format!("--{}\n\n{}\n", spec.name, wrap(spec.help, 2));
    let mut line = |title: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {title:<9}{value}");
    };
    line("Value:", &spec.kind.title());
    if !spec.default.is_empty() {
        line("Default:", spec.default);
    }
    if !spec.aliases.is_empty() {
        line(
            "Also:",
            &spec
                .aliases
                .iter()
                .map(|alias| format!("--{alias}"))
                .collect::<Vec<_>>()
                .join(", "),
        );
    }
    match spec.handling {
        Handling::Kept => {}
        Handling::Mapped(what) => line("Here:", what),
        Handling::AcceptedWithWarning(reason) => line("Note:", &format!("has no effect: {reason}")),
        Handling::Refused(reason) => line("Note:", &format!("is not supported: {reason}")),
        Handling::Deprecated(reason) => line("Note:", &format!("is deprecated: {reason}")),
    }
    if spec.own {
        line("Note:", "is an addition that Duplicati does not have");
    }
    text
}

/// Breaks text into lines of the help's width, indented.
pub(super) fn wrap(text: &str, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut line = " ".repeat(indent);
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() > WIDTH && line.trim() != "" {
            wrapped.push_str(line.trim_end());
            wrapped.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    wrapped.push_str(line.trim_end());
    wrapped.push('\n');
    wrapped
}
