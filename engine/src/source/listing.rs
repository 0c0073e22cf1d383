// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The names of one folder, sorted by their raw bytes, in two allocations whatever their number.

use std::fmt;

use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, RawDir, SeekFrom};
use rustix::io::Errno;

/// How much one `getdents` call may return; larger buffers no longer save time.
const DIRECTORY_BUFFER_BYTES: usize = 64 * 1024;
/// Up to here a listing is copied out of the reused buffer; a larger one takes the buffer's memory with it.
const COPIED_NAMES_BYTES_MAX: usize = 256 * 1024;
/// From here on, memory grows by a quarter instead of doubling, so that a folder of a million names stays small.
const DOUBLING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The type of an entry as the folder itself reports it, without asking the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryTypeHint {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Special,
    /// The file system does not say; ask the entry.
    Unknown,
}

impl From<FileType> for EntryTypeHint {
    fn from(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Unknown => Self::Unknown,
            _ => Self::Special,
        }
    }
}

/// Where a name lies; eight bytes.
#[derive(Clone, Copy)]
struct Slot {
    start: u32,
    // Some file systems report names longer than 255 bytes, because their limit counts characters.
    length: u16,
    hint: EntryTypeHint,
}

/// One entry of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedEntry<'listing> {
    /// The raw name, without any path.
    pub name: &'listing [u8],
    /// What the folder says about its type.
    pub hint: EntryTypeHint,
}

/// The memory that listing needs over and over; one for each walking thread.
pub struct ListingBuffer {
    raw: Vec<u8>,
    names: Vec<u8>,
    slots: Vec<Slot>,
}

impl ListingBuffer {
    /// Makes a buffer.
    pub fn new() -> Self {
        Self {
            raw: Vec::with_capacity(DIRECTORY_BUFFER_BYTES),
            names: Vec::new(),
            slots: Vec::new(),
        }
    }

    fn add(&mut self, name: &[u8], hint: EntryTypeHint) -> Result<(), Errno> {
        let start = u32::try_from(self.names.len()).map_err(|_| Errno::OVERFLOW)?;
        let length = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
        make_room(&mut self.names, name.len(), 1);
        make_room(&mut self.slots, 1, size_of::<Slot>());
        self.names.extend_from_slice(name);
        self.slots.push(Slot { start, length, hint });
        Ok(())
    }

    fn take(&mut self) -> DirectoryListing {
        if self.names.len() <= COPIED_NAMES_BYTES_MAX {
            return DirectoryListing {
                names: self.names.as_slice().into(),
                slots: self.slots.as_slice().into(),
            };
        }
        DirectoryListing {
            names: std::mem::take(&mut self.names).into_boxed_slice(),
            slots: std::mem::take(&mut self.slots).into_boxed_slice(),
        }
    }
}

impl Default for ListingBuffer {
    fn default() -> Self {
        Self::new()
    }
}

fn make_room<T>(vector: &mut Vec<T>, more: usize, item_bytes: usize) {
    if vector.capacity() * item_bytes >= DOUBLING_BYTES_MAX && vector.len() + more > vector.capacity() {
        vector.reserve_exact(more.max(vector.capacity() / 4));
    }
}

/// The names of one folder at one time, sorted bytewise, each once.
#[derive(Default)]
pub struct DirectoryListing {
    names: Box<[u8]>,
    slots: Box<[Slot]>,
}

impl DirectoryListing {
    /// Reads the whole folder behind `directory`; none when it has more than `names_max` names.
    pub(super) fn read(
        directory: BorrowedFd<'_>,
        names_max: usize,
        buffer: &mut ListingBuffer,
    ) -> Result<Option<Self>, Errno> {
        buffer.names.clear();
        buffer.slots.clear();
        // The descriptor may have been listed before; its position is shared by all readings.
        rustix::fs::seek(directory, SeekFrom::Start(0))?;
        let mut raw = std::mem::take(&mut buffer.raw);
        let outcome = read_all(directory, &mut raw, names_max, buffer);
        buffer.raw = raw;
        if !outcome? {
            return Ok(None);
        }

        let ListingBuffer { names, slots, .. } = buffer;
        let name_of = |slot: &Slot| &names[slot.start as usize..][..usize::from(slot.length)];
        slots.sort_unstable_by(|left, right| name_of(left).cmp(name_of(right)));
        // A folder that changes while it is read may report a name twice.
        slots.dedup_by(|left, right| name_of(left) == name_of(right));
        Ok(Some(buffer.take()))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the folder is empty.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the entry at a place in the order.
    pub fn get(&self, position: usize) -> Option<ListedEntry<'_>> {
        self.slots.get(position).map(|slot| self.entry(slot))
    }

    /// Goes through the entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = ListedEntry<'_>> + ExactSizeIterator {
        self.slots.iter().map(|slot| self.entry(slot))
    }

    /// Whether the folder has an entry with this name.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.slots
            .binary_search_by(|slot| self.entry(slot).name.cmp(name))
            .is_ok()
    }

    /// The memory that the listing holds.
    pub fn memory_bytes(&self) -> usize {
        self.names.len() + self.slots.len() * size_of::<Slot>()
    }

    fn entry(&self, slot: &Slot) -> ListedEntry<'_> {
        ListedEntry {
            name: &self.names[slot.start as usize..][..usize::from(slot.length)],
            hint: slot.hint,
        }
    }
}

impl fmt::Debug for DirectoryListing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DirectoryListing")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Whether all of it was read.
fn read_all(
    directory: BorrowedFd<'_>,
    raw: &mut Vec<u8>,
    names_max: usize,
    into: &mut ListingBuffer,
) -> Result<bool, Errno> {
    raw.clear();
    let mut entries = RawDir::new(directory, raw.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::INTR) => continue,
            // The folder was removed while it was open; it has no entries any more.
            Err(Errno::NOENT) => return Ok(true),
            Err(errno) => return Err(errno),
        };
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            if into.slots.len() >= names_max {
                return Ok(false);
            }
            into.add(name, entry.file_type().into())?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_names_cost_less_than_sixty_megabytes_while_growing() {
        let mut buffer = ListingBuffer::new();
        let mut peak = 0;
        for number in 0..1_000_000_u32 {
            let before = (buffer.names.capacity(), buffer.slots.capacity());
            buffer
                .add(format!("file-{number:015}").as_bytes(), EntryTypeHint::File)
                .unwrap();
            // While a vector moves, its old and its new memory may exist together.
            let moved = usize::from(before.0 != buffer.names.capacity()) * before.0
                + usize::from(before.1 != buffer.slots.capacity()) * before.1 * size_of::<Slot>();
            let held = buffer.names.capacity() + buffer.slots.capacity() * size_of::<Slot>();
            peak = peak.max(held + moved);
        }
        let listing = buffer.take();
        assert_eq!(listing.len(), 1_000_000);
        assert_eq!(listing.memory_bytes(), 28_000_000);
        assert!(peak < 60_000_000, "peak was {peak}");
    }
}
