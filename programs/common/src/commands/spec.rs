// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the table says about one command.

use crate::error_id::{UserError, ids};
use crate::options::Options;

/// The heading under which help lists a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandGroup {
    General,
    Commands,
    Searching,
    Repair,
    Locking,
    Debug,
}

impl CommandGroup {
    pub const ALL: [Self; 6] = [
        Self::General,
        Self::Commands,
        Self::Searching,
        Self::Repair,
        Self::Locking,
        Self::Debug,
    ];

    pub const fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::Commands => "Commands",
            Self::Searching => "Searching",
            Self::Repair => "Repair",
            Self::Locking => "Locking",
            Self::Debug => "Debug",
        }
    }
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub group: CommandGroup,
    /// The arguments as help shows them.
    pub arguments: &'static str,
    pub summary: &'static str,
    /// The options that help shows with the command.
    pub options: &'static [&'static str],
    /// The least and the most arguments after the command, the destination included; no most is no limit.
    pub arguments_min: usize,
    pub arguments_max: Option<usize>,
    /// Whether the first argument is a destination.
    pub takes_destination: bool,
    /// Whether the remaining arguments are sources.
    pub takes_sources: bool,
    /// Whether the command changes neither destination nor local database.
    pub read_only: bool,
    /// Options of which at least one must be given.
    pub needs_one_of: &'static [&'static str],
    pub own: bool,
}

pub(super) const fn command(
    group: CommandGroup,
    name: &'static str,
    arguments: &'static str,
    (arguments_min, arguments_max): (usize, Option<usize>),
    summary: &'static str,
) -> CommandSpec {
    CommandSpec {
        name,
        aliases: &[],
        group,
        arguments,
        summary,
        options: &[],
        arguments_min,
        arguments_max,
        takes_destination: arguments.len() >= 3 && matches!(arguments.as_bytes(), [b'U', b'R', b'L', ..]),
        takes_sources: false,
        read_only: false,
        needs_one_of: &[],
        own: false,
    }
}

impl CommandSpec {
    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    pub(super) const fn sources(mut self) -> Self {
        self.takes_sources = true;
        self
    }

    pub(super) const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    pub(super) const fn needs_one_of(mut self, options: &'static [&'static str]) -> Self {
        self.needs_one_of = options;
        self
    }

    pub(super) const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Checks that one of the options that the command cannot do without was given.
    pub fn check_needed_options(&self, options: &Options) -> Result<(), UserError> {
        if self.needs_one_of.is_empty() || self.needs_one_of.iter().any(|name| options.is_given(name)) {
            return Ok(());
        }
        let names: Vec<_> = self.needs_one_of.iter().map(|name| format!("--{name}")).collect();
        Err(UserError::invalid_command_line(
            ids::WRONG_ARGUMENTS,
            format!("the command {} needs one of {}", self.name, names.join(", ")),
        ))
    }

    /// How the command is called.
    pub fn usage(&self) -> String {
        format!("duplicati-cli {} {}", self.name, self.arguments)
            .trim_end()
            .to_owned()
    }
}
