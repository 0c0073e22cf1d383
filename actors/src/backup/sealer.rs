// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compresses frames, and opens each again to see that it says the same (F-9).
//!
//! In: `RawFrame` from the chunkers and the tree builder. Out: `SealedFrame` to the packer. Waits only for room there.

use duplicati_engine::{
    compression::{FrameCompressor, FrameDecompressor, store_raw},
    format::pack::FrameDescription,
    repository::RepositoryError,
};

use super::batches::{RawFrame, SealedFrame};
use crate::{
    buffers::BufferPool,
    error::RunError,
    events::{Monitor, Progress},
    inlet::{Inlet, Outlet},
};

/// Name of the stage.
pub const NAME: &str = "sealer";

/// What a sealer works with.
pub struct Sealer {
    /// zstd level.
    pub level: i32,
    /// Open every frame again.
    pub verify: bool,
    /// Frames to seal.
    pub frames: Outlet<RawFrame>,
    /// The next stage.
    pub packer: Inlet<SealedFrame>,
    /// Where raw buffers go back to.
    pub raw_buffers: BufferPool,
    /// Where sealed buffers come from.
    pub sealed_buffers: BufferPool,
    /// Counters.
    pub monitor: Monitor,
}

impl Sealer {
    /// Works until the stream ends.
    pub fn run(self) -> Result<(), RunError> {
        let mut compressor = FrameCompressor::new(self.level);
        let mut check = self.verify.then(|| (FrameDecompressor::default(), Vec::new()));
        while let Some(frame) = self.frames.receive_blocking()? {
            let RawFrame {
                class,
                compressible,
                content,
                chunks,
                mut permit,
            } = frame;
            let mut stored = self.sealed_buffers.take();
            if compressible {
                compressor
                    .compress(&content, &mut stored)
                    .map_err(RepositoryError::Compress)?;
            }
            // Raw blocks cost three bytes in 128 KiB; a frame that zstd made larger than that stands raw as well.
            if !compressible || stored.len() > content.len() + 64 {
                stored.clear();
                store_raw(&content, &mut stored);
            }
            if let Some((decompressor, opened)) = &mut check {
                decompressor.decompress(&stored, content.len(), opened)?;
                if *opened != content {
                    let message = "a sealed frame does not open to what went in".to_owned();
                    return Err(RunError::Check { stage: NAME, message });
                }
            }
            permit.shrink_to(stored.len() as u64);
            let progress = &self.monitor.progress;
            Progress::add(&progress.compressed_bytes, stored.len() as u64);
            let description = FrameDescription {
                stored_size_bytes: stored.len() as u32,
                raw_size_bytes: content.len() as u32,
                chunks,
            };
            self.raw_buffers.give(content);
            self.packer.send_blocking(SealedFrame {
                class,
                stored,
                description,
                permit,
            })?;
        }
        Ok(())
    }
}
