// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts needed frames and chunks into new packs.
//!
//! In: `PackStretch` from the fetchers. Out: `WrittenPack` to the uploaders. One thread; waits for room in the uploaders. Frames that are needed
//! whole keep their compressed form; of others, the needed chunks gather in new frames.

use std::sync::Arc;

use duplicati_engine::{
    compaction::{
        PackFiller, WrittenPack,
        frame_copier::{self, Copied},
    },
    compression::FrameDecompressor,
    repository::Repository,
};

use super::{
    fetcher::PackStretch,
    survey::Survey,
    wiring::{SharedMoved, note},
};
use crate::{
    error::RunError,
    inlet::{Inlet, Outlet, Weighed},
};

/// Name of the stage.
pub const NAME: &str = "repacker";

/// A pack to be stored.
pub struct PackToStore(pub WrittenPack);

impl Weighed for PackToStore {
    fn weight_bytes(&self) -> u64 {
        self.0.object.len() as u64
    }
}

/// What the repacker works with.
pub struct Repacker {
    /// For whom packs are sealed.
    pub repository: Arc<Repository>,
    /// What is needed.
    pub survey: Arc<Survey>,
    /// Size at which a pack is finished, bytes.
    pub pack_size_bytes: u64,
    /// zstd level of new frames.
    pub level: i32,
    /// Frames to move.
    pub stretches: Outlet<PackStretch>,
    /// The next stage.
    pub uploader: Inlet<PackToStore>,
    /// The result.
    pub moved: SharedMoved,
}

impl Repacker {
    /// Works until the stream ends, then writes what is open.
    pub fn run(self) -> Result<(), RunError> {
        let mut filler = PackFiller::new(self.level, self.pack_size_bytes);
        let mut decompressor = FrameDecompressor::default();
        let mut raw = Vec::new();
        while let Some(PackStretch { pack, fetched }) = self.stretches.receive_blocking()? {
            let class = pack.footer.class;
            let outcome = frame_copier::copy::<RunError>(
                &self.repository,
                &pack,
                &fetched,
                |frame, id| self.survey.is_wanted(pack.id, frame, id),
                (&mut decompressor, &mut raw),
                |number, copied| {
                    match copied {
                        Copied::Frame(stored) => {
                            let frame = &pack.footer.frames[number];
                            let (size, chunks) = (frame.raw_size_bytes, frame.chunks.clone());
                            filler.add_frame(&self.repository, class, stored, size, chunks)?;
                        }
                        Copied::Chunk(id, content) => {
                            filler.add_chunk(&self.repository, class, id, content)?;
                        }
                    }
                    self.send(&mut filler)
                },
            );
            match outcome {
                Ok(()) => {}
                Err(RunError::Repository(error)) if error.is_damage() => {
                    note(&self.moved, |moved| {
                        moved.failed.insert(pack.id, error.to_string());
                    });
                }
                Err(error) => return Err(error),
            }
        }
        filler.finish(&self.repository)?;
        self.send(&mut filler)
    }

    /// Hands full packs on.
    fn send(&self, filler: &mut PackFiller) -> Result<(), RunError> {
        filler
            .take_finished()
            .into_iter()
            .try_for_each(|pack| self.uploader.send_blocking(PackToStore(pack)))
    }
}
