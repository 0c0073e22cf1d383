// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a file with holes really has data.

use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::error::SourceError;
use super::metadata::EntryStat;

/// The most extents that are remembered for one file (16 MB); a file that is cut up more is read as if it had no holes.
pub const DATA_EXTENTS_MAX: usize = 1_000_000;

/// One run of data between holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataExtent {
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has; never zero.
    pub length: u64,
}

/// Finds the data of an open file. `None` means to read it from end to end: it has no holes, the file system cannot
/// tell, or there are too many. The file's position is at its beginning afterwards.
///
/// A file that is all hole has `Some` empty list.
pub fn data_extents(open: impl AsFd, stat: &EntryStat) -> Result<Option<Vec<DataExtent>>, SourceError> {
    if !stat.may_have_holes() {
        return Ok(None);
    }
    let found = find_extents(&open, stat.size, DATA_EXTENTS_MAX);
    let rewound = seek(&open, SeekFrom::Start(0));
    found
        .and_then(|extents| rewound.map(|_| extents))
        .map_err(|errno| SourceError::from_errno(b"", errno))
}

fn find_extents(open: impl AsFd, size: u64, extents_max: usize) -> Result<Option<Vec<DataExtent>>, Errno> {
    let mut extents = Vec::new();
    let mut position = 0;
    while position < size {
        let start = match seek(&open, SeekFrom::Data(position)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        if start >= size {
            break;
        }
        // The file may be cut while we look: then the search ends where it is.
        let end = match seek(&open, SeekFrom::Hole(start)) {
            Ok(end) => end.min(size),
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno),
        };
        if end <= start {
            break;
        }
        if extents.len() == extents_max {
            return Ok(None);
        }
        extents.push(DataExtent {
            offset: start,
            length: end - start,
        });
        position = end;
    }
    let whole = [DataExtent {
        offset: 0,
        length: size,
    }];
    Ok((extents != whole).then_some(extents))
}

#[cfg(test)]
mod tests {
    use std::io::Seek;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::source::{AdvisoryLocking, SourceDirectory};

    const MEBIBYTE: u64 = 1024 * 1024;

    fn file_with(size: u64, writes: &[u64]) -> (tempfile::TempDir, SourceDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("file")).unwrap();
        file.set_len(size).unwrap();
        for &offset in writes {
            file.write_all_at(&[7; 4096], offset).unwrap();
        }
        file.sync_all().unwrap();
        let directory = SourceDirectory::open(folder.path()).unwrap();
        (folder, directory)
    }

    #[test]
    fn extents_cover_exactly_the_written_blocks() {
        let (_folder, directory) = file_with(8 * MEBIBYTE, &[MEBIBYTE, 4 * MEBIBYTE]);
        let mut open = directory.open_file(b"file", AdvisoryLocking::Respect).unwrap();
        let extents = data_extents(&open.file, &open.stat).unwrap();
        let Some(extents) = extents else {
            println!("skipped: this file system does not report holes");
            return;
        };
        assert_eq!(
            extents,
            [
                DataExtent {
                    offset: MEBIBYTE,
                    length: 4096
                },
                DataExtent {
                    offset: 4 * MEBIBYTE,
                    length: 4096
                }
            ]
        );
        assert_eq!(open.file.stream_position().unwrap(), 0);
        assert_eq!(
            find_extents(&open.file, 8 * MEBIBYTE, 1).unwrap(),
            None,
            "beyond the bound it is not sparse"
        );
    }

    #[test]
    fn a_file_that_is_one_hole_has_no_extents() {
        let (_folder, directory) = file_with(MEBIBYTE, &[]);
        let open = directory.open_file(b"file", AdvisoryLocking::Respect).unwrap();
        let extents = data_extents(&open.file, &open.stat).unwrap();
        assert!(extents.is_none_or(|extents| extents.is_empty()));
    }

    #[test]
    fn a_full_file_is_read_from_end_to_end() {
        let (_folder, directory) = file_with(4096, &[0]);
        let open = directory.open_file(b"file", AdvisoryLocking::Respect).unwrap();
        assert_eq!(data_extents(&open.file, &open.stat).unwrap(), None);
    }
}
