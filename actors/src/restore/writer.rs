// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opens frames, checks every chunk and writes it to its files. A file whose content is all in one frame is made, written, given its
//! metadata and closed in one go, by one thread.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use duplicati_engine::{
    format::pack::PackClass,
    repository::{RepositoryError, frames::FrameOpener},
    restore::{
        metadata::MetadataWriter,
        target::{FolderCache, explain, is_fatal},
    },
};
use rustix::io::Errno;

use super::{
    batches::{AllWritten, FetchedRead, PlannedFile, Use},
    context::Context,
    wiring,
};
use crate::{
    error::RunError,
    inlet::{Inlet, Outlet},
};

pub fn run(
    context: &Arc<Context>,
    outlet: &Outlet<FetchedRead>,
    _until_done: Inlet<AllWritten>,
) -> Result<(), RunError> {
    let Some(target) = &context.target else {
        return Ok(());
    };
    let mut opener = FrameOpener::default();
    let mut writer = Writer {
        context: Arc::clone(context),
        folders: FolderCache::new(Arc::clone(target), wiring::FOLDERS_OPEN_MAX),
        metadata: MetadataWriter::new(&context.options),
    };
    while let Some(FetchedRead { read, fetched }) = outlet.receive_blocking()? {
        let mut outcome = Ok(());
        match fetched {
            Ok(fetched) => opener.open(&fetched, |frame, content| {
                if outcome.is_ok() {
                    outcome = writer.frame(read.batch.uses_of(frame), content);
                }
            }),
            Err(error) => {
                let reason = context.unreadable(error)?;
                for uses in by_file(&read.batch.uses) {
                    writer.lost(uses, &reason)?;
                }
            }
        }
        outcome?;
    }
    Ok(())
}

struct Writer {
    context: Arc<Context>,
    folders: FolderCache,
    metadata: MetadataWriter,
}

/// Stretches of uses by the same file.
fn by_file(uses: &[Use]) -> impl Iterator<Item = &[Use]> {
    uses.chunk_by(|one, other| Arc::ptr_eq(&one.file, &other.file))
}

impl Writer {
    fn frame(&mut self, uses: &[Use], content: Result<&[u8], RepositoryError>) -> Result<(), RunError> {
        match content {
            Ok(content) => by_file(uses).try_for_each(|uses| self.file(uses, content)),
            Err(error) => {
                let reason = self.context.unreadable(error)?;
                by_file(uses).try_for_each(|uses| self.lost(uses, &reason))
            }
        }
    }

    fn lost(&mut self, uses: &[Use], reason: &str) -> Result<(), RunError> {
        let job = &uses[0].file;
        job.fail(reason);
        self.end_pieces(job, uses.len() as u64)
    }

    /// Writes all pieces that one file has in one frame.
    fn file(&mut self, uses: &[Use], content: &[u8]) -> Result<(), RunError> {
        let job = &uses[0].file;
        if !job.has_failed() {
            match self.write(job, uses, content) {
                Ok(()) => {}
                Err(WriteError::System(error)) if is_fatal(error) => {
                    job.fail(explain(error));
                    self.end_pieces(job, uses.len() as u64)?;
                    return self.context.refused(&job.path(&self.context.prefix), error);
                }
                Err(WriteError::System(error)) => job.fail(explain(error)),
                Err(WriteError::Content(error)) => {
                    let reason = self.context.unreadable(error)?;
                    job.fail(reason);
                }
            }
        }
        self.end_pieces(job, uses.len() as u64)
    }

    fn write(&mut self, job: &Arc<PlannedFile>, uses: &[Use], content: &[u8]) -> Result<(), WriteError> {
        let frames = self.context.tree.frames();
        let mut open: Option<Arc<OwnedFd>> = None;
        for item in uses {
            let start = item.offset as usize;
            let data = content.get(start..start + item.length as usize);
            frames
                .check(PackClass::Data, &item.id, item.frame, data)
                .map_err(WriteError::Content)?;
            let open = match &open {
                Some(open) => open,
                None => {
                    let folder = self.folders.get(&job.folder)?;
                    open.insert(job.open(folder.as_fd(), &self.metadata)?)
                }
            };
            job.write(open.as_fd(), item.data_offset, data.unwrap_or_default())?;
        }
        Ok(())
    }

    fn end_pieces(&mut self, job: &Arc<PlannedFile>, pieces: u64) -> Result<(), RunError> {
        if job.remaining() > pieces {
            self.context.keep_open(job)?;
        }
        if job.done(pieces) {
            self.context.forget_open(job);
            match self.folders.get(&job.folder) {
                Ok(folder) => self.context.finish(job, folder.as_fd(), &mut self.metadata)?,
                Err(error) => self.context.refused(&job.path(&self.context.prefix), error)?,
            }
        }
        Ok(())
    }
}

enum WriteError {
    System(Errno),
    Content(RepositoryError),
}

impl From<Errno> for WriteError {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}
