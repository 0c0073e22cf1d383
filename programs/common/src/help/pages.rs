// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The pages `docs/user/options.md` and `docs/user/commands.md`, made from the tables. A test keeps them up to date.

use std::fmt::Write;

use crate::commands::{COMMANDS, CommandGroup, CommandSpec};
use crate::options::{Group, Handling, Kind, OptionSpec, table};

/// All options with what becomes of each.
pub fn options() -> String {
    let mut text = String::from(
        "# Options\n\n\
         Every option that is accepted, and what becomes of it. *Works* means what it means in Duplicati, or what the text says for options of \
         our own. *Works as* is the same in the terms of this program. *No effect* is accepted with one warning that gives the reason, so that \
         command lines of Duplicati go on working. Any other option is an error.\n\n\
         This page is made from the table that the programs read; `duplicati-cli help <option>` says more about each.\n",
    );
    for group in Group::ALL {
        let specs: Vec<_> = table::all().filter(|spec| spec.group == group).collect();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n| Option | Value | Default | What becomes of it | Meaning |\n| --- | --- | --- | --- | --- |\n",
            group.title()
        );
        for spec in specs {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                names(spec),
                cell(&value(spec)),
                code(spec.default),
                cell(&handling(spec)),
                cell(spec.help)
            );
        }
    }
    text
}

/// All commands.
pub fn commands() -> String {
    let mut text = String::from(
        "# Commands\n\n\
         Every command of `duplicati-cli`, in the order of its help; `duplicati-cli help <command>` lists the options that matter to it. This page \
         is made from the table that the program reads.\n",
    );
    for group in CommandGroup::ALL {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n| Command | Also | What it does |\n| --- | --- | --- |\n",
            group.title()
        );
        for command in COMMANDS.iter().filter(|command| command.group == group) {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                code(&usage(command)),
                command
                    .aliases
                    .iter()
                    .map(|name| code(name))
                    .collect::<Vec<_>>()
                    .join(", "),
                cell(command.summary)
            );
        }
    }
    text
}

fn usage(command: &CommandSpec) -> String {
    format!("{} {}", command.name, command.arguments)
        .trim_end()
        .to_owned()
}

fn names(spec: &OptionSpec) -> String {
    let mut names = code(&format!("--{}", spec.name));
    for alias in spec.aliases {
        let _ = write!(names, ", {}", code(&format!("--{alias}")));
    }
    names
}

fn value(spec: &OptionSpec) -> String {
    match spec.kind {
        // Sixteen names of Windows attributes would be wider than the page.
        Kind::Flags(values) if values.len() > 6 => {
            format!("any of {}, …, separated by commas", values[..3].join(", "))
        }
        kind => kind.title(),
    }
}

fn handling(spec: &OptionSpec) -> String {
    let mut text = match spec.handling {
        Handling::Kept if spec.own => "works (our own)".to_owned(),
        Handling::Kept => "works".to_owned(),
        Handling::Mapped(what) => format!("works as: {what}"),
        Handling::AcceptedWithWarning(reason) => format!("no effect: {reason}"),
        Handling::Refused(reason) => format!("refused: {reason}"),
        Handling::Deprecated(reason) => format!("deprecated: {reason}"),
    };
    let mut reasons: Vec<&str> = spec.value_warnings.iter().map(|(_, reason)| *reason).collect();
    reasons.dedup();
    for reason in reasons {
        let values: Vec<&str> = spec
            .value_warnings
            .iter()
            .filter(|(_, known)| *known == reason)
            .map(|(value, _)| *value)
            .collect();
        let values = if values.len() > 4 {
            "the other values have".to_owned()
        } else {
            format!("{} has", values.join(", "))
        };
        let _ = write!(text, "; {values} no effect: {reason}");
    }
    text
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{}`", cell(text))
    }
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the pages anew when this variable is set.
    const UPDATE: &str = "UPDATE_PAGES";

    fn check(name: &str, text: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs/user")
            .join(name);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, text).expect("the page is writable");
        }
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            present == text,
            "docs/user/{name} is not what the table says; run the test again with {UPDATE}=1"
        );
    }

    #[test]
    fn the_page_of_options_is_what_the_table_says() {
        check("options.md", &options());
    }

    #[test]
    fn the_page_of_commands_is_what_the_table_says() {
        check("commands.md", &commands());
    }
}
