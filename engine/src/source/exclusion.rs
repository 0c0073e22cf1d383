// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Marks by which the owner of the data takes entries out of every backup, apart from filters.
//!
//! Three kinds: a marker file in a folder (`ignore-filenames`), an extended attribute, and the "no dump" attribute,
//! which is in [`super::EntryStat::nodump`].

use super::directory::SourceDirectory;
use super::error::SourceError;
use super::listing::DirectoryListing;
use super::xattr::{XattrBuffer, XattrSet};

/// The extended attributes that exclude an entry, whatever their value.
pub const EXCLUSION_XATTRS: [&[u8]; 2] = [b"user.duplicati.exclude", b"duplicati.exclude"];

/// The names of files whose presence excludes the folder that holds them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarkerNames {
    names: Vec<Vec<u8>>,
}

impl MarkerNames {
    /// Parses the value of `ignore-filenames`: names joined by `:`. Empty parts are ignored, an empty text means none.
    pub fn parse(text: &str) -> Self {
        let names = text.split(':').map(str::trim).filter(|name| !name.is_empty());
        Self {
            names: names.map(|name| name.as_bytes().to_vec()).collect(),
        }
    }

    /// Returns the marker that a folder contains, if any.
    pub fn found_in(&self, listing: &DirectoryListing) -> Option<&[u8]> {
        self.names
            .iter()
            .map(Vec::as_slice)
            .find(|name| listing.contains(name))
    }
}

/// Whether attributes that were already read exclude their entry.
pub fn is_excluded_by(xattrs: &XattrSet) -> bool {
    let readable = xattrs
        .attributes
        .iter()
        .map(|attribute| attribute.name.as_slice());
    let mut names = readable.chain(xattrs.unreadable.iter().map(Vec::as_slice));
    names.any(|name| EXCLUSION_XATTRS.contains(&name))
}

impl SourceDirectory {
    /// Whether an entry carries an exclusion attribute; one system call.
    pub fn has_exclusion_xattr(&self, name: &[u8], buffer: &mut XattrBuffer) -> Result<bool, SourceError> {
        self.has_any_xattr(name, &EXCLUSION_XATTRS, buffer)
    }
}
