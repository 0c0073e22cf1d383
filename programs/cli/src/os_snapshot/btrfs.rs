// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Read-only snapshots of btrfs subvolumes, made with the program `btrfs` inside of the subvolume.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{OsSnapshot, output_of};

/// The inode number of the folder at the top of every subvolume.
const TOP_INODE: u64 = 256;

pub(super) struct Subvolume {
    top: PathBuf,
    snapshot: PathBuf,
}

impl Subvolume {
    /// Makes a snapshot of the subvolume that holds `source`.
    pub(super) fn make(source: &Path, name: &str) -> Result<Self, String> {
        let top = top_of(source)?;
        let snapshot = top.join(format!(".{name}"));
        output_of(
            Path::new("btrfs"),
            &[
                "subvolume".as_ref(),
                "snapshot".as_ref(),
                "-r".as_ref(),
                top.as_os_str(),
                snapshot.as_os_str(),
            ],
        )?;
        Ok(Self { top, snapshot })
    }
}

impl OsSnapshot for Subvolume {
    fn top(&self) -> &Path {
        &self.top
    }

    fn place(&self) -> &Path {
        &self.snapshot
    }

    fn remove(&self) -> Result<(), String> {
        output_of(
            Path::new("btrfs"),
            &["subvolume".as_ref(), "delete".as_ref(), self.snapshot.as_os_str()],
        )
        .map(|_| ())
    }
}

/// The nearest folder at or above a path that is the top of a subvolume.
fn top_of(source: &Path) -> Result<PathBuf, String> {
    for folder in source.ancestors() {
        let metadata = folder
            .symlink_metadata()
            .map_err(|error| format!("failed to look at {}: {error}", folder.display()))?;
        if metadata.is_dir() && metadata.ino() == TOP_INODE {
            return Ok(folder.to_owned());
        }
    }
    Err(format!("no btrfs subvolume holds {}", source.display()))
}
