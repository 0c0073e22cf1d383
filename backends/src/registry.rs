// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which schemes exist, and how an address becomes a store.

use std::{ffi::OsString, fmt, sync::Arc};

use duplicati_engine::storage::{ObjectKind, Store};

use crate::schemes;

/// The prefix that stands for the target itself; any other one is a sub-folder, so that several repositories share a target.
pub const DEFAULT_PREFIX: &str = "duplicati";

/// Longest prefix accepted; well below what any target allows for one folder name.
const PREFIX_LENGTH_MAX: usize = 128;

/// The parts of a destination URL that choose a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAddress {
    /// The word before `://`, lower case.
    pub scheme: String,
    /// What follows, as bytes: a path need not be UTF-8.
    pub path: OsString,
    /// [`DEFAULT_PREFIX`], or the name of a sub-folder.
    pub prefix: String,
}

impl StoreAddress {
    /// The address of a local folder under the default prefix.
    pub fn local(path: impl Into<OsString>) -> Self {
        Self {
            scheme: "file".to_owned(),
            path: path.into(),
            prefix: DEFAULT_PREFIX.to_owned(),
        }
    }

    /// The sub-folder that the prefix stands for; none for the default.
    pub fn sub_folder(&self) -> Result<Option<&str>, OpenError> {
        let prefix = self.prefix.as_str();
        if prefix == DEFAULT_PREFIX {
            return Ok(None);
        }
        let is_kind_folder = ObjectKind::ALL.into_iter().any(|kind| kind.folder() == prefix);
        let is_one_component = !prefix.contains(['/', '\0']) && prefix != "." && prefix != "..";
        if prefix.is_empty() || prefix.len() > PREFIX_LENGTH_MAX || is_kind_folder || !is_one_component {
            return Err(OpenError::InvalidPrefix {
                prefix: prefix.chars().take(PREFIX_LENGTH_MAX).collect(),
            });
        }
        Ok(Some(prefix))
    }
}

/// Why an address is not one of a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No such scheme.
    #[error("there is no storage scheme {scheme:?}; the schemes are: {known}")]
    UnknownScheme {
        /// The scheme asked for.
        scheme: String,
        /// Those that exist.
        known: KnownSchemes,
    },
    /// A prefix that cannot be a folder, or would fall together with the repository's own folders.
    #[error(
        "the prefix {prefix:?} cannot be used: give one folder name without '/', other than the repository's own folders"
    )]
    InvalidPrefix {
        /// The prefix asked for.
        prefix: String,
    },
    /// The part after the scheme means nothing to it.
    #[error("the path {path:?} cannot be used with {scheme}: {message}")]
    InvalidPath {
        /// The scheme.
        scheme: &'static str,
        /// The path as given.
        path: String,
        /// What is wrong, and the way out.
        message: String,
    },
}

/// The names of all schemes, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSchemes;

impl fmt::Display for KnownSchemes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (scheme, _)) in SCHEMES.iter().enumerate() {
            if position > 0 {
                formatter.write_str(", ")?;
            }
            formatter.write_str(scheme)?;
        }
        Ok(())
    }
}

type OpenScheme = fn(&StoreAddress) -> Result<Arc<dyn Store>, OpenError>;

/// One line per scheme.
const SCHEMES: &[(&str, OpenScheme)] = &[("file", schemes::file::open)];

/// Makes the store of an address. Nothing is read or written at the target yet.
pub fn open(address: &StoreAddress) -> Result<Arc<dyn Store>, OpenError> {
    match SCHEMES.iter().find(|(scheme, _)| *scheme == address.scheme) {
        Some((_, open)) => open(address),
        None => Err(OpenError::UnknownScheme {
            scheme: address.scheme.chars().take(80).collect(),
            known: KnownSchemes,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scheme_is_told_with_those_that_exist() {
        let address = StoreAddress {
            scheme: "gopher".to_owned(),
            ..StoreAddress::local("/x")
        };
        let error = open(&address).err().unwrap().to_string();
        assert!(error.contains("gopher") && error.contains("file"), "{error}");
    }

    #[test]
    fn default_prefix_is_the_target_and_another_is_a_folder_below() {
        let mut address = StoreAddress::local("/backup");
        assert_eq!(open(&address).unwrap().location(), "file:///backup");
        address.prefix = "laptop".to_owned();
        assert_eq!(open(&address).unwrap().location(), "file:///backup/laptop");
    }

    #[test]
    fn prefixes_that_leave_the_target_or_meet_its_folders_are_refused() {
        for prefix in ["", ".", "..", "a/b", "packs", "keys", "a\0b"] {
            let address = StoreAddress {
                prefix: prefix.to_owned(),
                ..StoreAddress::local("/backup")
            };
            assert!(
                matches!(open(&address), Err(OpenError::InvalidPrefix { .. })),
                "{prefix:?}"
            );
        }
    }

    #[test]
    fn empty_local_path_is_refused() {
        assert!(matches!(
            open(&StoreAddress::local("")),
            Err(OpenError::InvalidPath { .. })
        ));
    }
}
