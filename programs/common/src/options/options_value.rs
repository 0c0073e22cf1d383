// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The options of one run, checked and typed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{Timestamp, Zoned};
use secrecy::SecretString;

use super::spec::{Kind, OptionSpec};
use super::table;
use crate::secrets::Secrets;
use crate::value::{self, Timespan, ValueError, VersionList};

/// One `--include` or `--exclude`, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterRule {
    pub include: bool,
    pub expression: String,
}

/// A checked value. `Debug` shows no secret, because `SecretString` shows none.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Boolean(bool),
    Integer(i64),
    Decimal(f64),
    Size(u64),
    Timespan(Timespan),
    TimePoint(Timestamp),
    Versions(VersionList),
    Path(PathBuf),
    PathList(Vec<PathBuf>),
    Text(String),
    Secret(SecretString),
    List(Vec<String>),
}

impl Value {
    /// Reads a value as the option's kind asks; `None` is an option without `=`.
    pub(super) fn read(spec: &OptionSpec, raw: Option<&OsStr>, now: &Zoned) -> Result<Self, ValueError> {
        let bytes = raw.unwrap_or_default();
        match spec.kind {
            Kind::Path if bytes.is_empty() => return Err(ValueError::new("", "a path")),
            Kind::Path => return Ok(Self::Path(PathBuf::from(bytes))),
            Kind::PathList => return Ok(Self::PathList(value::split_path_list(bytes))),
            _ => {}
        }
        let text = bytes.to_str().ok_or_else(|| match spec.kind {
            Kind::Secret => ValueError::new("(secret)", "valid UTF-8"),
            _ => ValueError::new(&String::from_utf8_lossy(bytes.as_bytes()), "valid UTF-8"),
        })?;
        Ok(match spec.kind {
            Kind::Boolean => Self::Boolean(value::parse_boolean(text)),
            Kind::Integer { min, max } => Self::Integer(
                text.trim()
                    .parse()
                    .ok()
                    .filter(|number| (min..=max).contains(number))
                    .ok_or_else(|| ValueError::new(text, spec.kind.title()))?,
            ),
            Kind::Decimal => Self::Decimal(
                text.trim()
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite())
                    .ok_or_else(|| ValueError::new(text, "a number with '.' as decimal point"))?,
            ),
            Kind::Size(unit) => Self::Size(value::parse_size(text, unit)?),
            Kind::Timespan => Self::Timespan(Timespan::parse(text)?),
            Kind::TimePoint => Self::TimePoint(value::parse_time_point(text, now)?),
            Kind::Versions => Self::Versions(VersionList::parse(text)?),
            Kind::Enum { values, empty_means } => Self::Text(match empty_means {
                Some(meaning) if text.trim().is_empty() => meaning.to_owned(),
                _ => canonical_name(values, text.trim())
                    .ok_or_else(|| ValueError::new(text, spec.kind.title()))?
                    .to_owned(),
            }),
            Kind::Flags(values) => Self::List(
                parts(text, ',')
                    .map(|part| canonical_name(values, part).map(str::to_owned))
                    .collect::<Option<_>>()
                    .ok_or_else(|| ValueError::new(text, spec.kind.title()))?,
            ),
            Kind::List(separator) => Self::List(parts(text, separator).map(str::to_owned).collect()),
            Kind::Secret => Self::Secret(SecretString::from(text)),
            // Paths were dealt with above, as bytes.
            Kind::Text | Kind::Path | Kind::PathList => Self::Text(text.to_owned()),
        })
    }

    /// The names that a table entry may attach a warning to.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::List(list) => list,
            _ => &[],
        }
    }
}

fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator)
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn canonical_name(values: &'static [&'static str], text: &str) -> Option<&'static str> {
    values
        .iter()
        .copied()
        .find(|value| value.eq_ignore_ascii_case(text))
}

/// The options of one run.
///
/// The typed getters answer with the default when an option is absent. Asking for a name that is not in the
/// table, or for another kind than the table says, is a mistake in this program and panics.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) given: BTreeMap<String, Value>,
    pub(super) texts: GivenTexts,
    pub(crate) defaults: BTreeMap<&'static str, Value>,
    pub(super) filters: Vec<FilterRule>,
    pub(super) positional: Vec<OsString>,
    pub(super) warnings: Vec<String>,
    pub(super) secrets: Option<Arc<Secrets>>,
    /// Names of options whose values came from there.
    pub(super) from_secrets: BTreeSet<String>,
}

/// The texts of the given options, for scripts and reports. `Debug` shows names only, because some are secrets.
#[derive(Clone, Default)]
pub(super) struct GivenTexts(pub(super) BTreeMap<String, OsString>);

impl fmt::Debug for GivenTexts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// The text of one given option.
pub struct GivenText<'a> {
    pub name: &'a str,
    pub value: &'a OsStr,
    /// Whether it must not be shown.
    pub is_secret: bool,
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $result:ty, $stored:ident => $convert:expr) => {
        $(#[$doc])*
        pub fn $name(&self, name: &str) -> Option<$result> {
            match self.value(name)? {
                Value::$variant($stored) => Some($convert),
                _ => panic!("option {name} is not of the kind asked for"),
            }
        }
    };
}

impl Options {
    pub(super) fn empty(now: &Zoned) -> Self {
        let defaults = table::all()
            .filter(|spec| !spec.default.is_empty())
            .map(|spec| {
                let value = Value::read(spec, Some(OsStr::new(spec.default)), now);
                (spec.name, value.expect("a test reads every default in the table"))
            })
            .collect();
        Self {
            given: BTreeMap::new(),
            defaults,
            texts: GivenTexts::default(),
            filters: Vec::new(),
            positional: Vec::new(),
            warnings: Vec::new(),
            secrets: None,
            from_secrets: BTreeSet::new(),
        }
    }

    /// No options and no arguments: every getter answers with its default.
    pub fn defaults(now: &Zoned) -> Self {
        Self::empty(now)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let spec = table::find(name).unwrap_or_else(|| panic!("option {name} is not in the table"));
        assert!(
            spec.name == name || spec.prefix().is_some(),
            "option {name} must be asked for as {}",
            spec.name
        );
        self.given.get(name).or_else(|| self.defaults.get(spec.name))
    }

    /// Whether the option was given, with whatever value.
    pub fn is_given(&self, name: &str) -> bool {
        self.value(name).is_some() && self.given.contains_key(name)
    }

    /// The names of all given options, including those that stand under a prefix.
    pub fn given_names(&self) -> impl Iterator<Item = &str> {
        self.given.keys().map(String::as_str)
    }

    /// The given options as they were written; one without value counts as `true`.
    pub fn given_texts(&self) -> impl Iterator<Item = GivenText<'_>> {
        self.texts.0.iter().map(|(name, value)| GivenText {
            name,
            value,
            is_secret: self.from_secrets.contains(name)
                || table::find(name).is_none_or(|spec| spec.kind == Kind::Secret),
        })
    }

    /// A yes-or-no option; absent means no unless its default says otherwise.
    pub fn bool(&self, name: &str) -> bool {
        match self.value(name) {
            None => {
                let is_boolean = table::find(name).is_some_and(|spec| spec.kind == Kind::Boolean);
                assert!(is_boolean, "option {name} is not a yes-or-no option");
                false
            }
            Some(Value::Boolean(value)) => *value,
            Some(_) => panic!("option {name} is not a yes-or-no option"),
        }
    }

    getter!(
        /// A whole number.
        integer, Integer, i64, value => *value);
    getter!(
        /// A number with a fraction.
        decimal, Decimal, f64, value => *value);
    getter!(
        /// A size in bytes.
        size, Size, u64, value => *value);
    getter!(
        /// A length of time.
        timespan, Timespan, Timespan, value => *value);
    getter!(
        /// A point in time.
        time_point, TimePoint, Timestamp, value => *value);
    getter!(
        /// A set of version numbers.
        versions, Versions, &VersionList, value => value);
    getter!(
        /// A path, byte for byte as given.
        path, Path, &Path, value => value.as_path());
    getter!(
        /// A text, or the canonical name of a choice.
        string, Text, &str, value => value.as_str());
    getter!(
        /// A secret text.
        secret, Secret, &SecretString, value => value);

    /// Several paths; absent means none.
    pub fn path_list(&self, name: &str) -> &[PathBuf] {
        match self.value(name) {
            None => &[],
            Some(Value::PathList(paths)) => paths,
            Some(_) => panic!("option {name} is not a list of paths"),
        }
    }

    /// Several texts or flags; absent means none.
    pub fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            None => &[],
            Some(Value::List(texts)) => texts,
            Some(_) => panic!("option {name} is not a list"),
        }
    }

    /// Includes and excludes in the order in which they are to be tried.
    pub fn filters(&self) -> &[FilterRule] {
        &self.filters
    }

    /// The arguments that are not options, starting with the command.
    pub fn positional(&self) -> &[OsString] {
        &self.positional
    }

    /// Exchanges the arguments behind the command from a position on, as a script that runs before may.
    pub fn replace_positional(&mut self, from: usize, arguments: impl IntoIterator<Item = OsString>) {
        self.positional.truncate(from);
        self.positional.extend(arguments);
    }

    /// Exchanges includes and excludes.
    pub fn replace_filters(&mut self, filters: Vec<FilterRule>) {
        self.filters = filters;
    }

    /// Where values of the form `$name` are looked up, if anywhere.
    pub fn secrets(&self) -> Option<&Arc<Secrets>> {
        self.secrets.as_ref()
    }

    /// What to tell the user about options that were accepted without having (all of) their effect.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The zstd level, from our own option or from one of those that Duplicati has for its archives.
    pub fn zstd_level(&self) -> i32 {
        let given = |name: &str| {
            if self.is_given(name) {
                self.integer(name)
            } else {
                None
            }
        };
        let level = given("zstd-level")
            .or_else(|| given("tzstd-compression-level"))
            .or_else(|| {
                given("zip-compression-level")
                    .or_else(|| given("tgz-compression-level"))
                    .map(deflate_to_zstd)
            })
            .or_else(|| self.integer("zstd-level"))
            .unwrap_or(3);
        // The kinds in the table bound every source of the number; the clamp keeps the promise to zstd.
        i32::try_from(level.clamp(1, 19)).unwrap_or(3)
    }
}

/// The zstd level that costs about as much time as a level of deflate.
fn deflate_to_zstd(level: i64) -> i64 {
    match level {
        ..=1 => 1,
        2..=3 => 2,
        4..=6 => 3,
        7 => 5,
        8 => 7,
        _ => 9,
    }
}
