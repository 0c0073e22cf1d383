// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sources that the walker reads from another place: a snapshot of their file system. They are recorded under their own paths, and with their own
//! device numbers, for those of a snapshot are new each time and every file would count as changed.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path, sync::Arc};

use duplicati_engine::source::{EntryStat, SourceDirectory, SourceError};

use super::walker::Walker;

/// A folder, and a name in it.
type HeldName = (Arc<SourceDirectory>, Vec<u8>);

impl Walker {
    /// The place where the source at the present path is read, with the folder that holds it and its name there.
    pub(super) fn relocated_source(
        &mut self,
        folder: &SourceDirectory,
        name: &[u8],
    ) -> Option<Result<HeldName, SourceError>> {
        let place = self.options.relocated(&self.path)?;
        let place = Path::new(OsStr::from_bytes(place));
        let (above, last) = (place.parent()?, place.file_name()?.as_bytes().to_vec());
        let opened = SourceDirectory::open(above).and_then(|above| {
            let actual = above.stat_followed(&last)?.device;
            // Without the original nothing is known to compare with, and the snapshot's number does.
            let original = folder.stat_followed(name).map_or(actual, |stat| stat.device);
            Ok((above, actual, original))
        });
        Some(opened.map(|(above, actual, original)| {
            if actual != original && !self.devices.contains(&(actual, original)) {
                self.devices.push((actual, original));
            }
            (Arc::new(above), last)
        }))
    }

    /// Gives what is read from a snapshot the device number of the file system that it was made of.
    pub(super) fn with_own_device(&self, mut stat: EntryStat) -> EntryStat {
        if let Some((_, original)) = self.devices.iter().find(|(actual, _)| *actual == stat.device) {
            stat.device = *original;
        }
        stat
    }
}
