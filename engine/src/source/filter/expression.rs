// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One rule's text: which form it has, what its variables stand for, and whether a path matches.

use regex::bytes::{Regex, RegexBuilder};

use super::FilterEnvironment;
use super::glob::Glob;
use super::group::group_patterns;

/// The most memory that one compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which spellings of variables are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableStyle {
    /// `%NAME%` only.
    CommandLine,
    /// Also `$NAME`, `${NAME}` and the names of the user's folders.
    StoredJob,
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The rule has no text.
    #[error("filter is empty; remove it or give a path")]
    Empty,
    /// The regular expression does not compile.
    #[error("filter {text} is not a usable regular expression: {source}")]
    Regex {
        /// The rule.
        text: String,
        /// Why.
        source: Box<regex::Error>,
    },
    /// There is no such group.
    #[error(
        "filter group {name} is unknown; groups are SystemFiles, OperatingSystem, TemporaryFiles, CacheFiles, Applications, DefaultExcludes, DefaultIncludes"
    )]
    UnknownGroup {
        /// The name as given.
        name: String,
    },
    /// A regular expression or group begins and does not end.
    #[error(
        "filter {text} begins with a bracket and does not end with one; close it, or put @ before it if it is the name of a file"
    )]
    Unclosed {
        /// The rule.
        text: String,
    },
    /// A serialized filter has a part without sign.
    #[error("filter part {text} has no sign; begin it with + or -")]
    MissingSign {
        /// The part.
        text: String,
    },
}

/// One rule without its sign.
#[derive(Debug, Clone)]
pub enum FilterExpression {
    /// Exactly this path.
    Exact(Vec<u8>),
    /// A pattern over the whole path.
    Glob(Glob),
    /// A regular expression over the whole path.
    Regex(Regex),
    /// Any of these.
    Group(Vec<FilterExpression>),
}

impl FilterExpression {
    /// Parses a rule.
    pub fn parse(
        text: &str,
        style: VariableStyle,
        environment: &FilterEnvironment,
    ) -> Result<Self, FilterError> {
        let text = expand(text, style, environment);
        if text.is_empty() {
            return Err(FilterError::Empty);
        }
        if let Some(literal) = text.strip_prefix('@') {
            return Ok(Self::Exact(literal.into()));
        }
        if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return whole_regex(inside)
                .map(Self::Regex)
                .map_err(|source| FilterError::Regex {
                    text,
                    source: Box::new(source),
                });
        }
        if let Some(inside) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let mut members = Vec::new();
            for name in inside
                .split([',', ':', ';', '|'])
                .map(str::trim)
                .filter(|name| !name.is_empty())
            {
                let patterns =
                    group_patterns(name, environment).ok_or_else(|| FilterError::UnknownGroup {
                        name: name.to_owned(),
                    })?;
                members.extend(patterns.iter().map(|pattern| Self::simple(pattern)));
            }
            return Ok(Self::Group(members));
        }
        // A bracket that nobody closed would be taken for a name that no file has, and what was to be left out would be stored.
        if text.starts_with(['[', '{']) {
            return Err(FilterError::Unclosed { text });
        }
        Ok(Self::simple(&text))
    }

    /// Whether a whole path matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Glob(glob) => glob.matches(path),
            // Duplicati sees unreadable bytes as U+FFFD, and so does the expression.
            Self::Regex(regex) => regex.is_match(String::from_utf8_lossy(path).as_bytes()),
            Self::Group(members) => members.iter().any(|member| member.matches(path)),
        }
    }

    fn simple(text: &str) -> Self {
        if text.contains(['*', '?']) {
            Self::Glob(Glob::new(text))
        } else {
            Self::Exact(text.into())
        }
    }
}

/// Compiles an expression that must match a whole path.
pub(super) fn whole_regex(inside: &str) -> Result<Regex, regex::Error> {
    // Alone first, so that a stray parenthesis cannot close ours.
    Regex::new(inside)?;
    RegexBuilder::new(&format!("\\A(?:{inside})\\z"))
        .size_limit(REGEX_BYTES_MAX)
        .build()
}

/// Replaces variables; unknown ones stay as they are.
fn expand(text: &str, style: VariableStyle, environment: &FilterEnvironment) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some((length, value)) = variable_at(rest, style, environment) else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        };
        out.push_str(&value);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

fn variable_at(rest: &str, style: VariableStyle, environment: &FilterEnvironment) -> Option<(usize, String)> {
    let stored = style == VariableStyle::StoredJob;
    let variable = |name: &str| environment.variables.get(name).cloned();
    if let Some(after) = rest.strip_prefix('%') {
        let end = after.find('%')?;
        let name = &after[..end];
        let value = if stored {
            user_folder(name, environment).or_else(|| variable(name))
        } else {
            variable(name)
        };
        return Some((end + 2, value?));
    }
    if !stored {
        return None;
    }
    if let Some(after) = rest.strip_prefix("${") {
        let end = after.find('}')?;
        return Some((end + 3, variable(&after[..end])?));
    }
    let name = &rest[1..];
    let end = name
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(name.len());
    Some((end + 1, variable(&name[..end])?))
}

/// The user's folders, with a trailing slash except for the home folder itself.
fn user_folder(name: &str, environment: &FilterEnvironment) -> Option<String> {
    let home = environment.variables.get("HOME")?.trim_end_matches('/');
    let folder = match name {
        "HOME" => return Some(home.to_owned()),
        "DESKTOP" => "Desktop",
        "MY_DOCUMENTS" => "Documents",
        "MY_MUSIC" => "Music",
        "MY_PICTURES" => "Pictures",
        "MY_MOVIES" => "Videos",
        "MY_DOWNLOADS" => "Downloads",
        "MY_PUBLIC" => "Public",
        _ => return None,
    };
    Some(format!("{home}/{folder}/"))
}
