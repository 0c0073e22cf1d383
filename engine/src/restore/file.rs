// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One file's way into the target: written under a temporary name, given its metadata, then its own name in one step.
//!
//! So a restore that is cut off leaves no half file under a real name, and the next run skips what is complete. An existing file of
//! which only parts differ is written in place, and only those parts.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{
    fs::{AtFlags, FallocateFlags, FileType, Mode, OFlags, RenameFlags, SeekFrom, Stat},
    io::Errno,
};

use super::{
    layout::FileLayout,
    metadata::MetadataWriter,
    target::{Folder, look},
};
use crate::format::tree::{Hole, TreeEntry};

/// Longest name that file systems take, bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Piece in which holes are compared, bytes.
const ZERO_PIECE_BYTES: usize = 64 << 10;

/// How a file gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The name is free, and must still be at the end.
    New,
    /// It takes the name from whatever has it.
    Replace,
    /// The existing file (its inode number) is corrected in place; it had this size in bytes.
    Patch {
        /// Inode number.
        inode: u64,
        /// Size, bytes.
        size: u64,
    },
}

/// A file that is being restored; shared by everybody who has a piece of it.
#[derive(Debug)]
pub struct FileJob {
    /// Unique in the run.
    pub number: u64,
    /// Folder in the target.
    pub folder: Arc<Folder>,
    /// Name in the target where it is not the entry's.
    name: Option<Vec<u8>>,
    /// The entry; its chunk list may have been emptied.
    pub entry: TreeEntry,
    /// Size with holes, bytes.
    pub size: u64,
    /// Where its data lies.
    pub layout: FileLayout,
    /// How it gets its name.
    pub placement: Placement,
    /// Whether holes stay holes.
    pub sparse: bool,
    remaining: AtomicU64,
    written: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Arc<OwnedFd>>,
    /// Whether the temporary file exists.
    made: bool,
    /// Its device and inode, once it was closed.
    identity: Option<(u64, u64)>,
    failure: Option<String>,
}

/// How a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEnd {
    /// Written.
    Restored,
    /// Corrected in place.
    Patched,
    /// It was right already.
    Unmodified,
    /// Lost, with the reason.
    Failed(String),
}

/// What a [`FileJob`] is made of.
pub struct FileJobParts {
    /// As in the job.
    pub number: u64,
    /// As in the job.
    pub folder: Arc<Folder>,
    /// Name in the target.
    pub name: Vec<u8>,
    /// As in the job.
    pub entry: TreeEntry,
    /// As in the job.
    pub size: u64,
    /// As in the job.
    pub layout: FileLayout,
    /// As in the job.
    pub placement: Placement,
    /// As in the job.
    pub sparse: bool,
}

impl FileJob {
    /// A job that its maker still holds: [`done`](Self::done) is called once more when all pieces are planned.
    pub fn new(parts: FileJobParts) -> Self {
        let FileJobParts {
            number,
            folder,
            name,
            entry,
            size,
            layout,
            placement,
            sparse,
        } = parts;
        Self {
            number,
            folder,
            // Very many jobs are under way when files are tiny, so none says twice what it says once.
            name: (name != entry.name).then_some(name),
            entry,
            size,
            layout,
            placement,
            sparse,
            remaining: AtomicU64::new(1),
            written: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Name in the target.
    pub fn name(&self) -> &[u8] {
        self.name.as_deref().unwrap_or(&self.entry.name)
    }

    /// Path in the snapshot, for messages; `prefix` is what was removed in front of every path.
    pub fn path(&self, prefix: &[u8]) -> Vec<u8> {
        let parts = [prefix, &self.folder.path, &self.entry.name];
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(&b'/')
    }

    /// Counts a planned piece.
    pub fn expect_piece(&self) {
        self.remaining.fetch_add(1, Ordering::Relaxed);
    }

    /// Pieces still to come, the maker's hold included.
    pub fn remaining(&self) -> u64 {
        self.remaining.load(Ordering::Acquire)
    }

    /// Ends `pieces`; true for the one caller who ends the last and must finish the file.
    pub fn done(&self, pieces: u64) -> bool {
        self.remaining.fetch_sub(pieces, Ordering::AcqRel) == pieces
    }

    /// Gives the file up; the first reason is kept.
    pub fn fail(&self, reason: impl Into<String>) {
        self.state().failure.get_or_insert(reason.into());
    }

    /// Whether it was given up.
    pub fn has_failed(&self) -> bool {
        self.state().failure.is_some()
    }

    /// Bytes of content written.
    pub fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name while it is written. It depends on the name alone, so that a later run finds and replaces the remains of this one.
    fn temporary_name(&self) -> Vec<u8> {
        let own = self.name();
        let mark = blake3::hash(own).to_hex();
        let mut name = vec![b'.'];
        name.extend_from_slice(&own[..own.len().min(NAME_BYTES_MAX - 20)]);
        name.extend_from_slice(b".restore-");
        name.extend_from_slice(&mark.as_bytes()[..8]);
        name
    }

    /// The descriptor to write to, opened or made if need be.
    ///
    /// # Errors
    /// When the system refuses, or another file has taken the place of ours.
    pub fn open(&self, folder: BorrowedFd<'_>, metadata: &MetadataWriter) -> Result<Arc<OwnedFd>, Errno> {
        let mut state = self.state();
        if let Some(open) = &state.open {
            return Ok(Arc::clone(open));
        }
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = match (self.placement, state.identity) {
            (Placement::Patch { inode, .. }, _) => {
                let open = rustix::fs::openat(folder, self.name(), flags, Mode::empty())?;
                let stat = rustix::fs::fstat(&open)?;
                if stat.st_ino != inode || !is_lone_file(&stat) {
                    return Err(Errno::EXIST);
                }
                open
            }
            (_, Some(identity)) => {
                let name = self.temporary_name();
                let open = rustix::fs::openat(folder, name, flags, Mode::empty())?;
                let stat = rustix::fs::fstat(&open)?;
                if (stat.st_dev, stat.st_ino) != identity {
                    return Err(Errno::EXIST);
                }
                open
            }
            (_, None) => {
                let open = self.create(folder, metadata.mode_for_new_file(&self.entry))?;
                state.made = true;
                open
            }
        };
        let open = Arc::new(open);
        state.open = Some(Arc::clone(&open));
        Ok(open)
    }

    fn create(&self, folder: BorrowedFd<'_>, mode: u32) -> Result<OwnedFd, Errno> {
        let name = self.temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = || rustix::fs::openat(folder, name.as_slice(), flags, Mode::from_raw_mode(mode));
        let open = match make() {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(folder, name.as_slice(), AtFlags::empty())?;
                make()?
            }
            other => other?,
        };
        if !self.sparse && !self.layout.is_dense() {
            // Room that cannot be reserved here will be missed when it is written.
            match rustix::fs::fallocate(&open, FallocateFlags::empty(), 0, self.size) {
                Err(error @ (Errno::NOSPC | Errno::DQUOT)) => return Err(error),
                _either => {}
            }
        }
        Ok(open)
    }

    /// Closes the descriptor until the next piece comes.
    ///
    /// # Errors
    /// When the system cannot say which file it was.
    pub fn close(&self) -> Result<(), Errno> {
        let mut state = self.state();
        if let Some(open) = state.open.take() {
            let stat = rustix::fs::fstat(&open)?;
            state.identity = Some((stat.st_dev, stat.st_ino));
        }
        Ok(())
    }

    /// Writes stored data at its place between the holes.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, open: BorrowedFd<'_>, data_offset: u64, data: &[u8]) -> Result<(), Errno> {
        let mut result = Ok(());
        self.layout.place(data_offset, data.len(), |offset, part| {
            if result.is_ok() {
                result = write_all(open, &data[part], offset);
            }
        });
        self.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        result
    }

    /// Gives the file its length, metadata and name, or removes what there is of it.
    ///
    /// # Errors
    /// When the system refuses; what was written is removed.
    pub fn finish(
        &self,
        folder: BorrowedFd<'_>,
        metadata: &mut MetadataWriter,
        told: impl FnMut(String),
    ) -> Result<FileEnd, Errno> {
        let failure = self.state().failure.take();
        if let Some(failure) = failure {
            return Ok(FileEnd::Failed(self.discard(folder, failure)));
        }
        let result = self.open(folder, metadata).and_then(|open| {
            if !self.layout.is_dense()
                || matches!(self.placement, Placement::Patch { size, .. } if size != self.size)
            {
                rustix::fs::ftruncate(&open, self.size)?;
            }
            metadata.apply_open(open.as_fd(), &self.entry, told);
            self.state().open = None;
            self.take_name(folder)
        });
        match (result, self.placement) {
            (Err(error), _) => {
                self.discard(folder, String::new());
                Err(error)
            }
            (Ok(()), Placement::Patch { size, .. }) if self.written_bytes() == 0 && size == self.size => {
                Ok(FileEnd::Unmodified)
            }
            (Ok(()), Placement::Patch { .. }) => Ok(FileEnd::Patched),
            (Ok(()), _) => Ok(FileEnd::Restored),
        }
    }

    fn take_name(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        let temporary = self.temporary_name();
        match self.placement {
            Placement::Patch { .. } => Ok(()),
            Placement::Replace => rustix::fs::renameat(folder, temporary.as_slice(), folder, self.name()),
            Placement::New => {
                let name = self.name();
                let flags = RenameFlags::NOREPLACE;
                match rustix::fs::renameat_with(folder, temporary.as_slice(), folder, name, flags) {
                    // Some file systems have no such rename; a second name is refused just as well when one exists.
                    Err(Errno::INVAL | Errno::NOSYS) => {
                        rustix::fs::linkat(folder, temporary.as_slice(), folder, name, AtFlags::empty())?;
                        rustix::fs::unlinkat(folder, temporary.as_slice(), AtFlags::empty())
                    }
                    other => other,
                }
            }
        }
    }

    fn discard(&self, folder: BorrowedFd<'_>, reason: String) -> String {
        let made = {
            let mut state = self.state();
            state.open = None;
            std::mem::take(&mut state.made)
        };
        if matches!(self.placement, Placement::Patch { .. }) {
            return format!("{reason}; the existing file was left partly restored");
        }
        if made && rustix::fs::unlinkat(folder, self.temporary_name(), AtFlags::empty()).is_err() {
            let name = String::from_utf8_lossy(&self.temporary_name()).into_owned();
            return format!("{reason}; the remains {name} could not be removed");
        }
        reason
    }
}

/// A regular file that no other name leads to, so that writing into it changes nothing else.
pub fn is_lone_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1
}

/// Opens an existing regular file for comparing; none when it is something else or not readable.
pub fn open_existing(folder: BorrowedFd<'_>, name: &[u8]) -> Option<(OwnedFd, Stat)> {
    let before = look(folder, name).ok()??;
    if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = rustix::fs::openat(folder, name, flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&open).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some((open, stat))
}

/// Reads stored data from between the holes of an existing file; false when the file ends before.
pub fn read_data(open: BorrowedFd<'_>, layout: &FileLayout, data_offset: u64, buffer: &mut [u8]) -> bool {
    let mut whole = true;
    layout.place(data_offset, buffer.len(), |offset, part| {
        whole = whole && read_exact(open, &mut buffer[part], offset);
    });
    whole
}

/// Whether the holes of an existing file hold nothing but zeros.
pub fn holes_are_empty(open: BorrowedFd<'_>, holes: &[Hole]) -> bool {
    let mut piece = vec![0; ZERO_PIECE_BYTES];
    let mut end = 0u64;
    for hole in holes {
        let mut at = end + hole.gap;
        end = at + hole.length;
        while at < end {
            // Skips what takes no room; where that cannot be asked, all is read.
            match rustix::fs::seek(open, SeekFrom::Data(at)) {
                Ok(data) if data >= end => break,
                Ok(data) => at = data.max(at),
                Err(Errno::NXIO) => break,
                Err(_) => {}
            }
            let length = (end - at).min(ZERO_PIECE_BYTES as u64) as usize;
            if !read_exact(open, &mut piece[..length], at) || piece[..length].iter().any(|byte| *byte != 0) {
                return false;
            }
            at += length as u64;
        }
    }
    true
}

fn read_exact(open: BorrowedFd<'_>, mut buffer: &mut [u8], mut offset: u64) -> bool {
    while !buffer.is_empty() {
        match rustix::io::pread(open, &mut *buffer, offset) {
            Ok(0) => return false,
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

fn write_all(open: BorrowedFd<'_>, mut data: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !data.is_empty() {
        match rustix::io::pwrite(open, data, offset) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(written) => {
                data = &data[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
