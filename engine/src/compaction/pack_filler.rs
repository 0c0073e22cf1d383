// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fills new packs from chunks and finished frames, for runs that write little or one after the other: compaction, repair, purge.
//!
//! Every frame that is made here is opened again before it counts: the packs that it comes from may be deleted, so nothing else would show that it went wrong.

use crate::{
    compression::{CompressibilityTest, FrameCompressor, FrameDecompressor, store_raw},
    format::pack::PackClass,
    id::ChunkId,
    repository::{Repository, RepositoryError},
};

use super::{PackWriter, WrittenPack};

/// zstd may make a frame this much larger, bytes; beyond that it stands raw, which costs three bytes in 128 KiB.
const FRAME_GROWTH_BYTES_MAX: usize = 64;

#[derive(Default)]
struct OpenClass {
    pack: Option<PackWriter>,
    content: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
}

/// One open frame and one open pack of each class.
pub struct PackFiller {
    pack_size_bytes: u64,
    open: [OpenClass; 2],
    finished: Vec<WrittenPack>,
    compressor: FrameCompressor,
    test: CompressibilityTest,
    stored: Vec<u8>,
    decompressor: FrameDecompressor,
    opened: Vec<u8>,
}

impl PackFiller {
    /// Nothing filled yet. `level` is that of zstd; packs are finished when they hold `pack_size_bytes`.
    pub fn new(level: i32, pack_size_bytes: u64) -> Self {
        Self {
            pack_size_bytes,
            open: [OpenClass::default(), OpenClass::default()],
            finished: Vec::new(),
            compressor: FrameCompressor::new(level),
            test: CompressibilityTest::default(),
            stored: Vec::new(),
            decompressor: FrameDecompressor::default(),
            opened: Vec::new(),
        }
    }

    /// Adds a chunk to the open frame of its class.
    ///
    /// # Errors
    /// When a frame or pack that is full cannot be finished.
    pub fn add_chunk(
        &mut self,
        repository: &Repository,
        class: PackClass,
        id: ChunkId,
        content: &[u8],
    ) -> Result<(), RepositoryError> {
        let open = &mut self.open[slot(class)];
        open.content.extend_from_slice(content);
        open.chunks.push((id, content.len() as u32));
        if open.content.len() >= class.frame_size_bytes() {
            self.end_frame(repository, class)?;
        }
        Ok(())
    }

    /// Adds a frame as it stands.
    ///
    /// # Errors
    /// When a pack cannot be begun or finished.
    pub fn add_frame(
        &mut self,
        repository: &Repository,
        class: PackClass,
        stored: &[u8],
        raw_size_bytes: u32,
        chunks: Vec<(ChunkId, u32)>,
    ) -> Result<(), RepositoryError> {
        let open = &mut self.open[slot(class)];
        let pack = match &mut open.pack {
            Some(pack) => pack,
            empty => empty.insert(PackWriter::new(repository, class)?),
        };
        pack.push(stored, raw_size_bytes, chunks)?;
        if pack.size_bytes() >= self.pack_size_bytes {
            self.end_pack(repository, class)?;
        }
        Ok(())
    }

    /// Finishes everything that is open.
    ///
    /// # Errors
    /// When a frame or pack cannot be finished.
    pub fn finish(&mut self, repository: &Repository) -> Result<(), RepositoryError> {
        for class in [PackClass::Data, PackClass::Tree] {
            self.end_frame(repository, class)?;
            self.end_pack(repository, class)?;
        }
        Ok(())
    }

    /// The packs that are full and not taken yet; they stay in memory until then.
    pub fn take_finished(&mut self) -> Vec<WrittenPack> {
        std::mem::take(&mut self.finished)
    }

    fn end_frame(&mut self, repository: &Repository, class: PackClass) -> Result<(), RepositoryError> {
        let open = &mut self.open[slot(class)];
        if open.chunks.is_empty() {
            return Ok(());
        }
        let content = std::mem::take(&mut open.content);
        let chunks = std::mem::take(&mut open.chunks);
        let mut stored = std::mem::take(&mut self.stored);
        stored.clear();
        if !self.test.is_incompressible(&content) {
            self.compressor
                .compress(&content, &mut stored)
                .map_err(RepositoryError::Compress)?;
        }
        if stored.is_empty() || stored.len() > content.len() + FRAME_GROWTH_BYTES_MAX {
            stored.clear();
            store_raw(&content, &mut stored);
        }
        self.decompressor
            .decompress(&stored, content.len(), &mut self.opened)
            .map_err(unsound)?;
        if self.opened != content {
            return Err(unsound("other content"));
        }
        self.add_frame(repository, class, &stored, content.len() as u32, chunks)?;
        self.stored = stored;
        let open = &mut self.open[slot(class)];
        open.content = content;
        open.content.clear();
        Ok(())
    }

    fn end_pack(&mut self, repository: &Repository, class: PackClass) -> Result<(), RepositoryError> {
        if let Some(pack) = self.open[slot(class)].pack.take() {
            self.finished.push(pack.finish(repository)?);
        }
        Ok(())
    }
}

fn unsound(detail: impl std::fmt::Display) -> RepositoryError {
    let message = format!("a new frame does not open to what went in: {detail}");
    RepositoryError::Compress(std::io::Error::other(message))
}

fn slot(class: PackClass) -> usize {
    usize::from(class == PackClass::Tree)
}
