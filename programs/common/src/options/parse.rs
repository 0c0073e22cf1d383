// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads a command line into [`Options`].
//!
//! An argument that begins with `--` is an option wherever it stands. Its name is not case-sensitive, only
//! `=` separates a value, one pair of double quotes around the value is removed, and the last occurrence
//! wins. Includes and excludes are kept in their order instead.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use jiff::Zoned;

use super::options_value::{FilterRule, Options, Value};
use super::parameters_file::{ParametersFile, read_parameters_file};
use super::spec::{Handling, Kind, OptionSpec};
use super::suggestion::closest;
use super::table;
use crate::commands;
use crate::environment::Environment;
use crate::error_id::{UserError, ids};
use crate::secrets::Secrets;

/// Environment variables that stand in for absent options.
const ENVIRONMENT_DEFAULTS: [(&str, &str); 3] = [
    ("PASSPHRASE", "passphrase"),
    ("AUTH_USERNAME", "auth-username"),
    ("AUTH_PASSWORD", "auth-password"),
];

/// Longest part of an unknown option name that an error repeats.
const SHOWN_NAME_CHARACTERS_MAX: usize = 64;

/// What parsing needs to know besides the arguments.
pub struct ParseContext<'a> {
    pub environment: &'a Environment,
    /// Reference and zone of times given as offset or as local time.
    pub now: &'a Zoned,
}

/// Arguments taken apart, before any value is looked at.
#[derive(Default)]
pub(super) struct RawArguments {
    /// Canonical names; `None` is an option without `=`.
    pub(super) values: BTreeMap<String, Option<OsString>>,
    pub(super) filters: Vec<FilterRule>,
    pub(super) positional: Vec<OsString>,
}

impl Options {
    /// Reads the arguments of a program, without the program's own name.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        context: &ParseContext<'_>,
    ) -> Result<Self, UserError> {
        let mut raw = RawArguments::default();
        for argument in arguments {
            raw.add(argument)?;
        }
        if let Some(path) = raw.values.remove("parameters-file") {
            let file = read_parameters_file(&path.unwrap_or_default(), &context.environment.current_folder)?;
            raw.merge(file)?;
        }
        for (variable, option) in ENVIRONMENT_DEFAULTS {
            if let Some(value) = context.environment.variable(variable)
                && !raw.values.contains_key(option)
            {
                raw.values.insert(option.to_owned(), Some(value.to_owned()));
            }
        }
        let secrets = Secrets::open(&raw.values, context)?.map(Arc::new);
        let from_secrets = match &secrets {
            Some(secrets) => secrets.replace_values(&mut raw.values)?,
            None => BTreeSet::new(),
        };
        let mut options = Options::empty(context.now);
        options.secrets = secrets;
        options.from_secrets = from_secrets;
        options.filters = raw.filters;
        options.positional = raw.positional;
        for (name, value) in &raw.values {
            options.set(name, value.as_deref(), context.now)?;
        }
        options.map_deprecated_log_levels();
        Ok(options)
    }

    /// Sets one option after the fact, as a script that runs before the operation may.
    pub fn set(&mut self, name: &str, value: Option<&OsStr>, now: &Zoned) -> Result<(), UserError> {
        let (spec, name) = resolve(name)?;
        if let Handling::Refused(reason) = spec.handling {
            return Err(UserError::invalid_command_line(
                ids::OPTION_NOT_SUPPORTED,
                format!("the option --{name} is not supported: {reason}"),
            ));
        }
        let text = value;
        let value = Value::read(spec, text, now).map_err(|error| invalid_value(spec, &name, &error))?;
        self.add_warnings(spec, &name, &value);
        self.texts.0.insert(
            name.clone(),
            text.map_or_else(|| OsString::from("true"), OsStr::to_owned),
        );
        self.given.insert(name, value);
        Ok(())
    }

    fn add_warnings(&mut self, spec: &OptionSpec, name: &str, value: &Value) {
        let warning = match spec.handling {
            Handling::AcceptedWithWarning(reason) => {
                Some(format!("the option --{name} has no effect: {reason}"))
            }
            Handling::Deprecated(reason) => Some(format!("the option --{name} is deprecated: {reason}")),
            Handling::Kept | Handling::Mapped(_) | Handling::Refused(_) => None,
        };
        let of_values = spec
            .value_warnings
            .iter()
            .filter(|(warned, _)| value.names().iter().any(|name| name.eq_ignore_ascii_case(warned)))
            .map(|(warned, reason)| {
                format!("the value {warned} of the option --{name} has no effect: {reason}")
            });
        for warning in warning.into_iter().chain(of_values) {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    fn map_deprecated_log_levels(&mut self) {
        if let Some(level) = self.given.get("log-level").cloned() {
            for name in ["log-file-log-level", "console-log-level"] {
                self.given.entry(name.to_owned()).or_insert_with(|| level.clone());
            }
        }
        if self.bool("verbose") {
            self.given
                .entry("console-log-level".to_owned())
                .or_insert_with(|| Value::Text("Verbose".to_owned()));
        }
    }
}

impl RawArguments {
    pub(super) fn add(&mut self, argument: OsString) -> Result<(), UserError> {
        let Some((name, value)) = split_option(&argument)? else {
            self.positional.push(argument);
            return Ok(());
        };
        match name.as_str() {
            "include" | "exclude" => {
                self.filters.push(FilterRule {
                    include: name == "include",
                    expression: filter_text(&name, value)?,
                });
            }
            _ => {
                let (_, name) = resolve(&name)?;
                self.values.insert(name, value);
            }
        }
        Ok(())
    }

    /// Lays a parameters file over the command line.
    fn merge(&mut self, file: ParametersFile) -> Result<(), UserError> {
        if !self.filters.is_empty() && !file.arguments.filters.is_empty() {
            return Err(UserError::invalid_command_line(
                ids::FILTERS_IN_FILE_AND_COMMAND_LINE,
                "includes and excludes are both on the command line and in the parameters file, so that their \
                 order is unknown; put all of them in one place, or use --append-filter or --prepend-filter in \
                 the file",
            ));
        }
        self.values.extend(file.arguments.values);
        self.filters.extend(file.arguments.filters);
        if let Some(replacement) = file.replace_filter {
            self.filters = replacement;
        }
        self.filters.splice(0..0, file.prepend_filter);
        self.filters.extend(file.append_filter);

        let command = self
            .positional
            .first()
            .and_then(|word| word.to_str())
            .and_then(commands::find);
        if let Some(target) = file.target
            && command.is_some_and(|command| command.takes_destination)
        {
            match self.positional.get_mut(1) {
                Some(destination) => *destination = target,
                None => self.positional.push(target),
            }
        }
        if command.is_some_and(|command| command.takes_sources) {
            self.positional.extend(file.sources);
        }
        Ok(())
    }
}

/// Takes `--name=value` apart; `None` for an argument that is not an option.
pub(crate) fn split_option(argument: &OsStr) -> Result<Option<(String, Option<OsString>)>, UserError> {
    let Some(rest) = argument.as_bytes().strip_prefix(b"--") else {
        return Ok(None);
    };
    let separator = rest.iter().position(|byte| *byte == b'=');
    let (name, value) = match separator {
        Some(position) => (&rest[..position], Some(unquote(&rest[position + 1..]))),
        None => (rest, None),
    };
    let name = std::str::from_utf8(name).map_err(|_| unknown_option(&String::from_utf8_lossy(name)))?;
    Ok(Some((name.trim().to_lowercase(), value)))
}

fn unquote(value: &[u8]) -> OsString {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value);
    OsString::from_vec(inner.to_vec())
}

pub(super) fn filter_text(name: &str, value: Option<OsString>) -> Result<String, UserError> {
    value
        .and_then(|value| value.into_string().ok())
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                format!(
                    "the option --{name} needs an expression in UTF-8; a '?' matches any single character"
                ),
            )
        })
}

/// Finds an option by name or alias and gives the name under which its value is kept.
fn resolve(name: &str) -> Result<(&'static OptionSpec, String), UserError> {
    let spec = table::find(name).ok_or_else(|| unknown_option(name))?;
    let canonical = if spec.prefix().is_some() { name } else { spec.name };
    Ok((spec, canonical.to_owned()))
}

fn unknown_option(name: &str) -> UserError {
    // Only what can be part of a name is repeated: after a wrong separator the rest may be a password.
    let shown: String = name
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(SHOWN_NAME_CHARACTERS_MAX)
        .collect();
    let known = table::all().flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()));
    let advice = match closest(&shown, known) {
        Some(candidate) if candidate == shown => format!("a value is separated by '=': --{candidate}=…"),
        Some(candidate) => format!("did you mean --{candidate}?"),
        None => "the command 'help options' lists all options".to_owned(),
    };
    UserError::invalid_command_line(ids::UNKNOWN_OPTION, format!("unknown option --{shown}; {advice}"))
}

fn invalid_value(spec: &OptionSpec, name: &str, error: &crate::value::ValueError) -> UserError {
    let message = match spec.kind {
        Kind::Secret => format!("the value of the option --{name} is not {}", error.accepted),
        _ => format!(
            "the value {:?} of the option --{name} is not {}",
            error.shown, error.accepted
        ),
    };
    UserError::invalid_command_line(ids::INVALID_OPTION_VALUE, message)
}
