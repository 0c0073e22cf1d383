// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts needed frames and chunks into new packs.
//!
//! In: `PackStretch` from the fetchers. Out: `WrittenPack` to the uploaders. One thread; waits for room in the uploaders. Frames that are needed
//! whole keep their compressed form; of others, the needed chunks gather in new frames.

use std::sync::Arc;

use duplicati_engine::{
    compaction::{
        PackWriter, WrittenPack,
        frame_copier::{self, Copied},
    },
    compression::{CompressibilityTest, FrameCompressor, FrameDecompressor, store_raw},
    format::pack::PackClass,
    id::ChunkId,
    repository::{Repository, RepositoryError},
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
/// Size at which a new frame is finished, bytes (F-4).
const FRAME_SIZE_BYTES: usize = 1 << 20;

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

#[derive(Default)]
struct OpenClass {
    pack: Option<PackWriter>,
    content: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
}

struct Frames {
    compressor: FrameCompressor,
    test: CompressibilityTest,
    stored: Vec<u8>,
}

impl Repacker {
    /// Works until the stream ends, then writes what is open.
    pub fn run(self) -> Result<(), RunError> {
        let mut open = [OpenClass::default(), OpenClass::default()];
        let mut frames = Frames {
            compressor: FrameCompressor::new(self.level),
            test: CompressibilityTest::default(),
            stored: Vec::new(),
        };
        let mut decompressor = FrameDecompressor::default();
        let mut raw = Vec::new();
        while let Some(PackStretch { pack, fetched }) = self.stretches.receive_blocking()? {
            let class = pack.footer.class;
            let slot = &mut open[usize::from(class == PackClass::Tree)];
            let outcome = frame_copier::copy::<RunError>(
                &self.repository,
                &pack,
                &fetched,
                |frame, id| self.survey.is_wanted(pack.id, frame, id),
                (&mut decompressor, &mut raw),
                |number, copied| match copied {
                    Copied::Frame(stored) => {
                        let frame = &pack.footer.frames[number];
                        self.push(slot, class, stored, frame.raw_size_bytes, frame.chunks.clone())
                    }
                    Copied::Chunk(id, content) => {
                        slot.content.extend_from_slice(content);
                        slot.chunks.push((id, content.len() as u32));
                        if slot.content.len() >= FRAME_SIZE_BYTES {
                            self.finish_frame(slot, class, &mut frames)
                        } else {
                            Ok(())
                        }
                    }
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
        for (slot, class) in open.iter_mut().zip([PackClass::Data, PackClass::Tree]) {
            self.finish_frame(slot, class, &mut frames)?;
            self.finish_pack(slot)?;
        }
        Ok(())
    }

    fn finish_frame(
        &self,
        slot: &mut OpenClass,
        class: PackClass,
        frames: &mut Frames,
    ) -> Result<(), RunError> {
        if slot.chunks.is_empty() {
            return Ok(());
        }
        let content = std::mem::take(&mut slot.content);
        let chunks = std::mem::take(&mut slot.chunks);
        frames.stored.clear();
        if !frames.test.is_incompressible(&content) {
            frames
                .compressor
                .compress(&content, &mut frames.stored)
                .map_err(RepositoryError::Compress)?;
        }
        if frames.stored.is_empty() || frames.stored.len() > content.len() + 64 {
            frames.stored.clear();
            store_raw(&content, &mut frames.stored);
        }
        self.push(slot, class, &frames.stored, content.len() as u32, chunks)?;
        slot.content = content;
        slot.content.clear();
        Ok(())
    }

    fn push(
        &self,
        slot: &mut OpenClass,
        class: PackClass,
        stored: &[u8],
        raw_size_bytes: u32,
        chunks: Vec<(ChunkId, u32)>,
    ) -> Result<(), RunError> {
        let pack = match &mut slot.pack {
            Some(pack) => pack,
            None => slot.pack.insert(PackWriter::new(&self.repository, class)?),
        };
        pack.push(stored, raw_size_bytes, chunks)?;
        if pack.size_bytes() >= self.pack_size_bytes {
            self.finish_pack(slot)?;
        }
        Ok(())
    }

    fn finish_pack(&self, slot: &mut OpenClass) -> Result<(), RunError> {
        match slot.pack.take() {
            Some(pack) => self
                .uploader
                .send_blocking(PackToStore(pack.finish(&self.repository)?)),
            None => Ok(()),
        }
    }
}
