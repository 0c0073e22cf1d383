// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files for whole runs: as compressible as asked for, no two parts the same, half of the bytes in small files and half in large ones.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::noise::Noise;

/// A small file, bytes.
const SMALL_BYTES: u64 = 64 << 10;
/// A large file, bytes.
const LARGE_BYTES: u64 = 4 << 20;
/// The stretch in which the share that compresses lies, bytes: less than a chunk.
const BLOCK_BYTES: usize = 4 << 10;
/// Files in one folder.
const FILES_IN_FOLDER: usize = 256;

/// A made folder.
pub struct Data {
    files: Vec<(PathBuf, u64)>,
    compressible_percent: u32,
    /// All bytes.
    pub bytes: u64,
}

impl Data {
    /// Makes files of about `bytes` in all below `root`.
    ///
    /// # Errors
    /// When they cannot be written; the error names the file.
    pub fn make(root: &Path, bytes: u64, compressible_percent: u32) -> io::Result<Self> {
        let mut data = Self {
            files: Vec::new(),
            compressible_percent,
            bytes: 0,
        };
        let large = bytes / 2 / LARGE_BYTES;
        let small = (bytes - large * LARGE_BYTES).div_ceil(SMALL_BYTES).max(1);
        let sizes = std::iter::repeat_n(LARGE_BYTES, usize::try_from(large).unwrap_or(0)).chain(
            std::iter::repeat_n(SMALL_BYTES, usize::try_from(small).unwrap_or(0)),
        );
        for (number, size) in sizes.enumerate() {
            let folder = root.join(format!("folder-{:04}", number / FILES_IN_FOLDER));
            if number % FILES_IN_FOLDER == 0 {
                fs::create_dir_all(&folder).map_err(|error| named(&folder, &error))?;
            }
            let path = folder.join(format!("file-{number:06}"));
            data.write(&path, size)?;
            data.files.push((path, size));
            data.bytes += size;
        }
        Ok(data)
    }

    /// Writes other content into about so much of it; says how many bytes.
    ///
    /// # Errors
    /// As for [`make`](Self::make).
    pub fn change(&self, percent: f64) -> io::Result<u64> {
        let wanted = (self.bytes as f64 * percent / 100.0) as u64;
        let mut changed = 0;
        // From the small end, so that a small share is met well.
        for (path, size) in self.files.iter().rev() {
            if changed >= wanted {
                break;
            }
            self.write(path, *size)?;
            changed += size;
        }
        Ok(changed)
    }

    fn write(&self, path: &Path, size: u64) -> io::Result<()> {
        let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let mut noise = Noise::unforeseen();
        for block in content.chunks_mut(BLOCK_BYTES) {
            let random = block.len() * (100 - self.compressible_percent.min(100)) as usize / 100;
            // Even what compresses away is not the same everywhere, or it would be stored once.
            let random = random.max(8.min(block.len()));
            noise.fill(&mut block[..random]);
        }
        fs::write(path, content).map_err(|error| named(path, &error))
    }
}

/// Bytes and files below a folder, no more than `bytes_max` bytes of them are counted.
///
/// # Errors
/// When a folder cannot be read; the error names it.
pub fn size_of(root: &Path, bytes_max: u64) -> io::Result<(u64, u64)> {
    let (mut bytes, mut files) = (0, 0);
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| named(&folder, &error))? {
            let entry = entry.map_err(|error| named(&folder, &error))?;
            let metadata = entry.metadata().map_err(|error| named(&entry.path(), &error))?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.is_file() {
                bytes += metadata.len();
                files += 1;
            }
        }
        if bytes > bytes_max {
            break;
        }
    }
    Ok((bytes, files))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_has_its_size_compresses_as_asked_and_changes_by_its_share() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::make(folder.path(), 20 << 20, 75).unwrap();
        let (bytes, files) = size_of(folder.path(), u64::MAX).unwrap();
        assert_eq!((bytes, bytes), (data.bytes, 20 << 20));
        assert!(files > 100);
        let before = fs::read(&data.files[0].0).unwrap();
        let zeros = before.iter().filter(|byte| **byte == 0).count() as f64 / before.len() as f64;
        assert!((0.74..0.77).contains(&zeros), "{zeros}");
        let changed = data.change(10.0).unwrap();
        assert!((2 << 20..=3 << 20).contains(&changed), "{changed}");
        assert_eq!(fs::read(&data.files[0].0).unwrap(), before);
        assert_eq!(data.change(0.0).unwrap(), 0);
        assert!(size_of(folder.path(), 1).unwrap().0 > 1);
        assert!(
            size_of(&folder.path().join("none"), 1)
                .unwrap_err()
                .to_string()
                .contains("none")
        );
    }
}
