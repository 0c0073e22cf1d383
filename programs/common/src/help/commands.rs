// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Help on commands, and the overview.

use std::fmt::Write;

use super::options::{summary_line, wrap};
use super::topics;
use crate::commands::{COMMANDS, CommandGroup, CommandSpec};
use crate::options::table;

pub(super) fn overview(version: &str) -> String {
    let mut text =
        String::from("Usage: duplicati-cli <command> <storage-URL> [arguments…] [--option=value …]\n");
    for group in CommandGroup::ALL {
        let names: Vec<_> = COMMANDS
            .iter()
            .filter(|command| command.group == group)
            .map(|command| command.name)
            .collect();
        section(&mut text, group.title(), &names);
    }
    section(&mut text, "Targets", topics::DESTINATIONS);
    section(
        &mut text,
        "Modules",
        &[
            "runscript",
            "reports",
            "mail",
            "sendhttp",
            "sendtelegram",
            "console-password-input",
            "logging",
        ],
    );
    section(
        &mut text,
        "Formats",
        &[
            "date",
            "size",
            "decimal",
            "filter",
            "filter-group",
            "encryption",
            "compression",
        ],
    );
    section(&mut text, "Advanced", &["options", "returncodes"]);
    section(&mut text, "Secrets", &["secret", "secret-provider", "password"]);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n'duplicati-cli help <word>' explains any of these words, and any option.\nVersion {version}\n"
    );
    text
}

fn section(text: &mut String, title: &str, words: &[&str]) {
    let _ = write!(text, "\n{title}:\n{}", wrap(&words.join(", "), 2));
}

pub(super) fn describe(command: &CommandSpec) -> String {
    let mut text = format!("{}\n\n{}", command.usage(), wrap(command.summary, 0));
    if !command.aliases.is_empty() {
        let _ = writeln!(text, "\nAlso: {}", command.aliases.join(", "));
    }
    if !command.needs_one_of.is_empty() {
        let options: Vec<_> = command
            .needs_one_of
            .iter()
            .map(|name| format!("--{name}"))
            .collect();
        let _ = writeln!(text, "\nNeeds one of: {}", options.join(", "));
    }
    if !command.options.is_empty() {
        text.push_str("\nOptions that matter here ('help options' lists all):\n");
        for spec in command.options.iter().filter_map(|name| table::find(name)) {
            text.push_str(&summary_line(spec));
        }
    }
    text
}
