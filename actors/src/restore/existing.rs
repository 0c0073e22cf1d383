// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What to do about something that has an entry's name already.

use std::os::fd::{AsFd, BorrowedFd};

use duplicati_engine::{
    format::{
        chunk_list::ChunkList,
        pack::PackClass,
        tree::{EntryBody, Hole},
    },
    restore::{
        file::{Placement, holes_are_empty, is_lone_file, open_existing, read_data},
        layout::FileLayout,
        selection::alternate_name,
        target::look,
    },
};
use rustix::{
    fs::{FileType, Stat},
    io::Errno,
};

use super::context::Context;
use crate::error::RunError;

/// Further names that are tried when the dated one is taken.
const ALTERNATES_MAX: u32 = 100;

/// What becomes of an entry.
pub enum Decision {
    /// Write it under this name.
    Write(Vec<u8>, Placement),
    /// This name has it already.
    Unmodified(Vec<u8>),
    /// There is no way.
    Failed(String),
}

/// A file's stored form.
pub struct FileContent<'a> {
    pub size: u64,
    pub holes: &'a [Hole],
    pub list: &'a ChunkList,
}

impl FileContent<'_> {
    /// Bytes without the holes; none when they do not fit the size.
    pub fn data_size(&self) -> Option<u64> {
        self.holes
            .iter()
            .try_fold(self.size, |size, hole| size.checked_sub(hole.length))
    }
}

/// Decides about a file.
pub async fn decide_file(
    context: &Context,
    folder: BorrowedFd<'_>,
    name: &[u8],
    content: &FileContent<'_>,
) -> Result<Decision, RunError> {
    let stat = match look(folder, name) {
        Ok(None) => return Ok(Decision::Write(name.to_vec(), Placement::New)),
        Ok(Some(stat)) => stat,
        Err(error) => return Ok(Decision::Failed(std::io::Error::from(error).to_string())),
    };
    if !context.options.overwrite {
        if same_content(context, folder, name, content).await? {
            return Ok(Decision::Unmodified(name.to_vec()));
        }
        for attempt in std::iter::once(None).chain((0..ALTERNATES_MAX).map(Some)) {
            let other = alternate_name(name, &context.date, attempt);
            if matches!(look(folder, &other), Ok(None)) {
                return Ok(Decision::Write(other, Placement::New));
            }
            if same_content(context, folder, &other, content).await? {
                return Ok(Decision::Unmodified(other));
            }
        }
        return Ok(no_name_left());
    }
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Ok(Decision::Failed(
            "a folder is in the way; move it aside".to_owned(),
        ));
    }
    if is_lone_file(&stat) && content.holes.is_empty() {
        let placement = Placement::Patch {
            inode: stat.st_ino,
            size: stat.st_size as u64,
        };
        return Ok(Decision::Write(name.to_vec(), placement));
    }
    if same_content(context, folder, name, content).await? {
        return Ok(Decision::Unmodified(name.to_vec()));
    }
    count_removed(context, &stat);
    Ok(Decision::Write(name.to_vec(), Placement::Replace))
}

/// Decides about a link, pipe, socket or device. What must go is removed here.
pub fn decide_other(
    context: &Context,
    folder: BorrowedFd<'_>,
    name: &[u8],
    body: &EntryBody,
) -> Result<Decision, Errno> {
    let Some(stat) = look(folder, name)? else {
        return Ok(Decision::Write(name.to_vec(), Placement::New));
    };
    if is_same_other(folder, name, &stat, body) {
        return Ok(Decision::Unmodified(name.to_vec()));
    }
    if context.options.overwrite {
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(Errno::ISDIR);
        }
        rustix::fs::unlinkat(folder, name, rustix::fs::AtFlags::empty())?;
        count_removed(context, &stat);
        return Ok(Decision::Write(name.to_vec(), Placement::New));
    }
    for attempt in std::iter::once(None).chain((0..ALTERNATES_MAX).map(Some)) {
        let other = alternate_name(name, &context.date, attempt);
        match look(folder, &other)? {
            None => return Ok(Decision::Write(other, Placement::New)),
            Some(stat) if is_same_other(folder, &other, &stat, body) => {
                return Ok(Decision::Unmodified(other));
            }
            Some(_) => {}
        }
    }
    Ok(no_name_left())
}

fn no_name_left() -> Decision {
    Decision::Failed("its name and all dated names beside it are taken; restore to another folder".to_owned())
}

fn count_removed(context: &Context, stat: &Stat) {
    let mut report = context.report();
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        report.deleted_symlinks += 1;
    } else {
        report.deleted_files += 1;
    }
}

fn is_same_other(folder: BorrowedFd<'_>, name: &[u8], stat: &Stat, body: &EntryBody) -> bool {
    let kind = FileType::from_raw_mode(stat.st_mode);
    match body {
        EntryBody::Symlink { target } => {
            kind == FileType::Symlink
                && rustix::fs::readlinkat(folder, name, Vec::new())
                    .is_ok_and(|found| found.as_bytes() == target)
        }
        EntryBody::Fifo => kind == FileType::Fifo,
        EntryBody::Socket => kind == FileType::Socket,
        EntryBody::CharDevice { major, minor } => {
            kind == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(*major, *minor)
        }
        EntryBody::BlockDevice { major, minor } => {
            kind == FileType::BlockDevice && stat.st_rdev == rustix::fs::makedev(*major, *minor)
        }
        EntryBody::File { .. } | EntryBody::Directory { .. } => false,
    }
}

/// Whether an existing file has exactly this content, judged by the ids of its chunks.
async fn same_content(
    context: &Context,
    folder: BorrowedFd<'_>,
    name: &[u8],
    content: &FileContent<'_>,
) -> Result<bool, RunError> {
    let Some((open, stat)) = open_existing(folder, name) else {
        return Ok(false);
    };
    if stat.st_size as u64 != content.size || !holes_are_empty(open.as_fd(), content.holes) {
        return Ok(false);
    }
    let frames = context.tree.frames();
    let mut leaves = context.tree.leaves(content.list);
    let layout = FileLayout::new(content.holes);
    let mut buffer = Vec::new();
    let mut offset = 0;
    loop {
        context.control.check()?;
        match leaves.next().await {
            Ok(Some(id)) => {
                let Some(place) = frames.index().find(&id) else {
                    return Ok(false);
                };
                buffer.resize(place.length as usize, 0);
                if !read_data(open.as_fd(), &layout, offset, &mut buffer)
                    || frames.repository().hasher.id(PackClass::Data, &buffer) != id
                {
                    return Ok(false);
                }
                offset += u64::from(place.length);
            }
            Ok(None) => return Ok(content.data_size() == Some(offset)),
            // Whoever wants the content will meet the same damage and report it.
            Err(error) if error.is_damage() => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
