// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which schemes exist, and how an address becomes a store.

use std::{fmt, sync::Arc};

use duplicati_engine::storage::Store;

use crate::{
    address::StoreAddress,
    decorators::{self, TimedFiles},
    files::Files,
    schemes,
};

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
    /// Something that the scheme needs was not given.
    #[error("a {scheme} destination needs {what}")]
    Missing {
        /// The scheme.
        scheme: &'static str,
        /// What is missing, and how it is given.
        what: &'static str,
    },
    /// The network client could not be made.
    #[error("failed to prepare the connections of a {scheme} destination: {message}")]
    Client {
        /// The scheme.
        scheme: &'static str,
        /// What happened.
        message: String,
    },
    /// An option whose value the scheme cannot use. The value is left out: it may be a secret.
    #[error("the option --{option} cannot be used with {scheme} as it is: {message}")]
    InvalidOption {
        /// The scheme.
        scheme: &'static str,
        /// The option.
        option: &'static str,
        /// What is wrong, and the way out.
        message: String,
    },
}

/// The names of all schemes, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSchemes;

impl fmt::Display for KnownSchemes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scheme) in SCHEMES.iter().enumerate() {
            if position > 0 {
                formatter.write_str(", ")?;
            }
            formatter.write_str(scheme.name)?;
        }
        Ok(())
    }
}

/// Longest part of an unknown scheme that an error repeats.
const SCHEME_CHARACTERS_MAX: usize = 80;

type OpenScheme = fn(&StoreAddress) -> Result<Arc<dyn Store>, OpenError>;
type OpenFiles = fn(&StoreAddress) -> Result<Arc<dyn Files>, OpenError>;

/// One kind of target.
struct Scheme {
    /// The word before `://`.
    name: &'static str,
    open: OpenScheme,
    open_files: OpenFiles,
    /// Whether its stores keep the limits of the address themselves, byte by byte.
    keeps_limits: bool,
}

/// A scheme whose `open` gives something that is both a store and a folder of files.
macro_rules! scheme {
    ($name:literal, $open:path, keeps_limits: $keeps_limits:literal) => {
        Scheme {
            name: $name,
            open: |address| Ok($open(address)?),
            open_files: |address| Ok($open(address)?),
            keeps_limits: $keeps_limits,
        }
    };
}

/// One line per scheme.
const SCHEMES: &[Scheme] = &[
    scheme!("file", schemes::file::open, keeps_limits: false),
    scheme!("s3", schemes::s3::open, keeps_limits: true),
    scheme!("azure", schemes::azure::open, keeps_limits: true),
    scheme!("gcs", schemes::gcs::open, keeps_limits: true),
    scheme!("webdav", schemes::webdav::open, keeps_limits: true),
    scheme!("webdavs", schemes::webdav::open, keeps_limits: true),
    scheme!("ssh", schemes::sftp::open, keeps_limits: true),
    scheme!("sftp", schemes::sftp::open, keeps_limits: true),
    scheme!("ftp", schemes::ftp::open, keeps_limits: true),
    scheme!("ftps", schemes::ftp::open, keeps_limits: true),
    scheme!("aftp", schemes::ftp::open, keeps_limits: true),
];

/// The target of an address as a folder of files with any names, with time-outs around it.
pub fn open_files(address: &StoreAddress) -> Result<Arc<dyn Files>, OpenError> {
    let files = (known(address)?.open_files)(address)?;
    Ok(Arc::new(TimedFiles::new(files, decorators::time_limits(address))))
}

/// Makes the store of an address, bare. Nothing is read or written at the target yet.
pub fn open(address: &StoreAddress) -> Result<Arc<dyn Store>, OpenError> {
    (known(address)?.open)(address)
}

/// Makes the store of an address with retries, time-outs, limits and metrics around it.
pub fn open_with_care(address: &StoreAddress) -> Result<Arc<dyn Store>, OpenError> {
    Ok(decorators::stack(open(address)?, address))
}

/// Makes the store of an address for whoever measures it and chooses how many requests run at once.
pub fn open_to_measure(address: &StoreAddress) -> Result<Arc<dyn Store>, OpenError> {
    Ok(decorators::stack_to_measure(open(address)?, address))
}

/// Whether the stores of a scheme keep the limits themselves.
pub(crate) fn keeps_limits(name: &str) -> bool {
    find(name).is_some_and(|scheme| scheme.keeps_limits)
}

fn known(address: &StoreAddress) -> Result<&'static Scheme, OpenError> {
    find(&address.scheme).ok_or_else(|| OpenError::UnknownScheme {
        scheme: address.scheme.chars().take(SCHEME_CHARACTERS_MAX).collect(),
        known: KnownSchemes,
    })
}

fn find(name: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|scheme| scheme.name == name)
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
