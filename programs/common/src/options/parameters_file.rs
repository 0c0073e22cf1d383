// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files with options, one `--option=value` per line, as given with `--parameters-file`.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use duplicati_engine::source::filter::{RuleKind, parse_serialized};

use super::options_value::FilterRule;
use super::parse::{RawArguments, filter_text, split_option};
use crate::error_id::{UserError, ids};

/// A file beyond this is not a file of options, and is not read into memory.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The content of a parameters file.
#[derive(Default)]
pub(super) struct ParametersFile {
    pub(super) arguments: RawArguments,
    pub(super) sources: Vec<OsString>,
    pub(super) target: Option<OsString>,
    pub(super) append_filter: Vec<FilterRule>,
    pub(super) prepend_filter: Vec<FilterRule>,
    pub(super) replace_filter: Option<Vec<FilterRule>>,
}

pub(super) fn read_parameters_file(path: &OsStr, current_folder: &Path) -> Result<ParametersFile, UserError> {
    let path = current_folder.join(path);
    let unreadable = |reason: &dyn std::fmt::Display| {
        UserError::failed(
            ids::PARAMETERS_FILE_UNREADABLE,
            format!("failed to read the parameters file {}: {reason}", path.display()),
        )
    };
    let mut content = Vec::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content))
        .map_err(|error| unreadable(&error))?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&"it is larger than 16 mb"));
    }
    let text = String::from_utf8(content).map_err(|_| unreadable(&"it is not UTF-8"))?;
    parse_lines(text.trim_start_matches('\u{feff}'), &path)
}

fn parse_lines(text: &str, path: &Path) -> Result<ParametersFile, UserError> {
    let mut file = ParametersFile::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = split_option(OsStr::new(line))? else {
            // The line is not repeated: it may hold a secret.
            return Err(UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                format!(
                    "line {} of {} is not of the form --option=value",
                    index + 1,
                    path.display()
                ),
            ));
        };
        let value_or_empty = || value.clone().unwrap_or_default();
        match name.as_str() {
            "source" => file.sources.push(value_or_empty()),
            "target" => file.target = Some(value_or_empty()),
            "append-filter" => file.append_filter = parse_serialized_filter(&filter_text(&name, value)?)?,
            "prepend-filter" => file.prepend_filter = parse_serialized_filter(&filter_text(&name, value)?)?,
            "replace-filter" => {
                file.replace_filter = Some(parse_serialized_filter(&filter_text(&name, value)?)?)
            }
            // A file that names a file would have no end.
            "parameters-file" | "parameter-file" | "parameterfile" => {}
            _ => file.arguments.add(OsString::from(line))?,
        }
    }
    Ok(file)
}

/// Takes expressions joined with `:` apart, each with `+` or `-` in front.
pub fn parse_serialized_filter(text: &str) -> Result<Vec<FilterRule>, UserError> {
    let rules = parse_serialized(text).map_err(|error| {
        UserError::invalid_command_line(
            ids::INVALID_OPTION_VALUE,
            format!("the filter cannot be used: {error}"),
        )
    })?;
    let rules = rules.into_iter().map(|(kind, expression)| FilterRule {
        include: kind == RuleKind::Include,
        expression,
    });
    Ok(rules.collect())
}
