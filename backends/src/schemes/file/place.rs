// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which of several folders is the target: disks that are changed, or mounted now here and now there.

use std::path::{Path, PathBuf};

use crate::{address::StoreAddress, registry::OpenError};

/// The option that names the file by which the right folder is known.
pub(super) const MARKER: &str = "alternate-destination-marker";

/// The folder of the address, or the first of `alternate-target-paths` that is there. With `alternate-destination-marker` only
/// a folder that holds that file will do, so that an empty mount point is never taken for the disk.
pub(super) fn choose(address: &StoreAddress) -> Result<PathBuf, OpenError> {
    let own = PathBuf::from(&address.path);
    let options = &address.options;
    let marker = options.text(MARKER);
    if marker.is_some_and(|marker| marker.contains(['/', '\0']) || matches!(marker, "." | "..")) {
        return Err(OpenError::InvalidOption {
            scheme: "file",
            option: MARKER,
            message: "give the name of a file, without a folder".to_owned(),
        });
    }
    let alternates = options.paths("alternate-target-paths");
    let is_it = |folder: &Path| match marker {
        Some(marker) => folder.join(marker).is_file(),
        None => folder.is_dir(),
    };
    let mut candidates = std::iter::once(&own).chain(alternates);
    match (candidates.find(|folder| is_it(folder)), marker) {
        (Some(folder), _) => Ok(folder.clone()),
        // It may be made.
        (None, None) => Ok(own),
        (None, Some(marker)) => Err(OpenError::InvalidPath {
            scheme: "file",
            path: own.to_string_lossy().into_owned(),
            message: format!(
                "neither this folder nor one of --alternate-target-paths holds the file {marker:?}; mount the right disk"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{OptionValue, StoreOptions};

    #[test]
    fn the_folder_with_the_marker_is_taken_and_an_empty_mount_point_never() {
        let place = tempfile::tempdir().unwrap();
        let (first, second) = (place.path().join("first"), place.path().join("second"));
        let alternates = OptionValue::Paths(vec![place.path().join("none"), second.clone()]);
        let options = StoreOptions::default().with("alternate-target-paths", alternates);
        let mut address = StoreAddress {
            options: options.clone(),
            ..StoreAddress::local(&first)
        };
        assert_eq!(choose(&address).unwrap(), first);
        std::fs::create_dir(&second).unwrap();
        assert_eq!(choose(&address).unwrap(), second);
        std::fs::create_dir(&first).unwrap();
        assert_eq!(choose(&address).unwrap(), first);
        address.options = options.with_text("alternate-destination-marker", "mark");
        assert!(matches!(choose(&address), Err(OpenError::InvalidPath { .. })));
        std::fs::write(second.join("mark"), "").unwrap();
        assert_eq!(choose(&address).unwrap(), second);
        let store = super::super::open(&address).unwrap();
        assert_eq!(store.folder.list_foreign_root().unwrap(), Vec::<String>::new());
        address.options = StoreOptions::default().with_text("alternate-destination-marker", "../x");
        assert!(matches!(choose(&address), Err(OpenError::InvalidOption { .. })));
    }
}
