// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the table says about one option.

use crate::value::SizeUnit;

/// One option of the command line.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// The name without dashes, lower case. A name ending in `*` stands for every name with that beginning.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub group: Group,
    pub kind: Kind,
    /// The value used when the option is absent, in the option's own format; empty for none.
    pub default: &'static str,
    /// One or two sentences for people.
    pub help: &'static str,
    pub handling: Handling,
    /// Values that are accepted with a warning although the option itself is honoured: `(value, reason)`.
    pub value_warnings: &'static [(&'static str, &'static str)],
    /// Whether the option is an addition of ours that users of Duplicati do not know.
    pub own: bool,
}

/// The heading under which help lists an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    CommandLine,
    Storage,
    LocalState,
    Source,
    Transfer,
    Maintenance,
    Restore,
    Performance,
    Identity,
    Logging,
    RunScript,
    Reports,
    Backend,
}

impl Group {
    /// All groups in the order of help.
    pub const ALL: [Self; 13] = [
        Self::CommandLine,
        Self::Storage,
        Self::LocalState,
        Self::Source,
        Self::Transfer,
        Self::Maintenance,
        Self::Restore,
        Self::Performance,
        Self::Identity,
        Self::Logging,
        Self::RunScript,
        Self::Reports,
        Self::Backend,
    ];

    /// The heading in help.
    pub const fn title(self) -> &'static str {
        match self {
            Self::CommandLine => "Command line",
            Self::Storage => "Storage layout, compression and encryption",
            Self::LocalState => "Local state",
            Self::Source => "Sources and change detection",
            Self::Transfer => "Transfer",
            Self::Maintenance => "Verification, retention and maintenance",
            Self::Restore => "Restore and listing",
            Self::Performance => "Performance and environment",
            Self::Identity => "Names, modules and secrets",
            Self::Logging => "Logging",
            Self::RunScript => "Scripts around an operation",
            Self::Reports => "Reports",
            Self::Backend => "Destinations",
        }
    }
}

/// The form of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    /// A whole number within bounds, both included.
    Integer {
        min: i64,
        max: i64,
    },
    Decimal,
    /// A size; a bare number counts the given unit.
    Size(SizeUnit),
    Timespan,
    TimePoint,
    Versions,
    Path,
    /// Paths separated by `:`.
    PathList,
    /// One of the names, in any case; an empty value means the first of `empty_means`, if any.
    Enum {
        values: &'static [&'static str],
        empty_means: Option<&'static str>,
    },
    Text,
    Secret,
    /// Texts separated by the character.
    List(char),
    /// Names out of a fixed set, separated by commas.
    Flags(&'static [&'static str]),
}

impl Kind {
    /// The name of the kind in help.
    pub fn title(self) -> String {
        match self {
            Self::Boolean => "yes or no".to_owned(),
            Self::Integer {
                min: i64::MIN,
                max: i64::MAX,
            } => "whole number".to_owned(),
            Self::Integer { min, max: i64::MAX } => format!("whole number, at least {min}"),
            Self::Integer { min, max } => format!("whole number from {min} to {max}"),
            Self::Decimal => "number".to_owned(),
            Self::Size(unit) => format!("size (a bare number counts {})", unit.suffix()),
            Self::Timespan => "time span".to_owned(),
            Self::TimePoint => "point in time".to_owned(),
            Self::Versions => "version numbers".to_owned(),
            Self::Path => "path".to_owned(),
            Self::PathList => "paths separated by ':'".to_owned(),
            Self::Enum { values, .. } => format!("one of {}", values.join(", ")),
            Self::Text => "text".to_owned(),
            Self::Secret => "secret text".to_owned(),
            Self::List(separator) => format!("list separated by '{separator}'"),
            Self::Flags(values) => format!("any of {}, separated by commas", values.join(", ")),
        }
    }
}

/// What this program does with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Means what it means in Duplicati.
    Kept,
    /// Honoured, in terms of this engine; the text says which.
    Mapped(&'static str),
    /// Accepted so that existing scripts run, without effect; the text says why.
    AcceptedWithWarning(&'static str),
    /// Not accepted, because ignoring it would do harm; the text says why and what to do.
    Refused(&'static str),
    /// Still accepted, with a warning; the text says what took its place.
    Deprecated(&'static str),
}

/// Why options for other operating systems are accepted and ignored.
pub(super) const NO_MEANING_ON_LINUX: &str = "it has no meaning on Linux";

pub(super) const ANY_INTEGER: Kind = Kind::Integer {
    min: i64::MIN,
    max: i64::MAX,
};
pub(super) const COUNT: Kind = Kind::Integer {
    min: 0,
    max: i64::MAX,
};

/// The log levels, from most to least detailed.
pub const LOG_LEVELS: &[&str] = &[
    "ExplicitOnly",
    "Profiling",
    "Verbose",
    "Retry",
    "Information",
    "DryRun",
    "Warning",
    "Error",
];

pub(super) const LOG_LEVEL: Kind = one_of(LOG_LEVELS);

pub(super) const fn one_of(values: &'static [&'static str]) -> Kind {
    Kind::Enum {
        values,
        empty_means: None,
    }
}

impl OptionSpec {
    pub(super) const fn new(
        group: Group,
        name: &'static str,
        kind: Kind,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            group,
            kind,
            default,
            help,
            handling: Handling::Kept,
            value_warnings: &[],
            own: false,
        }
    }

    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn mapped(mut self, what: &'static str) -> Self {
        self.handling = Handling::Mapped(what);
        self
    }

    pub(super) const fn ignored(mut self, reason: &'static str) -> Self {
        self.handling = Handling::AcceptedWithWarning(reason);
        self
    }

    pub(super) const fn not_on_linux(self) -> Self {
        self.ignored(NO_MEANING_ON_LINUX)
    }

    pub(super) const fn refused(mut self, reason: &'static str) -> Self {
        self.handling = Handling::Refused(reason);
        self
    }

    pub(super) const fn deprecated(mut self, reason: &'static str) -> Self {
        self.handling = Handling::Deprecated(reason);
        self
    }

    pub(super) const fn value_warnings(mut self, warnings: &'static [(&'static str, &'static str)]) -> Self {
        self.value_warnings = warnings;
        self
    }

    pub(super) const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// The fixed beginning of a name that stands for many, such as `s3-ext-`.
    pub fn prefix(&self) -> Option<&'static str> {
        self.name.strip_suffix('*')
    }
}
