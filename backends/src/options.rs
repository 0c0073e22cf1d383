// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The options of a target as values. Names, kinds and help live in the programs' table; a store asks by name.
//!
//! `Debug` shows no secret, because a secret is kept as one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;

/// One value, of the kind that the table says.
#[derive(Debug, Clone)]
pub enum OptionValue {
    /// Yes or no.
    Flag(bool),
    /// A whole number, or a size in bytes.
    Number(i64),
    /// A length of time.
    Duration(Duration),
    /// A text or the canonical name of a choice.
    Text(String),
    /// A text that is never shown.
    Secret(SecretString),
    /// A path, byte for byte as given.
    Path(PathBuf),
    /// Several paths.
    Paths(Vec<PathBuf>),
    /// Several texts.
    List(Vec<String>),
}

/// The options that were given, by the name that the table has for them.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    values: BTreeMap<String, OptionValue>,
}

impl StoreOptions {
    /// Sets an option; a later value wins.
    pub fn set(&mut self, name: impl Into<String>, value: OptionValue) {
        self.values.insert(name.into(), value);
    }

    /// The same with an option more, for tests and for code that builds addresses.
    #[must_use]
    pub fn with(mut self, name: &str, value: OptionValue) -> Self {
        self.set(name, value);
        self
    }

    /// The same with a text more.
    #[must_use]
    pub fn with_text(self, name: &str, value: &str) -> Self {
        self.with(name, OptionValue::Text(value.to_owned()))
    }

    /// Whether the option was given, with whatever value.
    pub fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A yes-or-no option; absent means no.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(OptionValue::Flag(true)))
    }

    /// A text that says something; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(OptionValue::Text(text)) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// A secret.
    pub fn secret(&self, name: &str) -> Option<&SecretString> {
        match self.values.get(name) {
            Some(OptionValue::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    /// A path.
    pub fn path(&self, name: &str) -> Option<&Path> {
        match self.values.get(name) {
            Some(OptionValue::Path(path)) => Some(path),
            _ => None,
        }
    }

    /// Several paths.
    pub fn paths(&self, name: &str) -> &[PathBuf] {
        match self.values.get(name) {
            Some(OptionValue::Paths(paths)) => paths,
            _ => &[],
        }
    }

    /// Several texts.
    pub fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(OptionValue::List(texts)) => texts,
            _ => &[],
        }
    }

    /// A whole number or a size in bytes.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(OptionValue::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A length of time.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.values.get(name) {
            Some(OptionValue::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    /// The texts of all options under a prefix such as `s3-ext-`, by the rest of their names.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.values.iter().filter_map(move |(name, value)| match value {
            OptionValue::Text(text) => Some((name.strip_prefix(prefix)?, text.as_str())),
            _ => None,
        })
    }
}
